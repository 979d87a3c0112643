/*
 * Directories that are read from and written to by names inside, and nothing
 * else: image layouts, whose names come out of documents.
 *
 * A strata_dir holds a descriptor, so that it stays the same directory when
 * the working directory changes or something is renamed. Names are relative
 * and must not lead out (EXDEV), also not by symbolic links; links that stay
 * inside are followed. See resolve.h.
 *
 * Reference counted; the count is atomic, everything else belongs to one
 * thread at a time.
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
 * Opens a directory for writing, too; makes it (0755, less the umask) when it
 * is missing, but not its parent. What is created in it from then on is
 * remembered until strata_dir_keep.
 */
struct strata_dir *strata_dir_make(const char *path, struct strata_err *err);

struct strata_dir *strata_dir_ref(struct strata_dir *dir);
void strata_dir_unref(struct strata_dir *dir);

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
 * An output as strata_file_create makes them. Directories on the way are made.
 * The last component is never followed: a link there is ELOOP.
 */
struct strata_file *strata_dir_create(struct strata_dir *dir, const char *path,
                                      struct strata_err *err);

/* Removes a file, not what a link leads to. One that is not there is no error. */
int strata_dir_remove(struct strata_dir *dir, const char *path, struct strata_err *err);

/* Directories that were made are on disk after this; files are once they are published. */
int strata_dir_sync(struct strata_dir *dir, struct strata_err *err);

/*
 * Removes what was made or published since strata_dir_make, that directory
 * included, and puts back what was replaced. What others have changed or put
 * there meanwhile stays. Goes on after a failure and reports the first.
 * Outputs that are not published yet should be unreferenced before.
 */
int strata_dir_undo(struct strata_dir *dir, struct strata_err *err);

/* Forgets what could be undone. Losing the last reference does the same. */
void strata_dir_keep(struct strata_dir *dir);

static inline void strata_cleanup_dir_(struct strata_dir **dir)
{
	strata_dir_unref(*dir);
}
#define cleanup_dir __attribute__((cleanup(strata_cleanup_dir_)))

#endif
