/*
 * Between the host's streams and files: images that come through a pipe and
 * go out through one.
 *
 * Lua's io library does not serve. A read that a signal interrupts, or that finds
 * a non-blocking pipe empty, loses what it has read so far; a write to a pipe
 * that nobody reads ends the process by SIGPIPE.
 */
#ifndef STRATA_STDIO_H
#define STRATA_STDIO_H

#include <stdio.h>

#include "core/base/err.h"
#include "core/fs/file.h"

/*
 * Reads a stream to its end, what is buffered included, into an unnamed file
 * in temp_dir (NULL: strata_temp_dir); more than max bytes are ELIMIT, and the
 * message names limits.spool. `name` is what messages call it.
 * The stream stays the caller's.
 */
struct strata_file *strata_stdio_read(FILE *from, const char *name, const char *temp_dir,
                                      uint64_t max, struct strata_err *err);

/*
 * Writes the whole file to a stream, behind what is buffered; nothing is left
 * in the buffer. A pipe that nobody reads is EPIPE: no SIGPIPE reaches the
 * host. Waits where a descriptor is non-blocking.
 */
int strata_stdio_write(const struct strata_file *f, FILE *to, const char *name,
                       struct strata_err *err);

#endif
