#include "core/fs/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/file_internal.h"
#include "core/fs/resolve.h"

#define MAX_PATH 4096

struct strata_dir {
	int fd; /* -1: the directory is not there yet */
	bool writable;
	char *name;

	/* Of a directory that was not there when it was opened: */
	int parent_fd; /* -1 otherwise */
	char *own_name;
};

/* ---- life -------------------------------------------------------------- */

static struct strata_dir *new_dir(const char *name, struct strata_err *err)
{
	struct strata_dir *dir = calloc(1, sizeof(*dir));

	if (dir == NULL || (dir->name = strdup(name)) == NULL) {
		free(dir);
		strata_fail_nomem(err);
		return NULL;
	}
	dir->fd = -1;
	dir->parent_fd = -1;
	return dir;
}

void strata_dir_free(struct strata_dir *dir)
{
	if (dir == NULL)
		return;
	if (dir->fd >= 0)
		close(dir->fd);
	if (dir->parent_fd >= 0)
		close(dir->parent_fd);
	free(dir->own_name);
	free(dir->name);
	free(dir);
}

const char *strata_dir_name(const struct strata_dir *dir)
{
	return dir->name;
}

bool strata_dir_same(const struct strata_dir *a, const struct strata_dir *b)
{
	struct stat one, other;

	return fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

struct strata_dir *strata_dir_open(const char *path, struct strata_err *err)
{
	cleanup_dir struct strata_dir *dir = new_dir(path, err);

	if (dir == NULL)
		return NULL;
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	return steal_pointer(&dir);
}

/* A copy of path without slashes at its end; to be freed. */
static char *without_slashes(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return strndup(path, len);
}

/* Remembers where the directory is to be made. */
static int prepare(struct strata_dir *dir, const char *path, struct strata_err *err)
{
	cleanup_free char *plain = without_slashes(path);
	cleanup_free char *parent = NULL;
	struct stat st;

	dir->own_name = plain != NULL ? strata_split_path(plain, &parent) : NULL;
	if (dir->own_name == NULL)
		return strata_fail_nomem(err);
	if (dir->own_name[0] == '\0' || strcmp(dir->own_name, ".") == 0 ||
	    strcmp(dir->own_name, "..") == 0)
		return strata_fail_errno(err, ENOENT, "%s", path);
	dir->parent_fd = strata_open_directory(parent);
	if (dir->parent_fd < 0)
		return strata_fail_errno(err, errno, "%s", path);
	/* A link to nowhere is no place for a directory. */
	if (fstatat(dir->parent_fd, dir->own_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return strata_fail_errno(err, ENOENT, "%s", path);
	/* Early, before there is work to be lost. A sandbox may refuse to tell (EPERM). */
	if (faccessat(dir->parent_fd, ".", W_OK | X_OK, AT_EACCESS) < 0 &&
	    (errno == EACCES || errno == EROFS))
		return strata_fail_errno(err, errno, "%s", path);
	return 0;
}

struct strata_dir *strata_dir_make(const char *path, struct strata_err *err)
{
	cleanup_dir struct strata_dir *dir = new_dir(path, err);

	if (dir == NULL)
		return NULL;
	dir->writable = true;
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0 && errno != ENOENT) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	if (dir->fd < 0 && prepare(dir, path, err) < 0)
		return NULL;
	return steal_pointer(&dir);
}

/* ---- reading ----------------------------------------------------------- */

/* What messages call a file inside; its name comes from input. NULL: no memory. */
static char *label_of(const struct strata_dir *dir, const char *path)
{
	size_t len = strlen(dir->name);
	char *label = NULL;

	if (asprintf(&label, "%s%s%s", dir->name, len > 0 && dir->name[len - 1] == '/' ? "" : "/",
	             path) < 0)
		return NULL;
	for (char *p = label + len; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return label;
}

static int fail_at(const struct strata_dir *dir, const char *path, int errnum,
                   struct strata_err *err)
{
	cleanup_free char *label = label_of(dir, path);

	if (label == NULL)
		return strata_fail_nomem(err);
	if (errnum == EXDEV)
		return strata_fail(err, "EXDEV", "%s: leads out of the directory", label);
	if (errnum == ELOOP)
		return strata_fail(err, "ELOOP", "%s: a loop of symbolic links, or a magic one",
		                   label);
	return strata_fail_errno(err, errnum, "%s", label);
}

/* A descriptor, or a negative errno. */
static int resolve(const struct strata_dir *dir, const char *path, int flags)
{
	return dir->fd < 0 ? -ENOENT : strata_resolve_beneath(dir->fd, path, flags);
}

/* A descriptor, or -1 with *err filled. */
static int open_inside(const struct strata_dir *dir, const char *path, int flags,
                       struct strata_err *err)
{
	int fd = resolve(dir, path, flags);

	return fd >= 0 ? fd : fail_at(dir, path, -fd, err);
}

int strata_dir_stat(const struct strata_dir *dir, const char *path, struct stat *st,
                    struct strata_err *err)
{
	cleanup_fd int fd = open_inside(dir, path, O_PATH, err);

	if (fd < 0)
		return -1;
	return fstat(fd, st) < 0 ? fail_at(dir, path, errno, err) : 0;
}

int strata_dir_exists(const struct strata_dir *dir, const char *path, struct strata_err *err)
{
	cleanup_fd int fd = resolve(dir, path, O_PATH);

	if (fd == -ENOENT)
		return 0;
	return fd < 0 ? fail_at(dir, path, -fd, err) : 1;
}

struct strata_file *strata_dir_file(const struct strata_dir *dir, const char *path,
                                    struct strata_err *err)
{
	cleanup_free char *label = label_of(dir, path);
	cleanup_fd int fd = -1;
	struct strata_file *f;
	struct stat st;

	if (label == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	/* A look before: to open a device or a FIFO may do something to others. */
	if (strata_dir_stat(dir, path, &st, err) < 0 || strata_check_regular(&st, label, err) < 0)
		return NULL;
	fd = open_inside(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, err);
	if (fd < 0)
		return NULL;
	f = strata_file_adopt(fd, label, err);
	if (f != NULL)
		strata_steal_fd(&fd);
	return f;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sort_names(const struct strata_buf *unsorted, size_t n, struct strata_buf *names,
                      struct strata_err *err)
{
	cleanup_free char **list = strata_reallocarray(NULL, n, sizeof(*list));
	char *at = unsorted->data;

	if (list == NULL)
		return strata_fail_nomem(err);
	for (size_t i = 0; i < n; i++, at += strlen(at) + 1)
		list[i] = at;
	qsort(list, n, sizeof(*list), compare_names);
	for (size_t i = 0; i < n; i++)
		if (strata_buf_append(names, list[i], strlen(list[i]) + 1, err) < 0)
			return -1;
	return 0;
}

/* Names as the file system gives them; 0 or a negative errno. */
static int read_names(DIR *stream, struct strata_buf *names, size_t *n, struct strata_err *err)
{
	struct dirent *entry;

	for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (strata_buf_append(names, entry->d_name, strlen(entry->d_name) + 1, err) < 0)
			return -ENOMEM;
		++*n;
	}
	return -errno;
}

int strata_dir_list(const struct strata_dir *dir, const char *path, struct strata_buf *names,
                    struct strata_err *err)
{
	cleanup_buf struct strata_buf unsorted = {0};
	int fd = open_inside(dir, path, O_RDONLY | O_DIRECTORY, err);
	DIR *stream;
	size_t n = 0;
	int rc;

	if (fd < 0)
		return -1;
	stream = fdopendir(fd);
	if (stream == NULL) {
		rc = errno;
		close(fd);
		return fail_at(dir, path, rc, err);
	}
	rc = read_names(stream, &unsorted, &n, err);
	closedir(stream);
	if (rc < 0)
		return fail_at(dir, path, -rc, err);
	return sort_names(&unsorted, n, names, err);
}

/* ---- writing ----------------------------------------------------------- */

static const char *last_component(const char *plain)
{
	const char *slash = strrchr(plain, '/');

	return slash != NULL ? slash + 1 : plain;
}

/* Opens the directory that a plain path stands in. A descriptor, or a negative errno. */
static int open_parent(const struct strata_dir *dir, const char *plain)
{
	cleanup_free char *parent = NULL;
	cleanup_free char *name = strata_split_path(plain, &parent);
	int fd;

	if (name == NULL)
		return -ENOMEM;
	fd = resolve(dir, parent, O_RDONLY | O_DIRECTORY);
	return fd == -EACCES ? resolve(dir, parent, O_PATH | O_DIRECTORY) : fd;
}

/*
 * path without empty components and "."; the last one must name something.
 * ".." is refused: below links it would not be what it looks like.
 */
static char *plain_path(const struct strata_dir *dir, const char *path, struct strata_err *err)
{
	size_t len = strlen(path), n = 0;
	char *plain = malloc(len + 1);
	int wrong = len == 0 ? ENOENT : len >= MAX_PATH ? ENAMETOOLONG : path[0] == '/' ? EXDEV : 0;

	if (plain == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	for (size_t i = 0, part; i < len && wrong == 0; i += part + 1) {
		part = strcspn(path + i, "/");
		if (part == 2 && path[i] == '.' && path[i + 1] == '.')
			wrong = EXDEV;
		else if (i + part == len - 1 || (i + part == len && path[i] == '.' && part == 1))
			wrong = EISDIR;
		if (part == 0 || (part == 1 && path[i] == '.'))
			continue;
		if (n > 0)
			plain[n++] = '/';
		memcpy(plain + n, path + i, part);
		n += part;
	}
	plain[n] = '\0';
	if (wrong == 0)
		return plain;
	free(plain);
	fail_at(dir, path, wrong, err);
	return NULL;
}

/* Makes the directory itself, unless somebody else has meanwhile. 1 when it was made, 0, or -1. */
static int make_top(struct strata_dir *dir, struct strata_err *err)
{
	int made = mkdirat(dir->parent_fd, dir->own_name, 0755) == 0;
	int errnum = made || errno == EEXIST ? 0 : errno;

	if (errnum == 0) {
		dir->fd = openat(dir->parent_fd, dir->own_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		errnum = dir->fd < 0 ? errno : -strata_sync_directory(dir->parent_fd);
	}
	if (errnum == 0)
		return made;
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
	if (made)
		unlinkat(dir->parent_fd, dir->own_name, AT_REMOVEDIR);
	return strata_fail_errno(err, errnum, "%s", dir->name);
}

/* Makes one directory unless it is there; its parent is. */
static int make_inside(const struct strata_dir *dir, const char *plain, struct strata_err *err)
{
	cleanup_fd int fd = open_parent(dir, plain);
	int rc;

	if (fd < 0)
		return fail_at(dir, plain, -fd, err);
	if (mkdirat(fd, last_component(plain), 0755) < 0)
		return errno == EEXIST ? 0 : fail_at(dir, plain, errno, err);
	rc = strata_sync_directory(fd);
	return rc < 0 ? fail_at(dir, plain, -rc, err) : 0;
}

/* Opens the directory that a plain path stands in, making what is missing. */
static int make_parents(const struct strata_dir *dir, char *plain, struct strata_err *err)
{
	int fd = open_parent(dir, plain);

	if (fd == -ENOENT) {
		for (char *slash = strchr(plain, '/'); slash != NULL;
		     slash = strchr(slash + 1, '/')) {
			int rc;

			*slash = '\0';
			rc = make_inside(dir, plain, err);
			*slash = '/';
			if (rc < 0)
				return -1;
		}
		fd = open_parent(dir, plain);
	}
	return fd >= 0 ? fd : fail_at(dir, plain, -fd, err);
}

/* plain_path of a directory that may be written to. */
static char *path_to_write(const struct strata_dir *dir, const char *path, struct strata_err *err)
{
	if (dir->writable)
		return plain_path(dir, path, err);
	strata_fail(err, "EINVAL", "%s: was opened for reading", dir->name);
	return NULL;
}

struct strata_file *strata_dir_create(const struct strata_dir *dir, const char *path,
                                      struct strata_err *err)
{
	cleanup_free char *plain = path_to_write(dir, path, err);
	cleanup_free char *label = plain != NULL ? label_of(dir, plain) : NULL;
	const char *name;
	struct stat st;
	int fd;

	if (plain == NULL)
		return NULL;
	if (label == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	name = last_component(plain);
	fd = open_parent(dir, plain);
	if (fd == -ENOENT) { /* it is made when the file is published */
		name = NULL;
		fd = fcntl(dir->fd >= 0 ? dir->fd : dir->parent_fd, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0) {
		fail_at(dir, plain, -fd, err);
		return NULL;
	}
	if (name != NULL && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode)) {
		close(fd);
		strata_fail(err, "ELOOP", "%s: a symbolic link is in the way", label);
		return NULL;
	}
	return strata_output_open(fd, name, label, err);
}

int strata_dir_publish(struct strata_dir *dir, struct strata_file *f, const char *path,
                       struct strata_err *err)
{
	cleanup_free char *plain = path_to_write(dir, path, err);
	cleanup_fd int fd = -1;
	int made;

	if (plain == NULL)
		return -1;
	if (f->output == NULL || f->output->target != NULL)
		return strata_fail(err, "EINVAL", "%s: not an output of a directory", f->name);
	made = dir->fd < 0 ? make_top(dir, err) : 0;
	if (made < 0)
		return -1;
	fd = make_parents(dir, plain, err);
	if (fd >= 0 && strata_output_publish(f, fd, last_component(plain), err) == 0)
		return 0;
	if (made > 0 && unlinkat(dir->parent_fd, dir->own_name, AT_REMOVEDIR) == 0) {
		close(dir->fd);
		dir->fd = -1;
	}
	return -1;
}

int strata_dir_remove(const struct strata_dir *dir, const char *path, struct strata_err *err)
{
	cleanup_free char *plain = path_to_write(dir, path, err);
	cleanup_fd int fd = -1;

	if (plain == NULL)
		return -1;
	fd = open_parent(dir, plain);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fail_at(dir, plain, -fd, err);
	if (unlinkat(fd, last_component(plain), 0) < 0 && errno != ENOENT)
		return fail_at(dir, plain, errno, err);
	return 0;
}

/* ---- locking ----------------------------------------------------------- */

#define WAIT_MILLISECONDS 5

int strata_dir_lock(const struct strata_dir *dir, struct strata_err *err)
{
	const struct timespec wait = {.tv_nsec = WAIT_MILLISECONDS * 1000000L};
	int waited = 0;

	while (dir->fd >= 0 && flock(dir->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return 0;
		if (waited >= STRATA_DIR_LOCK_SECONDS * 1000)
			return strata_fail(err, "EBUSY",
			                   "%s: locked by another process for %d seconds",
			                   dir->name, STRATA_DIR_LOCK_SECONDS);
		nanosleep(&wait, NULL);
		waited += WAIT_MILLISECONDS;
	}
	return 0;
}

void strata_dir_unlock(const struct strata_dir *dir)
{
	if (dir->fd >= 0)
		flock(dir->fd, LOCK_UN);
}
