/*
 * zstd streams of many kinds of frames, and what the frames of a stream are: for splicing. The
 * oracle is libzstd, frame by frame.
 */
#ifndef STRATA_FRAMES_SUPPORT_H
#define STRATA_FRAMES_SUPPORT_H

#include <zstd.h>

#include "codec/codec_support.h"

static inline void append_skippable(struct strata_buf *out, size_t len)
{
	unsigned char head[8] = {0x50 | random_u32() % 16, 0x2a, 0x4d, 0x18};

	for (unsigned i = 0; i < 4; i++)
		head[4 + i] = (unsigned char)(len >> 8 * i);
	append(out, head, sizeof(head));
	append_noise(out, len);
}

/*
 * One frame: any level that is fast, with and without checksum and size of the content, any window,
 * in one piece or flushed at odd places.
 */
static inline void append_frame(struct strata_buf *out, const char *bytes, size_t len)
{
	static ZSTD_CCtx *ctx; /* for all of them */
	size_t room = ZSTD_compressBound(len) + len / 2 + 1000, left = 1;
	ZSTD_inBuffer in = {bytes, len, 0};
	ZSTD_outBuffer to = {NULL, 0, 0};
	struct strata_err err;

	if (ctx == NULL)
		ctx = ZSTD_createCCtx();
	if (ctx == NULL || strata_buf_reserve(out, room, &err) < 0)
		abort();
	ZSTD_CCtx_reset(ctx, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, (int)(random_u32() % 9) - 3);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, random_u32() % 2);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, random_u32() % 2);
	if (random_u32() % 3 == 0)
		ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, 10 + (int)(random_u32() % 18));
	if (random_u32() % 8 == 0 && len > 100000)
		ZSTD_CCtx_setParameter(ctx, ZSTD_c_enableLongDistanceMatching, 1);
	if (random_u32() % 2)
		ZSTD_CCtx_setPledgedSrcSize(ctx, len);
	to.dst = out->data + out->len;
	to.size = out->cap - out->len;
	while (left > 0) {
		size_t flushes = random_u32() % 4, cut = len / 3;

		if (flushes == 0 && in.pos + cut < len && cut > 50000) {
			in.size = in.pos + cut;
			left = ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_flush) + 1;
			in.size = len;
		} else {
			left = ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_end);
		}
		if (ZSTD_isError(left))
			abort();
	}
	out->len += to.pos;
}

/* A stream of one frame, of large ones, or of many; with empty and skippable ones. */
static inline void any_frames(struct strata_buf *out, const struct strata_buf *data)
{
	static const size_t sizes[] = {500, 5000, 100000, 3 * MIB};
	size_t most = sizes[random_u32() % 4], at = 0;
	unsigned odd = random_u32() % 2 ? 4 : 100, single = random_u32() % 8;

	if (data->len / most > 300)
		most = data->len / 300;
	do {
		size_t n = single == 0 ? data->len : 1 + random_u32() % most;

		n = n < data->len - at ? n : data->len - at;
		if (random_u32() % odd == 0)
			append_skippable(out, random_u32() % 3 ? 4 : random_u32() % 3000);
		if (random_u32() % odd == 0)
			append_frame(out, "", 0);
		append_frame(out, data->len > 0 ? data->data + at : "", n);
		at += n;
	} while (at < data->len);
	if (random_u32() % 3 == 0)
		append_skippable(out, random_u32() % 100000);
	if (random_u32() % 3 == 0)
		append_frame(out, "", 0);
}

/* ---- what is there ------------------------------------------------------- */

struct frame {
	const char *bytes;
	size_t len;
	size_t from; /* its content, in that of the stream */
	size_t to;
	bool skippable;
};

struct frames {
	struct frame *list;
	size_t count;
	struct strata_buf plain; /* of all */
};

/* Adds what a frame gives; false when libzstd does not decode it. */
static inline bool read_frame(ZSTD_DCtx *ctx, const char *bytes, size_t len, struct strata_buf *out)
{
	ZSTD_inBuffer in = {bytes, len, 0};
	size_t rc = 1, before = 1;

	while (rc > 0 && !ZSTD_isError(rc) && (in.pos < len || out->len != before)) {
		ZSTD_outBuffer to;
		struct strata_err err;

		if (strata_buf_reserve(out, MIB / 8, &err) < 0)
			abort();
		before = out->len;
		to = (ZSTD_outBuffer){out->data, out->cap, out->len};
		rc = ZSTD_decompressStream(ctx, &to, &in);
		out->len = to.pos;
	}
	return rc == 0 && in.pos == len;
}

/* False when libzstd does not decode it. */
static inline bool read_frames(const struct strata_buf *stream, struct frames *f)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t cap = 0;
	bool ok = ctx != NULL;

	*f = (struct frames){0};
	for (size_t at = 0, n; ok && at < stream->len; at += n) {
		const char *p = stream->data + at;
		size_t from = f->plain.len;

		n = ZSTD_findFrameCompressedSize(p, stream->len - at);
		ok = !ZSTD_isError(n) && read_frame(ctx, p, n, &f->plain);
		if (f->count == cap) {
			cap = 2 * cap + 16;
			f->list = realloc(f->list, cap * sizeof(*f->list));
			if (f->list == NULL)
				abort();
		}
		f->list[f->count++] =
		        (struct frame){p, n, from, f->plain.len, (unsigned char)p[0] != 0x28};
	}
	ZSTD_freeDCtx(ctx);
	return ok;
}

static inline void free_frames(struct frames *f)
{
	free(f->list);
	strata_buf_free(&f->plain);
}

/* Frames that give bytes, and nothing else. */
static inline bool frames_decode_to(const struct strata_buf *stream,
                                    const struct strata_buf *expected)
{
	struct frames f;
	bool ok = read_frames(stream, &f) && same(&f.plain, expected);

	for (size_t i = 0; ok && i < f.count; i++)
		ok = !f.list[i].skippable;
	free_frames(&f);
	return ok;
}

#endif
