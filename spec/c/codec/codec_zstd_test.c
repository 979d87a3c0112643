/* Decoding of zstd. The oracles are libzstd and the zstd command. */
#include <zstd.h>

#include "codec/codec_support.h"

/* Appends one zstd frame with a checksum. */
static void zstd_frame(struct strata_buf *out, const void *bytes, size_t len, int level)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(len);
	struct strata_err err;

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	if (strata_buf_reserve(out, bound, &err) < 0)
		abort();
	out->len += ZSTD_compress2(ctx, out->data + out->len, bound, bytes, len);
	ZSTD_freeCCtx(ctx);
}

static int unzstd(const struct strata_buf *stream, struct pieces pieces, struct strata_buf *out,
                  struct strata_err *err)
{
	struct strata_decoder *d = strata_decoder_new(STRATA_ZSTD, NULL, err);
	int rc;

	if (d == NULL)
		abort();
	rc = decode_with(d, stream, pieces, out, err);
	strata_decoder_free(d);
	return rc;
}

/* ---- tests: zstd ------------------------------------------------------- */

/* Three frames with skippable ones before, between and behind. */
static void small_zstd(struct strata_buf *stream, struct strata_buf *data)
{
	static const char skippable[] = "\x50\x2a\x4d\x18\x05\0\0\0hello\x5f\x2a\x4d\x18\0\0\0";

	append_mixed(data, 400);
	append(stream, skippable, sizeof(skippable));
	zstd_frame(stream, data->data, 300, 3);
	append(stream, skippable, sizeof(skippable));
	zstd_frame(stream, data->data + 300, data->len - 300, 1);
	zstd_frame(stream, NULL, 0, 1);
	append(stream, skippable, sizeof(skippable));
}

static bool unzstds_to(const struct strata_buf *stream, struct pieces pieces,
                       const struct strata_buf *expected)
{
	struct strata_buf out = {0};
	struct strata_err err = {"", ""};
	bool ok = unzstd(stream, pieces, &out, &err) == 0 && same(&out, expected);

	if (!ok)
		printf("  zstd, pieces of %zu/%zu/%zu: %s\n", pieces.in, pieces.cut, pieces.out,
		       err.msg);
	strata_buf_free(&out);
	return ok;
}

static bool unzstd_fails(const struct strata_buf *stream, const char *code)
{
	struct strata_buf out = {0};
	struct strata_err err = {"", ""};
	bool ok = unzstd(stream, whole, &out, &err) == -1 && strcmp(err.code, code) == 0;

	if (!ok)
		printf("  zstd: %s %s\n", err.code, err.msg);
	strata_buf_free(&out);
	return ok;
}

static void zstd_frames_decode_in_any_pieces(void)
{
	static const size_t outs[] = {1, 7, 0};
	struct strata_buf stream = {0}, data = {0};

	random_state = 37;
	small_zstd(&stream, &data);
	CHECK(strata_sniff(stream.data, stream.len) == STRATA_ZSTD);
	for (size_t o = 0; o < 3; o++) {
		for (size_t cut = 1; cut < stream.len; cut++)
			CHECK(unzstds_to(&stream, (struct pieces){0, cut, outs[o]}, &data));
		for (size_t in = 1; in < 20; in++)
			CHECK(unzstds_to(&stream, (struct pieces){in, 0, outs[o]}, &data));
	}
	data.len = stream.len = 0;
	append_mixed(&data, 3 * MIB);
	zstd_frame(&stream, data.data, data.len, 3);
	CHECK(unzstds_to(&stream, whole, &data));
	CHECK(unzstds_to(&stream, (struct pieces){4099, 0, 100}, &data));
	CHECK(unzstds_to(&stream, (struct pieces){0, 0, 2 * MIB}, &data));
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void zstd_truncated_anywhere_is_an_error(void)
{
	struct strata_buf stream = {0}, data = {0};
	size_t whole_frames = 0, len;

	random_state = 41;
	small_zstd(&stream, &data);
	len = stream.len;
	for (size_t cut = 0; cut < len; cut++) {
		struct strata_buf out = {0};
		struct strata_err err = {"", ""};

		stream.len = cut;
		if (unzstd(&stream, whole, &out, &err) == 0)
			whole_frames++;
		else
			CHECK(strcmp(err.code, "EFORMAT") == 0);
		strata_buf_free(&out);
	}
	CHECK(whole_frames == 8); /* nine frames have eight borders between them */
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void zstd_garbage_is_an_error(void)
{
	struct strata_buf stream = {0}, data = {0};
	size_t len;

	append(&stream, "\0", 1);
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	stream.len = 0;
	append(&stream, "no zstd", 7);
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	stream.len = 0;
	append(&stream, "\x26\xb5\x2f\xfd\0\0\0\0\0\0\0\0", 12); /* format of version 0.6 */
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	stream.len = 0;
	append_mixed(&data, 5000);
	zstd_frame(&stream, data.data, data.len, 3);
	len = stream.len;
	append(&stream, "\0\0\0\0\0\0", 6);
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	stream.len = len;
	append(&stream, "x", 1);
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	stream.len = len;
	stream.data[len - 1] ^= 1; /* the checksum */
	CHECK(unzstd_fails(&stream, "EFORMAT"));
	strata_buf_free(&stream);
	strata_buf_free(&data);
}

static void zstd_windows_are_limited(void)
{
	/* A frame of unknown size whose one block is raw and empty. */
	unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0};
	struct strata_buf stream = {0}, nothing = {0};

	frame[5] = 17 << 3; /* 2^27: 128 MiB */
	append(&stream, frame, sizeof(frame));
	CHECK(unzstds_to(&stream, whole, &nothing));
	stream.len = 0;
	frame[5] = 18 << 3; /* 2^28 */
	append(&stream, frame, sizeof(frame));
	CHECK(unzstd_fails(&stream, "ELIMIT"));
	strata_buf_free(&stream);
}

static void the_window_limit_can_be_set(void)
{
	unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0};
	static const struct {
		uint64_t limit;
		unsigned log;
		bool fits;
	} cases[] = {
	        {(uint64_t)1 << 28, 28, true},
	        {((uint64_t)1 << 28) - 1, 28, false},
	        {(uint64_t)1 << 20, 20, true},
	        {(uint64_t)1 << 20, 21, false},
	        {((uint64_t)1 << 21) - 1, 20, true},
	        {1, 10, true},
	        {1, 11, false},
	        {UINT64_MAX, 29, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strata_err err = {"", ""};
		struct strata_inflate_limits limits = {.zstd_window = cases[i].limit};
		struct strata_decoder *d = strata_decoder_new(STRATA_ZSTD, &limits, &err);
		struct strata_buf stream = {0}, out = {0};

		frame[5] = (unsigned char)((cases[i].log - 10) << 3);
		append(&stream, frame, sizeof(frame));
		CHECK((decode_with(d, &stream, whole, &out, &err) == 0) == cases[i].fits);
		if (!cases[i].fits) {
			CHECK(strcmp(err.code, "ELIMIT") == 0);
			CHECK(strstr(err.msg, "limits.zstd_window") != NULL);
		}
		strata_decoder_free(d);
		strata_buf_free(&stream);
		strata_buf_free(&out);
	}
}

/* ---- tests: commands --------------------------------------------------- */

static const char *const zstd_commands[] = {"zstd -1", "zstd -19", "zstd -3 --long=27 -T0",
                                            "zstd --no-check"};

static void what_the_zstd_command_packs_decodes(void)
{
	struct strata_buf data = {0}, stream = {0};

	random_state = 53;
	append_mixed(&data, 3 * MIB);
	append_noise(&data, 300 * KIB);
	for (size_t i = 0; i < sizeof(zstd_commands) / sizeof(zstd_commands[0]); i++) {
		if (!have_command(zstd_commands[i]))
			continue;
		CHECK(pipe_through(zstd_commands[i], &data, &stream));
		CHECK(unzstds_to(&stream, (struct pieces){70000, 0, 0}, &data));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* libzstd itself does not compare behind an empty last block, unless it has the frame as a whole.
 */
static void the_size_that_a_zstd_header_states_is_right(void)
{
	/* One raw block; the content's length is stated in 1, 2, 4 and 8 bytes. */
	static const struct {
		const char *bytes;
		size_t len;
		bool valid;
	} frames[] = {
	        {"\x28\xb5\x2f\xfd\x20\x00\x01\0\0", 9, true},
	        {"\x28\xb5\x2f\xfd\x20\x40\x01\0\0", 9, false},
	        {"\x28\xb5\x2f\xfd\x20\x03\x19\0\0abc", 12, true},
	        {"\x28\xb5\x2f\xfd\x20\x04\x19\0\0abc", 12, false},
	        {"\x28\xb5\x2f\xfd\x20\x02\x19\0\0abc", 12, false},
	        {"\x28\xb5\x2f\xfd\x20\x04\x18\0\0abc\x01\0\0", 15, false},
	        {"\x28\xb5\x2f\xfd\x60\x00\x00\x01\0\0", 10, false},
	        {"\x28\xb5\x2f\xfd\xa0\x00\0\0\0\x01\0\0", 12, true},
	        {"\x28\xb5\x2f\xfd\xa0\x01\0\0\0\x01\0\0", 12, false},
	        {"\x28\xb5\x2f\xfd\xc0\x00\x05\0\0\0\0\0\0\0\x01\0\0", 17, false},
	        {"\x28\xb5\x2f\xfd\x00\x00\x01\0\0", 9, true}, /* none is stated */
	};
	static const struct pieces cuts[] = {{0, 0, 0}, {1, 0, 0}, {1, 0, 1}, {7, 0, 3}};
	char peer[100];

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		for (size_t k = 0; k < 2 * sizeof(cuts) / sizeof(cuts[0]); k++) {
			struct strata_buf stream = {0}, out = {0};
			struct strata_err err = {"", ""};
			int rc;

			if (k % 2)
				append(&stream, frames[0].bytes, frames[0].len);
			append(&stream, frames[i].bytes, frames[i].len);
			rc = unzstd(&stream, cuts[k / 2], &out, &err);
			CHECK(frames[i].valid ? rc == 0
			                      : rc < 0 && strcmp(err.code, "EFORMAT") == 0);
			CHECK(frames[i].valid ==
			      !ZSTD_isError(ZSTD_decompress(peer, sizeof(peer), stream.data,
			                                    stream.len)));
			strata_buf_free(&stream);
			strata_buf_free(&out);
		}
}

int main(void)
{
	codec_begin();
	RUN(zstd_frames_decode_in_any_pieces);
	RUN(zstd_truncated_anywhere_is_an_error);
	RUN(zstd_garbage_is_an_error);
	RUN(the_size_that_a_zstd_header_states_is_right);
	RUN(zstd_windows_are_limited);
	RUN(the_window_limit_can_be_set);
	RUN(what_the_zstd_command_packs_decodes);
	return codec_end("codec_zstd");
}
