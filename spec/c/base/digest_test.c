/*
 * Digests: their grammar, their values, and that what reads a blob hashes it by
 * the algorithm of the digest that names it. Oracles are sha256sum and sha512sum
 * of coreutils, and gzip.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "core/base/digest.h"
#include "core/fs/file.h"
#include "core/job/job.h"

/* ---- of strings --------------------------------------------------------- */

/* What coreutils say about the bytes, as hex. */
static void coreutils_digest(const char *algorithm, const char *bytes, size_t len, char out[160])
{
	char path[] = "/tmp/strata-digest-test.XXXXXX";
	char command[128];
	int fd = mkstemp(path);
	FILE *pipe;

	out[0] = '\0';
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
	snprintf(command, sizeof(command), "%ssum %s", algorithm, path);
	pipe = popen(command, "r");
	if (pipe == NULL || fscanf(pipe, "%159[0-9a-f]", out) != 1)
		out[0] = '\0';
	if (pipe != NULL)
		pclose(pipe);
	unlink(path);
}

static void agrees_with_coreutils(enum strata_digest_alg alg, const char *name)
{
	cleanup_digest struct strata_digest *d = NULL;
	struct strata_err err;
	char text[STRATA_DIGEST_MAX], expected[160], spelled[200];
	char *bytes = malloc(300000);

	for (size_t i = 0; i < 300000; i++)
		bytes[i] = (char)(i * i >> 3);
	d = strata_digest_new(alg, &err);
	CHECK(d != NULL);
	/* One object, several streams, fed in pieces. */
	for (size_t len = 0; len <= 300000; len = len * 7 + 1) {
		for (size_t at = 0; at < len; at += 4097)
			CHECK(strata_digest_update(d, bytes + at, len - at < 4097 ? len - at : 4097,
			                           &err) == 0);
		CHECK(strata_digest_final(d, text, &err) == 0);
		coreutils_digest(name, bytes, len, expected);
		snprintf(spelled, sizeof(spelled), "%s:%s", name, expected);
		CHECK(strcmp(text, spelled) == 0);
		CHECK(strata_digest_valid(text, strlen(text), NULL));
	}
	free(bytes);
}

static void sha256_agrees_with_coreutils(void)
{
	agrees_with_coreutils(STRATA_SHA256, "sha256");
}

static void sha512_agrees_with_coreutils(void)
{
	agrees_with_coreutils(STRATA_SHA512, "sha512");
}

static void one_shot_sha256_gives_the_published_value(void)
{
	struct strata_err err;
	char text[STRATA_DIGEST_MAX];

	CHECK(strata_sha256("abc", 3, text, &err) == 0);
	CHECK(strcmp(text,
	             "sha256:"
	             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
	CHECK(strata_sha256(NULL, 0, text, &err) == 0);
	CHECK(strcmp(text,
	             "sha256:"
	             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == 0);
}

static void digests_are_checked_by_their_grammar(void)
{
	static const char hex[] =
	        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	enum strata_digest_alg alg = STRATA_SHA512;
	char text[300];
	size_t len = (size_t)snprintf(text, sizeof(text), "sha256:%s", hex);

	CHECK(strata_digest_valid(text, len, &alg));
	CHECK(alg == STRATA_SHA256);
	CHECK(!strata_digest_valid(text, len - 1, NULL));
	CHECK(!strata_digest_valid(text, len + 1, NULL));
	CHECK(!strata_digest_valid("", 0, NULL));
	for (size_t i = 0; i < len; i++) {
		char kept = text[i];

		text[i] = kept >= 'a' ? (char)(kept - 32) : 'g'; /* upper case, or no hex */
		CHECK(!strata_digest_valid(text, len, NULL));
		text[i] = kept;
	}
	len = (size_t)snprintf(text, sizeof(text), "sha512:%s%s", hex, hex);
	CHECK(strata_digest_valid(text, len, &alg));
	CHECK(alg == STRATA_SHA512);
	len = (size_t)snprintf(text, sizeof(text), "sha512:%s", hex);
	CHECK(!strata_digest_valid(text, len, NULL));
	len = (size_t)snprintf(text, sizeof(text), "md5:%.32s", hex);
	CHECK(!strata_digest_valid(text, len, NULL));
}

static void algorithms_have_names(void)
{
	enum strata_digest_alg alg = STRATA_SHA256;
	char text[200];

	CHECK(strata_digest_named("sha512", &alg) && alg == STRATA_SHA512);
	CHECK(strata_digest_named("sha256", &alg) && alg == STRATA_SHA256);
	CHECK(!strata_digest_named("sha512:", &alg) && !strata_digest_named("", &alg));
	CHECK(strcmp(strata_digest_name(STRATA_SHA512), "sha512") == 0);
	snprintf(text, sizeof(text), "sha512:%0128d", 0);
	CHECK(strata_digest_algorithm(text) == STRATA_SHA512);
	text[127] = '\0'; /* too short for one */
	CHECK(strata_digest_algorithm(text) == STRATA_SHA256);
	CHECK(strata_digest_algorithm("") == STRATA_SHA256);
}

/* ---- of blobs ------------------------------------------------------------- */

#define SIZE ((size_t)3 << 20)

static const char *const algorithm_names[] = {"sha256", "sha512"};

/* A tar of zeros, plain or compressed by gzip, and what it hashes to. */
struct sample {
	struct strata_file *file;
	size_t size;
	enum strata_compression compression;
	char digests[2][STRATA_DIGEST_MAX]; /* of the bytes, by algorithm */
	char diff_id[STRATA_DIGEST_MAX];
};

static void spell(char out[STRATA_DIGEST_MAX], const char *name, const char *bytes, size_t len)
{
	char hex[160];

	coreutils_digest(name, bytes, len, hex);
	snprintf(out, STRATA_DIGEST_MAX, "%.6s:%.128s", name, hex);
}

static size_t gzip(const char *bytes, size_t len, char *out, size_t room)
{
	char path[] = "/tmp/strata-digest-test.XXXXXX";
	char command[128];
	int fd = mkstemp(path);
	size_t got;
	FILE *pipe;

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
	snprintf(command, sizeof(command), "gzip -1nc %s", path);
	pipe = popen(command, "r");
	if (pipe == NULL)
		abort();
	got = fread(out, 1, room, pipe);
	pclose(pipe);
	unlink(path);
	return got;
}

static void make_sample(struct sample *s, enum strata_compression compression)
{
	char *plain = calloc(1, SIZE), *stored = malloc(SIZE);
	struct strata_err err;

	if (plain == NULL || stored == NULL)
		abort();
	s->compression = compression;
	s->size = SIZE;
	memcpy(stored, plain, SIZE);
	if (compression == STRATA_GZIP)
		s->size = gzip(plain, SIZE, stored, SIZE);
	for (int a = 0; a < 2; a++)
		spell(s->digests[a], algorithm_names[a], stored, s->size);
	spell(s->diff_id, "sha256", plain, SIZE);
	s->file = strata_file_temp(NULL, NULL, &err);
	if (s->file == NULL || strata_file_write(s->file, 0, stored, s->size, &err) < 0)
		abort();
	free(plain);
	free(stored);
}

static struct strata_job *new_job(void)
{
	struct strata_err err;
	struct strata_job *job = strata_job_new(&err);

	if (job == NULL)
		abort();
	return job;
}

static struct strata_file *new_file(void)
{
	struct strata_err err;
	struct strata_file *file = strata_file_temp(NULL, NULL, &err);

	if (file == NULL)
		abort();
	return file;
}

static struct strata_blob blob_of(const struct sample *s, int alg)
{
	return (struct strata_blob){s->file, 0, s->size, s->compression,
	                            (enum strata_digest_alg)alg};
}

/* The digest of the sample, or one that differs from it in its last digit. */
static void expect(struct strata_expected *expected, const struct sample *s, int alg, bool right)
{
	char *last;

	strcpy(expected->digest, s->digests[alg]);
	last = expected->digest + strlen(expected->digest) - 1;
	if (!right)
		*last = *last == '0' ? '1' : '0';
}

static bool ends_with(struct strata_job *job, unsigned threads, const char *code)
{
	struct strata_err err = {"", ""};

	if (strata_job_start(job, threads, &err) < 0)
		abort();
	while (!strata_job_wait(job, 1))
		;
	strata_job_result(job, &err);
	return strcmp(err.code, code) == 0;
}

static void check_hash(const struct sample *s, int alg, unsigned threads)
{
	struct strata_err err;

	for (int plain = 0; plain < 2; plain++) {
		struct strata_hash_task t = {.blob = blob_of(s, alg), .plain = plain != 0};
		struct strata_job *job = new_job();

		CHECK(strata_job_add_hash(job, "task", &t, &err) == 0);
		CHECK(ends_with(job, threads, ""));
		CHECK(strcmp(strata_job_info(job, 0)->digest, s->digests[alg]) == 0);
		CHECK(strcmp(strata_job_info(job, 0)->diff_id, plain ? s->diff_id : "") == 0);
		strata_job_free(job);
	}
}

/* Adds what reads a blob to its end in one of three ways. */
static int add_reading(struct strata_job *job, int way, const struct strata_blob *blob,
                       struct strata_file *to, const struct strata_expected *expected)
{
	struct strata_hash_task hash = {.blob = *blob, .expected = *expected};
	struct strata_copy_task copy = {.blob = *blob, .to = to, .expected = *expected};
	struct strata_recode_task recode = {
	        .blob = *blob,
	        .to = {.file = to, .compression = STRATA_ZSTD, .level = 1},
	        .expected = *expected};
	struct strata_err err;

	return way == 0   ? strata_job_add_hash(job, "task", &hash, &err)
	       : way == 1 ? strata_job_add_copy(job, "task", &copy, &err)
	                  : strata_job_add_recode(job, "task", &recode, &err);
}

static void check_expected(const struct sample *s, int alg, unsigned threads)
{
	for (int way = 0; way < 3; way++)
		for (int right = 0; right < 2; right++) {
			struct strata_file *to = new_file();
			struct strata_job *job = new_job();
			struct strata_blob blob = blob_of(s, alg);
			struct strata_expected expected = {"", ""};
			const struct strata_blob_info *info;

			expect(&expected, s, alg, right);
			CHECK(add_reading(job, way, &blob, to, &expected) == 0);
			CHECK(ends_with(job, threads, right ? "" : "EDIGEST"));
			info = strata_job_info(job, 0);
			CHECK((info != NULL) == right);
			if (right && way == 1)
				CHECK(strcmp(info->digest, s->digests[alg]) == 0);
			if (right && way == 2) {
				CHECK(strcmp(info->diff_id, s->diff_id) == 0);
				CHECK(strncmp(info->digest, "sha256:", 7) == 0);
			}
			strata_job_free(job);
			strata_file_unref(to);
		}
}

/* Scanned and written anew: what is written is named by its SHA-256. */
static void check_index(const struct sample *s, int alg, unsigned threads)
{
	struct strata_index index = {.blob = blob_of(s, alg)};
	const char *expected = s->compression == STRATA_NONE ? "" : s->digests[alg];
	struct strata_scan_task scan = {.index = &index};
	struct strata_job *job = new_job();
	struct strata_err err;

	strata_file_ref(s->file);
	expect(&scan.expected, s, alg, true);
	CHECK(strata_job_add_scan(job, "task", &scan, &err) == 0);
	CHECK(ends_with(job, threads, ""));
	CHECK(strcmp(strata_job_info(job, 0)->digest, expected) == 0);
	strata_job_free(job);
	for (int right = 0; right < 2; right++) {
		struct strata_file *to = new_file();
		struct strata_write_task write = {
		        .index = &index,
		        .to = {.file = to, .compression = STRATA_ZSTD, .level = 1}};

		job = new_job();
		expect(&write.expected, s, alg, right);
		strcpy(write.expected.diff_id, s->diff_id);
		CHECK(strata_job_add_write(job, "task", &write, &err) == 0);
		CHECK(ends_with(job, threads, right ? "" : "EDIGEST"));
		CHECK(!right || strncmp(strata_job_info(job, 0)->digest, "sha256:", 7) == 0);
		strata_job_free(job);
		strata_file_unref(to);
	}
	strata_index_free(&index);
}

static void a_blob_is_hashed_by_the_algorithm_that_names_it(void)
{
	static const enum strata_compression compressions[] = {STRATA_NONE, STRATA_GZIP};

	for (size_t c = 0; c < 2; c++) {
		struct sample s = {0};

		make_sample(&s, compressions[c]);
		for (int alg = 0; alg < 2; alg++)
			for (unsigned threads = 1; threads <= 4; threads += 3) {
				check_hash(&s, alg, threads);
				check_expected(&s, alg, threads);
				check_index(&s, alg, threads);
			}
		strata_file_unref(s.file);
	}
}

int main(void)
{
	RUN(sha256_agrees_with_coreutils);
	RUN(sha512_agrees_with_coreutils);
	RUN(one_shot_sha256_gives_the_published_value);
	RUN(digests_are_checked_by_their_grammar);
	RUN(algorithms_have_names);
	RUN(a_blob_is_hashed_by_the_algorithm_that_names_it);
	return check_sum("digest");
}
