#include "core/base/grow.h"

#include "core/base/mem.h"

void *strata_grown(void *array, size_t count, size_t size, struct strata_err *err)
{
	size_t room = count < STRATA_GROW_FIRST ? STRATA_GROW_FIRST : 2 * count;
	void *grown;

	if (count > 0 && (count < STRATA_GROW_FIRST || (count & (count - 1)) != 0))
		return array;
	if (count >= STRATA_GROW_MAX) {
		strata_fail(err, "ELIMIT", "more than %zu entries", STRATA_GROW_MAX);
		return NULL;
	}
	grown = strata_reallocarray(array, room, size);
	if (grown == NULL)
		strata_fail_nomem(err);
	return grown;
}
