// Takes seconds: not for make check.
/* Encoding of zstd. The oracles are libzstd and the zstd command. */
#include <zstd.h>

#include "codec/codec_support.h"

static void pack(int level, const struct strata_buf *data, struct pieces pieces,
                 struct strata_buf *out)
{
	struct strata_err err;

	encode_with(strata_encoder_new(STRATA_ZSTD, level, &err), data, pieces, out);
}

/* True when libzstd, frame after frame, gives the data. */
static bool libzstd_decodes_to(const struct strata_buf *stream, const struct strata_buf *expected)
{
	size_t room = expected->len + 1, n;
	char *out = malloc(room);
	bool ok;

	n = ZSTD_decompress(out, room, stream->data, stream->len);
	ok = !ZSTD_isError(n) && n == expected->len &&
	     (n == 0 || memcmp(out, expected->data, n) == 0);
	free(out);
	return ok;
}

static bool decodes_to(const struct strata_buf *stream, const struct strata_buf *expected)
{
	struct strata_err err = {"", ""};
	struct strata_decoder *d = strata_decoder_new(STRATA_ZSTD, NULL, &err);
	struct strata_buf out = {0};
	bool ok = decode_with(d, stream, whole, &out, &err) == 0 && same(&out, expected);

	strata_decoder_free(d);
	strata_buf_free(&out);
	return ok;
}

static size_t segment_of(int level)
{
	struct strata_segment_codec packing;
	struct strata_err err;

	if (strata_segment_codec_init(&packing, STRATA_ZSTD, level, &err) < 0)
		abort();
	return packing.segment;
}

static void encoded_zstd_is_what_libzstd_reads(void)
{
	static const int levels[] = {-1, 1, 3, 9, 10, 19};
	struct strata_buf data = {0}, stream = {0};

	for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
		size_t segment = segment_of(levels[l]);
		const size_t lengths[] = {0,           1,       100,         65536,
		                          segment - 1, segment, segment + 1, 2 * segment};

		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			/* The highest levels take a second per MiB. */
			if (levels[l] > 9 && lengths[i] > 65536 && lengths[i] != segment + 1)
				continue;
			data.len = stream.len = 0;
			random_state = i + 1;
			if (i % 2)
				append_mixed(&data, lengths[i]);
			else
				append_noise(&data, lengths[i]);
			pack(levels[l], &data, (struct pieces){ROOM_MAX, 0, 64 * KIB}, &stream);
			CHECK(libzstd_decodes_to(&stream, &data));
			CHECK(decodes_to(&stream, &data));
			CHECK(stream.len <= data.len + data.len / 8000 + 40);
		}
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* As the zstd command and containerd write it. */
static void every_frame_tells_its_size_and_has_a_checksum(void)
{
	struct strata_buf data = {0}, stream = {0};
	size_t at = 0, total = 0, frames = 0;

	random_state = 3;
	append_mixed(&data, 2 * segment_of(-1) + 1000);
	pack(-1, &data, (struct pieces){ROOM_MAX, 0, ROOM_MAX}, &stream);
	while (at < stream.len) {
		CHECK((stream.data[at + 4] & 4) != 0); /* Content_Checksum_flag */
		total += ZSTD_getFrameContentSize(stream.data + at, stream.len - at);
		at += ZSTD_findFrameCompressedSize(stream.data + at, stream.len - at);
		frames++;
	}
	CHECK(frames == 3 && total == data.len);
	stream.data[stream.len - 1] ^= 1;
	CHECK(!libzstd_decodes_to(&stream, &data));
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

static void encoded_zstd_depends_on_the_bytes_alone(void)
{
	static const struct pieces pieces[] = {
	        {512, 0, 4096}, {65537, 0, 65536}, {2 * MIB, 0, 1000}, {0, 0, 0}, {0, 0, 17},
	};
	struct strata_buf data = {0}, first = {0}, stream = {0};

	random_state = 23;
	append_mixed(&data, 2 * segment_of(-1));
	append_noise(&data, 200 * KIB);
	for (int level = 1; level <= 5; level += 2) {
		first.len = 0;
		pack(level, &data, (struct pieces){ROOM_MAX, 0, ROOM_MAX}, &first);
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			stream.len = 0;
			pack(level, &data, pieces[i], &stream);
			CHECK(same(&stream, &first));
		}
	}
	strata_buf_free(&data);
	strata_buf_free(&first);
	strata_buf_free(&stream);
}

static void zstd_levels_are_checked(void)
{
	static const int wrong[] = {0, -2, 20, 1000000};
	struct strata_err err;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(strata_encoder_new(STRATA_ZSTD, wrong[i], &err) == NULL);
		CHECK(strcmp(err.code, "EINVAL") == 0);
		CHECK(strstr(err.msg, "1 to 19") != NULL);
	}
}

static void what_is_packed_the_zstd_command_decodes(void)
{
	struct strata_buf data = {0}, stream = {0}, out = {0};

	if (!have_command("zstd --version"))
		return;
	pack(3, &data, (struct pieces){100, 0, 100}, &stream);
	CHECK(stream.len == 13 && memcmp(stream.data + 9, "\x99\xe9\xd8\x51", 4) == 0);
	CHECK(pipe_through("zstd -dcq", &stream, &out) && out.len == 0);

	random_state = 47;
	append_mixed(&data, 5 * MIB);
	append_noise(&data, 300 * KIB);
	for (int level = 1; level <= 7; level += 3) {
		stream.len = 0;
		pack(level, &data, (struct pieces){0, 0, 0}, &stream);
		CHECK(pipe_through("zstd -dcq", &stream, &out));
		CHECK(same(&out, &data));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
}

int main(void)
{
	codec_begin();
	RUN(encoded_zstd_is_what_libzstd_reads);
	RUN(every_frame_tells_its_size_and_has_a_checksum);
	RUN(encoded_zstd_depends_on_the_bytes_alone);
	RUN(zstd_levels_are_checked);
	RUN(what_is_packed_the_zstd_command_decodes);
	return codec_end("codec_zstd_encode");
}
