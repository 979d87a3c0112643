/* What the files of `apply` share: apply.c runs, the others do one thing each. */
#ifndef STRATA_APPLY_INTERNAL_H
#define STRATA_APPLY_INTERNAL_H

#include <sys/stat.h>
#include <sys/types.h>

#include "core/apply/apply.h"
#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/base/siphash.h"
#include "core/tar/tar.h"

/* A path deeper than this is refused; what is removed may be twice as deep. */

/* Hashes of what has been seen; 0 is an empty slot. */
struct apply_set {
	uint64_t *slots;
	size_t mask;
	size_t count;
};

/* The directory that entries go to now. */
struct apply_dir {
	int fd;                 /* -1: none */
	struct strata_buf path; /* as resolved, NUL-terminated */
	struct stat st;         /* as it was opened; its times are put back */
	bool dirty;             /* something in it has changed */
	bool clean;             /* everything in it is of this layer */
	bool stale;             /* paths may lead elsewhere now: open it again */
	bool linked;            /* overlay: reached through a link, which any entry may hide */
};

struct apply_meta {
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	int64_t mtime;
	uint32_t mtime_nsec;
	bool has_xattrs;
	struct strata_buf pax; /* when it has */
};

/* The file whose payload is being read. */
struct apply_content {
	int fd;        /* -1: none */
	uint64_t left; /* payload bytes to come */
	uint64_t size;
	bool sparse;
	bool mapped;
	struct strata_buf raw;    /* header span of a sparse file */
	struct strata_buf prefix; /* payload that may be its map */
	struct strata_tar_extent *extents;
	size_t extent_count;
	size_t extent; /* being written */
	uint64_t within;
};

/*
 * A hardlink whose target was not there, or was a lower layer's, in order: this
 * layer may have a file for it yet. Names are offsets into arena.
 */
struct apply_link {
	size_t path;
	size_t target;
	uint64_t number;
	dev_t dev; /* of the file it is a name of now, or of what stands for that */
	ino_t ino;
	dev_t dir_dev; /* of the directory in which something stands for it */
	ino_t dir_ino;
	bool found;
	bool lower;
	bool done; /* replaced by another entry */
};

/* A directory whose mode would keep its own user out. */
struct apply_mode {
	char *path;
	dev_t dev;
	ino_t ino;
	mode_t mode;
	size_t order;
};

/*
 * Overlay: to be looked at again at the layer's end. A directory made on the way
 * to an entry is given what it has below; a whiteout goes when what it is in
 * has become opaque: overlayfs would list it there.
 */
struct apply_borrower {
	bool whiteout;
	char *path; /* without links */
	dev_t dev;
	ino_t ino;
};

struct apply_layer {
	char *label;
	struct strata_blob blob;
	char digest[STRATA_DIGEST_MAX];
	char diff_id[STRATA_DIGEST_MAX];
};

struct strata_apply {
	atomic_uint references;
	struct strata_apply_options options;
	struct apply_layer *layers;
	size_t layer_count;
	bool ran;
	uint64_t removals; /* so far */
	bool root_told;    /* an entry has given the target its mode */

	int parent; /* of the target, and its name there; -1 when it was there before */
	char *name;
	bool fresh; /* it was empty */
	int target;
	uid_t euid;
	gid_t egid;

	/* Of the layer being applied: */
	int root;     /* the target; in overlay mode the layer's directory */
	size_t layer; /* from 0 */
	int trouble;  /* errno of a look-up that could not tell whether something is there */
	uint64_t number;
	struct strata_buf path; /* of the entry, normalised, NUL-terminated */
	struct apply_dir dir;
	struct apply_meta meta;
	struct apply_content content;
	struct apply_set made;  /* names in directories that are not clean */
	struct apply_set clean; /* directories */
	struct strata_hash_key hash_key;
	struct apply_link *links;
	size_t link_count;
	struct strata_buf arena;
	struct apply_mode *modes;
	size_t mode_count;
	struct apply_borrower *borrowers;
	size_t borrower_count;

	struct strata_apply_result result;
};

/* ---- what this layer has made (layer_set.c) ---------------------------- */

int apply_mark_clean(struct strata_apply *a, const struct stat *dir, struct strata_err *err);
bool apply_is_clean(const struct strata_apply *a, const struct stat *dir);
int apply_mark_made(struct strata_apply *a, const struct stat *dir, const char *name,
                    struct strata_err *err);
bool apply_is_made(const struct strata_apply *a, const struct stat *dir, const char *name);
void apply_forget_seen(struct strata_apply *a);

/* ---- directories (dir.c) ------------------------------------------ */

/* Whether a -errno of opening a path says that nothing is there. */
bool apply_is_absent(int fd);

/*
 * Opens the directory of that normalised path as a->dir. With `make`, missing
 * ones and what is in their way become directories. 1: it is not there (without
 * make only). The descriptors of a->dir are valid until the next call.
 */
int apply_enter(struct strata_apply *a, const char *path, size_t len, bool make,
                struct strata_err *err);

/* Puts the directory's time back and closes it. */
int apply_leave(struct strata_apply *a, struct strata_err *err);

/* Gives it what a directory has that no entry tells of. */
int apply_implied(struct strata_apply *a, int fd, struct strata_err *err);

/* Makes name an implied directory in dir, in which nothing else changes. */
int apply_make_dir(struct strata_apply *a, int dir, const char *name, struct strata_err *err);

/* Removes what stands in the way of an entry, and all that is in it. */
int apply_clear_way(struct strata_apply *a, const char *name, struct strata_err *err);

/* As a user: keeps the mode of the directory for the end, when it would be in the way. */
int apply_keep_mode(struct strata_apply *a, int fd, mode_t *mode, struct strata_err *err);
int apply_final_modes(struct strata_apply *a, struct strata_err *err);

/* ---- removing (remove.c) ------------------------------------------ */

/* Removes `name` in the directory `dir`, whatever it is; nothing there is no error. */
int apply_remove(struct strata_apply *a, int dir, const char *name, struct strata_err *err);

/*
 * Empties the directory fd, which is left open. lower: what this layer has made
 * stays, and directories that still hold some of that.
 */
int apply_purge(struct strata_apply *a, int fd, bool lower, struct strata_err *err);

/* ---- metadata (meta.c) -------------------------------------------- */

/* Takes over what is needed behind the parser's next step. */
int apply_take_meta(struct strata_apply *a, const struct strata_tar_header *h,
                    struct strata_err *err);

/* Owner, attributes, mode and times of an open file or directory, in that order. */
int apply_meta_fd(struct strata_apply *a, int fd, bool directory, bool existing,
                  struct strata_err *err);

/* The same of anything else, by its name in a->dir. */
int apply_meta_name(struct strata_apply *a, const char *name, bool symlink, struct strata_err *err);

/* Notes what cannot be done; fails when it is to be exact. errnum: why. */
int apply_note(struct strata_apply *a, const char *what, const char *detail, int errnum,
               struct strata_err *err);

/* ---- attributes (xattr.c) ----------------------------------------- */

int apply_xattrs(struct strata_apply *a, int fd, const char *name, struct strata_err *err);

/* Removes what a directory has from a lower layer. */
int apply_clear_xattrs(struct strata_apply *a, int fd, struct strata_err *err);

/* ---- entries ------------------------------------------------------------ */

/* Applies an entry; the payload follows by apply_data (entry.c). */
int apply_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                size_t raw_len, struct strata_err *err);

/* Looks again for the targets of links that may have come behind them. */
int apply_late_links(struct strata_apply *a, struct strata_err *err);

/* A payload's bytes (content.c). */
int apply_content_begin(struct strata_apply *a, int fd, const struct strata_tar_header *h,
                        const char *raw, size_t raw_len, struct strata_err *err);
int apply_data(struct strata_apply *a, const char *data, size_t len, struct strata_err *err);
void apply_content_close(struct strata_apply *a);

/*
 * 0: the path is no whiteout; 1: it was one and has been carried out, or is of
 * no meaning here (whiteout.c).
 */
int apply_whiteout(struct strata_apply *a, struct strata_err *err);

/* The last component of a path: where it begins. */
static inline size_t apply_base(const struct strata_buf *path)
{
	size_t at = path->len;

	while (at > 0 && path->data[at - 1] != '/')
		at--;
	return at;
}

#endif
