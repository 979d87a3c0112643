#include "core/fs/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#include "core/base/buf.h"
#include "core/base/mem.h"

/* The kernel's own limits for one path. */
#define MAX_PATH 4096
#define MAX_LINKS 40

/* Opened on the way: ".." starts over, and links could ask for that for ever. */
#define MAX_STEPS 65536

/* The kernel gives up with EAGAIN when something is renamed while it resolves "..". */
#define RACE_TRIES 16

enum reach { BENEATH, IN_ROOT, PLAIN };

#ifdef SYS_openat2
static int open_by_kernel(int root, const char *path, int flags, enum reach reach)
{
	struct open_how how = {
	        .flags = (unsigned)(flags | O_CLOEXEC),
	        .resolve = (reach == BENEATH ? RESOLVE_BENEATH : RESOLVE_IN_ROOT) |
	                   (reach == PLAIN ? RESOLVE_NO_SYMLINKS : RESOLVE_NO_MAGICLINKS),
	};

	for (int i = 0; i < RACE_TRIES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}
#else
static int open_by_kernel(int root, const char *path, int flags, enum reach reach)
{
	(void)root, (void)path, (void)flags, (void)reach;
	return -ENOSYS;
}
#endif

/* Sandboxes answer EPERM for what they do not know; a real one comes again. */
static bool is_kernel_at_a_loss(int fd)
{
	return fd == -ENOSYS || fd == -EPERM || fd == -EAGAIN;
}

int strata_resolve_beneath(int root, const char *path, int flags)
{
	int fd = open_by_kernel(root, path, flags, BENEATH);

	return is_kernel_at_a_loss(fd) ? strata_resolve_beneath_walk(root, path, flags) : fd;
}

int strata_resolve_in_root(int root, const char *path, int flags)
{
	int fd = open_by_kernel(root, path, flags, IN_ROOT);

	return is_kernel_at_a_loss(fd) ? strata_resolve_in_root_walk(root, path, flags) : fd;
}

int strata_resolve_plain(int root, const char *path, int flags)
{
	int fd = open_by_kernel(root, path, flags, PLAIN);

	return is_kernel_at_a_loss(fd) ? strata_resolve_plain_walk(root, path, flags) : fd;
}

/* ---- without openat2 --------------------------------------------------- */

struct walk {
	int root;
	int fd;                 /* the directory reached, -1: root itself */
	struct strata_buf done; /* how it was reached: names joined by "/", no links, no ".." */
	struct strata_buf rest; /* what is left to go, from `at` */
	size_t at;
	unsigned links;
	unsigned steps;
	bool in_root; /* absolute links and ".." stay in the root */
	bool plain;   /* no link is followed */
	const struct strata_maker *maker;
};

static int at_fd(const struct walk *w)
{
	return w->fd >= 0 ? w->fd : w->root;
}

static void move_to(struct walk *w, int fd)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
}

static int append(struct strata_buf *b, const char *bytes, size_t len)
{
	struct strata_err err;

	return strata_buf_append(b, bytes, len, &err) < 0 ? -ENOMEM : 0;
}

/* What is left becomes first, "/" when that is to be a directory, and what was left. */
static int go_through(struct walk *w, const char *first, size_t len, bool directory)
{
	struct strata_buf rest = {0};
	int rc = append(&rest, first, len);

	if (rc == 0 && directory)
		rc = append(&rest, "/", 1);
	if (rc == 0)
		rc = append(&rest, w->rest.data + w->at, w->rest.len - w->at);
	strata_buf_free(&w->rest);
	w->rest = rest;
	w->at = 0;
	return rc;
}

/* ".." : from the root again, to the parent of where we are. */
static int go_up(struct walk *w)
{
	size_t len = w->done.len;
	int rc;

	if (len == 0)
		return w->in_root ? 0 : -EXDEV;
	while (len > 0 && w->done.data[len - 1] != '/')
		len--;
	rc = len > 0 ? go_through(w, w->done.data, len - 1, true) : 0;
	w->done.len = 0;
	move_to(w, -1);
	return rc;
}

/* Follows the link that `link` is an O_PATH descriptor of. */
static int follow(struct walk *w, int link, bool last)
{
	char target[MAX_PATH];
	struct statfs fs;
	ssize_t len;

	/* On proc a link need not be what its text says. */
	if (fstatfs(link, &fs) < 0)
		return -errno;
	if (fs.f_type == PROC_SUPER_MAGIC || ++w->links > MAX_LINKS)
		return -ELOOP;
	len = readlinkat(link, "", target, sizeof(target));
	if (len < 0)
		return -errno;
	if (len == 0 || len == (ssize_t)sizeof(target))
		return len == 0 ? -ENOENT : -ENAMETOOLONG;
	if (target[0] == '/') {
		if (!w->in_root)
			return -EXDEV;
		w->done.len = 0;
		move_to(w, -1);
	}
	return go_through(w, target, (size_t)len, !last);
}

/* The directory reached, or the end, is the one of that name. */
static int add_name(struct walk *w, const char *name)
{
	int rc = w->done.len > 0 ? append(&w->done, "/", 1) : 0;

	return rc == 0 ? append(&w->done, name, strlen(name)) : rc;
}

/* Into a directory that is no link. */
static int descend(struct walk *w, int *fd, const char *name)
{
	int rc = add_name(w, name);

	if (rc == 0)
		move_to(w, strata_steal_fd(fd));
	return rc;
}

/* True for what the maker does not replace. */
static bool is_fit(const struct walk *w, const char *name, const struct stat *st)
{
	const struct strata_maker *maker = w->maker;

	if (S_ISLNK(st->st_mode))
		return maker->follow == NULL || maker->follow(maker->context, at_fd(w), name);
	return S_ISDIR(st->st_mode);
}

/* O_PATH descriptor of a component; with a maker a missing directory is made. */
static int look_at(struct walk *w, const char *name, struct stat *st)
{
	for (int tries = 0;; tries++) {
		cleanup_fd int fd = openat(at_fd(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		int rc;

		if (fd >= 0 && fstat(fd, st) < 0)
			return -errno;
		if (fd >= 0 && (w->maker == NULL || tries == RACE_TRIES || is_fit(w, name, st)))
			return strata_steal_fd(&fd);
		if (fd < 0 && (w->maker == NULL || tries == RACE_TRIES || errno != ENOENT))
			return -errno;
		rc = w->maker->make(w->maker->context, at_fd(w), name);
		if (rc < 0)
			return rc;
	}
}

/* Goes one component further; the last one, unless it is a link, goes to *opened. */
static int step(struct walk *w, const char *name, bool last, int flags, int *opened)
{
	struct stat st = {0};
	cleanup_fd int fd = look_at(w, name, &st);

	if (fd < 0)
		return fd;
	if (S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW)))
		return w->plain ? -ELOOP : follow(w, fd, last);
	if (!last)
		return S_ISDIR(st.st_mode) ? descend(w, &fd, name) : -ENOTDIR;
	if ((flags & O_DIRECTORY) && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	*opened = (flags & O_PATH) ? strata_steal_fd(&fd)
	                           : openat(at_fd(w), name, flags | O_NOFOLLOW | O_CLOEXEC);
	return *opened < 0 ? -errno : add_name(w, name);
}

/* Takes the next component; at the end *opened is set. */
static int walk_on(struct walk *w, int flags, int *opened)
{
	char name[NAME_MAX + 1];
	const char *start = w->rest.data + w->at;
	size_t left = w->rest.len - w->at;
	const char *slash = left > 0 ? memchr(start, '/', left) : NULL;
	size_t len = slash ? (size_t)(slash - start) : left;

	if (++w->steps > MAX_STEPS)
		return -ELOOP;
	if (left == 0) { /* what came last was "/" or "." or ".." */
		*opened = openat(at_fd(w), ".", flags | O_CLOEXEC);
		return *opened < 0 ? -errno : 0;
	}
	w->at += slash ? len + 1 : len;
	if (len == 0 || (len == 1 && start[0] == '.'))
		return 0;
	if (len == 2 && start[0] == '.' && start[1] == '.')
		return go_up(w);
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, start, len);
	name[len] = '\0';
	return step(w, name, slash == NULL, flags, opened);
}

static int walk_path(struct walk *w, const char *path, int flags)
{
	size_t len = strlen(path);
	int opened = -1, rc;

	if (len == 0 || (path[0] == '/' && !w->in_root))
		return len == 0 ? -ENOENT : -EXDEV;
	if (len >= MAX_PATH)
		return -ENAMETOOLONG;
	rc = append(&w->rest, path, len);
	while (rc == 0 && opened < 0)
		rc = walk_on(w, flags, &opened);
	if (rc == 0 && w->maker != NULL && w->maker->reached != NULL && w->done.len > 0)
		rc = append(w->maker->reached, w->done.data, w->done.len);
	if (rc < 0 && opened >= 0)
		close(opened);
	move_to(w, -1);
	strata_buf_free(&w->done);
	strata_buf_free(&w->rest);
	return rc < 0 ? rc : opened;
}

int strata_resolve_beneath_walk(int root, const char *path, int flags)
{
	struct walk w = {.root = root, .fd = -1};

	return walk_path(&w, path, flags);
}

int strata_resolve_in_root_walk(int root, const char *path, int flags)
{
	struct walk w = {.root = root, .fd = -1, .in_root = true};

	return walk_path(&w, path, flags);
}

int strata_resolve_plain_walk(int root, const char *path, int flags)
{
	struct walk w = {.root = root, .fd = -1, .in_root = true, .plain = true};

	return walk_path(&w, path, flags);
}

int strata_resolve_in_root_make(int root, const char *path, int flags,
                                const struct strata_maker *maker)
{
	struct walk w = {.root = root, .fd = -1, .in_root = true, .maker = maker};

	return walk_path(&w, path, flags | O_DIRECTORY);
}
