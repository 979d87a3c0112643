/* The tasks of a job, as job.c runs them. Private to job.c and task.c. */
#ifndef STRATA_TASK_H
#define STRATA_TASK_H

#include "core/job/job.h"

/* What a task needs of the indexes that it works on, when it starts. */
enum strata_task_need {
	STRATA_NEEDS_BLOB,     /* they are not closed */
	STRATA_NEEDS_SCANNED,  /* and have been scanned */
	STRATA_NEEDS_UNEDITED, /* and have no edits */
};

/* How much there is to do. */
struct strata_task_load {
	uint64_t bytes; /* that it will read, or write from memory: for the progress */
	bool inflates;
	bool deflates;
};

struct strata_task;

struct strata_task_ops {
	int (*run)(struct strata_task *task, const struct strata_work *work,
	           struct strata_err *err);
	struct strata_task_load (*load)(const struct strata_task *task);
	void (*free)(struct strata_task *task); /* or NULL */
	enum strata_task_need need;
};

struct strata_task {
	const struct strata_task_ops *ops;
	char *label;
	struct strata_index *index; /* the only one, or NULL; not owned, as all of them */
	struct strata_index **indexes;
	size_t index_count;
	struct strata_file *from; /* this and the next two are owned, and NULL when not used */
	struct strata_file *to;
	char *text; /* a path or bytes */
	union {     /* by `ops`; the texts in them are the caller's, and gone: `text` is the copy */
		struct strata_scan_task scan;
		struct strata_hash_task hash;
		struct strata_write_task write;
		struct strata_recode_task recode;
		struct strata_copy_task copy;
		struct strata_task_assembly {
			struct strata_task_output to;
			bool splice;
			struct strata_assembly assembly; /* owned */
		} assemble;
		struct strata_bytes_task bytes;
		struct strata_prepare_task prepare;
		struct strata_apply *apply; /* owns a reference */
	} as;
	struct strata_blob_info info;
	bool done;
	bool failed;
	struct strata_err err;
};

/* Puts a task at the end of the list; the job owns it then. */
int strata_job_append(struct strata_job *job, struct strata_task *task, struct strata_err *err);

/* How long it takes compared with others, roughly: 1 is a byte read and hashed. */
uint64_t strata_task_cost(const struct strata_task_load *load);

void strata_task_free(struct strata_task *task);

#endif
