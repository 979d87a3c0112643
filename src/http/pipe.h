/*
 * A bounded ring between a body that is received and one that is sent: a blob goes from one
 * registry to another with neither disk nor much memory. What goes through it has a known size and
 * digest. The last bytes are withheld until all bytes are there and their digest is right, so
 * nobody is ever sent a whole blob that is wrong.
 *
 * Each end belongs to one exchange at a time. An exchange that has moved no byte, because it was
 * redirected or refused, gives its end back, and another one may take it. When an end stops in the
 * middle the pipe has failed for both, and for good.
 *
 * The two ends may belong to different threads.
 */
#ifndef STRATA_HTTP_PIPE_H
#define STRATA_HTTP_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"

/* How many bytes are withheld, and the least room that a ring can have. */
#define STRATA_PIPE_WITHHELD ((uint64_t)64 << 10)
#define STRATA_PIPE_ROOM_MIN ((size_t)128 << 10)

struct strata_pipe;

enum strata_pipe_end { STRATA_PIPE_IN, STRATA_PIPE_OUT };

/* A reference, the caller's. EINVAL: the digest is none, or the room too small. */
struct strata_pipe *strata_pipe_new(uint64_t total, const char *digest, size_t room,
                                    struct strata_err *err);
struct strata_pipe *strata_pipe_ref(struct strata_pipe *p);
void strata_pipe_unref(struct strata_pipe *p);

uint64_t strata_pipe_total(const struct strata_pipe *p);
const char *strata_pipe_digest(const struct strata_pipe *p);

/*
 * Takes an end. wake(arg) is called, by any thread, when strata_pipe_ready may have become true.
 * EBUSY when the end is somebody's, or was that of somebody who moved bytes.
 */
int strata_pipe_attach(struct strata_pipe *p, enum strata_pipe_end end, void (*wake)(void *arg),
                       void *arg, struct strata_err *err);

/*
 * Gives it back. `why` is the error that its owner ended with, NULL for none. An end that stopped
 * in the middle fails the pipe.
 */
void strata_pipe_detach(struct strata_pipe *p, enum strata_pipe_end end,
                        const struct strata_err *why);

/* 1 when all bytes were taken, 0 when none was for want of room, -1 when the pipe has failed.
 * `len` is at most 64 KiB. */
int strata_pipe_write(struct strata_pipe *p, const void *bytes, size_t len, struct strata_err *err);

/* How many bytes it read, 0 when none can be read yet, -1 when the pipe has failed. */
ssize_t strata_pipe_read(struct strata_pipe *p, void *bytes, size_t len, struct strata_err *err);

/* Whether the end has moved all bytes. */
bool strata_pipe_finished(struct strata_pipe *p, enum strata_pipe_end end);

/* Whether the owner of an end should try again after a 0. */
bool strata_pipe_ready(struct strata_pipe *p, enum strata_pipe_end end);

/* -1 when the pipe has failed. */
int strata_pipe_check(struct strata_pipe *p, struct strata_err *err);

/* Fails it with ECANCELED, unless everything has gone through. */
void strata_pipe_close(struct strata_pipe *p);

#endif
