/* What was made in a directory, and how it is undone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/dir_internal.h"

static struct strata_record *find(struct strata_undo *j, const char *path)
{
	for (size_t i = 0; i < j->n; i++)
		if (strcmp(j->records[i].path, path) == 0)
			return &j->records[i];
	return NULL;
}

/* A new record at the end, all zero but its path; NULL: no memory. */
static struct strata_record *add(struct strata_undo *j, const char *path)
{
	struct strata_record *record;
	char *copy = strdup(path);

	if (copy != NULL && j->n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 16;
		struct strata_record *records =
		        strata_reallocarray(j->records, cap, sizeof(*records));

		if (records == NULL) {
			free(copy);
			return NULL;
		}
		j->records = records;
		j->cap = cap;
	}
	if (copy == NULL)
		return NULL;
	record = &j->records[j->n++];
	*record = (struct strata_record){.path = copy, .lock = -1};
	return record;
}

static void free_record(struct strata_record *record)
{
	if (record->lock >= 0)
		close(record->lock);
	free(record->path);
	free(record->backup);
}

int strata_undo_directory(struct strata_undo *j, const char *path, const struct stat *st,
                          struct strata_err *err)
{
	struct strata_record *record = add(j, path);

	if (record == NULL)
		return strata_fail_nomem(err);
	record->directory = true;
	record->made = *st;
	return 0;
}

/*
 * Gives what is to be replaced a second name. Where the file system has no
 * links it goes without one, and undoing will say so.
 */
static int back_up(struct strata_record *record, int dir_fd, const char *target, const char *name,
                   struct strata_err *err)
{
	char backup[STRATA_RANDOM_NAME];
	struct stat st;

	record->lock = openat(dir_fd, target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (record->lock >= 0)
		strata_lock_name(record->lock);
	if (fstatat(dir_fd, target, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	for (int i = 0; i < STRATA_RANDOM_TRIES; i++) {
		strata_random_name(backup);
		if (linkat(dir_fd, target, dir_fd, backup, 0) == 0) {
			record->replaced = true;
			record->backup = strdup(backup);
			if (record->backup != NULL)
				return 0;
			unlinkat(dir_fd, backup, 0);
			return strata_fail_nomem(err);
		}
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			break;
	}
	if (errno == EIO || errno == ENOSPC || errno == EDQUOT || errno == EROFS)
		return strata_fail_errno(err, errno, "%s", name);
	record->replaced = true;
	return 0;
}

int strata_dir_publishing(const struct strata_output *o, const char *name, struct strata_err *err)
{
	struct strata_undo *j = &o->dir->journal;
	struct strata_record *record = find(j, o->path);

	if (record != NULL) /* once more: what was there at first is what counts */
		return 0;
	record = add(j, o->path);
	if (record == NULL)
		return strata_fail_nomem(err);
	record->pending = true;
	if (back_up(record, o->dir_fd, o->target, name, err) < 0) {
		free_record(record);
		j->n--;
		return -1;
	}
	return 0;
}

void strata_dir_published(const struct strata_output *o, int fd)
{
	struct strata_record *record = find(&o->dir->journal, o->path);

	if (record != NULL)
		record->pending = fstat(fd, &record->made) < 0;
}

/* ---- undoing ----------------------------------------------------------- */

/* What is in the way of others, or gone, is not ours any more: that is no failure. */
static int removed(int rc)
{
	if (rc < 0 && (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST))
		return 0;
	return rc < 0 ? -errno : 0;
}

/*
 * Whether what is there is what we made. Numbers of inodes come again, so a
 * file must also be as it was; a directory that is not empty stays anyway.
 */
static bool is_ours(int dir_fd, const char *name, const struct stat *made)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != made->st_dev ||
	    st.st_ino != made->st_ino || (st.st_mode & S_IFMT) != (made->st_mode & S_IFMT))
		return false;
	return S_ISDIR(st.st_mode) ||
	       (st.st_size == made->st_size && st.st_mtim.tv_sec == made->st_mtim.tv_sec &&
	        st.st_mtim.tv_nsec == made->st_mtim.tv_nsec);
}

/* Undoes one record; 0 or a negative errno. EEXIST: what was replaced is lost. */
static int undo(const struct strata_dir *dir, const struct strata_record *record)
{
	const char *slash = strrchr(record->path, '/');
	const char *name = slash != NULL ? slash + 1 : record->path;
	cleanup_fd int fd = -1;
	bool ours;

	fd = strata_dir_parent(dir, record->path, O_PATH);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	ours = !record->pending && is_ours(fd, name, &record->made);
	if (!ours)
		return record->backup ? removed(unlinkat(fd, record->backup, 0)) : 0;
	if (record->backup != NULL)
		return renameat(fd, record->backup, fd, name) < 0 ? -errno : 0;
	if (record->replaced)
		return -EEXIST;
	return removed(unlinkat(fd, name, record->directory ? AT_REMOVEDIR : 0));
}

/* Removes the directory itself when strata_dir_make made it. */
static int undo_own(struct strata_dir *dir)
{
	if (dir->parent_fd < 0 || !is_ours(dir->parent_fd, dir->own_name, &dir->made))
		return 0;
	return removed(unlinkat(dir->parent_fd, dir->own_name, AT_REMOVEDIR));
}

int strata_undo_run(struct strata_dir *dir, struct strata_err *err)
{
	struct strata_undo *j = &dir->journal;
	int rc, result = 0;

	while (j->n > 0) {
		struct strata_record *record = &j->records[--j->n];

		rc = undo(dir, record);
		if (rc == -EEXIST && result == 0)
			result = strata_fail(err, "EEXIST",
			                     "%s/%s: was replaced and cannot be put back",
			                     dir->name, record->path);
		else if (rc < 0 && result == 0)
			result = strata_fail_errno(err, -rc, "%s/%s", dir->name, record->path);
		free_record(record);
	}
	rc = undo_own(dir);
	if (rc < 0 && result == 0)
		result = strata_fail_errno(err, -rc, "%s", dir->name);
	return result;
}

static void remove_backup(const struct strata_dir *dir, const struct strata_record *record)
{
	/* Beside it, without a descriptor more where that can be. */
	bool here = strchr(record->path, '/') == NULL;
	int fd = here ? dir->fd : strata_dir_parent(dir, record->path, O_PATH);

	if (fd >= 0)
		unlinkat(fd, record->backup, 0);
	if (fd >= 0 && !here)
		close(fd);
}

void strata_undo_forget(struct strata_dir *dir)
{
	struct strata_undo *j = &dir->journal;

	for (size_t i = 0; i < j->n; i++) {
		struct strata_record *record = &j->records[i];

		/* After a fork the other process still needs it. */
		if (record->backup != NULL && j->owner == getpid())
			remove_backup(dir, record);
		free_record(record);
	}
	free(j->records);
	*j = (struct strata_undo){.owner = j->owner};
}
