/* The target: the directory that the caller names. */
#ifndef STRATA_APPLY_TARGET_H
#define STRATA_APPLY_TARGET_H

#include <stdbool.h>

#include "core/base/err.h"

struct strata_apply;

struct apply_target {
	int fd;
	int parent; /* the directory that it was made in; -1 when it was there before */
	char *name; /* its name there */
	bool fresh; /* it was empty, or not there */
};

/* Opens the directory, or makes it with mode 0700. Unless `merge` it must be empty. */
int apply_target_open(struct apply_target *t, const char *dir, bool merge, struct strata_err *err);

/* After a failure: empties it when it was fresh, and removes it when it was made. */
void apply_target_discard(struct strata_apply *a);

void apply_target_close(struct apply_target *t);

#endif
