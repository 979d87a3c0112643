/* Removing trees: by descriptors, without recursion, never through a symlink. */
#ifndef STRATA_APPLY_REMOVE_H
#define STRATA_APPLY_REMOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

struct strata_apply;

struct apply_removals {
	uint64_t done; /* files and directories looked at, in all */
	uint64_t max;
	size_t max_depth;
};

void apply_removals_init(struct apply_removals *r, uint64_t max, uint32_t max_depth);

/* For a tree that holds only what this run has made. */
void apply_removals_unlimited(struct apply_removals *r);

/* Removes `name` in the directory `dir`, whatever it is; nothing there is no error. */
int apply_remove(struct strata_apply *a, int dir, const char *name, struct strata_err *err);

/*
 * Empties the directory fd, which is left open. lower: only of what lower layers
 * have; directories stay that still hold something of this layer.
 */
int apply_purge(struct strata_apply *a, int fd, bool lower, struct strata_err *err);

#endif
