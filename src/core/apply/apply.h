/*
 * Applying layers to a directory, in order, in one pass over each layer's tar.
 *
 * Everything is done through descriptors: the parent of an entry is opened as a
 * process would see it whose root the directory is (fs/resolve.h), and then only
 * the last component is named, never followed. Nothing existing is written to:
 * what an entry replaces is removed first. Every byte is hashed on the way; a
 * layer with wrong digests is refused at its end.
 *
 * The result is the one of tree/tree.h, in either view. By default a path goes
 * through the symlinks of its own layer alone, and what lower layers have in its way
 * becomes a directory; whiteouts are carried out at the end of their layer. In the
 * letter of the specification a path goes through all symlinks that are there then,
 * and whiteouts are carried out where they stand.
 *
 * Whiteouts hide files of lower layers, wherever they stand in the tar, and never
 * those of their own layer, but for the lowest layer by default: there they remove
 * what stands before them. A hardlink that comes before its file stands at the layer's
 * end; so does one to a lower layer's file when its own layer brings another one of
 * that name. The owner, attributes, mode and time of a hardlink go to its file. A
 * directory keeps its time when only its content changes, so that its time is
 * that of its last entry. Directories without an entry are root's, with mode 0755
 * and time 0. The target itself gets its owner, mode and times when everything has
 * been verified.
 *
 * A layer that has a path twice, goes below its own file or links to what is not there yet cannot
 * be applied in one pass as it is merged: what it replaces of lower layers may be there again in
 * the end. At the first such entry the run begins anew, if the directory was empty, and goes by the
 * merged tree.
 *
 * With `overlay` each layer gets a directory of its own below the target, "1"
 * the base, in the form that overlayfs mounts (overlay.h). A hardlink to a file of
 * a lower layer is a link to that layer's file there.
 *
 * The object has a reference count. It is filled by one thread, and run by a job in
 * another one; its result is there when that job is done.
 */
#ifndef STRATA_APPLY_H
#define STRATA_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/job/pool.h"
#include "core/layer/blob.h"
#include "core/tar/tar.h"
#include "core/tree/tree.h"

struct strata_apply_options {
	enum strata_view view;
	bool overlay;
	bool user_xattrs;  /* overlay: marks in user.overlay. instead of trusted.overlay. */
	bool merge;        /* the directory may have something in it */
	bool keep_partial; /* after a failure */
	bool unprivileged; /* what only root may do is reported instead of failing */
	bool rootless;     /* owners that cannot be set go to user.rootlesscontainers */
	struct strata_tar_limits limits;
	struct strata_inflate_limits inflate;
	uint32_t max_depth;    /* of directories: default STRATA_APPLY_DEPTH */
	uint64_t max_removals; /* files and directories looked at to remove them, in all:
	                        * default STRATA_APPLY_REMOVALS */
	uint64_t max_steps;    /* overlay: as of a tree, default STRATA_TREE_STEPS */
};

#define STRATA_APPLY_DEPTH 256
#define STRATA_APPLY_REMOVALS ((uint64_t)20 * 1000 * 1000)

/* Something that could not be done as the layer says. */
struct strata_apply_note {
	uint32_t layer;   /* from 1 */
	const char *what; /* "owner", "mode", "device", "xattr" */
	char code[16];    /* "EPERM" */
	char *path;       /* NUL-terminated */
	char *detail;     /* the attribute's name, or NULL */
};

/* The most that are kept; the others are counted. */
#define STRATA_APPLY_NOTES 1000

struct strata_apply_result {
	uint64_t entries; /* applied, whiteouts included */
	uint64_t bytes;   /* of content written */
	uint64_t note_count;
	struct strata_apply_note *notes;
	size_t notes_kept;
};

struct strata_apply;

/*
 * Opens the directory, or makes it. Unless `merge` it must be empty: else
 * ENOTEMPTY. options may be NULL.
 */
struct strata_apply *strata_apply_new(const char *dir, const struct strata_apply_options *options,
                                      struct strata_err *err);
struct strata_apply *strata_apply_ref(struct strata_apply *a);

/* The last one removes a directory that was made for a run that never came. */
void strata_apply_unref(struct strata_apply *a);

/*
 * Adds a layer on top. label is what messages call it; blob's file gets a
 * reference; digest and diff_id are what it must have, "" when not known. index has
 * its entries, as they are in the blob; NULL when it is not scanned yet. Only
 * `overlay` needs them: a copy is kept.
 */
int strata_apply_add(struct strata_apply *a, const char *label, const struct strata_blob *blob,
                     const char *digest, const char *diff_id, const struct strata_index *index,
                     struct strata_err *err);

/* Bytes that the run will read, and those of them that have to be inflated. */
uint64_t strata_apply_size(const struct strata_apply *a, uint64_t *compressed);

/*
 * Applies the layers, once. After a failure nothing is left of a directory that
 * was empty or not there before, unless `keep_partial`. work may be NULL.
 */
int strata_apply_run(struct strata_apply *a, const struct strata_work *work,
                     struct strata_err *err);

const struct strata_apply_result *strata_apply_result(const struct strata_apply *a);

#endif
