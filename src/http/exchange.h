/*
 * One HTTP request and its answer. No redirect is followed, nothing is decoded, no credentials or
 * cookies are kept: the caller decides about everything that a server asks for.
 *
 * An exchange belongs to its creator. From start to end the client's thread works on it; meanwhile
 * only the functions that say so may be called.
 */
#ifndef STRATA_HTTP_EXCHANGE_H
#define STRATA_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/digest.h"
#include "core/base/err.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/pipe.h"

/* A range of a file, of which the exchange gets a descriptor of its own. */
struct strata_http_range {
	int fd; /* -1: none */
	uint64_t offset;
	uint64_t size;
};

#define STRATA_HTTP_STATUSES_MAX 8

/* All texts and bytes are copied. */
struct strata_http_request {
	const char *method;
	const char *url; /* absolute, http or https */

	/* The body that is sent: one of these at most. Its size is known, and said. */
	const char *body;
	size_t body_len;
	struct strata_http_range body_file;
	struct strata_pipe *body_pipe;

	/*
	 * Where the body goes that is received: to a file or a pipe if there is one and the status
	 * is wanted, else to memory. One that is wanted fails when it is longer than it may be, of
	 * others the first 64 KiB are read.
	 */
	uint64_t max_body; /* of a wanted one in memory */
	struct strata_http_range to_file;
	struct strata_pipe *to_pipe;
	long statuses[STRATA_HTTP_STATUSES_MAX]; /* that are wanted; 0 is the end; none: all 2xx */
	bool hashed;                             /* a wanted body, while it comes */
	enum strata_digest_alg hash;

	enum strata_address_class addresses; /* the last class that may be connected to */
	const char *ca;   /* certificates (PEM), trusted beside the system's directory of them */
	const char *cert; /* paths of a client's certificate and its key */
	const char *key;
	const char *proxy;      /* "": none. The addresses are not looked at behind one */
	bool insecure;          /* the server's certificate is not verified */
	double connect_timeout; /* seconds */
	double stall_timeout;   /* seconds with no byte in either direction */
};

struct strata_exchange;

/* Limits that may be wanted, descriptor -1, no timeouts of 0: what a request is before it is
 * filled in. */
extern const struct strata_http_request strata_http_request_default;

struct strata_exchange *strata_exchange_new(struct strata_http_client *c,
                                            const struct strata_http_request *r,
                                            struct strata_err *err);

/* Adds a whole line of the head, "Name: value". EINVAL when it is none. */
int strata_exchange_add_header(struct strata_exchange *x, const char *line, size_t len,
                               struct strata_err *err);

/* Adds "HOST:PORT:ADDRESS", which is used instead of asking for the name. */
int strata_exchange_add_address(struct strata_exchange *x, const char *text,
                                struct strata_err *err);

/* Once. */
int strata_exchange_start(struct strata_exchange *x, struct strata_err *err);

/* ---- at any time, and by any thread ---- */

bool strata_exchange_wait(struct strata_exchange *x, double seconds); /* whether it has ended */
void strata_exchange_cancel(struct strata_exchange *x);
uint64_t strata_exchange_received(const struct strata_exchange *x); /* bytes of bodies */
uint64_t strata_exchange_sent(const struct strata_exchange *x);
struct strata_http_client *strata_exchange_client(const struct strata_exchange *x);

/* Cancels one that runs, and waits until the client's thread is done with it. */
void strata_exchange_free(struct strata_exchange *x);

/* ---- after it has ended ---- */

/* The status of an answer that came whole; -1 when the exchange failed. */
int strata_exchange_status(const struct strata_exchange *x, struct strata_err *err);

/* The status of the last head that came whole, also when the exchange failed; 0: none. */
int strata_exchange_head_status(const struct strata_exchange *x);

/*
 * The value of field number n, from 0, with this name; NULL when there are fewer. It is not
 * terminated.
 */
const char *strata_exchange_header(const struct strata_exchange *x, const char *name, size_t n,
                                   size_t *len);

/* What came into memory. */
const char *strata_exchange_body(const struct strata_exchange *x, size_t *len);

/* "sha256:..." of a wanted body, "" when none came. */
const char *strata_exchange_digest(const struct strata_exchange *x);

/* The address that it was connected to, "" when that is not known, as behind a proxy. */
const char *strata_exchange_address(const struct strata_exchange *x);

#endif
