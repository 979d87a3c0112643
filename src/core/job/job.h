/*
 * Work on several threads, started, polled and cancelled from one.
 *
 * A job is a list of tasks that do not depend on each other. The longest start first; threads that
 * find no further one help with those that run (pool.h). When a task fails, those behind it in the
 * list do not start any more, those before it do, and running ones are finished. So the job's
 * error, that of the first failed task of the list, is the same in every run.
 *
 * The job owns its tasks. A task takes references to its files, copies texts and bytes, and borrows
 * its indexes: they must live as long as the job, and while it runs they are marked busy and belong
 * to it alone. Worker threads block all signals, which belong to the host.
 */
#ifndef STRATA_JOB_H
#define STRATA_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/apply/apply.h"
#include "core/base/err.h"
#include "core/layer/assembly.h"
#include "core/layer/blob.h"
#include "core/layer/draft.h"
#include "core/layer/index.h"
#include "core/layer/plan.h"

struct strata_job;

struct strata_job *strata_job_new(struct strata_err *err);

/*
 * ---- tasks ----
 *
 * Each kind has a struct that says what to do, which is copied, and a function that adds a task to
 * the end of the list. `label` is what messages call the task: "layer 3/7 (sha256:ab12…)". A limit
 * that is 0 has its default. EINVAL: a field is missing.
 */

/* Builds the entry index. Its limits stay with the index, for later reads. */
struct strata_scan_task {
	struct strata_index *index;
	struct strata_tar_limits limits;
	struct strata_inflate_limits inflate;
	struct strata_expected expected; /* a plain tar is not hashed, and so not compared */
	bool inflates;        /* a compressed one stays inflated: strata_index_scan_and_inflate */
	const char *temp_dir; /* where; NULL: the default */
	struct strata_draft_rules draft; /* without a temp_dir: what is going to be dropped */
};
int strata_job_add_scan(struct strata_job *job, const char *label, const struct strata_scan_task *t,
                        struct strata_err *err);

/* Reads a blob to its end. */
struct strata_hash_task {
	struct strata_blob blob;
	bool plain; /* inflate it as well: gives the diff_id */
	struct strata_inflate_limits inflate;
	struct strata_expected expected;
	struct strata_index *index; /* of that blob, whose contents are verified by it; or NULL */
};
int strata_job_add_hash(struct strata_job *job, const char *label, const struct strata_hash_task *t,
                        struct strata_err *err);

/* Where a new blob goes, from offset 0 of the file on if it is not placed, and how it is stored. */
struct strata_task_output {
	struct strata_file *file;
	enum strata_compression compression;
	int level; /* -1: the compression's default */
	/* A plain one has a place in the file, which it must fill: ERANGE when it does not. */
	bool placed;
	uint64_t offset;
	uint64_t size;
};

/* Carries out the edit plan of an index. Without a file to write to it tells the size that a plain
 * layer will have. */
struct strata_write_task {
	struct strata_index *index; /* scanned */
	struct strata_task_output to;
	bool splice;          /* see struct strata_plan_options */
	const char *temp_dir; /* NULL: the default */
	struct strata_inflate_limits inflate;
	struct strata_expected expected; /* of the old blob */
};
int strata_job_add_write(struct strata_job *job, const char *label,
                         const struct strata_write_task *t, struct strata_err *err);

/* Writes a blob in another compression. */
struct strata_recode_task {
	struct strata_blob blob;
	struct strata_task_output to;
	struct strata_inflate_limits inflate;
	struct strata_expected expected; /* of the old blob */
};
int strata_job_add_recode(struct strata_job *job, const char *label,
                          const struct strata_recode_task *t, struct strata_err *err);

/* Copies a blob as it is stored. The copy is hashed when a digest is expected. */
struct strata_copy_task {
	struct strata_blob blob;
	struct strata_file *to;
	uint64_t to_offset;
	struct strata_expected expected; /* the digest alone is compared */
};
int strata_job_add_copy(struct strata_job *job, const char *label, const struct strata_copy_task *t,
                        struct strata_err *err);

/* Writes the tar of an assembly, which is moved into the task and so empty afterwards. */
struct strata_assemble_task {
	struct strata_assembly *assembly; /* of indexes that are scanned and have no edits */
	struct strata_task_output to;
	bool splice;          /* see struct strata_plan_options */
	const char *temp_dir; /* NULL: the default */
};
int strata_job_add_assemble(struct strata_job *job, const char *label,
                            const struct strata_assemble_task *t, struct strata_err *err);

/* Writes bytes. */
struct strata_bytes_task {
	const char *bytes;
	size_t len;
	struct strata_file *to;
	uint64_t to_offset;
};
int strata_job_add_bytes(struct strata_job *job, const char *label,
                         const struct strata_bytes_task *t, struct strata_err *err);

/* Makes the contents of an index readable: strata_index_prepare. */
struct strata_prepare_task {
	struct strata_index *index;
	const char *temp_dir; /* NULL: the default */
	struct strata_inflate_limits inflate;
};
int strata_job_add_prepare(struct strata_job *job, const char *label,
                           const struct strata_prepare_task *t, struct strata_err *err);

/* Applies the layers that were added to `apply`, which gets a reference. */
int strata_job_add_apply(struct strata_job *job, const char *label, struct strata_apply *apply,
                         struct strata_err *err);

/* ---- running ---- */

/*
 * To be called once. threads 0: one per CPU that this process may use. No more are started than are
 * of use. EBUSY when another job has an index of this one. EINVAL when an index is not as its task
 * needs it: it was closed, or edited, after the task was added.
 */
int strata_job_start(struct strata_job *job, unsigned threads, struct strata_err *err);

/* Waits up to `seconds`. 1 done, 0 not yet. */
int strata_job_wait(struct strata_job *job, double seconds);

/* Bytes read and to be read. */
void strata_job_progress(const struct strata_job *job, uint64_t *done, uint64_t *total);

/* Asks the tasks to end soon; they fail with ECANCELED. */
void strata_job_cancel(struct strata_job *job);

/* After it is done: the error of the first failed task, 0 when there is none. */
int strata_job_result(const struct strata_job *job, struct strata_err *err);

size_t strata_job_count(const struct strata_job *job);

/*
 * After it is done: the blob that task i has read, or written if it writes one; its sizes are 0
 * where nothing is known. NULL when the task did not run to a good end.
 */
const struct strata_blob_info *strata_job_info(const struct strata_job *job, size_t i);

/* Cancels and waits when it still runs. */
void strata_job_free(struct strata_job *job);

#endif
