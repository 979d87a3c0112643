/*
 * Where the bytes of a new tar go: hashed, perhaps compressed and hashed again, and written to a
 * file, from offset 0 on or into a place of its own.
 *
 * The caller's thread gathers bytes into segments. The pool, where there is one, hashes and encodes
 * segments side by side, and stores them in order. Neither the stored bytes nor the error that is
 * reported depends on the number of threads. Used by one thread; not to be moved while it is open.
 */
#ifndef STRATA_BLOB_WRITER_H
#define STRATA_BLOB_WRITER_H

#include <stdint.h>

#include "core/base/digest.h"
#include "core/codec/codec.h"
#include "core/codec/segment.h"
#include "core/codec/splice.h"
#include "core/fs/file.h"
#include "core/job/pool.h"
#include "core/layer/blob.h"

/* Segments may take up this much memory when there are many threads, but two are always allowed. */
#define STRATA_BLOB_WRITER_MEMORY ((size_t)32 << 20)

/* The plain bytes of a run of deflate blocks, at most; and its packed ones. */
#define STRATA_RUN_PLAIN ((size_t)1 << 20)
#define STRATA_RUN_PACKED ((size_t)1 << 20)

/* What runs may be like, in bytes. */
struct strata_run_limits {
	size_t plain; /* of several blocks */
	size_t packed;
	size_t block_plain; /* of one block */
	size_t block_packed;
	size_t first; /* packed ones of the first block at least: what it costs to begin a run */
};

struct strata_blob_segment; /* bytes that are gathered, or on their way to the file */

struct strata_blob_writer {
	struct strata_file *file; /* not owned */
	struct strata_work work;
	bool compressed;               /* else stored plain */
	struct strata_run_limits runs; /* all 0: none are copied */
	struct strata_segment_codec codec;
	size_t segment_size; /* bytes of each but the last, and those before runs */
	uint64_t plain_total;
	struct strata_digest *plain_digest; /* NULL: not wanted */
	struct strata_strand plain_strand;
	struct strata_blob_segment *current; /* being filled, or NULL */
	unsigned segment_max;

	/* Used on store_strand alone: */
	struct strata_strand store_strand;
	uint64_t base; /* where the bytes begin in the file */
	uint64_t room; /* how many there must be, when `bounded` */
	bool bounded;
	uint64_t offset; /* from base */
	bool store_failed;
	struct strata_segment_sum sum;
	struct strata_splice *splice;        /* of gzip with runs, else NULL */
	struct strata_digest *stored_digest; /* NULL when stored plain */

	/* With the pool's lock: */
	struct strata_blob_segment *free;
	struct strata_blob_segment *first; /* handed out to be encoded, in order */
	struct strata_blob_segment *last;
	void **encoders; /* that no segment uses */
	unsigned encoder_count;
	unsigned segment_count; /* in all */
	unsigned busy;          /* handed out */
	bool failed;
	struct strata_err failure; /* the first one in the order of the stream */
	atomic_bool closing;
};

/*
 * Fills *s, which is all zero before. hash_plain: the plain bytes are to be
 * hashed; compressed ones always are. work may be NULL. EUNSUPPORTED when plain bytes begin as
 * something compressed does.
 */
int strata_blob_writer_open(struct strata_blob_writer *s, struct strata_file *file,
                            enum strata_compression compression, int level, bool hash_plain,
                            const struct strata_work *work, struct strata_err *err);

/*
 * Has plain bytes written into [offset, offset + size) of the file, which other threads may write
 * to outside of that. They must fill it: fewer or more are ERANGE, and nothing is written behind
 * it. To be called between opening and the first byte.
 */
void strata_blob_writer_place(struct strata_blob_writer *s, uint64_t offset, uint64_t size);

/*
 * Has the plain bytes hashed from here on, by a digest that has hashed those before: of a writer
 * that was opened not to hash them. Takes the digest.
 */
void strata_blob_writer_hash(struct strata_blob_writer *s, struct strata_digest *digest);

int strata_blob_writer_write(struct strata_blob_writer *s, const void *bytes, size_t len,
                             struct strata_err *err);

/*
 * Allows for runs of old blocks between what is written, as long as s->runs says. To be called when
 * the writer has been opened for something compressed.
 */
int strata_blob_writer_allow_runs(struct strata_blob_writer *s, struct strata_err *err);

/*
 * The next `len` plain bytes, which are not empty, and are stored as a run: of deflate blocks
 * (splice.h), or of whole frames. check: the run is decoded once more and compared with them, as
 * all segments are where runs are allowed for; else it belongs to the run before it, which was.
 * Their errors are EIO, and nothing but a mistake in this library causes them.
 */
int strata_blob_writer_copy(struct strata_blob_writer *s, const struct strata_run *run, bool check,
                            const void *bytes, size_t len, struct strata_err *err);

/*
 * Ends the stream and fills in *written. The digests of bytes that were not to be hashed are left
 * alone.
 */
int strata_blob_writer_close(struct strata_blob_writer *s, struct strata_blob_info *written,
                             struct strata_err *err);

/*
 * To be called when the source of the bytes has failed with *err. Bytes before the failure may
 * still be on their way; when those cannot be stored, *err becomes that error, which is the first.
 */
void strata_blob_writer_abort(struct strata_blob_writer *s, struct strata_err *err);

/* Waits for the pool to be done with it. */
void strata_blob_writer_free(struct strata_blob_writer *s);

#endif
