#include "stream.h"

#include <stdlib.h>

#include "inflate.h"

/* ---- chunks ------------------------------------------------------------- */

static bool chunk_available(const void *arg)
{
	const struct strata_stream *s = arg;

	return s->failed || s->free != NULL || s->chunks < STRATA_STREAM_CHUNKS;
}

/* One user less, with the lock. */
static void release(struct strata_stream *s, struct strata_chunk *chunk)
{
	if (--chunk->users > 0)
		return;
	chunk->next = s->free;
	s->free = chunk;
}

/* Gives *held back and takes a chunk to be filled; waits while all are in use. */
static int take_chunk(struct strata_stream *s, struct strata_chunk **held, struct strata_err *err)
{
	struct strata_chunk *chunk;
	bool failed;

	strata_crew_lock(s->work.crew);
	if (*held != NULL)
		release(s, *held);
	*held = NULL;
	strata_crew_wait(s->work.crew, chunk_available, s);
	failed = s->failed;
	chunk = s->free;
	if (chunk != NULL)
		s->free = chunk->next;
	else if (!failed)
		s->chunks++;
	strata_crew_unlock(s->work.crew);
	/* Also when there is a chunk: it is the stream's and freed with the others. */
	if (chunk == NULL && !failed) {
		chunk = malloc(sizeof(*chunk) + STRATA_CHUNK);
		if (chunk == NULL)
			return strata_fail_nomem(err);
	}
	if (chunk != NULL) {
		chunk->users = 1;
		chunk->len = 0;
		*held = chunk;
	}
	if (failed) {
		*err = s->failure;
		return -1;
	}
	return 0;
}

/* ---- hashing ------------------------------------------------------------ */

static void hash_run(struct strata_piece *piece)
{
	struct strata_stream *s = piece->owner;
	struct strata_chunk *chunk = (struct strata_chunk *)piece;
	struct strata_err err;

	if (atomic_load_explicit(&s->closing, memory_order_relaxed))
		return;
	if (strata_digest_update(chunk->digest, chunk->bytes, chunk->len, &err) == 0 &&
	    (chunk->second == NULL ||
	     strata_digest_update(chunk->second, chunk->bytes, chunk->len, &err) == 0))
		return;
	strata_crew_lock(s->work.crew);
	s->failed = true;
	s->failure = err;
	strata_crew_unlock(s->work.crew);
}

static void hash_done(struct strata_piece *piece)
{
	struct strata_stream *s = piece->owner;

	s->hashing--;
	release(s, (struct strata_chunk *)piece);
}

/* Either digest may be NULL. */
static void hash(struct strata_stream *s, struct strata_chunk *chunk, struct strata_lane *lane,
                 struct strata_digest *digest, struct strata_digest *second)
{
	if ((digest == NULL && second == NULL) || chunk->len == 0)
		return;
	chunk->piece = (struct strata_piece){hash_run, hash_done, s, NULL};
	chunk->digest = digest != NULL ? digest : second;
	chunk->second = digest != NULL ? second : NULL;
	strata_crew_lock(s->work.crew);
	chunk->users++;
	s->hashing++;
	strata_crew_unlock(s->work.crew);
	strata_crew_add(s->work.crew, lane, &chunk->piece);
}

static bool nothing_hashing(const void *arg)
{
	return ((const struct strata_stream *)arg)->hashing == 0;
}

static void wait_for_hashing(struct strata_stream *s)
{
	strata_crew_lock(s->work.crew);
	strata_crew_wait(s->work.crew, nothing_hashing, s);
	strata_crew_unlock(s->work.crew);
}

/* ---- the stream --------------------------------------------------------- */

int strata_stream_open(struct strata_stream *s, const struct strata_blob *blob, unsigned wanted,
                       const struct strata_inflate_limits *limits, const struct strata_work *work,
                       struct strata_err *err)
{
	bool plain = blob->compression == STRATA_NONE;
	/* The bytes that are stored are those of the tar, and one digest is both. */
	bool once = plain && blob->algorithm == STRATA_SHA256;

	s->blob = blob;
	if (work != NULL)
		s->work = *work;
	if (limits != NULL)
		s->limits = *limits;
	if (!plain) {
		s->decoder = strata_decoder_new(blob->compression, err);
		if (s->decoder == NULL)
			return -1;
		if (s->limits.zstd_window != 0)
			strata_decoder_limit_window(s->decoder, s->limits.zstd_window);
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
	return 0;
}

void strata_stream_close(struct strata_stream *s)
{
	atomic_store(&s->closing, true);
	wait_for_hashing(s);
	free(s->in);
	free(s->out);
	while (s->free != NULL) {
		struct strata_chunk *next = s->free->next;

		free(s->free);
		s->free = next;
	}
	strata_decoder_free(s->decoder);
	strata_digest_free(s->stored_digest);
	strata_digest_free(s->plain_digest);
	*s = (struct strata_stream){0};
}

/* Reads the next chunk of the blob; in_left stays 0 at its end. */
static int fill(struct strata_stream *s, struct strata_err *err)
{
	uint64_t left = s->blob->size - s->position;
	size_t n = left < STRATA_CHUNK ? (size_t)left : STRATA_CHUNK;

	s->in_left = 0;
	if (s->work.cancel != NULL && atomic_load_explicit(s->work.cancel, memory_order_relaxed))
		return strata_fail(err, "ECANCELED", "canceled");
	if (n == 0)
		return 0;
	if (take_chunk(s, &s->in, err) < 0 ||
	    strata_file_read(s->blob->file, s->blob->offset + s->position, s->in->bytes, n, err) <
	            0)
		return -1;
	s->in->len = n;
	if (s->decoder != NULL)
		hash(s, s->in, &s->stored_lane, s->stored_digest, NULL);
	else
		hash(s, s->in, &s->plain_lane, s->plain_digest, s->stored_digest);
	s->position += n;
	if (s->work.progress != NULL)
		atomic_fetch_add_explicit(s->work.progress, n, memory_order_relaxed);
	s->in_next = s->in->bytes;
	s->in_left = n;
	return 0;
}

/* Decodes a whole chunk, fewer bytes at the end, none behind it. */
static int decode(struct strata_stream *s, struct strata_err *err)
{
	struct strata_chunk *out;
	bool ended = false;

	if (take_chunk(s, &s->out, err) < 0)
		return -1;
	out = s->out;
	while (out->len < STRATA_CHUNK && !ended) {
		size_t n;

		if (s->in_left == 0 && fill(s, err) < 0)
			return -1;
		/* With the input drained the decoder may still hold output. */
		ended = s->in_left == 0;
		if (strata_decoder_step(s->decoder, &s->in_next, &s->in_left, out->bytes + out->len,
		                        STRATA_CHUNK - out->len, &n, err) < 0)
			return -1;
		out->len += n;
		ended = ended && n == 0;
		if (strata_inflate_check(&s->limits, s->decoder, s->position - s->in_left,
		                         s->plain_total + out->len, err) < 0)
			return -1;
	}
	if (ended && out->len == 0)
		return strata_decoder_finish(s->decoder, err);
	hash(s, out, &s->plain_lane, s->plain_digest, NULL);
	return 0;
}

int strata_stream_next(struct strata_stream *s, const char **bytes, size_t *len,
                       struct strata_err *err)
{
	if (s->decoder != NULL) {
		if (decode(s, err) < 0)
			return -1;
		*bytes = (const char *)s->out->bytes;
		*len = s->out->len;
	} else {
		if (fill(s, err) < 0)
			return -1;
		*bytes = s->in != NULL ? (const char *)s->in->bytes : NULL;
		*len = s->in_left;
	}
	s->plain_total += *len;
	return 0;
}

int strata_stream_digests(struct strata_stream *s, char stored[STRATA_DIGEST_MAX],
                          char plain[STRATA_DIGEST_MAX], struct strata_err *err)
{
	stored[0] = plain[0] = '\0';
	wait_for_hashing(s);
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	if (s->plain_digest != NULL && strata_digest_final(s->plain_digest, plain, err) < 0)
		return -1;
	if (s->stored_digest != NULL)
		return strata_digest_final(s->stored_digest, stored, err);
	if (s->decoder == NULL && s->blob->algorithm == STRATA_SHA256)
		for (size_t i = 0; i < STRATA_DIGEST_MAX; i++)
			stored[i] = plain[i];
	return 0;
}
