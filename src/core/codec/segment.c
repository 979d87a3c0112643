/* The encoder of one thread: it encodes the segments one after the other. */
#include "core/codec/segment.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/codec/internal.h"

void strata_segment_sum_add(struct strata_segment_sum *sum, size_t len, uint32_t crc)
{
	sum->crc = (uint32_t)crc32_combine(sum->crc, crc, (z_off_t)len);
	sum->size += len;
}

struct segment_encoder {
	struct strata_encoder base;
	struct strata_segment_codec codec;
	void *encoder;
	unsigned char *pending; /* encoded and not yet handed out */
	size_t pending_start;
	size_t pending_end;
	unsigned char *segment; /* input of a segment that is not yet full */
	size_t segment_len;
	struct strata_segment_sum sum;
	bool ended; /* the tail is in pending */
};

/* Encodes one segment into `pending`, which is empty. */
static int encode_segment(struct segment_encoder *e, const unsigned char *in, size_t len,
                          struct strata_err *err)
{
	const struct strata_segment_codec *p = &e->codec;
	uint32_t crc = 0;
	size_t n = 0;

	if (p->ops->segment(p, e->encoder, in, len, e->pending, &n, &crc, err) < 0)
		return -1;
	strata_segment_sum_add(&e->sum, len, crc);
	e->pending_start = 0;
	e->pending_end = n;
	return 0;
}

static void end_stream(struct segment_encoder *e)
{
	e->pending_start = 0;
	e->pending_end = e->codec.ops->tail(&e->sum, e->pending);
	e->ended = true;
}

static void hand_out(struct segment_encoder *e, unsigned char *out, size_t out_cap,
                     size_t *produced)
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
 * Takes input until a segment is complete and encodes it. A whole segment in the
 * caller's memory is encoded from there, without a copy.
 */
static int take_input(struct segment_encoder *e, const unsigned char **in, size_t *in_len, bool end,
                      struct strata_err *err)
{
	size_t n = e->codec.segment - e->segment_len;

	if (n > *in_len)
		n = *in_len;
	if (n == e->codec.segment) {
		if (encode_segment(e, *in, n, err) < 0)
			return -1;
	} else if (n > 0) {
		memcpy(e->segment + e->segment_len, *in, n);
		e->segment_len += n;
	}
	*in += n;
	*in_len -= n;

	if (e->segment_len == e->codec.segment || (end && *in_len == 0 && e->segment_len > 0)) {
		if (encode_segment(e, e->segment, e->segment_len, err) < 0)
			return -1;
		e->segment_len = 0;
	}
	return 0;
}

static int segment_encoder_step(struct strata_encoder *base, const unsigned char **in,
                                size_t *in_len, bool end, unsigned char *out, size_t out_cap,
                                size_t *produced, bool *done, struct strata_err *err)
{
	struct segment_encoder *e = (struct segment_encoder *)base;

	if (e->ended && *in_len > 0)
		return strata_fail(err, "EINVAL", "encoder: input behind the end of the stream");
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

static void segment_encoder_free(struct strata_encoder *base)
{
	struct segment_encoder *e = (struct segment_encoder *)base;

	if (e->encoder)
		e->codec.ops->close(&e->codec, e->encoder);
	free(e->pending);
	free(e->segment);
	free(e);
}

static const struct strata_encoder_ops segment_encoder_ops = {segment_encoder_step,
                                                              segment_encoder_free};

struct strata_encoder *strata_segment_encoder_new(const struct strata_segment_codec *codec,
                                                  struct strata_err *err)
{
	struct segment_encoder *e = calloc(1, sizeof(*e));

	if (!e) {
		strata_fail_nomem(err);
		return NULL;
	}
	e->base.ops = &segment_encoder_ops;
	e->codec = *codec;
	e->pending = malloc(codec->room);
	e->segment = malloc(codec->segment);
	if (!e->pending || !e->segment) {
		segment_encoder_free(&e->base);
		strata_fail_nomem(err);
		return NULL;
	}
	e->encoder = codec->ops->open(codec, err);
	if (!e->encoder) {
		segment_encoder_free(&e->base);
		return NULL;
	}
	e->pending_end = codec->ops->head(e->pending);
	return &e->base;
}
