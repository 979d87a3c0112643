/*
 * Where targets that write files do so: /dev/shm, as a file system of its own
 * in memory that nobody else sees and that ends with the process. Everything
 * else is read-only then, but the working directory and what the arguments
 * name, so that an escape does no harm: it fails with EROFS.
 *
 * Where that is not allowed /dev/shm is as it was.
 */
#ifndef STRATA_FUZZ_PLACE_H
#define STRATA_FUZZ_PLACE_H

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define PLACE "/dev/shm"
#define KEPT_MAX 16

/* A mount of a directory on itself, whose flags can be set by themselves. */
static inline void place_keep(const char *path, char kept[KEPT_MAX][PATH_MAX], int *n)
{
	struct stat st;

	if (*n < KEPT_MAX && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    realpath(path, kept[*n]) && mount(kept[*n], kept[*n], NULL, MS_BIND, NULL) == 0)
		(*n)++;
}

static inline void place_keep_arguments(int argc, char **argv, char kept[KEPT_MAX][PATH_MAX],
                                        int *n)
{
	static const char option[] = "-artifact_prefix=";

	place_keep(".", kept, n);
	for (int i = 1; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');
		char path[PATH_MAX];

		if (slash && strncmp(argv[i], option, strlen(option)) == 0) {
			const char *value = argv[i] + strlen(option);

			snprintf(path, sizeof(path), "%.*s", (int)(slash - value + 1), value);
			place_keep(path, kept, n);
		} else {
			place_keep(argv[i], kept, n);
		}
	}
}

/* True when the place is private. */
static inline bool place_make(int argc, char **argv)
{
	static char kept[KEPT_MAX][PATH_MAX];
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	int n = 0;

	setenv("TMPDIR", PLACE, 1);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return false;
	place_keep_arguments(argc, argv, kept, &n);
	mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof(read_only));
	for (int i = 0; i < n; i++)
		CHECK(mount(NULL, kept[i], NULL, MS_BIND | MS_REMOUNT, NULL) == 0);
	CHECK(n == 0 || chdir(kept[0]) == 0); /* into the mount that can be written to */
	return mount("fuzz", PLACE, "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC, "size=128m") == 0;
}

#endif
