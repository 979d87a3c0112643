/*
 * The plain tar bytes of a blob, from front to back: read, inflate, digest.
 *
 * Everything that reads a whole blob goes through here, so that everything
 * read is hashed. The caller's thread reads and inflates; the crew, where there
 * is one, hashes what it has left behind. Used by one thread; not to be moved
 * while it is open.
 */
#ifndef STRATA_STREAM_H
#define STRATA_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"
#include "crew.h"
#include "digest.h"
#include "err.h"
#include "index.h"

/* Bytes per read: small enough for the second-level cache. */
#define STRATA_CHUNK (256 << 10)

/* The most chunks of a stream that wait to be hashed: 3 MiB. */
#define STRATA_STREAM_CHUNKS 12

struct strata_chunk {
	struct strata_piece piece;
	struct strata_digest *digest; /* that it goes to */
	struct strata_digest *second; /* and another one, or NULL */
	struct strata_chunk *next;    /* when free */
	unsigned users;               /* the driver, the digest's lane */
	size_t len;
	unsigned char bytes[];
};

struct strata_stream {
	const struct strata_blob *blob;
	struct strata_work work;
	struct strata_inflate_limits limits;
	uint64_t position;              /* read so far, in the blob */
	struct strata_decoder *decoder; /* NULL when plain */
	/* Of the blob, by its algorithm; NULL when not wanted, or a plain blob's SHA-256. */
	struct strata_digest *stored_digest;
	struct strata_digest *plain_digest; /* SHA-256 */
	struct strata_lane stored_lane;
	struct strata_lane plain_lane;
	struct strata_chunk *in; /* read last */
	const unsigned char *in_next;
	size_t in_left;
	struct strata_chunk *out; /* decoded last */
	uint64_t plain_total;

	/* With the crew's lock: */
	struct strata_chunk *free;
	unsigned chunks; /* in all */
	unsigned hashing;
	bool failed; /* hashing has */
	struct strata_err failure;
	atomic_bool closing;
};

enum strata_stream_digests {
	STRATA_DIGEST_STORED = 1,
	STRATA_DIGEST_PLAIN = 2,
};

/*
 * Fills *s (all zero before). blob must outlive it. wanted: which digests.
 * limits and work may be NULL.
 */
int strata_stream_open(struct strata_stream *s, const struct strata_blob *blob, unsigned wanted,
                       const struct strata_inflate_limits *limits, const struct strata_work *work,
                       struct strata_err *err);

/* Waits for what the crew still does with it. */
void strata_stream_close(struct strata_stream *s);

/* The next bytes, *len 0 at the end. They are valid until the next call. */
int strata_stream_next(struct strata_stream *s, const char **bytes, size_t *len,
                       struct strata_err *err);

/*
 * At the end: the digests that were wanted ("" for others). The stored one is of the blob's
 * algorithm; a plain blob that is named by SHA-256 is hashed once, and has both when it has one.
 */
int strata_stream_digests(struct strata_stream *s, char stored[STRATA_DIGEST_MAX],
                          char plain[STRATA_DIGEST_MAX], struct strata_err *err);

#define cleanup_stream __attribute__((cleanup(strata_stream_close)))

#endif
