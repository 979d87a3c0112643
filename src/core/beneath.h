/*
 * Opening names below a directory, so that nothing leads out of it.
 *
 * Symbolic links are followed as long as they stay inside. An absolute name,
 * an absolute link and a ".." above the directory fail with EXDEV; loops of
 * links and the magic links of /proc with ELOOP. Neither the working directory
 * nor another process that moves things about can change that.
 */
#ifndef STRATA_BENEATH_H
#define STRATA_BENEATH_H

/*
 * Opens path below the directory `root` with open()'s flags (O_CLOEXEC is
 * added; nothing is created). A descriptor, or a negative errno.
 */
int strata_beneath_open(int root, const char *path, int flags);

/* The same without openat2, for kernels and sandboxes that have none: component by component. */
int strata_beneath_walk(int root, const char *path, int flags);

#endif
