/*
 * The threads of a job as they share the work within its tasks.
 *
 * A task is run by one thread, its driver. What need not happen on that thread
 * (hashing, packing, writing) it hands out as pieces. A piece is in a lane; the
 * pieces of a lane are run one at a time in their order, different lanes side
 * by side. So a stream's digest is a lane, and so is each segment to be packed.
 *
 * Threads without a task are helpers and run pieces. While there are none the
 * driver runs every piece at once, while its bytes are in the cache: a crew of
 * one thread behaves like no crew (NULL), which is allowed everywhere here.
 *
 * A piece never waits for another one, and whoever waits runs pieces meanwhile:
 * so there is always a thread that can go on. How far a driver can run ahead is
 * limited by its buffers.
 *
 * Nothing here decides about results: these depend on the order in the lanes
 * alone, which is the driver's.
 */
#ifndef STRATA_CREW_H
#define STRATA_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

struct strata_crew;

struct strata_piece {
	void (*run)(struct strata_piece *piece);  /* any thread, without the lock */
	void (*done)(struct strata_piece *piece); /* after it, with the crew's lock held */
	void *owner;
	struct strata_piece *next;
};

/* All zero is an empty lane. */
struct strata_lane {
	struct strata_piece *first;
	struct strata_piece *last;
	bool urgent; /* others depend on it: before those that are not */
	bool ready;  /* in the crew's queue, or running */
	struct strata_lane *next;
};

/* What long work is given. All zero is allowed, and so is a NULL pointer to it. */
struct strata_work {
	struct strata_crew *crew;
	const atomic_bool *cancel;
	atomic_ullong *progress; /* bytes done */
};

/* threads: how many there may be in all, drivers and helpers. */
struct strata_crew *strata_crew_new(unsigned threads, struct strata_err *err);
void strata_crew_free(struct strata_crew *crew);

/* 1 without a crew. */
unsigned strata_crew_threads(const struct strata_crew *crew);

/* Makes the calling thread a helper until the crew is dismissed. */
void strata_crew_help(struct strata_crew *crew);

/* To be called when no task runs or will run. */
void strata_crew_dismiss(struct strata_crew *crew);

/* With the lock held: whether there are helpers. Once there are, there are to the end. */
bool strata_crew_helped(const struct strata_crew *crew);

/* Guards what `done` functions change. */
void strata_crew_lock(struct strata_crew *crew);
void strata_crew_unlock(struct strata_crew *crew);

/* Hands out a piece. Without the lock. */
void strata_crew_add(struct strata_crew *crew, struct strata_lane *lane,
                     struct strata_piece *piece);

/* The same with the lock held: from a `done` function, or while the crew has helpers. */
void strata_crew_follow(struct strata_crew *crew, struct strata_lane *lane,
                        struct strata_piece *piece);

/* With the lock held, and held again afterwards: waits, running pieces, until enough(arg). */
void strata_crew_wait(struct strata_crew *crew, bool (*enough)(const void *arg), const void *arg);

#endif
