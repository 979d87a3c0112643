#include "core/base/grow.h"

#include "core/base/mem.h"

/* For tests: each addition asks for memory, so that a sweep can refuse it everywhere. */
#ifdef STRATA_ALWAYS_ASKS
#define HAS_ROOM(count) false
#else
#define HAS_ROOM(count) \
	((count) > 0 && ((count) < STRATA_GROW_FIRST || ((count) & ((count)-1)) != 0))
#endif

void *strata_grown(void *array, size_t count, size_t size, struct strata_err *err)
{
	size_t room = STRATA_GROW_FIRST;
	void *grown;

	if (HAS_ROOM(count))
		return array;
	if (count >= STRATA_GROW_MAX) {
		strata_fail(err, "ELIMIT", "more than %zu entries", STRATA_GROW_MAX);
		return NULL;
	}
	while (room <= count)
		room *= 2;
	grown = strata_reallocarray(array, room, size);
	if (grown == NULL)
		strata_fail_nomem(err);
	return grown;
}
