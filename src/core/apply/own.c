#include "core/apply/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"

/* What the layer has of a name in the directory found->dir, whose path without links is plain. */
static int look(struct strata_apply *a, const char *plain, struct apply_found *found,
                struct strata_err *err)
{
	cleanup_buf struct strata_buf path = {0};
	struct stat above;
	bool there = fstatat(found->dir, found->name, &found->st, AT_SYMLINK_NOFOLLOW) == 0;

	if ((!there && errno != ENOENT) || fstat(found->dir, &above) < 0)
		return strata_fail_errno(err, errno, "cannot look at its target");
	if (apply_path_below(&path, plain, found->name, err) < 0)
		return -1;
	found->directory = there && S_ISDIR(found->st.st_mode);
	found->ours = there && (layer_set_has(&a->set, &above, found->name)
	                                ? !layer_set_has_lower(&a->set, &found->st)
	                                : found->directory &&
	                                          layer_set_has_path(&a->set, path.data, path.len));
	found->whiteout = !found->ours && layer_set_hides(&a->set, &above, found->name);
	found->directory =
	        found->directory && !found->whiteout; /* of a lower layer, till the end */
	return found->ours || found->whiteout ? 0 : 1;
}

int apply_find_own(struct strata_apply *a, const char *path, struct apply_found *found,
                   struct strata_err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
	cleanup_buf struct strata_buf plain = {0};
	int status;

	*found = (struct apply_found){.dir = -1, .name = slash != NULL ? slash + 1 : path};
	if (parent == NULL)
		return strata_fail_nomem(err);
	found->dir = apply_look_in(a, parent, &plain, err);
	if (found->dir == -ECANCELED)
		return -1;
	if (found->dir < 0)
		return apply_is_absent(found->dir)
		               ? 1
		               : strata_fail_errno(err, -found->dir,
		                                   "cannot open the directory of its target");
	status = look(a, plain.data, found, err);
	if (status != 0)
		close(found->dir);
	return status;
}
