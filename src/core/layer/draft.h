/*
 * The blob of an edited layer that is written while the layer is scanned, so that a compressed one
 * is inflated and hashed once.
 *
 * It is a guess: entries of certain paths are dropped, and nothing else is changed. Only the plan
 * that is made of the whole index tells whether the guess is right (strata_draft_take); when it is
 * not, the draft is thrown away, and the plan is carried out as if there had been none. The bytes
 * are those that strata_plan_write would have written.
 *
 * Nothing is written before the first entry is dropped. What lies before that is read and inflated
 * a second time then. A failure to write is no failure of the scan: there is no draft then.
 */
#ifndef STRATA_DRAFT_H
#define STRATA_DRAFT_H

#include "core/layer/blob_reader.h"
#include "core/layer/globs.h"
#include "core/layer/index.h"

/* Which entries are going to be dropped, as it seems. */
struct strata_draft_rules {
	struct strata_globs *drop; /* see strata_plan_covers; NULL: none, and there is no draft */
	bool whiteouts;
	const char *temp_dir; /* for the blob; NULL: the default */
};

struct strata_draft; /* in the making */

/* For an index that is going to be scanned. NULL: no draft is to be made of it. */
struct strata_draft *strata_draft_begin(struct strata_index *index,
                                        const struct strata_draft_rules *rules,
                                        const struct strata_work *work);

/* The next chunk of the tar, before it is parsed; of a reader that tells the blocks. */
void strata_draft_chunk(struct strata_draft *draft, const struct strata_blob_reader *in,
                        const char *bytes, size_t len);

/* The parser has come to the last entry of the index, in that chunk. */
void strata_draft_entry(struct strata_draft *draft);

/* The parser has come to the end blocks. */
void strata_draft_tail(struct strata_draft *draft);

/* All of the chunk has been parsed. */
void strata_draft_parsed(struct strata_draft *draft);

/* All of the tar has: the index gets the draft, if there is one. */
void strata_draft_end(struct strata_draft *draft);

void strata_draft_free(struct strata_draft *draft); /* NULL is allowed */

/*
 * The draft of an index if it is what its plan makes of the blob: a file that the caller owns, and
 * what is in it. NULL: the plan has to be carried out. The index has no draft afterwards.
 */
struct strata_file *strata_draft_take(struct strata_index *index, struct strata_blob_info *info);

#endif
