#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"

struct level {
	DIR *dir;
	struct stat st; /* its times are put back when it stays */
	char name[256]; /* in the level above */
	bool created;   /* by this layer */
	bool changed;
};

/* So many directories are open at the same time when there is no limit. */
#define OPEN_LEVELS 64

struct walk {
	struct strata_apply *a;
	struct level *levels;
	size_t depth;
	bool lower;
	size_t lifted; /* directories that were moved up */
};

/* The kernel's struct statx, which musl does not declare, and its STATX_ATTR_MOUNT_ROOT. */
struct attributes {
	uint64_t before;
	uint64_t attributes;
	uint64_t between[5];
	uint64_t known_attributes;
	uint64_t behind[24];
};

#define IS_MOUNT_ROOT 0x2000

/*
 * True for the root of another mount in the tree, which is not ours to empty. Linux before 5.8 does
 * not tell, nor do sandboxes that have no statx: then another file system is what counts. -1: it
 * cannot be looked at; errno says why.
 */
static int is_mounted(const struct strata_apply *a, int fd)
{
	struct stat st, target;
	struct attributes found;

	if (fstat(fd, &st) < 0 || fstat(a->target.fd, &target) < 0)
		return -1;
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0, &found) < 0 ||
	    !(found.known_attributes & IS_MOUNT_ROOT))
		return st.st_dev != target.st_dev;
	return (found.attributes & IS_MOUNT_ROOT) &&
	       (st.st_dev != target.st_dev || st.st_ino != target.st_ino);
}

void apply_removals_init(struct apply_removals *r, uint64_t max, uint32_t max_depth)
{
	/* A tree that was there before, or came through symlinks, may be deeper than a path. */
	*r = (struct apply_removals){.max = max, .max_depth = (size_t)max_depth * 2};
}

void apply_removals_unlimited(struct apply_removals *r)
{
	r->max = UINT64_MAX;
	r->max_depth = SIZE_MAX;
}

/* Goes down into the directory fd, which it takes. */
static int push(struct walk *w, int fd, const char *name, bool created, struct strata_err *err)
{
	struct level *level;
	size_t max = w->a->removals.max_depth;

	int mounted = w->depth < max ? is_mounted(w->a, fd) : 0;

	if (w->depth == max)
		strata_fail(err, "ELIMIT", "more than %zu directories deep (twice limits.depth)",
		            max);
	else if (mounted < 0)
		strata_fail_errno(err, errno, "cannot look at a directory");
	else if (mounted > 0)
		strata_fail_errno(err, EBUSY,
		                  "another file system is mounted in what is to be removed");
	if (w->depth == max || mounted != 0) {
		close(fd);
		return -1;
	}
	if (strata_grow(w->levels, w->depth, err) < 0) {
		close(fd);
		return -1;
	}
	level = &w->levels[w->depth];
	memset(level, 0, sizeof(*level));
	level->dir = fstat(fd, &level->st) == 0 ? fdopendir(fd) : NULL;
	if (level->dir == NULL) {
		strata_fail_errno(err, errno, "cannot read a directory");
		close(fd);
		return -1;
	}
	level->created = created;
	strncpy(level->name, name, sizeof(level->name) - 1);
	w->depth++;
	/* A descriptor that has been read before has a position. */
	rewinddir(level->dir);
	return 0;
}

static int open_child(struct walk *w, int dir, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags);

	/* A mode may keep the directory's own user out. */
	if (fd < 0 && errno == EACCES && w->a->euid != 0 &&
	    fchmodat(dir, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(dir, name, flags);
	return fd;
}

static bool is_unlimited(const struct strata_apply *a)
{
	return a->removals.max_depth == SIZE_MAX;
}

/*
 * Moves a directory from the lowest level to the first one, where it is removed later: so a tree is
 * removed with few descriptors, however deep it is.
 */
static int lift(struct walk *w, const char *name, struct strata_err *err)
{
	const int from = dirfd(w->levels[w->depth - 1].dir), to = dirfd(w->levels[0].dir);
	char lifted[32];

	for (;;) {
		snprintf(lifted, sizeof(lifted), ".strata-%zu", w->lifted++);
		if (renameat(from, name, to, lifted) == 0)
			return 0;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return strata_fail_errno(err, errno, "cannot move a directory up");
	}
}

/*
 * Hides a directory of a lower layer in which everything is this layer's. One that is entered
 * stays, also when it is empty.
 */
static int hide_wholly_ours(struct walk *w, const char *name, bool entered, struct strata_err *err)
{
	struct level *level = &w->levels[w->depth - 1];
	cleanup_fd int fd = -1;

	if (!entered && unlinkat(dirfd(level->dir), name, AT_REMOVEDIR) == 0) {
		level->changed = true;
		return 0;
	}
	if (!entered && errno != ENOTEMPTY && errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot remove a directory");
	fd = open_child(w, dirfd(level->dir), name);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	return apply_implied(w->a, fd, err);
}

/* Removes what is no directory; a directory becomes the next level. */
static int remove_child(struct walk *w, const char *name, struct strata_err *err)
{
	struct level *level = &w->levels[w->depth - 1];
	int dir = dirfd(level->dir);
	bool created = w->lower && layer_set_has(&w->a->set, &level->st, name);
	struct stat st;
	int fd;

	if (++w->a->removals.done > w->a->removals.max)
		return strata_fail(err, "ELIMIT",
		                   "more than limits.removals (%llu) files to look at for removal",
		                   (unsigned long long)w->a->removals.max);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : strata_fail_errno(err, errno, "cannot look at it");
	if (!S_ISDIR(st.st_mode)) {
		if (created)
			return 0;
		level->changed = true;
		return unlinkat(dir, name, 0) == 0 || errno == ENOENT
		               ? 0
		               : strata_fail_errno(err, errno, "cannot remove");
	}
	if (w->lower && layer_set_is_wholly_ours(&w->a->set, &st))
		return created ? 0
		               : hide_wholly_ours(w, name, layer_set_has_entered(&w->a->set, &st),
		                                  err);
	if (!w->lower && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (is_unlimited(w->a) && w->depth == OPEN_LEVELS)
		return lift(w, name, err);
	fd = open_child(w, dir, name);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	return push(w, fd, name, created, err);
}

/* A directory of a lower layer that keeps something of this layer is as if newly made. */
static int settle_kept(struct walk *w, struct level *level, struct strata_err *err)
{
	int fd = dirfd(level->dir);

	if (layer_set_own(&w->a->set, &level->st, err) < 0)
		return -1;
	if (w->depth > 1 && !level->created)
		return apply_implied(w->a, fd, err);
	return level->changed
	               ? apply_restore_time(w->a, fd, &level->st, w->a->report.path.data, err)
	               : 0;
}

/* The level is read to its end. */
static int pop(struct walk *w, struct strata_err *err)
{
	struct level *level = &w->levels[w->depth - 1];
	struct level *above = w->depth > 1 ? level - 1 : NULL;
	bool gone = false;
	int status = 0;

	if (above != NULL && !level->created &&
	    !(w->lower && layer_set_has_entered(&w->a->set, &level->st))) {
		gone = unlinkat(dirfd(above->dir), level->name, AT_REMOVEDIR) == 0;
		if (gone)
			above->changed = true;
		else if (errno != ENOTEMPTY && errno != EEXIST)
			status = strata_fail_errno(err, errno, "cannot remove a directory");
		else if (!w->lower)
			status = strata_fail_errno(err, ENOTEMPTY, "cannot remove a directory");
	}
	if (!gone && status == 0 && w->lower)
		status = settle_kept(w, level, err);
	closedir(level->dir);
	w->depth--;
	return status;
}

static int walk_tree(struct walk *w, struct strata_err *err)
{
	while (w->depth > 0) {
		const struct dirent *e;
		int status;

		errno = 0;
		e = readdir(w->levels[w->depth - 1].dir);
		if (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
			continue;
		if (e == NULL && errno != 0)
			return strata_fail_errno(err, errno, "cannot read a directory");
		if (e == NULL && w->depth == 1 && w->lifted > 0) {
			w->lifted = 0;
			rewinddir(w->levels[0].dir);
			continue;
		}
		status = e != NULL ? remove_child(w, e->d_name, err) : pop(w, err);
		if (status < 0)
			return -1;
	}
	return 0;
}

int apply_purge(struct strata_apply *a, int fd, bool lower, struct strata_err *err)
{
	struct walk w = {.a = a, .lower = lower};
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status;

	if (copy < 0)
		return strata_fail_errno(err, errno, "cannot read a directory");
	status = push(&w, copy, ".", true, err);
	if (status == 0)
		status = walk_tree(&w, err);
	while (w.depth > 0)
		closedir(w.levels[--w.depth].dir);
	free(w.levels);
	return status;
}

int apply_remove(struct strata_apply *a, int dir, const char *name, struct strata_err *err)
{
	cleanup_fd int fd = -1;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return strata_fail_errno(err, errno, "cannot remove what it replaces");
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot remove what it replaces");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open what it replaces");
	if (apply_purge(a, fd, false, err) < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return strata_fail_errno(err, errno, "cannot remove what it replaces");
	return 0;
}
