/*
 * Work on several threads, started, polled and cancelled from one.
 *
 * A job is a list of tasks that do not depend on each other. The longest start
 * first; threads that find no further one help with those that run (pool.h).
 * When a task fails, those behind it in the list do not start any more, those
 * before it do; what runs is finished. So the job's error, that of the first
 * failed task of the list, is the same in every run.
 *
 * The job owns its tasks and what they own; nothing that a task works on may
 * be touched by others until the job is done or freed. Worker threads block
 * all signals, which belong to the host.
 */
#ifndef STRATA_JOB_H
#define STRATA_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/apply/apply.h"
#include "core/base/err.h"
#include "core/layer/assemble.h"
#include "core/layer/index.h"
#include "core/layer/plan.h"

enum strata_task_kind {
	STRATA_TASK_SCAN,   /* builds `index` */
	STRATA_TASK_HASH,   /* reads `blob`: digest and, with `plain`, diff_id */
	STRATA_TASK_WRITE,  /* carries out the plan of `index` into `to` */
	STRATA_TASK_RECODE, /* writes `blob` to `to` in another compression */
	STRATA_TASK_COPY,   /* copies `blob` as it is stored to `to` at to_offset, and hashes it */
	STRATA_TASK_ASSEMBLE, /* writes the tar of `compose` into `to` */
	STRATA_TASK_BYTES,    /* writes `bytes` to `to` at to_offset */
	STRATA_TASK_APPLY,    /* applies the layers of `apply` in order */
	STRATA_TASK_INFLATE,  /* makes `index` readable at any offset */
};

struct strata_task {
	enum strata_task_kind kind;
	char *label;                /* what messages call it: "layer 3/7 (sha256:ab12…)"; owned */
	struct strata_index *index; /* SCAN, WRITE, SPOOL: not owned, marked busy meanwhile */
	struct strata_assemble *compose; /* COMPOSE: owned; its indexes are as `index` is */
	struct strata_blob blob;         /* HASH, RECODE, COPY: owns a reference */
	struct strata_file *to;          /* WRITE, RECODE, COPY, COMPOSE, BYTES: owns a reference */
	uint64_t to_offset;              /* COPY, BYTES; the others write from offset 0 on */
	char *bytes;                     /* BYTES: owned */
	struct strata_apply *apply;      /* APPLY: owns a reference */
	size_t bytes_len;
	bool plain;                             /* HASH: inflate, too */
	struct strata_tar_limits limits;        /* SCAN */
	struct strata_inflate_limits inflate;   /* SCAN, HASH, WRITE, RECODE, SPOOL */
	enum strata_compression compression;    /* WRITE, RECODE: of the result */
	int level;                              /* the same */
	char *temp_dir;                         /* WRITE; owned, may be NULL */
	char expect_digest[STRATA_DIGEST_MAX];  /* of what is read; "" when not known */
	char expect_diff_id[STRATA_DIGEST_MAX]; /* "" when not known */

	/* Results, once the job is done; of what was written where something was: */
	char digest[STRATA_DIGEST_MAX];
	char diff_id[STRATA_DIGEST_MAX];
	uint64_t size;
	bool done;
	bool failed;
	struct strata_err err;
};

struct strata_job;

struct strata_job *strata_job_new(struct strata_err *err);

/* An empty task at the end of the list, to be filled in; lives as long as the job. */
struct strata_task *strata_job_add(struct strata_job *job, enum strata_task_kind kind,
                                   const char *label, struct strata_err *err);

/*
 * threads 0: one per CPU that this process may use. No more are started than
 * are of use. To be called once.
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
const struct strata_task *strata_job_task(const struct strata_job *job, size_t i);

/* Cancels and waits when it still runs. */
void strata_job_free(struct strata_job *job);

#endif
