/* Finding entries by their paths, and the files of hardlinks. */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/index.h"
#include "core/layer/path.h"
#include "core/tar/whiteout.h"

/* A table of at least twice as many slots as entries, all empty. */
static int new_table(struct strata_index *index, struct strata_err *err)
{
	uint64_t slots = 16;

	while (slots < (uint64_t)index->count * 2)
		slots *= 2;
	index->by_path = strata_reallocarray(NULL, slots, sizeof(*index->by_path));
	if (index->by_path == NULL)
		return strata_fail_nomem(err);
	memset(index->by_path, 0xff, slots * sizeof(*index->by_path));
	index->by_path_mask = (uint32_t)(slots - 1);
	return 0;
}

/* The slot where the search for a path begins. */
static uint32_t first_slot(const struct strata_index *index, const char *path, size_t len)
{
	return (uint32_t)strata_hash(index->hash_key, path, len) & index->by_path_mask;
}

/* The slot that holds the path, or the empty one where it would go. */
static uint32_t *slot_of(const struct strata_index *index, const char *path, size_t len)
{
	uint32_t at = first_slot(index, path, len);

	for (;; at = (at + 1) & index->by_path_mask) {
		const struct strata_entry *e;

		if (index->by_path[at] == STRATA_NO_ENTRY)
			return &index->by_path[at];
		e = &index->entries[index->by_path[at]];
		if (e->path.len == len && memcmp(strata_index_text(index, e->path), path, len) == 0)
			return &index->by_path[at];
	}
}

/* Whether the entry is one of its path: global headers have none. */
static bool has_path(const struct strata_entry *e)
{
	return e->typeflag != 'g' && !e->dropped;
}

int strata_index_find(struct strata_index *index, const char *path, size_t len, uint32_t *found,
                      struct strata_err *err)
{
	if (index->by_path == NULL) {
		if (new_table(index, err) < 0)
			return -1;
		for (uint32_t i = 0; i < index->count; i++)
			strata_index_add_path(index, i);
	}
	*found = *slot_of(index, path, len);
	return 0;
}

void strata_index_add_path(struct strata_index *index, uint32_t entry)
{
	struct strata_entry *e = &index->entries[entry];
	uint32_t *slot;

	if (index->by_path == NULL || !has_path(e))
		return;
	slot = slot_of(index, strata_index_text(index, e->path), e->path.len);
	e->hides = false;
	if (*slot != STRATA_NO_ENTRY && *slot > entry) {
		index->entries[*slot].hides = true;
	} else {
		e->hides = *slot != STRATA_NO_ENTRY;
		*slot = entry;
	}
}

/* Empties a slot. What would not be found behind it any more moves up. */
static void empty_slot(struct strata_index *index, uint32_t hole)
{
	uint32_t mask = index->by_path_mask;

	for (uint32_t at = hole;;) {
		const struct strata_entry *e;
		uint32_t first;

		at = (at + 1) & mask;
		if (index->by_path[at] == STRATA_NO_ENTRY)
			break;
		e = &index->entries[index->by_path[at]];
		first = first_slot(index, strata_index_text(index, e->path), e->path.len);
		if (((at - first) & mask) < ((at - hole) & mask))
			continue; /* its search begins behind the hole */
		index->by_path[hole] = index->by_path[at];
		hole = at;
	}
	index->by_path[hole] = STRATA_NO_ENTRY;
}

void strata_index_remove_path(struct strata_index *index, uint32_t entry)
{
	const struct strata_entry *e = &index->entries[entry];
	uint32_t *slot;

	if (index->by_path == NULL || !has_path(e))
		return;
	slot = slot_of(index, strata_index_text(index, e->path), e->path.len);
	if (*slot != entry)
		return; /* a later one of its path is there, and still hides it */
	if (e->hides)
		strata_index_forget_paths(index);
	else
		empty_slot(index, (uint32_t)(slot - index->by_path));
}

void strata_index_forget_paths(struct strata_index *index)
{
	free(steal_pointer(&index->by_path));
}

static int find_link_target(struct strata_index *index, uint32_t i, uint32_t *found,
                            struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[i];
	cleanup_free char *path = malloc((size_t)e->linkpath.len + 1);
	size_t len;

	if (path == NULL)
		return strata_fail_nomem(err);
	len = strata_path_normalise(strata_index_text(index, e->linkpath), e->linkpath.len, path);
	*found = *slot_of(index, path, len);
	return 0;
}

static void bind(struct strata_index *index, uint32_t i, uint32_t target)
{
	if (target != i)
		index->links[i].target = target;
}

/* The root of a link whose chain ends at no file or is a circle, until all roots are found. */
#define NOWHERE (STRATA_NO_ENTRY - 1)

/*
 * Finds the file behind each link, through links to links. All links of a chain get their root
 * together, so that each link is passed once, however long the chains are.
 */
static void find_roots(struct strata_index *index)
{
	struct strata_link *links = index->links;

	for (uint32_t i = 0; i < index->count; i++) {
		uint32_t at = i, root;

		/* Until the end of the chain is found, its links are marked: each is its own root.
		 */
		while (index->entries[at].typeflag == '1' && links[at].root == STRATA_NO_ENTRY &&
		       links[at].target != STRATA_NO_ENTRY) {
			links[at].root = at;
			at = links[at].target;
		}
		if (index->entries[at].typeflag != '1')
			root = at;
		else if (links[at].root == STRATA_NO_ENTRY || links[at].root == at)
			root = NOWHERE;
		else
			root = links[at].root;
		for (at = i; index->entries[at].typeflag == '1' && links[at].root == at;
		     at = links[at].target)
			links[at].root = root;
	}
	for (uint32_t i = 0; i < index->count; i++) {
		if (links[i].root == NOWHERE)
			links[i].root = STRATA_NO_ENTRY;
		links[i].next = i;
	}
}

/* Joins the headers of each file that has hardlinks. */
static void join_names(struct strata_index *index)
{
	struct strata_link *links = index->links;

	for (uint32_t i = index->count; i-- > 0;) {
		uint32_t root = links[i].root;

		if (index->entries[i].typeflag != '1' || root == STRATA_NO_ENTRY)
			continue;
		links[i].next = links[root].next;
		links[root].next = i;
	}
}

int strata_index_bind_links(struct strata_index *index, struct strata_err *err)
{
	uint32_t links = 0;

	for (uint32_t i = 0; i < index->count; i++)
		links += index->entries[i].typeflag == '1';
	if (links == 0)
		return 0;
	index->links = strata_reallocarray(NULL, index->count, sizeof(*index->links));
	if (index->links == NULL)
		return strata_fail_nomem(err);
	memset(index->links, 0xff, index->count * sizeof(*index->links));
	if (new_table(index, err) < 0)
		return -1;
	for (uint32_t i = 0; i < index->count; i++) {
		const struct strata_entry *e = &index->entries[i];
		uint32_t target;

		if (e->typeflag == '1') {
			if (find_link_target(index, i, &target, err) < 0)
				return -1;
			bind(index, i, target);
		}
		strata_index_add_path(index, i);
	}
	/* A target that was not found before the link may stand behind it. */
	for (uint32_t i = 0; i < index->count; i++) {
		uint32_t target;

		if (index->entries[i].typeflag != '1' || index->links[i].target != STRATA_NO_ENTRY)
			continue;
		if (find_link_target(index, i, &target, err) < 0)
			return -1;
		bind(index, i, target);
	}
	find_roots(index);
	join_names(index);
	return 0;
}

uint32_t strata_index_file_of(const struct strata_index *index, uint32_t entry)
{
	const struct strata_entry *e = &index->entries[entry];
	size_t base;

	if (e->typeflag != '1' || e->dropped ||
	    strata_whiteout_kind(strata_index_text(index, e->path), e->path.len, &base) !=
	            STRATA_WHITEOUT_NO)
		return STRATA_NO_ENTRY;
	return index->links[entry].root;
}
