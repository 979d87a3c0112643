/*
 * The edit plan of an index as it was at one time, to go back to it.
 *
 * A checkpoint has the fields of all entries, each as the differences to the entry before: some 20
 * bytes for most, where an entry of the index has 128. Texts and contents that are recorded later
 * lie behind those of that time. It owns its bytes and nothing of the index, which has to outlive
 * it. Of several, going back to one makes those taken after it useless.
 */
#ifndef STRATA_CHECKPOINT_H
#define STRATA_CHECKPOINT_H

#include "core/layer/index.h"

struct strata_checkpoint {
	bool taken;
	struct strata_buf packed;
	size_t arena_len;
	uint32_t count;
	uint32_t replacement_count;
	uint32_t former_count;
	uint32_t revision;
};

/* Takes one of a scanned index. ENOMEM; *c is all zero bytes then. */
int strata_checkpoint_take(struct strata_checkpoint *c, struct strata_index *index,
                           struct strata_err *err);

/* Goes back, and frees it. False, and the index stays as it is: it has been freed, or the index has
 * gone back to one taken before it. */
bool strata_checkpoint_restore(struct strata_checkpoint *c, struct strata_index *index);

/* Of all zero bytes: nothing is done. */
void strata_checkpoint_free(struct strata_checkpoint *c);

#endif
