/*
 * Opening names below a directory, so that nothing leads out of it.
 *
 * Symbolic links are followed as long as they stay inside. An absolute name,
 * an absolute link and a ".." above the directory fail with EXDEV; loops of
 * links and the magic links of /proc with ELOOP. Neither the working directory
 * nor another process that moves things about can change that.
 */
#ifndef STRATA_RESOLVE_H
#define STRATA_RESOLVE_H

#include <stdbool.h>

#include "core/base/buf.h"

/*
 * Opens path below the directory `root` with open()'s flags (O_CLOEXEC is
 * added; nothing is created). A descriptor, or a negative errno.
 */
int strata_resolve_beneath(int root, const char *path, int flags);

/* The same without openat2, for kernels and sandboxes that have none: component by component. */
int strata_resolve_beneath_walk(int root, const char *path, int flags);

/*
 * The same as a process sees it whose root the directory is: absolute names and
 * links begin there, and ".." stays there.
 */
int strata_resolve_in_root(int root, const char *path, int flags);
int strata_resolve_in_root_walk(int root, const char *path, int flags);

/* As strata_resolve_in_root, through no symlink at all: ELOOP for one, at the end as well. */
int strata_resolve_plain(int root, const char *path, int flags);
int strata_resolve_plain_walk(int root, const char *path, int flags);

/* Makes what is missing on the way. */
struct strata_maker {
	/*
	 * Makes `name` a directory in the directory `dir`, where there is nothing of
	 * that name, or something that is neither a directory nor a link that is
	 * followed. 0, or a negative errno.
	 */
	int (*make)(void *context, int dir, const char *name);

	void *context;

	/* Tells whether the link `name` in the directory `dir` is followed. NULL: each is. */
	bool (*follow)(void *context, int dir, const char *name);
	struct strata_buf *reached; /* NULL, or the path without links is appended to it */
};

/* As strata_resolve_in_root_walk, for directories, with everything made that is missing. */
int strata_resolve_in_root_make(int root, const char *path, int flags,
                                const struct strata_maker *maker);

#endif
