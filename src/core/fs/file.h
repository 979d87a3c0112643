/*
 * Files as random access, temporary files, and atomic publishing.
 *
 * A strata_file is an open regular file with a reference count; the count is
 * atomic, everything else is set at creation, so that one file can be read by
 * several threads. Reads and writes name their offset: there is no position.
 */
#ifndef STRATA_FILE_H
#define STRATA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/base/err.h"

struct strata_file;

/*
 * Opens for reading. Only regular files: a directory is EISDIR, anything else
 * EUNSUPPORTED (and a FIFO does not block).
 */
struct strata_file *strata_file_open(const char *path, struct strata_err *err);

/*
 * Where temporary files go when a caller does not say: $TMPDIR or /tmp. It asks
 * the environment, which the host may change at any time: worker threads get
 * the directory from the thread that started them.
 */
const char *strata_temp_dir(void);

/*
 * An unnamed file for reading and writing in dir (NULL: strata_temp_dir). It
 * is gone when the last reference is, also after a crash. `name` is what
 * messages call it; NULL: "temporary file".
 */
struct strata_file *strata_file_temp(const char *dir, const char *name, struct strata_err *err);

struct strata_file *strata_file_ref(struct strata_file *f);
void strata_file_unref(struct strata_file *f);

/* What messages call it. */
const char *strata_file_name(const struct strata_file *f);

/* The descriptor; it stays the file's, and so does its position: use pread. */
int strata_file_fd(const struct strata_file *f);

/* Size when opened; for a temporary file or an output the end of what was written. */
uint64_t strata_file_size(const struct strata_file *f);

/* EFORMAT when the file ends before offset + len. */
int strata_file_read(const struct strata_file *f, uint64_t offset, void *bytes, size_t len,
                     struct strata_err *err);

int strata_file_write(struct strata_file *f, uint64_t offset, const void *bytes, size_t len,
                      struct strata_err *err);

/*
 * Tells an unnamed temporary file that its first `size` bytes were written through its descriptor,
 * by what is not given the file itself. EINVAL for other files; EFORMAT when they are not there.
 */
int strata_file_grow(struct strata_file *f, uint64_t size, struct strata_err *err);

/* Copies by the kernel where it can (reflink, copy_file_range). */
int strata_file_copy(struct strata_file *to, uint64_t to_offset, const struct strata_file *from,
                     uint64_t from_offset, uint64_t len, struct strata_err *err);

/* Whether nobody else can write to it: it has been made here, and has had no name yet. */
bool strata_file_private(const struct strata_file *f);

/* Fails with ESTALE when the file was written to or truncated since it was opened, or published. */
int strata_file_unchanged(const struct strata_file *f, struct strata_err *err);

/* What tells that a file has been written to: its size and the time of its last change. */
struct strata_file_stamp {
	off_t size;
	struct timespec mtime;
};

int strata_file_stamp(const struct strata_file *f, struct strata_file_stamp *stamp,
                      struct strata_err *err);

static inline bool strata_file_same_stamp(const struct strata_file_stamp *a,
                                          const struct strata_file_stamp *b)
{
	return a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/*
 * An output that is to appear at `path` whole or not at all, with the mode and
 * owner of a file that is there, symlinks followed.
 *
 * Until it is published the output is a file without a name in the directory of
 * the target: it leaves nothing, whatever happens to the process. To replace a
 * file `x` it has the name `.x.strata` for the moment between link and rename. On
 * file systems without unnamed files (O_TMPFILE) it has that name all the time.
 * The next save of `x` removes the name when the process that had it was killed,
 * which a lock (flock) tells. While that process lives, another save of `x` uses a
 * random name, `.strata-` and 16 digits; that is removed by nobody else.
 */
struct strata_file *strata_file_create(const char *path, struct strata_err *err);

/*
 * Lets a new output be what an unnamed temporary file is, instead of copying
 * it: both are the same file then, which is not to be written to any more. 0
 * when that cannot be (another file system, taken before, no temporary file),
 * 1 when it is done. The output must be empty.
 */
int strata_file_take(struct strata_file *output, struct strata_file *temp, struct strata_err *err);

/*
 * Writes the file to disk, gives it its name, and writes the directory to disk. From then on it can
 * be read, like one that was opened then. Once: EINVAL afterwards. When only the last step fails
 * the file is there, but may be gone after a power failure.
 */
int strata_file_publish(struct strata_file *f, struct strata_err *err);

/* Makes an output an unnamed temporary file, which is not going to be published. */
void strata_file_give_up(struct strata_file *f);

static inline void strata_cleanup_file_(struct strata_file **f)
{
	strata_file_unref(*f);
}
#define cleanup_file __attribute__((cleanup(strata_cleanup_file_)))

#endif
