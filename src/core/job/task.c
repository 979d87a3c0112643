#include "core/job/task.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"

static const char *or_null(const char *digest)
{
	return digest[0] != '\0' ? digest : NULL;
}

/* The index keeps the limits that a task brings, for whoever reads it later. */
static void set_limits(struct strata_task *task)
{
	struct strata_inflate_limits *kept = &task->index->inflate;

	if (task->inflate.bytes != 0)
		kept->bytes = task->inflate.bytes;
	if (task->inflate.ratio != 0)
		kept->ratio = task->inflate.ratio;
	if (task->inflate.zstd_window != 0)
		kept->zstd_window = task->inflate.zstd_window;
	if (task->inflate.members != 0)
		kept->members = task->inflate.members;
}

static int run_scan(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	set_limits(task);
	if (strata_index_scan(task->index, &task->limits, work, err) < 0)
		return -1;
	memcpy(task->digest, task->index->digest, STRATA_DIGEST_MAX);
	memcpy(task->diff_id, task->index->diff_id, STRATA_DIGEST_MAX);
	task->size = task->index->tar_size;
	if (strata_digest_expect("digest", task->expect_digest, task->digest, err) < 0)
		return -1;
	return strata_digest_expect("diff_id", task->expect_diff_id, task->diff_id, err);
}

static int run_hash(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader stream = {0};
	struct strata_blob blob = task->blob;
	unsigned wanted = STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN;
	const char *bytes;
	size_t len;

	if (!task->plain) {
		blob.compression = STRATA_NONE;
		wanted = STRATA_DIGEST_STORED;
	}
	if (strata_blob_reader_open(&stream, &blob, wanted, &task->inflate, work, err) < 0)
		return -1;
	do {
		if (strata_blob_reader_next(&stream, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(&stream, task->digest, task->diff_id, err) < 0)
		return -1;
	task->size = stream.plain_total;
	if (!task->plain)
		task->diff_id[0] = '\0';
	if (strata_digest_expect("digest", task->expect_digest, task->digest, err) < 0)
		return -1;
	return strata_digest_expect("diff_id", task->expect_diff_id, task->diff_id, err);
}

static int run_write(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	struct strata_plan_options options = {
	        .diff_id = or_null(task->expect_diff_id),
	        .digest = or_null(task->expect_digest),
	        .temp_dir = task->temp_dir,
	        .compression = task->compression,
	        .level = task->level,
	        .work = *work,
	};
	struct strata_plan_result result;

	set_limits(task);
	if (strata_plan_write(task->index, &options, task->to, &result, err) < 0)
		return -1;
	memcpy(task->digest, result.digest, STRATA_DIGEST_MAX);
	memcpy(task->diff_id, result.diff_id, STRATA_DIGEST_MAX);
	task->size = result.size;
	return 0;
}

static int run_compose(struct strata_task *task, const struct strata_work *work,
                       struct strata_err *err)
{
	const struct strata_plan_options options = {
	        .temp_dir = task->temp_dir,
	        .compression = task->compression,
	        .level = task->level,
	        .work = *work,
	};
	struct strata_plan_result result;

	if (strata_assemble_write(task->compose, &options, task->to, &result, err) < 0)
		return -1;
	memcpy(task->digest, result.digest, STRATA_DIGEST_MAX);
	memcpy(task->diff_id, result.diff_id, STRATA_DIGEST_MAX);
	task->size = result.size;
	return 0;
}

/* The plain bytes are hashed once: those that come in go out. */
static int recode(struct strata_task *task, struct strata_blob_reader *in,
                  struct strata_blob_writer *out, const struct strata_work *work,
                  struct strata_err *err)
{
	char digest[STRATA_DIGEST_MAX];
	uint64_t plain_size;
	const char *bytes;
	size_t len;

	if (strata_blob_reader_open(in, &task->blob, STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN,
	                            &task->inflate, work, err) < 0 ||
	    strata_blob_writer_open(out, task->to, task->compression, task->level, false, work,
	                            err) < 0)
		return -1;
	do {
		if (strata_blob_reader_next(in, &bytes, &len, err) < 0 ||
		    strata_blob_writer_write(out, bytes, len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(in, digest, task->diff_id, err) < 0 ||
	    strata_digest_expect("digest", task->expect_digest, digest, err) < 0 ||
	    strata_digest_expect("diff_id", task->expect_diff_id, task->diff_id, err) < 0)
		return -1;
	memcpy(task->digest, task->diff_id, STRATA_DIGEST_MAX); /* unless compressed */
	return strata_blob_writer_close(out, task->digest, task->diff_id, &task->size, &plain_size,
	                                err);
}

static int run_recode(struct strata_task *task, const struct strata_work *work,
                      struct strata_err *err)
{
	struct strata_blob_reader in = {0};
	struct strata_blob_writer out = {0};
	int status = recode(task, &in, &out, work, err);

	if (status < 0)
		strata_blob_writer_abort(&out, err);
	strata_blob_reader_close(&in);
	strata_blob_writer_free(&out);
	return status;
}

/* So much is copied before it is looked at again. */
#define COPY_WINDOW ((uint64_t)4 << 20)

/* Copies the next part by the kernel, which shares the blocks where it can. */
static int copy_part(struct strata_task *task, uint64_t at, const struct strata_work *work,
                     struct strata_err *err)
{
	uint64_t left = task->blob.size - at;

	if (strata_work_cancelled(work, err))
		return -1;
	return strata_file_copy(task->to, task->to_offset + at, task->blob.file,
	                        task->blob.offset + at, left < COPY_WINDOW ? left : COPY_WINDOW,
	                        err);
}

/* The copy is what gets hashed, so that it is known to be right. */
static int copy_hashed(struct strata_task *task, const struct strata_work *work,
                       struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader stream = {0};
	struct strata_blob copy = {task->to, task->to_offset, task->blob.size, STRATA_NONE,
	                           task->blob.algorithm};
	const char *bytes;
	size_t len;

	if (strata_blob_reader_open(&stream, &copy, STRATA_DIGEST_STORED, NULL, work, err) < 0)
		return -1;
	do {
		if (stream.position % COPY_WINDOW == 0 &&
		    copy_part(task, stream.position, work, err) < 0)
			return -1;
		if (strata_blob_reader_next(&stream, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	task->size = stream.plain_total;
	if (strata_blob_reader_digests(&stream, task->digest, task->diff_id, err) < 0)
		return -1;
	task->diff_id[0] = '\0';
	return strata_digest_expect("digest", task->expect_digest, task->digest, err);
}

static int run_copy(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	if (task->expect_digest[0] != '\0')
		return copy_hashed(task, work, err);
	for (uint64_t at = 0; at < task->blob.size; at += COPY_WINDOW) {
		uint64_t left = task->blob.size - at;

		if (copy_part(task, at, work, err) < 0)
			return -1;
		if (work->progress != NULL)
			atomic_fetch_add_explicit(work->progress,
			                          left < COPY_WINDOW ? left : COPY_WINDOW,
			                          memory_order_relaxed);
	}
	task->size = task->blob.size;
	return 0;
}

static int run_bytes(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	if (strata_file_write(task->to, task->to_offset, task->bytes, task->bytes_len, err) < 0)
		return -1;
	if (work->progress != NULL)
		atomic_fetch_add_explicit(work->progress, task->bytes_len, memory_order_relaxed);
	return 0;
}

static int run_spool(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	const uint64_t size = strata_task_size(task);

	set_limits(task);
	if (strata_index_inflate(task->index, task->temp_dir, work, err) < 0)
		return -1;
	if (work->progress != NULL)
		atomic_fetch_add_explicit(work->progress, size, memory_order_relaxed);
	return 0;
}

int strata_task_run(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	switch (task->kind) {
	case STRATA_TASK_SCAN:
		return run_scan(task, work, err);
	case STRATA_TASK_HASH:
		return run_hash(task, work, err);
	case STRATA_TASK_WRITE:
		return run_write(task, work, err);
	case STRATA_TASK_RECODE:
		return run_recode(task, work, err);
	case STRATA_TASK_COPY:
		return run_copy(task, work, err);
	case STRATA_TASK_ASSEMBLE:
		return run_compose(task, work, err);
	case STRATA_TASK_BYTES:
		return run_bytes(task, work, err);
	case STRATA_TASK_APPLY:
		return strata_apply_run(task->apply, work, err);
	case STRATA_TASK_INFLATE:
		return run_spool(task, work, err);
	}
	return strata_fail(err, "EINVAL", "unknown task");
}

uint64_t strata_task_size(const struct strata_task *task)
{
	const struct strata_index *index = task->index;
	uint64_t compressed;

	switch (task->kind) {
	case STRATA_TASK_SCAN:
		return index->blob.compression != STRATA_NONE ? index->blob.size : 0;
	case STRATA_TASK_INFLATE:
		return index->blob.compression != STRATA_NONE && index->plain == NULL
		               ? index->blob.size
		               : 0;
	case STRATA_TASK_WRITE:
		return index->plain != NULL ? index->tar_size : index->blob.size;
	case STRATA_TASK_HASH:
	case STRATA_TASK_RECODE:
	case STRATA_TASK_COPY:
		return task->blob.size;
	case STRATA_TASK_ASSEMBLE:
		return task->compose->size;
	case STRATA_TASK_APPLY:
		return strata_apply_size(task->apply, &compressed);
	case STRATA_TASK_BYTES:
		return task->bytes_len;
	}
	return 0;
}

/*
 * A stored byte of gzip is 2.5 plain ones, and inflating them takes twice as long
 * as hashing; packing takes twice as long as all that.
 */
uint64_t strata_task_cost(const struct strata_task *task)
{
	uint64_t size = strata_task_size(task), compressed;
	bool inflates = false, deflates = false;

	switch (task->kind) {
	case STRATA_TASK_SCAN:
	case STRATA_TASK_INFLATE:
		inflates = true;
		break;
	case STRATA_TASK_HASH:
		inflates = task->plain && task->blob.compression != STRATA_NONE;
		break;
	case STRATA_TASK_WRITE:
		inflates =
		        task->index->plain == NULL && task->index->blob.compression != STRATA_NONE;
		deflates = task->compression != STRATA_NONE;
		break;
	case STRATA_TASK_RECODE:
		inflates = task->blob.compression != STRATA_NONE;
		deflates = task->compression != STRATA_NONE;
		break;
	case STRATA_TASK_ASSEMBLE:
		deflates = task->compression != STRATA_NONE;
		break;
	case STRATA_TASK_APPLY:
		strata_apply_size(task->apply, &compressed);
		inflates = compressed > 0;
		break;
	case STRATA_TASK_COPY:
	case STRATA_TASK_BYTES:
		break;
	}
	if (inflates)
		size = strata_mul(size, 7, &size) ? size : UINT64_MAX;
	if (deflates)
		size = strata_mul(size, 3, &size) ? size : UINT64_MAX;
	return size;
}

void strata_task_free(struct strata_task *task)
{
	if (task->compose != NULL)
		strata_assemble_free(task->compose);
	free(task->compose);
	strata_file_unref(task->blob.file);
	strata_file_unref(task->to);
	strata_apply_unref(task->apply);
	free(task->bytes);
	free(task->temp_dir);
	free(task->label);
	free(task);
}
