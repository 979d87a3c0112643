#include "http/client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http/internal.h"

/* Milliseconds that the thread sleeps at most; it is woken for everything that happens. */
#define NAP_MS 1000
#define IDLE_NAP_MS 60000

struct strata_http_client {
	atomic_uint refs;
	unsigned connections;
	char *agent;
	pid_t owner; /* 0 until the thread has started */
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t lock;  /* of all that follows */
	pthread_cond_t change; /* an exchange has ended */
	bool stopping;
	struct strata_exchange *queue; /* started, and not yet taken by the thread */
	struct strata_exchange **queue_end;
	unsigned long long ended; /* exchanges */
	unsigned long long seen;  /* of them by strata_http_client_wait */
};

/* ---- libcurl's own start, once in a process ---- */

static CURLcode global_status = CURLE_FAILED_INIT;

static void global_init(void)
{
	global_status = curl_global_init(CURL_GLOBAL_ALL);
}

static int start_libcurl(struct strata_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, global_init);
	if (global_status != CURLE_OK)
		return strata_fail(err, "EUNSUPPORTED", "libcurl cannot start: %s",
		                   curl_easy_strerror(global_status));
	return 0;
}

/* ---- life ---- */

struct strata_http_client *strata_http_client_new(unsigned connections_per_host,
                                                  const char *user_agent, struct strata_err *err)
{
	struct strata_http_client *c;
	pthread_condattr_t attr;

	if (start_libcurl(err) < 0)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL || (c->agent = strdup(user_agent)) == NULL) {
		free(c);
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->connections = connections_per_host;
	c->queue_end = &c->queue;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->change, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

struct strata_http_client *strata_http_client_ref(struct strata_http_client *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void strata_http_client_unref(struct strata_http_client *c)
{
	if (c == NULL || strata_http_client_foreign(c) || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	pthread_cond_destroy(&c->change);
	pthread_mutex_destroy(&c->lock);
	free(c->agent);
	free(c);
}

bool strata_http_client_foreign(const struct strata_http_client *c)
{
	return c->owner != 0 && c->owner != getpid();
}

const char *strata_http_client_agent(const struct strata_http_client *c)
{
	return c->agent;
}

void strata_http_client_wake(void *arg)
{
	struct strata_http_client *c = arg;

	curl_multi_wakeup(c->multi);
}

/* ---- the thread ---- */

/* Judges an exchange that has ended and lets its creator have it. */
static void end_exchange(struct strata_http_client *c, struct strata_exchange *x, CURLcode code)
{
	curl_multi_remove_handle(c->multi, x->easy);
	strata_transfer_finish(x, code);
	pthread_mutex_lock(&c->lock);
	x->done = true;
	c->ended++;
	pthread_cond_broadcast(&c->change);
	pthread_mutex_unlock(&c->lock);
}

/* The exchanges that the thread works on. */
struct running {
	struct strata_http_client *client;
	struct strata_exchange *first;
	struct strata_exchange **end;
};

/* Appends what is queued. False when the client is being closed. */
static bool take_queue(struct running *r)
{
	struct strata_http_client *c = r->client;
	struct strata_exchange *x;
	bool go_on;

	pthread_mutex_lock(&c->lock);
	x = c->queue;
	c->queue = NULL;
	c->queue_end = &c->queue;
	go_on = !c->stopping;
	pthread_mutex_unlock(&c->lock);
	*r->end = x;
	for (; x != NULL; x = x->next) {
		if (curl_multi_add_handle(c->multi, x->easy) != CURLM_OK) {
			struct strata_err err;

			strata_fail_nomem(&err);
			strata_transfer_fail(x, &err);
		}
		r->end = &x->next;
	}
	return go_on;
}

static void unlink_exchange(struct running *r, struct strata_exchange **at)
{
	struct strata_exchange *x = *at;

	*at = x->next;
	if (*at == NULL)
		r->end = at;
	x->next = NULL;
}

/* Ends what libcurl is done with. */
static void end_finished(struct running *r)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(r->client->multi, &left)) != NULL) {
		struct strata_exchange **at = &r->first;
		CURLcode code = msg->data.result;

		while (*at != NULL && (*at)->easy != msg->easy_handle)
			at = &(*at)->next;
		if (*at != NULL) {
			struct strata_exchange *x = *at;

			unlink_exchange(r, at);
			end_exchange(r->client, x, code);
		}
	}
}

/* Looks after the others: those that were cancelled, or wait for a pipe. */
static void step_all(struct running *r)
{
	struct strata_exchange **at = &r->first;

	while (*at != NULL) {
		struct strata_exchange *x = *at;

		if (strata_transfer_step(x) == 0) {
			at = &x->next;
			continue;
		}
		unlink_exchange(r, at);
		end_exchange(r->client, x, CURLE_ABORTED_BY_CALLBACK);
	}
}

static void end_all(struct running *r)
{
	struct strata_err err;

	strata_fail(&err, "ECANCELED", "the client was closed");
	while (r->first != NULL) {
		struct strata_exchange *x = r->first;

		unlink_exchange(r, &r->first);
		strata_transfer_fail(x, &err);
		end_exchange(r->client, x, CURLE_ABORTED_BY_CALLBACK);
	}
}

static void *run(void *arg)
{
	struct strata_http_client *c = arg;
	struct running r = {c, NULL, &r.first};
	int count;

	while (take_queue(&r)) {
		step_all(&r);
		curl_multi_perform(c->multi, &count);
		end_finished(&r);
		curl_multi_poll(c->multi, NULL, 0, r.first != NULL ? NAP_MS : IDLE_NAP_MS, NULL);
	}
	end_all(&r);
	return NULL;
}

/* ---- the creator's side ---- */

static CURLM *make_multi(const struct strata_http_client *c)
{
	CURLM *multi = curl_multi_init();

	if (multi != NULL)
		curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)c->connections);
	return multi;
}

static int start_thread(struct strata_http_client *c, struct strata_err *err)
{
	sigset_t all, before;
	int status;

	c->multi = make_multi(c);
	if (c->multi == NULL)
		return strata_fail_nomem(err);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status == 0) {
		c->owner = getpid();
		return 0;
	}
	curl_multi_cleanup(c->multi);
	c->multi = NULL;
	return strata_fail_errno(err, status, "cannot start a thread");
}

int strata_http_client_submit(struct strata_http_client *c, struct strata_exchange *x,
                              struct strata_err *err)
{
	if (c->stopping)
		return strata_fail(err, "ECANCELED", "the client was closed");
	if (c->owner == 0 && start_thread(c, err) < 0)
		return -1;
	pthread_mutex_lock(&c->lock);
	*c->queue_end = x;
	c->queue_end = &x->next;
	pthread_mutex_unlock(&c->lock);
	strata_http_client_wake(c);
	return 0;
}

void strata_http_client_close(struct strata_http_client *c)
{
	if (strata_http_client_foreign(c))
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_mutex_unlock(&c->lock);
	if (c->owner == 0)
		return;
	strata_http_client_wake(c);
	pthread_join(c->thread, NULL);
	curl_multi_cleanup(c->multi);
	c->multi = NULL;
}

static struct timespec after(double seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)seconds;
	t.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}

bool strata_http_client_wait(struct strata_http_client *c, double seconds)
{
	struct timespec until = after(seconds);
	bool any;

	pthread_mutex_lock(&c->lock);
	while (c->ended == c->seen && pthread_cond_timedwait(&c->change, &c->lock, &until) == 0)
		;
	any = c->ended != c->seen;
	c->seen = c->ended;
	pthread_mutex_unlock(&c->lock);
	return any;
}

bool strata_http_client_wait_for(struct strata_http_client *c, const struct strata_exchange *x,
                                 double seconds)
{
	struct timespec until = after(seconds);
	bool done;

	pthread_mutex_lock(&c->lock);
	while (!x->done && pthread_cond_timedwait(&c->change, &c->lock, &until) == 0)
		;
	done = x->done;
	pthread_mutex_unlock(&c->lock);
	return done;
}
