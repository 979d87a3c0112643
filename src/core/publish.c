/* Temporary files, and outputs that appear whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "file_internal.h"
#include "mem.h"

#define RANDOM_NAME_TRIES 100

/* "DIR/.strata-<16 hex digits>", the caller's to free; NULL: no memory. */
static char *random_path(const char *dir)
{
	unsigned long long number = 0;
	char *path = NULL;

	/* Only has to be free, not secret: O_EXCL decides. */
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (unsigned long long)(uintptr_t)&number ^ (unsigned long long)getpid();
	if (asprintf(&path, "%s/.strata-%016llx", dir, number) < 0)
		return NULL;
	return path;
}

/*
 * Opens a file without a name in dir, or where the file system has no
 * O_TMPFILE one with a name, which then goes to *name.
 */
static int open_temp(const char *dir, mode_t mode, char **name)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

	*name = NULL;
	if (fd >= 0 ||
	    (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	for (int i = 0; i < RANDOM_NAME_TRIES; i++) {
		cleanup_free char *path = random_path(dir);

		if (path == NULL) {
			errno = ENOMEM;
			return -1;
		}
		fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
		if (fd >= 0)
			*name = steal_pointer(&path);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

struct strata_file *strata_file_temp(const char *dir, struct strata_err *err)
{
	cleanup_free char *name = NULL;
	cleanup_fd int fd = -1;
	struct strata_file *f;

	if (dir == NULL)
		dir = getenv("TMPDIR");
	if (dir == NULL || dir[0] == '\0')
		dir = "/tmp";
	fd = open_temp(dir, 0600, &name);
	if (fd < 0) {
		strata_fail_errno(err, errno, "temporary file in %s", dir);
		return NULL;
	}
	if (name != NULL)
		unlink(name);
	f = strata_file_wrap(fd, "temporary file", err);
	if (f == NULL)
		return NULL;
	strata_steal_fd(&fd);
	f->writable = true;
	return f;
}

/*
 * The file that `path` names in the end, NULL with errno when it cannot be
 * told. A name that does not exist yet is its own target.
 */
static char *resolve_target(const char *path)
{
	char *target = realpath(path, NULL);

	return target == NULL && errno == ENOENT ? strdup(path) : target;
}

/* The directory part of path, "." when there is none; the caller's to free. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A target that exists must be a regular file; its mode and owner are taken over. */
static int adopt_attributes(int fd, const char *target, struct strata_err *err)
{
	struct stat st;

	if (stat(target, &st) < 0)
		return errno == ENOENT ? 0 : strata_fail_errno(err, errno, "%s", target);
	if (S_ISDIR(st.st_mode))
		return strata_fail_errno(err, EISDIR, "%s", target);
	if (!S_ISREG(st.st_mode))
		return strata_fail(err, "EUNSUPPORTED", "%s: not a regular file", target);
	/* Both may be refused to an ordinary user, who then owns the new file. */
	if (fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return strata_fail_errno(err, errno, "%s: owner", target);
	if (fchmod(fd, st.st_mode & 07777) < 0 && errno != EPERM)
		return strata_fail_errno(err, errno, "%s: mode", target);
	return 0;
}

struct strata_file *strata_file_create(const char *path, struct strata_err *err)
{
	cleanup_free char *target = resolve_target(path);
	cleanup_free char *dir = target ? directory_of(target) : NULL;
	cleanup_free char *name = NULL;
	cleanup_file struct strata_file *f = NULL;
	int fd;

	if (target == NULL || dir == NULL) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	fd = open_temp(dir, 0666, &name); /* less the umask, as any new file */
	if (fd < 0) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	f = strata_file_wrap(fd, path, err);
	if (f == NULL) {
		close(fd);
		if (name != NULL)
			unlink(name);
		return NULL;
	}
	f->writable = true;
	f->owner = getpid();
	f->temp_path = steal_pointer(&name);
	f->target = steal_pointer(&target);
	if (adopt_attributes(fd, f->target, err) < 0)
		return NULL;
	return steal_pointer(&f);
}

/* Gives an unnamed file a random name beside its target: rename needs one. */
static int name_output(struct strata_file *f, const char *dir, struct strata_err *err)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	for (int i = 0; f->temp_path == NULL; i++) {
		cleanup_free char *path = random_path(dir);

		if (path == NULL)
			return strata_fail_nomem(err);
		/* Without /proc only a privileged process can name it. */
		if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ||
		    (errno == ENOENT && linkat(f->fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0))
			f->temp_path = steal_pointer(&path);
		else if (errno != EEXIST || i == RANDOM_NAME_TRIES)
			return strata_fail_errno(err, errno, "%s", f->name);
	}
	return 0;
}

int strata_file_publish(struct strata_file *f, struct strata_err *err)
{
	cleanup_free char *dir = f->target ? directory_of(f->target) : NULL;
	cleanup_fd int dir_fd = -1;

	if (f->target == NULL)
		return strata_fail(err, "EINVAL", "%s: not an output to be published", f->name);
	if (dir == NULL)
		return strata_fail_nomem(err);
	if (fsync(f->fd) < 0)
		return strata_fail_errno(err, errno, "%s: fsync", f->name);
	if (name_output(f, dir, err) < 0)
		return -1;
	if (rename(f->temp_path, f->target) < 0)
		return strata_fail_errno(err, errno, "%s", f->name);
	free(steal_pointer(&f->temp_path));
	free(steal_pointer(&f->target)); /* published once */
	/* The name is there; that it survives a power cut needs the directory on disk. */
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd >= 0)
		fsync(dir_fd);
	return 0;
}
