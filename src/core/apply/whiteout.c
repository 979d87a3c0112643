#include "core/apply/whiteout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/tar/whiteout.h"

int apply_clear_lower(struct strata_apply *a, int fd, struct strata_err *err)
{
	if (apply_purge(a, fd, true, err) < 0)
		return -1;
	apply_must_reopen(a);
	return 0;
}

/* Hides the directory `name` of a lower layer, unless this layer has something in it. */
static int hide_dir(struct strata_apply *a, const char *name, bool created, struct strata_err *err)
{
	cleanup_fd int fd = openat(a->dir.fd, name, APPLY_DIR_FLAGS | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open what it hides");
	if (!layer_set_is_wholly_ours(&a->set, &st) && apply_clear_lower(a, fd, err) < 0)
		return -1;
	if (created)
		return 0;
	apply_dir_changed(a);
	if (unlinkat(a->dir.fd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot remove what it hides");
	return apply_implied(a, fd, err);
}

/* Looks at `name` in the directory of the first len bytes of the entry's path. 1: it is not there.
 */
static int look(struct strata_apply *a, size_t len, const char *name, struct stat *st,
                struct strata_err *err)
{
	int status = apply_enter(a, a->report.path.data, len, APPLY_LOOK, err);

	if (status != 0)
		return status;
	if (fstatat(a->dir.fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT || errno == ENAMETOOLONG
	               ? 1
	               : strata_fail_errno(err, errno, "cannot look at what it hides");
}

static int hide(struct strata_apply *a, size_t parent_len, const char *name, struct strata_err *err)
{
	struct stat st;
	bool created;
	int status = look(a, parent_len, name, &st, err);

	if (status != 0 || a->dir.wholly_ours)
		return status < 0 ? -1 : 0;
	created = layer_set_has(&a->set, &a->dir.st, name);
	if (S_ISDIR(st.st_mode))
		return hide_dir(a, name, created, err);
	return created ? 0 : apply_clear_way(a, name, err);
}

/* The entry is an opaque marker. */
static int make_opaque(struct strata_apply *a, struct strata_err *err)
{
	size_t base = apply_base(&a->report.path);
	size_t len = base > 0 ? base - 1 : 0; /* of the directory */
	size_t parent = len;
	cleanup_buf struct strata_buf name = {0};
	cleanup_fd int fd = -1;
	struct stat st;
	int status;

	if (len == 0) {
		status = apply_enter(a, "", 0, APPLY_LOOK, err);
		return status == 0 && !a->dir.wholly_ours ? apply_clear_lower(a, a->dir.fd, err)
		                                          : status;
	}
	while (parent > 0 && a->report.path.data[parent - 1] != '/')
		parent--;
	if (strata_buf_append(&name, a->report.path.data + parent, len - parent, err) < 0 ||
	    strata_buf_append(&name, "", 1, err) < 0)
		return -1;
	status = look(a, parent > 0 ? parent - 1 : 0, name.data, &st, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	if (!S_ISDIR(st.st_mode) || layer_set_is_wholly_ours(&a->set, &st))
		return 0;
	fd = openat(a->dir.fd, name.data, APPLY_DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open the opaque directory");
	return apply_clear_lower(a, fd, err);
}

int apply_whiteout(struct strata_apply *a, struct strata_err *err)
{
	const struct strata_buf *path = &a->report.path;
	size_t base;
	int status = 0;

	if (a->options.view == STRATA_VIEW_RUNTIME)
		return apply_whiteout_late(a, err);
	switch (strata_whiteout_kind(path->data, path->len, &base)) {
	case STRATA_WHITEOUT_NO:
		return strata_whiteout_in_aufs(path->data, path->len);
	case STRATA_WHITEOUT_AUFS:
		break;
	case STRATA_WHITEOUT_OPAQUE:
		status = make_opaque(a, err);
		break;
	case STRATA_WHITEOUT_FILE:
		if (!strata_whiteout_in_aufs(path->data, path->len))
			status = hide(a, base > 0 ? base - 1 : 0,
			              path->data + base + STRATA_WHITEOUT_PREFIX_LEN, err);
		break;
	case STRATA_WHITEOUT_INVALID:
		if (!strata_whiteout_in_aufs(path->data, path->len))
			return strata_fail(err, "EFORMAT", "a whiteout of no name");
		break;
	}
	return status < 0 ? -1 : 1;
}
