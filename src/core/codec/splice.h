/*
 * A gzip stream of one member that is put together of new deflate blocks and of old ones, which
 * keep their bits.
 *
 * A new segment (segment.h) is whole bytes of blocks that refer to nothing before them.
 * A run is blocks of another stream that follow each other there. They may be put where the 32 KiB
 * before them, or all of their member if that is less, are the same as there. A run begins at the
 * same bit of a byte as it did, so that its bytes can be copied; empty blocks take the bits up to
 * there, at most 16 bytes of them.
 *
 *	header | blocks of a segment | empty blocks | run | an empty stored block | segment ...
 *
 * Segments, and the runs that the caller says, are inflated once more before they are handed out,
 * with the empty blocks before them, and are compared with the bytes that they stand for: their
 * errors are EIO, and nothing but a mistake in this library causes them.
 */
#ifndef STRATA_SPLICE_H
#define STRATA_SPLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/codec/segment.h"

/* Bits that are blocks. */
struct strata_run {
	const unsigned char *packed; /* they begin in its first byte */
	unsigned bit;                /* of that byte, 0 to 7 */
	uint64_t bits;
	uint64_t final; /* where the last one of a member begins, counted from `bit`; or `bits` */
	bool joins;     /* it goes on where the run before it ended */
};

struct strata_splice;

struct strata_splice *strata_splice_new(struct strata_err *err);
void strata_splice_free(struct strata_splice *s);

/*
 * Adds a segment or a run that inflates to the `len` bytes of `plain`. *out: the bytes to store
 * now; they last until the next call.
 */
int strata_splice_segment(struct strata_splice *s, const unsigned char *packed, size_t packed_len,
                          const unsigned char *plain, size_t len, const struct strata_buf **out,
                          struct strata_err *err);
int strata_splice_run(struct strata_splice *s, const struct strata_run *run, bool check,
                      const unsigned char *plain, size_t len, const struct strata_buf **out,
                      struct strata_err *err);

/* Ends the stream, whose plain bytes have that sum. */
int strata_splice_end(struct strata_splice *s, const struct strata_segment_sum *sum,
                      const struct strata_buf **out, struct strata_err *err);

#endif
