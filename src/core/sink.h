/*
 * Where the bytes of a new tar go: hashed, perhaps compressed and hashed
 * again, written to a file from offset 0 on. Used by one thread.
 */
#ifndef STRATA_SINK_H
#define STRATA_SINK_H

#include <stdint.h>

#include "codec.h"
#include "digest.h"
#include "file.h"

struct strata_sink {
	struct strata_file *file; /* not owned */
	uint64_t offset;
	uint64_t plain_total;
	struct strata_digest *plain_digest;
	struct strata_encoder *encoder; /* NULL: stored plain */
	struct strata_digest *stored_digest;
	unsigned char *encoded;
	char *pending; /* small writes, gathered */
	size_t pending_len;
};

/* Fills *s, which is all zero before. */
int strata_sink_open(struct strata_sink *s, struct strata_file *file,
                     enum strata_compression compression, int level, struct strata_err *err);

int strata_sink_write(struct strata_sink *s, const void *bytes, size_t len, struct strata_err *err);

/* Ends the stream and tells what was written: digests and sizes, stored and plain. */
int strata_sink_close(struct strata_sink *s, char stored[STRATA_DIGEST_MAX],
                      char plain[STRATA_DIGEST_MAX], uint64_t *stored_size, uint64_t *plain_size,
                      struct strata_err *err);

void strata_sink_free(struct strata_sink *s);

#endif
