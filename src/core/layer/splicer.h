/*
 * Decides which blocks of an old layer stay in the new one: deflate blocks of gzip, frames of zstd.
 *
 * It is told, in the order of the old tar, which of its bytes are kept and which are not, and the
 * new bytes between them. A block stays when all of its output is kept, and the 32 KiB before it
 * (of its member, if that begins later; a frame has no history) are kept with it, with nothing
 * between them. Everything else goes to the blob writer as bytes, to be compressed.
 *
 * Ranges of several old tars, in any order, can be kept as well, where their blocks have been
 * listed beforehand: strata_splicer_turn.
 *
 * Blocks beyond the writer's limits (strata_run_limits) are compressed anew. Where the reader does
 * not tell the blocks (blob_reader.h) nothing stays. Skippable frames of zstd go: what they hold,
 * tables of contents for example, is about the old blob.
 *
 * The output depends on the old blobs and the calls alone. Up to 8 MiB of memory; of zstd, whose
 * frames may be large, up to 24 MiB.
 */
#ifndef STRATA_SPLICER_H
#define STRATA_SPLICER_H

#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"
#include "core/layer/block_list.h"

struct strata_splicer {
	struct strata_blob_writer *out;
	bool active;       /* else all bytes go to the writer as they come */
	uint64_t position; /* in the old tar */
	bool keeping;      /* the bytes before it are kept, from kept_from on */
	uint64_t kept_from;

	/* Kept bytes that have not gone to the writer: up to `position`. */
	struct strata_buf plain;
	uint64_t plain_from;

	/* Blocks whose output has not been passed, and where the one behind them begins. */
	struct strata_block *blocks;
	size_t block_count;
	size_t block_cap;
	uint64_t next_from;
	uint64_t next_bit;

	/* Stored bytes, as far as they may still be needed. */
	struct strata_buf packed;
	uint64_t packed_from;

	/* Blocks that stay and follow each other: the first of the plain bytes. */
	bool in_run;
	bool joins;  /* it goes on with a run that went to the writer */
	bool closed; /* nothing can be added, as its last block is the last of its member */
	uint64_t run_bit;
	uint64_t run_bit_end;
	uint64_t run_final; /* counted from run_bit; run_bit_end - run_bit when there is none */
	uint64_t run_to;

	uint64_t stayed; /* bits */

	/* Of strata_splicer_turn: */
	const struct strata_blob *blob;
	const struct strata_block_list *list; /* NULL: blocks are fed */
	uint32_t listed;                      /* the next one of them */
};

/* All zero before. active: blocks may stay, and the writer allows for runs. */
void strata_splicer_init(struct strata_splicer *s, struct strata_blob_writer *out, bool active);
void strata_splicer_free(struct strata_splicer *s);

/* The next chunk of the old tar, before its bytes are kept or passed. NULL: nothing is known. */
int strata_splicer_feed(struct strata_splicer *s, const struct strata_packed *packed,
                        struct strata_err *err);

/*
 * The next bytes that are kept are those from `offset` on of the tar of this blob, whose blocks are
 * listed: they are read when they stay. Both must last until the next turn, or the end. list may be
 * NULL: nothing stays.
 */
int strata_splicer_turn(struct strata_splicer *s, const struct strata_blob *blob,
                        const struct strata_block_list *list, uint64_t offset,
                        struct strata_err *err);

/* The next bytes of the old tar, which are kept. */
int strata_splicer_keep(struct strata_splicer *s, const void *bytes, size_t len,
                        struct strata_err *err);

/* The next bytes of the old tar, which are not. */
int strata_splicer_pass(struct strata_splicer *s, uint64_t len, struct strata_err *err);

/* New bytes, here. */
int strata_splicer_write(struct strata_splicer *s, const void *bytes, size_t len,
                         struct strata_err *err);

/* Everything goes to the writer. Behind it strata_splicer_kept tells how much stayed. */
int strata_splicer_finish(struct strata_splicer *s, struct strata_err *err);

/* Stored bytes that are those of the old blob. */
static inline uint64_t strata_splicer_kept(const struct strata_splicer *s)
{
	return s->stayed / 8;
}

#endif
