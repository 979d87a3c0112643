#include "core/fs/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/dir_internal.h"
#include "core/fs/resolve.h"

#define MAX_PATH 4096

/* ---- life -------------------------------------------------------------- */

static struct strata_dir *new_dir(const char *name, struct strata_err *err)
{
	struct strata_dir *dir = calloc(1, sizeof(*dir));

	if (dir == NULL || (dir->name = strdup(name)) == NULL) {
		free(dir);
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&dir->refs, 1);
	dir->fd = -1;
	dir->parent_fd = -1;
	dir->journal.owner = getpid();
	return dir;
}

struct strata_dir *strata_dir_ref(struct strata_dir *dir)
{
	atomic_fetch_add(&dir->refs, 1);
	return dir;
}

void strata_dir_unref(struct strata_dir *dir)
{
	if (dir == NULL || atomic_fetch_sub(&dir->refs, 1) != 1)
		return;
	strata_dir_keep(dir);
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

const char *strata_split_path(const char *path, char **parent)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		*parent = strdup(".");
	else
		*parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (*parent == NULL)
		return NULL;
	return slash ? slash + 1 : path;
}

/* Fills own_name, parent_fd and fd; what exists already is not ours. */
static int make(struct strata_dir *dir, const char *name, struct strata_err *err)
{
	bool made = mkdirat(dir->parent_fd, name, 0755) == 0;

	if (!made && errno != EEXIST)
		return strata_fail_errno(err, errno, "%s", dir->name);
	dir->fd = openat(dir->parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0 ||
	    (made && (fstat(dir->fd, &dir->made) < 0 || (dir->own_name = strdup(name)) == NULL))) {
		strata_fail_errno(err, errno, "%s", dir->name);
		if (made)
			unlinkat(dir->parent_fd, name, AT_REMOVEDIR);
		return -1;
	}
	if (!made) {
		close(dir->parent_fd);
		dir->parent_fd = -1;
	}
	return 0;
}

/* A copy of path without slashes at its end; to be freed. */
static char *without_slashes(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return strndup(path, len);
}

struct strata_dir *strata_dir_make(const char *path, struct strata_err *err)
{
	cleanup_free char *plain = without_slashes(path);
	cleanup_free char *parent = NULL;
	const char *name = plain ? strata_split_path(plain, &parent) : NULL;
	cleanup_dir struct strata_dir *dir = NULL;

	if (name == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		dir = strata_dir_open(path, err); /* "/", ".": there, or wrong */
	} else if ((dir = new_dir(path, err)) != NULL) {
		dir->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir->parent_fd < 0 && errno == EACCES)
			dir->parent_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir->parent_fd < 0) {
			strata_fail_errno(err, errno, "%s", path);
			return NULL;
		}
		if (make(dir, name, err) < 0)
			return NULL;
	}
	if (dir != NULL)
		dir->writable = true;
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

/* A descriptor, or -1 with *err filled. */
static int open_inside(const struct strata_dir *dir, const char *path, int flags,
                       struct strata_err *err)
{
	int fd = strata_resolve_beneath(dir->fd, path, flags);

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
	cleanup_fd int fd = strata_resolve_beneath(dir->fd, path, O_PATH);

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

int strata_dir_parent(const struct strata_dir *dir, const char *path, int flags)
{
	char parent[MAX_PATH] = "."; /* undoing is also for when there is no memory */
	const char *slash = strrchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;

	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	if (len > 0) {
		memcpy(parent, path, len);
		parent[len] = '\0';
	}
	return strata_resolve_beneath(dir->fd, parent, flags | O_DIRECTORY);
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

/* Makes one directory unless it is there; its parent is. */
static int make_inside(struct strata_dir *dir, const char *path, struct strata_err *err)
{
	cleanup_free char *parent = NULL;
	const char *name = strata_split_path(path, &parent);
	cleanup_fd int fd =
	        name ? strata_resolve_beneath(dir->fd, parent, O_PATH | O_DIRECTORY) : -ENOMEM;
	struct stat st;

	if (fd < 0)
		return fail_at(dir, path, -fd, err);
	if (mkdirat(fd, name, 0755) < 0)
		return errno == EEXIST ? 0 : fail_at(dir, path, errno, err);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int errnum = errno;

		unlinkat(fd, name, AT_REMOVEDIR);
		return fail_at(dir, path, errnum, err);
	}
	if (strata_undo_directory(&dir->journal, path, &st, err) < 0) {
		unlinkat(fd, name, AT_REMOVEDIR);
		return -1;
	}
	return 0;
}

/* Opens the directory that a plain path stands in, making what is missing. */
static int make_parents(struct strata_dir *dir, char *path, struct strata_err *err)
{
	int fd = strata_dir_parent(dir, path, O_RDONLY);

	if (fd == -EACCES)
		fd = strata_dir_parent(dir, path, O_PATH);
	if (fd >= 0)
		return fd;
	if (fd != -ENOENT)
		return fail_at(dir, path, -fd, err);
	for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int rc;

		*slash = '\0';
		rc = make_inside(dir, path, err);
		*slash = '/';
		if (rc < 0)
			return -1;
	}
	fd = strata_dir_parent(dir, path, O_RDONLY);
	return fd >= 0 ? fd : fail_at(dir, path, -fd, err);
}

struct strata_file *strata_dir_create(struct strata_dir *dir, const char *path,
                                      struct strata_err *err)
{
	cleanup_free char *plain = NULL;
	cleanup_free char *label = NULL;
	cleanup_fd int fd = -1;
	const char *name;
	struct strata_file *f;
	struct stat st;

	if (!dir->writable) {
		strata_fail(err, "EINVAL", "%s: was opened for reading", dir->name);
		return NULL;
	}
	plain = plain_path(dir, path, err);
	if (plain == NULL)
		return NULL;
	label = label_of(dir, plain);
	if (label == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	fd = make_parents(dir, plain, err);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_ino != dir->swept) {
		strata_remove_dead_temp_names(fd);
		dir->swept = st.st_ino;
	}
	name = strrchr(plain, '/') ? strrchr(plain, '/') + 1 : plain;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
		strata_fail(err, "ELOOP", "%s: a symbolic link is in the way", label);
		return NULL;
	}
	f = strata_output_open(strata_steal_fd(&fd), name, label, err);
	if (f == NULL)
		return NULL;
	f->output->dir = strata_dir_ref(dir);
	f->output->path = steal_pointer(&plain);
	return f;
}

int strata_dir_remove(struct strata_dir *dir, const char *path, struct strata_err *err)
{
	cleanup_free char *plain = NULL;
	cleanup_fd int fd = -1;

	if (!dir->writable)
		return strata_fail(err, "EINVAL", "%s: was opened for reading", dir->name);
	plain = plain_path(dir, path, err);
	if (plain == NULL)
		return -1;
	fd = strata_dir_parent(dir, plain, O_RDONLY);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fail_at(dir, plain, -fd, err);
	if (unlinkat(fd, strrchr(plain, '/') ? strrchr(plain, '/') + 1 : plain, 0) < 0 &&
	    errno != ENOENT)
		return fail_at(dir, plain, errno, err);
	return 0;
}

/* Some file systems cannot sync a directory: then there is nothing to be done. */
static int sync_fd(int fd)
{
	return fsync(fd) < 0 && errno != EINVAL && errno != EBADF ? -errno : 0;
}

int strata_dir_sync(struct strata_dir *dir, struct strata_err *err)
{
	int rc = sync_fd(dir->fd);

	if (rc == 0 && dir->parent_fd >= 0)
		rc = sync_fd(dir->parent_fd);
	for (size_t i = 0; rc == 0 && i < dir->journal.n; i++) {
		const struct strata_record *record = &dir->journal.records[i];
		cleanup_fd int fd = -1;

		if (!record->directory)
			continue;
		fd = strata_dir_parent(dir, record->path, O_RDONLY);
		rc = fd < 0 ? fd : sync_fd(fd);
	}
	return rc < 0 ? strata_fail_errno(err, -rc, "%s: fsync", dir->name) : 0;
}

int strata_dir_undo(struct strata_dir *dir, struct strata_err *err)
{
	return strata_undo_run(dir, err);
}

void strata_dir_keep(struct strata_dir *dir)
{
	strata_undo_forget(dir);
	if (dir->parent_fd >= 0)
		close(dir->parent_fd);
	dir->parent_fd = -1;
}
