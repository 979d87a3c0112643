/*
 * The threads of a job as they share the work within its tasks.
 *
 * A task is run by one thread, its owner. Work that another thread may do (hashing, compressing,
 * writing) is handed out as items. An item is in a strand: the items of a strand run one at a time
 * and in order, those of different strands side by side. So the digest of a stream is a strand, and
 * so is each segment to be compressed.
 *
 * Threads without a task are workers: they run items. While the pool has no workers, the owner runs
 * each item when it is added, while its bytes are in the cache. So a pool of one thread behaves
 * like no pool (NULL), which is allowed everywhere here.
 *
 * An item never waits for another one, and a thread that waits runs items meanwhile, so there is
 * always one that can go on. How far an owner can run ahead is limited by its buffers.
 *
 * The threads never decide a result: results depend on the order in the strands alone, which the
 * owner makes.
 */
#ifndef STRATA_POOL_H
#define STRATA_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

struct strata_pool;

struct strata_pool_item {
	void (*run)(struct strata_pool_item *item);  /* any thread, without the lock */
	void (*done)(struct strata_pool_item *item); /* after it, with the pool's lock held */
	void *owner;
	struct strata_pool_item *next;
};

/* All zero is an empty strand. */
struct strata_strand {
	struct strata_pool_item *first;
	struct strata_pool_item *last;
	bool urgent; /* goes before strands that are not, because more work depends on it */
	bool ready;  /* in the pool's queue, or running */
	struct strata_strand *next;
};

/* What long work is given. All zero is allowed, and so is a NULL pointer to it. */
struct strata_work {
	struct strata_pool *pool;
	const atomic_bool *cancel;
	atomic_ullong *progress; /* bytes done */
};

/* True, and *err is ECANCELED, once the work has been cancelled. */
static inline bool strata_work_cancelled(const struct strata_work *work, struct strata_err *err)
{
	if (work == NULL || work->cancel == NULL ||
	    !atomic_load_explicit(work->cancel, memory_order_relaxed))
		return false;
	strata_fail(err, "ECANCELED", "canceled");
	return true;
}

/* Counts bytes as done. */
static inline void strata_work_advance(const struct strata_work *work, uint64_t bytes)
{
	if (work->progress != NULL)
		atomic_fetch_add_explicit(work->progress, bytes, memory_order_relaxed);
}

/* threads: how many there may be in all, owners and workers. */
struct strata_pool *strata_pool_new(unsigned threads, struct strata_err *err);
void strata_pool_free(struct strata_pool *pool);

/* 1 without a pool. */
unsigned strata_pool_threads(const struct strata_pool *pool);

/* Makes the calling thread a worker until the pool is dismissed. */
void strata_pool_work(struct strata_pool *pool);

/* To be called when no task runs or will run. */
void strata_pool_stop(struct strata_pool *pool);

/* With the lock held: whether there are workers. Once there are, there are to the end. */
bool strata_pool_has_workers(const struct strata_pool *pool);

/* Guards what `done` functions change. */
void strata_pool_lock(struct strata_pool *pool);
void strata_pool_unlock(struct strata_pool *pool);

/* Hands out an item. Without the lock. */
void strata_pool_add(struct strata_pool *pool, struct strata_strand *strand,
                     struct strata_pool_item *item);

/* The same with the lock held: from a `done` function, or while the pool has workers. */
void strata_pool_add_locked(struct strata_pool *pool, struct strata_strand *strand,
                            struct strata_pool_item *item);

/* With the lock held, and held again afterwards: waits, running items, until enough(arg). */
void strata_pool_wait(struct strata_pool *pool, bool (*enough)(const void *arg), const void *arg);

#endif
