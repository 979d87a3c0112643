/*
 * By the merged tree of the layers: a directory for each layer, as overlayfs mounts them. And
 * one directory for all of them, where what a layer has at a path while its entries come may not be
 * what it has there in the end: then what has come cannot be the measure, as it is otherwise.
 *
 * The merge of the layers, from their entry indexes (tree/tree.h), says where each
 * entry goes and what it hides: the tree of the layers below beside the one with
 * this layer on top. So a path that leads through a symlink of a lower layer goes
 * where a container sees it. A layer's directory gets every node that is of the
 * layer; the directories on the way to them, with the attributes that they have
 * below, since overlayfs shows the uppermost; and whiteouts and opaque marks for the
 * names that are in the tree below and not in the merged one. The one directory gets the
 * nodes of the tree of all layers, each when the layer comes that has its content.
 */
#ifndef STRATA_APPLY_OVERLAY_H
#define STRATA_APPLY_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/job/pool.h"
#include "core/tar/tar.h"
#include "core/tree/tree.h"

struct strata_apply;

/* Marks of a node: it is a directory of the layer's, and an opaque one. */
#define MARK_DIR 1
#define MARK_OPAQUE 2

/* A name of a file that has another name, to be linked at the layer's end. */
struct overlay_link {
	uint32_t node;
	struct strata_inode source; /* its file: an entry of this or of a lower layer */
};

/* A name of a lower layer that this one hides. */
struct overlay_whiteout {
	uint32_t dir;   /* node of the merged tree */
	uint32_t below; /* the name's node in the tree below */
};

struct apply_overlay {
	struct strata_tree below;
	struct strata_tree merged;
	struct strata_buf path; /* of the node being made */

	/* Of the layer being applied: */
	uint32_t *places; /* per entry: the node that it is made at, or STRATA_NO_NODE */
	uint8_t *marks;   /* per node: MARK_DIR, MARK_OPAQUE */
	uint32_t *dirs;   /* nodes of the directories to be made, parents first */
	uint32_t dir_count;
	struct overlay_link *links;
	size_t link_count;
	struct overlay_whiteout *whiteouts;
	size_t whiteout_count;
};

/* Before the first layer: reads the entries of those that have not been scanned. */
int apply_overlay_scan(struct strata_apply *a, const struct strata_work *work,
                       struct strata_err *err);

/* Makes the merged tree of all layers, for one directory. */
int apply_overlay_merge(struct strata_apply *a, struct strata_err *err);

/* Puts the layer on top, when each has a directory, and finds what is to be made: the fields above
 * (overlay_plan.c). */
int apply_overlay_plan(struct strata_apply *a, struct strata_err *err);

/* Makes the layer's directory, which becomes a->root, and the directories in it. */
int apply_overlay_begin(struct strata_apply *a, struct strata_err *err);

/* Makes an entry; its payload follows by apply_data. */
int apply_overlay_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                        size_t raw_len, struct strata_err *err);

/* Makes what is left when all entries have come: hardlinks, and the root's attributes. */
int apply_overlay_end(struct strata_apply *a, struct strata_err *err);

/* Forgets the layer. */
void apply_overlay_leave(struct strata_apply *a);

void apply_overlay_free(struct apply_overlay *o);

#endif
