/* Raw deflate through ISA-L. */
#ifdef STRATA_WITH_ISAL

#include <isa-l.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/internal.h"

/* ISA-L counts in 32 bits. */
#define STEP_MAX ((size_t)1 << 30)

/* ISA-L's structures lack `const`, but it does not write to its input. */
static uint8_t *unconst(const unsigned char *p)
{
	return (uint8_t *)(uintptr_t)p;
}

/* ---- inflate ----------------------------------------------------------- */

static void *inflate_open(struct strata_err *err)
{
	struct inflate_state *s = calloc(1, sizeof(*s));

	if (!s) {
		strata_fail_nomem(err);
		return NULL;
	}
	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP_NO_HDR; /* raw deflate, CRC-32 of the output on the way */
	return s;
}

static int inflate_reset(void *state, struct strata_err *err)
{
	struct inflate_state *s = state;

	(void)err;
	isal_inflate_reset(s);
	s->crc_flag = ISAL_GZIP_NO_HDR;
	return 0;
}

static int fail_inflate(int code, struct strata_err *err)
{
	const char *what;

	switch (code) {
	case ISAL_INVALID_BLOCK:
		what = "invalid deflate block";
		break;
	case ISAL_INVALID_SYMBOL:
		what = "invalid deflate symbol";
		break;
	case ISAL_INVALID_LOOKBACK:
		what = "invalid deflate distance";
		break;
	default:
		what = "invalid deflate data";
	}
	return strata_fail(err, "EFORMAT", "%s", what);
}

static int inflate_step(void *state, const unsigned char **in, size_t *in_len, unsigned char *out,
                        size_t out_cap, size_t *produced, bool *ended, struct strata_err *err)
{
	struct inflate_state *s = state;
	uint32_t avail_in = (uint32_t)(*in_len < STEP_MAX ? *in_len : STEP_MAX);
	uint32_t avail_out = (uint32_t)(out_cap < STEP_MAX ? out_cap : STEP_MAX);
	int rc;

	s->next_in = unconst(*in);
	s->avail_in = avail_in;
	s->next_out = out;
	s->avail_out = avail_out;
	rc = isal_inflate(s);
	*in += avail_in - s->avail_in;
	*in_len -= avail_in - s->avail_in;
	*produced = avail_out - s->avail_out;
	if (rc < 0)
		return fail_inflate(rc, err);
	*ended = s->block_state == ISAL_BLOCK_FINISH;
	return 0;
}

static uint32_t inflate_crc(const void *state)
{
	return ((const struct inflate_state *)state)->crc;
}

/*
 * ISA-L reads up to 64 bits ahead into read_in and leaves them there when the
 * stream ends. Behind the rest of the last block's byte they are the bytes
 * that follow the stream, perhaps from an earlier call's input.
 */
static size_t inflate_leftover(void *state, unsigned char out[STRATA_LEFTOVER_MAX])
{
	struct inflate_state *s = state;
	size_t bits = s->read_in_length > 0 ? (size_t)s->read_in_length : 0;
	uint64_t bytes = s->read_in >> bits % 8;
	size_t n = bits / 8;

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(bytes >> 8 * i);
	s->read_in = 0;
	s->read_in_length = 0;
	return n;
}

const struct strata_inflate_library strata_inflate_isal = {
        inflate_open, free, inflate_reset, inflate_step, inflate_crc, inflate_leftover,
};

/* ---- deflate ----------------------------------------------------------- */

/* 1 % smaller than level 1 for 5 % more time. Level 3 takes a third more, for 2 %. */
#define DEFAULT_LEVEL 2

struct deflater {
	struct isal_zstream stream;
	uint32_t level;
	uint32_t work_size;
	uint8_t *work; /* ISA-L's memory for the level */
};

static const uint32_t work_sizes[] = {
        ISAL_DEF_LVL0_DEFAULT,
        ISAL_DEF_LVL1_DEFAULT,
        ISAL_DEF_LVL2_DEFAULT,
        ISAL_DEF_LVL3_DEFAULT,
};

static void deflate_close(void *state)
{
	struct deflater *d = state;

	free(d->work);
	free(d);
}

static void *deflate_open(int level, struct strata_err *err)
{
	struct deflater *d = calloc(1, sizeof(*d));

	if (!d) {
		strata_fail_nomem(err);
		return NULL;
	}
	if (level < 0)
		level = DEFAULT_LEVEL;
	d->level = level < ISAL_DEF_MAX_LEVEL ? (uint32_t)level : ISAL_DEF_MAX_LEVEL;
	d->work_size = work_sizes[d->level];
	if (d->work_size > 0) {
		d->work = calloc(1, d->work_size);
		if (!d->work) {
			deflate_close(d);
			strata_fail_nomem(err);
			return NULL;
		}
	}
	return d;
}

/* Bytes at the beginning of a segment that are stored, not compressed. */
#define HEAD_MAX 8

/* Writes the first bytes of a segment as a stored block; returns how many they are. */
static size_t store_head(const unsigned char *in, size_t len, unsigned char **out)
{
	size_t n = len < HEAD_MAX ? len : HEAD_MAX;
	unsigned char *o = *out;

	*o++ = 0;
	*o++ = (unsigned char)n;
	*o++ = 0;
	*o++ = (unsigned char)~n;
	*o++ = 0xff;
	memcpy(o, in, n);
	*out = o + n;
	return n;
}

/*
 * The output has to depend on the segment alone. ISA-L 2.30 starts its levels 1
 * and 2 with the hash of a register that still holds the stream's address, but
 * only when there are no bytes before. So a few are stored, and are the history
 * of the rest, which goes in by one call: cut otherwise it makes other blocks.
 */
static int deflate_segment(void *state, const unsigned char *in, size_t len, unsigned char *out,
                           size_t *out_len, struct strata_err *err)
{
	struct deflater *d = state;
	struct isal_zstream *s = &d->stream;
	unsigned char *rest = out;
	size_t head = store_head(in, len, &rest);
	int rc = COMP_OK;

	isal_deflate_init(s);
	s->level = d->level;
	s->level_buf = d->work;
	s->level_buf_size = d->work_size;
	s->flush = FULL_FLUSH;
	s->next_in = unconst(in + head);
	s->avail_in = (uint32_t)(len - head);
	s->next_out = rest;
	s->avail_out = (uint32_t)(STRATA_GZIP_SEGMENT_ROOM - (size_t)(rest - out));
	if (len > head)
		rc = isal_deflate_set_dict(s, unconst(in), (uint32_t)head);
	if (rc == COMP_OK && len > head)
		rc = isal_deflate(s);
	if (rc != COMP_OK)
		return strata_fail(err, "EIO", "ISA-L cannot deflate (error %d)", rc);
	/* With room left everything is out and flushed. */
	*out_len = s->avail_out > 0 ? STRATA_GZIP_SEGMENT_ROOM - s->avail_out : 0;
	return 0;
}

static uint32_t deflate_crc(uint32_t crc, const unsigned char *bytes, size_t len)
{
	return crc32_gzip_refl(crc, bytes, len);
}

const struct strata_deflate_library strata_deflate_isal = {
        deflate_open,
        deflate_close,
        deflate_segment,
        deflate_crc,
};

#else

/* ISO C forbids an empty translation unit. */
typedef int strata_codec_without_isal;

#endif
