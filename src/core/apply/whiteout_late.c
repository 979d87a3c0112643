/*
 * Whiteouts as the default runtimes take them. Each layer is a file system of its own
 * there, and a whiteout is a file in it that hides what lower layers have: its directory
 * is made, another entry of its name replaces it, and it does nothing to what its layer
 * has. So it is carried out at the layer's end, in the directory that it was found to be
 * in. The lowest layer hides nothing, but containerd removes what stands before its
 * whiteouts.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/tar/whiteout.h"

/*
 * Something of the layer's is there, a directory that is only on the way to others as well.
 * path is that of the name, without links.
 */
static bool has_own(const struct strata_apply *a, const struct strata_buf *path, const char *name)
{
	const struct apply_dir *dir = &a->dir;
	struct stat st;

	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (layer_set_has(&a->set, &dir->st, name))
		return true;
	return S_ISDIR(st.st_mode) && (layer_set_has_entered(&a->set, &st) ||
	                               layer_set_has_path(&a->set, path->data, path->len));
}

static int keep(struct strata_apply *a, const char *name, struct strata_err *err)
{
	struct apply_whiteouts *w = &a->whiteouts;
	const struct apply_hidden hidden = {
	        w->text.len, w->text.len + strlen(a->dir.plain.data) + 1, a->report.number};

	if (strata_grow(w->list, w->count, err) < 0 ||
	    strata_buf_append(&w->text, a->dir.plain.data, strlen(a->dir.plain.data) + 1, err) <
	            0 ||
	    strata_buf_append(&w->text, name, strlen(name) + 1, err) < 0)
		return -1;
	w->list[w->count++] = hidden;
	return 0;
}

int apply_hide(struct strata_apply *a, const char *path, const char *name, bool spare,
               struct strata_err *err)
{
	struct strata_buf *plain = &a->whiteouts.path;
	bool own;

	if (apply_path_below(plain, a->dir.plain.data, name, err) < 0)
		return -1;
	own = has_own(a, plain, name);
	if (own && spare && !a->set.everything)
		return 0;
	if (own && apply_clear_way(a, name, err) < 0)
		return -1;
	if (layer_set_hide(&a->set, &a->dir.st, name, path, err) < 0)
		return -1;
	return a->dir.wholly_ours ? 0 : keep(a, name, err);
}

/* Whether a directory on the way to a path is a whiteout of its own layer. */
static int leads_through_whiteout(struct strata_apply *a, const char *path, size_t len,
                                  struct strata_err *err)
{
	cleanup_buf struct strata_buf way = {0};

	for (; len > 0; len--) {
		struct apply_found found;
		int status;

		if (path[len] != '/' || !layer_set_hides_path(&a->set, path, len))
			continue;
		way.len = 0;
		if (strata_buf_append(&way, path, len, err) < 0 ||
		    strata_buf_append(&way, "", 1, err) < 0)
			return -1;
		status = apply_find_own(a, way.data, &found, err);
		if (status == 0)
			close(found.dir);
		if (status < 0 || found.whiteout)
			return status < 0 ? -1 : 1;
	}
	return 0;
}

/* The path of what a whiteout hides. */
static char *hidden_path(const char *path, size_t base)
{
	char *hidden = strdup(path);

	if (hidden != NULL)
		memmove(hidden + base, path + base + STRATA_WHITEOUT_PREFIX_LEN,
		        strlen(path + base + STRATA_WHITEOUT_PREFIX_LEN) + 1);
	return hidden;
}

/* Whether symlinks lead to a->dir. */
static bool is_behind_links(const struct strata_apply *a, size_t len)
{
	return a->dir.plain.len != len + 1 || memcmp(a->dir.plain.data, a->dir.path.data, len) != 0;
}

static int hide_named(struct strata_apply *a, size_t base, struct strata_err *err)
{
	cleanup_free char *path = hidden_path(a->report.path.data, base);

	return path != NULL ? apply_hide(a, path, path + base, true, err) : strata_fail_nomem(err);
}

int apply_whiteout_late(struct strata_apply *a, struct strata_err *err)
{
	const struct strata_buf *path = &a->report.path;
	size_t base, dir_len;
	enum strata_whiteout kind = strata_whiteout_kind(path->data, path->len, &base);
	int status;

	if (kind == STRATA_WHITEOUT_NO)
		return 0;
	if (kind == STRATA_WHITEOUT_INVALID)
		return strata_fail(err, "EFORMAT", "a whiteout of no name");
	dir_len = base > 0 ? base - 1 : 0;
	status = leads_through_whiteout(a, path->data, dir_len, err);
	if (status == 0)
		status = apply_enter(a, path->data, dir_len, APPLY_SPARE, err);
	if (status != 0)
		return status < 0 ? -1 : 1;
	/* The directory that they lead to may be a whiteout of the layer itself. */
	if (is_behind_links(a, dir_len) && apply_begin_anew(a, err) < 0)
		return -1;
	status = kind == STRATA_WHITEOUT_OPAQUE ? apply_opaque(a, a->dir.fd, &a->dir.st, err)
	                                        : hide_named(a, base, err);
	return status < 0 ? -1 : 1;
}

int apply_opaque(struct strata_apply *a, int fd, const struct stat *dir, struct strata_err *err)
{
	struct stat root;

	if (fstat(a->root, &root) < 0)
		return strata_fail_errno(err, errno, "cannot look at the directory");
	if ((root.st_dev == dir->st_dev && root.st_ino == dir->st_ino) ||
	    layer_set_is_wholly_ours(&a->set, dir))
		return 0;
	return apply_clear_lower(a, fd, err);
}

int apply_whiteouts_end(struct strata_apply *a, struct strata_err *err)
{
	struct apply_whiteouts *w = &a->whiteouts;

	for (size_t i = 0; i < w->count; i++) {
		const char *dir = w->text.data + w->list[i].dir;
		const char *name = w->text.data + w->list[i].name;
		int status;

		if (apply_path_below(&w->path, dir, name, err) < 0 ||
		    apply_report_again(&a->report, w->list[i].number, w->path.data, w->path.len,
		                       err) < 0)
			return -1;
		status = apply_enter(a, dir, strlen(dir), APPLY_PLAIN, err);
		if (status == 0 && !a->dir.wholly_ours && !has_own(a, &w->path, name))
			status = apply_clear_way(a, name, err);
		if (status < 0)
			return -1;
	}
	apply_whiteouts_forget(w);
	return 0;
}

void apply_whiteouts_forget(struct apply_whiteouts *w)
{
	w->count = w->text.len = 0;
}

void apply_whiteouts_free(struct apply_whiteouts *w)
{
	free(w->list);
	strata_buf_free(&w->text);
	strata_buf_free(&w->path);
}
