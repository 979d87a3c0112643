// Takes seconds: not for make check.
/* Encoding of gzip. The oracles are zlib and the gzip and python3 commands. */
#include "codec/codec_support.h"

static void gzip(const struct library *l, int level, const struct strata_buf *data,
                 struct pieces pieces, struct strata_buf *out)
{
	struct strata_segment_codec packing = strata_gzip_segment_codec(l->deflate, level);
	struct strata_err err;

	encode_with(strata_segment_encoder_new(&packing, &err), data, pieces, out);
}

static const struct pieces whole_input = {ROOM_MAX, 0, ROOM_MAX};

/* ---- tests: gzip encoding ---------------------------------------------- */

static const size_t lengths[] = {
        0,
        1,
        2,
        100,
        32768,
        65535,
        65536,
        100000,
        STRATA_GZIP_SEGMENT - 1,
        STRATA_GZIP_SEGMENT,
        STRATA_GZIP_SEGMENT + 1,
        2 * STRATA_GZIP_SEGMENT,
        2 * STRATA_GZIP_SEGMENT + 77777,
};

#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void encoded_gzip_is_what_zlib_reads(void)
{
	struct strata_buf data = {0}, stream = {0};

	for (size_t l = 0; l < LIBRARIES; l++)
		for (int level = -1; level <= 9; level++)
			for (size_t i = 0; i < LENGTHS; i++) {
				/* Long ones at the first and the last levels of each library. */
				if (lengths[i] > STRATA_GZIP_SEGMENT && level > 1 && level % 3 != 0)
					continue;
				data.len = stream.len = 0;
				random_state = i;
				if (i % 2)
					append_mixed(&data, lengths[i]);
				else
					append_noise(&data, lengths[i]);
				gzip(&libraries[l], level, &data, (struct pieces){ROOM_MAX, 0, 100},
				     &stream);
				CHECK(zlib_decodes_to(&stream, &data));
				CHECK(gunzips_to(&libraries[l], &stream, whole, &data));
				CHECK(stream.len <= data.len + data.len / 8000 + 40);
				CHECK(memcmp(stream.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10) == 0);
			}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* Neither the caller's pieces nor his room may show in the output. */
static void encoded_gzip_depends_on_the_bytes_alone(void)
{
	static const struct pieces pieces[] = {
	        {ROOM_MAX, 0, ROOM_MAX},
	        {512, 0, 4096},
	        {65536, 0, 65536},
	        {STRATA_GZIP_SEGMENT, 0, 1000},
	        {STRATA_GZIP_SEGMENT + 1, 0, 0},
	        {0, 0, 0},
	        {0, 0, 17},
	        {0, 0, ROOM_MAX},
	};
	struct strata_buf data = {0}, first = {0}, stream = {0};

	random_state = 23;
	append_mixed(&data, STRATA_GZIP_SEGMENT);
	append_noise(&data, 200 * KIB);
	append_mixed(&data, 300 * KIB);
	for (size_t l = 0; l < LIBRARIES; l++)
		for (int level = -1; level <= 6; level += level == -1 ? 1 : 3) {
			first.len = 0;
			gzip(&libraries[l], level, &data, pieces[0], &first);
			for (size_t i = 1; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
				stream.len = 0;
				gzip(&libraries[l], level, &data, pieces[i], &stream);
				CHECK(same(&stream, &first));
			}
		}
	strata_buf_free(&data);
	strata_buf_free(&first);
	strata_buf_free(&stream);
}

/* So that many threads can compress the segments of one stream. */
static void a_segment_does_not_depend_on_those_before(void)
{
	struct strata_buf data = {0};
	unsigned char *fresh = malloc(STRATA_GZIP_SEGMENT_ROOM);
	unsigned char *used = malloc(STRATA_GZIP_SEGMENT_ROOM);

	random_state = 29;
	append_mixed(&data, 3 * STRATA_GZIP_SEGMENT);
	append_noise(&data, STRATA_GZIP_SEGMENT);
	for (size_t l = 0; l < LIBRARIES; l++)
		for (int level = 0; level <= 9; level += level == 3 ? 3 : 1) {
			const struct strata_deflate_library *deflate = libraries[l].deflate;
			const unsigned char *in = (const unsigned char *)data.data;
			struct strata_err err;
			void *old = deflate->open(level, &err);
			size_t n[2];

			for (size_t i = 0; i < 4; i++) {
				void *new = deflate->open(level, &err);
				size_t len = STRATA_GZIP_SEGMENT - i * 1001;

				CHECK(deflate->segment(old, in + i * STRATA_GZIP_SEGMENT, len, used,
				                       &n[0], &err) == 0);
				CHECK(deflate->segment(new, in + i * STRATA_GZIP_SEGMENT, len,
				                       fresh, &n[1], &err) == 0);
				CHECK(n[0] == n[1] && memcmp(used, fresh, n[0]) == 0);
				deflate->close(new);
			}
			deflate->close(old);
		}
	free(fresh);
	free(used);
	strata_buf_free(&data);
}

/*
 * ISA-L 2.30 takes an address for data once in a segment. It shows when the first
 * bytes come again and fall into the bucket of that address, one in 8192.
 */
static void the_place_of_a_packer_does_not_show(void)
{
	enum { ENCODERS = 8, SEGMENTS = 8192, LEN = 700 };
	static const int levels[] = {1, 2};
	unsigned char in[LEN], *out = malloc(STRATA_GZIP_SEGMENT_ROOM);
	struct strata_buf first = {0};
	struct strata_err err;

	for (size_t l = 0; l < 2; l++) {
		const struct strata_deflate_library *deflate = libraries[0].deflate;
		void *encoders[ENCODERS];
		size_t differ = 0;

		for (size_t p = 0; p < ENCODERS; p++)
			encoders[p] = deflate->open(levels[l], &err);
		random_state = 59;
		for (size_t i = 0; i < SEGMENTS; i++) {
			for (size_t b = 0; b < LEN; b++)
				in[b] = (unsigned char)(random_u32() >> 5);
			memcpy(in + 300, in, 64);
			for (size_t p = 0; p < ENCODERS; p++) {
				size_t n;

				CHECK(deflate->segment(encoders[p], in, LEN, out, &n, &err) == 0);
				if (p == 0) {
					first.len = 0;
					append(&first, out, n);
				}
				differ += n != first.len || memcmp(out, first.data, n) != 0;
			}
		}
		CHECK(differ == 0);
		for (size_t p = 0; p < ENCODERS; p++)
			deflate->close(encoders[p]);
	}
	strata_buf_free(&first);
	free(out);
}

/* Blocks of libdeflate end at any bit, and the last ones are of every type. */
static void a_segment_of_any_length_can_be_continued(void)
{
	struct strata_buf data = {0}, stream = {0};

	random_state = 61;
	for (size_t l = 0; l < LIBRARIES; l++)
		for (size_t len = 1; len < 3000; len += len < 300 ? 1 : 19) {
			int level = (int)(len % 10);

			data.len = stream.len = 0;
			if (len % 3 == 0)
				append_noise(&data, len);
			append_mixed(&data, len * (len % 7 == 0 ? 50 : 1));
			if (len % 5 == 0)
				append_noise(&data, len);
			gzip(&libraries[l], level, &data, whole_input, &stream);
			CHECK(zlib_decodes_to(&stream, &data));
			CHECK(gunzips_to(&libraries[0], &stream, whole, &data));
		}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

static const struct strata_deflate_library *library_of_level(int level)
{
	if (level > STRATA_ZLIB_LEVELS)
		return &strata_deflate_zlib;
#ifdef STRATA_WITH_ISAL
	if (level < 4)
		return &strata_deflate_isal;
#endif
#ifdef STRATA_WITH_LIBDEFLATE
	return &strata_deflate_libdeflate;
#else
	return &strata_deflate_zlib;
#endif
}

static void a_level_is_that_of_one_library(void)
{
	struct strata_buf data = {0}, expected = {0}, stream = {0};
	struct strata_err err;

	random_state = 67;
	append_mixed(&data, 300 * KIB);
	for (int level = -1; level <= STRATA_ZLIB_LEVELS + 9;
	     level += level == 9 ? STRATA_ZLIB_LEVELS - 8 : 1) {
		struct library l = {"", NULL, library_of_level(level)};

		expected.len = stream.len = 0;
		gzip(&l, level > STRATA_ZLIB_LEVELS ? level - STRATA_ZLIB_LEVELS : level, &data,
		     whole_input, &expected);
		encode_with(strata_encoder_new(STRATA_GZIP, level, &err), &data, whole_input,
		            &stream);
		CHECK(same(&stream, &expected));
	}
	strata_buf_free(&data);
	strata_buf_free(&expected);
	strata_buf_free(&stream);
}

static void an_encoder_refuses_input_behind_the_end(void)
{
	struct strata_err err;
	struct strata_encoder *e = strata_encoder_new(STRATA_GZIP, -1, &err);
	const unsigned char *in = NULL;
	unsigned char out[100];
	size_t len = 0, produced;
	bool done;

	CHECK(strata_encoder_step(e, &in, &len, false, out, sizeof(out), &produced, &done, &err) ==
	      0);
	CHECK(!done && produced == 10 && in == NULL);
	CHECK(strata_encoder_step(e, &in, &len, true, out, sizeof(out), &produced, &done, &err) ==
	      0);
	CHECK(done && produced == 10);
	CHECK(memcmp(out, "\x03\0\0\0\0\0\0\0\0\0", 10) == 0);
	CHECK(strata_encoder_step(e, &in, &len, true, out, sizeof(out), &produced, &done, &err) ==
	      0);
	CHECK(done && produced == 0);
	in = (const unsigned char *)"x";
	len = 1;
	CHECK(strata_encoder_step(e, &in, &len, true, out, sizeof(out), &produced, &done, &err) ==
	      -1);
	CHECK(strcmp(err.code, "EINVAL") == 0);
	strata_encoder_free(e);
}

/* ---- tests: large streams ---------------------------------------------- */

/* Passes 64 MiB through encoder and decoder in step and compares on the way. */
static void large_round_trip(const struct library *l, size_t total, bool noise)
{
	struct strata_segment_codec packing = strata_gzip_segment_codec(l->deflate, -1);
	struct strata_err err;
	struct strata_encoder *e = strata_segment_encoder_new(&packing, &err);
	struct strata_decoder *d = strata_gzip_decoder_new(l->inflate, &err);
	struct strata_buf data = {0};
	unsigned char *packed = malloc(100000), *plain = malloc(300000);
	size_t fed = 0, checked = 0;
	bool done = false, equal = true;

	random_state = 31;
	if (noise)
		append_noise(&data, 5 * MIB + 12345);
	else
		append_mixed(&data, 5 * MIB + 12345);
	while (!done) {
		size_t at = fed % data.len, len = data.len - at, encoded_len, before;
		const unsigned char *in = (const unsigned char *)data.data + at, *from = packed;

		len = len < total - fed ? len : total - fed;
		before = len;
		if (strata_encoder_step(e, &in, &len, fed + len == total, packed, 100000,
		                        &encoded_len, &done, &err) < 0)
			abort();
		fed += before - len;
		for (;;) {
			size_t produced;

			if (strata_decoder_step(d, &from, &encoded_len, plain, 300000, &produced,
			                        &err) < 0)
				abort();
			for (size_t i = 0; i < produced;) {
				size_t want = data.len - checked % data.len;

				want = want < produced - i ? want : produced - i;
				equal = equal && memcmp(plain + i, data.data + checked % data.len,
				                        want) == 0;
				i += want;
				checked += want;
			}
			if (encoded_len == 0 && produced < 300000)
				break;
		}
	}
	CHECK(equal);
	CHECK(checked == total);
	CHECK(strata_decoder_finish(d, &err) == 0);
	strata_encoder_free(e);
	strata_decoder_free(d);
	strata_buf_free(&data);
	free(packed);
	free(plain);
}

static void large_streams_survive(void)
{
	for (size_t l = 0; l < LIBRARIES; l++) {
		large_round_trip(&libraries[l], 64 * MIB + 1, false);
		large_round_trip(&libraries[l], 64 * MIB + 1, true);
	}
}

/* ISIZE wraps, and so do a library's 32-bit counters. */
static void streams_beyond_4_gib_survive(void)
{
	large_round_trip(&libraries[0], 4096 * MIB + 100 * MIB + 1, false);
}

/* ---- tests: commands --------------------------------------------------- */

static void what_is_packed_the_gzip_commands_decode(void)
{
	static const char *const commands[] = {"gzip -dc", PYTHON_GZIP("decompress")};
	struct strata_buf data = {0}, stream = {0}, out = {0}, empty = {0};

	random_state = 47;
	append_mixed(&data, 3 * MIB);
	append_noise(&data, 300 * KIB);
	zlib_member(&empty, NULL, 0, 6, false);
	for (size_t i = 0; i < 2; i++) {
		if (!pipe_through(commands[i], &empty, &out))
			continue;
		for (size_t l = 0; l < LIBRARIES; l++)
			for (int level = 0; level <= 6; level += i == 0 ? 2 : 6) {
				stream.len = 0;
				gzip(&libraries[l], level, &data, (struct pieces){0, 0, 0},
				     &stream);
				CHECK(pipe_through(commands[i], &stream, &out));
				CHECK(same(&out, &data));
			}
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
	strata_buf_free(&empty);
}

int main(void)
{
	codec_begin();
	RUN(encoded_gzip_is_what_zlib_reads);
	RUN(encoded_gzip_depends_on_the_bytes_alone);
	RUN(a_segment_does_not_depend_on_those_before);
	RUN(the_place_of_a_packer_does_not_show);
	RUN(a_segment_of_any_length_can_be_continued);
	RUN(a_level_is_that_of_one_library);
	RUN(an_encoder_refuses_input_behind_the_end);
	RUN(large_streams_survive);
	if (getenv("STRATA_SLOW") != NULL)
		RUN(streams_beyond_4_gib_survive);
	RUN(what_is_packed_the_gzip_commands_decode);
	return codec_end("codec_encode");
}
