/* What dir.c, undo.c and output.c share. */
#ifndef STRATA_DIR_INTERNAL_H
#define STRATA_DIR_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "core/fs/dir.h"
#include "core/fs/file_internal.h"

/*
 * What was made in a directory, in order, so that it can be removed again. A
 * file that is replaced gets a second name beside it until it is known that
 * the new one stays.
 */
struct strata_record {
	char *path;       /* from the directory, without links, "." and ".." */
	struct stat made; /* what we put there: anything else is not ours to remove */
	bool directory;
	bool pending;  /* not there yet: about to be published */
	bool replaced; /* something was there before */
	int lock;      /* a descriptor that says that the backup is in use, or -1 */
	char *backup;  /* its second name in the same directory; NULL: it could not have one */
};

struct strata_undo {
	struct strata_record *records;
	size_t n;
	size_t cap;
	pid_t owner; /* who may remove backups */
};

struct strata_dir {
	atomic_uint refs;
	int fd;
	bool writable;
	char *name;
	struct strata_undo journal;
	ino_t swept; /* the directory in which stale names were looked for last */

	/* When strata_dir_make made it: */
	int parent_fd; /* -1 otherwise */
	char *own_name;
	struct stat made;
};

/* The last component of a path; the one before it goes to *parent ("." when none): to be freed. */
const char *strata_split_path(const char *path, char **parent);

/* The directory that a path of the journal stands in. A descriptor, or a negative errno. */
int strata_dir_parent(const struct strata_dir *dir, const char *path, int flags);

/* undo.c */
int strata_undo_directory(struct strata_undo *j, const char *path, const struct stat *st,
                          struct strata_err *err);
int strata_undo_run(struct strata_dir *dir, struct strata_err *err);
void strata_undo_forget(struct strata_dir *dir);

/* Around the rename of output.c: before, and when it went well. */
int strata_dir_publishing(const struct strata_output *o, const char *name, struct strata_err *err);
void strata_dir_published(const struct strata_output *o, int fd);

#endif
