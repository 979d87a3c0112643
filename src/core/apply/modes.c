#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/fs/resolve.h"

int apply_modes_keep(struct apply_modes *modes, int fd, const char *path, mode_t *mode,
                     struct strata_err *err)
{
	struct stat st;
	char *copy;

	if (strata_grow(modes->list, modes->count, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	copy = strdup(path);
	if (copy == NULL)
		return strata_fail_nomem(err);
	modes->list[modes->count] =
	        (struct apply_mode){copy, st.st_dev, st.st_ino, *mode, modes->count};
	modes->count++;
	*mode |= 0700;
	return 0;
}

/* The root, ".", is not as deep as a name of one byte. */
static size_t depth_of(const char *path)
{
	return strcmp(path, ".") == 0 ? 0 : strlen(path);
}

/* Directories come before those that they are in; of one directory's modes the last one counts. */
static int compare(const void *pa, const void *pb)
{
	const struct apply_mode *x = pa, *y = pb;
	size_t xd = depth_of(x->path), yd = depth_of(y->path);

	if (xd != yd)
		return xd > yd ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

int apply_modes_set(struct apply_modes *modes, int root, struct strata_err *err)
{
	if (modes->count > 1)
		qsort(modes->list, modes->count, sizeof(*modes->list), compare);
	for (size_t i = 0; i < modes->count; i++) {
		const struct apply_mode *m = &modes->list[i];
		cleanup_fd int fd = strata_resolve_in_root(root, m->path, APPLY_DIR_FLAGS);
		struct stat st;

		/* It may have been removed or replaced since. */
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != m->dev || st.st_ino != m->ino)
			continue;
		if (fchmod(fd, m->mode) < 0)
			return strata_fail_errno(err, errno, "cannot set the mode of a directory");
	}
	apply_modes_free(modes);
	return 0;
}

void apply_modes_free(struct apply_modes *modes)
{
	for (size_t i = 0; i < modes->count; i++)
		free(modes->list[i].path);
	free(modes->list);
	*modes = (struct apply_modes){0};
}
