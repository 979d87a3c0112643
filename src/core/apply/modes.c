#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/fs/resolve.h"

/* The path below the directory `below`, unless that is NULL. The caller's; NULL: no memory. */
static char *join(const char *below, const char *path)
{
	size_t size = strlen(path) + (below != NULL ? strlen(below) + 1 : 0) + 1;
	char *joined = malloc(size);

	if (joined != NULL && below == NULL)
		memcpy(joined, path, size);
	else if (joined != NULL)
		snprintf(joined, size, strcmp(path, ".") == 0 ? "%s" : "%s/%s", below, path);
	return joined;
}

/* Adds what becomes of the directory fd; path: the caller's until it has been added. */
static int add(struct apply_modes *modes, int fd, struct apply_mode mode, struct strata_err *err)
{
	struct stat st;

	if (strata_grow(modes->list, modes->count, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at a directory");
	mode.dev = st.st_dev;
	mode.ino = st.st_ino;
	mode.order = modes->count;
	modes->list[modes->count++] = mode;
	return 0;
}

int apply_modes_keep(struct apply_modes *modes, int fd, size_t layer, const char *below,
                     const char *path, mode_t mode, struct strata_err *err)
{
	struct apply_mode m = {.layer = layer, .path = join(below, path), .mode = mode};

	if (m.path == NULL)
		return strata_fail_nomem(err);
	m.below = below != NULL ? strlen(below) : 0;
	if (add(modes, fd, m, err) == 0)
		return 0;
	free(m.path);
	return -1;
}

int apply_modes_drop(struct apply_modes *modes, int fd, struct strata_err *err)
{
	return modes->count > 0 ? add(modes, fd, (struct apply_mode){.path = NULL}, err) : 0;
}

static int note(struct apply_report *report, const struct apply_mode *m, int errnum,
                struct strata_err *err)
{
	const char *path = m->path + m->below;

	path += m->below > 0 && *path == '/';
	return apply_note_at(report, m->layer, *path != '\0' ? path : ".", "mode", errnum, err);
}

static bool is_that(const struct apply_mode *m, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == m->dev && st.st_ino == m->ino;
}

static int make_none(void *context, int dir, const char *name)
{
	(void)context;
	(void)dir;
	(void)name;
	return -ENOENT;
}

/* Has the path lead through no links, unless it leads to another directory by now. */
static int straighten(struct apply_mode *m, int root, struct strata_err *err)
{
	cleanup_buf struct strata_buf plain = {0};
	const struct strata_maker maker = {.make = make_none, .reached = &plain};
	cleanup_fd int fd = strata_resolve_plain(root, m->path, APPLY_DIR_FLAGS);
	cleanup_fd int linked = -1;

	if (is_that(m, fd))
		return 0;
	linked = strata_resolve_in_root_make(root, m->path, APPLY_DIR_FLAGS, &maker);
	if (!is_that(m, linked))
		return 0;
	if (strata_buf_append(&plain, "", 1, err) < 0)
		return -1;
	free(m->path);
	m->path = steal_pointer(&plain.data);
	return 0;
}

static const char *key_of(const struct apply_mode *m)
{
	return strcmp(m->path, ".") == 0 ? "" : m->path;
}

/* By directory; what became of one last comes first. */
static int compare_directories(const void *pa, const void *pb)
{
	const struct apply_mode *x = pa, *y = pb;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->order < y->order) - (x->order > y->order);
}

/* Leaves what became of each directory last, unless that is nothing. */
static void settle(struct apply_modes *modes)
{
	struct apply_mode *list = modes->list, last = {0};
	size_t count = 0;

	if (modes->count > 1)
		qsort(list, modes->count, sizeof(*list), compare_directories);
	for (size_t i = 0; i < modes->count; i++) {
		bool again = i > 0 && list[i].dev == last.dev && list[i].ino == last.ino;

		last = list[i];
		if (again || last.path == NULL)
			free(last.path);
		else
			list[count++] = last;
	}
	modes->count = count;
}

/* What is in a directory comes before it; of the modes of one directory the last one comes first.
 */
static int compare(const void *pa, const void *pb)
{
	const struct apply_mode *x = pa, *y = pb;
	int order = strcmp(key_of(y), key_of(x));

	return order != 0 ? order : (x->order < y->order) - (x->order > y->order);
}

static int set(struct apply_report *report, const struct apply_mode *m, int root,
               struct strata_err *err)
{
	cleanup_fd int fd = strata_resolve_plain(root, m->path, APPLY_DIR_FLAGS);

	if (fd < 0 && !apply_is_absent(fd))
		return note(report, m, -fd, err);
	if (!is_that(m, fd) || fchmod(fd, m->mode) == 0)
		return 0;
	return note(report, m, errno, err);
}

int apply_modes_set(struct apply_modes *modes, struct apply_report *report, int root,
                    struct strata_err *err)
{
	struct apply_mode *list = modes->list;

	settle(modes);
	for (size_t i = 0; i < modes->count; i++)
		if (straighten(&list[i], root, err) < 0)
			return -1;
	if (modes->count > 1)
		qsort(list, modes->count, sizeof(*list), compare);
	for (size_t i = 0; i < modes->count; i++)
		if ((i == 0 || strcmp(list[i].path, list[i - 1].path) != 0) &&
		    set(report, &list[i], root, err) < 0)
			return -1;
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
