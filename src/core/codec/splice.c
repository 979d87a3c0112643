#include "core/codec/splice.h"

#include <stdlib.h>

#include "core/codec/internal.h"

/* Output is compared in pieces. */
#define PIECE ((size_t)32 << 10)

struct strata_splice {
	struct strata_buf out; /* the last call's */
	unsigned partial;      /* of the byte behind out: its lowest bits */
	unsigned count;        /* how many bits these are, 0 to 7 */
	void *inflater;
	struct strata_window window; /* the plain bytes so far */
	unsigned char piece[PIECE];
};

struct strata_splice *strata_splice_new(struct strata_err *err)
{
	struct strata_splice *s = calloc(1, sizeof(*s));

	if (!s) {
		strata_fail_nomem(err);
		return NULL;
	}
	s->inflater = STRATA_INFLATE->open(err);
	if (!s->inflater) {
		free(s);
		return NULL;
	}
	return s;
}

void strata_splice_free(struct strata_splice *s)
{
	if (!s)
		return;
	STRATA_INFLATE->close(s->inflater);
	strata_buf_free(&s->out);
	free(s);
}

/* ---- bits ---------------------------------------------------------------- */

/* Bytes that a part of the stream takes at most, beside those that are copied. */
#define GLUE_MAX 64

/* Puts n bits, 0 to 32. There is room. */
static void put(struct strata_splice *s, uint32_t bits, unsigned n)
{
	uint64_t all = s->partial | (uint64_t)bits << s->count;

	for (s->count += n; s->count >= 8; s->count -= 8) {
		s->out.data[s->out.len++] = (char)(all & 0xff);
		all >>= 8;
	}
	s->partial = (unsigned)all;
}

/* An empty stored block takes the bits up to a byte. */
static void align(struct strata_splice *s)
{
	if (s->count == 0)
		return;
	put(s, 0, 3);
	if (s->count > 0)
		put(s, 0, 8 - s->count);
	put(s, 0xffff0000, 32);
}

/* Type 1, and the code that ends it: ten bits. */
static void put_empty_fixed(struct strata_splice *s, bool final)
{
	put(s, final ? 3 : 2, 3);
	put(s, 0, 7);
}

/*
 * An empty block of an odd number of bits, 95: type 2, codes of one bit for the literals 255 and
 * 256 and for two distances.
 */
static void put_empty_dynamic(struct strata_splice *s)
{
	static const unsigned char order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
	                                        11, 4,  12, 3, 13, 2, 14, 1, 15};

	put(s, 4, 3);
	put(s, 0, 5);  /* 257 literals and lengths */
	put(s, 1, 5);  /* 2 distances */
	put(s, 15, 4); /* the lengths of all 19 codes of lengths: those of 1 and 18 are one bit */
	for (int i = 0; i < 19; i++)
		put(s, order[i] == 1 || order[i] == 18, 3);
	put(s, 1 | (138 - 11) << 1, 8); /* 255 zeros */
	put(s, 1 | (117 - 11) << 1, 8);
	put(s, 0, 4); /* four times 1 */
	put(s, 1, 1); /* the end of the block */
}

static void pad_to(struct strata_splice *s, unsigned bit)
{
	if ((s->count ^ bit) & 1)
		put_empty_dynamic(s);
	while (s->count != bit)
		put_empty_fixed(s, false);
}

/* Copies bits that begin at the same bit of a byte as s->out ends with. */
static void copy_bits(struct strata_splice *s, const unsigned char *from, unsigned bit,
                      uint64_t bits)
{
	if (bit > 0) {
		unsigned n = bits < 8 - bit ? (unsigned)bits : 8 - bit;

		put(s, (unsigned)*from++ >> bit & ((1u << n) - 1), n);
		bits -= n;
	}
	if (bits >= 8) {
		memcpy(s->out.data + s->out.len, from, (size_t)(bits / 8));
		s->out.len += (size_t)(bits / 8);
		from += bits / 8;
	}
	if (bits % 8 > 0)
		put(s, *from & ((1u << bits % 8) - 1), (unsigned)(bits % 8));
}

/* ---- the result is inflated again --------------------------------- */

static int wrong(struct strata_err *err, const char *what)
{
	return strata_fail(err, "EIO", "deflate blocks were put together wrongly: %s", what);
}

/*
 * The bits of s->out from bit `first` on, and those of the byte behind it, are whole blocks that
 * give these bytes; with `ends` the last of them is the last of the stream.
 */
static int check(struct strata_splice *s, unsigned first, const unsigned char *plain, size_t len,
                 bool ends, struct strata_err *err)
{
	enum strata_inflate_stop stop = STRATA_INFLATE_ON,
	                         last = ends ? STRATA_INFLATE_END : STRATA_INFLATE_BLOCK_END;
	const unsigned char *in = (const unsigned char *)s->out.data;
	size_t left = s->out.len + (s->count > 0), bits = 8 * s->out.len + s->count, made, before;

	if (bits == first)
		return len == 0 ? 0 : wrong(err, "there are none");
	if (s->count > 0)
		s->out.data[s->out.len] = (char)s->partial;
	if (STRATA_INFLATE->begin_at(s->inflater, &s->window, first ? (unsigned)*in >> first : 0,
	                             first ? 8 - first : 0, err) < 0)
		return -1;
	if (first) {
		in++;
		left--;
	}
	bits = 8 * left - (s->count > 0 ? 8 - s->count : 0);
	for (before = left;;) {
		size_t was_left = left;

		stop = STRATA_INFLATE_ON;
		made = 0;
		if (STRATA_INFLATE->step(s->inflater, &in, &left, s->piece, PIECE, &made, &stop,
		                         err) < 0)
			return -1;
		if (made > len || (made > 0 && memcmp(s->piece, plain, made) != 0))
			return wrong(err, "they inflate to other bytes");
		plain += made;
		len -= made;
		if (stop != STRATA_INFLATE_ON &&
		    8 * (before - left) - STRATA_INFLATE->unread(s->inflater) == bits)
			break;
		if (stop == STRATA_INFLATE_END ||
		    (stop == STRATA_INFLATE_ON && made == 0 && left == was_left))
			return wrong(err, "they do not end where they should");
	}
	if (stop != last || len > 0)
		return wrong(err, "they end too early");
	return 0;
}

/* ---- the parts of the stream ------------------------------------------------------ */

static int begin(struct strata_splice *s, uint64_t bytes, const struct strata_buf **out,
                 struct strata_err *err)
{
	*out = &s->out;
	s->out.len = 0;
	if (bytes > SIZE_MAX - GLUE_MAX)
		return strata_fail_nomem(err);
	return strata_buf_reserve(&s->out, (size_t)bytes + GLUE_MAX, err);
}

int strata_splice_segment(struct strata_splice *s, const unsigned char *packed, size_t packed_len,
                          const unsigned char *plain, size_t len, const struct strata_buf **out,
                          struct strata_err *err)
{
	unsigned first = s->count;

	if (begin(s, packed_len, out, err) < 0)
		return -1;
	align(s);
	copy_bits(s, packed, 0, 8 * (uint64_t)packed_len);
	if (check(s, first, plain, len, false, err) < 0)
		return -1;
	strata_window_add(&s->window, plain, len);
	return 0;
}

/* The block that begins at that bit is not the last one of the stream. Blocks have ten bits and
 * more, so that its first one is in a whole byte. */
static void clear_final(struct strata_splice *s, uint64_t bit)
{
	unsigned char *byte = (unsigned char *)s->out.data + bit / 8;

	*byte = (unsigned char)(*byte & ~(1u << bit % 8));
}

int strata_splice_run(struct strata_splice *s, const struct strata_run *run, bool checked,
                      const unsigned char *plain, size_t len, const struct strata_buf **out,
                      struct strata_err *err)
{
	unsigned first = s->count;
	uint64_t start;

	if (begin(s, run->bits / 8, out, err) < 0)
		return -1;
	if (run->joins && s->count != run->bit)
		return wrong(err, "a run does not go on where it ended");
	pad_to(s, run->bit);
	start = 8 * s->out.len + s->count;
	copy_bits(s, run->packed, run->bit, run->bits);
	if (run->final < run->bits)
		clear_final(s, start + run->final);
	if (checked && check(s, first, plain, len, false, err) < 0)
		return -1;
	strata_window_add(&s->window, plain, len);
	return 0;
}

int strata_splice_end(struct strata_splice *s, const struct strata_segment_sum *sum,
                      const struct strata_buf **out, struct strata_err *err)
{
	static const unsigned char nothing[1];
	unsigned first = s->count;

	if (begin(s, 0, out, err) < 0)
		return -1;
	put_empty_fixed(s, true);
	if (check(s, first, nothing, 0, true, err) < 0)
		return -1;
	if (s->count > 0)
		put(s, 0, 8 - s->count);
	put(s, sum->crc, 32);
	put(s, (uint32_t)sum->size, 32); /* modulo 2^32: ISIZE */
	return 0;
}
