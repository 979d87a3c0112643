#include "core/layer/blob_reader.h"

#include <stdlib.h>

#include "core/base/mem.h"

static void arrange(struct strata_blob_reader *s);

static void reset_packed(struct strata_packed *p)
{
	if (p != NULL) {
		p->bytes.len = p->count = 0;
		p->over = false;
	}
}

/* ---- chunks, with the pool's lock --------------------------------------- */

/* *chunk stays NULL when it is still to be made. */
static void take(struct strata_blob_reader *s, struct strata_chunk **chunk)
{
	s->available--;
	*chunk = s->free;
	if (s->free != NULL)
		s->free = s->free->next;
	if (*chunk != NULL) {
		(*chunk)->users = 1;
		(*chunk)->len = 0;
		reset_packed((*chunk)->packed);
	}
}

/* One user less. */
static void release(struct strata_blob_reader *s, struct strata_chunk **held)
{
	struct strata_chunk *chunk = steal_pointer(held);

	if (chunk == NULL || --chunk->users > 0)
		return;
	chunk->next = s->free;
	s->free = chunk;
	s->available++;
	arrange(s);
}

static void push_ready(struct strata_blob_reader *s, struct strata_chunk *chunk)
{
	chunk->next = NULL;
	if (s->ready == NULL)
		s->ready = chunk;
	else
		s->last_ready->next = chunk;
	s->last_ready = chunk;
}

static void fail(struct strata_blob_reader *s, const struct strata_err *err)
{
	if (!s->failed)
		s->failure = *err;
	s->failed = true;
}

/* ---- hashing ------------------------------------------------------------ */

/* Hashes the bytes of a chunk up to where the digest forks, if that is among them: how many. */
static int hash_until_fork(struct strata_blob_reader *s, const struct strata_chunk *chunk,
                           size_t *done, struct strata_err *err)
{
	uint64_t before;

	*done = 0;
	if (chunk->digest != s->plain_digest) /* this is another strand */
		return 0;
	before = s->plain_hashed;
	s->plain_hashed += chunk->len;
	if (s->fork_at <= before || s->fork_at > s->plain_hashed)
		return 0;
	*done = (size_t)(s->fork_at - before);
	if (strata_digest_update(chunk->digest, chunk->bytes, *done, err) < 0)
		return -1;
	s->forked = strata_digest_copy(chunk->digest, err);
	return s->forked != NULL ? 0 : -1;
}

static void hash_run(struct strata_pool_item *item)
{
	struct strata_blob_reader *s = item->owner;
	struct strata_chunk *chunk = (struct strata_chunk *)item;
	struct strata_err err;
	size_t done;

	if (atomic_load_explicit(&s->closing, memory_order_relaxed))
		return;
	if (hash_until_fork(s, chunk, &done, &err) == 0 &&
	    strata_digest_update(chunk->digest, chunk->bytes + done, chunk->len - done, &err) ==
	            0 &&
	    (chunk->second == NULL ||
	     strata_digest_update(chunk->second, chunk->bytes, chunk->len, &err) == 0))
		return;
	strata_pool_lock(s->work.pool);
	fail(s, &err);
	strata_pool_unlock(s->work.pool);
}

static void hash_done(struct strata_pool_item *item)
{
	struct strata_blob_reader *s = item->owner;
	struct strata_chunk *chunk = (struct strata_chunk *)item;

	s->hashing--;
	release(s, &chunk);
}

/* Either digest may be NULL. */
static void hash(struct strata_blob_reader *s, struct strata_chunk *chunk,
                 struct strata_strand *strand, struct strata_digest *digest,
                 struct strata_digest *second)
{
	if ((digest == NULL && second == NULL) || chunk->len == 0)
		return;
	chunk->item = (struct strata_pool_item){hash_run, hash_done, s, NULL};
	chunk->digest = digest != NULL ? digest : second;
	chunk->second = digest != NULL ? second : NULL;
	strata_pool_lock(s->work.pool);
	chunk->users++;
	s->hashing++;
	strata_pool_unlock(s->work.pool);
	strata_pool_add(s->work.pool, strand, &chunk->item);
}

/* ---- filling ------------------------------------------------------------ */

/* Sees to it that there is a chunk, in which nothing is yet. */
static int make_chunk(struct strata_chunk **chunk, struct strata_err *err)
{
	if (*chunk == NULL) {
		*chunk = malloc(sizeof(**chunk) + STRATA_CHUNK);
		if (*chunk == NULL)
			return strata_fail_nomem(err);
		(*chunk)->users = 1;
		(*chunk)->len = 0;
		(*chunk)->packed = NULL;
	}
	return 0;
}

/* Reads the blob's next bytes; none at its end. */
static int read_chunk(struct strata_blob_reader *s, struct strata_chunk **chunk,
                      struct strata_err *err)
{
	uint64_t left = s->blob->size - s->position;
	size_t n = left < STRATA_CHUNK ? (size_t)left : STRATA_CHUNK;

	if (strata_work_cancelled(&s->work, err))
		return -1;
	if (n == 0)
		return 0;
	if (make_chunk(chunk, err) < 0 ||
	    strata_file_read(s->blob->file, s->blob->offset + s->position, (*chunk)->bytes, n,
	                     err) < 0)
		return -1;
	(*chunk)->len = n;
	s->position += n;
	if (s->decoder != NULL)
		hash(s, *chunk, &s->stored_strand, s->stored_digest, NULL);
	else
		hash(s, *chunk, &s->plain_strand, s->plain_digest, s->stored_digest);
	strata_work_advance(&s->work, n);
	return 0;
}

/* ---- what the bytes were inflated from --------------------------------- */

static int make_packed(struct strata_chunk *chunk, struct strata_err *err)
{
	struct strata_packed *p = chunk->packed;

	if (p != NULL)
		return 0;
	p = calloc(1, sizeof(*p));
	if (p != NULL)
		p->blocks = strata_reallocarray(NULL, STRATA_PACKED_BLOCKS, sizeof(*p->blocks));
	if (p == NULL || p->blocks == NULL) {
		free(p);
		return strata_fail_nomem(err);
	}
	chunk->packed = p;
	return 0;
}

/* Too much for what it is of use for. */
static void give_up(struct strata_packed *p)
{
	p->bytes.len = p->count = 0;
	p->over = true;
}

static void note_block(void *arg, const struct strata_block *block)
{
	struct strata_packed *p = ((struct strata_blob_reader *)arg)->out->packed;

	if (!p->over && p->count == STRATA_PACKED_BLOCKS)
		give_up(p);
	if (!p->over)
		p->blocks[p->count++] = *block;
}

static int note_bytes(struct strata_blob_reader *s, const unsigned char *from, size_t len,
                      struct strata_err *err)
{
	struct strata_packed *p = s->out->packed;

	if (!p->over && len > STRATA_PACKED_MAX - p->bytes.len)
		give_up(p);
	if (p->over)
		return 0;
	if (p->bytes.len == 0)
		p->offset = s->position - s->in->len + (uint64_t)(from - s->in->bytes);
	return strata_buf_append(&p->bytes, from, len, err);
}

/* One step into `out`. */
static int step(struct strata_blob_reader *s, size_t *n, struct strata_err *err)
{
	const unsigned char *from = s->in_next;

	if (strata_decoder_step(s->decoder, &s->in_next, &s->in_left, s->out->bytes + s->out->len,
	                        STRATA_CHUNK - s->out->len, n, err) < 0)
		return -1;
	s->out->len += *n;
	if (s->block_bytes && s->in_next != from)
		return note_bytes(s, from, (size_t)(s->in_next - from), err);
	return 0;
}

/*
 * Decodes until `out` is full, or there is nothing left of one chunk of input:
 * it is not to wait for the next. Empty it is whole only at the end.
 */
static int decode(struct strata_blob_reader *s, bool *whole, struct strata_err *err)
{
	bool at_end;
	size_t n;

	if (make_chunk(&s->out, err) < 0 || (s->blocks && make_packed(s->out, err) < 0))
		return -1;
	if (s->in_left == 0) {
		if (read_chunk(s, &s->in, err) < 0)
			return -1;
		s->in_left = s->in != NULL ? s->in->len : 0;
		s->in_next = s->in != NULL ? s->in->bytes : NULL;
	}
	/* With the input drained the decoder may still hold output. */
	at_end = s->in_left == 0;
	do {
		if (step(s, &n, err) < 0)
			return -1;
	} while (s->out->len < STRATA_CHUNK && (s->in_left > 0 || (at_end && n > 0)));
	*whole = at_end || s->out->len == STRATA_CHUNK;
	if (!*whole)
		return 0;
	if (s->out->len == 0) {
		if (strata_decoder_finish(s->decoder, err) < 0)
			return -1;
		/* Its window is for the next stream's, which is read ahead. */
		strata_decoder_free(steal_pointer(&s->decoder));
		return 0;
	}
	hash(s, s->out, &s->plain_strand, s->plain_digest, NULL);
	return 0;
}

/* Whether the next fill begins with input. */
static bool is_thirsty(const struct strata_blob_reader *s)
{
	return s->decoder != NULL && s->in_left == 0 && s->position < s->blob->size;
}

static bool can_fill(const struct strata_blob_reader *s)
{
	if (s->filling || s->ended || s->failed)
		return false;
	return s->available >= (s->out == NULL) + (unsigned)is_thirsty(s);
}

static void begin_fill(struct strata_blob_reader *s)
{
	s->filling = true;
	if (s->out == NULL)
		take(s, &s->out);
	if (is_thirsty(s))
		take(s, &s->in);
}

static void fill_run(struct strata_pool_item *item)
{
	struct strata_blob_reader *s = item->owner;
	bool whole = true;
	int status;

	s->filled = STRATA_FILL_MORE;
	if (atomic_load_explicit(&s->closing, memory_order_relaxed))
		return;
	if (s->decoder != NULL)
		status = decode(s, &whole, &s->fill_failure);
	else
		status = read_chunk(s, &s->out, &s->fill_failure);
	if (status < 0)
		s->filled = STRATA_FILL_FAILED;
	else if (whole)
		s->filled = STRATA_FILL_WHOLE;
}

static void fill_done(struct strata_pool_item *item)
{
	struct strata_blob_reader *s = item->owner;

	if (s->filled == STRATA_FILL_FAILED)
		fail(s, &s->fill_failure);
	if (s->filled == STRATA_FILL_WHOLE && (s->out == NULL || s->out->len == 0)) {
		s->ended = true;
	} else if (s->filled == STRATA_FILL_WHOLE) {
		s->plain_total += s->out->len;
		push_ready(s, steal_pointer(&s->out));
	}
	if (s->in_left == 0)
		release(s, &s->in);
	s->filling = false;
	arrange(s);
}

/* Lets a helper go on, when it is to and can. Without one the caller fills for itself. */
static void arrange(struct strata_blob_reader *s)
{
	if (!s->ahead || !strata_pool_has_workers(s->work.pool) || !can_fill(s) ||
	    atomic_load_explicit(&s->closing, memory_order_relaxed))
		return;
	begin_fill(s);
	strata_pool_add_locked(s->work.pool, &s->fill_strand, &s->fill_item);
}

/* ---- the stream --------------------------------------------------------- */

int strata_blob_reader_open(struct strata_blob_reader *s, const struct strata_blob *blob,
                            unsigned wanted, const struct strata_inflate_limits *limits,
                            const struct strata_work *work, struct strata_err *err)
{
	bool plain = blob->compression == STRATA_NONE;
	/* The bytes that are stored are those of the tar, and one digest is both. */
	bool once = plain && blob->algorithm == STRATA_SHA256;

	s->blob = blob;
	s->fill_strand.urgent = true;
	s->fill_item = (struct strata_pool_item){fill_run, fill_done, s, NULL};
	if (work != NULL)
		s->work = *work;
	if (!plain) {
		s->decoder = strata_decoder_new(blob->compression, limits, err);
		if (s->decoder == NULL)
			return -1;
	}
	if ((wanted & STRATA_DIGEST_PLAIN) || (once && (wanted & STRATA_DIGEST_STORED))) {
		s->plain_digest = strata_digest_new(STRATA_SHA256, err);
		if (s->plain_digest == NULL)
			return -1;
	}
	if ((wanted & STRATA_DIGEST_STORED) && !once) {
		s->stored_digest = strata_digest_new(blob->algorithm, err);
		if (s->stored_digest == NULL)
			return -1;
	}
	s->ahead = wanted & STRATA_READ_AHEAD;
	s->blocks = (wanted & (STRATA_BLOCKS | STRATA_BLOCK_PLACES)) && !plain;
	s->block_bytes = s->blocks && (wanted & STRATA_BLOCKS);
	if (s->blocks)
		strata_decoder_watch(s->decoder, note_block, s);
	strata_pool_lock(s->work.pool);
	s->available = STRATA_BLOB_READER_CHUNKS;
	arrange(s);
	strata_pool_unlock(s->work.pool);
	return 0;
}

static bool is_idle(const void *arg)
{
	const struct strata_blob_reader *s = arg;

	return s->hashing == 0 && !s->filling;
}

static void wait_until_idle(struct strata_blob_reader *s)
{
	strata_pool_lock(s->work.pool);
	strata_pool_wait(s->work.pool, is_idle, s);
	strata_pool_unlock(s->work.pool);
}

void strata_blob_reader_fork(struct strata_blob_reader *s, uint64_t offset)
{
	s->fork_at = offset;
}

struct strata_digest *strata_blob_reader_forked(struct strata_blob_reader *s,
                                                struct strata_err *err)
{
	wait_until_idle(s);
	if (s->failed)
		*err = s->failure;
	else if (s->forked == NULL)
		strata_fail(err, "EINVAL", "fewer bytes have been taken");
	return s->failed ? NULL : steal_pointer(&s->forked);
}

static void free_chunk(struct strata_chunk *chunk)
{
	if (chunk != NULL && chunk->packed != NULL) {
		strata_buf_free(&chunk->packed->bytes);
		free(chunk->packed->blocks);
		free(chunk->packed);
	}
	free(chunk);
}

static void free_chunks(struct strata_chunk *chunk)
{
	while (chunk != NULL) {
		struct strata_chunk *next = chunk->next;

		free_chunk(chunk);
		chunk = next;
	}
}

void strata_blob_reader_close(struct strata_blob_reader *s)
{
	atomic_store(&s->closing, true);
	wait_until_idle(s);
	free_chunk(s->held);
	free_chunk(s->in);
	free_chunk(s->out);
	free_chunks(s->ready);
	free_chunks(s->free);
	strata_decoder_free(s->decoder);
	strata_digest_free(s->stored_digest);
	strata_digest_free(s->plain_digest);
	strata_digest_free(s->forked);
	*s = (struct strata_blob_reader){0};
}

static bool has_news(const void *arg)
{
	const struct strata_blob_reader *s = arg;

	return s->ready != NULL || s->ended || s->failed || can_fill(s);
}

/* Gives the chunk before back and takes the next one, which stays NULL at the end. */
static void next_chunk(struct strata_blob_reader *s)
{
	struct strata_pool *pool = s->work.pool;

	strata_pool_lock(pool);
	release(s, &s->held);
	while (s->ready == NULL && !s->ended && !s->failed) {
		strata_pool_wait(pool, has_news, s);
		if (s->ready != NULL || !can_fill(s))
			continue;
		begin_fill(s);
		strata_pool_unlock(pool);
		fill_run(&s->fill_item);
		strata_pool_lock(pool);
		fill_done(&s->fill_item);
	}
	s->held = s->ready;
	if (s->held != NULL)
		s->ready = s->held->next;
	strata_pool_unlock(pool);
}

int strata_blob_reader_next(struct strata_blob_reader *s, const char **bytes, size_t *len,
                            struct strata_err *err)
{
	if (strata_work_cancelled(&s->work, err))
		return -1;
	next_chunk(s);
	if (s->held == NULL && s->failed) {
		*err = s->failure;
		return -1;
	}
	*bytes = s->held != NULL ? (const char *)s->held->bytes : NULL;
	*len = s->held != NULL ? s->held->len : 0;
	return 0;
}

const struct strata_packed *strata_blob_reader_packed(const struct strata_blob_reader *s)
{
	const struct strata_chunk *chunk = s->held != NULL ? s->held : s->ended ? s->out : NULL;

	return chunk != NULL ? chunk->packed : NULL;
}

bool strata_blob_reader_drained(const struct strata_blob_reader *s)
{
	bool drained;

	strata_pool_lock(s->work.pool);
	drained = s->ended;
	strata_pool_unlock(s->work.pool);
	return drained;
}

int strata_blob_reader_digests(struct strata_blob_reader *s, char stored[STRATA_DIGEST_MAX],
                               char plain[STRATA_DIGEST_MAX], struct strata_err *err)
{
	stored[0] = plain[0] = '\0';
	wait_until_idle(s);
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	if (s->plain_digest != NULL && strata_digest_final(s->plain_digest, plain, err) < 0)
		return -1;
	if (s->stored_digest != NULL)
		return strata_digest_final(s->stored_digest, stored, err);
	if (s->blob->compression == STRATA_NONE && s->blob->algorithm == STRATA_SHA256)
		for (size_t i = 0; i < STRATA_DIGEST_MAX; i++)
			stored[i] = plain[i];
	return 0;
}
