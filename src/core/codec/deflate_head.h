/*
 * The header of a deflate block (RFC 1951), read before a library gets to see it.
 *
 * It is checked as zlib checks it. ISA-L takes code lengths that leave codes unused, which zlib, Go
 * and libdeflate refuse: a layer that one reader takes and another does not is refused here.
 */
#ifndef STRATA_DEFLATE_HEAD_H
#define STRATA_DEFLATE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

/* The bytes of the longest header, which may begin and end inside of a byte. */
#define STRATA_DEFLATE_HEAD_MAX 320

struct strata_deflate_head {
	bool final;
	size_t bits; /* of the header; of a stored block with the bits up to a byte, and its length
	              */
};

/*
 * Reads a header that begins with the lowest `held` (up to 64) bits of `bits`, of which the last
 * ends a byte, and goes on with the bytes of `in`. 1 when it is whole, 0 when more bytes are needed
 * for that, -1 with EFORMAT for one that zlib refuses.
 */
int strata_deflate_head(uint64_t bits, unsigned held, const unsigned char *in, size_t len,
                        struct strata_deflate_head *head, struct strata_err *err);

#endif
