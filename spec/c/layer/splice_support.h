/*
 * Splicing beside its oracle: random plans over gzip streams of many encoders, and over zstd frames
 * of many kinds. What comes out is read by the core's decoders, zlib, libdeflate and libzstd, and
 * has to be the plan applied to the plain bytes; and the frames that could stay have to be there.
 * libdeflate is loaded when it is there. Shared by the C test and the fuzz target.
 */
#ifndef STRATA_SPLICE_SUPPORT_H
#define STRATA_SPLICE_SUPPORT_H

#include <dlfcn.h>
#include <pthread.h>

#include "codec/codec_support.h"
#include "core/layer/splicer.h"
#include "layer/frames_support.h"

/* STRATA_SPLICES=n: so many random cases. */
static inline unsigned long splice_cases(unsigned long usual)
{
	const char *n = getenv("STRATA_SPLICES");

	return n != NULL ? strtoul(n, NULL, 10) : usual;
}

/* ---- a second thread --------------------------------------------------------- */

struct helper {
	struct strata_work work;
	pthread_t thread;
};

static inline void *help(void *pool)
{
	strata_pool_work(pool);
	return NULL;
}

static inline void helper_begin(struct helper *h)
{
	struct strata_err err;

	h->work = (struct strata_work){.pool = strata_pool_new(2, &err)};
	if (h->work.pool == NULL || pthread_create(&h->thread, NULL, help, h->work.pool) != 0)
		abort();
}

static inline void helper_end(struct helper *h)
{
	strata_pool_stop(h->work.pool);
	pthread_join(h->thread, NULL);
	strata_pool_free(h->work.pool);
}

/* ---- libdeflate ----------------------------------------------------------- */

static struct {
	bool tried;
	void *(*new_compressor)(int level);
	size_t (*compress)(void *c, const void *in, size_t len, void *out, size_t room);
	void (*free_compressor)(void *c);
	void *(*new_decompressor)(void);
	int (*decompress)(void *d, const void *in, size_t len, void *out, size_t room, size_t *used,
	                  size_t *made);
	void (*free_decompressor)(void *d);
} libdeflate;

static inline bool has_libdeflate(void)
{
	void *lib;

	if (!libdeflate.tried && (lib = dlopen("libdeflate.so.0", RTLD_NOW)) != NULL) {
		*(void **)&libdeflate.new_compressor = dlsym(lib, "libdeflate_alloc_compressor");
		*(void **)&libdeflate.compress = dlsym(lib, "libdeflate_gzip_compress");
		*(void **)&libdeflate.free_compressor = dlsym(lib, "libdeflate_free_compressor");
		*(void **)&libdeflate.new_decompressor =
		        dlsym(lib, "libdeflate_alloc_decompressor");
		*(void **)&libdeflate.decompress = dlsym(lib, "libdeflate_gzip_decompress_ex");
		*(void **)&libdeflate.free_decompressor =
		        dlsym(lib, "libdeflate_free_decompressor");
	}
	libdeflate.tried = true;
	return libdeflate.decompress != NULL && libdeflate.compress != NULL;
}

/* ---- old streams ------------------------------------------------------------ */

/* Sizes around what the code looks at: none, small, a window, a segment. */
static inline size_t any_size(void)
{
	switch (random_u32() % 7) {
	case 0:
		return random_u32() % 3;
	case 1:
		return random_u32() % 600;
	case 2:
		return random_u32() % 6000;
	case 3:
		return 32700 + random_u32() % 140;
	case 4:
		return random_u32() % 70000;
	case 5:
		return random_u32() % 300000;
	default:
		return 512 * (random_u32() % 40);
	}
}

/* Bytes that refer back far and near, runs, and noise. */
static inline void append_odd(struct strata_buf *b, size_t len)
{
	size_t end = b->len + len;

	while (b->len < end) {
		size_t n = 1 + any_size(), back;
		struct strata_err err;

		n = n < end - b->len ? n : end - b->len;
		switch (random_u32() % 5) {
		case 0:
			append_noise(b, n);
			break;
		case 1:
			strata_buf_fill(b, (int)(random_u32() % 256), n, &err);
			break;
		case 2:
			if (b->len > 0 && strata_buf_reserve(b, n, &err) == 0) {
				back = 1 + random_u32() % (b->len < 33000 ? b->len : 33000);
				for (; n > 0; n--, b->len++)
					b->data[b->len] = b->data[b->len - back];
			}
			break;
		default:
			append_mixed(b, n);
		}
	}
}

static inline void zlib_stream(struct strata_buf *out, const char *bytes, size_t len)
{
	static const int strategies[] = {
	        Z_DEFAULT_STRATEGY, Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
	static const int flushes[] = {Z_NO_FLUSH,   Z_NO_FLUSH,      Z_SYNC_FLUSH,
	                              Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_BLOCK};
	int window = random_u32() % 2 ? 31 : 25 + (int)(random_u32() % 7);
	z_stream z = {.next_in = (const Bytef *)bytes};
	struct strata_err err;
	int rc;

	if (deflateInit2(&z, (int)(random_u32() % 10), Z_DEFLATED, window,
	                 1 + (int)(random_u32() % 9), strategies[random_u32() % 6]) != Z_OK ||
	    strata_buf_reserve(out, 2 * len + 200000, &err) < 0)
		abort();
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	do {
		size_t n = random_u32() % 3 ? len : any_size();

		z.avail_in = (uInt)(n < len ? n : len);
		len -= z.avail_in;
		rc = deflate(&z, len == 0 ? Z_FINISH : flushes[random_u32() % 6]);
	} while (rc == Z_OK || rc == Z_BUF_ERROR);
	if (rc != Z_STREAM_END)
		abort();
	out->len = out->cap - z.avail_out;
	deflateEnd(&z);
}

static inline void libdeflate_stream(struct strata_buf *out, const char *bytes, size_t len)
{
	void *c = libdeflate.new_compressor((int)(random_u32() % 13));
	struct strata_err err;

	if (c == NULL || strata_buf_reserve(out, 2 * len + 1000, &err) < 0)
		abort();
	out->len += libdeflate.compress(c, bytes, len, out->data + out->len, out->cap - out->len);
	libdeflate.free_compressor(c);
}

/* This library's own, of any level that is fast. */
static inline void own_stream(enum strata_compression c, struct strata_buf *out, const char *bytes,
                              size_t len)
{
	static unsigned char room[65536];
	const unsigned char *in = (const unsigned char *)bytes;
	struct strata_err err;
	int level = c == STRATA_GZIP ? (int)(random_u32() % 11) - 1 : -1;
	struct strata_encoder *e = strata_encoder_new(c, level, &err);
	bool done = false;
	size_t n;

	while (e != NULL && !done) {
		if (strata_encoder_step(e, &in, &len, true, room, sizeof(room), &n, &done, &err) <
		    0)
			abort();
		append(out, room, n);
	}
	strata_encoder_free(e);
}

static inline void any_gzip(struct strata_buf *out, const struct strata_buf *data)
{
	const char *bytes = data->data != NULL ? data->data : "";
	size_t at = 0;

	do {
		size_t n = random_u32() % 4 ? data->len - at : any_size();
		unsigned encoder = random_u32() % 5;

		n = n < data->len - at ? n : data->len - at;
		if (encoder == 0 && has_libdeflate())
			libdeflate_stream(out, bytes + at, n);
		else if (encoder == 1)
			own_stream(STRATA_GZIP, out, bytes + at, n);
		else
			zlib_stream(out, bytes + at, n);
		at += n;
	} while (at < data->len);
	if (random_u32() % 5 == 0)
		append(out, "\0\0\0\0\0", 5);
}

static inline void any_stream(struct strata_buf *out, const struct strata_buf *data)
{
	if (random_u32() % 2)
		any_gzip(out, data);
	else
		any_frames(out, data);
}

/* ---- plans -------------------------------------------------------------------- */

enum step_kind { KEEP, PASS, WRITE };

struct step {
	enum step_kind kind;
	size_t len;
	size_t from; /* of WRITE, in `fresh` */
};

#define STEPS_MAX 64

struct splice_plan {
	struct step steps[STEPS_MAX];
	size_t count;
	struct strata_buf fresh;
};

static inline void add_step(struct splice_plan *p, enum step_kind kind, size_t len)
{
	if (p->count < STEPS_MAX)
		p->steps[p->count++] = (struct step){kind, len, p->fresh.len};
	if (kind == WRITE)
		append_mixed(&p->fresh, len);
}

static inline void any_plan(struct splice_plan *p, size_t len)
{
	size_t edits = random_u32() % 9, at = 0;

	p->count = p->fresh.len = 0;
	for (size_t i = 0; i <= edits; i++) {
		size_t n = i == edits && random_u32() % 4 ? len : any_size();

		n = n < len - at ? n : len - at;
		add_step(p, KEEP, n);
		at += n;
		if (random_u32() % 2)
			add_step(p, WRITE, any_size() % 40000);
		if (random_u32() % 3 && i < edits) {
			n = any_size();
			n = n < len - at ? n : len - at;
			add_step(p, PASS, n);
			at += n;
		}
	}
	add_step(p, random_u32() % 2 ? KEEP : PASS, len - at);
}

static inline void apply_plan(const struct splice_plan *p, const struct strata_buf *data,
                              struct strata_buf *out)
{
	size_t at = 0;

	out->len = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct step *s = &p->steps[i];

		if (s->kind == WRITE && s->len > 0)
			append(out, p->fresh.data != NULL ? p->fresh.data + s->from : "", s->len);
		else if (s->kind == KEEP && s->len > 0)
			append(out, data->data + at, s->len);
		if (s->kind != WRITE)
			at += s->len;
	}
}

/* ---- splicing ------------------------------------------------------------------- */

static inline struct strata_file *file_with(const void *bytes, size_t len)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp("/dev/shm", NULL, &err);

	if (f == NULL || strata_file_write(f, 0, bytes, len, &err) < 0)
		abort();
	return f;
}

struct splicing {
	struct strata_blob_reader in;
	struct strata_blob_writer out;
	struct strata_splicer splicer;
	const char *bytes;
	size_t left;
};

static inline int next_chunk(struct splicing *s, struct strata_err *err)
{
	if (strata_blob_reader_next(&s->in, &s->bytes, &s->left, err) < 0)
		return -1;
	return strata_splicer_feed(&s->splicer, strata_blob_reader_packed(&s->in), err);
}

static inline int do_step(struct splicing *s, const struct splice_plan *p, const struct step *one,
                          struct strata_err *err)
{
	size_t len = one->len;

	if (one->kind == WRITE)
		return strata_splicer_write(&s->splicer, len > 0 ? p->fresh.data + one->from : NULL,
		                            len, err);
	while (len > 0) {
		size_t n;

		if (s->left == 0 && next_chunk(s, err) < 0)
			return -1;
		n = s->left < len ? s->left : len;
		if (n == 0)
			return strata_fail(err, "EFORMAT", "too short");
		if (one->kind == KEEP ? strata_splicer_keep(&s->splicer, s->bytes, n, err) < 0
		                      : strata_splicer_pass(&s->splicer, n, err) < 0)
			return -1;
		s->bytes += n;
		s->left -= n;
		len -= n;
	}
	return 0;
}

/* 0 with *out and *info, or -1. */
static inline int splice(const struct strata_buf *old, const struct splice_plan *p,
                         const struct strata_work *work, struct strata_buf *out,
                         struct strata_blob_info *info, struct strata_err *err)
{
	const enum strata_compression c = strata_sniff(old->data, old->len);
	struct strata_blob blob = {file_with(old->data, old->len), 0, old->len, c, STRATA_SHA256};
	struct strata_file *to = file_with("", 0);
	struct splicing s = {0};
	int rc = -1;

	strata_splicer_init(&s.splicer, &s.out, true);
	if (strata_blob_reader_open(&s.in, &blob, STRATA_DIGEST_STORED | STRATA_BLOCKS, NULL, work,
	                            err) < 0 ||
	    strata_blob_writer_open(&s.out, to, c, -1, true, work, err) < 0 ||
	    strata_blob_writer_allow_runs(&s.out, err) < 0)
		abort();
	for (size_t i = 0; i < p->count; i++)
		if (do_step(&s, p, &p->steps[i], err) < 0)
			goto end;
	if (next_chunk(&s, err) < 0 || s.left > 0 || strata_splicer_finish(&s.splicer, err) < 0 ||
	    strata_blob_writer_close(&s.out, info, err) < 0)
		goto end;
	info->kept = strata_splicer_kept(&s.splicer);
	out->len = 0;
	if (strata_buf_reserve(out, (size_t)info->size, err) < 0 ||
	    strata_file_read(to, 0, out->data, (size_t)info->size, err) < 0)
		abort();
	out->len = (size_t)info->size;
	rc = 0;
end:
	strata_blob_reader_close(&s.in);
	strata_splicer_free(&s.splicer);
	strata_blob_writer_free(&s.out);
	strata_file_unref(blob.file);
	strata_file_unref(to);
	return rc;
}

/* ---- reading back ------------------------------------------------------------------- */

static inline bool libdeflate_decodes_to(const struct strata_buf *stream,
                                         const struct strata_buf *expected)
{
	void *d = libdeflate.new_decompressor();
	struct strata_buf out = {0};
	struct strata_err err;
	size_t used = 0, made = 0;
	bool ok;

	if (d == NULL || strata_buf_reserve(&out, expected->len + 1, &err) < 0)
		abort();
	ok = libdeflate.decompress(d, stream->data, stream->len, out.data, out.cap, &used, &made) ==
	     0;
	out.len = made;
	ok = ok && used == stream->len && same(&out, expected);
	libdeflate.free_decompressor(d);
	strata_buf_free(&out);
	return ok;
}

/* Takes the decoder. */
static inline bool core_decodes_to(struct strata_decoder *d, const struct strata_buf *stream,
                                   const struct strata_buf *expected)
{
	static unsigned char room[65536];
	const unsigned char *in = (const unsigned char *)stream->data;
	size_t left = stream->len, n = 0, at = 0;
	struct strata_err err;
	bool ok = d != NULL;

	while (ok && (left > 0 || n == sizeof(room))) {
		ok = strata_decoder_step(d, &in, &left, room, sizeof(room), &n, &err) == 0 &&
		     n <= expected->len - at &&
		     (n == 0 || memcmp(room, expected->data + at, n) == 0);
		at += n;
	}
	ok = ok && at == expected->len && strata_decoder_finish(d, &err) == 0;
	strata_decoder_free(d);
	return ok;
}

/* One member, or frames, that every reader reads. */
static inline bool all_decode_to(const struct strata_buf *stream, const struct strata_buf *expected)
{
	struct strata_err err;
	bool ok;

	if (strata_sniff(stream->data, stream->len) == STRATA_ZSTD)
		return frames_decode_to(stream, expected) &&
		       core_decodes_to(strata_decoder_new(STRATA_ZSTD, NULL, &err), stream,
		                       expected);
	ok = zlib_decodes_to(stream, expected);
	for (size_t i = 0; i < LIBRARIES; i++)
		ok = ok && core_decodes_to(strata_gzip_decoder_new(libraries[i].inflate, &err),
		                           stream, expected);
	return ok && (!has_libdeflate() || libdeflate_decodes_to(stream, expected));
}

/* ---- what of zstd has to stay ------------------------------------------------------------ */

#define FRAME_MAX (8 * MIB)

/* The range of the old bytes that is kept around a frame: its place among the new ones, or -1. */
static inline int64_t place_of(const struct splice_plan *p, const struct frame *f)
{
	size_t from = 0, to = 0, now = 0; /* of the range, and where its end is now */

	for (size_t i = 0; i < p->count; i++) {
		const struct step *s = &p->steps[i];

		if (s->len == 0)
			continue;
		if (s->kind != KEEP) {
			if (from <= f->from && f->to <= to)
				break;
			to += s->kind == PASS ? s->len : 0;
			now += s->kind == WRITE ? s->len : 0;
			from = to;
		} else {
			to += s->len;
			now += s->len;
		}
	}
	return from <= f->from && f->to <= to ? (int64_t)(now - (to - f->from)) : -1;
}

static inline bool is_there(const struct frames *f, const struct frame *one, size_t from)
{
	size_t low = 0, high = f->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (f->list[mid].to <= from)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->count && f->list[low].from == from && f->list[low].len == one->len &&
	       memcmp(f->list[low].bytes, one->bytes, one->len) == 0;
}

/* Every frame whose content is kept is there as it was, and they are what is said to be kept. */
static inline bool frames_stay(const struct strata_buf *old, const struct splice_plan *p,
                               const struct strata_buf *out, uint64_t kept)
{
	uint64_t stay = 0, empty = 0;
	struct frames before, after;
	bool ok = read_frames(old, &before) && read_frames(out, &after);

	for (size_t i = 0; ok && i < before.count; i++) {
		const struct frame *f = &before.list[i];
		int64_t place;

		if (f->skippable || f->to - f->from > FRAME_MAX)
			continue;
		if (f->from == f->to) {
			empty += f->len;
			continue;
		}
		place = place_of(p, f);
		if (place < 0)
			continue;
		stay += f->len;
		ok = is_there(&after, f, (size_t)place);
	}
	ok = ok && stay <= kept && kept <= stay + empty;
	free_frames(&before);
	free_frames(&after);
	return ok;
}

#endif
