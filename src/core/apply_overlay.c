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
#include <sys/xattr.h>

#include "apply_overlay.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define MAX_NAME 255
#define MAX_LINKS 40
#define MAX_TARGET 4096

static const char *opaque_name(const struct strata_apply *a)
{
	return a->options.user_xattrs ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

/* After a call that failed: whether something is there cannot be told. */
static bool is_trouble(void)
{
	return errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENAMETOOLONG &&
	       errno != ENODATA && errno != ENOTSUP && errno != ERANGE;
}

static void note_trouble(struct strata_apply *a)
{
	if (is_trouble() && a->trouble == 0)
		a->trouble = errno;
}

static bool is_opaque(struct strata_apply *a, int fd)
{
	char value[2];
	ssize_t len = fgetxattr(fd, opaque_name(a), value, sizeof(value));

	if (len < 0)
		note_trouble(a);
	return len == 1 && value[0] == 'y';
}

int apply_set_opaque(struct strata_apply *a, int fd, struct strata_err *err)
{
	if (fsetxattr(fd, opaque_name(a), "y", 1, 0) == 0)
		return 0;
	return strata_fail_errno(err, errno, "cannot set %s", opaque_name(a));
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int open_layer(const struct strata_apply *a, size_t layer)
{
	char name[24];

	snprintf(name, sizeof(name), "%zu", layer + 1);
	return openat(a->target, name, DIR_FLAGS | O_NOFOLLOW);
}

/* ---- looking up --------------------------------------------------------- */

/* Takes the next component of *path; false at its end. */
static bool next_name(const char **path, char name[MAX_NAME + 1])
{
	size_t len;

	while (**path == '/')
		(*path)++;
	len = strcspn(*path, "/");
	if (len == 0 || len > MAX_NAME)
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	while (**path == '/')
		(*path)++;
	return true;
}

/* Looks for a path without links in one layer. 1: found; 0: look below; -1: hidden, or no more. */
static int probe(struct strata_apply *a, size_t layer, const char *path, struct apply_found *found)
{
	cleanup_fd int dir = open_layer(a, layer);
	bool opaque = false;
	char name[MAX_NAME + 1];

	if (dir < 0)
		note_trouble(a);

	while (dir >= 0 && next_name(&path, name)) {
		cleanup_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0) {
			note_trouble(a);
			return errno == ENOENT && !opaque ? 0 : -1;
		}
		if (is_whiteout(&st))
			return -1;
		if (*path == '\0') {
			*found = (struct apply_found){strata_steal_fd(&fd), layer, st};
			return 1;
		}
		if (!S_ISDIR(st.st_mode))
			return -1;
		close(fd);
		fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
		close(dir);
		dir = strata_steal_fd(&fd);
		if (dir < 0)
			note_trouble(a);
		opaque = opaque || (dir >= 0 && is_opaque(a, dir));
	}
	return -1;
}

/* Opens a directory of this layer. *opaque: one that it is in is. */
static int open_own(struct strata_apply *a, const char *path, bool *opaque)
{
	cleanup_fd int dir = openat(a->root, ".", DIR_FLAGS);
	char name[MAX_NAME + 1];

	if (dir < 0)
		note_trouble(a);
	while (dir >= 0 && next_name(&path, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0)
			note_trouble(a);
		close(dir);
		dir = fd;
		*opaque = *opaque || (*path != '\0' && dir >= 0 && is_opaque(a, dir));
	}
	return strata_steal_fd(&dir);
}

bool apply_look_up(struct strata_apply *a, size_t layers, const char *path,
                   struct apply_found *found)
{
	int status = 0;

	found->fd = -1;
	while (layers > 0 && status == 0)
		status = probe(a, --layers, path, found);
	return status > 0;
}

/* What is left to go, and how far it is without links. */
struct resolving {
	struct strata_buf rest;
	struct strata_buf *done;
	unsigned links;
};

static int append(struct strata_buf *b, const char *text, size_t len, struct strata_err *err)
{
	if (strata_buf_append(b, text, len, err) < 0 || strata_buf_append(b, "", 1, err) < 0)
		return -1;
	b->len--;
	return 0;
}

/* What is left becomes the link's target, and what was left. */
static int follow(struct resolving *r, int link, const char *left, struct strata_err *err)
{
	struct strata_buf rest = {0};
	char target[MAX_TARGET];
	ssize_t len = readlinkat(link, "", target, sizeof(target));
	int status;

	if (len <= 0 || len == MAX_TARGET || ++r->links > MAX_LINKS)
		return strata_fail_errno(err, len < 0 ? errno : ELOOP, "cannot follow a link");
	if (target[0] == '/')
		r->done->len = 0;
	status = append(&rest, target, (size_t)len, err);
	if (status == 0)
		status = append(&rest, "/", 1, err);
	if (status == 0)
		status = append(&rest, left, strlen(left), err);
	strata_buf_free(&r->rest);
	r->rest = rest;
	return status;
}

static void go_up(struct strata_buf *done)
{
	while (done->len > 0 && done->data[done->len - 1] != '/')
		done->len--;
	if (done->len > 0)
		done->len--;
	if (done->data != NULL)
		done->data[done->len] = '\0';
}

/* One component. 1: it is not there, or no directory. */
static int resolve_name(struct strata_apply *a, struct resolving *r, const char *name, bool make,
                        const char **left, struct strata_err *err)
{
	size_t before = r->done->len;
	struct apply_found found;
	bool there;
	int status = 0;

	if (before > 0 && append(r->done, "/", 1, err) < 0)
		return -1;
	if (append(r->done, name, strlen(name), err) < 0)
		return -1;
	there = apply_look_up(a, a->layer + 1, r->done->data, &found);
	if (there && S_ISLNK(found.st.st_mode)) {
		r->done->len = before;
		status = follow(r, found.fd, *left, err);
		if (status < 0 && !make && strcmp(err->code, "ENOMEM") != 0)
			status = 1; /* it leads nowhere */
		*left = r->rest.data;
	} else if (!make && !(there && S_ISDIR(found.st.st_mode))) {
		status = 1;
	}
	if (found.fd >= 0)
		close(found.fd);
	return status;
}

int apply_resolve(struct strata_apply *a, const char *path, bool make, struct strata_buf *done,
                  struct strata_err *err)
{
	struct resolving r = {.done = done};
	char name[MAX_NAME + 1];
	const char *left;
	int status = 0;

	done->len = 0;
	if (append(done, "", 0, err) < 0 || append(&r.rest, path, strlen(path), err) < 0) {
		strata_buf_free(&r.rest);
		return -1;
	}
	left = r.rest.data;
	while (status == 0 && next_name(&left, name)) {
		if (strcmp(name, "..") == 0)
			go_up(done);
		else if (strcmp(name, ".") != 0)
			status = resolve_name(a, &r, name, make, &left, err);
	}
	if (status == 0 && left[0] != '\0')
		status = make ? strata_fail_errno(err, ENAMETOOLONG, "cannot follow a link") : 1;
	if (status == 0 && done->len > 0)
		done->data[done->len] = '\0';
	else if (status == 0)
		done->data[0] = '\0';
	strata_buf_free(&r.rest);
	return status;
}

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
	}
	if (mkdirat(dir, name, 0700) < 0)
		return strata_fail_errno(err, errno, "cannot make a directory");
	fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	if (apply_implied(a, fd, err) < 0 || apply_mark_clean(a, &st, err) < 0 ||
	    (hidden ? apply_set_opaque(a, fd, err) : add_borrower(a, path, &st, false, err)) < 0)
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
	dir = open_own(a, path, &opaque);
	opaque = opaque || (dir >= 0 && is_opaque(a, dir));
	if (dir < 0 || !opaque)
		return 0;
	if (fstat(dir, &above) < 0 || fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note_trouble(a);
		return 0;
	}
	if (!is_whiteout(&st))
		return 0;
	times[1] = above.st_mtim;
	if (unlinkat(dir, slash + 1, 0) < 0 || futimens(dir, times) < 0)
		return strata_fail_errno(err, errno, "cannot remove a whiteout");
	return 0;
}

/* Opens the directory, unless an entry or a whiteout has come to it, or to what it is in. */
static int open_borrower(struct strata_apply *a, const struct apply_borrower *b)
{
	bool opaque = false;
	cleanup_fd int dir = open_own(a, b->path, &opaque);
	struct stat st;

	if (dir < 0 || opaque)
		return -1;
	if (fstat(dir, &st) < 0) {
		note_trouble(a);
		return -1;
	}
	if (st.st_dev != b->dev || st.st_ino != b->ino || apply_is_made(a, &st, APPLY_TOLD))
		return -1;
	return strata_steal_fd(&dir);
}

/* From the end on: what is below comes first. */
int apply_overlay_end(struct strata_apply *a, struct strata_err *err)
{
	int status = 0;

	while (a->borrower_count > 0) {
		struct apply_borrower *b = &a->borrowers[--a->borrower_count];
		cleanup_fd int fd = status == 0 && !b->whiteout ? open_borrower(a, b) : -1;
		struct apply_found below = {.fd = -1};

		if (b->whiteout && status == 0)
			status = drop_whiteout(a, b->path, err);

		if (fd >= 0 && apply_look_up(a, a->layer, b->path, &below) &&
		    S_ISDIR(below.st.st_mode))
			status = apply_copy_attributes(a, fd, &below, err);
		if (below.fd >= 0)
			close(below.fd);
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
	char name[MAX_NAME + 1];

	if (dir < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	while (next_name(&path, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0 && is_trouble())
			return strata_fail_errno(err, errno, "cannot open a directory");
		if ((prefix.len > 0 && append(&prefix, "/", 1, err) < 0) ||
		    append(&prefix, name, strlen(name), err) < 0) {
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
	char name[MAX_NAME + 1];
	int status;

	if (dir < 0)
		note_trouble(a);
	/* Directories that this layer has are those of the merge. */
	while (dir >= 0 && next_name(&left, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0)
			note_trouble(a);
		close(dir);
		dir = fd;
	}
	if (dir >= 0)
		return strata_steal_fd(&dir);
	status = apply_resolve(a, path, make, &done, err);
	if (status != 0)
		return status > 0 ? -ENOENT : -ECANCELED;
	dir = apply_ensure(a, done.data, err);
	return dir >= 0 ? strata_steal_fd(&dir) : -ECANCELED;
}

int apply_overlay_begin(struct strata_apply *a, struct strata_err *err)
{
	struct apply_found below = {.fd = -1};
	cleanup_fd int lower = -1;
	char name[24];

	snprintf(name, sizeof(name), "%zu", a->layer + 1);
	if (mkdirat(a->target, name, 0700) < 0)
		return strata_fail_errno(err, errno, "cannot make its directory");
	a->root = open_layer(a, a->layer);
	if (a->root < 0) {
		strata_fail_errno(err, errno, "cannot open its directory");
		unlinkat(a->target, name, AT_REMOVEDIR);
		return -1;
	}
	if (a->layer == 0)
		return apply_implied(a, a->root, err);
	lower = open_layer(a, a->layer - 1);
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
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}}, zero[2] = {{0}, {0}};
	cleanup_buf struct strata_buf whole = {0};
	cleanup_fd int dir = -1, fd = -1;
	struct apply_found below;
	bool opaque = false;
	struct stat st;

	if (append(&whole, path, strlen(path), err) < 0 ||
	    (path[0] != '\0' && append(&whole, "/", 1, err) < 0) ||
	    append(&whole, name, strlen(name), err) < 0)
		return -1;
	if (!apply_look_up(a, a->layer, whole.data, &below))
		return 0;
	close(below.fd);
	dir = apply_ensure(a, path, err);
	if (dir < 0)
		return -1;
	fd = open_own(a, whole.data, &opaque); /* unless it is no directory */
	if (fd < 0 && opaque)
		return 0;
	if (fd >= 0)
		close(strata_steal_fd(&fd));
	fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0)
		return apply_mark_made(a, &st, APPLY_TOLD, err) < 0 ? -1
		                                                    : apply_set_opaque(a, fd, err);
	note_trouble(a);
	if (errno != ENOENT)
		return 0; /* it hides what is below by itself */
	if (fstat(dir, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	times[1] = st.st_mtim;
	if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0 ||
	    utimensat(dir, name, zero, AT_SYMLINK_NOFOLLOW) < 0 || futimens(dir, times) < 0)
		return strata_fail_errno(err, errno, "cannot make a whiteout");
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
		int fd = open_layer(a, layer);
		DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
		const struct dirent *e;

		if (dir == NULL) {
			status = strata_fail_errno(err, errno, "cannot read a layer below");
			if (fd >= 0)
				close(fd);
			break;
		}
		while (status == 0 && (e = readdir(dir)) != NULL)
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				status = hide_name(a, "", e->d_name, err);
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
	if ((done.len > 0 && append(&done, "/", 1, err) < 0) ||
	    append(&done, name, strlen(name), err) < 0)
		return -1;
	there = apply_look_up(a, a->layer + 1, done.data, &found);
	if (!there)
		return 0;
	close(found.fd);
	/* A link of a lower layer becomes a directory of this one. */
	if (!S_ISDIR(found.st.st_mode) && !(S_ISLNK(found.st.st_mode) && found.layer < a->layer))
		return 0;
	fd = apply_ensure(a, done.data, err);
	return fd < 0 ? -1 : apply_set_opaque(a, fd, err);
}
