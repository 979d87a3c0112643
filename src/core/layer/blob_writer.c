#include "core/layer/blob_writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

/* Of a slot when nothing is packed: headers and small files are gathered. */
#define PLAIN_SEGMENT ((size_t)256 << 10)

struct strata_blob_writer_slot {
	struct strata_blob_writer *sink;
	struct strata_pool_item hash; /* the owner of these three is the slot */
	struct strata_pool_item pack;
	struct strata_pool_item store;
	struct strata_strand encode_strand; /* of this slot alone: slots are packed side by side */
	struct strata_blob_writer_slot *next;
	unsigned users;
	unsigned char *bytes;
	size_t len;
	unsigned char *out; /* packed; NULL when stored plain */
	size_t out_len;
	uint32_t crc;
	void *encoder; /* meanwhile */
	bool packed;
	bool failed; /* packing has */
	struct strata_err failure;
};

/* ---- opening and closing ------------------------------------------------ */

static unsigned slot_limit(const struct strata_blob_writer *s)
{
	unsigned threads = strata_pool_threads(s->work.pool);
	size_t fit = STRATA_BLOB_WRITER_MEMORY / (s->packed ? 2 * s->segment : s->segment);
	unsigned wanted = threads + 2;

	if (fit < wanted)
		wanted = (unsigned)fit;
	return wanted < 2 ? 2 : wanted;
}

static int store_bytes(struct strata_blob_writer *s, const void *bytes, size_t len,
                       struct strata_err *err)
{
	if (len == 0)
		return 0;
	if (s->stored_digest != NULL && strata_digest_update(s->stored_digest, bytes, len, err) < 0)
		return -1;
	if (strata_file_write(s->file, s->offset, bytes, len, err) < 0)
		return -1;
	s->offset += len;
	return 0;
}

/*
 * By their first bytes readers tell what is compressed, Docker's as well as this
 * library's; a tar has the name of its first entry there.
 */
static int check_start(const struct strata_blob_writer *s, const unsigned char *bytes, size_t len,
                       struct strata_err *err)
{
	enum strata_compression seen =
	        s->packed || s->offset > 0 ? STRATA_NONE : strata_sniff(bytes, len);

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
	s->packed = compression != STRATA_NONE;
	s->segment = PLAIN_SEGMENT;
	if (hash_plain) {
		s->plain_digest = strata_digest_new(STRATA_SHA256, err);
		if (s->plain_digest == NULL)
			return -1;
	}
	if (s->packed && strata_segment_codec_init(&s->packing, compression, level, err) < 0)
		return -1;
	if (s->packed)
		s->segment = s->packing.segment;
	s->slot_max = slot_limit(s);
	if (!s->packed)
		return 0;
	s->encoders = strata_reallocarray(NULL, s->slot_max, sizeof(*s->encoders));
	if (s->encoders == NULL)
		return strata_fail_nomem(err);
	s->stored_digest = strata_digest_new(STRATA_SHA256, err);
	if (s->stored_digest == NULL)
		return -1;
	return store_bytes(s, head, s->packing.ops->head(head), err);
}

static void free_slot(struct strata_blob_writer_slot *slot)
{
	if (slot == NULL)
		return;
	free(slot->bytes);
	free(slot->out);
	free(slot);
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
	free_slot(s->current);
	while (s->free != NULL) {
		struct strata_blob_writer_slot *next = s->free->next;

		free_slot(s->free);
		s->free = next;
	}
	while (s->encoder_count > 0)
		s->packing.ops->close(&s->packing, s->encoders[--s->encoder_count]);
	free(s->encoders);
	strata_digest_free(s->plain_digest);
	strata_digest_free(s->stored_digest);
	*s = (struct strata_blob_writer){0};
}

/* ---- the items of a slot ------------------------------------------------ */

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
static void release(struct strata_blob_writer *s, struct strata_blob_writer_slot *slot)
{
	if (--slot->users > 0)
		return;
	s->busy--;
	slot->next = s->free;
	s->free = slot;
}

static void hash_run(struct strata_pool_item *item)
{
	const struct strata_blob_writer_slot *slot = item->owner;
	struct strata_blob_writer *s = slot->sink;
	struct strata_err err;

	if (!is_closing(s) &&
	    strata_digest_update(s->plain_digest, slot->bytes, slot->len, &err) < 0)
		fail(s, &err);
}

static void hash_done(struct strata_pool_item *item)
{
	struct strata_blob_writer_slot *slot = item->owner;

	release(slot->sink, slot);
}

static void *take_encoder(struct strata_blob_writer *s, struct strata_err *err)
{
	void *encoder = NULL;

	strata_pool_lock(s->work.pool);
	if (s->encoder_count > 0)
		encoder = s->encoders[--s->encoder_count];
	strata_pool_unlock(s->work.pool);
	return encoder != NULL ? encoder : s->packing.ops->open(&s->packing, err);
}

static void encode_run(struct strata_pool_item *item)
{
	struct strata_blob_writer_slot *slot = item->owner;
	struct strata_blob_writer *s = slot->sink;

	if (is_closing(s))
		return;
	slot->encoder = take_encoder(s, &slot->failure);
	slot->failed =
	        slot->encoder == NULL ||
	        s->packing.ops->segment(&s->packing, slot->encoder, slot->bytes, slot->len,
	                                slot->out, &slot->out_len, &slot->crc, &slot->failure) < 0;
}

/* What is packed is stored in the order of the stream. */
static void encode_done(struct strata_pool_item *item)
{
	struct strata_blob_writer_slot *slot = item->owner;
	struct strata_blob_writer *s = slot->sink;

	slot->packed = true;
	if (slot->encoder != NULL)
		s->encoders[s->encoder_count++] = steal_pointer(&slot->encoder);
	while (s->first != NULL && s->first->packed) {
		struct strata_blob_writer_slot *next = s->first;

		s->first = next->next;
		strata_pool_add_locked(s->work.pool, &s->store_strand, &next->store);
	}
}

static void store_run(struct strata_pool_item *item)
{
	struct strata_blob_writer_slot *slot = item->owner;
	struct strata_blob_writer *s = slot->sink;
	const unsigned char *bytes = s->packed ? slot->out : slot->bytes;
	size_t len = s->packed ? slot->out_len : slot->len;

	if (s->store_failed || is_closing(s))
		return;
	if (!slot->failed && (check_start(s, bytes, len, &slot->failure) < 0 ||
	                      store_bytes(s, bytes, len, &slot->failure) < 0))
		slot->failed = true;
	strata_segment_sum_add(&s->sum, slot->len, slot->crc);
	s->store_failed = slot->failed;
	if (slot->failed)
		fail(s, &slot->failure);
}

static void store_done(struct strata_pool_item *item)
{
	struct strata_blob_writer_slot *slot = item->owner;

	release(slot->sink, slot);
}

/* ---- the driver's side --------------------------------------------------- */

static struct strata_blob_writer_slot *new_slot(struct strata_blob_writer *s,
                                                struct strata_err *err)
{
	struct strata_blob_writer_slot *slot = calloc(1, sizeof(*slot));

	if (slot != NULL) {
		slot->sink = s;
		slot->bytes = malloc(s->segment);
		slot->out = s->packed ? malloc(s->packing.room) : NULL;
		if (slot->bytes != NULL && (slot->out != NULL || !s->packed))
			return slot;
	}
	free_slot(slot);
	strata_fail_nomem(err);
	return NULL;
}

static bool slot_available(const void *arg)
{
	const struct strata_blob_writer *s = arg;

	return s->failed || s->free != NULL || s->slots < s->slot_max;
}

/* Makes s->current a slot to be filled; waits while all are busy. */
static int take_slot(struct strata_blob_writer *s, struct strata_err *err)
{
	bool failed;

	strata_pool_lock(s->work.pool);
	strata_pool_wait(s->work.pool, slot_available, s);
	failed = s->failed;
	if (!failed && s->free != NULL) {
		s->current = s->free;
		s->free = s->current->next;
	} else if (!failed) {
		s->slots++;
	}
	strata_pool_unlock(s->work.pool);
	if (failed) {
		*err = s->failure;
		return -1;
	}
	if (s->current == NULL)
		s->current = new_slot(s, err);
	if (s->current == NULL)
		return -1;
	s->current->len = 0;
	return 0;
}

static void hand_out(struct strata_blob_writer *s)
{
	struct strata_blob_writer_slot *slot = steal_pointer(&s->current);

	slot->hash = (struct strata_pool_item){hash_run, hash_done, slot, NULL};
	slot->pack = (struct strata_pool_item){encode_run, encode_done, slot, NULL};
	slot->store = (struct strata_pool_item){store_run, store_done, slot, NULL};
	slot->packed = slot->failed = false;
	slot->users = s->plain_digest != NULL ? 2 : 1;
	slot->next = NULL;
	strata_pool_lock(s->work.pool);
	s->busy++;
	if (s->packed && s->first == NULL)
		s->first = slot;
	else if (s->packed)
		s->last->next = slot;
	s->last = slot;
	strata_pool_unlock(s->work.pool);
	if (s->plain_digest != NULL)
		strata_pool_add(s->work.pool, &s->plain_strand, &slot->hash);
	if (s->packed)
		strata_pool_add(s->work.pool, &slot->encode_strand, &slot->pack);
	else
		strata_pool_add(s->work.pool, &s->store_strand, &slot->store);
}

int strata_blob_writer_write(struct strata_blob_writer *s, const void *bytes, size_t len,
                             struct strata_err *err)
{
	const unsigned char *from = bytes;

	s->plain_total += len;
	while (len > 0) {
		struct strata_blob_writer_slot *slot;
		size_t n;

		if (s->current == NULL && take_slot(s, err) < 0)
			return -1;
		slot = s->current;
		n = s->segment - slot->len;
		n = n < len ? n : len;
		memcpy(slot->bytes + slot->len, from, n);
		slot->len += n;
		from += n;
		len -= n;
		if (slot->len == s->segment)
			hand_out(s);
	}
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

int strata_blob_writer_close(struct strata_blob_writer *s, struct strata_blob_info *written,
                             struct strata_err *err)
{
	unsigned char tail[STRATA_SEGMENT_ENDS];

	if (s->current != NULL && s->current->len > 0)
		hand_out(s);
	wait_for_all(s);
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	if (s->packed && store_bytes(s, tail, s->packing.ops->tail(&s->sum, tail), err) < 0)
		return -1;
	if (s->plain_digest != NULL &&
	    strata_digest_final(s->plain_digest, written->diff_id, err) < 0)
		return -1;
	if (!s->packed && s->plain_digest != NULL)
		memcpy(written->digest, written->diff_id, STRATA_DIGEST_MAX);
	else if (s->packed && strata_digest_final(s->stored_digest, written->digest, err) < 0)
		return -1;
	written->size = s->offset;
	written->tar_size = s->plain_total;
	return 0;
}
