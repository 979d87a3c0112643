/* Detection, and decoding of gzip. The oracles are zlib and the gzip and python3 commands. */
#include "codec/codec_support.h"

/* ---- tests: detection -------------------------------------------------- */

#define SNIFF(bytes) strata_sniff(bytes, sizeof(bytes) - 1)

static void sniffing_goes_by_magic_bytes(void)
{
	CHECK(SNIFF("\x1f\x8b\x08\x00") == STRATA_GZIP);
	CHECK(SNIFF("\x1f\x8b\x08") == STRATA_GZIP);
	CHECK(SNIFF("\x1f\x8b") == STRATA_NONE);
	CHECK(SNIFF("\x1f\x8b\x07") == STRATA_NONE);
	CHECK(SNIFF("\x28\xb5\x2f\xfd") == STRATA_ZSTD);
	CHECK(SNIFF("\x50\x2a\x4d\x18\x00") == STRATA_ZSTD);
	CHECK(SNIFF("\x5f\x2a\x4d\x18") == STRATA_ZSTD);
	CHECK(SNIFF("\x60\x2a\x4d\x18") == STRATA_NONE);
	CHECK(SNIFF("\x18\x4d\x2a\x50") == STRATA_NONE);
	CHECK(SNIFF("\xfd\x37zXZ\x00") == STRATA_XZ);
	CHECK(SNIFF("BZh91AY&SY") == STRATA_BZIP2);
	CHECK(SNIFF("BZh9\x17\x72\x45\x38\x50\x90") == STRATA_BZIP2);
	CHECK(SNIFF("BZh9-a-file-name.txt") == STRATA_NONE);
	CHECK(SNIFF("BZh0") == STRATA_NONE);
	CHECK(SNIFF("\x04\x22\x4d\x18") == STRATA_LZ4);
	CHECK(SNIFF("etc/passwd") == STRATA_NONE);
	CHECK(strata_sniff(NULL, 0) == STRATA_NONE);
	CHECK(strcmp(strata_compression_name(strata_sniff("\x1f\x8b\x08", 3)), "gzip") == 0);
	CHECK(strcmp(strata_compression_name(STRATA_NONE), "none") == 0);
	CHECK(strcmp(strata_compression_name(STRATA_LZ4), "lz4") == 0);
}

static void what_cannot_be_done_is_said(void)
{
	static const int levels[] = {-2, 10, STRATA_ZLIB_LEVELS, STRATA_ZLIB_LEVELS + 10};
	static const enum strata_compression others[] = {STRATA_NONE, STRATA_XZ, STRATA_BZIP2,
	                                                 STRATA_LZ4};
	struct strata_err err;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CHECK(strata_decoder_new(others[i], NULL, &err) == NULL);
		CHECK(strcmp(err.code, "EUNSUPPORTED") == 0);
		CHECK(strata_encoder_new(others[i], -1, &err) == NULL);
		CHECK(strcmp(err.code, "EUNSUPPORTED") == 0);
	}
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		CHECK(strata_encoder_new(STRATA_GZIP, levels[i], &err) == NULL);
		CHECK(strcmp(err.code, "EINVAL") == 0);
	}
	strata_decoder_free(NULL);
	strata_encoder_free(NULL);
	CHECK(strlen(strata_codec_gzip_library()) > 5);
	CHECK(strncmp(strata_codec_zstd_library(), "zstd 1.", 7) == 0);
}

/* ---- tests: gzip decoding ---------------------------------------------- */

/* Three members of different kinds, small enough to try every byte of. */
static void small_stream(struct strata_buf *stream, struct strata_buf *data)
{
	struct strata_buf first = {0}, third = {0};

	random_state = 5;
	append_mixed(&first, 300);
	append_noise(&third, 90);
	zlib_member(stream, first.data, first.len, 9, true);
	zlib_member(stream, NULL, 0, 6, false);
	zlib_member(stream, third.data, third.len, 6, false);
	append(data, first.data, first.len);
	append(data, third.data, third.len);
	strata_buf_free(&first);
	strata_buf_free(&third);
}

static void gzip_members_decode_cut_at_every_byte(void)
{
	static const size_t outs[] = {1, 2, 7, 64, 0};
	struct strata_buf stream = {0}, data = {0};

	small_stream(&stream, &data);
	append(&stream, "\0\0\0\0\0\0\0\0", 8);
	for (size_t l = 0; l < INFLATERS; l++)
		for (size_t o = 0; o < sizeof(outs) / sizeof(outs[0]); o++) {
			for (size_t cut = 1; cut < stream.len; cut++)
				CHECK(gunzips_to(&libraries[l], &stream,
				                 (struct pieces){0, cut, outs[o]}, &data));
			for (size_t in = 1; in < 40; in++)
				CHECK(gunzips_to(&libraries[l], &stream,
				                 (struct pieces){in, 0, outs[o]}, &data));
		}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void gzip_truncated_at_every_byte_is_an_error(void)
{
	struct strata_buf stream = {0}, data = {0};
	size_t second, third, len;

	small_stream(&stream, &data);
	len = stream.len;
	/* Behind a whole member the stream may end. */
	third = len - (5 + 90 + 18);
	second = third - 20;
	CHECK(memcmp(stream.data + second, "\x1f\x8b\x08", 3) == 0);
	CHECK(memcmp(stream.data + third, "\x1f\x8b\x08", 3) == 0);
	for (size_t l = 0; l < INFLATERS; l++)
		for (size_t cut = 0; cut < len; cut++)
			for (size_t in = 0; in < 2; in++) {
				struct strata_err err;

				stream.len = cut;
				err = gunzip_error(&libraries[l], &stream,
				                   (struct pieces){in, 0, 0});
				CHECK(strcmp(err.code,
				             cut == second || cut == third ? "" : "EFORMAT") == 0);
			}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

/*
 * Flips every bit. What is not noticed must not matter: the bits that fill a
 * member's last byte, and in a header without CRC its time, flags and OS.
 */
static void gzip_corruption_is_noticed_or_harmless(void)
{
	struct strata_buf stream = {0}, data = {0}, out = {0};
	struct strata_err err;

	random_state = 8;
	append_mixed(&data, 700);
	zlib_member(&stream, data.data, data.len, 9, true);
	for (size_t l = 0; l < INFLATERS; l++) {
		size_t unnoticed = 0;

		for (size_t bit = 0; bit < stream.len * 8; bit++) {
			stream.data[bit / 8] ^= (char)(1 << bit % 8);
			if (gunzip(&libraries[l], &stream, whole, &out, &err) == 0) {
				unnoticed++;
				CHECK(same(&out, &data));
			} else {
				CHECK(strcmp(err.code, "EFORMAT") == 0);
			}
			stream.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		CHECK(unnoticed <= 7);
	}
	strata_buf_free(&stream);
	strata_buf_free(&data);
	strata_buf_free(&out);
}

static void gzip_checks_crc_and_length(void)
{
	struct strata_buf stream = {0}, data = {0};

	small_stream(&stream, &data);
	for (size_t l = 0; l < INFLATERS; l++)
		for (size_t back = 1; back <= 8; back++) {
			struct strata_err err;

			stream.data[stream.len - back] ^= 0x40;
			err = gunzip_error(&libraries[l], &stream, whole);
			CHECK(strcmp(err.code, "EFORMAT") == 0);
			CHECK(strstr(err.msg, back <= 4 ? "member 3: its length does not match"
			                                : "member 3: its CRC-32 does not match"));
			stream.data[stream.len - back] ^= 0x40;
		}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void gzip_headers_are_checked(void)
{
	struct strata_buf data = {0}, stream = {0};

	append(&data, "content", 7);
	for (size_t l = 0; l < INFLATERS; l++) {
		const struct library *library = &libraries[l];

		stream.len = 0;
		CHECK(fails_as_format(library, &stream)); /* no bytes */
		append(&stream, "no gzip at all", 14);
		CHECK(fails_as_format(library, &stream));
		stream.len = 0;
		zlib_member(&stream, data.data, data.len, 6, false);
		stream.data[2] = 7; /* method */
		CHECK(fails_as_format(library, &stream));
		stream.data[2] = 8;
		stream.data[3] = 0x20; /* reserved flag */
		CHECK(fails_as_format(library, &stream));
		stream.data[3] = 1; /* FTEXT says nothing */
		CHECK(gunzips_to(library, &stream, whole, &data));
		stream.len = 0;
		zlib_member(&stream, data.data, data.len, 6, true);
		CHECK(gunzips_to(library, &stream, whole, &data));
		stream.data[4] ^= 1; /* the time, which the header's CRC covers */
		CHECK(fails_as_format(library, &stream));
	}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void nothing_but_nul_bytes_may_follow_gzip(void)
{
	static const size_t paddings[] = {1, 2, 511, 10240, 3 * MIB};
	struct strata_buf stream = {0}, data = {0};
	struct strata_err err;
	size_t len;

	small_stream(&stream, &data);
	len = stream.len;
	for (size_t l = 0; l < INFLATERS; l++) {
		const struct library *library = &libraries[l];

		for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++) {
			stream.len = len;
			strata_buf_fill(&stream, 0, paddings[i], &err);
			CHECK(gunzips_to(library, &stream, whole, &data));
			append(&stream, "x", 1);
			CHECK(fails_as_format(library, &stream));
		}
		stream.len = len;
		append(&stream, "x", 1);
		CHECK(fails_as_format(library, &stream));
		stream.len = len;
		append(&stream, "\x1f\x8b\x07", 3);
		CHECK(fails_as_format(library, &stream));
		stream.len = len;
		append(&stream, "\x1f", 1);
		CHECK(fails_as_format(library, &stream));
		/* A member behind padding is none that gzip(1) would read. */
		stream.len = len;
		append(&stream, "\0", 1);
		zlib_member(&stream, "x", 1, 6, false);
		CHECK(fails_as_format(library, &stream));
		CHECK(strcmp(gunzip_error(library, &stream, (struct pieces){1, 0, 0}).code,
		             "EFORMAT") == 0);
	}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void a_thousand_empty_members_decode(void)
{
	struct strata_buf stream = {0}, data = {0};

	for (int i = 0; i < 1000; i++)
		zlib_member(&stream, NULL, 0, 6, i % 7 == 0);
	for (size_t l = 0; l < INFLATERS; l++) {
		CHECK(gunzips_to(&libraries[l], &stream, whole, &data));
		CHECK(gunzips_to(&libraries[l], &stream, (struct pieces){1, 0, 1}, &data));
		CHECK(gunzips_to(&libraries[l], &stream, (struct pieces){13, 0, 1}, &data));
	}
	append(&data, "end", 3);
	zlib_member(&stream, data.data, data.len, 6, false);
	for (size_t l = 0; l < INFLATERS; l++)
		CHECK(gunzips_to(&libraries[l], &stream, (struct pieces){1000, 0, 0}, &data));
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

/* A bit more than the window and ISA-L's own buffer hold. */
static void gzip_of_every_level_decodes_in_small_pieces(void)
{
	static const struct pieces pieces[] = {{1, 0, 0}, {3, 0, 100}, {4096, 0, 1}, {7, 0, 258}};
	struct strata_buf data = {0}, stream = {0};

	random_state = 17;
	append_mixed(&data, 60 * KIB);
	append_noise(&data, 10 * KIB);
	for (int level = 0; level <= 9; level++) {
		stream.len = 0;
		zlib_member(&stream, data.data, data.len, level, false);
		for (size_t l = 0; l < INFLATERS; l++)
			for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
				CHECK(gunzips_to(&libraries[l], &stream, pieces[i], &data));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

static void gzip_of_every_level_decodes_in_large_pieces(void)
{
	static const struct pieces pieces[] = {
	        {0, 0, 0}, {511, 0, 32768}, {65536, 0, 65537}, {100000, 0, MIB}, {0, 0, 2 * MIB},
	};
	struct strata_buf data = {0}, stream = {0};

	random_state = 19;
	append_mixed(&data, 900 * KIB);
	append_noise(&data, 300 * KIB);
	append_mixed(&data, 900 * KIB);
	for (int level = 0; level <= 9; level++) {
		stream.len = 0;
		zlib_member(&stream, data.data, data.len, level, false);
		for (size_t l = 0; l < INFLATERS; l++)
			for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
				CHECK(gunzips_to(&libraries[l], &stream, pieces[i], &data));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

static void decoding_errors_stay(void)
{
	struct strata_buf stream = {0}, data = {0};
	unsigned char out[64];
	struct strata_err err, again;

	zlib_member(&stream, "abc", 3, 6, false);
	for (size_t l = 0; l < INFLATERS; l++) {
		struct strata_decoder *d = strata_gzip_decoder_new(libraries[l].inflate, &err);
		const unsigned char *in = (const unsigned char *)"xyz";
		size_t len = 3, produced;

		CHECK(strata_decoder_step(d, &in, &len, out, sizeof(out), &produced, &err) == -1);
		in = (const unsigned char *)stream.data;
		len = stream.len;
		CHECK(strata_decoder_step(d, &in, &len, out, sizeof(out), &produced, &again) == -1);
		CHECK(produced == 0 && len == stream.len);
		CHECK(strcmp(err.msg, again.msg) == 0);
		CHECK(strata_decoder_finish(d, &again) == -1);
		CHECK(strcmp(err.msg, again.msg) == 0);
		strata_decoder_free(d);
	}
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void no_input_at_all_is_a_step_too(void)
{
	struct strata_buf stream = {0};

	zlib_member(&stream, "abc", 3, 6, true);
	for (size_t l = 0; l < INFLATERS; l++) {
		struct strata_err err;
		struct strata_decoder *d = strata_gzip_decoder_new(libraries[l].inflate, &err);
		unsigned char out[3];
		size_t total = 0, produced;

		for (size_t i = 0; i <= stream.len; i++) {
			const unsigned char *in = (const unsigned char *)stream.data + i;
			const unsigned char *none = NULL;
			size_t len = i < stream.len, zero = 0;

			CHECK(strata_decoder_step(d, &none, &zero, out + total, 3 - total,
			                          &produced, &err) == 0);
			CHECK(none == NULL);
			total += produced;
			CHECK(strata_decoder_step(d, &in, &len, out + total, 3 - total, &produced,
			                          &err) == 0);
			total += produced;
		}
		CHECK(strata_decoder_finish(d, &err) == 0);
		CHECK(total == 3 && memcmp(out, "abc", 3) == 0);
		strata_decoder_free(d);
	}
	strata_buf_free(&stream);
}

/* ---- tests: commands --------------------------------------------------- */

/* Each packs standard input to standard output; none like the other. */
static const char *const gzip_commands[] = {
        "gzip -1", "gzip -6", "gzip -9", "gzip --rsyncable -c", PYTHON_GZIP("compress"),
};

static void what_the_gzip_commands_pack_decodes(void)
{
	struct strata_buf data = {0}, stream = {0};

	random_state = 43;
	append_mixed(&data, 3 * MIB);
	append_noise(&data, 300 * KIB);
	for (size_t i = 0; i < sizeof(gzip_commands) / sizeof(gzip_commands[0]); i++) {
		if (!have_command(gzip_commands[i]))
			continue;
		CHECK(pipe_through(gzip_commands[i], &data, &stream));
		for (size_t l = 0; l < INFLATERS; l++)
			CHECK(gunzips_to(&libraries[l], &stream, (struct pieces){70000, 0, 0},
			                 &data));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

int main(void)
{
	codec_begin();
	RUN(sniffing_goes_by_magic_bytes);
	RUN(what_cannot_be_done_is_said);
	RUN(gzip_members_decode_cut_at_every_byte);
	RUN(gzip_truncated_at_every_byte_is_an_error);
	RUN(gzip_corruption_is_noticed_or_harmless);
	RUN(gzip_checks_crc_and_length);
	RUN(gzip_headers_are_checked);
	RUN(nothing_but_nul_bytes_may_follow_gzip);
	RUN(a_thousand_empty_members_decode);
	RUN(gzip_of_every_level_decodes_in_small_pieces);
	RUN(gzip_of_every_level_decodes_in_large_pieces);
	RUN(decoding_errors_stay);
	RUN(no_input_at_all_is_a_step_too);
	RUN(what_the_gzip_commands_pack_decodes);
	return codec_end("codec");
}
