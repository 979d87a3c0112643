/* The directory that entries go to: resolved in the root, made when it is missing. */
#ifndef STRATA_APPLY_DIR_H
#define STRATA_APPLY_DIR_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct strata_apply;

struct apply_dir {
	int fd;                  /* -1: none */
	struct strata_buf path;  /* as asked for, NUL-terminated */
	struct strata_buf plain; /* apply_is_apart(): its path without links, NUL-terminated */
	struct stat st;          /* as it was opened; its times are put back */
	bool dirty;              /* something in it has changed */
	bool wholly_ours;        /* everything in it is of this layer */
	bool must_reopen;        /* the path may lead elsewhere now */
};

/* Whether a -errno of opening a path says that nothing is there. */
bool apply_is_absent(int fd);

enum apply_way {
	APPLY_LOOK,  /* nothing is made */
	APPLY_PLAIN, /* nothing is made; apply_is_apart(): no link is followed */
	APPLY_MAKE,  /* directories are made where they are missing, and in place of other files */
	APPLY_SPARE, /* the same, but not in place of what the layer has made */
};

/*
 * True when paths go through the symlinks of the layer being applied alone: in the
 * runtimes' view, and with lower layers in the same directory.
 */
bool apply_is_apart(const struct strata_apply *a);

/*
 * Opens the directory of a normalised path, "" for the root, as a->dir. 1: it is not
 * there, unless for APPLY_MAKE. The descriptor of a->dir is valid until the
 * next call.
 */
int apply_enter(struct strata_apply *a, const char *path, size_t len, enum apply_way way,
                struct strata_err *err);

/*
 * Opens a directory to look at what the layer has in it: a descriptor or a negative
 * errno. Its path without links is appended to plain.
 */
int apply_look_in(struct strata_apply *a, const char *path, struct strata_buf *plain,
                  struct strata_err *err);

/* Puts the directory's time back and closes it. */
int apply_leave(struct strata_apply *a, struct strata_err *err);

/* Remembers that the layer has made a name in a->dir. */
int apply_created(struct strata_apply *a, const char *name, struct strata_err *err);

/* Something in a->dir has changed. */
void apply_dir_changed(struct strata_apply *a);

/* Paths may lead elsewhere now. */
void apply_must_reopen(struct strata_apply *a);

/*
 * To be called before a layer replaces what it has itself by something of another type, for a
 * hardlink that has to wait, and for a whiteout that symlinks lead to: lower layers' files may be
 * gone that are to be seen in the end, or are not any more what the hardlink names, and the
 * directory of the whiteout may be hidden itself. Fails where the run can begin anew and go by the
 * merged tree.
 */
int apply_begin_anew(struct strata_apply *a, struct strata_err *err);

/* Removes a name in a->dir that is in the way of an entry, and everything in it. */
int apply_clear_way(struct strata_apply *a, const char *name, struct strata_err *err);

/* Fills path with that of `name` in a directory, "" for the root, NUL-terminated. */
int apply_path_below(struct strata_buf *path, const char *dir, const char *name,
                     struct strata_err *err);

/* Where the last component of a path begins. */
static inline size_t apply_base(const struct strata_buf *path)
{
	size_t at = path->len;

	while (at > 0 && path->data[at - 1] != '/')
		at--;
	return at;
}

#endif
