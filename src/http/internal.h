/* What client.c, exchange.c and transfer.c share. */
#ifndef STRATA_HTTP_INTERNAL_H
#define STRATA_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "core/base/buf.h"
#include "http/exchange.h"

/* Of a body in memory that is not wanted, and of the lines of a head. */
#define STRATA_HTTP_REST_MAX ((size_t)64 << 10)
#define STRATA_HTTP_HEAD_MAX ((size_t)64 << 10)

/* What is sent. */
struct strata_http_outgoing {
	bool any;
	char *bytes;                   /* owned; or NULL */
	struct strata_http_range file; /* owns fd */
	struct strata_pipe *pipe;      /* a reference; or NULL */
	uint64_t size;
	uint64_t at;
};

/* Where what is received goes. */
struct strata_http_incoming {
	uint64_t max_body;
	struct strata_http_range file; /* owns fd */
	struct strata_pipe *pipe;      /* a reference; or NULL */
	long statuses[STRATA_HTTP_STATUSES_MAX];
	struct strata_digest *hash; /* NULL: not hashed */
};

/* The head of the last answer. */
struct strata_http_head {
	struct strata_buf lines; /* each ends in a NUL */
	int status;              /* 0 before its first line */
	bool complete;           /* with the empty line, of an answer that is final */
	bool wanted;             /* its status is: its body goes where `incoming` says */
};

struct strata_exchange {
	struct strata_http_client *client; /* a reference */
	struct strata_exchange *next;      /* in a list of the client */
	bool started;
	bool done;          /* under the client's lock; everything else is the creator's then */
	atomic_bool cancel; /* asked for */
	atomic_ullong received;
	atomic_ullong sent;

	CURL *easy; /* NULL after the end */
	struct curl_slist *headers;
	struct curl_slist *addresses;
	char text[CURL_ERROR_SIZE]; /* libcurl's message */
	char *label;                /* "GET https://host/path" */

	struct strata_http_outgoing out;
	struct strata_http_incoming in;
	bool out_attached; /* to the pipes */
	bool in_attached;
	bool paused; /* one of its pipes was not ready */
	long stall_seconds;
	bool no_body; /* the method is HEAD */

	enum strata_address_class allowed;
	bool proxied;
	bool opened;      /* a socket */
	char refused[64]; /* an address that is not allowed; "": none was */
	char address[64]; /* that it is connected to */

	struct strata_http_head head;
	struct strata_buf body; /* in memory */
	uint64_t body_seen;     /* bytes of this answer's */
	bool enough;            /* the rest of the body is not needed */
	char digest[STRATA_DIGEST_MAX];

	bool failed;
	struct strata_err err; /* if it failed; before the end the reason why it was stopped */
};

/* Sets what libcurl calls while the exchange runs. */
void strata_transfer_prepare(struct strata_exchange *x);

/* Looks after a running one: -1 when it is to be ended. */
int strata_transfer_step(struct strata_exchange *x);

/* Judges how it ended and gives back its pipes. */
void strata_transfer_finish(struct strata_exchange *x, CURLcode code);

/* Fails a running exchange, unless it has failed. Returns -1. */
int strata_transfer_fail(struct strata_exchange *x, const struct strata_err *err);

/* Makes the client's thread look at its exchanges. `arg` is the client. Any thread. */
void strata_http_client_wake(void *arg);

/* Hands a new exchange to the thread, which is started if it is the first. */
int strata_http_client_submit(struct strata_http_client *c, struct strata_exchange *x,
                              struct strata_err *err);

/* Waits until x->done. */
bool strata_http_client_wait_for(struct strata_http_client *c, const struct strata_exchange *x,
                                 double seconds);

const char *strata_http_client_agent(const struct strata_http_client *c);

#endif
