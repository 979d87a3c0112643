/*
 * Blobs: stored bytes that a digest names. These hold a tar, perhaps compressed.
 */
#ifndef STRATA_BLOB_H
#define STRATA_BLOB_H

#include <stdint.h>

#include "core/base/digest.h"
#include "core/codec/codec.h"
#include "core/fs/file.h"

/* A range of a file. A struct that has a blob says whether it owns a reference to the file. */
struct strata_blob {
	struct strata_file *file;
	uint64_t offset;
	uint64_t size;
	enum strata_compression compression;
	enum strata_digest_alg algorithm; /* of the digest that names it */
};

/* Digests that the bytes of a blob must have; "" is not compared. */
struct strata_expected {
	char digest[STRATA_DIGEST_MAX];  /* of the stored bytes */
	char diff_id[STRATA_DIGEST_MAX]; /* of the tar */
};

/* A blob that has been read, or written, to its end. */
struct strata_blob_info {
	char digest[STRATA_DIGEST_MAX];  /* of the stored bytes; "": not hashed */
	char diff_id[STRATA_DIGEST_MAX]; /* of the tar; "": not hashed */
	uint64_t size;
	uint64_t tar_size;
	uint64_t kept; /* bytes of `size` that are those of an old blob, compressed as they were */
};

/* EDIGEST when the bytes have another digest than expected. */
static inline int strata_blob_expect(const struct strata_expected *expected, const char *digest,
                                     const char *diff_id, struct strata_err *err)
{
	if (strata_digest_expect("digest", expected->digest, digest, err) < 0)
		return -1;
	return strata_digest_expect("diff_id", expected->diff_id, diff_id, err);
}

#endif
