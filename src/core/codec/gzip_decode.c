/*
 * The framing of gzip (RFC 1952) around a raw inflater: headers are checked
 * and passed over, every member's CRC-32 and size are compared with its
 * trailer, members follow each other, NUL bytes may follow the last.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/codec/internal.h"

enum state {
	FIXED,     /* the ten bytes that every header begins with */
	EXTRA_LEN, /* from here on the parts of a header are optional; its flags announce them */
	EXTRA,
	NAME,
	COMMENT,
	HEADER_CRC,
	BODY,
	TRAILER,
	BETWEEN, /* behind a member */
	PADDING,
};

#define FIXED_LEN 10
#define TRAILER_LEN 8

enum flag {
	FLAG_HCRC = 1 << 1,
	FLAG_EXTRA = 1 << 2,
	FLAG_NAME = 1 << 3,
	FLAG_COMMENT = 1 << 4,
	FLAGS_RESERVED = 0xe0,
};

struct gzip_decoder {
	struct strata_decoder base;
	const struct strata_inflate_library *library;
	void *inflater;
	enum state state;
	unsigned char field[FIXED_LEN]; /* of the header or trailer, as far as it has arrived */
	size_t have;                    /* bytes of `field` */
	unsigned char flags;
	size_t extra_left;
	uint32_t header_crc;
	uint64_t offset; /* of the next input byte */
	uint64_t output;
	struct strata_block block; /* the one that is being decoded */
};

/* The rest of the input of one step. */
struct cursor {
	const unsigned char *p;
	size_t len;
};

static int fail_format(struct gzip_decoder *d, struct strata_err *err, const char *what)
{
	return strata_fail(err, "EFORMAT", "gzip member %llu: %s (offset 0x%llx)",
	                   (unsigned long long)d->base.members, what,
	                   (unsigned long long)d->offset);
}

static void consume(struct gzip_decoder *d, struct cursor *in, size_t n)
{
	in->p += n;
	in->len -= n;
	d->offset += n;
}

/* The same inside a header, whose bytes the optional header CRC covers. */
static void consume_header(struct gzip_decoder *d, struct cursor *in, size_t n)
{
	d->header_crc = (uint32_t)crc32_z(d->header_crc, in->p, n);
	consume(d, in, n);
}

/* Collects the current field; true when all its bytes are there. */
static bool collect(struct gzip_decoder *d, struct cursor *in, size_t want)
{
	size_t n = want - d->have;

	if (n > in->len)
		n = in->len;
	memcpy(d->field + d->have, in->p, n);
	d->have += n;
	if (d->state == FIXED || d->state == EXTRA_LEN)
		consume_header(d, in, n);
	else
		consume(d, in, n);
	return d->have == want;
}

static uint32_t load_le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void enter(struct gzip_decoder *d, enum state state)
{
	d->state = state;
	d->have = 0;
}

static void enter_body(struct gzip_decoder *d)
{
	enter(d, BODY);
	d->block.bit = 8 * d->offset;
	d->block.from = d->block.member = d->output;
}

/* Goes to the next part of the header that the flags announce. */
static void enter_after(struct gzip_decoder *d, enum state state)
{
	if (state < EXTRA_LEN && (d->flags & FLAG_EXTRA))
		enter(d, EXTRA_LEN);
	else if (state < NAME && (d->flags & FLAG_NAME))
		enter(d, NAME);
	else if (state < COMMENT && (d->flags & FLAG_COMMENT))
		enter(d, COMMENT);
	else if (state < HEADER_CRC && (d->flags & FLAG_HCRC))
		enter(d, HEADER_CRC);
	else
		enter_body(d);
}

/* Checks the bytes that have arrived, so that input of another format fails at once. */
static int check_fixed(struct gzip_decoder *d, struct strata_err *err)
{
	const unsigned char *f = d->field;

	if ((d->have > 0 && f[0] != 0x1f) || (d->have > 1 && f[1] != 0x8b)) {
		if (d->base.members > 1)
			return fail_format(d, err, "trailing bytes are no further member");
		return fail_format(d, err, "no gzip header");
	}
	if (d->have > 2 && f[2] != 8)
		return fail_format(d, err, "unknown compression method");
	if (d->have > 3 && (f[3] & FLAGS_RESERVED))
		return fail_format(d, err, "reserved header flags are set");
	return 0;
}

static int begin_member(struct gzip_decoder *d, struct strata_err *err)
{
	if (d->base.members > 0 && d->library->reset(d->inflater, err) < 0)
		return -1;
	d->base.members++;
	d->header_crc = 0;
	enter(d, FIXED);
	return 0;
}

static int check_trailer(struct gzip_decoder *d, struct strata_err *err)
{
	if (load_le32(d->field) != d->library->crc(d->inflater))
		return fail_format(d, err, "its CRC-32 does not match");
	/* ISIZE counts modulo 2^32. */
	if (load_le32(d->field + 4) != (uint32_t)(d->output - d->block.member))
		return fail_format(d, err, "its length does not match");
	enter(d, BETWEEN);
	return 0;
}

/* One part of the header, or as much of it as there is input for. */
static int step_header(struct gzip_decoder *d, struct cursor *in, struct strata_err *err)
{
	const unsigned char *nul;
	bool complete;
	size_t n;

	switch (d->state) {
	case FIXED:
		complete = collect(d, in, FIXED_LEN);
		if (check_fixed(d, err) < 0)
			return -1;
		if (complete) {
			d->flags = d->field[3];
			enter_after(d, FIXED);
		}
		return 0;
	case EXTRA_LEN:
		if (collect(d, in, 2)) {
			d->extra_left = (size_t)(d->field[0] | d->field[1] << 8);
			d->state = EXTRA;
		}
		return 0;
	case EXTRA:
		n = d->extra_left < in->len ? d->extra_left : in->len;
		d->extra_left -= n;
		consume_header(d, in, n);
		if (d->extra_left == 0)
			enter_after(d, EXTRA);
		return 0;
	case NAME:
	case COMMENT:
		nul = memchr(in->p, 0, in->len);
		consume_header(d, in, nul ? (size_t)(nul - in->p) + 1 : in->len);
		if (nul)
			enter_after(d, d->state);
		return 0;
	default: /* HEADER_CRC */
		if (!collect(d, in, 2))
			return 0;
		if ((d->header_crc & 0xffff) != (uint32_t)(d->field[0] | d->field[1] << 8))
			return fail_format(d, err, "its header's CRC does not match");
		enter_body(d);
		return 0;
	}
}

static void end_block(struct gzip_decoder *d, bool final)
{
	struct strata_block *b = &d->block;

	b->bit_end = 8 * d->offset - d->library->unread(d->inflater);
	b->to = d->output;
	b->final = final;
	d->base.empty_blocks += b->from == b->to;
	if (d->base.tell)
		d->base.tell(d->base.tell_arg, b);
	b->bit = b->bit_end;
	b->from = b->to;
}

static int step_body(struct gzip_decoder *d, struct cursor *in, unsigned char *out, size_t out_cap,
                     size_t *produced, struct strata_err *err)
{
	size_t before = in->len, n = 0;
	enum strata_inflate_stop stop = STRATA_INFLATE_ON;
	int rc = d->library->step(d->inflater, &in->p, &in->len, out + *produced,
	                          out_cap - *produced, &n, &stop, err);

	d->offset += before - in->len;
	*produced += n;
	d->output += n;
	if (rc < 0)
		return strata_err_wrap(err, "gzip member %llu (offset 0x%llx)",
		                       (unsigned long long)d->base.members,
		                       (unsigned long long)d->offset);
	if (stop != STRATA_INFLATE_ON)
		end_block(d, stop == STRATA_INFLATE_END);
	if (stop == STRATA_INFLATE_END) {
		enter(d, TRAILER);
		d->have = d->library->leftover(d->inflater, d->field);
		if (d->have == TRAILER_LEN)
			return check_trailer(d, err);
	}
	return 0;
}

static int step_between(struct gzip_decoder *d, struct cursor *in, struct strata_err *err)
{
	size_t n = 0;

	if (in->len == 0)
		return 0;
	if (d->state == BETWEEN && in->p[0] != 0)
		return begin_member(d, err);
	while (n < in->len && in->p[n] == 0)
		n++;
	consume(d, in, n);
	d->state = PADDING;
	if (in->len > 0)
		return fail_format(d, err, "trailing bytes behind the padding");
	return 0;
}

/* One step of the current state; the caller repeats it while that makes progress. */
static int step_once(struct gzip_decoder *d, struct cursor *in, unsigned char *out, size_t out_cap,
                     size_t *produced, struct strata_err *err)
{
	switch (d->state) {
	case BODY:
		return step_body(d, in, out, out_cap, produced, err);
	case TRAILER:
		return collect(d, in, TRAILER_LEN) ? check_trailer(d, err) : 0;
	case BETWEEN:
	case PADDING:
		return step_between(d, in, err);
	default:
		return step_header(d, in, err);
	}
}

static int gzip_step(struct strata_decoder *base, const unsigned char **in, size_t *in_len,
                     unsigned char *out, size_t out_cap, size_t *produced, struct strata_err *err)
{
	struct gzip_decoder *d = (struct gzip_decoder *)base;
	struct cursor cursor = {*in, *in_len};
	enum state state;
	uint64_t bit;
	size_t left, made;
	int rc;

	do {
		state = d->state;
		bit = d->block.bit; /* small blocks may have been read ahead */
		left = cursor.len;
		made = *produced;
		rc = step_once(d, &cursor, out, out_cap, produced, err);
		/* Without room for output the library would only fill its own window. */
		if (d->state == BODY && *produced == out_cap)
			break;
	} while (rc == 0 && (state != d->state || bit != d->block.bit || left != cursor.len ||
	                     made != *produced));
	*in = cursor.p;
	*in_len = cursor.len;
	return rc;
}

static int gzip_finish(struct strata_decoder *base, struct strata_err *err)
{
	struct gzip_decoder *d = (struct gzip_decoder *)base;

	if (d->state == BETWEEN || d->state == PADDING)
		return 0;
	if (d->offset == 0)
		return fail_format(d, err, "no bytes at all");
	return fail_format(d, err, "truncated");
}

static void gzip_free(struct strata_decoder *base)
{
	struct gzip_decoder *d = (struct gzip_decoder *)base;

	if (d->inflater)
		d->library->close(d->inflater);
	free(d);
}

static const struct strata_decoder_ops gzip_decoder_ops = {gzip_step, gzip_finish, gzip_free};

struct strata_decoder *strata_gzip_decoder_new(const struct strata_inflate_library *library,
                                               struct strata_err *err)
{
	struct gzip_decoder *d = calloc(1, sizeof(*d));

	if (!d) {
		strata_fail_nomem(err);
		return NULL;
	}
	d->base.ops = &gzip_decoder_ops;
	d->library = library;
	d->inflater = library->open(err);
	if (!d->inflater || begin_member(d, err) < 0) {
		gzip_free(&d->base);
		return NULL;
	}
	return &d->base;
}
