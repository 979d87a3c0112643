/*
 * The plain tar bytes of a blob, from front to back: read, inflate, digest.
 *
 * Everything that reads a whole blob goes through here, so that everything
 * read is hashed. Used by one thread.
 */
#ifndef STRATA_STREAM_H
#define STRATA_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec.h"
#include "digest.h"
#include "err.h"
#include "index.h"

/* Bytes per read: small enough for the second-level cache. */
#define STRATA_CHUNK (256 << 10)

struct strata_stream {
	const struct strata_blob *blob;
	uint64_t position;                   /* read so far, in the blob */
	struct strata_decoder *decoder;      /* NULL when plain */
	struct strata_digest *stored_digest; /* of the blob; NULL when plain or not wanted */
	struct strata_digest *plain_digest;
	unsigned char *in; /* STRATA_CHUNK bytes */
	const unsigned char *in_next;
	size_t in_left;
	unsigned char *out; /* decoded; NULL when plain */
	uint64_t plain_total;
	const atomic_bool *cancel; /* may be NULL */
	atomic_ullong *progress;   /* blob bytes done; may be NULL */
};

enum strata_stream_digests {
	STRATA_DIGEST_STORED = 1,
	STRATA_DIGEST_PLAIN = 2,
};

/* Fills *s (all zero before). blob must outlive it. wanted: which digests. */
int strata_stream_open(struct strata_stream *s, const struct strata_blob *blob, unsigned wanted,
                       const atomic_bool *cancel, atomic_ullong *progress, struct strata_err *err);
void strata_stream_close(struct strata_stream *s);

/* The next bytes, *len 0 at the end. They are valid until the next call. */
int strata_stream_next(struct strata_stream *s, const char **bytes, size_t *len,
                       struct strata_err *err);

/* At the end: the digests that were wanted ("" for others). A plain blob's stored digest is its
 * plain one. */
int strata_stream_digests(struct strata_stream *s, char stored[STRATA_DIGEST_MAX],
                          char plain[STRATA_DIGEST_MAX], struct strata_err *err);

#define cleanup_stream __attribute__((cleanup(strata_stream_close)))

#endif
