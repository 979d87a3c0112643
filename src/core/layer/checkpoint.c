#include "core/layer/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

int strata_checkpoint_take(struct strata_checkpoint *c, struct strata_index *index,
                           struct strata_err *err)
{
	*c = (struct strata_checkpoint){
	        .arena_len = index->arena.len,
	        .count = index->count,
	        .replacement_count = index->replacement_count,
	        .former_count = index->former_count,
	        .revision = index->revision,
	};
	c->entries = strata_reallocarray(NULL, index->count, sizeof(*c->entries));
	if (c->entries == NULL) {
		*c = (struct strata_checkpoint){0};
		return strata_fail_nomem(err);
	}
	if (index->count > 0)
		memcpy(c->entries, index->entries, index->count * sizeof(*c->entries));
	index->kept_replacements = index->replacement_count; /* they are needed to go back */
	return 0;
}

bool strata_checkpoint_restore(struct strata_checkpoint *c, struct strata_index *index)
{
	if (c->entries == NULL || c->arena_len > index->arena.len ||
	    c->replacement_count > index->replacement_count)
		return false;
	if (c->count > 0)
		memcpy(index->entries, c->entries, c->count * sizeof(*c->entries));
	for (uint32_t i = c->replacement_count; i < index->replacement_count; i++)
		free(index->replacements[i].data);
	index->replacement_count = c->replacement_count;
	index->former_count = c->former_count;
	index->arena.len = c->arena_len;
	/* A number that was used means other edits to those who remember it. */
	strata_index_was_edited(index);
	if (c->revision == 0)
		index->revision = 0;
	strata_index_forget_paths(index);
	strata_checkpoint_free(c);
	return true;
}

void strata_checkpoint_free(struct strata_checkpoint *c)
{
	free(c->entries);
	*c = (struct strata_checkpoint){0};
}
