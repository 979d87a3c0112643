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
	s->file = strata_file_temp(NULL, &err);
	if (s->file == NULL || strata_file_write(s->file, 0, stored, s->size, &err) < 0)
		abort();
	free(plain);
	free(stored);
}

static struct strata_job *job_of(const struct sample *s, enum strata_task_kind kind,
                                 enum strata_digest_alg alg, struct strata_task **task)
{
	struct strata_err err;
	struct strata_job *job = strata_job_new(&err);

	*task = job != NULL ? strata_job_add(job, kind, "task", &err) : NULL;
	if (*task == NULL)
		abort();
	(*task)->blob =
	        (struct strata_blob){strata_file_ref(s->file), 0, s->size, s->compression, alg};
	if (kind != STRATA_TASK_HASH && ((*task)->to = strata_file_temp(NULL, &err)) == NULL)
		abort();
	(*task)->compression = STRATA_ZSTD;
	(*task)->level = 1;
	return job;
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
	struct strata_task *task;
	struct strata_job *job;

	for (int plain = 0; plain < 2; plain++) {
		job = job_of(s, STRATA_TASK_HASH, (enum strata_digest_alg)alg, &task);
		task->plain = plain != 0;
		CHECK(ends_with(job, threads, ""));
		CHECK(strcmp(task->digest, s->digests[alg]) == 0);
		CHECK(strcmp(task->diff_id, plain ? s->diff_id : "") == 0);
		strata_job_free(job);
	}
}

/* What reads a blob to its end, with a digest that is right and one that is not. */
static void check_expected(const struct sample *s, int alg, unsigned threads)
{
	static const enum strata_task_kind kinds[] = {STRATA_TASK_HASH, STRATA_TASK_COPY,
	                                              STRATA_TASK_RECODE};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (int right = 0; right < 2; right++) {
			struct strata_task *task;
			struct strata_job *job =
			        job_of(s, kinds[k], (enum strata_digest_alg)alg, &task);
			char *last;

			strcpy(task->expect_digest, s->digests[alg]);
			last = task->expect_digest + strlen(task->expect_digest) - 1;
			if (!right)
				*last = *last == '0' ? '1' : '0';
			CHECK(ends_with(job, threads, right ? "" : "EDIGEST"));
			if (right && kinds[k] == STRATA_TASK_COPY)
				CHECK(strcmp(task->digest, s->digests[alg]) == 0);
			if (right && kinds[k] == STRATA_TASK_RECODE) {
				CHECK(strcmp(task->diff_id, s->diff_id) == 0);
				CHECK(strncmp(task->digest, "sha256:", 7) == 0);
			}
			strata_job_free(job);
		}
}

/* Scanned and written anew: what is written is named by its SHA-256. */
static void check_index(const struct sample *s, int alg, unsigned threads)
{
	struct strata_index index = {.blob = {strata_file_ref(s->file), 0, s->size, s->compression,
	                                      (enum strata_digest_alg)alg}};
	const char *expected = s->compression == STRATA_NONE ? "" : s->digests[alg];
	struct strata_task *task;
	struct strata_job *job = job_of(s, STRATA_TASK_SCAN, STRATA_SHA256, &task);

	task->index = &index;
	strcpy(task->expect_digest, s->digests[alg]);
	CHECK(ends_with(job, threads, ""));
	CHECK(strcmp(task->digest, expected) == 0);
	strata_job_free(job);
	for (int right = 0; right < 2; right++) {
		char *last;

		job = job_of(s, STRATA_TASK_WRITE, STRATA_SHA256, &task);
		task->index = &index;
		strcpy(task->expect_digest, s->digests[alg]);
		strcpy(task->expect_diff_id, s->diff_id);
		last = task->expect_digest + strlen(task->expect_digest) - 1;
		if (!right)
			*last = *last == '0' ? '1' : '0';
		CHECK(ends_with(job, threads, right ? "" : "EDIGEST"));
		CHECK(!right || strncmp(task->digest, "sha256:", 7) == 0);
		strata_job_free(job);
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
