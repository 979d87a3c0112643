/*
 * Modes of directories that would keep their own user out. An ordinary user's
 * directories are open to their owner while they are filled, and get their modes at
 * the end.
 */
#ifndef STRATA_APPLY_MODES_H
#define STRATA_APPLY_MODES_H

#include <stddef.h>
#include <sys/types.h>

#include "core/base/err.h"

struct apply_mode {
	char *path;
	dev_t dev;
	ino_t ino;
	mode_t mode;
	size_t order;
};

struct apply_modes {
	struct apply_mode *list;
	size_t count;
};

/* Keeps the mode of the directory fd, found at path; *mode is what it gets meanwhile. */
int apply_modes_keep(struct apply_modes *modes, int fd, const char *path, mode_t *mode,
                     struct strata_err *err);

/* Sets the modes that have been kept, of directories below root, and forgets them. */
int apply_modes_set(struct apply_modes *modes, int root, struct strata_err *err);

void apply_modes_free(struct apply_modes *modes);

#endif
