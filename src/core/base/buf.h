/*
 * A growable byte buffer. All zero bytes is an empty buffer; strata_buf_free
 * returns it to that state. The bytes belong to the buffer.
 */
#ifndef STRATA_BUF_H
#define STRATA_BUF_H

#include <stddef.h>

#include "core/base/err.h"

struct strata_buf {
	char *data;
	size_t len;
	size_t cap;
};

void strata_buf_free(struct strata_buf *b);

/* Makes room for `more` further bytes. -1/ENOMEM on overflow or no memory. */
int strata_buf_reserve(struct strata_buf *b, size_t more, struct strata_err *err);

int strata_buf_append(struct strata_buf *b, const void *bytes, size_t len, struct strata_err *err);

/* Appends n bytes of value c. */
int strata_buf_fill(struct strata_buf *b, int c, size_t n, struct strata_err *err);

/* Replaces [start, end) by the given bytes, which must not lie in the buffer. */
int strata_buf_splice(struct strata_buf *b, size_t start, size_t end, const void *bytes, size_t len,
                      struct strata_err *err);

#define cleanup_buf __attribute__((cleanup(strata_buf_free)))

#endif
