/* Whiteouts and opaque markers: what lower layers have goes, what this one has stays. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/apply/overlay.h"
#include "core/tar/whiteout.h"

/* Clears the directory of what is from below; a->dir may be this one. */
static int clear_lower(struct strata_apply *a, int fd, struct strata_err *err)
{
	if (apply_purge(a, fd, true, err) < 0)
		return -1;
	a->dir.stale = true;
	return 0;
}

/* The directory `name` of a lower layer, which this one hides. */
static int hide_dir(struct strata_apply *a, const char *name, bool made, struct strata_err *err)
{
	cleanup_fd int fd =
	        openat(a->dir.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot open what it hides");
	/* Of what is in a clean directory no names are kept. */
	if (!apply_is_clean(a, &st) && clear_lower(a, fd, err) < 0)
		return -1;
	if (made)
		return 0;
	a->dir.dirty = true;
	if (unlinkat(a->dir.fd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return strata_fail_errno(err, errno, "cannot remove what it hides");
	return apply_implied(a, fd, err);
}

/* Looks where the entry's path, cut to len bytes, stands. 1: nothing is there. */
static int look(struct strata_apply *a, size_t len, const char *name, struct stat *st,
                struct strata_err *err)
{
	int status = apply_enter(a, a->path.data, len, false, err);

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
	bool made;
	int status = look(a, parent_len, name, &st, err);

	if (status != 0 || a->dir.clean)
		return status < 0 ? -1 : 0;
	made = apply_is_made(a, &a->dir.st, name);
	if (S_ISDIR(st.st_mode))
		return hide_dir(a, name, made, err);
	return made ? 0 : apply_clear_way(a, name, err);
}

/* A directory that was a link below is a new one, and the link's target stays as it is. */
static int replace_link(struct strata_apply *a, const char *name, struct strata_err *err)
{
	if (a->dir.clean || apply_is_made(a, &a->dir.st, name))
		return 0;
	a->dir.stale = true;
	return apply_make_dir(a, a->dir.fd, name, err);
}

/* a->path is that of the marker. */
static int make_opaque(struct strata_apply *a, struct strata_err *err)
{
	size_t base = apply_base(&a->path);
	size_t len = base > 0 ? base - 1 : 0; /* of the directory */
	size_t parent = len;
	cleanup_buf struct strata_buf name = {0};
	cleanup_fd int fd = -1;
	struct stat st;
	int status;

	if (len == 0) {
		status = apply_enter(a, "", 0, false, err);
		return status == 0 && !a->dir.clean ? clear_lower(a, a->dir.fd, err) : status;
	}
	while (parent > 0 && a->path.data[parent - 1] != '/')
		parent--;
	if (strata_buf_append(&name, a->path.data + parent, len - parent, err) < 0 ||
	    strata_buf_append(&name, "", 1, err) < 0)
		return -1;
	status = look(a, parent > 0 ? parent - 1 : 0, name.data, &st, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	if (S_ISLNK(st.st_mode))
		return replace_link(a, name.data, err);
	if (!S_ISDIR(st.st_mode) || apply_is_clean(a, &st))
		return 0;
	fd = openat(a->dir.fd, name.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open the opaque directory");
	return clear_lower(a, fd, err);
}

/* The same side by side: marks for overlayfs. parent is the directory of the entry, "" the root. */
static int mark_hidden(struct strata_apply *a, char *parent, const char *name,
                       struct strata_err *err)
{
	char *slash = strrchr(parent, '/');

	if (strcmp(name, STRATA_OPAQUE_NAME) != 0)
		return apply_overlay_hide(a, parent, name + STRATA_WHITEOUT_PREFIX_LEN, err);
	if (parent[0] == '\0')
		return apply_overlay_opaque(a, "", NULL, err);
	if (slash == NULL)
		return apply_overlay_opaque(a, "", parent, err);
	*slash = '\0';
	return apply_overlay_opaque(a, parent, slash + 1, err);
}

static int mark_overlay(struct strata_apply *a, struct strata_err *err)
{
	size_t base = apply_base(&a->path);
	cleanup_free char *parent = strndup(a->path.data, base > 0 ? base - 1 : 0);

	if (parent == NULL)
		return strata_fail_nomem(err);
	if (a->layer == 0)
		return 0;
	/* It may change the directory that is open. */
	if (apply_leave(a, err) < 0)
		return -1;
	return mark_hidden(a, parent, a->path.data + base, err);
}

int apply_whiteout(struct strata_apply *a, struct strata_err *err)
{
	size_t base;
	enum strata_whiteout kind = strata_whiteout_kind(a->path.data, a->path.len, &base);
	int status;

	if (kind != STRATA_WHITEOUT_OPAQUE && strata_whiteout_in_aufs(a->path.data, a->path.len))
		return 1;
	switch (kind) {
	case STRATA_WHITEOUT_AUFS:
		return 1;
	case STRATA_WHITEOUT_INVALID:
		return strata_fail(err, "EFORMAT", "a whiteout of no name");
	case STRATA_WHITEOUT_FILE:
		status = a->options.overlay
		                 ? mark_overlay(a, err)
		                 : hide(a, base > 0 ? base - 1 : 0,
		                        a->path.data + base + STRATA_WHITEOUT_PREFIX_LEN, err);
		break;
	case STRATA_WHITEOUT_OPAQUE:
		status = a->options.overlay ? mark_overlay(a, err) : make_opaque(a, err);
		break;
	default:
		return 0;
	}
	return status < 0 ? -1 : 1;
}
