/*
 * What a compressed blob says of the size of its tar, without being inflated.
 */
#ifndef STRATA_STATED_SIZE_H
#define STRATA_STATED_SIZE_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/layer/blob.h"

/*
 * The size that the trailer of a gzip blob states, or the headers of all zstd frames. 1 and *size;
 * 0 when nothing is stated, or nothing that is likely: the last of several gzip members, a tar of
 * 4 GiB and more (a trailer counts modulo 2^32), more than 100 times the stored bytes. It is a
 * claim: whoever inflates the blob has to compare.
 */
int strata_stated_size(const struct strata_blob *blob, uint64_t *size, struct strata_err *err);

#endif
