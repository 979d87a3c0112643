/*
 * Looking names up in the merge of layers that stand side by side, as overlayfs
 * shows them: the uppermost one that has a name counts, unless something above
 * hides it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "core/apply/overlay.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define MAX_LINKS 40
#define MAX_TARGET 4096

static const char *opaque_name(const struct strata_apply *a)
{
	return a->options.user_xattrs ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

bool apply_is_trouble(void)
{
	return errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENAMETOOLONG &&
	       errno != ENODATA && errno != ENOTSUP && errno != ERANGE;
}

void apply_note_trouble(struct strata_apply *a)
{
	if (apply_is_trouble() && a->trouble == 0)
		a->trouble = errno;
}

bool apply_is_opaque(struct strata_apply *a, int fd)
{
	char value[2];
	ssize_t len = fgetxattr(fd, opaque_name(a), value, sizeof(value));

	if (len < 0)
		apply_note_trouble(a);
	return len == 1 && value[0] == 'y';
}

int apply_set_opaque(struct strata_apply *a, int fd, struct strata_err *err)
{
	if (fsetxattr(fd, opaque_name(a), "y", 1, 0) == 0)
		return 0;
	return strata_fail_errno(err, errno, "cannot set %s", opaque_name(a));
}

bool apply_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int apply_open_layer(const struct strata_apply *a, size_t layer)
{
	char name[24];

	snprintf(name, sizeof(name), "%zu", layer + 1);
	return openat(a->target, name, DIR_FLAGS | O_NOFOLLOW);
}

/* ---- looking up --------------------------------------------------------- */

bool apply_next_name(const char **path, char name[APPLY_NAME_MAX + 1])
{
	size_t len;

	while (**path == '/')
		(*path)++;
	len = strcspn(*path, "/");
	if (len == 0 || len > APPLY_NAME_MAX)
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
	cleanup_fd int dir = apply_open_layer(a, layer);
	bool opaque = false;
	char name[APPLY_NAME_MAX + 1];

	if (dir < 0)
		apply_note_trouble(a);
	while (dir >= 0 && apply_next_name(&path, name)) {
		cleanup_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0) {
			apply_note_trouble(a);
			return errno == ENOENT && !opaque ? 0 : -1;
		}
		if (apply_is_whiteout(&st))
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
			apply_note_trouble(a);
		opaque = opaque || (dir >= 0 && apply_is_opaque(a, dir));
	}
	return -1;
}

int apply_open_own(struct strata_apply *a, const char *path, bool *opaque)
{
	cleanup_fd int dir = openat(a->root, ".", DIR_FLAGS);
	char name[APPLY_NAME_MAX + 1];

	if (dir < 0)
		apply_note_trouble(a);
	while (dir >= 0 && apply_next_name(&path, name)) {
		int fd = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);

		if (fd < 0)
			apply_note_trouble(a);
		close(dir);
		dir = fd;
		*opaque = *opaque || (*path != '\0' && dir >= 0 && apply_is_opaque(a, dir));
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

int apply_append(struct strata_buf *b, const char *text, size_t len, struct strata_err *err)
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
	status = apply_append(&rest, target, (size_t)len, err);
	if (status == 0)
		status = apply_append(&rest, "/", 1, err);
	if (status == 0)
		status = apply_append(&rest, left, strlen(left), err);
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

	if (before > 0 && apply_append(r->done, "/", 1, err) < 0)
		return -1;
	if (apply_append(r->done, name, strlen(name), err) < 0)
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

/* "..": what is missing on the way up has to be there as well. */
static int leave_dir(struct strata_apply *a, struct strata_buf *done, bool make,
                     struct strata_err *err)
{
	struct apply_found found = {.fd = -1};
	cleanup_fd int fd = -1;
	bool there;

	done->data[done->len] = '\0';
	there = !make || done->len == 0 ||
	        (apply_look_up(a, a->layer + 1, done->data, &found) && S_ISDIR(found.st.st_mode));
	if (found.fd >= 0)
		close(found.fd);
	if (!there) {
		fd = apply_ensure(a, done->data, err);
		if (fd < 0)
			return -1;
	}
	go_up(done);
	return 0;
}

int apply_resolve(struct strata_apply *a, const char *path, bool make, struct strata_buf *done,
                  struct strata_err *err)
{
	struct resolving r = {.done = done};
	char name[APPLY_NAME_MAX + 1];
	const char *left;
	int status = 0;

	done->len = 0;
	if (apply_append(done, "", 0, err) < 0 ||
	    apply_append(&r.rest, path, strlen(path), err) < 0) {
		strata_buf_free(&r.rest);
		return -1;
	}
	left = r.rest.data;
	while (status == 0 && apply_next_name(&left, name)) {
		if (strcmp(name, "..") == 0)
			status = leave_dir(a, done, make, err);
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
