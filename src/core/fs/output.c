/* Temporary files, and outputs that appear whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/file.h"
#include "core/fs/file_internal.h"

#define TRIES 100

/* ---- names for a time --------------------------------------------------- */

/* A name that nothing has, ".strata-<16 hex digits>". */
static void random_name(char name[NAME_MAX + 1])
{
	unsigned long long number = 0;

	/* The name has to be free, not secret: O_EXCL and link decide. */
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (unsigned long long)(uintptr_t)&number ^ (unsigned long long)getpid();
	snprintf(name, NAME_MAX + 1, ".strata-%016llx", number);
}

/* The name of a file that is going to be `target`, ".<target>.strata" when that is not too long. */
static void second_name(char name[NAME_MAX + 1], const char *target)
{
	if (target == NULL || snprintf(name, NAME_MAX + 1, ".%s.strata", target) > NAME_MAX)
		random_name(name);
}

/*
 * Locks a file that has a second name, which tells others that its process lives.
 * False: another process has removed the name before. Where the file system has no
 * locks, remove_dead gets none either and removes nothing.
 */
static bool hold(int fd)
{
	struct stat st;

	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return false;
	return fstat(fd, &st) < 0 || st.st_nlink > 0;
}

/*
 * Removes a second name whose process was killed. Nobody removes such a name
 * without the exclusive lock, so between the look and the removal it stays the
 * name of the file that is locked here.
 */
static void remove_dead(int dir_fd, const char *name)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st, named;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_dev == st.st_dev &&
	    named.st_ino == st.st_ino)
		unlinkat(dir_fd, name, 0);
}

/*
 * Opens a file without a name in dir_fd, or where the file system has no O_TMPFILE
 * one with a second name, which then goes to `name` ("" otherwise).
 */
static int open_temp(int dir_fd, const char *target, mode_t mode, char name[NAME_MAX + 1])
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

	name[0] = '\0';
	if (fd >= 0 ||
	    (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	second_name(name, target);
	remove_dead(dir_fd, name);
	for (int i = 0; i < TRIES; i++) {
		fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
		if (fd >= 0 ? hold(fd) : errno != EEXIST)
			return fd;
		if (fd >= 0)
			close(fd);
		random_name(name);
	}
	errno = EEXIST;
	return -1;
}

char *strata_split_path(const char *path, char **parent)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		*parent = strdup(".");
	else
		*parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	return *parent != NULL ? strdup(slash != NULL ? slash + 1 : path) : NULL;
}

int strata_open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == EACCES)
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

int strata_sync_directory(int fd)
{
	/* EBADF: O_PATH. EINVAL: a file system that does not sync directories. */
	return fsync(fd) < 0 && errno != EINVAL && errno != EBADF ? -errno : 0;
}

const char *strata_temp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL && dir[0] != '\0' ? dir : "/tmp";
}

struct strata_file *strata_file_temp(const char *dir, const char *name, struct strata_err *err)
{
	char temp[NAME_MAX + 1];
	cleanup_fd int dir_fd = -1;
	cleanup_fd int fd = -1;
	struct strata_file *f;

	if (dir == NULL || dir[0] == '\0')
		dir = strata_temp_dir();
	dir_fd = strata_open_directory(dir);
	if (dir_fd >= 0)
		fd = open_temp(dir_fd, NULL, 0600, temp);
	if (fd < 0) {
		strata_fail_errno(err, errno, "temporary file in %s", dir);
		return NULL;
	}
	if (temp[0] != '\0')
		unlinkat(dir_fd, temp, 0);
	f = strata_file_wrap(fd, name != NULL ? name : "temporary file", err);
	if (f == NULL)
		return NULL;
	strata_steal_fd(&fd);
	f->writable = true;
	return f;
}

void strata_output_free(struct strata_output *o)
{
	if (o == NULL)
		return;
	/* After a fork the name belongs to the other process. */
	if (o->temp != NULL && o->owner == getpid())
		unlinkat(o->dir_fd, o->temp, 0);
	close(o->dir_fd);
	free(o->target);
	free(o->temp);
	free(o);
}

/*
 * Takes over owner, group and mode. An ordinary user may not give a file away:
 * then the bits that were meant for the other owner or group are left out.
 */
static int adopt_attributes(int fd, const struct stat *st, const char *name, struct strata_err *err)
{
	mode_t mode = st->st_mode & 07777;

	if (fchown(fd, st->st_uid, st->st_gid) < 0) {
		if (errno != EPERM)
			return strata_fail_errno(err, errno, "%s: owner", name);
		mode &= ~(mode_t)S_ISUID;
		if (fchown(fd, (uid_t)-1, st->st_gid) < 0) {
			if (errno != EPERM)
				return strata_fail_errno(err, errno, "%s: group", name);
			mode &= ~(mode_t)(S_ISGID | S_IRWXG);
		}
	}
	if (fchmod(fd, mode) < 0 && errno != EPERM)
		return strata_fail_errno(err, errno, "%s: mode", name);
	return 0;
}

/* A file that is going to be replaced must be a regular one; a link is replaced itself. */
static int become_like(int fd, int dir_fd, const char *like, const char *name,
                       struct strata_err *err)
{
	struct stat st;

	if (like == NULL)
		return 0;
	if (fstatat(dir_fd, like, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : strata_fail_errno(err, errno, "%s", name);
	if (S_ISLNK(st.st_mode))
		return 0;
	if (strata_check_regular(&st, name, err) < 0)
		return -1;
	return adopt_attributes(fd, &st, name, err);
}

/*
 * Opens the file that an output writes to, with the mode of any new file (0666
 * less the umask) when there is none to be like. A descriptor, or -1 with *err
 * filled.
 */
static int open_output(struct strata_output *o, const char *like, const char *name,
                       struct strata_err *err)
{
	char temp[NAME_MAX + 1];
	cleanup_fd int fd = open_temp(o->dir_fd, like, 0666, temp);

	if (fd < 0)
		return strata_fail_errno(err, errno, "%s", name);
	if (temp[0] != '\0' && (o->temp = strdup(temp)) == NULL) {
		unlinkat(o->dir_fd, temp, 0);
		return strata_fail_nomem(err);
	}
	return become_like(fd, o->dir_fd, like, name, err) < 0 ? -1 : strata_steal_fd(&fd);
}

struct strata_file *strata_output_open(int dir_fd, const char *like, const char *name,
                                       struct strata_err *err)
{
	struct strata_output *o = calloc(1, sizeof(*o));
	struct strata_file *f = NULL;
	int fd;

	if (o == NULL) {
		close(dir_fd);
		strata_fail_nomem(err);
		return NULL;
	}
	o->dir_fd = dir_fd;
	o->owner = getpid();
	fd = open_output(o, like, name, err);
	if (fd >= 0)
		f = strata_file_wrap(fd, name, err);
	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		strata_output_free(o);
		return NULL;
	}
	f->writable = true;
	f->output = o;
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

struct strata_file *strata_file_create(const char *path, struct strata_err *err)
{
	cleanup_free char *target = resolve_target(path);
	cleanup_free char *parent = NULL;
	cleanup_free char *name = NULL;
	struct strata_file *f;
	int dir_fd;

	if (target == NULL) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	name = strata_split_path(target, &parent);
	if (name == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	if (name[0] == '\0') { /* the root, or a directory that is missing */
		strata_fail_errno(err, strcmp(target, "/") == 0 ? EISDIR : ENOENT, "%s", path);
		return NULL;
	}
	dir_fd = strata_open_directory(parent);
	if (dir_fd < 0) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	f = strata_output_open(dir_fd, name, path, err);
	if (f != NULL)
		f->output->target = steal_pointer(&name);
	return f;
}

int strata_file_take(struct strata_file *output, struct strata_file *temp, struct strata_err *err)
{
	struct stat to, from;

	if (output->output == NULL || strata_file_size(output) > 0)
		return strata_fail(err, "EINVAL", "%s: not a new output", output->name);
	/* Where outputs have names from the beginning, temporary files have lost theirs. */
	if (output->output->temp != NULL || temp->output != NULL || !temp->writable || temp->taken)
		return 0;
	if (fstat(output->fd, &to) < 0 || fstat(temp->fd, &from) < 0)
		return strata_fail_errno(err, errno, "%s", output->name);
	if (from.st_dev != to.st_dev || from.st_nlink > 0)
		return 0;
	if (((from.st_uid != to.st_uid || from.st_gid != to.st_gid) &&
	     fchown(temp->fd, to.st_uid, to.st_gid) < 0) ||
	    fchmod(temp->fd, to.st_mode & 07777) < 0)
		return 0;
	if (dup3(temp->fd, output->fd, O_CLOEXEC) < 0)
		return strata_fail_errno(err, errno, "%s", output->name);
	atomic_store(&output->written, strata_file_size(temp));
	temp->taken = true;
	return 1;
}

/* Gives an unnamed file a name; 0 or a negative errno. */
static int link_file(int fd, int dir_fd, const char *name)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* Without /proc only a privileged process can name it. */
	if (errno == ENOENT && linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0)
		return 0;
	return -errno;
}

/*
 * Gives an unnamed file the name `target`: at once when that is free, by a rename
 * from a second name otherwise. 0 or a negative errno.
 */
static int place_unnamed(int fd, int dir_fd, const char *target)
{
	char second[NAME_MAX + 1];
	int rc;

	second_name(second, target);
	remove_dead(dir_fd, second);
	rc = link_file(fd, dir_fd, target);
	if (rc != -EEXIST)
		return rc;
	flock(fd, LOCK_SH | LOCK_NB);
	for (int i = 0; rc == -EEXIST && i < TRIES; i++) {
		rc = link_file(fd, dir_fd, second);
		if (rc == -EEXIST) /* in use by another save, or not a file */
			random_name(second);
	}
	if (rc == 0 && renameat(dir_fd, second, dir_fd, target) < 0) {
		rc = -errno;
		unlinkat(dir_fd, second, 0);
	}
	flock(fd, LOCK_UN);
	return rc;
}

static int place(const struct strata_file *f, int dir_fd, const char *target)
{
	struct strata_output *o = f->output;

	if (o->temp == NULL)
		return place_unnamed(f->fd, dir_fd, target);
	if (renameat(o->dir_fd, o->temp, dir_fd, target) < 0)
		return -errno;
	free(steal_pointer(&o->temp));
	flock(f->fd, LOCK_UN);
	return 0;
}

int strata_output_publish(struct strata_file *f, int dir_fd, const char *target,
                          struct strata_err *err)
{
	int rc;

	if (fsync(f->fd) < 0)
		return strata_fail_errno(err, errno, "%s: fsync", f->name);
	if (strata_file_stamp(f, &f->opened, err) < 0)
		return -1;
	rc = place(f, dir_fd, target);
	if (rc < 0)
		return strata_fail_errno(err, -rc, "%s", f->name);
	rc = strata_sync_directory(dir_fd);
	strata_output_free(steal_pointer(&f->output));
	f->writable = false;
	if (rc < 0)
		return strata_fail_errno(err, -rc, "%s: written, but fsync of its directory",
		                         f->name);
	return 0;
}

void strata_file_give_up(struct strata_file *f)
{
	strata_output_free(steal_pointer(&f->output));
}

int strata_file_publish(struct strata_file *f, struct strata_err *err)
{
	if (f->output == NULL || f->output->target == NULL)
		return strata_fail(err, "EINVAL", "%s: not an output to be published", f->name);
	return strata_output_publish(f, f->output->dir_fd, f->output->target, err);
}
