#include "core/apply/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/fs/resolve.h"

int apply_leave(struct strata_apply *a, struct strata_err *err)
{
	struct apply_dir *dir = &a->dir;
	cleanup_fd int fd = strata_steal_fd(&dir->fd);

	if (fd < 0 || !dir->dirty)
		return 0;
	return apply_restore_time(a, fd, &dir->st, dir->path.data, err);
}

/* Makes name an implied directory in dir, in which nothing else changes. */
static int make_dir(struct strata_apply *a, int dir, const char *name, struct strata_err *err)
{
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
	return apply_restore_time(a, dir, &above, a->report.path.data, err);
}

bool apply_is_absent(int fd)
{
	return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENAMETOOLONG;
}

/* ---- ways to a directory ------------------------------------------------ */

bool apply_is_apart(const struct strata_apply *a)
{
	return a->options.view == STRATA_VIEW_RUNTIME && !a->by_tree && !a->set.everything;
}

int apply_begin_anew(struct strata_apply *a, struct strata_err *err)
{
	if (a->options.view != STRATA_VIEW_RUNTIME || !a->target.fresh)
		return 0;
	a->odd = true;
	return strata_fail(err, "EAGAIN", "not by what its layer has had so far");
}

struct going {
	struct strata_apply *a;
	struct strata_err *err;
	enum apply_way way;
};

/* For strata_resolve_in_root_make: the error itself is in *err. */
static int make_missing(void *context, int dir, const char *name)
{
	struct going *going = context;
	cleanup_fd int fd = openat(dir, ".", APPLY_DIR_FLAGS); /* dir has O_PATH */
	struct stat above, st;
	bool own;

	if (fd < 0 || fstat(fd, &above) < 0)
		return -errno;
	if (going->way == APPLY_LOOK)
		return -ENOENT;
	own = layer_set_has(&going->a->set, &above, name) &&
	      fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	/* What the layer has stays, and so does a whiteout of its own behind a symlink. */
	if (going->way == APPLY_SPARE && (own || layer_set_hides(&going->a->set, &above, name)))
		return -ENOTDIR;
	if (own && apply_is_apart(going->a) && apply_begin_anew(going->a, going->err) < 0)
		return -ECANCELED;
	return make_dir(going->a, fd, name, going->err) < 0 ? -ECANCELED : 0;
}

static bool is_layers_own(void *context, int dir, const char *name)
{
	const struct going *going = context;
	struct stat above;

	return fstat(dir, &above) == 0 && layer_set_has(&going->a->set, &above, name);
}

/* Goes a way by steps. A negative errno; -ECANCELED: *err is filled. */
static int go_by_steps(struct strata_apply *a, const char *path, enum apply_way way,
                       struct strata_buf *plain, struct strata_err *err)
{
	struct going going = {a, err, way};
	struct strata_maker maker = {
	        .make = make_missing,
	        .context = &going,
	        .follow = apply_is_apart(a) ? is_layers_own : NULL,
	        .reached = plain,
	};

	return strata_resolve_in_root_make(a->root, path, APPLY_DIR_FLAGS, &maker);
}

static bool makes(enum apply_way way)
{
	return way == APPLY_MAKE || way == APPLY_SPARE;
}

/* Most paths lead through no links, and all directories are there. */
static int go(struct strata_apply *a, const char *path, enum apply_way way,
              struct strata_buf *plain, struct strata_err *err)
{
	bool apart = apply_is_apart(a), named = true;
	const char *from = *path != '\0' ? path : ".";
	int fd = apart ? strata_resolve_plain(a->root, from, APPLY_DIR_FLAGS)
	               : strata_resolve_in_root(a->root, from, APPLY_DIR_FLAGS);

	plain->len = 0;
	if (fd < 0 && apply_is_absent(fd) && (makes(way) || (apart && way == APPLY_LOOK)))
		fd = go_by_steps(a, path, way, plain, err);
	else if (fd >= 0 && apart)
		named = strata_buf_append(plain, path, strlen(path), err) == 0;
	if (fd >= 0 && (!named || strata_buf_append(plain, "", 1, err) < 0)) {
		close(fd);
		return -ECANCELED;
	}
	return fd;
}

int apply_look_in(struct strata_apply *a, const char *path, struct strata_buf *plain,
                  struct strata_err *err)
{
	return go(a, path, APPLY_LOOK, plain, err);
}

/* Takes the directory fd for a->dir. */
static int take(struct strata_apply *a, int fd, enum apply_way way, struct strata_err *err)
{
	struct apply_dir *dir = &a->dir;

	dir->fd = fd;
	dir->dirty = dir->must_reopen = false;
	if (fstat(fd, &dir->st) < 0)
		return strata_fail_errno(err, errno, "cannot look at its directory");
	dir->wholly_ours = layer_set_is_wholly_ours(&a->set, &dir->st);
	return apply_is_apart(a) && makes(way)
	               ? layer_set_enter(&a->set, &dir->st, dir->plain.data, err)
	               : 0;
}

int apply_enter(struct strata_apply *a, const char *path, size_t len, enum apply_way way,
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
	fd = go(a, dir->path.data, way, &dir->plain, err);
	if (fd >= 0)
		return take(a, fd, way, err);
	if (fd == -ECANCELED)
		return -1;
	return way != APPLY_MAKE && apply_is_absent(fd)
	               ? 1
	               : strata_fail_errno(err, -fd, "cannot open its directory");
}

int apply_path_below(struct strata_buf *path, const char *dir, const char *name,
                     struct strata_err *err)
{
	path->len = 0;
	if (strata_buf_append(path, dir, strlen(dir), err) < 0 ||
	    (*dir != '\0' && strata_buf_append(path, "/", 1, err) < 0) ||
	    strata_buf_append(path, name, strlen(name) + 1, err) < 0)
		return -1;
	path->len--;
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

/* The layer has made the name in a->dir, or has something below it. */
static bool is_own(const struct strata_apply *a, const char *name)
{
	cleanup_buf struct strata_buf path = {0};
	struct strata_err ignored;

	return layer_set_has(&a->set, &a->dir.st, name) ||
	       (apply_path_below(&path, a->dir.plain.data, name, &ignored) == 0 &&
	        layer_set_has_path(&a->set, path.data, path.len));
}

int apply_clear_way(struct strata_apply *a, const char *name, struct strata_err *err)
{
	if (apply_is_apart(a) && is_own(a, name) && apply_begin_anew(a, err) < 0)
		return -1;
	a->dir.dirty = a->dir.must_reopen = true;
	return apply_remove(a, a->dir.fd, name, err);
}
