#include "core/base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

#define FIRST_CAPACITY 64

/* For tests: each addition asks for memory, so that a sweep can refuse it everywhere. */
#ifdef STRATA_ALWAYS_ASKS
#define HAS_ROOM(b, more) ((more) == 0)
#else
#define HAS_ROOM(b, more) ((more) <= (b)->cap - (b)->len)
#endif

void strata_buf_free(struct strata_buf *b)
{
	free(b->data);
	*b = (struct strata_buf){0};
}

int strata_buf_reserve(struct strata_buf *b, size_t more, struct strata_err *err)
{
	size_t need, cap;
	char *data;

	if (HAS_ROOM(b, more))
		return 0;
	if (!strata_add(b->len, more, &need) || need > PTRDIFF_MAX)
		return strata_fail_nomem(err);
	/* Growth by half again keeps appending linear without doubling big buffers. */
	if (need <= b->cap)
		cap = b->cap;
	else if (!strata_add(b->cap, b->cap / 2, &cap) || cap < need)
		cap = need;
	if (cap < FIRST_CAPACITY)
		cap = FIRST_CAPACITY;
	data = realloc(b->data, cap);
	if (!data)
		return strata_fail_nomem(err);
	b->data = data;
	b->cap = cap;
	return 0;
}

int strata_buf_append(struct strata_buf *b, const void *bytes, size_t len, struct strata_err *err)
{
	if (strata_buf_reserve(b, len, err) < 0)
		return -1;
	if (len > 0)
		memcpy(b->data + b->len, bytes, len);
	b->len += len;
	return 0;
}

int strata_buf_fill(struct strata_buf *b, int c, size_t n, struct strata_err *err)
{
	if (strata_buf_reserve(b, n, err) < 0)
		return -1;
	if (n > 0)
		memset(b->data + b->len, c, n);
	b->len += n;
	return 0;
}

int strata_buf_splice(struct strata_buf *b, size_t start, size_t end, const void *bytes, size_t len,
                      struct strata_err *err)
{
	size_t removed = end - start;

	if (start > end || end > b->len)
		return strata_fail(err, "EINVAL", "splice of [%zu, %zu) in a buffer of %zu bytes",
		                   start, end, b->len);
	if (len > removed && strata_buf_reserve(b, len - removed, err) < 0)
		return -1;
	if (b->len > end && len != removed)
		memmove(b->data + start + len, b->data + end, b->len - end);
	if (len > 0)
		memcpy(b->data + start, bytes, len);
	b->len = b->len - removed + len;
	return 0;
}
