/* What a layer needs to have of the layers below: copies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "apply_overlay.h"

#define LIST_MAX 65536
#define BUFFER (64 << 10)

static bool is_mark(const char *key)
{
	return strncmp(key, "trusted.overlay.", 16) == 0 || strncmp(key, "user.overlay.", 13) == 0;
}

/* path: what the descriptor of the source is called in /proc. */
static int copy_xattrs(struct strata_apply *a, int fd, const char *path, struct strata_err *err)
{
	cleanup_free char *names = malloc(LIST_MAX);
	cleanup_free char *value = malloc(LIST_MAX);
	ssize_t len;

	if (names == NULL || value == NULL)
		return strata_fail_nomem(err);
	len = listxattr(path, names, LIST_MAX);
	for (const char *key = names; key < names + len; key += strlen(key) + 1) {
		ssize_t n = is_mark(key) ? -1 : getxattr(path, key, value, LIST_MAX);

		if (n >= 0 && strcmp(key, "security.selinux") != 0 &&
		    fsetxattr(fd, key, value, (size_t)n, 0) < 0 &&
		    apply_note(a, "xattr", key, errno, err) < 0)
			return -1;
	}
	return 0;
}

int apply_copy_attributes(struct strata_apply *a, int fd, const struct apply_found *from,
                          struct strata_err *err)
{
	struct timespec times[2] = {from->st.st_atim, from->st.st_mtim};
	mode_t mode = from->st.st_mode & 07777;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from->fd);
	if (fchown(fd, from->st.st_uid, from->st.st_gid) < 0 &&
	    apply_note(a, "owner", NULL, errno, err) < 0)
		return -1;
	if (copy_xattrs(a, fd, path, err) < 0)
		return -1;
	if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
		return strata_fail_errno(err, errno, "cannot set mode and time");
	return 0;
}

static int copy_bytes(int from, int to, struct strata_err *err)
{
	cleanup_free char *bytes = malloc(BUFFER);
	ssize_t n;

	if (bytes == NULL)
		return strata_fail_nomem(err);
	while ((n = read(from, bytes, BUFFER)) > 0)
		for (ssize_t at = 0, done; at < n; at += done) {
			done = write(to, bytes + at, (size_t)(n - at));
			if (done < 0)
				return strata_fail_errno(err, errno, "cannot write");
		}
	return n == 0 ? 0 : strata_fail_errno(err, errno, "cannot read the layer below");
}

static int copy_file(struct strata_apply *a, int dir, const char *name,
                     const struct apply_found *from, struct strata_err *err)
{
	cleanup_fd int in = -1, out = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from->fd);
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return strata_fail_errno(err, errno, "cannot open the layer below");
	out = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return strata_fail_errno(err, errno, "cannot copy it from the layer below");
	if (copy_bytes(in, out, err) < 0)
		return -1;
	return apply_copy_attributes(a, out, from, err);
}

/* A link, device or FIFO. */
static int copy_node(struct strata_apply *a, int dir, const char *name,
                     const struct apply_found *from, struct strata_err *err)
{
	struct timespec times[2] = {from->st.st_atim, from->st.st_mtim};
	char target[4097];
	int status;

	if (S_ISLNK(from->st.st_mode)) {
		ssize_t len = readlinkat(from->fd, "", target, sizeof(target) - 1);

		if (len < 0)
			return strata_fail_errno(err, errno, "cannot read a link");
		target[len] = '\0';
		status = symlinkat(target, dir, name);
	} else {
		status = mknodat(dir, name, from->st.st_mode, from->st.st_rdev);
	}
	if (status < 0)
		return strata_fail_errno(err, errno, "cannot copy it from the layer below");
	if (fchownat(dir, name, from->st.st_uid, from->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    apply_note(a, "owner", NULL, errno, err) < 0)
		return -1;
	if (!S_ISLNK(from->st.st_mode) &&
	    fchmodat(dir, name, from->st.st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot set the mode");
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot set the time");
	return 0;
}

/* Copies what was found into the directory, whose time stays. */
static int copy_into(struct strata_apply *a, int dir, const char *name,
                     const struct apply_found *from, struct strata_err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct stat st;
	int status;

	if (fstat(dir, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	status = S_ISREG(from->st.st_mode) ? copy_file(a, dir, name, from, err)
	                                   : copy_node(a, dir, name, from, err);
	times[1] = st.st_mtim;
	if (status == 0 && futimens(dir, times) < 0)
		status = strata_fail_errno(err, errno, "cannot set the time of a directory");
	return status;
}

int apply_copy_up(struct strata_apply *a, const char *parent, const char *name, bool *absent,
                  struct strata_err *err)
{
	cleanup_buf struct strata_buf done = {0};
	struct apply_found found = {.fd = -1};
	cleanup_fd int dir = -1;
	size_t len;
	int status = apply_resolve(a, parent, false, &done, err);

	*absent = status > 0;
	if (status != 0)
		return -1;
	len = done.len;
	if (strata_buf_append(&done, "/", 1, err) < 0 ||
	    strata_buf_append(&done, name, strlen(name) + 1, err) < 0)
		return -1;
	*absent = !apply_look_up(a, a->layer + 1, done.data, &found);
	if (*absent)
		return -1;
	if (S_ISDIR(found.st.st_mode)) {
		close(found.fd);
		return strata_fail(err, "EFORMAT", "a hardlink to a directory");
	}
	done.data[len] = '\0';
	dir = apply_ensure(a, done.data, err);
	if (dir >= 0 && found.layer < a->layer)
		status = copy_into(a, dir, name, &found, err);
	close(found.fd);
	return dir < 0 || status < 0 ? -1 : strata_steal_fd(&dir);
}
