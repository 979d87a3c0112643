#include "core/job/job.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/job/pool.h"
#include "core/job/task.h"

#define MAX_THREADS 64

/* Below this cost (see task.h) no threads are started to help. */
#define HELPED_COST ((uint64_t)4 << 20)

/* In the order in which tasks start. */
struct place {
	uint64_t cost;
	size_t task; /* its number in the list */
};

struct strata_job {
	struct strata_task **tasks;
	size_t count;
	struct place *order;
	struct strata_pool *pool;
	pthread_t threads[MAX_THREADS];
	unsigned thread_count;
	bool started;
	bool settled;     /* the threads are joined */
	unsigned running; /* threads; from here on guarded by lock */
	size_t next;      /* place in `order` */
	size_t active;    /* tasks that run */
	size_t limit;     /* only tasks before this one start: the first that failed */
	atomic_bool cancel;
	atomic_ullong progress;
	uint64_t total;
	pid_t owner; /* who started it */
	pthread_mutex_t lock;
	pthread_cond_t finished;
};

struct strata_job *strata_job_new(struct strata_err *err)
{
	struct strata_job *job = calloc(1, sizeof(*job));
	pthread_condattr_t attributes;

	if (job == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&job->cancel, false);
	atomic_init(&job->progress, 0);
	pthread_mutex_init(&job->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&job->finished, &attributes);
	pthread_condattr_destroy(&attributes);
	return job;
}

int strata_job_append(struct strata_job *job, struct strata_task *task, struct strata_err *err)
{
	if (strata_grow(job->tasks, job->count, err) < 0)
		return -1;
	job->tasks[job->count++] = task;
	return 0;
}

/* The next task to run; none: `count`. */
static size_t take(struct strata_job *job)
{
	size_t i = job->count;

	pthread_mutex_lock(&job->lock);
	while (job->next < job->count && job->order[job->next].task >= job->limit)
		job->next++;
	if (job->next < job->count) {
		i = job->order[job->next++].task;
		job->active++;
	} else if (job->active == 0) {
		strata_pool_stop(job->pool);
	}
	pthread_mutex_unlock(&job->lock);
	return i;
}

static void run_task(struct strata_job *job, size_t i)
{
	struct strata_task *task = job->tasks[i];
	struct strata_work work = {job->pool, &job->cancel, &job->progress};
	bool failed = task->ops->run(task, &work, &task->err) < 0;

	if (failed)
		strata_err_wrap(&task->err, "%s", task->label);
	pthread_mutex_lock(&job->lock);
	task->failed = failed;
	task->done = true;
	if (failed && i < job->limit)
		job->limit = i;
	job->active--;
	pthread_mutex_unlock(&job->lock);
}

static void *work(void *argument)
{
	struct strata_job *job = argument;
	size_t i;

	while ((i = take(job)) < job->count)
		run_task(job, i);
	strata_pool_work(job->pool);
	pthread_mutex_lock(&job->lock);
	if (--job->running == 0)
		pthread_cond_broadcast(&job->finished);
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* Gives back the indexes of the first n tasks, and the first `more` of the task behind them. */
static void release_indexes(struct strata_job *job, size_t n, size_t more)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < job->tasks[i]->index_count; k++)
			job->tasks[i]->indexes[k]->busy = false;
	for (size_t k = 0; k < more; k++)
		job->tasks[n]->indexes[k]->busy = false;
}

/* An index is for one task at a time, and must be as the task needs it. */
static int claim(struct strata_index *index, const struct strata_task *task, struct strata_err *err)
{
	enum strata_task_need need = task->ops->need;

	if (index->busy)
		return strata_fail(err, "EBUSY", "%s: another task works on it", task->label);
	if (index->blob.file == NULL)
		return strata_fail(err, "EINVAL",
		                   "%s: its index has been closed, or has no content", task->label);
	if (need >= STRATA_NEEDS_SCANNED && !index->scanned)
		return strata_fail(err, "EINVAL", "%s: its index has not been scanned",
		                   task->label);
	if (need == STRATA_NEEDS_UNEDITED && index->revision != 0)
		return strata_fail(err, "EINVAL", "%s: its index has been edited", task->label);
	index->busy = true;
	return 0;
}

/* Takes the indexes of all tasks, or none. */
static int claim_indexes(struct strata_job *job, struct strata_err *err)
{
	for (size_t i = 0; i < job->count; i++)
		for (size_t k = 0; k < job->tasks[i]->index_count; k++)
			if (claim(job->tasks[i]->indexes[k], job->tasks[i], err) < 0) {
				release_indexes(job, i, k);
				return -1;
			}
	return 0;
}

/* The longest first, ties as in the list: the last ones to run are short. */
static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->cost != y->cost)
		return x->cost > y->cost ? -1 : 1;
	return x->task < y->task ? -1 : 1;
}

/* Fills in `order` and `total`; *cost is that of all tasks. */
static int plan(struct strata_job *job, uint64_t *cost, struct strata_err *err)
{
	*cost = job->total = 0;
	job->order = strata_reallocarray(NULL, job->count, sizeof(*job->order));
	if (job->order == NULL)
		return strata_fail_nomem(err);
	for (size_t i = 0; i < job->count; i++) {
		const struct strata_task *task = job->tasks[i];
		struct strata_task_load load = task->ops->load(task);

		job->total += load.bytes;
		job->order[i] = (struct place){strata_task_cost(&load), i};
		if (!strata_add(*cost, job->order[i].cost, cost))
			*cost = UINT64_MAX;
	}
	if (job->count > 1)
		qsort(job->order, job->count, sizeof(*job->order), compare_places);
	return 0;
}

/* No more threads than are of use. */
static unsigned thread_count(const struct strata_job *job, unsigned threads, uint64_t cost)
{
	if (threads == 0)
		threads = usable_cpus();
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	if (threads > job->count && (cost < HELPED_COST || job->count == 0))
		threads = (unsigned)job->count;
	return threads;
}

/* All that comes before the threads; *threads becomes their number. */
static int prepare(struct strata_job *job, unsigned *threads, struct strata_err *err)
{
	uint64_t cost;

	if (claim_indexes(job, err) < 0)
		return -1;
	if (plan(job, &cost, err) == 0) {
		*threads = thread_count(job, *threads, cost);
		job->pool = strata_pool_new(*threads, err);
	}
	if (job->pool == NULL) {
		release_indexes(job, job->count, 0);
		return -1;
	}
	job->limit = job->count;
	return 0;
}

int strata_job_start(struct strata_job *job, unsigned threads, struct strata_err *err)
{
	sigset_t all, before;
	int status = 0;

	if (prepare(job, &threads, err) < 0)
		return -1;
	job->started = true;
	job->owner = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&job->lock);
	while (job->thread_count < threads && status == 0) {
		status = pthread_create(&job->threads[job->thread_count], NULL, work, job);
		if (status == 0) {
			job->thread_count++;
			job->running++;
		}
	}
	pthread_mutex_unlock(&job->lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* Fewer threads than asked for do the same work. */
	if (job->thread_count > 0 || job->count == 0)
		return 0;
	release_indexes(job, job->count, 0);
	job->started = false;
	return strata_fail_errno(err, status, "cannot start a thread");
}

/* Joins the threads and gives the indexes back. */
static void settle(struct strata_job *job)
{
	if (!job->started || job->settled)
		return;
	for (unsigned i = 0; i < job->thread_count; i++)
		pthread_join(job->threads[i], NULL);
	release_indexes(job, job->count, 0);
	job->settled = true;
}

int strata_job_wait(struct strata_job *job, double seconds)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)seconds;
	until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&job->lock);
	while (job->running > 0 && pthread_cond_timedwait(&job->finished, &job->lock, &until) == 0)
		;
	done = job->running == 0;
	pthread_mutex_unlock(&job->lock);
	if (done)
		settle(job);
	return done;
}

void strata_job_progress(const struct strata_job *job, uint64_t *done, uint64_t *total)
{
	*done = atomic_load(&job->progress);
	*total = job->total;
	if (*done > *total) /* a layer that is inflated first is read twice */
		*done = *total;
}

void strata_job_cancel(struct strata_job *job)
{
	atomic_store(&job->cancel, true);
	pthread_mutex_lock(&job->lock);
	job->limit = 0; /* start no further ones */
	pthread_mutex_unlock(&job->lock);
}

int strata_job_result(const struct strata_job *job, struct strata_err *err)
{
	for (size_t i = 0; i < job->count; i++) {
		if (job->tasks[i]->failed) {
			*err = job->tasks[i]->err;
			return -1;
		}
		if (!job->tasks[i]->done)
			return strata_fail(err, "ECANCELED", "%s: canceled", job->tasks[i]->label);
	}
	return 0;
}

size_t strata_job_count(const struct strata_job *job)
{
	return job->count;
}

const struct strata_blob_info *strata_job_info(const struct strata_job *job, size_t i)
{
	const struct strata_task *task = job->tasks[i];

	return task->done && !task->failed ? &task->info : NULL;
}

void strata_job_free(struct strata_job *job)
{
	/* In a fork the threads are gone, and the lock may be held by one of them for ever. */
	if (job == NULL || (job->started && !job->settled && job->owner != getpid()))
		return;
	if (job->started) {
		strata_job_cancel(job);
		settle(job);
	}
	for (size_t i = 0; i < job->count; i++)
		strata_task_free(job->tasks[i]);
	free(job->tasks);
	free(job->order);
	strata_pool_free(job->pool);
	pthread_cond_destroy(&job->finished);
	pthread_mutex_destroy(&job->lock);
	free(job);
}
