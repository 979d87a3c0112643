/*
 * Names that a process which died left behind. A file with a name that is not
 * to stay is locked by flock as long as its process lives: what can be locked
 * by another one is nobody's any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/file_internal.h"

static bool is_random_name(const char *name)
{
	size_t prefix = strlen(STRATA_RANDOM_PREFIX);

	return strncmp(name, STRATA_RANDOM_PREFIX, prefix) == 0 &&
	       strlen(name) == prefix + STRATA_RANDOM_DIGITS &&
	       strspn(name + prefix, "0123456789abcdef") == STRATA_RANDOM_DIGITS;
}

bool strata_lock_name(int fd)
{
	struct stat st;

	/* Where nothing can be locked nothing is taken for stale either. */
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return false;
	return fstat(fd, &st) < 0 || st.st_nlink > 0;
}

void strata_unlock_name(int fd)
{
	flock(fd, LOCK_UN);
}

static void remove_stale(int dir_fd, const char *name)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st, named;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_uid != geteuid() && geteuid() != 0) || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_dev == st.st_dev &&
	    named.st_ino == st.st_ino)
		unlinkat(dir_fd, name, 0);
}

void strata_remove_dead_temp_names(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (stream == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL)
		if (is_random_name(entry->d_name))
			remove_stale(dir_fd, entry->d_name);
	closedir(stream);
}
