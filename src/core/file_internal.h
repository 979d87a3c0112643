/* What file.c and publish.c share. */
#ifndef STRATA_FILE_INTERNAL_H
#define STRATA_FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "file.h"

struct strata_file {
	atomic_uint refs;
	int fd;
	bool writable;
	char *name;
	struct stat opened;    /* when it was opened for reading */
	atomic_ullong written; /* end of the furthest write */
	pthread_mutex_t turn;  /* writers wait here, asleep; in the kernel they would spin */

	/* An output that is not published yet: */
	char *target;    /* where it is to appear, symlinks resolved */
	char *temp_path; /* its name until then, NULL while it has none */
	pid_t owner;     /* who may unlink temp_path */
};

/* Takes fd on success only. */
struct strata_file *strata_file_wrap(int fd, const char *name, struct strata_err *err);

#endif
