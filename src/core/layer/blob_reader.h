/*
 * The plain tar bytes of a blob, from front to back: read, inflated, hashed.
 *
 * All reads of whole blobs go through here, so that all bytes read are hashed. The pool, where
 * there is one, hashes them.
 *
 * With STRATA_READ_AHEAD the workers of the pool read and inflate as well, ahead of the caller and
 * from the opening on, as far as STRATA_BLOB_READER_CHUNKS let them. Without workers the caller's
 * thread reads when the caller asks for bytes. An error comes behind all bytes before it, as it
 * would without a pool.
 *
 * Used by one thread; not to be moved while it is open.
 */
#ifndef STRATA_BLOB_READER_H
#define STRATA_BLOB_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/codec/codec.h"
#include "core/job/pool.h"
#include "core/layer/blob.h"

/* Bytes per read: small enough for the second-level cache. */
#define STRATA_CHUNK (256 << 10)

/* The most chunks of a stream: read and not taken yet, or waiting to be hashed. 3 MiB. */
#define STRATA_BLOB_READER_CHUNKS 12

/* The most that a chunk tells of its blocks: beyond it nothing is told of that chunk. */
#define STRATA_PACKED_MAX ((size_t)2 << 20)
#define STRATA_PACKED_BLOCKS 4096

/* What a chunk was inflated from: the stored bytes that were taken meanwhile, and the blocks that
 * ended. */
struct strata_packed {
	uint64_t offset;         /* of the bytes, in the blob */
	struct strata_buf bytes; /* with STRATA_BLOCKS */
	struct strata_block *blocks;
	size_t count;
	bool over; /* it is too much, or too small */
};

struct strata_chunk {
	struct strata_pool_item item; /* to hash it */
	struct strata_digest *digest; /* that it goes to */
	struct strata_digest *second; /* and another one, or NULL */
	struct strata_chunk *next;    /* when free, or ready */
	unsigned users;               /* of the caller, the filler and the strand of the digest */
	struct strata_packed *packed; /* NULL when that is not wanted */
	size_t len;
	unsigned char bytes[];
};

struct strata_blob_reader {
	const struct strata_blob *blob;
	struct strata_work work;
	bool ahead;
	bool blocks;                    /* wanted */
	bool block_bytes;               /* with the bytes that they are stored as */
	struct strata_decoder *decoder; /* NULL when plain, and at the end */
	/* Of the blob, by its algorithm; NULL when not wanted, or a plain blob's SHA-256. */
	struct strata_digest *stored_digest;
	struct strata_digest *plain_digest; /* SHA-256 */
	struct strata_strand stored_strand;
	struct strata_strand plain_strand;
	/* Used on plain_strand alone: */
	uint64_t plain_hashed;
	uint64_t fork_at;             /* 0: nowhere */
	struct strata_digest *forked; /* NULL until so many plain bytes are hashed */
	struct strata_strand fill_strand;
	struct strata_pool_item fill_item;
	struct strata_chunk *held; /* whose bytes the caller has */

	/* Used by the thread that fills; while none does, with the pool's lock: */
	uint64_t position;       /* read so far, in the blob */
	struct strata_chunk *in; /* being decoded */
	const unsigned char *in_next;
	size_t in_left;
	struct strata_chunk *out; /* being filled */
	uint64_t plain_total;     /* all of it, once the end has been reached */
	enum strata_filled { STRATA_FILL_MORE, STRATA_FILL_WHOLE, STRATA_FILL_FAILED } filled;
	struct strata_err fill_failure;

	/* With the pool's lock: */
	bool filling;              /* a thread does, or an item waits to */
	struct strata_chunk *free; /* that have been in use */
	struct strata_chunk *ready;
	struct strata_chunk *last_ready;
	unsigned available; /* chunks: free ones and those not made yet */
	unsigned hashing;
	bool ended;  /* nothing comes behind `ready` */
	bool failed; /* filling or hashing has */
	struct strata_err failure;
	atomic_bool closing;
};

enum strata_blob_reader_wishes {
	STRATA_DIGEST_STORED = 1,
	STRATA_DIGEST_PLAIN = 2,
	STRATA_READ_AHEAD = 4,
	/* Of a compressed blob, what strata_blob_reader_packed tells: all, or where the blocks are.
	 */
	STRATA_BLOCKS = 8,
	STRATA_BLOCK_PLACES = 16,
};

/*
 * Fills *s (all zero before). blob must outlive it. wanted: which digests, and whether to
 * read ahead.
 * limits and work may be NULL.
 */
int strata_blob_reader_open(struct strata_blob_reader *s, const struct strata_blob *blob,
                            unsigned wanted, const struct strata_inflate_limits *limits,
                            const struct strata_work *work, struct strata_err *err);

/*
 * Has the plain digest copied when it is that of the first `offset` bytes, for what begins with the
 * same bytes. To be called before the first byte is taken; the plain digest is wanted, reading
 * ahead is not.
 */
void strata_blob_reader_fork(struct strata_blob_reader *s, uint64_t offset);

/* That copy, which the caller owns. At least so many bytes have been taken. */
struct strata_digest *strata_blob_reader_forked(struct strata_blob_reader *s,
                                                struct strata_err *err);

/* Waits for the pool to be done with it. */
void strata_blob_reader_close(struct strata_blob_reader *s);

/* The next bytes, *len 0 at the end. They are valid until the next call. */
int strata_blob_reader_next(struct strata_blob_reader *s, const char **bytes, size_t *len,
                            struct strata_err *err);

/*
 * What the bytes of the last call were inflated from; at the end, what has given no byte. NULL when
 * that is not known.
 */
const struct strata_packed *strata_blob_reader_packed(const struct strata_blob_reader *s);

/* Whether all of it has been read and inflated, taken or not: the next blob may be opened. */
bool strata_blob_reader_drained(const struct strata_blob_reader *s);

/*
 * At the end: the digests that were wanted, "" for others. The stored one is of the blob's
 * algorithm. A plain blob that is named by SHA-256 is hashed once, and has both digests when one
 * was wanted.
 */
int strata_blob_reader_digests(struct strata_blob_reader *s, char stored[STRATA_DIGEST_MAX],
                               char plain[STRATA_DIGEST_MAX], struct strata_err *err);

#define cleanup_blob_reader __attribute__((cleanup(strata_blob_reader_close)))

#endif
