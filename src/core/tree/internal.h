/* What the files of the tree share. */
#ifndef STRATA_TREE_INTERNAL_H
#define STRATA_TREE_INTERNAL_H

#include "core/tree/tree.h"

/* A hardlink may name one that stands behind it, and so on: passes over those that wait. */
#define TREE_WAITING_PASSES 40

/* Where the text of a name is: as in struct strata_node. */
struct tree_name {
	uint32_t layer;
	uint32_t offset;
	uint16_t len;
};

/* Makes room in the hash table for so many nodes more, which saves hashing names again and again.
 */
int tree_reserve(struct strata_tree *tree, uint32_t more, struct strata_err *err);

/* A new implied directory. */
int tree_add(struct strata_tree *tree, uint32_t parent, struct tree_name name, uint32_t layer,
             uint32_t *node, struct strata_err *err);

/* Removes a node, which is not the root, with all below it. */
void tree_remove(struct strata_tree *tree, uint32_t node);

/* Removes all below a node. */
void tree_clear(struct strata_tree *tree, uint32_t node);

/* Makes an inode of an entry. */
int tree_add_inode(struct strata_tree *tree, uint32_t layer, uint32_t entry, uint32_t *inode,
                   struct strata_err *err);

/* Says what a node is a name of; STRATA_NO_NODE: of nothing that has other names. */
void tree_set_inode(struct strata_tree *tree, uint32_t node, uint32_t inode);

static inline bool tree_is_dir(const struct strata_tree *tree, uint32_t node)
{
	return strata_tree_type(tree, node) == '5';
}

/* A walk along a path: what it begins with, and what it may do on its way. */
struct tree_walk {
	bool follow;    /* a symlink at the end */
	bool metered;   /* counts steps, for max_steps */
	bool create;    /* directories that are missing, in place of what is none */
	bool spare;     /* only where nothing is: what is no directory ends the walk with ENOTDIR */
	uint32_t layer; /* that they are implied by */
};

/* STRATA_NO_NODE with err filled: ENOENT, ENOTDIR; any other failure is -1. */
int tree_walk(struct strata_tree *tree, const struct tree_walk *walk, const char *path, size_t len,
              uint32_t *node, struct strata_err *err);

/*
 * Lays a layer that was unpacked for itself, into the tree `alone`, over a tree, as its
 * layer of that number, which is the last.
 */
int tree_lay_over(struct strata_tree *tree, struct strata_tree *alone, uint32_t layer,
                  struct strata_err *err);

/* Takes the whiteouts out of a tree that the lowest layer was unpacked into. */
void tree_drop_whiteouts(struct strata_tree *tree);

/* The inode of a node that is no directory, made when it has none; STRATA_NO_NODE: no file. */
int tree_inode_of(struct strata_tree *tree, uint32_t node, uint32_t *inode, struct strata_err *err);

#endif
