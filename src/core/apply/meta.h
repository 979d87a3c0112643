/* Owners, extended attributes, modes and times. */
#ifndef STRATA_APPLY_META_H
#define STRATA_APPLY_META_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/layer/index.h"
#include "core/tar/tar.h"

struct strata_apply;

struct apply_meta {
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	int64_t mtime;
	uint32_t mtime_nsec;
	bool has_xattrs;
	struct strata_buf pax; /* when it has */
};

/* The last entry of the root. It is carried out when everything has been verified. */
struct apply_root {
	bool told;
	size_t layer;
	uint64_t number;
	struct apply_meta meta;
};

void apply_meta_free(struct apply_meta *m);

/* Takes over what is needed after the parser's next step. */
int apply_meta_take(struct apply_meta *m, const struct strata_tar_header *h,
                    struct strata_err *err);

/* The same of an entry of an index. */
int apply_meta_take_entry(struct apply_meta *m, const struct strata_index *index, uint32_t entry,
                          struct strata_err *err);

/*
 * Sets a->meta of an open file or directory in a->dir. path is a directory's, below
 * a->root; NULL for a file. existing: it has other attributes, which go.
 */
int apply_meta_fd(struct strata_apply *a, int fd, const char *path, bool existing,
                  struct strata_err *err);

/*
 * Adds a->meta, of a hardlink, to those of its file, which has that name in a directory. A symlink
 * keeps its time, as Docker and podman have it.
 */
int apply_meta_link(struct strata_apply *a, int dir, const char *name, struct strata_err *err);

/* Whether a->meta has the attribute by which overlayfs knows an opaque directory: 1 or 0. */
int apply_meta_is_opaque(const struct strata_apply *a, struct strata_err *err);

/* Sets a->meta of anything else, by its name in a->dir. */
int apply_meta_name(struct strata_apply *a, const char *name, bool symlink, struct strata_err *err);

/* Sets owner, mode and time of a directory without an entry: root's, 0755, time 0. */
int apply_implied(struct strata_apply *a, int fd, struct strata_err *err);

/*
 * Puts back the time of a directory in which a name was made or removed. When it is somebody
 * else's, that is noted.
 */
int apply_restore_time(struct strata_apply *a, int fd, const struct stat *before, const char *path,
                       struct strata_err *err);

/* a->meta is the root's. */
void apply_root_keep(struct strata_apply *a);

/* Sets it of the directory fd, and forgets it. */
int apply_root_set(struct strata_apply *a, int fd, struct strata_err *err);

/* ---- extended attributes (xattr.c) -------------------------------------- */

/* Sets those of a->meta: of the descriptor, or of a name, unless NULL, in that directory. */
int apply_xattrs(struct strata_apply *a, int fd, const char *name, struct strata_err *err);

/* Removes all that a directory has. */
int apply_clear_xattrs(struct strata_apply *a, int fd, struct strata_err *err);

#endif
