/*
 * Modes of directories that would keep their own user out. An ordinary user's
 * directories are open to their owner while they are filled, and get their modes at
 * the end, each before the directory that it is in.
 */
#ifndef STRATA_APPLY_MODES_H
#define STRATA_APPLY_MODES_H

#include <stddef.h>
#include <sys/types.h>

#include "core/base/err.h"

struct apply_report;

struct apply_mode {
	size_t layer;
	char *path;   /* below the target; NULL: the directory has its mode already */
	size_t below; /* so much of it is the directory of the layer; 0: layers have none */
	dev_t dev;
	ino_t ino;
	mode_t mode;
	size_t order;
};

struct apply_modes {
	struct apply_mode *list;
	size_t count;
};

/*
 * Keeps the mode of the directory fd, which an entry of the layer has set. path is below the
 * directory `below` of the target, or below the target itself: NULL.
 */
int apply_modes_keep(struct apply_modes *modes, int fd, size_t layer, const char *below,
                     const char *path, mode_t mode, struct strata_err *err);

/* The directory fd has got another mode since, which stays. */
int apply_modes_drop(struct apply_modes *modes, int fd, struct strata_err *err);

/*
 * Sets the modes that have been kept, of directories below root, and forgets them. Directories that
 * have been removed or replaced since are left out; what cannot be set is noted.
 */
int apply_modes_set(struct apply_modes *modes, struct apply_report *report, int root,
                    struct strata_err *err);

void apply_modes_free(struct apply_modes *modes);

#endif
