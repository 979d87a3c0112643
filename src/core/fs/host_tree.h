/*
 * A directory of the host as a list of entries, to be made a layer of.
 *
 * The list grows by one directory at a time (strata_host_tree_list), so that whoever
 * walks can leave out what he does not want before it is read. Nothing below
 * the directory is followed: entries are looked at through descriptors, and
 * what is opened again later must be the very file that was looked at (ESTALE
 * otherwise). The working directory plays no part.
 *
 * Memory: one record, the path and the extended attributes for each entry. A
 * strata_host_tree belongs to one thread while it is built; strata_host_tree_open may be
 * called by any afterwards.
 */
#ifndef STRATA_HOST_TREE_H
#define STRATA_HOST_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"

#define STRATA_HOST_TREE_NO_PARENT UINT32_MAX

struct strata_host_tree_entry {
	uint64_t dev;
	uint64_t ino;
	int64_t size;
	int64_t mtime;
	int64_t ctime;
	uint32_t mtime_nsec;
	uint32_t ctime_nsec;
	uint32_t mode; /* with the bits of the type */
	uint32_t uid;
	uint32_t gid;
	uint32_t devmajor; /* of a device */
	uint32_t devminor;
	uint32_t links;    /* st_nlink */
	uint32_t path;     /* offsets in the text; paths have no "/" at the ends */
	uint32_t linkpath; /* of a symlink */
	uint32_t xattrs;   /* for strata_host_tree_xattr */
	uint32_t xattrs_len;
	uint32_t parent; /* STRATA_HOST_TREE_NO_PARENT: the directory itself */
	uint16_t path_len;
	uint16_t linkpath_len;
	bool dropped;
	bool foreign; /* a mount point of a file system that is no place for files: /proc ... */
};

struct strata_host_tree {
	int root;   /* its descriptor */
	char *name; /* what messages call it */
	struct strata_host_tree_entry self;
	struct strata_host_tree_entry *entries;
	uint32_t count;
	uint32_t max_entries;
	struct strata_buf text;
	atomic_uint refs;
};

/* Opens the directory, which may be named by a link. One reference. */
struct strata_host_tree *strata_host_tree_new(const char *path, uint32_t max_entries,
                                              struct strata_err *err);

struct strata_host_tree *strata_host_tree_ref(struct strata_host_tree *d);
void strata_host_tree_unref(struct strata_host_tree *d);

/*
 * Appends what is in a directory of the list (STRATA_HOST_TREE_NO_PARENT: the
 * directory itself), sorted by name. A mount point of /proc and its like has
 * nothing in it.
 */
int strata_host_tree_list(struct strata_host_tree *d, uint32_t number, struct strata_err *err);

/*
 * Takes away what was marked `dropped`, with all below it, and sorts the rest
 * by the bytes of its paths. To be called once, when everything is read.
 */
int strata_host_tree_sort(struct strata_host_tree *d, struct strata_err *err);

/* The number of the entry of that path; false when there is none. After sorting. */
bool strata_host_tree_find(const struct strata_host_tree *d, const char *path, size_t len,
                           uint32_t *number);

static inline const char *strata_host_tree_text(const struct strata_host_tree *d, uint32_t offset)
{
	return d->text.data + offset;
}

struct strata_host_tree_xattr {
	const char *name;
	const char *value;
	size_t len;
};

/* Takes the next attribute off an entry's (advancing both); false when there is none left. */
bool strata_host_tree_xattr(const char **records, size_t *left,
                            struct strata_host_tree_xattr *found);

/* Opens a regular file of the list for reading. A descriptor, the caller's; -1 on failure. */
int strata_host_tree_open(const struct strata_host_tree *d, uint32_t number,
                          struct strata_err *err);

/* After reading it: ESTALE when the file is not what it was when it was listed. */
int strata_host_tree_check(const struct strata_host_tree *d, uint32_t number, int fd,
                           struct strata_err *err);

/* Whether two files have the same content: 1 yes, 0 no, -1 error. */
int strata_host_tree_same(const struct strata_host_tree *a, uint32_t x,
                          const struct strata_host_tree *b, uint32_t y, struct strata_err *err);

/* Reads the next bytes of an open file; fewer than len is an error that names it. */
int strata_host_tree_read(const struct strata_host_tree *d, uint32_t number, int fd, void *bytes,
                          size_t len, struct strata_err *err);

#endif
