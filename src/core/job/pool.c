#include "core/job/pool.h"

#include <pthread.h>
#include <stdlib.h>

struct strata_crew {
	pthread_mutex_t lock;
	pthread_cond_t work;     /* for helpers: a lane is ready, or dismissed */
	pthread_cond_t progress; /* for drivers: a piece is done */
	struct strata_lane *first;
	struct strata_lane *last;
	unsigned threads;
	unsigned helpers;
	unsigned idle;    /* helpers that wait */
	unsigned waiting; /* drivers that do */
	bool dismissed;
};

struct strata_crew *strata_crew_new(unsigned threads, struct strata_err *err)
{
	struct strata_crew *crew = calloc(1, sizeof(*crew));

	if (crew == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	crew->threads = threads;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->work, NULL);
	pthread_cond_init(&crew->progress, NULL);
	return crew;
}

void strata_crew_free(struct strata_crew *crew)
{
	if (crew == NULL)
		return;
	pthread_cond_destroy(&crew->progress);
	pthread_cond_destroy(&crew->work);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

unsigned strata_crew_threads(const struct strata_crew *crew)
{
	return crew != NULL ? crew->threads : 1;
}

bool strata_crew_helped(const struct strata_crew *crew)
{
	return crew != NULL && crew->helpers > 0;
}

void strata_crew_lock(struct strata_crew *crew)
{
	if (crew != NULL)
		pthread_mutex_lock(&crew->lock);
}

void strata_crew_unlock(struct strata_crew *crew)
{
	if (crew != NULL)
		pthread_mutex_unlock(&crew->lock);
}

static void enqueue(struct strata_crew *crew, struct strata_lane *lane)
{
	lane->next = lane->urgent ? crew->first : NULL;
	if (crew->first == NULL)
		crew->first = crew->last = lane;
	else if (lane->urgent)
		crew->first = lane;
	else
		crew->last = crew->last->next = lane;
	if (crew->idle > 0)
		pthread_cond_signal(&crew->work);
}

/* Runs a piece of the lane that comes first. The lock is given up meanwhile. */
static void run_one(struct strata_crew *crew)
{
	struct strata_lane *lane = crew->first;
	struct strata_piece *piece = lane->first;

	crew->first = lane->next;
	lane->first = piece->next;
	pthread_mutex_unlock(&crew->lock);
	piece->run(piece);
	pthread_mutex_lock(&crew->lock);
	if (lane->first != NULL)
		enqueue(crew, lane);
	else
		lane->ready = false;
	/* Last: a waiting driver may free lane and piece as soon as the lock is open. */
	piece->done(piece);
	if (crew->waiting > 0)
		pthread_cond_broadcast(&crew->progress);
}

void strata_crew_follow(struct strata_crew *crew, struct strata_lane *lane,
                        struct strata_piece *piece)
{
	if (crew == NULL) {
		piece->run(piece);
		piece->done(piece);
		return;
	}
	piece->next = NULL;
	if (lane->first == NULL)
		lane->first = piece;
	else
		lane->last->next = piece;
	lane->last = piece;
	if (!lane->ready) {
		lane->ready = true;
		enqueue(crew, lane);
	}
}

void strata_crew_add(struct strata_crew *crew, struct strata_lane *lane, struct strata_piece *piece)
{
	strata_crew_lock(crew);
	strata_crew_follow(crew, lane, piece);
	while (crew != NULL && crew->helpers == 0 && crew->first != NULL)
		run_one(crew);
	strata_crew_unlock(crew);
}

void strata_crew_wait(struct strata_crew *crew, bool (*enough)(const void *arg), const void *arg)
{
	while (crew != NULL && !enough(arg)) {
		if (crew->first != NULL) {
			run_one(crew);
		} else {
			crew->waiting++;
			pthread_cond_wait(&crew->progress, &crew->lock);
			crew->waiting--;
		}
	}
}

void strata_crew_help(struct strata_crew *crew)
{
	strata_crew_lock(crew);
	crew->helpers++;
	while (crew->first != NULL || !crew->dismissed) {
		if (crew->first != NULL) {
			run_one(crew);
		} else {
			crew->idle++;
			pthread_cond_wait(&crew->work, &crew->lock);
			crew->idle--;
		}
	}
	crew->helpers--;
	strata_crew_unlock(crew);
}

void strata_crew_dismiss(struct strata_crew *crew)
{
	strata_crew_lock(crew);
	crew->dismissed = true;
	pthread_cond_broadcast(&crew->work);
	strata_crew_unlock(crew);
}
