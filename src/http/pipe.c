#include "http/pipe.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/digest.h"

/* What one write may bring, at most. */
#define WRITE_MAX ((size_t)64 << 10)

struct end {
	uint64_t moved;          /* bytes, from the beginning */
	bool waits;              /* its last try moved nothing */
	void (*wake)(void *arg); /* NULL: nobody has it */
	void *arg;
};

struct strata_pipe {
	atomic_uint refs;
	uint64_t total;
	char digest[STRATA_DIGEST_MAX];
	size_t room;
	pthread_mutex_t lock; /* of all that follows */
	struct strata_digest *hash;
	struct end ends[2];
	bool verified; /* all bytes are there, and right */
	bool failed;
	struct strata_err err; /* if it failed */
	char bytes[];
};

/* With the lock held, as all static functions. */
static void wake(struct end *e)
{
	if (e->wake != NULL)
		e->wake(e->arg);
	e->waits = false;
}

static void fail(struct strata_pipe *p, const struct strata_err *err)
{
	if (p->failed)
		return;
	p->failed = true;
	p->err = *err;
	wake(&p->ends[STRATA_PIPE_IN]);
	wake(&p->ends[STRATA_PIPE_OUT]);
}

static int check(const struct strata_pipe *p, struct strata_err *err)
{
	if (!p->failed)
		return 0;
	*err = p->err;
	return -1;
}

/* Compares the digest once everything is there. */
static void verify(struct strata_pipe *p)
{
	struct strata_err err;
	char got[STRATA_DIGEST_MAX];

	if (p->ends[STRATA_PIPE_IN].moved < p->total)
		return;
	if (strata_digest_final(p->hash, got, &err) < 0 ||
	    strata_digest_expect("the blob", p->digest, got, &err) < 0)
		fail(p, &err);
	else
		p->verified = true;
}

struct strata_pipe *strata_pipe_new(uint64_t total, const char *digest, size_t room,
                                    struct strata_err *err)
{
	enum strata_digest_alg alg;
	struct strata_pipe *p;

	if (!strata_digest_valid(digest, strlen(digest), &alg) || room < STRATA_PIPE_ROOM_MIN) {
		strata_fail_errno(err, EINVAL, "a pipe");
		return NULL;
	}
	p = calloc(1, sizeof(*p) + room);
	if (p == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&p->refs, 1);
	pthread_mutex_init(&p->lock, NULL);
	p->total = total;
	p->room = room;
	memcpy(p->digest, digest, strlen(digest) + 1);
	p->hash = strata_digest_new(alg, err);
	if (p->hash == NULL) {
		strata_pipe_unref(p);
		return NULL;
	}
	verify(p); /* an empty one */
	return p;
}

struct strata_pipe *strata_pipe_ref(struct strata_pipe *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void strata_pipe_unref(struct strata_pipe *p)
{
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	strata_digest_free(p->hash);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

uint64_t strata_pipe_total(const struct strata_pipe *p)
{
	return p->total;
}

const char *strata_pipe_digest(const struct strata_pipe *p)
{
	return p->digest;
}

int strata_pipe_attach(struct strata_pipe *p, enum strata_pipe_end end, void (*wake_owner)(void *),
                       void *arg, struct strata_err *err)
{
	struct end *e = &p->ends[end];
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = check(p, err);
	if (rc == 0 && (e->wake != NULL || e->moved > 0))
		rc = strata_fail_errno(err, EBUSY, "this end of the pipe");
	if (rc == 0)
		*e = (struct end){0, false, wake_owner, arg};
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* Why the other end fails, which is not to blame. */
static void stop(struct strata_pipe *p, enum strata_pipe_end end, const struct strata_err *why)
{
	const char *side = end == STRATA_PIPE_IN ? "source" : "target";
	struct strata_err err;

	if (why != NULL && strcmp(why->code, "EDIGEST") == 0)
		err = *why;
	else if (why != NULL)
		strata_fail(&err, "ECANCELED", "the %s of the blob failed: %s", side, why->msg);
	else
		strata_fail(&err, "ECANCELED", "the %s of the blob ended too early", side);
	fail(p, &err);
}

void strata_pipe_detach(struct strata_pipe *p, enum strata_pipe_end end,
                        const struct strata_err *why)
{
	struct end *e = &p->ends[end];

	pthread_mutex_lock(&p->lock);
	e->wake = NULL;
	if (e->moved > 0 && e->moved < p->total)
		stop(p, end, why);
	pthread_mutex_unlock(&p->lock);
}

/* Copies into the ring, or out of it, what stands at `offset` of the stream. */
static void put(struct strata_pipe *p, uint64_t offset, const char *bytes, size_t len)
{
	size_t at = (size_t)(offset % p->room);
	size_t first = len < p->room - at ? len : p->room - at;

	memcpy(p->bytes + at, bytes, first);
	memcpy(p->bytes, bytes + first, len - first);
}

static void get(const struct strata_pipe *p, uint64_t offset, char *bytes, size_t len)
{
	size_t at = (size_t)(offset % p->room);
	size_t first = len < p->room - at ? len : p->room - at;

	memcpy(bytes, p->bytes + at, first);
	memcpy(bytes + first, p->bytes, len - first);
}

static size_t room_left(const struct strata_pipe *p)
{
	return p->room - (size_t)(p->ends[STRATA_PIPE_IN].moved - p->ends[STRATA_PIPE_OUT].moved);
}

/* Bytes that may be read now. */
static uint64_t readable(const struct strata_pipe *p)
{
	uint64_t in = p->ends[STRATA_PIPE_IN].moved;
	uint64_t out = p->ends[STRATA_PIPE_OUT].moved;

	if (p->verified)
		return in - out;
	return in - out > STRATA_PIPE_WITHHELD ? in - out - STRATA_PIPE_WITHHELD : 0;
}

int strata_pipe_write(struct strata_pipe *p, const void *bytes, size_t len, struct strata_err *err)
{
	struct end *in = &p->ends[STRATA_PIPE_IN];
	struct strata_err why;
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = check(p, err);
	if (rc == 0 && len > p->total - in->moved) {
		strata_fail(&why, "EFORMAT", "the body is longer than it should be, %llu bytes",
		            (unsigned long long)p->total);
		fail(p, &why);
	} else if (rc == 0 && len <= room_left(p)) {
		put(p, in->moved, bytes, len);
		if (strata_digest_update(p->hash, bytes, len, &why) < 0)
			fail(p, &why);
		in->moved += len;
		verify(p);
		rc = 1;
		if (p->ends[STRATA_PIPE_OUT].waits && readable(p) > 0)
			wake(&p->ends[STRATA_PIPE_OUT]);
	} else if (rc == 0) {
		in->waits = true;
	}
	if (p->failed)
		rc = check(p, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

ssize_t strata_pipe_read(struct strata_pipe *p, void *bytes, size_t len, struct strata_err *err)
{
	struct end *out = &p->ends[STRATA_PIPE_OUT];
	ssize_t n = -1;

	pthread_mutex_lock(&p->lock);
	if (check(p, err) == 0) {
		uint64_t ready = readable(p);

		if (len > ready)
			len = (size_t)ready;
		get(p, out->moved, bytes, len);
		out->moved += len;
		n = (ssize_t)len;
		out->waits = n == 0;
		if (p->ends[STRATA_PIPE_IN].waits && room_left(p) >= WRITE_MAX)
			wake(&p->ends[STRATA_PIPE_IN]);
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

bool strata_pipe_finished(struct strata_pipe *p, enum strata_pipe_end end)
{
	bool finished;

	pthread_mutex_lock(&p->lock);
	finished = p->ends[end].moved == p->total;
	pthread_mutex_unlock(&p->lock);
	return finished;
}

bool strata_pipe_ready(struct strata_pipe *p, enum strata_pipe_end end)
{
	bool ready;

	pthread_mutex_lock(&p->lock);
	ready = p->failed || (end == STRATA_PIPE_IN ? room_left(p) >= WRITE_MAX : readable(p) > 0);
	pthread_mutex_unlock(&p->lock);
	return ready;
}

int strata_pipe_check(struct strata_pipe *p, struct strata_err *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = check(p, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void strata_pipe_close(struct strata_pipe *p)
{
	struct strata_err err;

	pthread_mutex_lock(&p->lock);
	if (p->ends[STRATA_PIPE_OUT].moved < p->total) {
		strata_fail(&err, "ECANCELED", "the pipe was closed");
		fail(p, &err);
	}
	pthread_mutex_unlock(&p->lock);
}
