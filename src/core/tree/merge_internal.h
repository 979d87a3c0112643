/* What the files share that unpack a layer: merge.c and merge_whiteout.c. */
#ifndef STRATA_TREE_MERGE_INTERNAL_H
#define STRATA_TREE_MERGE_INTERNAL_H

#include "core/tree/internal.h"

struct link {
	uint32_t entry;
	bool placed;   /* false: its file is not there yet */
	uint32_t node; /* that keeps its place until then, when the layer is unpacked for itself */
};

struct merge {
	struct strata_tree *tree;
	struct strata_index *index;
	uint32_t layer;
	bool alone;         /* unpacked for itself */
	bool lowest;        /* nothing is below it */
	uint32_t *inode_of; /* per entry, of files that have hardlinks; NULL: no hardlinks */
	struct link *links; /* the layer's hardlinks, in their order */
	uint32_t link_count;
	uint32_t next_link; /* the first of them that has not come yet */
	struct { /* the directory that was found last: most entries follow one beside them */
		const char *path; /* in the layer's texts */
		size_t len;
		uint32_t node;
		uint64_t removed; /* of the tree at that time: only a removal makes a path lead
		                     elsewhere */
	} parent;
};

/* The last component of a path. */
const char *merge_base_of(const char *path, size_t len, size_t *base_len);

/* Finds a node; STRATA_NO_NODE when nothing is there. -1: a failure that must not be passed over.
 */
int merge_look_up(struct merge *m, const struct tree_walk *how, const char *path, size_t len,
                  uint32_t *node, struct strata_err *err);

/* Hides what a whiteout of a layer names in the layers below it, but nothing of the layer itself.
 */
int merge_whiteout(struct merge *m, uint32_t entry, bool opaque, struct strata_err *err);

/*
 * Keeps a whiteout as a node of a layer that is unpacked for itself. The directories on the way are
 * made, and lower layers' files there become directories. What the layer itself has there hides a
 * whiteout; some runtimes refuse it.
 */
int merge_keep_whiteout(struct merge *m, uint32_t entry, bool opaque, struct strata_err *err);

#endif
