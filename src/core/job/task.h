/* What the tasks of a job do. Private to job.c and task.c. */
#ifndef STRATA_TASK_H
#define STRATA_TASK_H

#include "core/job/job.h"

/* Runs the task; its results are in it afterwards. */
int strata_task_run(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err);

/* Bytes that it will read, or write from memory, for the progress. */
uint64_t strata_task_size(const struct strata_task *task);

/* How long it takes compared with others, roughly: 1 is a byte read and hashed. */
uint64_t strata_task_cost(const struct strata_task *task);

void strata_task_free(struct strata_task *task);

#endif
