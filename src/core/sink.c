#include "sink.h"

#include <stdlib.h>
#include <string.h>

/* Writes of headers and small files are gathered up to this many bytes. */
#define SINK_CHUNK (256 << 10)

int strata_sink_open(struct strata_sink *s, struct strata_file *file,
                     enum strata_compression compression, int level, struct strata_err *err)
{
	s->file = file;
	s->plain_digest = strata_digest_new(STRATA_SHA256, err);
	if (s->plain_digest == NULL)
		return -1;
	s->pending = malloc(SINK_CHUNK);
	if (s->pending == NULL)
		return strata_fail_nomem(err);
	if (compression == STRATA_NONE)
		return 0;
	s->encoder = strata_encoder_new(compression, level, err);
	if (s->encoder == NULL)
		return -1;
	s->stored_digest = strata_digest_new(STRATA_SHA256, err);
	if (s->stored_digest == NULL)
		return -1;
	s->encoded = malloc(SINK_CHUNK);
	return s->encoded == NULL ? strata_fail_nomem(err) : 0;
}

void strata_sink_free(struct strata_sink *s)
{
	strata_digest_free(s->plain_digest);
	strata_digest_free(s->stored_digest);
	strata_encoder_free(s->encoder);
	free(s->encoded);
	free(s->pending);
	*s = (struct strata_sink){0};
}

static int store(struct strata_sink *s, const void *bytes, size_t len, struct strata_err *err)
{
	if (s->stored_digest != NULL && strata_digest_update(s->stored_digest, bytes, len, err) < 0)
		return -1;
	if (strata_file_write(s->file, s->offset, bytes, len, err) < 0)
		return -1;
	s->offset += len;
	return 0;
}

/* Hashes, encodes and stores bytes; `end` ends the encoded stream. */
static int pass_on(struct strata_sink *s, const char *bytes, size_t len, bool end,
                   struct strata_err *err)
{
	const unsigned char *in = (const unsigned char *)bytes;
	bool done = false;

	s->plain_total += len;
	if (strata_digest_update(s->plain_digest, bytes, len, err) < 0)
		return -1;
	if (s->encoder == NULL)
		return len > 0 ? store(s, bytes, len, err) : 0;
	while (len > 0 || (end && !done)) {
		size_t produced;

		if (strata_encoder_step(s->encoder, &in, &len, end, s->encoded, SINK_CHUNK,
		                        &produced, &done, err) < 0 ||
		    store(s, s->encoded, produced, err) < 0)
			return -1;
	}
	return 0;
}

static int flush(struct strata_sink *s, bool end, struct strata_err *err)
{
	size_t len = s->pending_len;

	s->pending_len = 0;
	return pass_on(s, s->pending, len, end, err);
}

int strata_sink_write(struct strata_sink *s, const void *bytes, size_t len, struct strata_err *err)
{
	if (len > SINK_CHUNK - s->pending_len && flush(s, false, err) < 0)
		return -1;
	if (len >= SINK_CHUNK / 4)
		return s->pending_len > 0 && flush(s, false, err) < 0
		               ? -1
		               : pass_on(s, bytes, len, false, err);
	memcpy(s->pending + s->pending_len, bytes, len);
	s->pending_len += len;
	return 0;
}

int strata_sink_close(struct strata_sink *s, char stored[STRATA_DIGEST_MAX],
                      char plain[STRATA_DIGEST_MAX], uint64_t *stored_size, uint64_t *plain_size,
                      struct strata_err *err)
{
	if (flush(s, true, err) < 0 || strata_digest_final(s->plain_digest, plain, err) < 0)
		return -1;
	if (s->encoder == NULL)
		memcpy(stored, plain, STRATA_DIGEST_MAX);
	else if (strata_digest_final(s->stored_digest, stored, err) < 0)
		return -1;
	*stored_size = s->offset;
	*plain_size = s->plain_total;
	return 0;
}
