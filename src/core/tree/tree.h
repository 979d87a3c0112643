/*
 * The file system that layers add up to, built from their entry indexes alone, in
 * one of two views.
 *
 * STRATA_VIEW_RUNTIME is what containers see by default (Docker's overlay2,
 * containerd and podman on overlayfs): each layer is unpacked for itself, and the
 * results are laid over each other. A path goes through the symlinks of its own
 * layer alone; where a lower layer has one, it becomes a directory. A whiteout
 * beside an entry of its name, in one layer, hides nothing, and neither does an
 * opaque marker in the root. A character device 0:0 is a whiteout, and names of
 * AUFS are ordinary.
 *
 * STRATA_VIEW_SPEC is the letter of the specification, as Docker's vfs and umoci
 * unpack: one layer over the other in one directory. Paths go through the symlinks
 * of the tree as it is then. Whiteouts and opaque markers hide the nodes of lower
 * layers and spare those of their own layer, before or behind them; a marker below a
 * symlink hides nothing. Names of AUFS in the root, and what is below, are passed over.
 *
 * In both, a directory over a directory keeps the children and takes the new
 * attributes, and any other entry replaces what it finds. Parents without an entry
 * are implied; they keep the attributes that lower layers gave them.
 *
 * Hardlinks are names of an inode, which is an entry of a layer. Its attributes are
 * those of the last header that names it. A hardlink that comes before its file
 * stands at the end of its layer, unless a lower layer has a file of that name, by the
 * specification. An upper layer that replaces one name leaves the others as they are.
 *
 * A tree owns its nodes, in about 56 bytes for each path, and nothing of the
 * indexes, which have to outlive it and must not be edited. It is not locked.
 */
#ifndef STRATA_TREE_H
#define STRATA_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/layer/globs.h"
#include "core/layer/index.h"

#define STRATA_NO_NODE UINT32_MAX
#define STRATA_ROOT_NODE 0

/* As many symlinks as Linux follows for one path. */
#define STRATA_MAX_SYMLINKS 40

/*
 * Components of symlinks' targets that building a tree walks in all. Short entries
 * can lead through long chains of links; honest images need a few for each entry.
 */
#define STRATA_TREE_STEPS ((uint64_t)20 * 1000 * 1000)

enum strata_view { STRATA_VIEW_RUNTIME, STRATA_VIEW_SPEC };

struct strata_node {
	uint32_t parent; /* the root's is the root */
	uint32_t first;  /* child, by name once the tree is sorted */
	uint32_t next;   /* sibling */
	uint32_t prev;
	uint32_t chain;      /* in the bucket of the hash table; of a free node: the next one */
	uint32_t layer;      /* that it comes from, from 0 */
	uint32_t entry;      /* of that layer; STRATA_NO_ENTRY: an implied directory */
	uint32_t inode;      /* number of a file with several names, or STRATA_NO_NODE */
	uint32_t cleared;    /* layer known to own everything below; a smaller number: not known */
	uint32_t name_layer; /* whose arena has the name; STRATA_NO_ENTRY: the tree's own */
	uint32_t name_offset;
	uint16_t name_len;
	bool free : 1;
	bool whiteout : 1; /* while a layer is unpacked for itself: hides the name */
	bool opaque : 1;   /* the same: hides what lower layers have in the directory */
};

/* What the names of a hardlinked file have in common. */
struct strata_inode {
	uint32_t layer; /* of the entry with its content */
	uint32_t entry;
	uint32_t header_layer; /* of the entry with its attributes: the last that names it */
	uint32_t header_entry;
	uint32_t links; /* names in the tree */
};

struct strata_tree {
	struct strata_index **layers;
	uint32_t layer_count;
	struct strata_node *nodes;
	uint32_t node_count; /* free ones included */
	uint32_t free_node;
	uint32_t live;    /* nodes that are not free */
	uint64_t removed; /* nodes that are free, or were so once */
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct strata_hash_key hash_key;
	struct strata_inode *inodes;
	uint32_t inode_count;
	struct strata_buf names; /* of implied directories */
	uint64_t steps;          /* so far */
	uint64_t max_steps;      /* STRATA_TREE_STEPS, unless changed before the first layer */
	enum strata_view view;   /* STRATA_VIEW_RUNTIME, unless changed before the first layer */
	bool drops_marked;       /* entries that are marked count as dropped; likewise */
	bool sorted;
	bool broken; /* a layer failed half way */
};

/* Of all zero bytes: a tree of nothing but the root. */
int strata_tree_init(struct strata_tree *tree, struct strata_err *err);
void strata_tree_free(struct strata_tree *tree);

/*
 * Puts a scanned layer on top. EFORMAT for a whiteout that names nothing and
 * for a root that is no directory, ELOOP for a path with too many symlinks,
 * ELIMIT for too many steps through them; the tree can then only be freed. Messages name the entry.
 */
int strata_tree_apply(struct strata_tree *tree, struct strata_index *index, struct strata_err *err);

/* Puts the children of every directory in the order of their names' bytes. */
int strata_tree_sort(struct strata_tree *tree, struct strata_err *err);

/*
 * The node of a path as open(2) finds it below the root: symlinks and ".." on
 * the way are followed, the last component too when `follow` says so or a slash
 * stands behind it. ENOENT, ENOTDIR or ELOOP otherwise.
 */
int strata_tree_find(const struct strata_tree *tree, const char *path, size_t len, bool follow,
                     uint32_t *node, struct strata_err *err);

/* The child of that name, or STRATA_NO_NODE. */
uint32_t strata_tree_child(const struct strata_tree *tree, uint32_t parent, const char *name,
                           size_t len);

/* The path of a node, without a leading slash, "." for the root; appended to out. */
int strata_tree_path(const struct strata_tree *tree, uint32_t node, struct strata_buf *out,
                     struct strata_err *err);

/*
 * Appends the numbers, each a uint32_t, of the nodes of a sorted tree whose paths are matched, but
 * for the root: a directory before its contents, names in the order of their bytes. used: as for
 * strata_globs_match.
 */
int strata_tree_match(const struct strata_tree *tree, const struct strata_globs *globs, bool *used,
                      struct strata_buf *nodes, struct strata_err *err);

/* The entries that have the node's content and its attributes: those of its inode for a hardlink.
 */
struct strata_inode strata_tree_source(const struct strata_tree *tree, uint32_t node);

/* The type's letter of that: '5' for an implied directory, '1' for a link to nothing. */
char strata_tree_type(const struct strata_tree *tree, uint32_t node);

/* Nodes of two trees that have one path. */
struct strata_tree_pair {
	uint32_t a; /* STRATA_NO_NODE: only the other tree has the path */
	uint32_t b;
	bool same_origin; /* both have content and attributes from the same entries */
};

/*
 * Appends a struct strata_tree_pair for each path of two sorted trees that may differ: a directory
 * before its contents, names in the order of their bytes. Passes over nodes of both trees that come
 * from the same entries of the same index, unless one is a name of a file with several names.
 */
int strata_tree_compare(const struct strata_tree *a, const struct strata_tree *b,
                        struct strata_buf *pairs, struct strata_err *err);

static inline const char *strata_tree_name(const struct strata_tree *tree,
                                           const struct strata_node *node)
{
	const struct strata_buf *text = node->name_layer == STRATA_NO_ENTRY
	                                        ? &tree->names
	                                        : &tree->layers[node->name_layer]->arena;

	return text->data + node->name_offset;
}

#endif
