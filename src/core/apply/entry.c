#include "core/apply/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/apply/internal.h"
#include "core/base/limits.h"

/* ---- directories -------------------------------------------------------- */

/* Opens the directory, new or as it is. */
static int open_made(struct strata_apply *a, const char *name, bool *existing,
                     struct strata_err *err)
{
	for (int tries = 0; tries < 3; tries++) {
		int fd;

		*existing = mkdirat(a->dir.fd, name, 0700) < 0;
		if (*existing && errno != EEXIST)
			break;
		fd = openat(a->dir.fd, name, APPLY_DIR_FLAGS | O_NOFOLLOW);
		if (fd >= 0)
			return fd;
		if (errno != ENOTDIR && errno != ELOOP)
			break;
		if (apply_clear_way(a, name, err) < 0)
			return -1;
	}
	return strata_fail_errno(err, errno, "cannot make the directory");
}

/* The path of a name in a->dir, without links where that is known: to `path`. */
static int take_path(const struct strata_apply *a, const char *name, struct strata_buf *path,
                     struct strata_err *err)
{
	const struct strata_buf *entry = &a->report.path;

	return apply_is_apart(a) ? apply_path_below(path, a->dir.plain.data, name, err)
	                         : strata_buf_append(path, entry->data, entry->len + 1, err);
}

/* Docker and podman set the attribute by which overlayfs knows an opaque directory. */
static int obey_mark(struct strata_apply *a, int fd, const struct stat *st, struct strata_err *err)
{
	int marked = apply_is_apart(a) ? apply_meta_is_opaque(a, err) : 0;

	return marked > 0 ? apply_opaque(a, fd, st, err) : marked;
}

static int apply_dir(struct strata_apply *a, const char *name, struct strata_err *err)
{
	bool existing;
	struct stat st;
	cleanup_buf struct strata_buf path = {0};
	cleanup_fd int fd = open_made(a, name, &existing, err);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at the directory");
	if (take_path(a, name, &path, err) < 0 ||
	    (apply_is_apart(a) && layer_set_enter(&a->set, &st, path.data, err) < 0))
		return -1;
	if (existing) {
		if (layer_set_add(&a->set, &a->dir.st, name, err) < 0 ||
		    obey_mark(a, fd, &st, err) < 0)
			return -1;
	} else {
		if (layer_set_own(&a->set, &st, err) < 0 || apply_created(a, name, err) < 0)
			return -1;
	}
	return apply_meta_fd(a, fd, path.data, existing, err);
}

/* ---- everything else ---------------------------------------------------- */

/* A descriptor of a file, 0 for anything else, or a negative errno. */
static int try_make(struct strata_apply *a, const struct strata_tar_header *h, const char *name,
                    const char *linkpath)
{
	int dir = a->dir.fd, rc;

	switch (h->typeflag) {
	case '2':
		rc = symlinkat(linkpath, dir, name);
		break;
	case '3':
	case '4':
		rc = mknodat(dir, name, (h->typeflag == '3' ? S_IFCHR : S_IFBLK) | 0600,
		             makedev(h->devmajor, h->devminor));
		break;
	case '6':
		rc = mkfifoat(dir, name, 0600);
		break;
	default:
		rc = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		break;
	}
	return rc < 0 ? -errno : rc;
}

/* As try_make, after removing what is in the way; -1: err is filled, -2: noted. */
static int make(struct strata_apply *a, const struct strata_tar_header *h, const char *name,
                const char *linkpath, struct strata_err *err)
{
	int rc = try_make(a, h, name, linkpath);

	/* The number of tries bounds a race with a process that makes it again and again. */
	for (int tries = 0; rc == -EEXIST && tries < 3; tries++) {
		if (apply_clear_way(a, name, err) < 0)
			return -1;
		rc = try_make(a, h, name, linkpath);
	}
	if (rc >= 0)
		return rc;
	if (rc == -EPERM && (h->typeflag == '3' || h->typeflag == '4'))
		return apply_note(&a->report, "device", NULL, EPERM, err) < 0 ? -1 : -2;
	return strata_fail_errno(err, -rc, "cannot make it");
}

int apply_make_file(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                    size_t raw_len, const char *name, struct strata_err *err)
{
	bool is_file = !strata_tar_header_only(h->typeflag);
	cleanup_buf struct strata_buf linkpath = {0};
	int fd;

	if (h->typeflag == '2' &&
	    (strata_buf_append(&linkpath, h->linkpath, h->linkpath_len, err) < 0 ||
	     strata_buf_append(&linkpath, "", 1, err) < 0))
		return -1;
	fd = make(a, h, name, linkpath.data, err);
	if (fd < 0)
		return fd == -2 ? 0 : -1;
	if (is_file && apply_content_begin(a, fd, h, raw, raw_len, err) < 0)
		return -1;
	if (apply_created(a, name, err) < 0)
		return -1;
	return is_file ? 0 : apply_meta_name(a, name, h->typeflag == '2', err);
}

/* ---- any entry ---------------------------------------------------------- */

int apply_check_path(const struct strata_apply *a, const char *path, size_t len,
                     struct strata_err *err)
{
	size_t depth = 1, start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		if (i - start > STRATA_NAME_MAX)
			return strata_fail(err, "ENAMETOOLONG", "a name of more than %d bytes",
			                   STRATA_NAME_MAX);
		start = i + 1;
		depth += i < len;
	}
	if (depth > a->options.max_depth)
		return strata_fail(err, "ELIMIT", "more than limits.depth (%u) directories deep",
		                   a->options.max_depth);
	return 0;
}

int apply_entry_begin(struct strata_apply *a, const struct strata_tar_header *h,
                      struct strata_err *err)
{
	if (apply_report_next(&a->report, h->path, h->path_len, err) < 0)
		return -1;
	if (h->typeflag == 'g')
		return 0;
	if (apply_check_path(a, a->report.path.data, a->report.path.len, err) < 0)
		return -1;
	apply_report_count_entry(&a->report);
	return 1;
}

static bool is_known(char typeflag)
{
	return typeflag == '\0' || typeflag == 'S' || (typeflag >= '0' && typeflag <= '7');
}

int apply_entry_check(struct strata_apply *a, const struct strata_tar_header *h,
                      struct strata_err *err)
{
	if (!is_known(h->typeflag))
		return strata_fail(err, "EUNSUPPORTED", "of a type that is not known (0x%02x)",
		                   (unsigned char)h->typeflag);
	if (strcmp(a->report.path.data, ".") != 0 || h->typeflag == '5')
		return 1;
	/* Runtimes pass over it. */
	return a->options.view == STRATA_VIEW_RUNTIME
	               ? 0
	               : strata_fail(err, "EFORMAT", "the root is not a directory");
}

/* Makes an entry that is no hardlink in its directory. */
static int make_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                      size_t raw_len, struct strata_err *err)
{
	const struct strata_buf *path = &a->report.path;
	size_t base = apply_base(path);
	const char *name = path->data + base;

	if (apply_enter(a, path->data, base > 0 ? base - 1 : 0, APPLY_MAKE, err) < 0)
		return -1;
	/* overlayfs takes such a device for a whiteout. */
	if (a->options.view == STRATA_VIEW_RUNTIME && apply_is_hiding(h))
		return apply_hide(a, path->data, name, false, err);
	return h->typeflag == '5' ? apply_dir(a, name, err)
	                          : apply_make_file(a, h, raw, raw_len, name, err);
}

int apply_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                size_t raw_len, struct strata_err *err)
{
	int status = apply_entry_begin(a, h, err);

	if (status <= 0)
		return status;
	status = apply_whiteout(a, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	status = apply_entry_check(a, h, err);
	if (status <= 0)
		return status;
	if (h->typeflag == '1')
		return apply_link(a, h, err);
	if (apply_meta_take(&a->meta, h, err) < 0)
		return -1;
	if (strcmp(a->report.path.data, ".") != 0)
		return make_entry(a, h, raw, raw_len, err);
	apply_root_keep(a);
	return 0;
}
