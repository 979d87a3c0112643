#include "core/job/pool.h"

#include <pthread.h>
#include <stdlib.h>

struct strata_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;     /* for workers: a strand is ready, or dismissed */
	pthread_cond_t progress; /* for owners: a item is done */
	struct strata_strand *first;
	struct strata_strand *last;
	unsigned threads;
	unsigned workers;
	unsigned idle;    /* workers that wait */
	unsigned waiting; /* owners that do */
	bool dismissed;
};

struct strata_pool *strata_pool_new(unsigned threads, struct strata_err *err)
{
	struct strata_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	pool->threads = threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->progress, NULL);
	return pool;
}

void strata_pool_free(struct strata_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_cond_destroy(&pool->progress);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

unsigned strata_pool_threads(const struct strata_pool *pool)
{
	return pool != NULL ? pool->threads : 1;
}

bool strata_pool_has_workers(const struct strata_pool *pool)
{
	return pool != NULL && pool->workers > 0;
}

void strata_pool_lock(struct strata_pool *pool)
{
	if (pool != NULL)
		pthread_mutex_lock(&pool->lock);
}

void strata_pool_unlock(struct strata_pool *pool)
{
	if (pool != NULL)
		pthread_mutex_unlock(&pool->lock);
}

static void enqueue(struct strata_pool *pool, struct strata_strand *strand)
{
	strand->next = strand->urgent ? pool->first : NULL;
	if (pool->first == NULL)
		pool->first = pool->last = strand;
	else if (strand->urgent)
		pool->first = strand;
	else
		pool->last = pool->last->next = strand;
	if (pool->idle > 0)
		pthread_cond_signal(&pool->work);
}

/* Runs a item of the strand that comes first. The lock is given up meanwhile. */
static void run_one(struct strata_pool *pool)
{
	struct strata_strand *strand = pool->first;
	struct strata_pool_item *item = strand->first;

	pool->first = strand->next;
	strand->first = item->next;
	pthread_mutex_unlock(&pool->lock);
	item->run(item);
	pthread_mutex_lock(&pool->lock);
	if (strand->first != NULL)
		enqueue(pool, strand);
	else
		strand->ready = false;
	/* Last: a waiting owner may free strand and item as soon as the lock is open. */
	item->done(item);
	if (pool->waiting > 0)
		pthread_cond_broadcast(&pool->progress);
}

void strata_pool_add_locked(struct strata_pool *pool, struct strata_strand *strand,
                            struct strata_pool_item *item)
{
	if (pool == NULL) {
		item->run(item);
		item->done(item);
		return;
	}
	item->next = NULL;
	if (strand->first == NULL)
		strand->first = item;
	else
		strand->last->next = item;
	strand->last = item;
	if (!strand->ready) {
		strand->ready = true;
		enqueue(pool, strand);
	}
}

void strata_pool_add(struct strata_pool *pool, struct strata_strand *strand,
                     struct strata_pool_item *item)
{
	strata_pool_lock(pool);
	strata_pool_add_locked(pool, strand, item);
	while (pool != NULL && pool->workers == 0 && pool->first != NULL)
		run_one(pool);
	strata_pool_unlock(pool);
}

void strata_pool_wait(struct strata_pool *pool, bool (*enough)(const void *arg), const void *arg)
{
	while (pool != NULL && !enough(arg)) {
		if (pool->first != NULL) {
			run_one(pool);
		} else {
			pool->waiting++;
			pthread_cond_wait(&pool->progress, &pool->lock);
			pool->waiting--;
		}
	}
}

void strata_pool_work(struct strata_pool *pool)
{
	strata_pool_lock(pool);
	pool->workers++;
	while (pool->first != NULL || !pool->dismissed) {
		if (pool->first != NULL) {
			run_one(pool);
		} else {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
		}
	}
	pool->workers--;
	strata_pool_unlock(pool);
}

void strata_pool_stop(struct strata_pool *pool)
{
	strata_pool_lock(pool);
	pool->dismissed = true;
	pthread_cond_broadcast(&pool->work);
	strata_pool_unlock(pool);
}
