/*
 * What blobs say of the size of their tar, and tars that are inflated into a place of an output
 * that other threads write to as well. Oracles are the data that went in.
 */
#include "codec/codec_support.h"
#include "core/job/job.h"
#include "core/layer/stated_size.h"

#define MIB ((size_t)1 << 20)

static struct strata_file *file_of(const struct strata_buf *b)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp(NULL, NULL, &err);

	if (f == NULL || strata_file_write(f, 0, b->data, b->len, &err) < 0)
		abort();
	return f;
}

static void encode(enum strata_compression c, const struct strata_buf *data, struct strata_buf *out)
{
	struct strata_err err;

	encode_with(strata_encoder_new(c, -1, &err), data, (struct pieces){ROOM_MAX, 0, ROOM_MAX},
	            out);
}

/* What the bytes say: -1 for nothing. They stand behind others in their file. */
static int64_t stated(const struct strata_buf *bytes, enum strata_compression c)
{
	struct strata_buf all = {0};
	struct strata_blob blob = {.offset = 7, .size = bytes->len, .compression = c};
	struct strata_err err;
	uint64_t size;
	int status;

	append(&all, "before:", 7);
	append(&all, bytes->data, bytes->len);
	append(&all, ":behind", 7);
	blob.file = file_of(&all);
	status = strata_stated_size(&blob, &size, &err);
	CHECK(status >= 0);
	strata_file_unref(blob.file);
	strata_buf_free(&all);
	return status > 0 ? (int64_t)size : -1;
}

static void a_blob_states_what_it_was_made_of(void)
{
	static const size_t sizes[] = {100, 255, 256, 65791, 65792, 3 * MIB + 5};
	struct strata_buf data = {0}, out = {0};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		data.len = out.len = 0;
		append_noise(&data, sizes[i]);
		encode(STRATA_GZIP, &data, &out);
		CHECK(stated(&out, STRATA_GZIP) == (int64_t)data.len);
		CHECK(stated(&data, STRATA_NONE) == -1);
	}
	strata_buf_free(&data);
	strata_buf_free(&out);
}

/* Frames as other programs make them: with every size of field, and with none. */
static void frames_are_added_up(void)
{
	static const char *const frames[] = {
	        "\x28\xb5\x2f\xfd\x20\x05\x29\0\0aaaaa",                 /* one byte */
	        "\x28\xb5\x2f\xfd\x40\x50\x01\0\x03\x08\0b",             /* two: 257 */
	        "\x28\xb5\x2f\xfd\x84\x50\x02\0\0\0\x11\0\0bbSUM.",      /* four, checksum */
	        "\x28\xb5\x2f\xfd\xe1\xaa\x03\0\0\0\0\0\0\0\x19\0\0ccc", /* eight, dictionary */
	        "\x50\x2a\x4d\x18\x03\0\0\0abc",                         /* skipped */
	        "\x28\xb5\x2f\xfd\x20\x04\x10\0\0dd\x11\0\0dd",          /* two blocks */
	        "\x28\xb5\x2f\xfd\x00\x50\x11\0\0ee",                    /* states none */
	        "\x28\xb5\x2f\xfd\x20\x02\x11\0\0e",                     /* is cut */
	        "nothing",
	};
	static const size_t lengths[] = {14, 12, 19, 20, 11, 16, 11, 10, 7};
	static const int64_t sizes[] = {5, 257, 2, 3, 0, 4, -1, -1, -1};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct strata_buf all = {0};

		for (size_t f = 0; f < 2; f++)
			append(&all, frames[f], lengths[f]);
		append(&all, frames[i], lengths[i]);
		CHECK(stated(&all, STRATA_ZSTD) == (sizes[i] < 0 ? -1 : 262 + sizes[i]));
		strata_buf_free(&all);
	}
}

static void nobody_walks_over_endless_frames(void)
{
	struct strata_buf all = {0};

	append(&all, "\x28\xb5\x2f\xfd\x20\x05", 6);
	for (int i = 0; i < 100000; i++)
		append(&all, "\0\0\0", 3); /* blocks of nothing */
	append(&all, "\x29\0\0aaaaa", 8);
	CHECK(stated(&all, STRATA_ZSTD) == -1);
	strata_buf_free(&all);
}

static void what_is_hardly_true_is_not_stated(void)
{
	struct strata_buf data = {0}, out = {0};

	append_noise(&data, 50000);
	encode(STRATA_GZIP, &data, &out);
	memset(out.data + out.len - 4, 0, 4); /* the last of several members has nothing */
	CHECK(stated(&out, STRATA_GZIP) == -1);
	memset(out.data + out.len - 4, 0xff, 4); /* 85,000 times as long */
	CHECK(stated(&out, STRATA_GZIP) == -1);
	out.len = 17;
	CHECK(stated(&out, STRATA_GZIP) == -1);
	out.len = 0;
	CHECK(stated(&out, STRATA_GZIP) == -1 && stated(&out, STRATA_ZSTD) == -1);
	strata_buf_free(&data);
	strata_buf_free(&out);
}

/* ---- places -------------------------------------------------------------- */

/* Inflates three blobs between bytes of another output. Returns the error of the job. */
static struct strata_err place(const struct strata_buf *data, struct strata_file *to,
                               const uint64_t sizes[3], unsigned threads)
{
	struct strata_err err = {"", ""};
	struct strata_job *job = strata_job_new(&err);
	struct strata_buf out = {0};
	struct strata_file *from;
	uint64_t at = 10;

	encode(STRATA_GZIP, data, &out);
	from = file_of(&out);
	for (int i = 0; i < 3; i++) {
		const struct strata_recode_task t = {
		        .blob = {from, 0, out.len, STRATA_GZIP, STRATA_SHA256},
		        .to = {to, STRATA_NONE, -1, true, at, sizes[i]},
		};

		if (strata_job_add_recode(job, "task", &t, &err) < 0)
			abort();
		at += data->len + 10;
	}
	if (strata_job_start(job, threads, &err) < 0)
		abort();
	while (!strata_job_wait(job, 1))
		;
	strata_job_result(job, &err);
	strata_job_free(job);
	strata_file_unref(from);
	strata_buf_free(&out);
	return err;
}

/* An output of dots, whose bytes between the places must stay. */
static struct strata_file *dots(size_t len)
{
	struct strata_buf all = {0};
	struct strata_file *file;
	struct strata_err err;

	if (strata_buf_fill(&all, '.', len, &err) < 0)
		abort();
	file = file_of(&all);
	strata_buf_free(&all);
	return file;
}

static bool has_dots(const struct strata_file *file, uint64_t at)
{
	char bytes[10];
	struct strata_err err;

	return strata_file_read(file, at, bytes, 10, &err) == 0 &&
	       memcmp(bytes, "..........", 10) == 0;
}

static void a_tar_fills_its_place_and_no_more(void)
{
	struct strata_buf data = {0}, back = {0};
	struct strata_err err;

	append_mixed(&data, 3 * MIB + 11);
	if (strata_buf_reserve(&back, data.len, &err) < 0)
		abort();
	back.len = data.len;
	for (unsigned threads = 1; threads <= 4; threads++)
		for (int wrong = -1; wrong <= 1; wrong++) {
			uint64_t stride = data.len + 10;
			uint64_t sizes[3] = {data.len, data.len + (uint64_t)wrong, data.len};
			struct strata_file *to = dots(3 * stride + 10);

			err = place(&data, to, sizes, threads);
			CHECK(strcmp(err.code, wrong == 0 ? "" : "ERANGE") == 0);
			for (uint64_t i = 0; i < 4; i++)
				CHECK(has_dots(to, i * stride));
			CHECK(strata_file_read(to, 10, back.data, back.len, &err) == 0 &&
			      same(&back, &data));
			strata_file_unref(to);
		}
	strata_buf_free(&data);
	strata_buf_free(&back);
}

static void only_a_plain_tar_has_a_place(void)
{
	struct strata_err err;
	struct strata_job *job = strata_job_new(&err);
	struct strata_file *file = dots(10);
	const struct strata_recode_task t = {
	        .blob = {file, 0, 10, STRATA_NONE, STRATA_SHA256},
	        .to = {file, STRATA_GZIP, -1, true, 0, 10},
	};

	CHECK(strata_job_add_recode(job, "task", &t, &err) == -1);
	CHECK(strcmp(err.code, "EINVAL") == 0);
	strata_job_free(job);
	strata_file_unref(file);
}

int main(void)
{
	codec_begin();
	RUN(a_blob_states_what_it_was_made_of);
	RUN(frames_are_added_up);
	RUN(nobody_walks_over_endless_frames);
	RUN(what_is_hardly_true_is_not_stated);
	RUN(a_tar_fills_its_place_and_no_more);
	RUN(only_a_plain_tar_has_a_place);
	return codec_end("stated size");
}
