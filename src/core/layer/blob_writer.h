/*
 * Where the bytes of a new tar go: hashed, perhaps compressed and hashed
 * again, written to a file from offset 0 on.
 *
 * The caller's thread gathers bytes into segments; the pool, where there is
 * one, hashes and packs them side by side and stores them in order. What is
 * stored, and which error is told, does not depend on the number of threads.
 * Used by one thread; not to be moved while it is open.
 */
#ifndef STRATA_BLOB_WRITER_H
#define STRATA_BLOB_WRITER_H

#include <stdint.h>

#include "core/base/digest.h"
#include "core/codec/codec.h"
#include "core/codec/segment.h"
#include "core/fs/file.h"
#include "core/job/pool.h"
#include "core/layer/blob.h"

/* Segments may take up this much memory when there are many threads, but two are always allowed. */
#define STRATA_BLOB_WRITER_MEMORY ((size_t)32 << 20)

struct strata_blob_writer_slot; /* one segment on its way */

struct strata_blob_writer {
	struct strata_file *file; /* not owned */
	struct strata_work work;
	bool packed; /* else stored plain */
	struct strata_segment_codec packing;
	size_t segment; /* bytes that a slot gathers */
	uint64_t plain_total;
	struct strata_digest *plain_digest; /* NULL: not wanted */
	struct strata_strand plain_strand;
	struct strata_blob_writer_slot *current; /* being filled, or NULL */
	unsigned slot_max;

	/* Of the strand that stores: */
	struct strata_strand store_strand;
	uint64_t offset;
	bool store_failed;
	struct strata_segment_sum sum;
	struct strata_digest *stored_digest; /* NULL when stored plain */

	/* With the pool's lock: */
	struct strata_blob_writer_slot *free;
	struct strata_blob_writer_slot *first; /* handed out and not yet to be stored, in order */
	struct strata_blob_writer_slot *last;
	void **encoders; /* that nobody uses */
	unsigned encoder_count;
	unsigned slots; /* in all */
	unsigned busy;  /* handed out */
	bool failed;
	struct strata_err failure; /* the first one in the order of the stream */
	atomic_bool closing;
};

/*
 * Fills *s, which is all zero before. hash_plain: the plain bytes are to be
 * hashed; compressed ones always are. work may be NULL. What is stored plain and
 * begins as something compressed does ends in EUNSUPPORTED.
 */
int strata_blob_writer_open(struct strata_blob_writer *s, struct strata_file *file,
                            enum strata_compression compression, int level, bool hash_plain,
                            const struct strata_work *work, struct strata_err *err);

int strata_blob_writer_write(struct strata_blob_writer *s, const void *bytes, size_t len,
                             struct strata_err *err);

/*
 * Ends the stream and fills in *written. The digests of bytes that were not to be hashed are left
 * alone.
 */
int strata_blob_writer_close(struct strata_blob_writer *s, struct strata_blob_info *written,
                             struct strata_err *err);

/*
 * To be called when what feeds the sink has failed with *err. Bytes that came
 * before may still be on their way: when they cannot be stored that is the
 * first error, and *err becomes it.
 */
void strata_blob_writer_abort(struct strata_blob_writer *s, struct strata_err *err);

/* Waits for what the pool still does with it. */
void strata_blob_writer_free(struct strata_blob_writer *s);

#endif
