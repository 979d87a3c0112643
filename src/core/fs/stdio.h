/*
 * Between the host's streams and files: images that come through a pipe and
 * go out through one.
 */
#ifndef STRATA_STDIO_H
#define STRATA_STDIO_H

#include <stdio.h>

#include "core/base/err.h"
#include "core/fs/file.h"

/*
 * Reads a stream to its end, what is buffered included, into an unnamed file
 * in temp_dir (NULL: as strata_file_temp); more than max bytes are ELIMIT, and the
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
