/*
 * Directories that are read from and written to by names inside, and nothing
 * else: image layouts, whose names come out of documents.
 *
 * A strata_dir holds a descriptor, so that it stays the same directory when
 * the working directory changes or something is renamed. Names are relative
 * and must not lead out (EXDEV), also not by symbolic links; links that stay
 * inside are followed. See resolve.h. A strata_dir belongs to one thread at a time.
 */
#ifndef STRATA_DIR_H
#define STRATA_DIR_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/fs/file.h"

struct strata_dir;

/* Opens a directory for reading. */
struct strata_dir *strata_dir_open(const char *path, struct strata_err *err);

/*
 * Opens a directory for writing, too. One that is missing is made (0755, less
 * the umask) with the first file that is published in it; its parent must be
 * there and writable. Until then nothing is in it, and no name is found.
 */
struct strata_dir *strata_dir_make(const char *path, struct strata_err *err);

void strata_dir_free(struct strata_dir *dir);

/* The path that it was opened by. */
const char *strata_dir_name(const struct strata_dir *dir);

/* Whether both are one and the same directory, whatever paths led to it. */
bool strata_dir_same(const struct strata_dir *a, const struct strata_dir *b);

/*
 * Opens a regular file for reading. A directory is EISDIR, anything else
 * EUNSUPPORTED; devices and FIFOs are not even opened.
 */
struct strata_file *strata_dir_file(const struct strata_dir *dir, const char *path,
                                    struct strata_err *err);

/* Links are followed, so this is never a link. */
int strata_dir_stat(const struct strata_dir *dir, const char *path, struct stat *st,
                    struct strata_err *err);

/* 1 there, 0 not there, -1 when it cannot be told or leads out. */
int strata_dir_exists(const struct strata_dir *dir, const char *path, struct strata_err *err);

/* Appends the names in a directory, sorted bytewise, each with its NUL. */
int strata_dir_list(const struct strata_dir *dir, const char *path, struct strata_buf *names,
                    struct strata_err *err);

/*
 * An output as strata_file_create makes them, to be published as `path`, with
 * the mode and owner of a file that is there. The last component is never
 * followed: a link there is ELOOP.
 */
struct strata_file *strata_dir_create(const struct strata_dir *dir, const char *path,
                                      struct strata_err *err);

/*
 * Publishes an output of this directory; the directories on the way are made.
 * What is made or published stays, whatever fails later: another process may
 * rely on it by then. Only the directory itself goes when it could be made, and
 * nothing in it.
 */
int strata_dir_publish(struct strata_dir *dir, struct strata_file *f, const char *path,
                       struct strata_err *err);

/* Removes a file, not what a link leads to. One that is not there is no error. */
int strata_dir_remove(const struct strata_dir *dir, const char *path, struct strata_err *err);

/*
 * Keeps others that call this from going on, until strata_dir_unlock or the end
 * of the directory object: a lock of flock on the directory itself, which
 * outlasts that files in it are replaced, and dies with the process. It binds
 * those who ask for it only. Waits for STRATA_DIR_LOCK_SECONDS, then it is EBUSY.
 *
 * On a file system that locks no directories (NFS) this does nothing: whoever
 * reads a file, changes it and publishes it may then lose a change that somebody
 * else published between the two.
 */
int strata_dir_lock(const struct strata_dir *dir, struct strata_err *err);
void strata_dir_unlock(const struct strata_dir *dir);

#define STRATA_DIR_LOCK_SECONDS 60

static inline void strata_cleanup_dir_(struct strata_dir **dir)
{
	strata_dir_free(*dir);
}
#define cleanup_dir __attribute__((cleanup(strata_cleanup_dir_)))

#endif
