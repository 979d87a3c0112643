/*
 * Checked sizes, and ownership by scope.
 *
 * Every size that comes from input goes through strata_add/strata_mul.
 * The cleanup attributes are for src/core only: longjmp (a Lua error) does not
 * run them, so they have no place in code that calls Lua.
 */
#ifndef STRATA_MEM_H
#define STRATA_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* True when the result fits into *out, which is meaningless otherwise. */
#define strata_add(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define strata_mul(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))

static inline void strata_cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void strata_cleanup_fd_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define cleanup_free __attribute__((cleanup(strata_cleanup_free_)))
#define cleanup_fd __attribute__((cleanup(strata_cleanup_fd_)))

/* Hands the pointer over and leaves NULL, so that its cleanup does nothing. */
#define steal_pointer(pp)                          \
	({                                         \
		__typeof__(*(pp)) stolen_ = *(pp); \
		*(pp) = NULL;                      \
		stolen_;                           \
	})

static inline int strata_steal_fd(int *fd)
{
	int stolen = *fd;
	*fd = -1;
	return stolen;
}

/* realloc for arrays: NULL on overflow or when there is no memory. */
static inline void *strata_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (!strata_mul(n, size, &bytes))
		return NULL;
	return realloc(p, bytes ? bytes : 1);
}

#endif
