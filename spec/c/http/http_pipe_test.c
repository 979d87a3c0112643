/* A blob that goes through the ring of a pipe, between two threads and step by step. */
#include "http/pipe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "core/base/digest.h"

#define TOTAL ((size_t)3 << 20)
#define ROOM STRATA_PIPE_ROOM_MIN

static char *bytes;
static char digest[STRATA_DIGEST_MAX];
static struct strata_err err;

static void wake(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static struct strata_pipe *make(size_t total, const char *expected, atomic_int *woken)
{
	struct strata_pipe *p = strata_pipe_new(total, expected, ROOM, &err);

	CHECK(p != NULL);
	CHECK(strata_pipe_attach(p, STRATA_PIPE_IN, wake, woken, &err) == 0);
	CHECK(strata_pipe_attach(p, STRATA_PIPE_OUT, wake, woken + 1, &err) == 0);
	return p;
}

/* Goes from one end to the other in odd pieces; -1 when the pipe fails. */
static int pump(struct strata_pipe *p, size_t total, char *out)
{
	size_t in = 0, done = 0;

	while (done < total) {
		size_t len = total - in < 16384 ? total - in : 16384;
		int wrote = len > 0 ? strata_pipe_write(p, bytes + in, len, &err) : 0;
		ssize_t n = wrote >= 0 ? strata_pipe_read(p, out + done, 50000, &err) : -1;

		if (n < 0)
			return -1;
		if (wrote == 0 && n == 0) {
			CHECK(false); /* it goes on */
			return -1;
		}
		in += wrote > 0 ? len : 0;
		done += (size_t)n;
		CHECK(in == total || in - done >= STRATA_PIPE_WITHHELD || done == 0);
	}
	return 0;
}

static void everything_goes_through(void)
{
	static const size_t totals[] = {1, 16384, 65536, 65537, 131072, 1000003, TOTAL};
	char *out = malloc(TOTAL + 50000);

	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
		atomic_int woken[2] = {0, 0};
		struct strata_pipe *p;

		CHECK(strata_sha256(bytes, totals[i], digest, &err) == 0);
		p = make(totals[i], digest, woken);
		CHECK(pump(p, totals[i], out) == 0);
		CHECK(memcmp(out, bytes, totals[i]) == 0);
		CHECK(strata_pipe_finished(p, STRATA_PIPE_IN));
		CHECK(strata_pipe_finished(p, STRATA_PIPE_OUT));
		CHECK(strcmp(strata_pipe_digest(p), digest) == 0);
		strata_pipe_close(p); /* of no consequence any more */
		CHECK(strata_pipe_check(p, &err) == 0);
		strata_pipe_unref(p);
	}
	free(out);
}

static void the_end_of_a_wrong_blob_is_withheld(void)
{
	atomic_int woken[2] = {0, 0};
	char *out = malloc(TOTAL + 50000);
	struct strata_pipe *p;

	CHECK(strata_sha256("other", 5, digest, &err) == 0);
	p = make(TOTAL, digest, woken);
	CHECK(pump(p, TOTAL, out) < 0);
	CHECK(strcmp(err.code, "EDIGEST") == 0);
	CHECK(strata_pipe_read(p, out, 1, &err) < 0 && strcmp(err.code, "EDIGEST") == 0);
	CHECK(strata_pipe_write(p, out, 1, &err) < 0 && strcmp(err.code, "EDIGEST") == 0);
	CHECK(strata_pipe_ready(p, STRATA_PIPE_IN) && strata_pipe_ready(p, STRATA_PIPE_OUT));
	CHECK(woken[0] > 0 && woken[1] > 0);
	strata_pipe_unref(p);
	free(out);
}

static void too_many_bytes(void)
{
	atomic_int woken[2] = {0, 0};
	struct strata_pipe *p;

	CHECK(strata_sha256(bytes, 100, digest, &err) == 0);
	p = make(100, digest, woken);
	CHECK(strata_pipe_write(p, bytes, 101, &err) < 0 && strcmp(err.code, "EFORMAT") == 0);
	strata_pipe_unref(p);
}

static void an_empty_blob(void)
{
	atomic_int woken[2] = {0, 0};
	struct strata_pipe *p;

	CHECK(strata_sha256("", 0, digest, &err) == 0);
	p = make(0, digest, woken);
	CHECK(strata_pipe_finished(p, STRATA_PIPE_OUT) && strata_pipe_check(p, &err) == 0);
	strata_pipe_unref(p);
	CHECK(strata_sha256("x", 1, digest, &err) == 0);
	p = strata_pipe_new(0, digest, ROOM, &err);
	CHECK(p != NULL && strata_pipe_check(p, &err) < 0 && strcmp(err.code, "EDIGEST") == 0);
	CHECK(strata_pipe_attach(p, STRATA_PIPE_IN, wake, woken, &err) < 0);
	strata_pipe_unref(p);
}

static void ends_have_one_owner(void)
{
	const struct strata_err why = {"ENETWORK", "it broke"};
	atomic_int woken[2] = {0, 0};
	struct strata_pipe *p;

	CHECK(strata_sha256(bytes, TOTAL, digest, &err) == 0);
	p = make(TOTAL, digest, woken);
	CHECK(strata_pipe_attach(p, STRATA_PIPE_IN, wake, woken, &err) < 0);
	CHECK(strcmp(err.code, "EBUSY") == 0);
	strata_pipe_detach(p, STRATA_PIPE_IN, &why); /* it has moved nothing: another one may */
	CHECK(strata_pipe_attach(p, STRATA_PIPE_IN, wake, woken, &err) == 0);
	CHECK(strata_pipe_write(p, bytes, 1000, &err) == 1);
	strata_pipe_detach(p, STRATA_PIPE_IN, &why);
	CHECK(strata_pipe_check(p, &err) < 0 && strcmp(err.code, "ECANCELED") == 0);
	CHECK(strstr(err.msg, "it broke") != NULL && strstr(err.msg, "source") != NULL);
	CHECK(strata_pipe_attach(p, STRATA_PIPE_IN, wake, woken, &err) < 0);
	strata_pipe_unref(p);
}

static void wrong_arguments(void)
{
	CHECK(strata_sha256(bytes, 1, digest, &err) == 0);
	CHECK(strata_pipe_new(1, "sha256:0", ROOM, &err) == NULL &&
	      strcmp(err.code, "EINVAL") == 0);
	CHECK(strata_pipe_new(1, digest, ROOM - 1, &err) == NULL);
}

/* ---- two threads ---- */

struct side {
	struct strata_pipe *pipe;
	atomic_int woken;
	bool ok;
};

static void nap(void)
{
	nanosleep(&(struct timespec){0, 20000}, NULL);
}

static void *write_all(void *arg)
{
	struct side *s = arg;
	struct strata_err why;
	size_t at = 0;

	while (at < TOTAL) {
		size_t len = TOTAL - at < 16384 ? TOTAL - at : 16384;
		int wrote = strata_pipe_write(s->pipe, bytes + at, len, &why);

		if (wrote < 0)
			break;
		at += wrote > 0 ? len : 0;
		while (wrote == 0 && !strata_pipe_ready(s->pipe, STRATA_PIPE_IN))
			nap();
	}
	strata_pipe_detach(s->pipe, STRATA_PIPE_IN, NULL);
	s->ok = at == TOTAL;
	return NULL;
}

static void between_threads(void)
{
	struct side s[2] = {{NULL, 0, false}, {NULL, 0, false}};
	char *out = malloc(TOTAL);
	pthread_t thread;
	size_t done = 0;

	CHECK(strata_sha256(bytes, TOTAL, digest, &err) == 0);
	s[0].pipe = strata_pipe_new(TOTAL, digest, ROOM, &err);
	CHECK(strata_pipe_attach(s[0].pipe, STRATA_PIPE_IN, wake, &s[0].woken, &err) == 0);
	CHECK(strata_pipe_attach(s[0].pipe, STRATA_PIPE_OUT, wake, &s[1].woken, &err) == 0);
	CHECK(pthread_create(&thread, NULL, write_all, &s[0]) == 0);
	while (done < TOTAL) {
		ssize_t n = strata_pipe_read(s[0].pipe, out + done, TOTAL - done, &err);

		if (!CHECK(n >= 0))
			break;
		done += (size_t)n;
		while (n == 0 && !strata_pipe_ready(s[0].pipe, STRATA_PIPE_OUT))
			nap();
	}
	pthread_join(thread, NULL);
	CHECK(s[0].ok && done == TOTAL && memcmp(out, bytes, TOTAL) == 0);
	strata_pipe_unref(s[0].pipe);
	free(out);
}

int main(void)
{
	bytes = malloc(TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		bytes[i] = (char)(i % 251);
	RUN(everything_goes_through);
	RUN(the_end_of_a_wrong_blob_is_withheld);
	RUN(too_many_bytes);
	RUN(an_empty_blob);
	RUN(ends_have_one_owner);
	RUN(wrong_arguments);
	RUN(between_threads);
	free(bytes);
	return check_sum("http_pipe_test");
}
