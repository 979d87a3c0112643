/* What the files behind file.h, and those that build on it, share. */
#ifndef STRATA_FILE_INTERNAL_H
#define STRATA_FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/fs/file.h"

/* A file that is to be published: where it lies until then. */
struct strata_output {
	int dir_fd;   /* the directory that it is made in */
	char *target; /* the name that strata_file_publish gives it there; NULL: dir.c chooses */
	char *temp;   /* its name until then; NULL: it has none */
	pid_t owner;  /* the process that may remove temp */
};

struct strata_file {
	atomic_uint refs;
	int fd;
	bool writable;
	bool taken; /* by strata_file_take: it may have a name */
	char *name;
	struct strata_file_stamp opened; /* when it was opened for reading */
	atomic_ullong written;           /* end of the furthest write */
	pthread_mutex_t turn;         /* writers wait here, asleep; in the kernel they would spin */
	struct strata_output *output; /* owned; NULL when it is none, or published */
};

/* Takes fd on success only. */
struct strata_file *strata_file_wrap(int fd, const char *name, struct strata_err *err);

/* The same for reading; fails for everything that is no regular file. */
struct strata_file *strata_file_adopt(int fd, const char *name, struct strata_err *err);

/* Directories are EISDIR, everything else that is no regular file EUNSUPPORTED. */
int strata_check_regular(const struct stat *st, const char *name, struct strata_err *err);

/*
 * A new output in the directory dir_fd, which is taken in any case. When `like`
 * names a regular file there, the output gets its mode and owner; a link is not
 * followed. `name` is what messages call the output.
 */
struct strata_file *strata_output_open(int dir_fd, const char *like, const char *name,
                                       struct strata_err *err);
void strata_output_free(struct strata_output *o);

/* Publishes an output as `target` in a directory of the file system that it was opened in. */
int strata_output_publish(struct strata_file *f, int dir_fd, const char *target,
                          struct strata_err *err);

/* The last component of a path; what it stands in ("." when none) goes to *parent. Both are the
 * caller's; NULL: no memory. */
char *strata_split_path(const char *path, char **parent);

/* A descriptor of a directory that may be writable and searchable only, or -1 with errno. */
int strata_open_directory(const char *path);

/* Writes a directory's names to disk, where the file system can: 0 or a negative errno. */
int strata_sync_directory(int fd);

#endif
