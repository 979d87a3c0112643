/* Decoders of a stream that comes in pieces, and their limits. The oracle is zlib. */
#include "codec/codec_support.h"

/* Pushes the stream in pieces of n bytes; 0, or -1 and the error. */
static int push(struct strata_decoder *s, const struct strata_buf *stream, size_t n, size_t room,
                struct strata_buf *out, struct strata_err *err)
{
	unsigned char *to = out_room.end - room;
	size_t produced;

	for (size_t at = 0; at < stream->len; at += n) {
		size_t len = stream->len - at < n ? stream->len - at : n;
		const unsigned char *in = in_room.end - len;

		memcpy(in_room.end - len, stream->data + at, len);
		do {
			if (strata_decoder_step(s, &in, &len, to, room, &produced, err) < 0)
				return -1;
			append(out, to, produced);
		} while (len > 0 || produced == room);
		CHECK(len == 0 && in == in_room.end);
	}
	return strata_decoder_finish(s, err);
}

/* The code that pushing ends with, "" when there is none. */
static struct strata_err pushed(const struct strata_buf *stream,
                                const struct strata_inflate_limits *limits, size_t n, size_t room,
                                struct strata_buf *out)
{
	struct strata_err err = {"", ""};
	struct strata_decoder *s = strata_decoder_new(STRATA_GZIP, limits, &err);

	if (s == NULL)
		abort();
	if (push(s, stream, n, room, out, &err) < 0) {
		struct strata_err again = {"", ""};

		CHECK(strata_decoder_finish(s, &again) < 0);
		CHECK(strcmp(err.code, again.code) == 0);
	} else {
		err.code[0] = '\0';
	}
	strata_decoder_free(s);
	return err;
}

static void inflates_what_is_pushed_in_any_pieces(void)
{
	static const size_t pieces[] = {1, 7, 1000, 65536};
	struct strata_buf data = {0}, stream = {0}, out = {0};

	append_mixed(&data, 100000);
	zlib_member(&stream, data.data, 50000, 6, true);
	zlib_member(&stream, data.data + 50000, 50000, 1, false);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			out.len = 0;
			CHECK(pushed(&stream, NULL, pieces[i], pieces[k], &out).code[0] == '\0');
			CHECK(same(&out, &data));
		}
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
}

static void stops_at_its_limits_and_says_which(void)
{
	struct strata_inflate_limits limits = {.bytes = 99999};
	struct strata_decoder decoder = {0};
	struct strata_buf data = {0}, stream = {0}, out = {0};
	struct strata_err err;

	append_mixed(&data, 100000);
	zlib_member(&stream, data.data, data.len, 6, false);
	err = pushed(&stream, &limits, 100, 4096, &out);
	CHECK(strcmp(err.code, "ELIMIT") == 0 && strstr(err.msg, "limits.bytes") != NULL);
	CHECK(out.len <= 99999);
	limits.bytes = 100000;
	CHECK(pushed(&stream, &limits, 100, 4096, &out).code[0] == '\0');
	decoder.limits = (struct strata_inflate_limits){.ratio = 100};
	decoder.consumed = 1;
	decoder.produced = STRATA_INFLATE_RATIO_FREE;
	CHECK(strata_decoder_check(&decoder, &err) == 0);
	decoder.produced++;
	CHECK(strata_decoder_check(&decoder, &err) < 0);
	CHECK(strstr(err.msg, "limits.ratio (100)") != NULL);
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
}

static void misses_the_end_of_a_stream_that_is_cut_short(void)
{
	struct strata_buf data = {0}, stream = {0}, out = {0};

	append_mixed(&data, 5000);
	zlib_member(&stream, data.data, data.len, 6, false);
	for (size_t len = stream.len - 1; len > 0; len -= len > 100 ? 97 : 1) {
		stream.len = len;
		CHECK(strcmp(pushed(&stream, NULL, 64, 64, &out).code, "EFORMAT") == 0);
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
}

static void refuses_what_the_core_does_not_decode(void)
{
	struct strata_err err;

	CHECK(strata_decoder_new(STRATA_XZ, NULL, &err) == NULL);
	CHECK(strcmp(err.code, "EUNSUPPORTED") == 0);
}

int main(void)
{
	codec_begin();
	RUN(inflates_what_is_pushed_in_any_pieces);
	RUN(stops_at_its_limits_and_says_which);
	RUN(misses_the_end_of_a_stream_that_is_cut_short);
	RUN(refuses_what_the_core_does_not_decode);
	return codec_end("inflate_test");
}
