/*
 * The framing of gzip (RFC 1952) around a raw deflater that compresses one
 * segment at a time. The stream is
 *
 *	header, compressed segments, an empty final block, trailer
 *
 * and depends on nothing but the input, the level and the library.
 */
#include <stdlib.h>
#include <string.h>

#include "codec_internal.h"

/* gzip, deflate, no flags, mtime 0, no extra flags, OS unknown. */
static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

/* A block of type 1 with nothing but its end, and the final bit. */
static const unsigned char final_block[2] = {0x03, 0x00};

#define STORED_MAX 65535
#define STORED_HEADER 5

struct gzip_encoder {
	struct strata_encoder base;
	const struct strata_deflate *library;
	void *deflater;
	unsigned char *pending; /* compressed and not yet handed out */
	size_t pending_start;
	size_t pending_end;
	unsigned char *segment; /* input of a segment that is not yet full */
	size_t segment_len;
	uint32_t crc;
	uint32_t size; /* of the input, modulo 2^32 as in ISIZE */
	bool ended;    /* the trailer is in pending */
};

static size_t stored_size(size_t len)
{
	return len + STORED_HEADER * ((len + STORED_MAX - 1) / STORED_MAX);
}

/* Writes len bytes as stored blocks and returns the number of bytes written. */
static size_t store(unsigned char *out, const unsigned char *in, size_t len)
{
	unsigned char *start = out;

	while (len > 0) {
		size_t n = len < STORED_MAX ? len : STORED_MAX;

		*out++ = 0;
		*out++ = (unsigned char)n;
		*out++ = (unsigned char)(n >> 8);
		*out++ = (unsigned char)~n;
		*out++ = (unsigned char)(~n >> 8);
		memcpy(out, in, n);
		out += n;
		in += n;
		len -= n;
	}
	return (size_t)(out - start);
}

/* Compresses one segment into `pending`, which is empty. */
static int compress_segment(struct gzip_encoder *e, const unsigned char *in, size_t len,
                            struct strata_err *err)
{
	size_t n = 0;

	if (e->library->segment(e->deflater, in, len, e->pending, &n, err) < 0)
		return -1;
	if (n == 0 || n > stored_size(len))
		n = store(e->pending, in, len);
	e->crc = e->library->crc(e->crc, in, len);
	e->size += (uint32_t)len;
	e->pending_start = 0;
	e->pending_end = n;
	return 0;
}

static void append_le32(struct gzip_encoder *e, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		e->pending[e->pending_end++] = (unsigned char)(v >> 8 * i);
}

static void end_stream(struct gzip_encoder *e)
{
	memcpy(e->pending, final_block, sizeof(final_block));
	e->pending_start = 0;
	e->pending_end = sizeof(final_block);
	append_le32(e, e->crc);
	append_le32(e, e->size);
	e->ended = true;
}

static void hand_out(struct gzip_encoder *e, unsigned char *out, size_t out_cap, size_t *produced)
{
	size_t n = e->pending_end - e->pending_start;

	if (n > out_cap - *produced)
		n = out_cap - *produced;
	if (n > 0)
		memcpy(out + *produced, e->pending + e->pending_start, n);
	e->pending_start += n;
	*produced += n;
}

/*
 * Takes input until a segment is complete and compresses it. A whole segment
 * in the caller's memory is compressed from there.
 */
static int take_input(struct gzip_encoder *e, const unsigned char **in, size_t *in_len, bool end,
                      struct strata_err *err)
{
	size_t n = STRATA_GZIP_SEGMENT - e->segment_len;

	if (n > *in_len)
		n = *in_len;
	if (n == STRATA_GZIP_SEGMENT) {
		if (compress_segment(e, *in, n, err) < 0)
			return -1;
	} else if (n > 0) {
		memcpy(e->segment + e->segment_len, *in, n);
		e->segment_len += n;
	}
	*in += n;
	*in_len -= n;

	if (e->segment_len == STRATA_GZIP_SEGMENT || (end && *in_len == 0 && e->segment_len > 0)) {
		if (compress_segment(e, e->segment, e->segment_len, err) < 0)
			return -1;
		e->segment_len = 0;
	}
	return 0;
}

static int gzip_step(struct strata_encoder *base, const unsigned char **in, size_t *in_len,
                     bool end, unsigned char *out, size_t out_cap, size_t *produced, bool *done,
                     struct strata_err *err)
{
	struct gzip_encoder *e = (struct gzip_encoder *)base;

	if (e->ended && *in_len > 0)
		return strata_fail(err, "EINVAL", "gzip: input behind the end of the stream");
	for (;;) {
		hand_out(e, out, out_cap, produced);
		if (e->pending_start < e->pending_end)
			return 0;
		if (e->ended) {
			*done = end;
			return 0;
		}
		if (*in_len > 0 || (end && e->segment_len > 0)) {
			if (take_input(e, in, in_len, end, err) < 0)
				return -1;
		} else if (end) {
			end_stream(e);
		} else {
			return 0;
		}
	}
}

static void gzip_free(struct strata_encoder *base)
{
	struct gzip_encoder *e = (struct gzip_encoder *)base;

	if (e->deflater)
		e->library->close(e->deflater);
	free(e->pending);
	free(e->segment);
	free(e);
}

static const struct strata_encoder_ops gzip_encoder_ops = {gzip_step, gzip_free};

struct strata_encoder *strata_gzip_encoder_new(const struct strata_deflate *library, int level,
                                               struct strata_err *err)
{
	struct gzip_encoder *e = calloc(1, sizeof(*e));

	if (!e) {
		strata_fail_nomem(err);
		return NULL;
	}
	e->base.ops = &gzip_encoder_ops;
	e->library = library;
	e->pending = malloc(STRATA_GZIP_SEGMENT_ROOM);
	e->segment = malloc(STRATA_GZIP_SEGMENT);
	if (!e->pending || !e->segment) {
		gzip_free(&e->base);
		strata_fail_nomem(err);
		return NULL;
	}
	e->deflater = library->open(level, err);
	if (!e->deflater) {
		gzip_free(&e->base);
		return NULL;
	}
	memcpy(e->pending, header, sizeof(header));
	e->pending_end = sizeof(header);
	return &e->base;
}
