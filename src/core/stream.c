#include "stream.h"

#include <stdlib.h>

int strata_stream_open(struct strata_stream *s, const struct strata_blob *blob, unsigned wanted,
                       const atomic_bool *cancel, atomic_ullong *progress, struct strata_err *err)
{
	bool plain = blob->compression == STRATA_NONE;

	s->blob = blob;
	s->cancel = cancel;
	s->progress = progress;
	s->in = malloc(STRATA_CHUNK);
	if (s->in == NULL)
		return strata_fail_nomem(err);
	if (!plain) {
		s->decoder = strata_decoder_new(blob->compression, err);
		if (s->decoder == NULL)
			return -1;
		s->out = malloc(STRATA_CHUNK);
		if (s->out == NULL)
			return strata_fail_nomem(err);
	}
	if ((wanted & STRATA_DIGEST_PLAIN) || (plain && (wanted & STRATA_DIGEST_STORED))) {
		s->plain_digest = strata_digest_new(STRATA_SHA256, err);
		if (s->plain_digest == NULL)
			return -1;
	}
	if ((wanted & STRATA_DIGEST_STORED) && !plain) {
		s->stored_digest = strata_digest_new(STRATA_SHA256, err);
		if (s->stored_digest == NULL)
			return -1;
	}
	return 0;
}

void strata_stream_close(struct strata_stream *s)
{
	strata_decoder_free(s->decoder);
	strata_digest_free(s->stored_digest);
	strata_digest_free(s->plain_digest);
	free(s->in);
	free(s->out);
	*s = (struct strata_stream){0};
}

/* Reads the next chunk of the blob; in_left stays 0 at its end. */
static int fill(struct strata_stream *s, struct strata_err *err)
{
	uint64_t left = s->blob->size - s->position;
	size_t n = left < STRATA_CHUNK ? (size_t)left : STRATA_CHUNK;

	if (s->cancel != NULL && atomic_load_explicit(s->cancel, memory_order_relaxed))
		return strata_fail(err, "ECANCELED", "canceled");
	if (n == 0)
		return 0;
	if (strata_file_read(s->blob->file, s->blob->offset + s->position, s->in, n, err) < 0)
		return -1;
	if (s->stored_digest != NULL && strata_digest_update(s->stored_digest, s->in, n, err) < 0)
		return -1;
	s->position += n;
	if (s->progress != NULL)
		atomic_fetch_add_explicit(s->progress, n, memory_order_relaxed);
	s->in_next = s->in;
	s->in_left = n;
	return 0;
}

/* Decodes until there is output or the end. */
static int decode(struct strata_stream *s, size_t *len, struct strata_err *err)
{
	*len = 0;
	while (*len == 0) {
		if (s->in_left == 0) {
			if (fill(s, err) < 0)
				return -1;
			/* Input is drained: the decoder may still hold output. */
			if (s->in_left == 0) {
				if (strata_decoder_step(s->decoder, &s->in_next, &s->in_left,
				                        s->out, STRATA_CHUNK, len, err) < 0)
					return -1;
				return *len > 0 ? 0 : strata_decoder_finish(s->decoder, err);
			}
		}
		if (strata_decoder_step(s->decoder, &s->in_next, &s->in_left, s->out, STRATA_CHUNK,
		                        len, err) < 0)
			return -1;
	}
	return 0;
}

int strata_stream_next(struct strata_stream *s, const char **bytes, size_t *len,
                       struct strata_err *err)
{
	if (s->decoder != NULL) {
		if (decode(s, len, err) < 0)
			return -1;
		*bytes = (const char *)s->out;
	} else {
		s->in_left = 0;
		if (fill(s, err) < 0)
			return -1;
		*bytes = (const char *)s->in;
		*len = s->in_left;
	}
	s->plain_total += *len;
	if (s->plain_digest != NULL)
		return strata_digest_update(s->plain_digest, *bytes, *len, err);
	return 0;
}

int strata_stream_digests(struct strata_stream *s, char stored[STRATA_DIGEST_MAX],
                          char plain[STRATA_DIGEST_MAX], struct strata_err *err)
{
	stored[0] = plain[0] = '\0';
	if (s->plain_digest != NULL && strata_digest_final(s->plain_digest, plain, err) < 0)
		return -1;
	if (s->stored_digest != NULL)
		return strata_digest_final(s->stored_digest, stored, err);
	if (s->decoder == NULL)
		for (size_t i = 0; i < STRATA_DIGEST_MAX; i++)
			stored[i] = plain[i];
	return 0;
}
