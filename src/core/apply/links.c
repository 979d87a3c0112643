#include "core/apply/links.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/fs/resolve.h"
#include "core/layer/path.h"

/* A hardlink may name one that stands behind it, and so on: passes over those that wait. */
#define WAITING_PASSES 40

/* ---- targets ------------------------------------------------------------ */

/* Looks for the file of a hardlink through any symlinks. 1: there is none, and nothing to be
 * closed. */
static int find_any(const struct strata_apply *a, const char *target, struct apply_found *found,
                    struct strata_err *err)
{
	const char *slash = strrchr(target, '/');
	cleanup_free char *parent =
	        slash != NULL ? strndup(target, (size_t)(slash - target)) : NULL;
	cleanup_fd int dir = -1;
	struct stat above;

	*found = (struct apply_found){.dir = -1, .name = slash != NULL ? slash + 1 : target};
	if (slash != NULL && parent == NULL)
		return strata_fail_nomem(err);
	dir = strata_resolve_in_root(a->root, slash != NULL ? parent : ".", O_PATH | O_DIRECTORY);
	if (dir < 0)
		return apply_is_absent(dir)
		               ? 1
		               : strata_fail_errno(err, -dir,
		                                   "cannot open the directory of its target");
	if (fstatat(dir, found->name, &found->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1
		                       : strata_fail_errno(err, errno, "cannot look at its target");
	found->directory = S_ISDIR(found->st.st_mode);
	if (found->directory)
		return 1;
	if (fstat(dir, &above) < 0)
		return strata_fail_errno(err, errno, "cannot look at the directory of its target");
	found->ours = layer_set_has(&a->set, &above, found->name) &&
	              !layer_set_has_lower(&a->set, &found->st);
	found->dir = strata_steal_fd(&dir);
	return 0;
}

/*
 * The same by what the layer itself has, as runtimes look for it. They refuse a hardlink to a
 * file that is in lower layers alone; it is found here, through any symlinks.
 */
static int find_target(struct strata_apply *a, const char *target, struct apply_found *found,
                       struct strata_err *err)
{
	int status;

	if (a->options.view == STRATA_VIEW_SPEC)
		return find_any(a, target, found, err);
	status = apply_find_own(a, target, found, err);
	if (status < 0 || (status == 0 && !found->directory))
		return status;
	if (status == 0) {
		close(strata_steal_fd(&found->dir));
		return 1;
	}
	status = find_any(a, target, found, err);
	if (status != 0 || !found->ours)
		return status;
	close(strata_steal_fd(&found->dir));
	return 1;
}

/* ---- making one --------------------------------------------------------- */

static bool is_same(int dir, const char *name, const struct apply_found *found)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == found->st.st_dev &&
	       st.st_ino == found->st.st_ino;
}

static bool is_directory(const struct apply_found *found)
{
	struct stat st;

	return fstatat(found->dir, found->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Makes a name in a->dir one of that file. 1: making room for it has removed the file. */
static int link_from(struct strata_apply *a, const struct apply_found *found, const char *name,
                     struct strata_err *err)
{
	int status = linkat(found->dir, found->name, a->dir.fd, name, 0);

	if (status < 0 && errno == EEXIST) {
		if (is_same(a->dir.fd, name, found))
			return apply_created(a, name, err);
		if (apply_clear_way(a, name, err) < 0)
			return -1;
		status = linkat(found->dir, found->name, a->dir.fd, name, 0);
	}
	if (status == 0)
		return apply_created(a, name, err);
	if (errno == ENOENT || (errno == EPERM && is_directory(found)))
		return 1;
	return strata_fail_errno(err, errno, "cannot link");
}

enum { LINK_DONE, LINK_MISSING, LINK_LOWER };

/* Enters the directory of the entry, whose name there is *name. 1: it is not there. */
static int enter(struct strata_apply *a, enum apply_way way, const char **name,
                 struct strata_err *err)
{
	size_t base = apply_base(&a->report.path);

	*name = a->report.path.data + base;
	return apply_enter(a, a->report.path.data, base > 0 ? base - 1 : 0, way, err);
}

/*
 * Gives the file the attributes of the hardlink's header, a->meta. Runtimes find no file in
 * lower layers: until the layer's end its own may come. By the letter it is one of the lower
 * layer at once.
 */
static int make_link(struct strata_apply *a, const struct apply_found *found,
                     struct strata_err *err)
{
	const char *name;
	int status = enter(a, APPLY_MAKE, &name, err);

	if (status == 0)
		status = link_from(a, found, name, err);
	if (status == 0 && (found->ours || a->options.view == STRATA_VIEW_SPEC))
		status = apply_meta_link(a, a->dir.fd, name, err);
	return status;
}

/* A hardlink to a whiteout is one. */
static int make_whiteout(struct strata_apply *a, struct strata_err *err)
{
	const char *name;

	return enter(a, APPLY_MAKE, &name, err) < 0
	               ? -1
	               : apply_hide(a, a->report.path.data, name, false, err);
}

/* Makes the entry a name of its target: of a file of its own layer or, with `lower`, of any. */
static int try_link(struct strata_apply *a, const char *target, bool lower, struct strata_err *err)
{
	struct apply_found found;
	int status = find_target(a, target, &found, err);

	if (status != 0)
		return status < 0 ? -1 : LINK_MISSING;
	if (found.whiteout) {
		close(found.dir);
		return make_whiteout(a, err) < 0 ? -1 : LINK_DONE;
	}
	if (!found.ours && !lower)
		status = 1;
	else if (!found.ours)
		status = layer_set_add_lower(&a->set, &found.st, err);
	if (status == 0)
		status = make_link(a, &found, err);
	close(found.dir);
	if (status != 0)
		return status < 0 ? -1 : LINK_MISSING;
	return found.ours || a->options.view == STRATA_VIEW_SPEC ? LINK_DONE : LINK_LOWER;
}

/* ---- waiting ------------------------------------------------------------ */

/* The entry, with a->meta, waits. */
static int wait_for(struct strata_apply *a, const char *target, int state, struct strata_err *err)
{
	struct apply_links *links = &a->links;
	struct apply_link link = {
	        .path = links->text.len, .number = a->report.number, .state = state};

	if (strata_grow(links->list, links->count, err) < 0)
		return -1;
	if (strata_buf_append(&links->text, a->report.path.data, a->report.path.len + 1, err) < 0)
		return -1;
	link.target = links->text.len;
	if (strata_buf_append(&links->text, target, strlen(target) + 1, err) < 0)
		return -1;
	link.meta = a->meta;
	a->meta = (struct apply_meta){0};
	links->list[links->count++] = link;
	return 0;
}

char *apply_link_target(const struct strata_tar_header *h, struct strata_err *err)
{
	char *target = malloc(h->linkpath_len + 2);

	if (target == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	target[strata_path_normalise(h->linkpath, h->linkpath_len, target)] = '\0';
	if (h->linkpath_len > 0 && strcmp(target, ".") != 0)
		return target;
	strata_fail(err, "EFORMAT", "a hardlink to %s",
	            h->linkpath_len > 0 ? "the root" : "nothing");
	free(target);
	return NULL;
}

int apply_link(struct strata_apply *a, const struct strata_tar_header *h, struct strata_err *err)
{
	cleanup_free char *target = apply_link_target(h, err);
	int state = -1;

	if (target != NULL && apply_meta_take(&a->meta, h, err) == 0)
		state = try_link(a, target, true, err);
	if (state > LINK_DONE && apply_begin_anew(a, err) < 0)
		return -1;
	return state > LINK_DONE ? wait_for(a, target, state, err) : state;
}

int apply_link_fail(const char *target, bool directory, struct strata_err *err)
{
	char quoted[256];

	if (directory)
		return strata_fail(err, "EFORMAT", "a hardlink to a directory");
	return strata_fail(err, "ENOENT", "a hardlink to %s, which is not there",
	                   strata_quote(quoted, sizeof(quoted), target, strlen(target)));
}

/* Goes back to the entry of a hardlink; its target is returned, NULL: err is filled. */
static const char *back_to(struct strata_apply *a, const struct apply_link *link,
                           struct strata_err *err)
{
	const char *path = a->links.text.data + link->path;

	return apply_report_again(&a->report, link->number, path, strlen(path), err) < 0
	               ? NULL
	               : a->links.text.data + link->target;
}

static void swap_meta(struct strata_apply *a, struct apply_link *link)
{
	struct apply_meta meta = a->meta;

	a->meta = link->meta;
	link->meta = meta;
}

/* One pass over the hardlinks that wait: 1 when it has made any. */
static int make_waiting(struct strata_apply *a, bool lower, struct strata_err *err)
{
	int progress = 0;

	for (size_t i = 0; i < a->links.count; i++) {
		struct apply_link *link = &a->links.list[i];
		const char *target;
		int state;

		if (link->state == LINK_DONE || (lower && link->state == LINK_LOWER))
			continue;
		target = back_to(a, link, err);
		swap_meta(a, link);
		state = target != NULL ? try_link(a, target, lower, err) : -1;
		swap_meta(a, link);
		if (state < 0)
			return -1;
		if (state != LINK_MISSING) {
			link->state = state;
			progress = 1;
		}
	}
	return progress;
}

/* Fails for the first hardlink without a file; before, for any whose directory cannot be made. */
static int report_missing(struct strata_apply *a, struct strata_err *err)
{
	const struct apply_link *first = NULL;
	const char *target;
	struct apply_found found;

	for (size_t i = a->links.count; i-- > 0;) {
		const char *name;

		if (a->links.list[i].state != LINK_MISSING)
			continue;
		first = &a->links.list[i];
		if (back_to(a, first, err) == NULL || enter(a, APPLY_MAKE, &name, err) < 0)
			return -1;
	}
	if (first == NULL)
		return 0;
	target = back_to(a, first, err);
	if (target == NULL || find_target(a, target, &found, err) < 0)
		return -1;
	strata_cleanup_fd_(&found.dir); /* of a target that the last pass has made */
	return apply_link_fail(target, found.directory, err);
}

/* Sets what the header of a hardlink says, unless something of this layer has taken its name. */
static int set_lower(struct strata_apply *a, struct apply_link *link, struct strata_err *err)
{
	const char *name;
	struct stat st;
	int status = back_to(a, link, err) != NULL ? enter(a, APPLY_LOOK, &name, err) : -1;

	if (status != 0 || fstatat(a->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !layer_set_has_lower(&a->set, &st))
		return status < 0 ? -1 : 0;
	swap_meta(a, link);
	status = apply_meta_link(a, a->dir.fd, name, err);
	swap_meta(a, link);
	return status;
}

/* The names that are left of lower layers' files. */
static int set_all_lower(struct strata_apply *a, struct strata_err *err)
{
	for (size_t i = 0; i < a->links.count; i++)
		if (a->links.list[i].state == LINK_LOWER &&
		    set_lower(a, &a->links.list[i], err) < 0)
			return -1;
	return 0;
}

int apply_links_end(struct strata_apply *a, struct strata_err *err)
{
	for (int lower = 0; lower < 2 && a->links.count > 0; lower++) {
		int status = 1;

		for (int pass = 0; status > 0 && pass < WAITING_PASSES; pass++)
			status = make_waiting(a, lower, err);
		if (status < 0)
			return -1;
	}
	if (report_missing(a, err) < 0 ||
	    (a->options.view == STRATA_VIEW_RUNTIME && set_all_lower(a, err) < 0))
		return -1;
	apply_links_forget(&a->links);
	return 0;
}

void apply_links_forget(struct apply_links *links)
{
	for (size_t i = 0; i < links->count; i++)
		apply_meta_free(&links->list[i].meta);
	links->count = links->text.len = 0;
}

void apply_links_free(struct apply_links *links)
{
	apply_links_forget(links);
	free(links->list);
	strata_buf_free(&links->text);
}
