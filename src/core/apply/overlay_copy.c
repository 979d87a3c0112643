/* What a directory has in the layers below. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/apply/overlay.h"

#define LIST_MAX 65536

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
