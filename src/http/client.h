/*
 * What carries out HTTP exchanges: one thread with one multi handle of libcurl, which start with
 * the first exchange. The thread blocks all signals, which belong to the host.
 *
 * libcurl and threads do not survive fork: a client belongs to the process in which its first
 * exchange started. In a child every function but strata_http_client_foreign and the two that
 * release is forbidden, and those two release nothing.
 */
#ifndef STRATA_HTTP_CLIENT_H
#define STRATA_HTTP_CLIENT_H

#include <stdbool.h>

#include "core/base/err.h"

struct strata_http_client;

/* The text is copied. A reference, the caller's. */
struct strata_http_client *strata_http_client_new(unsigned connections_per_host,
                                                  const char *user_agent, struct strata_err *err);
struct strata_http_client *strata_http_client_ref(struct strata_http_client *c);
void strata_http_client_unref(struct strata_http_client *c);

/* Ends what still runs with ECANCELED and stops the thread. Once, by the owner; before its unref.
 */
void strata_http_client_close(struct strata_http_client *c);

/* Whether it belongs to another process than this one. */
bool strata_http_client_foreign(const struct strata_http_client *c);

/*
 * Waits up to `seconds` until some exchange ends that has not been counted: each end lets one or
 * more calls return true, those before a call are counted by it.
 */
bool strata_http_client_wait(struct strata_http_client *c, double seconds);

#endif
