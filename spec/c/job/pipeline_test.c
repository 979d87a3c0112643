// Takes seconds: not for make check.
/*
 * Jobs whose tasks are shared by several threads: the same bytes, digests and
 * errors with any number of them. Oracles are one-shot digests, our decoders
 * (tested elsewhere against peers) and the job with one thread.
 */
#include <signal.h>
#include <sys/resource.h>

#include "codec/codec_support.h"
#include "core/fs/file.h"
#include "core/job/job.h"
#include "core/layer/plan.h"

static const unsigned thread_counts[] = {1, 2, 3, 8};

#define COUNTS (sizeof(thread_counts) / sizeof(thread_counts[0]))

/* ---- files, blobs, jobs ------------------------------------------------- */

static struct strata_file *file_of(const struct strata_buf *b)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp(NULL, NULL, &err);

	if (f == NULL || (b != NULL && strata_file_write(f, 0, b->data, b->len, &err) < 0))
		abort();
	return f;
}

static void read_all(const struct strata_file *f, uint64_t size, struct strata_buf *out)
{
	struct strata_err err;

	out->len = 0;
	if (strata_buf_reserve(out, size, &err) < 0 ||
	    strata_file_read(f, 0, out->data, size, &err) < 0)
		abort();
	out->len = size;
}

/* The encoding of data by our own encoder, in one thread. */
static void encode(enum strata_compression c, int level, const struct strata_buf *data,
                   struct strata_buf *out)
{
	struct strata_err err;

	out->len = 0;
	if (c == STRATA_NONE)
		append(out, data->data, data->len);
	else
		encode_with(strata_encoder_new(c, level, &err), data,
		            (struct pieces){ROOM_MAX, 0, ROOM_MAX}, out);
}

static bool decodes_to(enum strata_compression c, const struct strata_buf *stream,
                       const struct strata_buf *expected)
{
	struct strata_err err = {"", ""};
	struct strata_buf out = {0};
	struct strata_decoder *d;
	bool ok;

	if (c == STRATA_NONE)
		return same(stream, expected);
	d = strata_decoder_new(c, NULL, &err);
	ok = decode_with(d, stream, whole, &out, &err) == 0 && same(&out, expected);
	strata_decoder_free(d);
	strata_buf_free(&out);
	return ok;
}

static struct strata_job *new_job(void)
{
	struct strata_err err;
	struct strata_job *job = strata_job_new(&err);

	if (job == NULL)
		abort();
	return job;
}

static struct strata_blob blob_of(struct strata_file *file, uint64_t size,
                                  enum strata_compression c)
{
	return (struct strata_blob){file, 0, size, c, STRATA_SHA256};
}

static void added(int rc)
{
	if (rc < 0)
		abort();
}

/* Adds the reading of a blob; digest NULL: not known. */
static void add_hash(struct strata_job *job, const char *label, const struct strata_blob *blob,
                     const char *digest, const struct strata_inflate_limits *limits)
{
	struct strata_hash_task t = {.blob = *blob, .plain = true};
	struct strata_err err;

	if (digest != NULL)
		strcpy(t.expected.digest, digest);
	if (limits != NULL)
		t.inflate = *limits;
	added(strata_job_add_hash(job, label, &t, &err));
}

static void add_recode(struct strata_job *job, const struct strata_recode_task *t)
{
	struct strata_err err;

	added(strata_job_add_recode(job, "task", t, &err));
}

static struct strata_err run(struct strata_job *job, unsigned threads)
{
	struct strata_err err = {"", ""};

	if (strata_job_start(job, threads, &err) < 0)
		abort();
	while (!strata_job_wait(job, 1))
		;
	strata_job_result(job, &err);
	return err;
}

static bool is_digest_of(const char *digest, const struct strata_buf *data)
{
	char expected[STRATA_DIGEST_MAX];
	struct strata_err err;

	return strata_sha256(data->data, data->len, expected, &err) == 0 &&
	       strcmp(digest, expected) == 0;
}

/* ---- recoding ----------------------------------------------------------- */

struct recoding {
	enum strata_compression from, to;
	int level;
};

static const struct recoding recodings[] = {
        {STRATA_GZIP, STRATA_GZIP, -1}, {STRATA_GZIP, STRATA_GZIP, 4},
        {STRATA_NONE, STRATA_ZSTD, 1},  {STRATA_GZIP, STRATA_NONE, 0},
        {STRATA_ZSTD, STRATA_GZIP, 0},  {STRATA_NONE, STRATA_NONE, 0},
};

#define RECODINGS (sizeof(recodings) / sizeof(recodings[0]))

/* Recodes the stream and compares everything with what it must give. */
static void check_recoding(const struct recoding *r, const struct strata_buf *data,
                           unsigned threads)
{
	struct strata_buf stream = {0}, expected = {0}, out = {0};
	struct strata_file *file, *to = file_of(NULL);
	struct strata_job *job = new_job();
	struct strata_recode_task t = {.to = {.file = to, .compression = r->to, .level = r->level}};
	const struct strata_blob_info *info;

	encode(r->from, r->from == STRATA_GZIP ? 0 : 1, data, &stream);
	encode(r->to, r->level, data, &expected);
	file = file_of(&stream);
	t.blob = blob_of(file, stream.len, r->from);
	add_recode(job, &t);
	CHECK(run(job, threads).code[0] == '\0');
	info = strata_job_info(job, 0);
	read_all(to, info->size, &out);
	CHECK(same(&out, &expected));
	CHECK(strata_file_size(to) == info->size);
	CHECK(info->tar_size == data->len);
	CHECK(decodes_to(r->to, &out, data));
	CHECK(is_digest_of(info->digest, &out));
	CHECK(is_digest_of(info->diff_id, data));
	strata_job_free(job);
	strata_file_unref(file);
	strata_file_unref(to);
	strata_buf_free(&stream);
	strata_buf_free(&expected);
	strata_buf_free(&out);
}

static void recoding_does_not_depend_on_the_threads(void)
{
	struct strata_buf data = {0};

	random_state = 5;
	append_mixed(&data, 9 * MIB + 4711);
	append_noise(&data, 600 * KIB);
	for (size_t r = 0; r < RECODINGS; r++)
		for (size_t i = 0; i < COUNTS; i++)
			check_recoding(&recodings[r], &data, thread_counts[i]);
	strata_buf_free(&data);
}

static void sizes_around_the_borders_of_segments_come_out_whole(void)
{
	static const size_t sizes[] = {
	        0,
	        1,
	        256 * KIB - 1,
	        256 * KIB,
	        256 * KIB + 1,
	        STRATA_GZIP_SEGMENT - 1,
	        STRATA_GZIP_SEGMENT,
	        STRATA_GZIP_SEGMENT + 1,
	        2 * MIB - 1,
	        2 * MIB,
	        2 * MIB + 1,
	        4 * MIB,
	};
	struct strata_buf data = {0};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		data.len = 0;
		random_state = s + 1;
		append_mixed(&data, sizes[s]);
		for (size_t r = 0; r < RECODINGS; r++) {
			check_recoding(&recodings[r], &data, 1);
			check_recoding(&recodings[r], &data, 4);
		}
	}
	strata_buf_free(&data);
}

static void a_source_that_is_not_as_expected_is_an_error(void)
{
	struct strata_buf data = {0}, stream = {0};
	struct strata_file *file, *to = file_of(NULL);

	random_state = 7;
	append_mixed(&data, 3 * MIB);
	encode(STRATA_GZIP, 0, &data, &stream);
	file = file_of(&stream);
	for (size_t i = 0; i < COUNTS; i++)
		for (int which = 0; which < 2; which++) {
			struct strata_job *job = new_job();
			struct strata_recode_task t = {
			        .blob = blob_of(file, stream.len, STRATA_GZIP),
			        .to = {.file = to, .compression = STRATA_NONE, .level = -1}};
			struct strata_err err;

			strcpy(which ? t.expected.diff_id : t.expected.digest, "sha256:00");
			add_recode(job, &t);
			err = run(job, thread_counts[i]);
			CHECK(strcmp(err.code, "EDIGEST") == 0);
			CHECK(strstr(err.msg, which ? "diff_id" : "digest") != NULL);
			strata_job_free(job);
		}
	strata_file_unref(file);
	strata_file_unref(to);
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* ---- errors in the middle ------------------------------------------------ */

/* Runs a recoding that must fail; its message with one thread is everybody's. */
static void fails_alike(struct strata_file *file, uint64_t size, enum strata_compression to,
                        const struct strata_inflate_limits *limits, const char *code,
                        const char *part)
{
	struct strata_err first = {"", ""};

	for (size_t i = 0; i < COUNTS; i++)
		for (int again = 0; again < 3; again++) {
			struct strata_file *out = file_of(NULL);
			struct strata_job *job = new_job();
			struct strata_recode_task t = {
			        .blob = blob_of(file, size, STRATA_GZIP),
			        .to = {.file = out, .compression = to, .level = -1}};
			struct strata_err err;

			if (limits != NULL)
				t.inflate = *limits;
			add_recode(job, &t);
			err = run(job, thread_counts[i]);
			if (first.code[0] == '\0')
				first = err;
			CHECK(strcmp(err.code, code) == 0);
			if (!CHECK(strstr(err.msg, part) != NULL))
				printf("  %s: %s\n", err.code, err.msg);
			CHECK(strcmp(err.msg, first.msg) == 0);
			strata_job_free(job);
			strata_file_unref(out);
		}
}

static void corrupted_input_fails_alike_with_any_threads(void)
{
	struct strata_buf data = {0}, stream = {0};
	struct strata_file *file;

	random_state = 11;
	append_mixed(&data, 8 * MIB);
	encode(STRATA_GZIP, 3, &data, &stream);
	stream.data[stream.len / 2] ^= 0x55;
	stream.data[stream.len / 2 + 1] ^= 0x55;
	file = file_of(&stream);
	fails_alike(file, stream.len, STRATA_GZIP, NULL, "EFORMAT", "gzip member 1");
	fails_alike(file, stream.len, STRATA_NONE, NULL, "EFORMAT", "gzip member 1");
	strata_file_unref(file);
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* Files may grow to this size. */
#define FULL_AT ((rlim_t)(1 * MIB + 100))

static void limit_files(rlim_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
	limit.rlim_cur = size;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
}

/* Also when the input is corrupt behind: the first in the order of the stream is told. */
static void a_full_disk_fails_alike_with_any_threads(void)
{
	struct strata_buf data = {0}, stream = {0};
	struct strata_file *file;

	random_state = 13;
	append_noise(&data, 8 * MIB);
	encode(STRATA_GZIP, 3, &data, &stream);
	stream.data[stream.len / 2] ^= 0x55;
	stream.data[stream.len - 3] ^= 0x55; /* at the latest the length does not match */
	file = file_of(&stream);
	signal(SIGXFSZ, SIG_IGN);
	limit_files(FULL_AT);
	fails_alike(file, stream.len, STRATA_GZIP, NULL, "EFBIG", "write");
	fails_alike(file, stream.len, STRATA_NONE, NULL, "EFBIG", "write");
	fails_alike(file, stream.len, STRATA_ZSTD, NULL, "EFBIG", "write");
	limit_files(RLIM_INFINITY);
	signal(SIGXFSZ, SIG_DFL);
	strata_file_unref(file);
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

static void inflating_has_limits(void)
{
	struct strata_inflate_limits limits = {.bytes = 3 * MIB};
	struct strata_buf data = {0}, stream = {0};
	struct strata_err err;
	struct strata_file *file;

	random_state = 17;
	append_mixed(&data, 4 * MIB);
	encode(STRATA_GZIP, 0, &data, &stream);
	file = file_of(&stream);
	fails_alike(file, stream.len, STRATA_GZIP, &limits, "ELIMIT", "limits.bytes (3145728)");
	strata_file_unref(file);

	/* Zeros: 1,000 to 1 in gzip. They pass by default, and up to 256 MiB always. */
	data.len = stream.len = 0;
	if (strata_buf_fill(&data, 0, 257 * MIB, &err) < 0)
		abort();
	zlib_member(&stream, data.data, data.len, 1, false);
	file = file_of(&stream);
	limits = (struct strata_inflate_limits){.ratio = 100};
	for (int ratio = 0; ratio < 2; ratio++) {
		struct strata_job *job = new_job();
		struct strata_blob blob = blob_of(file, stream.len, STRATA_GZIP);

		add_hash(job, "task", &blob, NULL, ratio ? &limits : NULL);
		err = run(job, 2);
		CHECK(strcmp(err.code, ratio ? "ELIMIT" : "") == 0);
		CHECK(!ratio || strstr(err.msg, "limits.ratio (100)") != NULL);
		strata_job_free(job);
	}
	strata_file_unref(file);
	strata_buf_free(&data);
	strata_buf_free(&stream);
}

/* ---- several tasks ------------------------------------------------------- */

#define BLOBS 12

static void results_stand_in_the_order_of_the_list(void)
{
	struct strata_buf data[BLOBS] = {{0}};
	struct strata_file *files[BLOBS];

	for (size_t b = 0; b < BLOBS; b++) {
		random_state = b + 1;
		append_noise(&data[b], b * b % 7 * 300 * KIB + b);
		files[b] = file_of(&data[b]);
	}
	for (size_t i = 0; i < COUNTS; i++) {
		struct strata_job *job = new_job();

		for (size_t b = 0; b < BLOBS; b++) {
			struct strata_blob blob = blob_of(files[b], data[b].len, STRATA_NONE);

			add_hash(job, "task", &blob, NULL, NULL);
		}
		CHECK(run(job, thread_counts[i]).code[0] == '\0');
		for (size_t b = 0; b < BLOBS; b++) {
			CHECK(strata_job_info(job, b)->size == data[b].len);
			CHECK(is_digest_of(strata_job_info(job, b)->digest, &data[b]));
		}
		strata_job_free(job);
	}
	for (size_t b = 0; b < BLOBS; b++) {
		strata_file_unref(files[b]);
		strata_buf_free(&data[b]);
	}
}

/* The last one is the longest and so the first to fail. */
static void the_first_failure_of_the_list_is_told(void)
{
	struct strata_buf data = {0};
	struct strata_file *file;

	append_noise(&data, 4 * MIB);
	file = file_of(&data);
	for (size_t i = 0; i < COUNTS; i++) {
		struct strata_job *job = new_job();

		for (uint64_t t = 1; t <= 8; t++) {
			struct strata_blob blob = blob_of(file, t * 512 * KIB, STRATA_NONE);
			char label[8];

			snprintf(label, sizeof(label), "t%u", (unsigned)t);
			add_hash(job, label, &blob, t >= 3 ? "sha256:00" : NULL, NULL);
		}
		CHECK(strncmp(run(job, thread_counts[i]).msg, "t3: ", 4) == 0);
		CHECK(strata_job_info(job, 1) != NULL && strata_job_info(job, 2) == NULL);
		strata_job_free(job);
	}
	strata_file_unref(file);
	strata_buf_free(&data);
}

static void copies_are_hashed_as_they_were_written(void)
{
	struct strata_buf data = {0}, out = {0};
	struct strata_file *file;

	random_state = 19;
	append_noise(&data, 9 * MIB + 5);
	file = file_of(&data);
	for (size_t i = 0; i < COUNTS; i++)
		for (int expected = 0; expected < 3; expected++) {
			struct strata_job *job = new_job();
			struct strata_file *to = file_of(NULL);
			struct strata_copy_task t = {.blob = blob_of(file, data.len, STRATA_NONE),
			                             .to = to,
			                             .to_offset = 777};
			struct strata_err err;
			uint64_t done, total;

			if (expected > 0)
				strata_sha256(data.data, data.len - (expected > 1),
				              t.expected.digest, &err);
			added(strata_job_add_copy(job, "task", &t, &err));
			err = run(job, thread_counts[i]);
			CHECK(strcmp(err.code, expected > 1 ? "EDIGEST" : "") == 0);
			strata_job_progress(job, &done, &total);
			CHECK(done == data.len && total == data.len);
			read_all(to, 777 + data.len, &out);
			CHECK(memcmp(out.data + 777, data.data, data.len) == 0);
			strata_job_free(job);
			strata_file_unref(to);
		}
	strata_file_unref(file);
	strata_buf_free(&data);
	strata_buf_free(&out);
}

/* ---- editing ------------------------------------------------------------- */

/* A ustar header with just what a reader must have. */
static void append_header(struct strata_buf *tar, const char *name, size_t size)
{
	char h[512] = {0};
	unsigned sum = 0;

	snprintf(h, 100, "%s", name);
	memcpy(h + 100, "0000644\0000000000\0000000000", 24);
	snprintf(h + 124, 12, "%011zo", size);
	memcpy(h + 136, "00000000000\0        0", 21);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	append(tar, h, sizeof(h));
}

/* Files of a tar, and the first one that is dropped: with it every third one behind it goes. */
struct tar_shape {
	unsigned files;
	size_t size; /* of each; 0: random */
	unsigned first;
};

static bool is_dropped(const struct tar_shape *shape, unsigned i)
{
	return i >= shape->first && (i - shape->first) % 3 == 0;
}

static void make_tars(const struct tar_shape *shape, struct strata_buf *tar,
                      struct strata_buf *edited)
{
	struct strata_buf data = {0};
	struct strata_err err;

	tar->len = edited->len = 0;
	random_state = 23;
	append_mixed(&data, 300 * KIB);
	for (unsigned i = 0; i < shape->files; i++) {
		size_t len = shape->size > 0 ? shape->size : random_u32() % (100 * KIB);
		size_t padding = -len % 512;
		char name[20];

		snprintf(name, sizeof(name), "file%u", i);
		for (int t = 0; t < (is_dropped(shape, i) ? 1 : 2); t++) {
			struct strata_buf *to = t == 0 ? tar : edited;

			append_header(to, name, len);
			append(to, data.data + i, len);
			if (strata_buf_fill(to, 0, padding, &err) < 0)
				abort();
		}
	}
	if (strata_buf_fill(tar, 0, 1024, &err) < 0 || strata_buf_fill(edited, 0, 1024, &err) < 0)
		abort();
	strata_buf_free(&data);
}

/* Drops the files of a tar that is stored in one way, and stores the rest in another. */
static void check_edit(const struct recoding *way, const struct tar_shape *shape, unsigned threads)
{
	struct strata_buf tar = {0}, edited = {0}, stream = {0}, expected = {0}, out = {0};
	struct strata_index index = {0};
	struct strata_file *to = file_of(NULL);
	struct strata_job *job = new_job();
	struct strata_scan_task scan = {.index = &index};
	struct strata_write_task write = {
	        .index = &index, .to = {.file = to, .compression = way->to, .level = way->level}};
	const struct strata_blob_info *info;
	struct strata_err err;

	make_tars(shape, &tar, &edited);
	encode(way->from, 0, &tar, &stream);
	encode(way->to, way->level, &edited, &expected);
	index.blob = blob_of(file_of(&stream), stream.len, way->from);
	added(strata_job_add_scan(job, "task", &scan, &err));
	CHECK(run(job, threads).code[0] == '\0');
	CHECK(index.count == shape->files);
	CHECK(way->from == STRATA_NONE || is_digest_of(index.diff_id, &tar));
	strata_job_free(job);

	for (uint32_t e = 0; e < index.count; e++)
		if (is_dropped(shape, e))
			strata_plan_drop(&index, e);
	for (int wrong = 1; wrong >= 0; wrong--) {
		strata_sha256(tar.data, tar.len - (size_t)wrong, write.expected.diff_id, &err);
		job = new_job();
		added(strata_job_add_write(job, "task", &write, &err));
		CHECK(strcmp(run(job, threads).code, wrong ? "EDIGEST" : "") == 0);
		if (wrong)
			strata_job_free(job);
	}
	info = strata_job_info(job, 0);
	read_all(to, info->size, &out);
	CHECK(same(&out, &expected));
	CHECK(is_digest_of(info->diff_id, &edited));
	CHECK(is_digest_of(info->digest, &out));
	strata_job_free(job);
	strata_index_free(&index);
	strata_file_unref(to);
	strata_buf_free(&tar);
	strata_buf_free(&edited);
	strata_buf_free(&stream);
	strata_buf_free(&expected);
	strata_buf_free(&out);
}

static void an_edited_layer_does_not_depend_on_the_threads(void)
{
	static const struct recoding ways[] = {{STRATA_GZIP, STRATA_GZIP, 3},
	                                       {STRATA_NONE, STRATA_NONE, 0},
	                                       {STRATA_NONE, STRATA_ZSTD, 3}};

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		for (size_t i = 0; i < COUNTS; i++)
			check_edit(&ways[w], &(struct tar_shape){200, 0, 0}, thread_counts[i]);
}

/* The bytes before the first edit are hashed once, for the old tar and for the new one. */
static void the_first_edit_may_be_anywhere(void)
{
	static const struct recoding ways[] = {{STRATA_NONE, STRATA_NONE, 0},
	                                       {STRATA_NONE, STRATA_GZIP, 1}};
	static const struct tar_shape shapes[] = {
	        {100, 0, 50},
	        {100, 0, 99},
	        {100, 0, 100},           /* nowhere */
	        {9, 256 * KIB - 512, 4}, /* where a chunk, and 1 MiB, ends */
	        {9, 256 * KIB - 512, 3}, /* one before */
	        {9, 256 * KIB - 512, 8},
	        {9, 256 * KIB - 1024, 5}, /* beside the ends of chunks */
	        {9, 256 * KIB, 7},
	};

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
			for (size_t i = 0; i < COUNTS; i++)
				check_edit(&ways[w], &shapes[s], thread_counts[i]);
}

/* ---- canceling ------------------------------------------------------------ */

/* A job of seconds, canceled or freed once it has begun. */
static void canceled_in_the_middle(const struct strata_buf *data, unsigned threads, bool just_free)
{
	struct strata_file *file = file_of(data), *to = file_of(NULL);
	struct strata_job *job = new_job();
	struct strata_err err = {"", ""};
	uint64_t done = 0, total;

	for (int i = 0; i < 2; i++)
		add_recode(job,
		           &(struct strata_recode_task){
		                   .blob = blob_of(file, data->len, STRATA_NONE),
		                   .to = {.file = to, .compression = STRATA_GZIP, .level = 9}});
	if (strata_job_start(job, threads, &err) < 0)
		abort();
	while (done == 0)
		strata_job_progress(job, &done, &total);
	if (!just_free) {
		strata_job_cancel(job);
		CHECK(strata_job_wait(job, 60) == 1);
		CHECK(strata_job_result(job, &err) == -1);
		CHECK(strcmp(err.code, "ECANCELED") == 0);
		CHECK(strata_job_info(job, 0) == NULL && strata_job_info(job, 1) == NULL);
		strata_job_progress(job, &done, &total);
		CHECK(done < total);
	}
	strata_job_free(job);
	strata_file_unref(file);
	strata_file_unref(to);
}

static void a_job_can_be_canceled_in_the_middle(void)
{
	struct strata_buf data = {0};

	random_state = 29;
	append_mixed(&data, 32 * MIB);
	for (size_t i = 0; i < COUNTS; i++) {
		canceled_in_the_middle(&data, thread_counts[i], false);
		canceled_in_the_middle(&data, thread_counts[i], true);
	}
	strata_buf_free(&data);
}

static void many_short_jobs_leave_nothing_behind(void)
{
	struct strata_buf data = {0};
	struct strata_file *file;

	random_state = 31;
	append_noise(&data, 5 * MIB);
	file = file_of(&data);
	for (int i = 0; i < 100; i++) {
		struct strata_job *job = new_job();
		struct strata_blob blob = blob_of(file, data.len - (size_t)i, STRATA_NONE);

		add_hash(job, "task", &blob, i % 3 == 0 ? "sha256:00" : NULL, NULL);
		CHECK((run(job, 8).code[0] == '\0') == (i % 3 != 0));
		strata_job_free(job);
	}
	strata_file_unref(file);
	strata_buf_free(&data);
}

int main(void)
{
	codec_begin();
	RUN(recoding_does_not_depend_on_the_threads);
	RUN(sizes_around_the_borders_of_segments_come_out_whole);
	RUN(a_source_that_is_not_as_expected_is_an_error);
	RUN(corrupted_input_fails_alike_with_any_threads);
	RUN(a_full_disk_fails_alike_with_any_threads);
	RUN(inflating_has_limits);
	RUN(results_stand_in_the_order_of_the_list);
	RUN(the_first_failure_of_the_list_is_told);
	RUN(copies_are_hashed_as_they_were_written);
	RUN(an_edited_layer_does_not_depend_on_the_threads);
	RUN(the_first_edit_may_be_anywhere);
	RUN(a_job_can_be_canceled_in_the_middle);
	RUN(many_short_jobs_leave_nothing_behind);
	return codec_end("pipeline");
}
