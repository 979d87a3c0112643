/* One entry: what it replaces goes, then it is made anew. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/apply/internal.h"
#include "core/layer/path.h"
#include "core/apply/overlay.h"
#include "core/fs/resolve.h"

#define MAX_NAME 255

/* A link may name a link that may name a link ... so far. */
#define LATE_PASSES 40

/* Something new in a->dir that this layer has made. */
static int mark(struct strata_apply *a, const char *name, struct strata_err *err)
{
	a->dir.dirty = true;
	a->dir.stale = a->dir.stale || a->dir.linked;
	return a->dir.clean ? 0 : apply_mark_made(a, &a->dir.st, name, err);
}

/* ---- directories -------------------------------------------------------- */

static int apply_root(struct strata_apply *a, struct strata_err *err)
{
	if (apply_leave(a, err) < 0)
		return -1;
	a->root_told = true;
	return apply_meta_fd(a, a->root, true, true, err);
}

/* Opens the directory, new or as it is. */
static int open_made(struct strata_apply *a, const char *name, bool *existing,
                     struct strata_err *err)
{
	bool cleared = false;
	int fd;

	for (int tries = 0; tries < 3; tries++) {
		*existing = mkdirat(a->dir.fd, name, 0700) < 0;
		if (*existing && errno != EEXIST)
			break;
		fd = openat(a->dir.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			/* What was here has hidden what is in lower layers. */
			if (!cleared || !a->options.overlay || apply_set_opaque(a, fd, err) == 0)
				return fd;
			close(fd);
			return -1;
		}
		if (errno != ENOTDIR && errno != ELOOP)
			break;
		if (apply_clear_way(a, name, err) < 0)
			return -1;
		cleared = true;
	}
	return strata_fail_errno(err, errno, "cannot make the directory");
}

static int apply_dir(struct strata_apply *a, const char *name, struct strata_err *err)
{
	bool existing;
	struct stat st;
	cleanup_fd int fd = open_made(a, name, &existing, err);

	if (fd < 0)
		return -1;
	if (!existing && (fstat(fd, &st) < 0 || apply_mark_clean(a, &st, err) < 0))
		return strata_fail_errno(err, errno, "cannot look at the directory");
	if (existing && !a->dir.clean && apply_mark_made(a, &a->dir.st, name, err) < 0)
		return -1;
	if (!existing && mark(a, name, err) < 0)
		return -1;
	if (a->options.overlay &&
	    (fstat(fd, &st) < 0 || apply_mark_made(a, &st, APPLY_TOLD, err) < 0))
		return strata_fail_errno(err, errno, "cannot look at the directory");
	return apply_meta_fd(a, fd, true, existing, err);
}

/* ---- everything else ---------------------------------------------------- */

/* A descriptor of a file, 0 for anything else, or a negative errno. */
static int try_make(struct strata_apply *a, const struct strata_tar_header *h, const char *name,
                    const char *linkpath)
{
	int dir = a->dir.fd, rc;

	switch (h->typeflag) {
	case '2':
		rc = symlinkat(linkpath, dir, name);
		break;
	case '3':
	case '4':
		rc = mknodat(dir, name, (h->typeflag == '3' ? S_IFCHR : S_IFBLK) | 0600,
		             makedev(h->devmajor, h->devminor));
		break;
	case '6':
		rc = mkfifoat(dir, name, 0600);
		break;
	default:
		rc = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		break;
	}
	return rc < 0 ? -errno : rc;
}

static int make(struct strata_apply *a, const struct strata_tar_header *h, const char *name,
                const char *linkpath, struct strata_err *err)
{
	int rc = try_make(a, h, name, linkpath);

	/* Another process that makes it again and again does not keep us here. */
	for (int tries = 0; rc == -EEXIST && tries < 3; tries++) {
		if (apply_clear_way(a, name, err) < 0)
			return -1;
		rc = try_make(a, h, name, linkpath);
	}
	if (rc >= 0)
		return rc;
	if (rc == -EPERM && (h->typeflag == '3' || h->typeflag == '4'))
		return apply_note(a, "device", NULL, EPERM, err) < 0 ? -1 : -2;
	return strata_fail_errno(err, -rc, "cannot make it");
}

static int apply_node(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                      size_t raw_len, const char *name, struct strata_err *err)
{
	bool is_file = !strata_tar_header_only(h->typeflag);
	cleanup_buf struct strata_buf linkpath = {0};
	int fd;

	/* There it would be a whiteout. */
	if (a->options.overlay && h->typeflag == '3' && h->devmajor == 0 && h->devminor == 0)
		return apply_note(a, "device", NULL, ENOTSUP, err);
	if (h->typeflag == '2' &&
	    (strata_buf_append(&linkpath, h->linkpath, h->linkpath_len, err) < 0 ||
	     strata_buf_append(&linkpath, "", 1, err) < 0))
		return -1;
	fd = make(a, h, name, linkpath.data, err);
	if (fd < 0)
		return fd == -2 ? 0 : -1;
	if (is_file && apply_content_begin(a, fd, h, raw, raw_len, err) < 0)
		return -1;
	if (mark(a, name, err) < 0)
		return -1;
	return is_file ? 0 : apply_meta_name(a, name, h->typeflag == '2', err);
}

/* ---- hardlinks ---------------------------------------------------------- */

static bool is_same(int dir, const char *name, int other_dir, const char *other)
{
	struct stat one, two;

	return fstatat(dir, name, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(other_dir, other, &two, AT_SYMLINK_NOFOLLOW) == 0 &&
	       one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Opens the directory that a link's target is in; `own`: in overlay mode, it is in this layer. */
static int open_parent(struct strata_apply *a, const char *path, size_t base, bool *own,
                       struct strata_err *err)
{
	cleanup_buf struct strata_buf parent = {0};

	if ((base > 0 && strata_buf_append(&parent, path, base - 1, err) < 0) ||
	    strata_buf_append(&parent, "", 1, err) < 0)
		return -ECANCELED;
	if (a->options.overlay && a->layer > 0)
		return apply_overlay_target(a, parent.data, path + base, own, err);
	return strata_resolve_in_root(a->root, base > 0 ? parent.data : ".", O_PATH | O_DIRECTORY);
}

/* In the place of a name: an empty file that stands for a link without one, until that comes. */
#define HELD "/held"

/* What is at a name in that directory; 1: nothing, or a directory that may be replaced yet. */
static int find_target(struct strata_apply *a, int from, const char *target, bool late,
                       struct stat *st, struct strata_err *err)
{
	if (fstatat(from, target, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1
		                       : strata_fail_errno(err, errno, "cannot look at its target");
	if (!S_ISDIR(st->st_mode))
		return st->st_size == 0 && st->st_nlink == 1 && apply_is_made(a, st, HELD);
	return late ? strata_fail(err, "EFORMAT", "a hardlink to a directory") : 1;
}

/* Makes the name in a->dir one of that file. 1: it is gone with what stood in the way. */
static int link_from(struct strata_apply *a, int from, const char *target, const char *name,
                     struct strata_err *err)
{
	if (linkat(from, target, a->dir.fd, name, 0) == 0)
		return mark(a, name, err);
	if (errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot link");
	if (is_same(from, target, a->dir.fd, name))
		return mark(a, name, err);
	if (apply_clear_way(a, name, err) < 0)
		return -1;
	if (linkat(from, target, a->dir.fd, name, 0) < 0)
		return errno == ENOENT ? 1 : strata_fail_errno(err, errno, "cannot link");
	return mark(a, name, err);
}

/* In the place of a name: the file is of a lower layer, whatever names this one gives it. */
#define LOWER "/lower"

/* True for a file that this layer may have another one for yet. */
static bool is_lower(const struct strata_apply *a, int from, bool own, const char *target,
                     const struct stat *st)
{
	struct stat dir;

	if (a->fresh && a->layer == 0)
		return false;
	if (apply_is_made(a, st, LOWER))
		return true;
	if (a->options.overlay)
		return !own;
	return fstat(from, &dir) < 0 ||
	       (!apply_is_clean(a, &dir) && !apply_is_made(a, &dir, target));
}

/* As open_parent; 1 when there is none, and nothing to be closed. -1: failed. */
static int open_target_parent(struct strata_apply *a, const char *path, size_t base, int *fd,
                              bool *own, struct strata_err *err)
{
	*fd = open_parent(a, path, base, own, err);
	if (*fd >= 0)
		return 0;
	if (apply_is_absent(*fd))
		return 1;
	return *fd == -ECANCELED
	               ? -1
	               : strata_fail_errno(err, -*fd, "cannot open the directory of its target");
}

/* 1 when the link has replaced what its target was in, or was reached through. */
static int is_hidden(struct strata_apply *a, const char *target, size_t base,
                     struct strata_err *err)
{
	cleanup_fd int fd = -1;
	bool own;

	if (!a->dir.stale && (!a->options.overlay || a->layer == 0))
		return 0;
	return open_target_parent(a, target, base, &fd, &own, err);
}

/*
 * Links a->path to its target. 1: there is nothing to link to. The link is as it
 * was made before, when it is made again; `changed`: it is another file's now.
 */
static int link_to(struct strata_apply *a, struct apply_link *link, const char *target, bool late,
                   bool *changed, struct strata_err *err)
{
	const char *name = a->path.data + apply_base(&a->path);
	const char *slash = strrchr(target, '/');
	size_t base = slash != NULL ? (size_t)(slash - target) + 1 : 0;
	cleanup_fd int from = -1;
	bool own = true;
	struct stat st;
	int status = open_target_parent(a, target, base, &from, &own, err);

	*changed = false;
	if (status != 0)
		return status;
	status = find_target(a, from, target + base, late && !link->found, &st, err);
	if (status != 0 || (st.st_ino == link->ino && st.st_dev == link->dev))
		return status;
	link->lower = is_lower(a, from, own, target + base, &st);
	if (link->lower && apply_mark_made(a, &st, LOWER, err) < 0)
		return -1;
	status = link_from(a, from, target + base, name, err);
	if (status == 0)
		status = is_hidden(a, target, base, err);
	if (status == 0) {
		link->dev = st.st_dev;
		link->ino = st.st_ino;
		link->found = true;
		*changed = true;
	}
	return status;
}

static int keep_link(struct strata_apply *a, struct apply_link *link, const char *target,
                     struct strata_err *err)
{
	struct apply_link *grown = strata_reallocarray(a->links, a->link_count + 1, sizeof(*grown));

	if (grown == NULL)
		return strata_fail_nomem(err);
	a->links = grown;
	link->path = a->arena.len;
	link->number = a->number;
	if (strata_buf_append(&a->arena, a->path.data, a->path.len + 1, err) < 0)
		return -1;
	link->target = a->arena.len;
	if (strata_buf_append(&a->arena, target, strlen(target) + 1, err) < 0)
		return -1;
	grown[a->link_count++] = *link;
	return 0;
}

/* The name is the link's, though there is no file yet: what is there then is of another entry. */
static int hold_place(struct strata_apply *a, struct apply_link *link, const char *name,
                      struct strata_err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (apply_clear_way(a, name, err) < 0)
		return -1;
	fd = openat(a->dir.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot make it");
	link->dev = st.st_dev;
	link->ino = st.st_ino;
	link->dir_dev = a->dir.st.st_dev;
	link->dir_ino = a->dir.st.st_ino;
	return apply_mark_made(a, &st, HELD, err) < 0 ? -1 : mark(a, name, err);
}

static int apply_link(struct strata_apply *a, const struct strata_tar_header *h,
                      struct strata_err *err)
{
	cleanup_free char *target = malloc(h->linkpath_len + 2);
	size_t base = apply_base(&a->path);
	struct apply_link link = {0};
	bool changed;
	int status;

	if (target == NULL)
		return strata_fail_nomem(err);
	if (h->linkpath_len == 0)
		return strata_fail(err, "EFORMAT", "a hardlink to nothing");
	target[strata_path_normalise(h->linkpath, h->linkpath_len, target)] = '\0';
	if (strcmp(target, ".") == 0)
		return strata_fail(err, "EFORMAT", "a hardlink to the root");
	if (apply_enter(a, a->path.data, base > 0 ? base - 1 : 0, true, err) < 0)
		return -1;
	status = link_to(a, &link, target, false, &changed, err);
	if (status < 0)
		return -1;
	if (status == 1 && hold_place(a, &link, a->path.data + base, err) < 0)
		return -1;
	return status == 1 || link.lower ? keep_link(a, &link, target, err) : 0;
}

/* 1 when the link, or what stands for it, is as it was left. */
static int is_left(const struct strata_apply *a, const struct apply_link *link, const char *name,
                   struct strata_err *err)
{
	struct stat st;

	if (fstatat(a->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : strata_fail_errno(err, errno, "cannot look at it");
	return st.st_ino == link->ino && st.st_dev == link->dev;
}

/*
 * What stands for a link is still there, in a directory to which its path does not lead any more: a
 * symlink on the way has been replaced.
 */
static bool is_out_of_reach(const struct strata_apply *a, const struct apply_link *link)
{
	return !link->found &&
	       (a->dir.st.st_ino != link->dir_ino || a->dir.st.st_dev != link->dir_dev);
}

/* Makes a link again: 1 when that has changed anything. */
static int link_again(struct strata_apply *a, struct apply_link *link, struct strata_err *err)
{
	const char *path = a->arena.data + link->path;
	size_t base;
	bool changed;
	int status;

	a->number = link->number;
	a->path.len = 0;
	if (strata_buf_append(&a->path, path, strlen(path) + 1, err) < 0)
		return -1;
	a->path.len--;
	base = apply_base(&a->path);
	status = apply_enter(a, a->path.data, base > 0 ? base - 1 : 0, false, err);
	if (status < 0)
		return -1;
	if (status == 1)
		return 0;
	if (is_out_of_reach(a, link))
		return strata_fail(
		        err, "EFORMAT",
		        "a hardlink whose directory is another one when its target comes");
	status = is_left(a, link, a->path.data + base, err);
	if (status <= 0) {
		link->done = true; /* another entry has taken its place */
		return status;
	}
	status = link_to(a, link, a->arena.data + link->target, true, &changed, err);
	return status < 0 ? -1 : changed;
}

/* The first link that has come to nothing. */
static int report_link(struct strata_apply *a, struct strata_err *err)
{
	for (size_t i = 0; i < a->link_count; i++) {
		const struct apply_link *link = &a->links[i];
		const char *target = a->arena.data + link->target;
		const char *path = a->arena.data + link->path;
		char quoted[256];

		if (link->done || link->found)
			continue;
		a->number = link->number;
		a->path.len = 0;
		if (strata_buf_append(&a->path, path, strlen(path) + 1, err) < 0)
			return -1;
		a->path.len--;
		if (a->trouble != 0)
			return strata_fail_errno(err, a->trouble, "cannot look for its target");
		return strata_fail(err, "ENOENT", "a hardlink to %s, which is not there",
		                   strata_quote(quoted, sizeof(quoted), target, strlen(target)));
	}
	return 0;
}

int apply_late_links(struct strata_apply *a, struct strata_err *err)
{
	bool progress = a->link_count > 0;

	for (int pass = 0; progress && pass < LATE_PASSES; pass++) {
		progress = false;
		for (size_t i = 0; i < a->link_count; i++) {
			int status = a->links[i].done ? 0 : link_again(a, &a->links[i], err);

			if (status < 0)
				return -1;
			progress = progress || status > 0;
		}
	}
	if (report_link(a, err) < 0)
		return -1;
	a->link_count = a->arena.len = 0;
	return 0;
}

/* ---- any entry ---------------------------------------------------------- */

static int check_path(const struct strata_buf *path, uint32_t max_depth, struct strata_err *err)
{
	size_t depth = 1, start = 0;

	for (size_t i = 0; i <= path->len; i++) {
		if (i < path->len && path->data[i] != '/')
			continue;
		if (i - start > MAX_NAME)
			return strata_fail(err, "ENAMETOOLONG", "a name of more than %d bytes",
			                   MAX_NAME);
		start = i + 1;
		depth += i < path->len;
	}
	if (depth > max_depth)
		return strata_fail(err, "ELIMIT", "more than limits.depth (%u) directories deep",
		                   max_depth);
	return 0;
}

static int take_path(struct strata_apply *a, const struct strata_tar_header *h,
                     struct strata_err *err)
{
	a->path.len = 0;
	if (strata_buf_reserve(&a->path, h->path_len + 2, err) < 0)
		return -1;
	a->path.len = strata_path_normalise(h->path, h->path_len, a->path.data);
	a->path.data[a->path.len] = '\0';
	return check_path(&a->path, a->options.max_depth, err);
}

static bool is_known(char typeflag)
{
	return typeflag == '\0' || typeflag == 'S' || (typeflag >= '0' && typeflag <= '7');
}

int apply_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                size_t raw_len, struct strata_err *err)
{
	size_t base;
	int status;

	a->number++;
	if (h->typeflag == 'g') {
		a->path.len = 0;
		return strata_buf_append(&a->path, "", 1, err);
	}
	if (take_path(a, h, err) < 0)
		return -1;
	a->result.entries++;
	status = apply_whiteout(a, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	if (!is_known(h->typeflag))
		return strata_fail(err, "EUNSUPPORTED", "of a type that is not known (0x%02x)",
		                   (unsigned char)h->typeflag);
	if (strcmp(a->path.data, ".") == 0 && h->typeflag != '5')
		return strata_fail(err, "EFORMAT", "the root is not a directory");
	if (h->typeflag == '1')
		return apply_link(a, h, err);
	if (apply_take_meta(a, h, err) < 0)
		return -1;
	if (strcmp(a->path.data, ".") == 0)
		return apply_root(a, err);
	base = apply_base(&a->path);
	if (apply_enter(a, a->path.data, base > 0 ? base - 1 : 0, true, err) < 0)
		return -1;
	return h->typeflag == '5' ? apply_dir(a, a->path.data + base, err)
	                          : apply_node(a, h, raw, raw_len, a->path.data + base, err);
}
