#include "task.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "stream.h"

static const char *or_null(const char *digest)
{
	return digest[0] != '\0' ? digest : NULL;
}

static int expect(const char *what, const char *expected, const char *got, struct strata_err *err)
{
	if (expected[0] == '\0' || got[0] == '\0' || strcmp(expected, got) == 0)
		return 0;
	return strata_fail(err, "EDIGEST", "%s should be %s, but the bytes give %s", what, expected,
	                   got);
}

static int run_scan(struct strata_task *task, const atomic_bool *cancel, struct strata_err *err)
{
	if (strata_index_scan(task->index, &task->limits, cancel, err) < 0)
		return -1;
	memcpy(task->digest, task->index->digest, STRATA_DIGEST_MAX);
	memcpy(task->diff_id, task->index->diff_id, STRATA_DIGEST_MAX);
	task->size = task->index->tar_size;
	return expect("diff_id", task->expect_diff_id, task->diff_id, err);
}

static int run_hash(struct strata_task *task, const atomic_bool *cancel, atomic_ullong *progress,
                    struct strata_err *err)
{
	cleanup_stream struct strata_stream stream = {0};
	struct strata_blob blob = task->blob;
	const char *bytes;
	size_t len;

	if (!task->plain)
		blob.compression = STRATA_NONE;
	if (strata_stream_open(&stream, &blob, STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN, cancel,
	                       progress, err) < 0)
		return -1;
	do {
		if (strata_stream_next(&stream, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_stream_digests(&stream, task->digest, task->diff_id, err) < 0)
		return -1;
	task->size = stream.plain_total;
	if (!task->plain)
		task->diff_id[0] = '\0';
	if (expect("digest", task->expect_digest, task->digest, err) < 0)
		return -1;
	return expect("diff_id", task->expect_diff_id, task->diff_id, err);
}

static int run_write(struct strata_task *task, const atomic_bool *cancel, atomic_ullong *progress,
                     struct strata_err *err)
{
	struct strata_edit_options options = {
	        .diff_id = or_null(task->expect_diff_id),
	        .digest = or_null(task->expect_digest),
	        .temp_dir = task->temp_dir,
	        .compression = task->compression,
	        .level = task->level,
	        .cancel = cancel,
	        .progress = progress,
	};
	struct strata_edit_result result;

	if (strata_edit_write(task->index, &options, task->to, &result, err) < 0)
		return -1;
	memcpy(task->digest, result.digest, STRATA_DIGEST_MAX);
	memcpy(task->diff_id, result.diff_id, STRATA_DIGEST_MAX);
	task->size = result.size;
	return 0;
}

/* What is hashed is what was written: one read serves both. */
static int run_copy(struct strata_task *task, const atomic_bool *cancel, atomic_ullong *progress,
                    struct strata_err *err)
{
	cleanup_stream struct strata_stream stream = {0};
	struct strata_blob stored = task->blob;
	const char *bytes;
	size_t len;

	stored.compression = STRATA_NONE;
	if (strata_stream_open(&stream, &stored,
	                       task->expect_digest[0] != '\0' ? STRATA_DIGEST_STORED : 0, cancel,
	                       progress, err) < 0)
		return -1;
	for (uint64_t at = task->to_offset;; at += len) {
		if (strata_stream_next(&stream, &bytes, &len, err) < 0)
			return -1;
		if (len == 0)
			break;
		if (strata_file_write(task->to, at, bytes, len, err) < 0)
			return -1;
	}
	task->size = stream.plain_total;
	if (strata_stream_digests(&stream, task->digest, task->diff_id, err) < 0)
		return -1;
	return expect("digest", task->expect_digest, task->digest, err);
}

int strata_task_run(struct strata_task *task, const atomic_bool *cancel, atomic_ullong *progress,
                    struct strata_err *err)
{
	switch (task->kind) {
	case STRATA_TASK_SCAN:
		return run_scan(task, cancel, err);
	case STRATA_TASK_HASH:
		return run_hash(task, cancel, progress, err);
	case STRATA_TASK_WRITE:
		return run_write(task, cancel, progress, err);
	case STRATA_TASK_COPY:
		return run_copy(task, cancel, progress, err);
	case STRATA_TASK_BYTES:
		return strata_file_write(task->to, task->to_offset, task->bytes, task->bytes_len,
		                         err);
	}
	return strata_fail(err, "EINVAL", "unknown task");
}

uint64_t strata_task_size(const struct strata_task *task)
{
	if (task->kind == STRATA_TASK_WRITE)
		return task->index->plain != NULL ? task->index->tar_size : task->index->blob.size;
	return task->kind == STRATA_TASK_HASH || task->kind == STRATA_TASK_COPY ? task->blob.size
	                                                                        : 0;
}

void strata_task_free(struct strata_task *task)
{
	strata_file_unref(task->blob.file);
	strata_file_unref(task->to);
	free(task->bytes);
	free(task->temp_dir);
	free(task->label);
	free(task);
}
