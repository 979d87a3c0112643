#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"

/* 1: the directory has something in it. */
static int is_occupied(int fd, struct strata_err *err)
{
	int copy = openat(fd, ".", APPLY_DIR_FLAGS);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;
	int found = 0;

	if (dir == NULL) {
		strata_fail_errno(err, errno, "cannot read the directory");
		if (copy >= 0)
			close(copy);
		return -1;
	}
	for (errno = 0; !found && (e = readdir(dir)) != NULL; errno = 0)
		found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (!found && errno != 0) /* taken for empty it would be emptied after a failure */
		found = strata_fail_errno(err, errno, "cannot read the directory");
	closedir(dir);
	return found;
}

/* Makes the directory; its parent stays open so that it can be removed again. */
static int make(struct apply_target *t, const char *dir, struct strata_err *err)
{
	size_t len = strlen(dir), base;
	cleanup_free char *path = strdup(dir);

	if (path == NULL)
		return strata_fail_nomem(err);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	base = len;
	while (base > 0 && path[base - 1] != '/')
		base--;
	t->name = strdup(path + base);
	if (t->name == NULL)
		return strata_fail_nomem(err);
	path[base] = '\0';
	t->parent = open(base > 0 ? path : ".", APPLY_DIR_FLAGS);
	if (t->parent < 0)
		return strata_fail_errno(err, errno, "cannot open the directory above");
	/* Only its owner can look in before all of it has been verified. */
	if (mkdirat(t->parent, t->name, 0700) < 0) {
		int errnum = errno;

		close(strata_steal_fd(&t->parent));
		return strata_fail_errno(err, errnum, "cannot make the directory");
	}
	t->fd = openat(t->parent, t->name, APPLY_DIR_FLAGS | O_NOFOLLOW);
	if (t->fd >= 0)
		return 0;
	strata_fail_errno(err, errno, "cannot open the directory");
	unlinkat(t->parent, t->name, AT_REMOVEDIR);
	return -1;
}

int apply_target_open(struct apply_target *t, const char *dir, bool merge, struct strata_err *err)
{
	int occupied;

	t->fd = open(dir, APPLY_DIR_FLAGS);
	if (t->fd < 0 && errno == ENOENT) {
		t->fresh = true;
		return make(t, dir, err);
	}
	if (t->fd < 0)
		return strata_fail_errno(err, errno, "cannot open the directory");
	occupied = is_occupied(t->fd, err);
	if (occupied < 0)
		return -1;
	t->fresh = !occupied;
	if (occupied && !merge)
		return strata_fail(err, "ENOTEMPTY", "the directory is not empty");
	return 0;
}

void apply_target_discard(struct strata_apply *a)
{
	struct strata_err ignored;

	if (!a->target.fresh || a->options.keep_partial || a->target.fd < 0)
		return;
	/* A fresh directory holds only what this run has made: no limit may keep that. */
	apply_removals_unlimited(&a->removals);
	apply_purge(a, a->target.fd, false, &ignored);
	if (a->target.parent >= 0)
		unlinkat(a->target.parent, a->target.name, AT_REMOVEDIR);
}

void apply_target_close(struct apply_target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->parent >= 0)
		close(t->parent);
	free(t->name);
}
