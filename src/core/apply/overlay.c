/*
 * Layers side by side, as overlayfs mounts them: each in a directory of its own
 * with whiteouts and opaque marks. Names are looked up in the merge of the
 * layers up to this one, so that an entry behind a lower layer's link goes
 * where a container would see it; then the directories on the way are made in
 * this layer, with what they have below, since overlayfs shows the uppermost.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/apply/overlay.h"
#include "core/fs/resolve.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* ---- directories of this layer ------------------------------------------ */

static int add_borrower(struct strata_apply *a, const char *path, const struct stat *st,
                        bool whiteout, struct strata_err *err)
{
	struct apply_borrower *grown =
	        strata_reallocarray(a->borrowers, a->borrower_count + 1, sizeof(*grown));

	if (grown == NULL)
		return strata_fail_nomem(err);
	a->borrowers = grown;
	grown += a->borrower_count;
	*grown = (struct apply_borrower){whiteout, strdup(path), st->st_dev, st->st_ino};
	if (grown->path == NULL)
		return strata_fail_nomem(err);
	a->borrower_count++;
	return 0;
}

/* True when lower layers have nothing to do with the directory of this one. */
static bool is_own(struct strata_apply *a, const char *path)
{
	struct apply_found below;
	bool opaque = false, own;
	int fd = apply_open_own(a, path, &opaque);

	if (fd >= 0)
		close(fd);
	own = opaque || !apply_look_up(a, a->layer, path, &below);
	if (own)
		return true;
	close(below.fd);
	return !S_ISDIR(below.st.st_mode);
}

/* Keeps in mind what a directory that has been made is: see apply_overlay_end. */
static int note_dir(struct strata_apply *a, int fd, const struct stat *st, const char *path,
                    bool hidden, struct strata_err *err)
{
	if (apply_mark_clean(a, st, err) < 0)
		return -1;
	if (hidden)
		return apply_set_opaque(a, fd, err);
	if (is_own(a, path))
		return apply_mark_made(a, st, APPLY_TOLD, err);
	return add_borrower(a, path, st, false, err);
}

/* Makes `name` in dir; path is its whole path. What it has below it gets at the layer's end. */
static int make_layer_dir(struct strata_apply *a, int dir, const char *name, const char *path,
                          struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	cleanup_fd int fd = -1;
	bool hidden = false;
	struct stat st, above;

	if (fstat(dir, &above) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		hidden = true;
		if (apply_remove(a, dir, name, err) < 0)
			return -1;
	} else if (errno != ENOENT) {
		return strata_fail_errno(err, errno, "cannot look for a directory");
	}
	if (mkdirat(dir, name, 0700) < 0)
		return strata_fail_errno(err, errno, "cannot make a directory");
	fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	if (apply_implied(a, fd, err) < 0 || note_dir(a, fd, &st, path, hidden, err) < 0)
		return -1;
	times[1] = above.st_mtim;
	return futimens(dir, times) == 0
	               ? 0
	               : strata_fail_errno(err, errno, "cannot set the time of a directory");
}

/* Removes a whiteout from what has become opaque. */
static int drop_whiteout(struct strata_apply *a, char *path, struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	char *slash = strrchr(path, '/');
	bool opaque = false;
	cleanup_fd int dir = -1;
	struct stat above, st;

	if (slash == NULL)
		return 0; /* the root is never opaque */
	*slash = '\0';
	dir = apply_open_own(a, path, &opaque);
	opaque = opaque || (dir >= 0 && apply_is_opaque(a, dir));
	if (dir < 0 || !opaque)
		return 0;
	if (fstat(dir, &above) < 0 || fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		apply_note_trouble(a);
		return 0;
	}
	if (!apply_is_whiteout(&st))
		return 0;
	times[1] = above.st_mtim;
	if (unlinkat(dir, slash + 1, 0) < 0 || futimens(dir, times) < 0)
		return strata_fail_errno(err, errno, "cannot remove a whiteout");
	return 0;
}

/* Makes a whiteout of that name. */
static int put_whiteout(int dir, const char *name, struct strata_err *err)
{
	struct timespec zero[2] = {{0}, {0}};

	if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0 ||
	    utimensat(dir, name, zero, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot make a whiteout");
	return 0;
}

/* Removes a directory that was made for nothing: what it is in, or itself, is hidden. */
static int drop_dir(struct strata_apply *a, char *path, bool whiteout, struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	bool ignored = false;
	cleanup_fd int dir = -1;
	struct stat above;

	if (slash != NULL)
		*slash = '\0';
	dir = apply_open_own(a, slash != NULL ? path : "", &ignored);
	if (dir < 0 || fstat(dir, &above) < 0)
		return 0;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		return errno == ENOTEMPTY || errno == EEXIST
		               ? 0
		               : strata_fail_errno(err, errno, "cannot remove a directory");
	if (whiteout && put_whiteout(dir, name, err) < 0)
		return -1;
	times[1] = above.st_mtim;
	return futimens(dir, times) == 0
	               ? 0
	               : strata_fail_errno(err, errno, "cannot set the time of a directory");
}

/* A directory on the way to an entry, unless an entry of its own has come since. */
static int settle_dir(struct strata_apply *a, struct apply_borrower *b, struct strata_err *err)
{
	bool opaque = false;
	cleanup_fd int dir = apply_open_own(a, b->path, &opaque);
	struct apply_found below = {.fd = -1};
	struct stat st;
	int status = 0;

	if (dir < 0)
		return 0;
	if (fstat(dir, &st) < 0) {
		apply_note_trouble(a);
		return 0;
	}
	if (st.st_dev != b->dev || st.st_ino != b->ino || apply_is_made(a, &st, APPLY_TOLD))
		return 0;
	if (opaque || apply_is_made(a, &st, APPLY_HIDDEN))
		return drop_dir(a, b->path, !opaque, err);
	if (apply_look_up(a, a->layer, b->path, &below) && S_ISDIR(below.st.st_mode))
		status = apply_copy_attributes(a, dir, &below, err);
	if (below.fd >= 0)
		close(below.fd);
	return status;
}

/* From the end on: what is below comes first. */
int apply_overlay_end(struct strata_apply *a, struct strata_err *err)
{
	int status = 0;

	while (a->borrower_count > 0) {
		struct apply_borrower *b = &a->borrowers[--a->borrower_count];

		if (status == 0)
			status = b->whiteout ? drop_whiteout(a, b->path, err)
			                     : settle_dir(a, b, err);
		free(b->path);
	}
	if (status == 0 && a->trouble != 0)
		return strata_fail_errno(err, a->trouble, "cannot look for what is in the layers");
	return status;
}

int apply_ensure(struct strata_apply *a, const char *path, struct strata_err *err)
{
	cleanup_buf struct strata_buf prefix = {0};
	cleanup_fd int dir = openat(a->root, ".", DIR_FLAGS);
	char name[APPLY_NAME_MAX + 1];

	if (dir < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	while (apply_next_name(&path, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0 && apply_is_trouble())
			return strata_fail_errno(err, errno, "cannot open a directory");
		if ((prefix.len > 0 && apply_append(&prefix, "/", 1, err) < 0) ||
		    apply_append(&prefix, name, strlen(name), err) < 0) {
			if (fd >= 0)
				close(fd);
			return -1;
		}
		if (fd < 0) {
			if (make_layer_dir(a, dir, name, prefix.data, err) < 0)
				return -1;
			fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
		}
		close(dir);
		dir = fd;
		if (dir < 0)
			return strata_fail_errno(err, errno, "cannot open a directory");
	}
	return strata_steal_fd(&dir);
}

int apply_overlay_open(struct strata_apply *a, const char *path, bool make, struct strata_err *err)
{
	cleanup_buf struct strata_buf done = {0};
	cleanup_fd int dir = openat(a->root, ".", DIR_FLAGS);
	const char *left = path;
	char name[APPLY_NAME_MAX + 1];
	int status;

	if (dir < 0)
		apply_note_trouble(a);
	/* Directories that this layer has are those of the merge. */
	while (dir >= 0 && apply_next_name(&left, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0)
			apply_note_trouble(a);
		close(dir);
		dir = fd;
	}
	if (dir >= 0)
		return strata_steal_fd(&dir);
	status = apply_resolve(a, path, make, &done, err);
	if (status != 0)
		return status > 0 ? -ENOENT : -ECANCELED;
	a->dir.linked = strcmp(done.data, path) != 0;
	dir = apply_ensure(a, done.data, err);
	return dir >= 0 ? strata_steal_fd(&dir) : -ECANCELED;
}

/*
 * The layers share the file then, so that a container sees one with several
 * names, as where they lie on top of each other.
 */
int apply_overlay_target(struct strata_apply *a, const char *parent, const char *name, bool *own,
                         struct strata_err *err)
{
	cleanup_buf struct strata_buf done = {0};
	cleanup_fd int layer = -1;
	struct apply_found found;
	size_t len;
	int status = apply_resolve(a, parent, false, &done, err);

	if (status != 0)
		return status < 0 ? -ECANCELED : -ENOENT;
	len = done.len;
	if ((len > 0 && apply_append(&done, "/", 1, err) < 0) ||
	    apply_append(&done, name, strlen(name), err) < 0)
		return -ECANCELED;
	if (!apply_look_up(a, a->layer + 1, done.data, &found))
		return -ENOENT;
	close(found.fd);
	*own = found.layer == a->layer;
	done.data[len] = '\0';
	layer = apply_open_layer(a, found.layer);
	return layer < 0 ? -errno
	                 : strata_resolve_beneath(layer, len > 0 ? done.data : ".",
	                                          O_PATH | O_DIRECTORY);
}

int apply_overlay_begin(struct strata_apply *a, struct strata_err *err)
{
	struct apply_found below = {.fd = -1};
	cleanup_fd int lower = -1;
	char name[24];

	snprintf(name, sizeof(name), "%zu", a->layer + 1);
	if (mkdirat(a->target, name, 0700) < 0)
		return strata_fail_errno(err, errno, "cannot make its directory");
	a->root = apply_open_layer(a, a->layer);
	if (a->root < 0) {
		strata_fail_errno(err, errno, "cannot open its directory");
		unlinkat(a->target, name, AT_REMOVEDIR);
		return -1;
	}
	if (a->layer == 0)
		return apply_implied(a, a->root, err);
	lower = apply_open_layer(a, a->layer - 1);
	if (lower < 0 || fstat(lower, &below.st) < 0)
		return strata_fail_errno(err, errno, "cannot open the layer below");
	below.fd = lower;
	return apply_copy_attributes(a, a->root, &below, err);
}

/* ---- whiteouts ---------------------------------------------------------- */

/* Hides `name` in the directory `path`, both without links. */
static int hide_name(struct strata_apply *a, const char *path, const char *name,
                     struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	cleanup_buf struct strata_buf whole = {0};
	cleanup_fd int dir = -1, fd = -1;
	struct apply_found below;
	bool opaque = false;
	struct stat st;

	if (apply_append(&whole, path, strlen(path), err) < 0 ||
	    (path[0] != '\0' && apply_append(&whole, "/", 1, err) < 0) ||
	    apply_append(&whole, name, strlen(name), err) < 0)
		return -1;
	if (!apply_look_up(a, a->layer, whole.data, &below))
		return 0;
	close(below.fd);
	dir = apply_ensure(a, path, err);
	if (dir < 0)
		return -1;
	fd = apply_open_own(a, whole.data, &opaque); /* unless it is no directory */
	if (fd < 0 && opaque)
		return 0;
	if (fd >= 0)
		close(strata_steal_fd(&fd));
	fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0)
		return apply_mark_made(a, &st, APPLY_HIDDEN, err) < 0
		               ? -1
		               : apply_set_opaque(a, fd, err);
	apply_note_trouble(a);
	if (errno != ENOENT)
		return 0; /* it hides what is below by itself */
	if (fstat(dir, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	times[1] = st.st_mtim;
	if (put_whiteout(dir, name, err) < 0)
		return -1;
	if (futimens(dir, times) < 0)
		return strata_fail_errno(err, errno, "cannot set the time of a directory");
	return add_borrower(a, whole.data, &st, true, err);
}

int apply_overlay_hide(struct strata_apply *a, const char *path, const char *name,
                       struct strata_err *err)
{
	cleanup_buf struct strata_buf done = {0};
	int status = apply_resolve(a, path, false, &done, err);

	if (status != 0)
		return status < 0 ? -1 : 0;
	return hide_name(a, done.data, name, err);
}

/* overlayfs takes no notice of a mark on the root: each name there is hidden. */
static int hide_root(struct strata_apply *a, struct strata_err *err)
{
	int status = 0;

	for (size_t layer = 0; layer < a->layer && status == 0; layer++) {
		int fd = apply_open_layer(a, layer);
		DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
		const struct dirent *e;

		if (dir == NULL) {
			status = strata_fail_errno(err, errno, "cannot read a layer below");
			if (fd >= 0)
				close(fd);
			break;
		}
		for (errno = 0; status == 0 && (e = readdir(dir)) != NULL; errno = 0)
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				status = hide_name(a, "", e->d_name, err);
		if (status == 0 && errno != 0)
			status = strata_fail_errno(err, errno, "cannot read a layer below");
		closedir(dir);
	}
	return status;
}

int apply_overlay_opaque(struct strata_apply *a, const char *parent, const char *name,
                         struct strata_err *err)
{
	cleanup_buf struct strata_buf done = {0};
	struct apply_found found;
	cleanup_fd int fd = -1;
	bool there;
	int status;

	if (name == NULL)
		return hide_root(a, err);
	status = apply_resolve(a, parent, false, &done, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	if ((done.len > 0 && apply_append(&done, "/", 1, err) < 0) ||
	    apply_append(&done, name, strlen(name), err) < 0)
		return -1;
	there = apply_look_up(a, a->layer + 1, done.data, &found);
	if (!there)
		return 0;
	close(found.fd);
	/* A link of a lower layer becomes a directory of this one. */
	if (!S_ISDIR(found.st.st_mode) && !(S_ISLNK(found.st.st_mode) && found.layer < a->layer))
		return 0;
	fd = apply_ensure(a, done.data, err);
	if (fd < 0)
		return -1;
	if (S_ISLNK(found.st.st_mode) &&
	    (fstat(fd, &found.st) < 0 || apply_mark_made(a, &found.st, APPLY_TOLD, err) < 0))
		return strata_fail_errno(err, errno, "cannot look at a directory");
	return apply_set_opaque(a, fd, err);
}
