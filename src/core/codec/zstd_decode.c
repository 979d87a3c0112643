/*
 * Decoding zstd (RFC 8878) through libzstd: frames and skippable frames follow each
 * other, checksums are verified, the window is limited. The magic number of
 * every frame is checked here, so that neither garbage behind a frame nor the
 * formats from before version 0.8 reach the library, and so is the size that its
 * header states: behind an empty last block libzstd does that only for a frame
 * that it gets as a whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/codec/internal.h"

#define MAGIC_LEN 4
#define HEADER_MAX 18

struct zstd_decoder {
	struct strata_decoder base;
	ZSTD_DCtx *ctx;
	int window_log; /* the largest allowed */
	bool in_frame;
	unsigned char header[HEADER_MAX]; /* of the next frame, as far as it has arrived */
	size_t have;
	uint64_t left;   /* if sized: bytes of the frame's content to come */
	bool sized;      /* the header states the size of the content */
	uint64_t offset; /* of the next input byte */
	uint64_t output;
	bool skippable;            /* the frame is */
	struct strata_block block; /* the frame */
};

static int fail_frame(struct zstd_decoder *d, struct strata_err *err, const char *code,
                      const char *what)
{
	return strata_fail(err, code, "zstd frame %llu: %s (offset 0x%llx)",
	                   (unsigned long long)d->base.members, what,
	                   (unsigned long long)d->offset);
}

static int fail_window(struct zstd_decoder *d, struct strata_err *err)
{
	char what[80];

	snprintf(what, sizeof(what), "its window is larger than limits.zstd_window (%llu bytes)",
	         1ULL << d->window_log);
	return fail_frame(d, err, "ELIMIT", what);
}

static int fail_zstd(struct zstd_decoder *d, size_t rc, struct strata_err *err)
{
	switch (ZSTD_getErrorCode(rc)) {
	case ZSTD_error_memory_allocation:
		return strata_fail_nomem(err);
	case ZSTD_error_frameParameter_windowTooLarge:
		return fail_window(d, err);
	case ZSTD_error_dictionary_wrong:
		return fail_frame(d, err, "EUNSUPPORTED", "it needs a dictionary");
	default:
		return fail_frame(d, err, "EFORMAT", ZSTD_getErrorName(rc));
	}
}

static void end_frame(struct zstd_decoder *d)
{
	d->block.bit_end = 8 * d->offset;
	d->block.to = d->output;
	if (d->base.tell && !d->skippable)
		d->base.tell(d->base.tell_arg, &d->block);
}

/* One call of the library; updates offset, output and in_frame. */
static int decompress(struct zstd_decoder *d, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
                      struct strata_err *err)
{
	size_t before = in->pos, made = out->pos;
	size_t rc = ZSTD_decompressStream(d->ctx, out, in);

	if (ZSTD_isError(rc))
		return fail_zstd(d, rc, err);
	d->offset += in->pos - before;
	d->output += out->pos - made;
	d->in_frame = rc != 0;
	d->left -= out->pos -
	           made; /* output beyond the stated size wraps around: not 0 at the end either */
	if (d->sized && !d->in_frame && d->left != 0)
		return fail_frame(d, err, "EFORMAT",
		                  "its content is not as long as its header says");
	if (!d->in_frame)
		end_frame(d);
	return 0;
}

static bool magic_valid(const unsigned char *m)
{
	static const unsigned char frame[MAGIC_LEN] = {0x28, 0xb5, 0x2f, 0xfd};
	static const unsigned char skippable[MAGIC_LEN - 1] = {0x2a, 0x4d, 0x18};

	return memcmp(m, frame, MAGIC_LEN) == 0 ||
	       ((m[0] & 0xf0) == 0x50 && memcmp(m + 1, skippable, sizeof(skippable)) == 0);
}

/*
 * The length of a frame's header, as far as the bytes that have arrived tell. Of a skippable frame
 * only the magic number is collected.
 */
static size_t header_size(const unsigned char *h, size_t have)
{
	static const unsigned char dictionary[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
	unsigned flags = have > MAGIC_LEN ? h[MAGIC_LEN] : 0;
	bool single = flags >> 5 & 1;

	if (have < MAGIC_LEN || h[0] != 0x28)
		return MAGIC_LEN;
	if (have == MAGIC_LEN)
		return MAGIC_LEN + 1;
	return MAGIC_LEN + (single ? 1u : 2u) + dictionary[flags & 3] +
	       (single && flags >> 6 == 0 ? 1 : content[flags >> 6]);
}

/* Collects a frame's header and gives it to the library. */
static int begin_frame(struct zstd_decoder *d, ZSTD_inBuffer *in, struct strata_err *err)
{
	ZSTD_inBuffer header = {d->header, 0, 0};
	ZSTD_outBuffer none = {NULL, 0, 0};
	const unsigned char *p = in->src;
	unsigned long long content;

	if (d->have == 0)
		d->base.members++;
	while (d->have < header_size(d->header, d->have) && in->pos < in->size) {
		d->header[d->have++] = p[in->pos++];
		d->offset++;
		if (d->have == MAGIC_LEN && !magic_valid(d->header))
			return fail_frame(d, err, "EFORMAT",
			                  d->base.members > 1
			                          ? "trailing bytes are no further frame"
			                          : "no zstd magic number");
	}
	if (d->have < header_size(d->header, d->have))
		return 0;
	content = ZSTD_getFrameContentSize(d->header, d->have);
	d->skippable = d->header[0] != 0x28;
	d->sized = !d->skippable && content != ZSTD_CONTENTSIZE_UNKNOWN &&
	           content != ZSTD_CONTENTSIZE_ERROR;
	d->left = d->sized ? content : 0;
	header.size = d->have;
	d->offset -= d->have;
	d->have = 0;
	d->block.bit = 8 * d->offset;
	d->block.from = d->block.member = d->output;
	if (decompress(d, &header, &none, err) < 0)
		return -1;
	d->in_frame = true;
	return 0;
}

static int zstd_step(struct strata_decoder *base, const unsigned char **in, size_t *in_len,
                     unsigned char *out, size_t out_cap, size_t *produced, struct strata_err *err)
{
	struct zstd_decoder *d = (struct zstd_decoder *)base;
	ZSTD_inBuffer source = {*in, *in_len, 0};
	ZSTD_outBuffer target = {out, out_cap, 0};
	int rc = 0;

	for (;;) {
		size_t taken = source.pos, made = target.pos;

		if (d->in_frame)
			rc = decompress(d, &source, &target, err);
		else if (source.pos < source.size)
			rc = begin_frame(d, &source, err);
		if (rc < 0 || (taken == source.pos && made == target.pos))
			break;
	}
	if (source.pos > 0) {
		*in += source.pos;
		*in_len -= source.pos;
	}
	*produced = target.pos;
	return rc;
}

static int zstd_finish(struct strata_decoder *base, struct strata_err *err)
{
	struct zstd_decoder *d = (struct zstd_decoder *)base;

	if (d->offset == 0)
		return fail_frame(d, err, "EFORMAT", "no bytes at all");
	if (d->in_frame || d->have > 0)
		return fail_frame(d, err, "EFORMAT", "truncated");
	return 0;
}

static void zstd_free(struct strata_decoder *base)
{
	struct zstd_decoder *d = (struct zstd_decoder *)base;

	ZSTD_freeDCtx(d->ctx);
	free(d);
}

#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 31

static void limit_window(struct zstd_decoder *d, uint64_t bytes)
{
	int log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && (uint64_t)2 << log <= bytes)
		log++;
	/* On 32-bit machines the library refuses the largest ones, and keeps its own limit. */
	if (!ZSTD_isError(ZSTD_DCtx_setParameter(d->ctx, ZSTD_d_windowLogMax, log)))
		d->window_log = log;
}

static const struct strata_decoder_ops zstd_decoder_ops = {zstd_step, zstd_finish, zstd_free};

struct strata_decoder *strata_zstd_decoder_new(uint64_t window, struct strata_err *err)
{
	struct zstd_decoder *d = calloc(1, sizeof(*d));

	if (!d) {
		strata_fail_nomem(err);
		return NULL;
	}
	d->base.ops = &zstd_decoder_ops;
	d->ctx = ZSTD_createDCtx();
	if (!d->ctx) {
		zstd_free(&d->base);
		strata_fail_nomem(err);
		return NULL;
	}
	limit_window(d, window != 0 ? window : STRATA_ZSTD_WINDOW_DEFAULT);
	return &d->base;
}
