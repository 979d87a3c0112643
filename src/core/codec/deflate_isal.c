/* Raw deflate through ISA-L. */
#ifdef STRATA_WITH_ISAL

#include <isa-l.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/deflate_head.h"
#include "core/codec/internal.h"

/* ISA-L counts in 32 bits. */
#define STEP_MAX ((size_t)1 << 30)

/* ISA-L's structures lack `const`, but it does not write to its input. */
static uint8_t *unconst(const unsigned char *p)
{
	return (uint8_t *)(uintptr_t)p;
}

/* ---- inflate ----------------------------------------------------------- */

/*
 * ISA-L offers no stop at the end of a block. But it looks at its flag for the last block only when
 * one ends, and ends the stream there if the flag is set. So the header of each block is read here
 * first, and then goes to ISA-L with the bit set that says so. The next block begins as a stream
 * with a dictionary does: the 32 KiB before it.
 */
struct inflater {
	struct inflate_state isal;
	bool in_block;
	bool final;                                  /* the block is the last one */
	unsigned char head[STRATA_DEFLATE_HEAD_MAX]; /* of a header that comes in pieces */
	size_t head_start;                           /* what ISA-L has taken of it */
	size_t head_end;
	struct strata_window window;
	bool window_changed; /* since the block began */
};

static int inflate_reset(void *state, struct strata_err *err)
{
	struct inflater *s = state;

	(void)err;
	isal_inflate_reset(&s->isal);
	s->isal.crc_flag = ISAL_GZIP_NO_HDR; /* raw deflate, CRC-32 of the output on the way */
	s->in_block = s->window_changed = false;
	s->head_start = s->head_end = s->window.len = 0;
	return 0;
}

static int inflate_begin_at(void *state, const struct strata_window *before, unsigned bits,
                            unsigned count, struct strata_err *err)
{
	struct inflater *s = state;

	inflate_reset(s, err);
	strata_window_add(&s->window, before->bytes, before->len);
	s->window_changed = before->len > 0;
	s->isal.read_in = bits;
	s->isal.read_in_length = (int32_t)count;
	return 0;
}

static void *inflate_open(struct strata_err *err)
{
	struct inflater *s = calloc(1, sizeof(*s));

	if (!s) {
		strata_fail_nomem(err);
		return NULL;
	}
	isal_inflate_init(&s->isal);
	inflate_reset(s, err);
	return s;
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

static unsigned held_bits(const struct inflate_state *isal)
{
	return isal->read_in_length > 0 ? (unsigned)isal->read_in_length : 0;
}

/* Bits that are not counted may be set, as ISA-L reads more than it counts. */
static void drop_uncounted(struct inflate_state *isal)
{
	unsigned held = held_bits(isal);

	isal->read_in_length = (int32_t)held;
	if (held < 64)
		isal->read_in &= ((uint64_t)1 << held) - 1;
}

/* Reads a header that came in pieces, or will; 1 when it is whole, and its bytes are s->head. */
static int gather_head(struct inflater *s, const unsigned char **in, size_t *in_len,
                       struct strata_deflate_head *head, struct strata_err *err)
{
	unsigned held = held_bits(&s->isal);
	size_t n = sizeof(s->head) - s->head_end;
	int status;

	if (n > *in_len)
		n = *in_len;
	memcpy(s->head + s->head_end, *in, n);
	s->head_end += n;
	status = strata_deflate_head(s->isal.read_in, held, s->head, s->head_end, head, err);
	if (status > 0) {
		/* The pieces before were not all of it, so what is too much is of this one. */
		size_t used = head->bits > held ? (head->bits - held + 7) / 8 : 0;

		n -= s->head_end - used;
		s->head_end = used;
	}
	*in += n;
	*in_len -= n;
	if (status == 0 && s->head_end == sizeof(s->head))
		return strata_fail(err, "EFORMAT", "invalid deflate block");
	return status;
}

/* 1 when a block has begun, 0 when its header is not complete. */
static int begin_block(struct inflater *s, const unsigned char **in, size_t *in_len,
                       struct strata_err *err)
{
	struct inflate_state *isal = &s->isal;
	struct strata_deflate_head head = {0};
	int status = 0;

	drop_uncounted(isal);
	if (s->head_end == 0)
		status = strata_deflate_head(isal->read_in, held_bits(isal), *in, *in_len, &head,
		                             err);
	if (status == 0)
		status = gather_head(s, in, in_len, &head, err);
	if (status <= 0)
		return status;
	if (s->window_changed) {
		isal->total_out = 0; /* distances may not reach beyond it and the dictionary */
		if (isal_inflate_set_dict(isal, s->window.bytes, (uint32_t)s->window.len) !=
		    COMP_OK)
			return strata_fail(err, "EIO", "ISA-L does not take a dictionary");
		s->window_changed = false;
	}
	if (isal->read_in_length == 0) {
		if (s->head_end > 0) {
			isal->read_in = s->head[s->head_start++];
		} else {
			isal->read_in = *(*in)++;
			--*in_len;
		}
		isal->read_in_length = 8;
	}
	isal->read_in |= 1;
	s->final = head.final;
	s->in_block = true;
	return 1;
}

static int inflate_step(void *state, const unsigned char **in, size_t *in_len, unsigned char *out,
                        size_t out_cap, size_t *produced, enum strata_inflate_stop *stop,
                        struct strata_err *err)
{
	struct inflater *s = state;
	struct inflate_state *isal = &s->isal;
	uint32_t avail_in, avail_out = (uint32_t)(out_cap < STEP_MAX ? out_cap : STEP_MAX);
	bool from_head;
	int rc = s->in_block ? 1 : begin_block(s, in, in_len, err);

	if (rc <= 0)
		return rc;
	from_head = s->head_start < s->head_end;
	avail_in = (uint32_t)(*in_len < STEP_MAX ? *in_len : STEP_MAX);
	if (from_head)
		avail_in = (uint32_t)(s->head_end - s->head_start);
	isal->next_in = unconst(from_head ? s->head + s->head_start : *in);
	isal->avail_in = avail_in;
	isal->next_out = out;
	isal->avail_out = avail_out;
	rc = isal_inflate(isal);
	if (from_head) {
		s->head_start += avail_in - isal->avail_in;
	} else {
		*in += avail_in - isal->avail_in;
		*in_len -= avail_in - isal->avail_in;
	}
	*produced = avail_out - isal->avail_out;
	if (rc < 0)
		return fail_inflate(rc, err);
	strata_window_add(&s->window, out, *produced);
	s->window_changed |= *produced > 0;
	if (isal->block_state == ISAL_BLOCK_FINISH) {
		*stop = s->final ? STRATA_INFLATE_END : STRATA_INFLATE_BLOCK_END;
		isal->block_state = ISAL_BLOCK_NEW_HDR;
		s->in_block = false;
		s->head_start = s->head_end = 0;
	}
	return 0;
}

/* ISA-L reads up to 64 bits ahead, perhaps from an earlier call's input. */
static unsigned inflate_unread(const void *state)
{
	return held_bits(&((const struct inflater *)state)->isal);
}

static uint32_t inflate_crc(const void *state)
{
	return ((const struct inflater *)state)->isal.crc;
}

/*
 * ISA-L leaves the bits that it has read ahead in read_in when the stream ends. Behind the rest of
 * the last block's byte they are the bytes that follow the stream.
 */
static size_t inflate_leftover(void *state, unsigned char out[STRATA_LEFTOVER_MAX])
{
	struct inflate_state *isal = &((struct inflater *)state)->isal;
	unsigned held = held_bits(isal);
	uint64_t bytes = isal->read_in >> held % 8;
	size_t n = held / 8;

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(bytes >> 8 * i);
	isal->read_in = 0;
	isal->read_in_length = 0;
	return n;
}

const struct strata_inflate_library strata_inflate_isal = {
        inflate_open, free,           inflate_reset, inflate_begin_at,
        inflate_step, inflate_unread, inflate_crc,   inflate_leftover,
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
