// Takes seconds: not for make check.
/* Splicing layers: what stays of the old blocks, and that everybody reads the result. */
#include "layer/splice_support.h"

#define CASES 100

static bool is_zstd(const struct strata_buf *stream)
{
	return strata_sniff(stream->data, stream->len) == STRATA_ZSTD;
}

/* Any streams, any plans: the result is the plan applied, with one thread and with two. */
static void gives_what_the_plan_says(void)
{
	struct strata_buf data = {0}, old = {0}, out = {0}, again = {0}, expected = {0};
	struct splice_plan plan = {0};
	struct strata_blob_info info, second;
	struct strata_err err;
	uint64_t stayed = 0, size = 0;
	struct helper helper;

	helper_begin(&helper);
	for (unsigned long k = 0; k < splice_cases(CASES); k++) {
		random_state = k * 0x9e3779b97f4a7c15u + 1;
		data.len = old.len = 0;
		append_odd(&data, any_size() + any_size() + (k % 8 ? 0 : 2 * MIB) +
		                          (k % 50 ? 0 : 8 * MIB));
		any_stream(&old, &data);
		any_plan(&plan, data.len);
		apply_plan(&plan, &data, &expected);
		if (!CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0))
			printf("  case %lu: %s\n", k, err.msg);
		if (!CHECK(info.tar_size == expected.len && all_decode_to(&out, &expected)))
			printf("  case %lu\n", k);
		if (is_zstd(&old) && !CHECK(frames_stay(&old, &plan, &out, info.kept)))
			printf("  case %lu\n", k);
		CHECK(splice(&old, &plan, &helper.work, &again, &second, &err) == 0);
		CHECK(same(&out, &again) && strcmp(info.digest, second.digest) == 0 &&
		      strcmp(info.diff_id, second.diff_id) == 0 && info.kept == second.kept);
		CHECK(info.kept <= out.len && info.kept <= old.len);
		stayed += info.kept;
		size += info.size;
	}
	CHECK(stayed > size / 4);
	helper_end(&helper);
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&again);
	strata_buf_free(&expected);
	strata_buf_free(&plan.fresh);
}

/* One stream: everything is kept, so all of its blocks are there, at the same place. */
static void keeps_all_blocks_of_what_is_kept(void)
{
	struct strata_buf data = {0}, old = {0}, out = {0};
	struct splice_plan plan = {0};
	struct strata_blob_info info;
	struct strata_err err;

	append_mixed(&data, 3 * MIB + 777);
	zlib_member(&old, data.data, data.len, 6, false);
	add_step(&plan, KEEP, data.len);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && all_decode_to(&out, &data));
	CHECK(out.len <= old.len + 4 && info.kept + 20 >= old.len);
	/* Behind the header, up to the last block, which is no longer the last. */
	CHECK(memcmp(out.data + 10, old.data + 10, old.len / 2) == 0);
	/* This library's own stay as they are, to the last byte. */
	old.len = 0;
	own_stream(STRATA_GZIP, &old, data.data, data.len);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && same(&out, &old));
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&plan.fresh);
}

/* Frames that are small, or larger than a segment: those of up to 8 MiB are there, and no other. */
static void keeps_all_frames_of_what_is_kept(void)
{
	static const size_t sizes[] = {1,       700,     8 * MIB,     MIB, 8 * MIB, 8 * MIB + 1,
	                               2 * MIB, 3 * MIB, 2 * MIB + 1, 5,   MIB - 12};
	struct strata_buf data = {0}, old = {0}, out = {0}, expected = {0};
	struct splice_plan plan = {0};
	struct strata_blob_info info;
	struct strata_err err;
	size_t at = 0, large = 0;

	append_mixed(&data, 40 * MIB);
	data.len = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t before = old.len;

		append_frame(&old, data.data + data.len, sizes[i]);
		data.len += sizes[i];
		if (sizes[i] > 8 * MIB)
			large = old.len - before;
		append_skippable(&old, 4); /* as pzstd does */
	}
	add_step(&plan, KEEP, data.len);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && all_decode_to(&out, &data));
	CHECK(frames_stay(&old, &plan, &out, info.kept));
	CHECK(info.kept == old.len - large - sizeof(sizes) / sizeof(*sizes) * 12);
	/* One byte less, in the middle of the first large one. */
	at = 2 * MIB;
	plan.count = 0;
	add_step(&plan, KEEP, at);
	add_step(&plan, PASS, 1);
	add_step(&plan, KEEP, data.len - at - 1);
	apply_plan(&plan, &data, &expected);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && all_decode_to(&out, &expected));
	CHECK(frames_stay(&old, &plan, &out, info.kept));
	/* This library's own stay as they are, also where the tar ends with a chunk. */
	for (size_t len = 5 * MIB; len <= 5 * MIB + 1; len++) {
		old.len = plan.count = 0;
		data.len = len;
		own_stream(STRATA_ZSTD, &old, data.data, data.len);
		add_step(&plan, KEEP, data.len);
		CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && same(&out, &old));
		CHECK(info.kept == old.len);
	}
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&expected);
	strata_buf_free(&plan.fresh);
}

/* One frame: what stays of it is compressed as if it had never been looked at. */
static void compresses_a_single_frame_anew(void)
{
	struct strata_buf data = {0}, old = {0}, out = {0}, expected = {0}, anew = {0};
	struct splice_plan plan = {0};
	struct strata_blob_info info;
	struct strata_err err;

	append_mixed(&data, 12 * MIB);
	append_frame(&old, data.data, data.len);
	add_step(&plan, KEEP, 5 * MIB);
	add_step(&plan, WRITE, 3000);
	add_step(&plan, KEEP, data.len - 5 * MIB);
	apply_plan(&plan, &data, &expected);
	own_stream(STRATA_ZSTD, &anew, expected.data, expected.len);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && same(&out, &anew));
	CHECK(info.kept == 0);
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&expected);
	strata_buf_free(&anew);
	strata_buf_free(&plan.fresh);
}

/* Something small is taken out of much: the size stays, nearly. */
static void costs_next_to_nothing(void)
{
	struct strata_buf data = {0}, old = {0}, out = {0}, expected = {0};
	struct splice_plan plan = {0};
	struct strata_blob_info info;
	struct strata_err err;

	random_state = 1;
	append_mixed(&data, 20 * MIB);
	zlib_member(&old, data.data, data.len, 6, false);
	add_step(&plan, KEEP, 7 * MIB + 512);
	add_step(&plan, PASS, 4096);
	add_step(&plan, KEEP, data.len - 7 * MIB - 512 - 4096);
	apply_plan(&plan, &data, &expected);
	CHECK(splice(&old, &plan, NULL, &out, &info, &err) == 0 && all_decode_to(&out, &expected));
	CHECK(info.kept > old.len - old.len / 50);
	CHECK(out.len < old.len + old.len / 500);
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&expected);
	strata_buf_free(&plan.fresh);
}

/* One block that begins at a bit of its first byte; returns how many bits it has. */
static uint64_t one_block(unsigned bit, const unsigned char *plain, size_t len,
                          struct strata_buf *packed)
{
	z_stream z = {.next_in = plain, .avail_in = (uInt)len};
	unsigned pending;
	int bits;

	if (deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflatePrime(&z, (int)bit, 0) != Z_OK)
		abort();
	z.next_out = (Bytef *)packed->data;
	z.avail_out = (uInt)packed->cap;
	/* Its last bits come out with the flush behind it. */
	if (deflate(&z, Z_BLOCK) != Z_OK || deflatePending(&z, &pending, &bits) != Z_OK)
		abort();
	packed->len = packed->cap - z.avail_out;
	deflate(&z, Z_FULL_FLUSH);
	deflateEnd(&z);
	return 8 * (packed->len + pending) + (unsigned)bits - bit;
}

/* A run begins at any bit behind any bit. */
static void meets_every_phase(void)
{
	struct strata_buf data = {0}, packed = {0}, all = {0}, expected = {0};
	struct strata_err err;
	bool seen[8][8] = {{0}};

	append_mixed(&data, 5000);
	if (strata_buf_reserve(&packed, 20000, &err) < 0)
		abort();
	for (unsigned k = 0; k < 1000; k++) {
		struct strata_splice *s = strata_splice_new(&err);
		struct strata_segment_sum sum = {0};
		const struct strata_buf *out;
		unsigned ends = 0;

		expected.len = all.len = 0;
		append(&all, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
		for (unsigned i = 0; i < 3; i++) {
			size_t from = random_u32() % 2000, len = 500 + random_u32() % 2500;
			const unsigned char *plain = (const unsigned char *)data.data + from;
			struct strata_run run = {.bit = random_u32() % 8};

			run.bits = run.final = one_block(run.bit, plain, len, &packed);
			run.packed = (const unsigned char *)packed.data;
			seen[ends][run.bit] = true;
			CHECK(strata_splice_run(s, &run, true, plain, len, &out, &err) == 0);
			append(&all, out->data, out->len);
			append(&expected, plain, len);
			strata_segment_sum_add(&sum, len, (uint32_t)crc32_z(0, plain, len));
			ends = (unsigned)((run.bit + run.bits) % 8);
		}
		CHECK(strata_splice_end(s, &sum, &out, &err) == 0);
		append(&all, out->data, out->len);
		CHECK(all_decode_to(&all, &expected));
		strata_splice_free(s);
	}
	for (unsigned i = 0; i < 64; i++)
		CHECK(seen[i / 8][i % 8]);
	strata_buf_free(&data);
	strata_buf_free(&packed);
	strata_buf_free(&all);
	strata_buf_free(&expected);
}

static bool is_wrong(int rc, const struct strata_err *err, const char *what)
{
	return rc < 0 && strcmp(err->code, "EIO") == 0 && strstr(err->msg, what) != NULL;
}

/* A block of ten bits that gives nothing, and is the last of its member: it does not end the stream
 * when that is said, and else it is noticed. */
static void notices_an_end(void)
{
	static const unsigned char last[] = {3, 0};
	struct strata_run run = {.packed = last, .bits = 10};
	const struct strata_buf *out;
	struct strata_err err;

	for (unsigned is_known = 0; is_known < 2; is_known++) {
		struct strata_splice *s = strata_splice_new(&err);
		int rc;

		run.final = is_known ? 0 : run.bits;
		rc = strata_splice_run(s, &run, true, last, 0, &out, &err);
		CHECK(is_known ? rc == 0 && out->data[0] == 2
		               : is_wrong(rc, &err, "they end too early"));
		/* A run that would go on behind another bit. */
		run.joins = true;
		run.bit = 5;
		CHECK(is_wrong(strata_splice_run(s, &run, true, last, 0, &out, &err), &err,
		               "a run does not go on"));
		run = (struct strata_run){.packed = last, .bits = 10};
		strata_splice_free(s);
	}
}

/* What is inflated again and differs is refused: bytes, an end that is another, a run elsewhere. */
static void notices_what_is_wrong(void)
{
	static const unsigned char hello[] = "hello, hello, hello";
	static const unsigned char longer[] = "hello, hello, hello\0, and more";
	struct strata_segment_codec codec;
	unsigned char packed[5000];
	const struct strata_buf *out;
	struct strata_err err;
	size_t len = 0;
	uint32_t crc;
	void *encoder;
	struct strata_splice *s = strata_splice_new(&err);
	struct strata_run run = {.packed = packed};
	unsigned char *room = malloc(2 * MIB);

	CHECK(strata_segment_codec_init(&codec, STRATA_GZIP, -1, &err) == 0);
	encoder = codec.ops->open(&codec, &err);
	CHECK(codec.ops->segment(&codec, encoder, hello, sizeof(hello), room, &len, &crc, &err) ==
	      0);
	memcpy(packed, room, len);
	CHECK(strata_splice_segment(s, packed, len, hello, sizeof(hello), &out, &err) == 0);
	CHECK(strata_splice_segment(s, packed, len, hello, sizeof(hello) - 1, &out, &err) < 0);
	CHECK(strcmp(err.code, "EIO") == 0);
	strata_splice_free(s);
	s = strata_splice_new(&err);
	CHECK(strata_splice_segment(s, packed, len - 1, hello, sizeof(hello), &out, &err) < 0);
	strata_splice_free(s);
	s = strata_splice_new(&err);
	run.bits = run.final = 8 * len - 3;
	CHECK(strata_splice_run(s, &run, true, hello, sizeof(hello), &out, &err) < 0);
	strata_splice_free(s);
	s = strata_splice_new(&err);
	CHECK(is_wrong(strata_splice_segment(s, packed, 0, hello, sizeof(hello), &out, &err), &err,
	               "there are none"));
	CHECK(is_wrong(strata_splice_segment(s, packed, len, longer, sizeof(longer), &out, &err),
	               &err, "they end too early"));
	strata_splice_free(s);
	s = strata_splice_new(&err);
	packed[len / 2] ^= 4;
	run.bits = run.final = 8 * len;
	CHECK(strata_splice_run(s, &run, true, hello, sizeof(hello), &out, &err) < 0);
	strata_splice_free(s);
	codec.ops->close(&codec, encoder);
	free(room);
}

/* The same of frames. */
static void notices_other_frames(void)
{
	static const char hello[] = "hello, hello, hello";
	struct strata_buf packed = {0};
	struct strata_segment_codec codec;
	struct strata_err err;
	void *encoder;

	append_frame(&packed, hello, 7);
	append_frame(&packed, hello + 7, sizeof(hello) - 7);
	CHECK(strata_segment_codec_init(&codec, STRATA_ZSTD, -1, &err) == 0);
	encoder = codec.ops->open(&codec, &err);
	for (size_t len = 0; len <= packed.len; len++) {
		const unsigned char *from = (const unsigned char *)packed.data;
		const unsigned char *plain = (const unsigned char *)hello;
		bool right = len == packed.len;

		CHECK((codec.ops->check(&codec, encoder, from, len, plain, sizeof(hello), &err) ==
		       0) == right);
		CHECK(right || strcmp(err.code, "EIO") == 0);
		CHECK(codec.ops->check(&codec, encoder, from, len, plain, sizeof(hello) - 1, &err) <
		      0);
		CHECK(codec.ops->check(&codec, encoder, from, len, plain + 1, 6, &err) < 0);
	}
	codec.ops->close(&codec, encoder);
	strata_buf_free(&packed);
}

int main(void)
{
	codec_begin();
	RUN(gives_what_the_plan_says);
	RUN(keeps_all_blocks_of_what_is_kept);
	RUN(keeps_all_frames_of_what_is_kept);
	RUN(compresses_a_single_frame_anew);
	RUN(costs_next_to_nothing);
	RUN(meets_every_phase);
	RUN(notices_what_is_wrong);
	RUN(notices_an_end);
	RUN(notices_other_frames);
	return codec_end("splice");
}
