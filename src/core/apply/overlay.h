/* Layers side by side: what overlay_lookup.c, overlay.c and overlay_copy.c do for the others. */
#ifndef STRATA_APPLY_OVERLAY_H
#define STRATA_APPLY_OVERLAY_H

#include "core/apply/internal.h"

/* Something in the merge of layers. */
struct apply_found {
	int fd; /* with O_PATH; the caller's */
	size_t layer;
	struct stat st;
};

/* In the place of a name: the directory is this layer's, whatever is in it. */
#define APPLY_TOLD "/told"

/* What lower layers have there is hidden: it stands only for what this one has in it. */
#define APPLY_HIDDEN "/hidden"

#define APPLY_NAME_MAX 255

/* ---- the merge of layers (overlay_lookup.c) -------------------------------- */

int apply_set_opaque(struct strata_apply *a, int fd, struct strata_err *err);
bool apply_is_opaque(struct strata_apply *a, int fd);
bool apply_is_whiteout(const struct stat *st);

int apply_open_layer(const struct strata_apply *a, size_t layer);

/* After a call that failed: whether something is there cannot be told. */
bool apply_is_trouble(void);
void apply_note_trouble(struct strata_apply *a);

/* Takes the next component of *path; false at its end. */
bool apply_next_name(const char **path, char name[APPLY_NAME_MAX + 1]);

/* Appends a text and a NUL that does not count. */
int apply_append(struct strata_buf *b, const char *text, size_t len, struct strata_err *err);

/* Opens a directory of this layer, -1: there is none. *opaque: one that it is in is. */
int apply_open_own(struct strata_apply *a, const char *path, bool *opaque);

/*
 * Writes the path of a directory to *done as it is without links and "..".
 * 1: it is not there (without make only).
 */
int apply_resolve(struct strata_apply *a, const char *path, bool make, struct strata_buf *done,
                  struct strata_err *err);

/*
 * Looks for a path without links in the first so many layers. What keeps it from
 * telling goes to a->trouble, and the layer fails at its end.
 */
bool apply_look_up(struct strata_apply *a, size_t layers, const char *path,
                   struct apply_found *found);

/* ---- what a layer does (overlay.c) -------------------------------- */

/* Makes the layer's directory and opens it as a->root. */
int apply_overlay_begin(struct strata_apply *a, struct strata_err *err);

/* Gives directories that no entry has told of what they have in lower layers. */
int apply_overlay_end(struct strata_apply *a, struct strata_err *err);

/*
 * Opens the directory of that path in this layer, where it is made when the
 * merge has it, and with `make` in any case. A descriptor, -ENOENT: it is not
 * there, or -ECANCELED: *err is filled.
 */
int apply_overlay_open(struct strata_apply *a, const char *path, bool make, struct strata_err *err);

/* Hides `name` in the directory of that path, when a lower layer has it. */
int apply_overlay_hide(struct strata_apply *a, const char *path, const char *name,
                       struct strata_err *err);

/* Makes the directory `name` in that directory opaque; name NULL: the root. */
int apply_overlay_opaque(struct strata_apply *a, const char *parent, const char *name,
                         struct strata_err *err);

/* Opens the directory of a path without links in this layer, made as it is below. */
int apply_ensure(struct strata_apply *a, const char *path, struct strata_err *err);

/* Gives fd the owner, attributes, mode and time of what was found (overlay_copy.c). */
int apply_copy_attributes(struct strata_apply *a, int fd, const struct apply_found *from,
                          struct strata_err *err);

/*
 * Opens the directory, in whichever layer, that has what the merge shows at a
 * hardlink's target, and tells whether that is this one. A descriptor with O_PATH,
 * -ENOENT: there is nothing, or -ECANCELED: *err is filled.
 */
int apply_overlay_target(struct strata_apply *a, const char *parent, const char *name, bool *own,
                         struct strata_err *err);

#endif
