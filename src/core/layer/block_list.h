/*
 * The deflate blocks of a gzip blob, or the frames of a zstd blob, noted while it was inflated:
 * ranges of its tar can then be copied in any order, with their blocks, and nothing is inflated
 * again.
 *
 * At most STRATA_BLOCK_LIST_MAX, 3 MiB of memory. Short blocks that follow each other are noted as
 * one; the more there are, the longer those are that count as short.
 */
#ifndef STRATA_BLOCK_LIST_H
#define STRATA_BLOCK_LIST_H

#include "core/codec/window.h"
#include "core/layer/blob_reader.h"

#define STRATA_BLOCK_LIST_MAX ((uint32_t)1 << 16)

/* All zero bytes: an empty one. */
struct strata_block_list {
	struct strata_block *blocks; /* in order */
	uint32_t count;
	size_t least; /* shorter ones are joined: packed bytes; 0: nothing has been noted */
};

void strata_block_list_free(struct strata_block_list *list);

#define cleanup_block_list __attribute__((cleanup(strata_block_list_free)))

/* Notes the blocks that ended in a chunk. packed may be NULL. */
int strata_block_list_add(struct strata_block_list *list, const struct strata_packed *packed,
                          struct strata_err *err);

/* The first block whose output, and the history of which, is at `offset` or behind it. */
uint32_t strata_block_list_find(const struct strata_block_list *list, uint64_t offset);

/* Where the output begins that a block may refer to. */
static inline uint64_t strata_block_history(const struct strata_block *b)
{
	return b->from - b->member > STRATA_WINDOW ? b->from - STRATA_WINDOW : b->member;
}

/* Bytes that hold a block's bits. */
static inline uint64_t strata_block_packed(const struct strata_block *b)
{
	return (b->bit_end + 7) / 8 - b->bit / 8;
}

#endif
