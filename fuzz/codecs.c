/*
 * Decoders and encoders. However a stream is cut, decoding tells the same bytes
 * and the same error; ISA-L and zlib agree, and both with zlib's own reading of
 * gzip; zstd agrees with libzstd's. Limits hold. What is encoded depends on the
 * bytes and the level alone and decodes to them, with one thread and with more.
 *
 * Input: 8 bytes that say what to do and how to cut, then the stream or data.
 */
#include "fuzz.h"

#define ZLIB_CONST
#include <pthread.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/buf.h"
#include "core/codec/internal.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"
#include "core/layer/index.h"

#define PLAN 8
#define OUTPUT_MAX ((size_t)8 << 20)
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

struct outcome {
	struct strata_buf out;
	bool cut; /* more than OUTPUT_MAX: not read to the end */
	struct strata_err err;
};

static void keep(struct strata_buf *b, const void *bytes, size_t len)
{
	struct strata_err err;

	CHECK(strata_buf_append(b, bytes, len, &err) == 0);
}

static bool same(const struct strata_buf *a, const struct strata_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- decoding ----------------------------------------------------------- */

static size_t piece_of(struct plan *cuts, size_t left)
{
	static const size_t sizes[] = {1, 2, 5, 17, 64, 300, 4096, 65536};
	size_t n = cuts ? sizes[plan_below(cuts, COUNT(sizes))] : left;

	return n < left ? n : left;
}

/* One piece of input, in memory of its own; -1 when decoding failed. */
static int feed(struct strata_decoder *d, const uint8_t *bytes, size_t len, size_t room,
                struct outcome *o)
{
	uint8_t *piece = malloc(len ? len : 1), *to = malloc(room);
	const unsigned char *in = piece;
	size_t produced = room;
	int status = 0;

	CHECK(piece != NULL && to != NULL);
	memcpy(piece, bytes, len);
	while (status == 0 && !o->cut && (len > 0 || produced == room)) {
		size_t before = len;

		status = strata_decoder_step(d, &in, &len, to, room, &produced, &o->err);
		if (status < 0)
			break;
		CHECK(produced <= room && len <= before && in + len == piece + (in - piece) + len);
		CHECK(before == 0 || len < before || produced > 0);
		keep(&o->out, to, produced);
		o->cut = o->out.len > OUTPUT_MAX;
	}
	free(piece);
	free(to);
	return status;
}

/* Takes the decoder. */
static struct outcome decode(struct strata_decoder *d, const uint8_t *data, size_t size,
                             struct plan cuts, bool pieces)
{
	struct outcome o = {.err = {"", ""}};
	size_t done = 0, room = pieces ? 1 + plan_below(&cuts, 1000) : 65536;
	int status;

	CHECK(d != NULL);
	do {
		size_t n = piece_of(pieces ? &cuts : NULL, size - done);

		if (pieces && cuts.left == 0) /* long streams in single bytes take long */
			n = size - done;
		status = feed(d, data + done, n, room, &o);
		done += n;
	} while (status == 0 && !o.cut && done < size);
	if (status == 0 && !o.cut)
		status = strata_decoder_finish(d, &o.err);
	CHECK((status < 0) == (o.err.code[0] != '\0'));
	CHECK(status == 0 || strcmp(o.err.code, "EFORMAT") == 0 ||
	      strcmp(o.err.code, "ELIMIT") == 0 ||
	      strcmp(o.err.code, "EUNSUPPORTED") == 0); /* a dictionary */
	strata_decoder_free(d);
	return o;
}

static void free_outcome(struct outcome *o)
{
	strata_buf_free(&o->out);
}

/* The same error, and the same bytes unless there was one: how many come before it may differ. */
static void check_agree(const struct outcome *a, const struct outcome *b)
{
	if (a->cut || b->cut)
		return;
	CHECK(strcmp(a->err.code, b->err.code) == 0);
	CHECK(a->err.code[0] || same(&a->out, &b->out));
}

/* zlib's reading of one member after the other; false: not gzip to its end. */
static bool zlib_gunzip(const uint8_t *data, size_t size, struct strata_buf *out)
{
	static uint8_t room[65536];
	z_stream z = {.next_in = data, .avail_in = (uInt)size};
	int status = Z_OK;

	CHECK(inflateInit2(&z, 31) == Z_OK);
	while (status == Z_OK && out->len <= OUTPUT_MAX) {
		z.next_out = room;
		z.avail_out = sizeof(room);
		status = inflate(&z, Z_NO_FLUSH);
		keep(out, room, sizeof(room) - z.avail_out);
		if (status == Z_STREAM_END && z.avail_in > 0 && *z.next_in != 0)
			status = inflateReset(&z);
	}
	while (status == Z_STREAM_END && z.avail_in > 0 && *z.next_in == 0) {
		z.next_in++;
		z.avail_in--;
	}
	status = status == Z_STREAM_END && z.avail_in > 0 ? Z_DATA_ERROR : status;
	inflateEnd(&z);
	return status == Z_STREAM_END;
}

static void check_gzip(const uint8_t *data, size_t size, struct plan cuts)
{
	struct strata_err err;
	struct outcome zlib = decode(strata_gzip_decoder_new(&strata_inflate_zlib, &err), data,
	                             size, cuts, false);
	struct outcome other =
	        decode(strata_gzip_decoder_new(&strata_inflate_zlib, &err), data, size, cuts, true);
	struct strata_buf peer = {0};
	bool valid = zlib_gunzip(data, size, &peer);

	check_agree(&zlib, &other);
	free_outcome(&other);
	if (!zlib.cut && peer.len <= OUTPUT_MAX) {
		CHECK(valid == (zlib.err.code[0] == '\0'));
		CHECK(!valid || same(&zlib.out, &peer));
	}
	strata_buf_free(&peer);
#ifdef STRATA_WITH_ISAL
	other = decode(strata_gzip_decoder_new(&strata_inflate_isal, &err), data, size, cuts,
	               false);
	check_agree(&zlib, &other);
	free_outcome(&other);
	other = decode(strata_gzip_decoder_new(&strata_inflate_isal, &err), data, size, cuts, true);
	check_agree(&zlib, &other);
	free_outcome(&other);
#endif
	free_outcome(&zlib);
}

/* Whether a frame gave what its header states: libzstd does not always compare. */
static bool right_size(const uint8_t *frame, size_t len, size_t gave)
{
	unsigned long long stated = ZSTD_getFrameContentSize(frame, len);

	return stated == gave || stated == ZSTD_CONTENTSIZE_UNKNOWN ||
	       stated == ZSTD_CONTENTSIZE_ERROR;
}

static bool libzstd_decodes(const uint8_t *data, size_t size, struct strata_buf *out)
{
	static uint8_t room[65536];
	ZSTD_DCtx *z = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, size, 0};
	size_t status = 1, frame = 0, before_frame = 0;
	bool sizes = true;

	CHECK(z != NULL);
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
	while (!ZSTD_isError(status) && out->len <= OUTPUT_MAX) {
		ZSTD_outBuffer to = {room, sizeof(room), 0};
		size_t before = in.pos;

		status = ZSTD_decompressStream(z, &to, &in);
		keep(out, room, to.pos);
		if (status == 0) {
			sizes &= right_size(data + frame, size - frame, out->len - before_frame);
			frame = in.pos;
			before_frame = out->len;
		}
		if (in.pos == size && (status == 0 || to.pos < to.size))
			break;
		if (in.pos == before && to.pos == 0 && status != 0)
			break;
	}
	ZSTD_freeDCtx(z);
	return status == 0 && sizes;
}

static void check_zstd(const uint8_t *data, size_t size, struct plan cuts)
{
	struct strata_err err;
	struct outcome whole = decode(strata_zstd_decoder_new(0, &err), data, size, cuts, false);
	struct outcome pieces = decode(strata_zstd_decoder_new(0, &err), data, size, cuts, true);
	struct strata_buf peer = {0};
	bool valid = size > 0 && libzstd_decodes(data, size, &peer);

	check_agree(&whole, &pieces);
	if (!whole.cut && peer.len <= OUTPUT_MAX) {
		CHECK(valid == (whole.err.code[0] == '\0'));
		CHECK(!valid || same(&whole.out, &peer));
	}
	strata_buf_free(&peer);
	free_outcome(&whole);
	free_outcome(&pieces);
}

/* ---- limits ------------------------------------------------------------- */

static struct strata_file *file_of(const void *bytes, size_t len)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp("/dev/shm", NULL, &err);

	CHECK(f != NULL && strata_file_write(f, 0, bytes, len, &err) == 0);
	return f;
}

/* A whole stream is never inflated beyond what is allowed. */
static void check_limits(const uint8_t *data, size_t size, struct plan *plan)
{
	struct strata_file *f = file_of(data, size);
	struct strata_blob blob = {f, 0, size, strata_sniff(data, size), STRATA_SHA256};
	struct strata_inflate_limits limits = {.bytes = 1 + plan_below(plan, 65536),
	                                       .zstd_window = (uint64_t)1
	                                                      << (10 + plan_below(plan, 22))};
	struct strata_blob_reader s = {0};
	struct strata_err err = {"", ""};
	char stored[STRATA_DIGEST_MAX], plain[STRATA_DIGEST_MAX], expected[STRATA_DIGEST_MAX];
	const char *bytes;
	size_t len = 1;
	uint64_t total = 0;
	int status = strata_blob_reader_open(&s, &blob, STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN,
	                                     &limits, NULL, &err);

	while (status == 0 && len > 0) {
		status = strata_blob_reader_next(&s, &bytes, &len, &err);
		total += status == 0 ? len : 0;
	}
	CHECK(blob.compression == STRATA_NONE || total <= limits.bytes);
	if (status == 0) {
		CHECK(strata_blob_reader_digests(&s, stored, plain, &err) == 0);
		CHECK(strata_sha256(data, size, expected, &err) == 0 &&
		      strcmp(stored, expected) == 0);
	}
	strata_blob_reader_close(&s);
	strata_file_unref(f);
}

/* ---- encoding ----------------------------------------------------------- */

/* Data of some size: the input, over and over, each time with another byte in it. */
static struct strata_buf stretch(const uint8_t *data, size_t size, size_t want)
{
	struct strata_buf b = {0};
	unsigned char round = 0;

	if (size)
		keep(&b, data, size);
	while (b.len < want && size > 0) {
		size_t n = size < want - b.len ? size : want - b.len;

		keep(&b, data, n);
		b.data[b.len - 1 - round % n] = (char)round;
		round++;
	}
	return b;
}

static void encode(enum strata_compression c, int level, const struct strata_buf *data,
                   struct plan *cuts, struct strata_buf *out)
{
	static const size_t sizes[] = {100, 4096, 65536, 100000, 524287, 524288, 524289, SIZE_MAX};
	struct strata_err err;
	struct strata_encoder *e = strata_encoder_new(c, level, &err);
	size_t done = 0, room = 1000 + plan_below(cuts, 65536), produced;
	unsigned char *to = malloc(room);
	bool ended = false;

	CHECK(e != NULL && to != NULL);
	while (!ended) {
		size_t n = sizes[plan_below(cuts, COUNT(sizes))];
		const unsigned char *in =
		        data->len ? (const unsigned char *)data->data + done : NULL;
		size_t left;

		n = cuts->left && n < data->len - done ? n : data->len - done;
		left = n;
		done += n;
		do {
			CHECK(strata_encoder_step(e, &in, &left, done == data->len, to, room,
			                          &produced, &ended, &err) == 0);
			keep(out, to, produced);
		} while (left > 0 || (done == data->len && !ended));
	}
	strata_encoder_free(e);
	free(to);
}

static void *help(void *pool)
{
	strata_pool_work(pool);
	return NULL;
}

/* What a sink stores, with so many threads. */
static void sink(enum strata_compression c, int level, const struct strata_buf *data,
                 struct plan *cuts, unsigned threads, struct strata_buf *out)
{
	struct strata_err err;
	struct strata_pool *pool = strata_pool_new(threads, &err);
	struct strata_work work = {.pool = pool};
	struct strata_file *f = strata_file_temp("/dev/shm", NULL, &err);
	struct strata_blob_writer s = {0};
	struct strata_blob_info written;
	char expected[STRATA_DIGEST_MAX];
	pthread_t helpers[4];
	size_t done = 0;

	CHECK(pool != NULL && f != NULL);
	for (unsigned i = 1; i < threads; i++)
		CHECK(pthread_create(&helpers[i], NULL, help, pool) == 0);
	CHECK(strata_blob_writer_open(&s, f, c, level, true, &work, &err) == 0);
	while (done < data->len) {
		size_t n = 1 + plan_below(cuts, 65536);

		n = cuts->left && n < data->len - done ? n : data->len - done;
		CHECK(strata_blob_writer_write(&s, data->data + done, n, &err) == 0);
		done += n;
	}
	CHECK(strata_blob_writer_close(&s, &written, &err) == 0);
	strata_blob_writer_free(&s);
	strata_pool_stop(pool);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(helpers[i], NULL);
	strata_pool_free(pool);
	CHECK(written.tar_size == data->len);
	CHECK(strata_buf_reserve(out, written.size, &err) == 0 &&
	      strata_file_read(f, 0, out->data, written.size, &err) == 0);
	out->len = written.size;
	CHECK(strata_sha256(out->data, out->len, expected, &err) == 0 &&
	      strcmp(written.digest, expected) == 0);
	CHECK(strata_sha256(data->data, data->len, expected, &err) == 0 &&
	      strcmp(written.diff_id, expected) == 0);
	strata_file_unref(f);
}

static void check_round(enum strata_compression c, const uint8_t *data, size_t size,
                        struct plan *plan)
{
	static const size_t sizes[] = {0, 0, 0, 0, 100000, 524288, 524289, 1100000};
	int level = (int)plan_below(plan, c == STRATA_GZIP ? 20 : 7) - 1;
	struct strata_buf plain = stretch(data, size, sizes[plan_below(plan, COUNT(sizes))]);
	struct strata_buf one = {0}, other = {0};
	unsigned threads = 1 + (unsigned)plan_below(plan, 3);
	struct strata_err err;
	struct outcome back;

	level = level == 0 && c == STRATA_ZSTD ? 1
	        : level > 9                    ? level - 9 + STRATA_ZLIB_LEVELS
	                                       : level;
	encode(c, level, &plain, plan, &one);
	back = decode(strata_decoder_new(c, NULL, &err), (const uint8_t *)one.data, one.len, *plan,
	              false);
	CHECK(back.err.code[0] == '\0' && same(&back.out, &plain));
	sink(c, level, &plain, plan, threads, &other);
	CHECK(same(&one, &other));
	free_outcome(&back);
	strata_buf_free(&one);
	strata_buf_free(&other);
	strata_buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan = plan_take(&data, &size, PLAN);

	switch (plan_byte(&plan) % 16) {
	case 0:
		check_round(STRATA_GZIP, data, size, &plan);
		break;
	case 1:
		check_round(STRATA_ZSTD, data, size, &plan);
		break;
	case 2:
	case 3:
		check_limits(data, size, &plan);
		break;
	default:
		if (strata_sniff(data, size) == STRATA_ZSTD)
			check_zstd(data, size, plan);
		else
			check_gzip(data, size, plan);
	}
	return 0;
}

/* ---- mutation ----------------------------------------------------------- */

/* Where the deflate stream behind a gzip header of 10 bytes ends, and what its trailer should say.
 */
static size_t deflate_end(const uint8_t *data, size_t size, uint8_t trailer[8])
{
	static uint8_t room[65536];
	z_stream z = {.next_in = data, .avail_in = (uInt)size};
	uLong crc = crc32(0, NULL, 0);
	size_t end = 0;
	int status;

	if (inflateInit2(&z, -15) != Z_OK)
		return 0;
	do {
		z.next_out = room;
		z.avail_out = sizeof(room);
		status = inflate(&z, Z_NO_FLUSH);
		crc = crc32(crc, room, (uInt)(sizeof(room) - z.avail_out));
	} while (status == Z_OK && z.total_out < OUTPUT_MAX);
	for (int i = 0; status == Z_STREAM_END && i < 4; i++) {
		trailer[i] = (uint8_t)(crc >> 8 * i);
		trailer[4 + i] = (uint8_t)(z.total_out >> 8 * i);
	}
	if (status == Z_STREAM_END)
		end = size - z.avail_in;
	inflateEnd(&z);
	return end;
}

/* Checksums that fit let the members behind be reached. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static const uint8_t plain_header[] = {0x1f, 0x8b, 8, 0};
	size_t at = PLAN;

	size = LLVMFuzzerMutate(data, size, max_size);
	while (seed % 4 && at + 18 <= size && memcmp(data + at, plain_header, 4) == 0) {
		uint8_t trailer[8];
		size_t end = deflate_end(data + at + 10, size - at - 10, trailer);

		at += 10 + end;
		if (end == 0 || at + 8 > size)
			break;
		memcpy(data + at, trailer, 8);
		at += 8;
	}
	return size;
}
