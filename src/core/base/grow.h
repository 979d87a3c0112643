/*
 * Arrays that grow one element at a time.
 *
 * The room of such an array follows from its count: it is the next power of two, and
 * STRATA_GROW_FIRST at least. So no capacity is kept beside the count. The rule for the callers: an
 * array is allocated by strata_grow alone, and strata_grow is called before each element that is
 * added.
 */
#ifndef STRATA_GROW_H
#define STRATA_GROW_H

#include <stddef.h>

#include "core/base/err.h"

#define STRATA_GROW_FIRST 16

/* What fits twice into 32 bits: a count kept in a uint32_t cannot overflow. */
#define STRATA_GROW_MAX ((size_t)1 << 31)

/* For strata_grow: the array with room for one more; NULL, and *err is filled in, on failure. */
void *strata_grown(void *array, size_t count, size_t size, struct strata_err *err);

/*
 * Makes room for one element behind the `count` that `array`, an lvalue, has: it is moved when it
 * has to be. -1 when there is no memory (ENOMEM) or the count is STRATA_GROW_MAX (ELIMIT); the
 * array is then as it was.
 */
#define strata_grow(array, count, err)                                                  \
	({                                                                              \
		void *grown_ = strata_grown((array), (count), sizeof(*(array)), (err)); \
		if (grown_ != NULL)                                                     \
			(array) = grown_;                                               \
		grown_ != NULL ? 0 : -1;                                                \
	})

#endif
