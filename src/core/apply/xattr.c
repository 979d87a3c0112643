/* Extended attributes, from the PAX records that GNU tar, star, Go and libarchive write. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/apply/internal.h"
#include "core/base/limits.h"
#include "core/tar/xattr.h"

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Attributes that only mean something on the machine that made the layer. */
static bool is_left_out(const char *name)
{
	return strcmp(name, "security.selinux") == 0 || strcmp(name, "system.nfs4_acl") == 0;
}

/* Attributes that an overlay mount would take for its own. */
static bool is_overlay_mark(const char *name)
{
	return has_prefix(name, APPLY_OVERLAY_TRUSTED) || has_prefix(name, APPLY_OVERLAY_USER);
}

static int set_xattr(struct strata_apply *a, int fd, const char *name, const char *key,
                     const void *value, size_t len, struct strata_err *err)
{
	char path[32 + STRATA_NAME_MAX + 1];
	int status;

	if (is_left_out(key))
		return 0;
	if (is_overlay_mark(key))
		return apply_note(&a->report, "xattr", key, ENOTSUP, err);
	if (name == NULL) {
		status = fsetxattr(fd, key, value, len, 0);
	} else {
		int n = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);

		if (n < 0 || (size_t)n >= sizeof(path))
			return strata_fail_errno(err, ENAMETOOLONG, "cannot set xattr %s", key);
		status = lsetxattr(path, key, value, len, 0);
		/* Only files and directories can have attributes of "user.". */
		if (status < 0 && errno == EPERM && has_prefix(key, "user."))
			return 0;
	}
	return status < 0 ? apply_note(&a->report, "xattr", key, errno, err) : 0;
}

static int set_one(struct strata_apply *a, int fd, const char *name,
                   const struct strata_tar_xattr *x, struct strata_err *err)
{
	if (x->name_len > STRATA_XATTR_NAME_MAX)
		return strata_fail(err, "EFORMAT", "an extended attribute has no proper name");
	if (x->value_len > (size_t)2 * STRATA_XATTR_VALUE_MAX)
		return apply_note(&a->report, "xattr", x->name, ENOTSUP, err);
	/* For Go, whose reader runtimes have, an empty record takes back what a global one says. */
	return x->value_len > 0 ? set_xattr(a, fd, name, x->name, x->value, x->value_len, err) : 0;
}

int apply_meta_is_opaque(const struct strata_apply *a, struct strata_err *err)
{
	struct strata_tar_xattrs list = {.records = a->meta.pax.data, .len = a->meta.pax.len};
	cleanup_buf struct strata_buf text = {0};
	struct strata_tar_xattr x;
	bool marked = false;
	int status = 0;

	while (a->meta.has_xattrs && (status = strata_tar_xattr_next(&list, &text, &x, err)) > 0)
		if (strcmp(x.name, APPLY_OVERLAY_TRUSTED "opaque") == 0)
			marked = x.value_len == 1 && x.value[0] == 'y';
	return status < 0 ? -1 : marked;
}

int apply_xattrs(struct strata_apply *a, int fd, const char *name, struct strata_err *err)
{
	struct strata_tar_xattrs list = {.records = a->meta.pax.data, .len = a->meta.pax.len};
	cleanup_buf struct strata_buf text = {0};
	struct strata_tar_xattr x;
	int status;

	while ((status = strata_tar_xattr_next(&list, &text, &x, err)) > 0)
		if (set_one(a, fd, name, &x, err) < 0)
			return -1;
	return status;
}

int apply_clear_xattrs(struct strata_apply *a, int fd, struct strata_err *err)
{
	cleanup_free char *names = NULL;
	char probe[1024];
	const char *list = probe;
	ssize_t len = flistxattr(fd, probe, sizeof(probe));

	if (len < 0 && errno == ERANGE) {
		list = names = malloc(STRATA_XATTR_VALUE_MAX);
		if (names == NULL)
			return strata_fail_nomem(err);
		len = flistxattr(fd, names, STRATA_XATTR_VALUE_MAX);
	}
	if (len < 0)
		return errno == ENOTSUP ? 0 : strata_fail_errno(err, errno, "cannot list xattrs");
	for (const char *key = list; key < list + len; key += strlen(key) + 1) {
		if (is_left_out(key))
			continue;
		if (fremovexattr(fd, key) < 0 && errno != ENODATA &&
		    apply_note(&a->report, "xattr", key, errno, err) < 0)
			return -1;
	}
	return 0;
}
