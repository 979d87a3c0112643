/* Temporary files, and outputs that appear whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/dir_internal.h"
#include "core/fs/file.h"
#include "core/fs/file_internal.h"

void strata_random_name(char name[STRATA_RANDOM_NAME])
{
	unsigned long long number = 0;

	/* Only has to be free, not secret: O_EXCL decides. */
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (unsigned long long)(uintptr_t)&number ^ (unsigned long long)getpid();
	snprintf(name, STRATA_RANDOM_NAME, STRATA_RANDOM_PREFIX "%0*llx", STRATA_RANDOM_DIGITS,
	         number);
}

/*
 * Opens a file without a name in dir_fd, or where the file system has no
 * O_TMPFILE one with a name, which then goes to `name` ("" otherwise).
 */
static int open_temp(int dir_fd, mode_t mode, char name[STRATA_RANDOM_NAME])
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

	name[0] = '\0';
	if (fd >= 0 ||
	    (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	for (int i = 0; fd < 0 && i < STRATA_RANDOM_TRIES; i++) {
		strata_random_name(name);
		fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST)
			break;
		if (fd >= 0 && !strata_lock_name(fd)) {
			close(fd);
			fd = -1;
			errno = EEXIST;
		}
	}
	return fd;
}

/* A directory to create in; one that may be written to but not listed has to do. */
static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == EACCES)
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

struct strata_file *strata_file_temp(const char *dir, struct strata_err *err)
{
	char name[STRATA_RANDOM_NAME];
	cleanup_fd int dir_fd = -1;
	cleanup_fd int fd = -1;
	struct strata_file *f;

	if (dir == NULL)
		dir = getenv("TMPDIR");
	if (dir == NULL || dir[0] == '\0')
		dir = "/tmp";
	dir_fd = open_directory(dir);
	if (dir_fd >= 0)
		fd = open_temp(dir_fd, 0600, name);
	if (fd < 0) {
		strata_fail_errno(err, errno, "temporary file in %s", dir);
		return NULL;
	}
	if (name[0] != '\0')
		unlinkat(dir_fd, name, 0);
	f = strata_file_wrap(fd, "temporary file", err);
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
	/* After a fork the other process owns the name: leave it alone. */
	if (o->temp != NULL && o->owner == getpid())
		unlinkat(o->dir_fd, o->temp, 0);
	if (o->dir_fd >= 0)
		close(o->dir_fd);
	strata_dir_unref(o->dir);
	free(o->target);
	free(o->temp);
	free(o->path);
	free(o);
}

/* A target that exists must be a regular file; its mode and owner are taken over. */
static int adopt_attributes(int fd, const struct strata_output *o, const char *name,
                            struct strata_err *err)
{
	struct stat st;

	if (fstatat(o->dir_fd, o->target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : strata_fail_errno(err, errno, "%s", name);
	if (S_ISLNK(st.st_mode)) /* the link itself is what gets replaced */
		return 0;
	if (strata_check_regular(&st, name, err) < 0)
		return -1;
	/* Both may be refused to an ordinary user, who then owns the new file. */
	if (fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return strata_fail_errno(err, errno, "%s: owner", name);
	if (fchmod(fd, st.st_mode & 07777) < 0 && errno != EPERM)
		return strata_fail_errno(err, errno, "%s: mode", name);
	return 0;
}

/* Fills in what output_free takes apart, as far as it gets. */
static int open_output(struct strata_output *o, const char *target, const char *name,
                       struct strata_err *err)
{
	char temp[STRATA_RANDOM_NAME];
	int fd;

	o->owner = getpid();
	o->target = strdup(target);
	if (o->target == NULL)
		return strata_fail_nomem(err);
	fd = open_temp(o->dir_fd, 0666, temp); /* less the umask, as any new file */
	if (fd < 0)
		return strata_fail_errno(err, errno, "%s", name);
	if (temp[0] != '\0' && (o->temp = strdup(temp)) == NULL) {
		unlinkat(o->dir_fd, temp, 0);
		close(fd);
		return strata_fail_nomem(err);
	}
	if (adopt_attributes(fd, o, name, err) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct strata_file *strata_output_open(int dir_fd, const char *target, const char *name,
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
	fd = open_output(o, target, name, err);
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
	const char *dir = ".", *name;
	char *slash;
	int dir_fd;

	if (target == NULL) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	name = target;
	slash = strrchr(target, '/');
	if (slash != NULL) {
		*slash = '\0';
		dir = slash == target ? "/" : target;
		name = slash + 1;
	}
	if (name[0] == '\0') { /* the root, or a directory that is missing */
		strata_fail_errno(err, strcmp(dir, "/") == 0 ? EISDIR : ENOENT, "%s", path);
		return NULL;
	}
	dir_fd = open_directory(dir);
	if (dir_fd < 0) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	strata_remove_dead_temp_names(dir_fd);
	return strata_output_open(dir_fd, name, path, err);
}

/* Gives an unnamed file a name; 0 or -1 with errno. */
static int link_output(struct strata_file *f, const char *name)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	if (linkat(AT_FDCWD, self, f->output->dir_fd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* Without /proc only a privileged process can name it. */
	return errno == ENOENT ? linkat(f->fd, "", f->output->dir_fd, name, AT_EMPTY_PATH) : -1;
}

/* Gives an unnamed file a random name beside its target: rename needs one. */
static int name_output(struct strata_file *f, struct strata_err *err)
{
	struct strata_output *o = f->output;
	char name[STRATA_RANDOM_NAME];

	if (o->temp == NULL)
		strata_lock_name(f->fd);
	for (int i = 0; o->temp == NULL; i++) {
		strata_random_name(name);
		if (link_output(f, name) < 0) {
			if (errno != EEXIST || i == STRATA_RANDOM_TRIES)
				return strata_fail_errno(err, errno, "%s", f->name);
		} else if ((o->temp = strdup(name)) == NULL) {
			unlinkat(o->dir_fd, name, 0);
			return strata_fail_nomem(err);
		}
	}
	return 0;
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

/* Gives the file its name: a new one at once, one that is there by a rename. */
static int place_output(struct strata_file *f, struct strata_err *err)
{
	struct strata_output *o = f->output;

	if (o->temp == NULL && link_output(f, o->target) == 0)
		return 0;
	if (o->temp == NULL && errno != EEXIST)
		return strata_fail_errno(err, errno, "%s", f->name);
	if (name_output(f, err) < 0)
		return -1;
	if (renameat(o->dir_fd, o->temp, o->dir_fd, o->target) < 0)
		return strata_fail_errno(err, errno, "%s", f->name);
	free(steal_pointer(&o->temp));
	strata_unlock_name(f->fd);
	return 0;
}

int strata_file_publish(struct strata_file *f, struct strata_err *err)
{
	struct strata_output *o = f->output;

	if (o == NULL)
		return strata_fail(err, "EINVAL", "%s: not an output to be published", f->name);
	if (fsync(f->fd) < 0)
		return strata_fail_errno(err, errno, "%s: fsync", f->name);
	if (o->dir != NULL && strata_dir_publishing(o, f->name, err) < 0)
		return -1;
	if (place_output(f, err) < 0)
		return -1;
	if (o->dir != NULL)
		strata_dir_published(o, f->fd);
	/* The name is there; that it survives a power cut needs the directory on disk. */
	fsync(o->dir_fd);
	strata_output_free(steal_pointer(&f->output));
	return 0;
}
