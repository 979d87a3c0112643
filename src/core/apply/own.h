/* Looking for what the layer being applied has at a path, as runtimes do: by its own symlinks. */
#ifndef STRATA_APPLY_OWN_H
#define STRATA_APPLY_OWN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/err.h"

struct strata_apply;

struct apply_found {
	int dir; /* that the name is in */
	const char *name;
	bool ours;      /* it is of this layer */
	bool directory; /* it is no file */
	bool whiteout;  /* it hides what lower layers have */
	struct stat st;
};

/*
 * Looks at a normalised path, which found->name points into; its last component is not
 * followed. 1: nothing of this layer is there; found->dir is to be closed after 0.
 */
int apply_find_own(struct strata_apply *a, const char *path, struct apply_found *found,
                   struct strata_err *err);

#endif
