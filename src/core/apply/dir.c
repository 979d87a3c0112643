#include "core/apply/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/fs/resolve.h"

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
	fd = openat(dir, name, APPLY_DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	if (apply_implied(a, fd, err) < 0 || layer_set_own(&a->set, &st, err) < 0 ||
	    layer_set_add(&a->set, &above, name, err) < 0)
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
	cleanup_fd int fd = openat(dir, ".", APPLY_DIR_FLAGS); /* dir has O_PATH */

	if (fd < 0)
		return -errno;
	return apply_make_dir(making->a, fd, name, making->err) < 0 ? -ECANCELED : 0;
}

/* Missing directories are made, others opened. A negative errno; -ECANCELED: *err is filled. */
static int make_path(struct strata_apply *a, const char *path, struct strata_err *err)
{
	struct making making = {a, err};
	struct strata_maker maker = {make_missing, &making};

	return strata_resolve_in_root_make(a->root, path, APPLY_DIR_FLAGS, &maker);
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

	if (dir->fd >= 0 && !dir->must_reopen && dir->path.len == len &&
	    memcmp(dir->path.data, path, len) == 0)
		return 0;
	if (apply_leave(a, err) < 0)
		return -1;
	dir->path.len = 0;
	if (strata_buf_append(&dir->path, path, len, err) < 0 ||
	    strata_buf_append(&dir->path, "", 1, err) < 0)
		return -1;
	dir->path.len = len;
	fd = strata_resolve_in_root(a->root, len > 0 ? dir->path.data : ".", APPLY_DIR_FLAGS);
	if (fd < 0 && apply_is_absent(fd)) {
		if (!make)
			return 1;
		fd = make_path(a, dir->path.data, err);
	}
	if (fd < 0)
		return fd == -ECANCELED ? -1
		                        : strata_fail_errno(err, -fd, "cannot open its directory");
	dir->fd = fd;
	dir->dirty = dir->must_reopen = false;
	if (fstat(fd, &dir->st) < 0)
		return strata_fail_errno(err, errno, "cannot look at its directory");
	dir->wholly_ours = layer_set_is_wholly_ours(&a->set, &dir->st);
	return 0;
}

int apply_created(struct strata_apply *a, const char *name, struct strata_err *err)
{
	a->dir.dirty = true;
	return a->dir.wholly_ours ? 0 : layer_set_add(&a->set, &a->dir.st, name, err);
}

void apply_dir_changed(struct strata_apply *a)
{
	a->dir.dirty = true;
}

void apply_must_reopen(struct strata_apply *a)
{
	a->dir.must_reopen = true;
}

int apply_clear_way(struct strata_apply *a, const char *name, struct strata_err *err)
{
	a->dir.dirty = a->dir.must_reopen = true;
	return apply_remove(a, a->dir.fd, name, err);
}
