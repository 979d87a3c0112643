/* What the files behind file.h and dir.h share. */
#ifndef STRATA_FILE_INTERNAL_H
#define STRATA_FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/fs/file.h"

struct strata_dir;

/* What a file that is to be published becomes. Everything happens in one directory, by its
 * descriptor. */
struct strata_output {
	int dir_fd;
	char *target; /* the name that it is to have there */
	char *temp;   /* its name there until then, NULL while it has none */
	pid_t owner;  /* who may unlink temp */

	/* Only for what goes into a strata_dir: */
	struct strata_dir *dir; /* owns a reference */
	char *path;             /* of target, from dir */
};

struct strata_file {
	atomic_uint refs;
	int fd;
	bool writable;
	bool taken; /* by strata_file_take: it may have a name */
	char *name;
	struct stat opened;           /* when it was opened for reading */
	atomic_ullong written;        /* end of the furthest write */
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
 * A new output that is to be `target` in dir_fd, with the mode and owner of a
 * regular file that is there. Links are not followed. Takes dir_fd in any case.
 */
struct strata_file *strata_output_open(int dir_fd, const char *target, const char *name,
                                       struct strata_err *err);
void strata_output_free(struct strata_output *o);

#define STRATA_RANDOM_PREFIX ".strata-"
#define STRATA_RANDOM_DIGITS 16

/* Bytes of a name that nothing has: strata_random_name fills them. */
#define STRATA_RANDOM_NAME 32
#define STRATA_RANDOM_TRIES 100

/* ".strata-<16 hex digits>" */
void strata_random_name(char name[STRATA_RANDOM_NAME]);

/*
 * temp_names.c: what has a random name is locked, before it gets the name where that
 * can be; false: another process has taken it for stale meanwhile.
 */
bool strata_lock_name(int fd);
void strata_unlock_name(int fd);

/* Removes the random names in a directory whose processes are gone. */
void strata_remove_dead_temp_names(int dir_fd);

#endif
