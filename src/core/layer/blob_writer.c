#include "core/layer/blob_writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

/* Bytes of a segment that is stored plain: headers and small files are gathered. */
#define PLAIN_SEGMENT ((size_t)256 << 10)

struct strata_blob_segment {
	struct strata_blob_writer *writer;
	struct strata_pool_item hash; /* the owner of these three is the segment */
	struct strata_pool_item encode;
	struct strata_pool_item store;
	struct strata_strand encode_strand; /* its own: segments are encoded side by side */
	struct strata_blob_segment *next;
	unsigned users;
	unsigned char *bytes;
	size_t len;
	size_t hashed;      /* of them, before: see strata_blob_writer_hash */
	unsigned char *out; /* encoded, or of a run the old bytes; NULL when stored plain */
	size_t out_len;
	uint32_t crc;
	bool is_run;
	bool check;
	struct strata_run run;
	void *encoder; /* while it is encoded */
	bool encoded;
	bool failed; /* its encoding or storing has */
	struct strata_err failure;
};

/* ---- opening and closing ------------------------------------------------ */

/* Room for the plain bytes of a segment, or of a run. */
static size_t plain_room(const struct strata_blob_writer *s)
{
	return s->runs.plain > s->segment_size ? s->runs.plain : s->segment_size;
}

static unsigned segment_limit(const struct strata_blob_writer *s)
{
	unsigned threads = strata_pool_threads(s->work.pool);
	size_t fit =
	        STRATA_BLOB_WRITER_MEMORY / (s->compressed ? 2 * plain_room(s) : plain_room(s));
	unsigned wanted = threads + 2;

	if (fit < wanted)
		wanted = (unsigned)fit;
	return wanted < 2 ? 2 : wanted;
}

static int fail_size(const struct strata_blob_writer *s, const char *how, struct strata_err *err)
{
	return strata_fail(err, "ERANGE", "the tar has %s than the %llu bytes that it should have",
	                   how, (unsigned long long)s->room);
}

static int store_bytes(struct strata_blob_writer *s, const void *bytes, size_t len,
                       struct strata_err *err)
{
	if (len == 0)
		return 0;
	if (s->stored_digest != NULL && strata_digest_update(s->stored_digest, bytes, len, err) < 0)
		return -1;
	if (s->bounded && len > s->room - s->offset)
		return fail_size(s, "more", err);
	if (strata_file_write(s->file, s->base + s->offset, bytes, len, err) < 0)
		return -1;
	s->offset += len;
	return 0;
}

/*
 * Readers tell compressed bytes from a tar by the first bytes, Docker as well as this library. A
 * tar has the name of its first entry there.
 */
static int check_start(const struct strata_blob_writer *s, const unsigned char *bytes, size_t len,
                       struct strata_err *err)
{
	enum strata_compression seen =
	        s->compressed || s->offset > 0 ? STRATA_NONE : strata_sniff(bytes, len);

	if (seen == STRATA_NONE)
		return 0;
	return strata_fail(
	        err, "EUNSUPPORTED",
	        "the name of its first entry begins as %s does: nobody would take it for "
	        "a plain tar",
	        strata_compression_name(seen));
}

int strata_blob_writer_open(struct strata_blob_writer *s, struct strata_file *file,
                            enum strata_compression compression, int level, bool hash_plain,
                            const struct strata_work *work, struct strata_err *err)
{
	unsigned char head[STRATA_SEGMENT_ENDS];

	s->file = file;
	if (work != NULL)
		s->work = *work;
	s->compressed = compression != STRATA_NONE;
	s->segment_size = PLAIN_SEGMENT;
	if (hash_plain) {
		s->plain_digest = strata_digest_new(STRATA_SHA256, err);
		if (s->plain_digest == NULL)
			return -1;
	}
	if (s->compressed && strata_segment_codec_init(&s->codec, compression, level, err) < 0)
		return -1;
	if (s->compressed)
		s->segment_size = s->codec.segment;
	s->segment_max = segment_limit(s);
	if (!s->compressed)
		return 0;
	s->encoders = strata_reallocarray(NULL, s->segment_max, sizeof(*s->encoders));
	if (s->encoders == NULL)
		return strata_fail_nomem(err);
	s->stored_digest = strata_digest_new(STRATA_SHA256, err);
	if (s->stored_digest == NULL)
		return -1;
	return store_bytes(s, head, s->codec.ops->head(head), err);
}

void strata_blob_writer_place(struct strata_blob_writer *s, uint64_t offset, uint64_t size)
{
	s->base = offset;
	s->room = size;
	s->bounded = true;
}

/* Some 20 bytes of empty blocks go in front of a run. */
static const struct strata_run_limits deflate_runs = {
        .plain = STRATA_RUN_PLAIN,
        .packed = STRATA_RUN_PACKED,
        .block_plain = STRATA_RUN_PLAIN,
        .block_packed = STRATA_RUN_PACKED,
        .first = 256,
};

/* pzstd's frames hold 8 MiB: no segment has room for them. */
static struct strata_run_limits frame_runs(const struct strata_segment_codec *codec)
{
	return (struct strata_run_limits){
	        .plain = codec->segment,
	        .packed = codec->room,
	        .block_plain = (size_t)8 << 20,
	        .block_packed = (size_t)9 << 20,
	};
}

int strata_blob_writer_allow_runs(struct strata_blob_writer *s, struct strata_err *err)
{
	if (s->codec.ops->check == NULL) {
		s->splice = strata_splice_new(err);
		if (s->splice == NULL)
			return -1;
	}
	s->runs = s->splice != NULL ? deflate_runs : frame_runs(&s->codec);
	if (segment_limit(s) < s->segment_max)
		s->segment_max = segment_limit(s);
	return 0;
}

static void free_segment(struct strata_blob_segment *segment)
{
	if (segment == NULL)
		return;
	free(segment->bytes);
	free(segment->out);
	free(segment);
}

static bool nothing_busy(const void *arg)
{
	return ((const struct strata_blob_writer *)arg)->busy == 0;
}

static void wait_for_all(struct strata_blob_writer *s)
{
	strata_pool_lock(s->work.pool);
	strata_pool_wait(s->work.pool, nothing_busy, s);
	strata_pool_unlock(s->work.pool);
}

void strata_blob_writer_free(struct strata_blob_writer *s)
{
	atomic_store(&s->closing, true);
	wait_for_all(s);
	free_segment(s->current);
	while (s->free != NULL) {
		struct strata_blob_segment *next = s->free->next;

		free_segment(s->free);
		s->free = next;
	}
	while (s->encoder_count > 0)
		s->codec.ops->close(&s->codec, s->encoders[--s->encoder_count]);
	free(s->encoders);
	strata_digest_free(s->plain_digest);
	strata_digest_free(s->stored_digest);
	strata_splice_free(s->splice);
	*s = (struct strata_blob_writer){0};
}

/* ---- the items of a segment ------------------------------------------------ */

static bool is_closing(const struct strata_blob_writer *s)
{
	return atomic_load_explicit(&s->closing, memory_order_relaxed);
}

static void fail(struct strata_blob_writer *s, const struct strata_err *failure)
{
	strata_pool_lock(s->work.pool);
	if (!s->failed)
		s->failure = *failure;
	s->failed = true;
	strata_pool_unlock(s->work.pool);
}

/* One user less, with the lock. */
static void release(struct strata_blob_writer *s, struct strata_blob_segment *segment)
{
	if (--segment->users > 0)
		return;
	s->busy--;
	segment->next = s->free;
	s->free = segment;
}

static void hash_run(struct strata_pool_item *item)
{
	const struct strata_blob_segment *segment = item->owner;
	struct strata_blob_writer *s = segment->writer;
	struct strata_err err;

	if (!is_closing(s) &&
	    strata_digest_update(s->plain_digest, segment->bytes + segment->hashed,
	                         segment->len - segment->hashed, &err) < 0)
		fail(s, &err);
}

static void hash_done(struct strata_pool_item *item)
{
	struct strata_blob_segment *segment = item->owner;

	release(segment->writer, segment);
}

static void *take_encoder(struct strata_blob_writer *s, struct strata_err *err)
{
	void *encoder = NULL;

	strata_pool_lock(s->work.pool);
	if (s->encoder_count > 0)
		encoder = s->encoders[--s->encoder_count];
	strata_pool_unlock(s->work.pool);
	return encoder != NULL ? encoder : s->codec.ops->open(&s->codec, err);
}

/* Makes segment->out, or what the stream needs of a run. */
static int encode_segment(struct strata_blob_writer *s, struct strata_blob_segment *segment,
                          struct strata_err *err)
{
	const struct strata_segment_codec *codec = &s->codec;
	/* That of gzip needs the stream: s->splice does it. */
	bool check = codec->ops->check != NULL && s->runs.plain > 0 &&
	             (!segment->is_run || segment->check);

	if (segment->is_run && codec->ops->crc != NULL)
		segment->crc = codec->ops->crc(codec, segment->bytes, segment->len);
	if (segment->is_run && !check)
		return 0;
	segment->encoder = take_encoder(s, err);
	if (segment->encoder == NULL)
		return -1;
	if (!segment->is_run &&
	    codec->ops->segment(codec, segment->encoder, segment->bytes, segment->len, segment->out,
	                        &segment->out_len, &segment->crc, err) < 0)
		return -1;
	return !check ? 0
	              : codec->ops->check(codec, segment->encoder, segment->out, segment->out_len,
	                                  segment->bytes, segment->len, err);
}

static void encode_run(struct strata_pool_item *item)
{
	struct strata_blob_segment *segment = item->owner;
	struct strata_blob_writer *s = segment->writer;

	if (!is_closing(s))
		segment->failed = encode_segment(s, segment, &segment->failure) < 0;
}

/* Segments that are encoded are stored in the order of the stream. */
static void encode_done(struct strata_pool_item *item)
{
	struct strata_blob_segment *segment = item->owner;
	struct strata_blob_writer *s = segment->writer;

	segment->encoded = true;
	if (segment->encoder != NULL)
		s->encoders[s->encoder_count++] = steal_pointer(&segment->encoder);
	while (s->first != NULL && s->first->encoded) {
		struct strata_blob_segment *next = s->first;

		s->first = next->next;
		strata_pool_add_locked(s->work.pool, &s->store_strand, &next->store);
	}
}

/* Stores what stands for a segment. */
static int store_segment(struct strata_blob_writer *s, const struct strata_blob_segment *segment,
                         struct strata_err *err)
{
	const struct strata_buf *spliced;

	if (!s->compressed)
		return check_start(s, segment->bytes, segment->len, err) < 0
		               ? -1
		               : store_bytes(s, segment->bytes, segment->len, err);
	if (s->splice == NULL)
		return store_bytes(s, segment->out, segment->out_len, err);
	if (segment->is_run) {
		if (strata_splice_run(s->splice, &segment->run, segment->check, segment->bytes,
		                      segment->len, &spliced, err) < 0)
			return -1;
	} else if (strata_splice_segment(s->splice, segment->out, segment->out_len, segment->bytes,
	                                 segment->len, &spliced, err) < 0) {
		return -1;
	}
	return store_bytes(s, spliced->data, spliced->len, err);
}

static void store_run(struct strata_pool_item *item)
{
	struct strata_blob_segment *segment = item->owner;
	struct strata_blob_writer *s = segment->writer;

	if (s->store_failed || is_closing(s))
		return;
	if (!segment->failed && store_segment(s, segment, &segment->failure) < 0)
		segment->failed = true;
	strata_segment_sum_add(&s->sum, segment->len, segment->crc);
	s->store_failed = segment->failed;
	if (segment->failed)
		fail(s, &segment->failure);
}

static void store_done(struct strata_pool_item *item)
{
	struct strata_blob_segment *segment = item->owner;

	release(segment->writer, segment);
}

/* ---- the owner's side --------------------------------------------------- */

static struct strata_blob_segment *new_segment(struct strata_blob_writer *s, struct strata_err *err)
{
	struct strata_blob_segment *segment = calloc(1, sizeof(*segment));

	if (segment != NULL) {
		segment->writer = s;
		segment->bytes = malloc(plain_room(s));
		segment->out = s->compressed ? malloc(s->codec.room) : NULL;
		if (segment->bytes != NULL && (segment->out != NULL || !s->compressed))
			return segment;
	}
	free_segment(segment);
	strata_fail_nomem(err);
	return NULL;
}

static bool segment_available(const void *arg)
{
	const struct strata_blob_writer *s = arg;

	return s->failed || s->free != NULL || s->segment_count < s->segment_max;
}

/* Makes s->current a segment to be filled; waits while all are busy. */
static int take_segment(struct strata_blob_writer *s, struct strata_err *err)
{
	bool failed;

	strata_pool_lock(s->work.pool);
	strata_pool_wait(s->work.pool, segment_available, s);
	failed = s->failed;
	if (!failed && s->free != NULL) {
		s->current = s->free;
		s->free = s->current->next;
	} else if (!failed) {
		s->segment_count++;
	}
	strata_pool_unlock(s->work.pool);
	if (failed) {
		*err = s->failure;
		return -1;
	}
	if (s->current == NULL)
		s->current = new_segment(s, err);
	if (s->current == NULL)
		return -1;
	s->current->len = s->current->hashed = 0;
	s->current->is_run = false;
	return 0;
}

static void hand_out(struct strata_blob_writer *s)
{
	struct strata_blob_segment *segment = steal_pointer(&s->current);

	segment->hash = (struct strata_pool_item){hash_run, hash_done, segment, NULL};
	segment->encode = (struct strata_pool_item){encode_run, encode_done, segment, NULL};
	segment->store = (struct strata_pool_item){store_run, store_done, segment, NULL};
	segment->encoded = segment->failed = false;
	segment->users = s->plain_digest != NULL ? 2 : 1;
	segment->next = NULL;
	strata_pool_lock(s->work.pool);
	s->busy++;
	if (s->compressed && s->first == NULL)
		s->first = segment;
	else if (s->compressed)
		s->last->next = segment;
	s->last = segment;
	strata_pool_unlock(s->work.pool);
	if (s->plain_digest != NULL)
		strata_pool_add(s->work.pool, &s->plain_strand, &segment->hash);
	if (s->compressed)
		strata_pool_add(s->work.pool, &segment->encode_strand, &segment->encode);
	else
		strata_pool_add(s->work.pool, &s->store_strand, &segment->store);
}

void strata_blob_writer_hash(struct strata_blob_writer *s, struct strata_digest *digest)
{
	s->plain_digest = digest;
	if (s->current != NULL)
		s->current->hashed = s->current->len;
}

int strata_blob_writer_write(struct strata_blob_writer *s, const void *bytes, size_t len,
                             struct strata_err *err)
{
	const unsigned char *from = bytes;

	s->plain_total += len;
	while (len > 0) {
		struct strata_blob_segment *segment;
		size_t n;

		if (s->current == NULL && take_segment(s, err) < 0)
			return -1;
		segment = s->current;
		n = s->segment_size - segment->len;
		n = n < len ? n : len;
		memcpy(segment->bytes + segment->len, from, n);
		segment->len += n;
		from += n;
		len -= n;
		if (segment->len == s->segment_size)
			hand_out(s);
	}
	return 0;
}

/*
 * Stores a run that no segment has room for, when the others are stored: by this thread, without a
 * copy of it.
 */
static int copy_large(struct strata_blob_writer *s, const struct strata_run *run, size_t packed,
                      bool check, const void *bytes, size_t len, struct strata_err *err)
{
	void *encoder;
	int rc = 0;

	wait_for_all(s);
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	if (s->plain_digest != NULL && strata_digest_update(s->plain_digest, bytes, len, err) < 0)
		return -1;
	if (check) {
		encoder = take_encoder(s, err);
		if (encoder == NULL)
			return -1;
		rc = s->codec.ops->check(&s->codec, encoder, run->packed, packed, bytes, len, err);
		s->encoders[s->encoder_count++] = encoder;
	}
	strata_segment_sum_add(&s->sum, len, 0);
	return rc < 0 ? -1 : store_bytes(s, run->packed, packed, err);
}

int strata_blob_writer_copy(struct strata_blob_writer *s, const struct strata_run *run, bool check,
                            const void *bytes, size_t len, struct strata_err *err)
{
	size_t packed = (size_t)((run->bit + run->bits + 7) / 8);
	struct strata_blob_segment *segment;

	if (s->runs.plain == 0)
		return strata_fail(err, "EINVAL", "no runs are copied here");
	s->plain_total += len;
	if (s->current != NULL)
		hand_out(s);
	if (len > s->runs.plain || packed > s->runs.packed)
		return copy_large(s, run, packed, check, bytes, len, err);
	if (take_segment(s, err) < 0)
		return -1;
	segment = s->current;
	if (segment->out == NULL)
		return strata_fail(err, "EINVAL", "a plain blob has no runs");
	memcpy(segment->bytes, bytes, len);
	segment->len = len;
	memcpy(segment->out, run->packed, packed);
	segment->out_len = packed;
	segment->run = *run;
	segment->run.packed = segment->out;
	segment->is_run = true;
	segment->check = check;
	hand_out(s);
	return 0;
}

void strata_blob_writer_abort(struct strata_blob_writer *s, struct strata_err *err)
{
	if (strcmp(err->code, "ECANCELED") == 0)
		return;
	wait_for_all(s);
	if (s->failed)
		*err = s->failure;
}

static int store_end(struct strata_blob_writer *s, struct strata_err *err)
{
	unsigned char tail[STRATA_SEGMENT_ENDS];
	const struct strata_buf *spliced;

	if (!s->compressed)
		return 0;
	if (s->splice == NULL)
		return store_bytes(s, tail, s->codec.ops->tail(&s->sum, tail), err);
	if (strata_splice_end(s->splice, &s->sum, &spliced, err) < 0)
		return -1;
	return store_bytes(s, spliced->data, spliced->len, err);
}

int strata_blob_writer_close(struct strata_blob_writer *s, struct strata_blob_info *written,
                             struct strata_err *err)
{
	if (s->current != NULL && s->current->len > 0)
		hand_out(s);
	wait_for_all(s);
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	if (store_end(s, err) < 0)
		return -1;
	if (s->plain_digest != NULL &&
	    strata_digest_final(s->plain_digest, written->diff_id, err) < 0)
		return -1;
	if (!s->compressed && s->plain_digest != NULL)
		memcpy(written->digest, written->diff_id, STRATA_DIGEST_MAX);
	else if (s->compressed && strata_digest_final(s->stored_digest, written->digest, err) < 0)
		return -1;
	if (s->bounded && s->offset < s->room)
		return fail_size(s, "less", err);
	written->size = s->offset;
	written->tar_size = s->plain_total;
	return 0;
}
