/* The directory that entries go to: resolved in the root, made when it is missing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/apply/overlay.h"
#include "core/fs/resolve.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

int apply_leave(struct strata_apply *a, struct strata_err *err)
{
	struct apply_dir *dir = &a->dir;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, dir->st.st_mtim};
	int fd = strata_steal_fd(&dir->fd);
	int status = 0;

	if (fd < 0)
		return 0;
	if (dir->dirty && futimens(fd, times) < 0)
		status = strata_fail_errno(err, errno, "cannot set the time of a directory");
	close(fd);
	return status;
}

int apply_implied(struct strata_apply *a, int fd, struct strata_err *err)
{
	struct timespec times[2] = {{0}, {0}};

	if (a->euid == 0 && fchown(fd, 0, 0) < 0 && apply_note(a, "owner", NULL, errno, err) < 0)
		return -1;
	if (apply_clear_xattrs(a, fd, err) < 0)
		return -1;
	if (fchmod(fd, 0755) < 0 || futimens(fd, times) < 0)
		return strata_fail_errno(err, errno, "cannot set mode and time of a directory");
	return 0;
}

struct making {
	struct strata_apply *a;
	struct strata_err *err;
};

int apply_make_dir(struct strata_apply *a, int dir, const char *name, struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	cleanup_fd int fd = -1;
	struct stat st, above;

	if (fstat(dir, &above) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	if (apply_remove(a, dir, name, err) < 0)
		return -1;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot make a directory");
	fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	if (apply_implied(a, fd, err) < 0 || apply_mark_clean(a, &st, err) < 0)
		return -1;
	if (!apply_is_clean(a, &above) && apply_mark_made(a, &above, name, err) < 0)
		return -1;
	times[1] = above.st_mtim;
	if (utimensat(dir, ".", times, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot set the time of a directory");
	return 0;
}

/* For strata_resolve_in_root_make: the error itself is in *err. */
static int make_missing(void *context, int dir, const char *name)
{
	struct making *making = context;
	cleanup_fd int fd = openat(dir, ".", DIR_FLAGS); /* dir has O_PATH */

	if (fd < 0)
		return -errno;
	return apply_make_dir(making->a, fd, name, making->err) < 0 ? -ECANCELED : 0;
}

/* Missing directories are made, others opened. A negative errno; -ECANCELED: *err is filled. */
static int make_path(struct strata_apply *a, const char *path, struct strata_err *err)
{
	struct making making = {a, err};
	struct strata_maker maker = {make_missing, &making};

	return strata_resolve_in_root_make(a->root, path, DIR_FLAGS, &maker);
}

static int open_path(struct strata_apply *a, const char *path, bool make, struct strata_err *err)
{
	if (a->options.overlay && a->layer > 0)
		return apply_overlay_open(a, path, make, err);
	return strata_resolve_in_root(a->root, path[0] != '\0' ? path : ".", DIR_FLAGS);
}

bool apply_is_absent(int fd)
{
	return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENAMETOOLONG;
}

int apply_enter(struct strata_apply *a, const char *path, size_t len, bool make,
                struct strata_err *err)
{
	struct apply_dir *dir = &a->dir;
	int fd;

	if (dir->fd >= 0 && !dir->stale && dir->path.len == len &&
	    memcmp(dir->path.data, path, len) == 0)
		return 0;
	if (apply_leave(a, err) < 0)
		return -1;
	dir->path.len = 0;
	if (strata_buf_append(&dir->path, path, len, err) < 0 ||
	    strata_buf_append(&dir->path, "", 1, err) < 0)
		return -1;
	dir->path.len = len;
	dir->linked = false;
	fd = open_path(a, dir->path.data, make, err);
	if (fd < 0 && apply_is_absent(fd)) {
		if (!make)
			return 1;
		fd = make_path(a, dir->path.data, err);
	}
	if (fd < 0)
		return fd == -ECANCELED ? -1
		                        : strata_fail_errno(err, -fd, "cannot open its directory");
	dir->fd = fd;
	dir->dirty = dir->stale = false;
	if (fstat(fd, &dir->st) < 0)
		return strata_fail_errno(err, errno, "cannot look at its directory");
	dir->clean = apply_is_clean(a, &dir->st);
	return 0;
}

int apply_clear_way(struct strata_apply *a, const char *name, struct strata_err *err)
{
	a->dir.dirty = a->dir.stale = true;
	return apply_remove(a, a->dir.fd, name, err);
}

/* ---- modes that would be in the way ------------------------------------- */

int apply_keep_mode(struct strata_apply *a, int fd, mode_t *mode, struct strata_err *err)
{
	struct apply_mode *grown;
	struct stat st;

	if (a->euid == 0)
		return 0;
	grown = strata_reallocarray(a->modes, a->mode_count + 1, sizeof(*grown));
	if (grown == NULL)
		return strata_fail_nomem(err);
	a->modes = grown;
	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	grown += a->mode_count;
	*grown = (struct apply_mode){strdup(a->path.data), st.st_dev, st.st_ino, *mode,
	                             a->mode_count};
	if (grown->path == NULL)
		return strata_fail_nomem(err);
	a->mode_count++;
	*mode |= 0700;
	return 0;
}

/* What is below comes first; of one directory's modes the last one counts. */
static int compare_modes(const void *pa, const void *pb)
{
	const struct apply_mode *x = pa, *y = pb;
	size_t xl = strlen(x->path), yl = strlen(y->path);

	if (xl != yl)
		return xl > yl ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

int apply_final_modes(struct strata_apply *a, struct strata_err *err)
{
	if (a->mode_count > 1)
		qsort(a->modes, a->mode_count, sizeof(*a->modes), compare_modes);
	for (size_t i = 0; i < a->mode_count; i++) {
		const struct apply_mode *m = &a->modes[i];
		cleanup_fd int fd = strata_resolve_in_root(a->root, m->path, DIR_FLAGS);
		struct stat st;

		/* It may be gone, or have been replaced, since. */
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != m->dev || st.st_ino != m->ino)
			continue;
		if (fchmod(fd, m->mode) < 0)
			return strata_fail_errno(err, errno, "cannot set the mode of a directory");
	}
	for (size_t i = 0; i < a->mode_count; i++)
		free(a->modes[i].path);
	a->mode_count = 0;
	return 0;
}
