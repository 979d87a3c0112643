/* Laying a layer over those below it, as overlayfs does. */
#include <string.h>

#include "core/base/mem.h"
#include "core/tree/internal.h"

/* What overlayfs takes for a whiteout: also a character device 0:0 that a layer brings. */
static bool hides(const struct strata_tree *tree, uint32_t at)
{
	struct strata_inode source = strata_tree_source(tree, at);
	const struct strata_entry *e;

	if (tree->nodes[at].whiteout || source.entry == STRATA_NO_ENTRY)
		return tree->nodes[at].whiteout;
	e = &tree->layers[source.layer]->entries[source.entry];
	return e->typeflag == '3' && e->devmajor == 0 && e->devminor == 0;
}

void tree_drop_whiteouts(struct strata_tree *tree)
{
	for (uint32_t i = 1; i < tree->node_count; i++)
		if (!tree->nodes[i].free && hides(tree, i))
			tree_remove(tree, i);
}

/* The node behind another one: directories before what is in them. The root's is STRATA_NO_NODE. */
static uint32_t after(const struct strata_tree *tree, uint32_t at)
{
	if (tree->nodes[at].first != STRATA_NO_NODE)
		return tree->nodes[at].first;
	while (at != STRATA_ROOT_NODE && tree->nodes[at].next == STRATA_NO_NODE)
		at = tree->nodes[at].parent;
	return at != STRATA_ROOT_NODE ? tree->nodes[at].next : STRATA_NO_NODE;
}

struct overlay {
	struct strata_tree *tree;
	struct strata_tree *alone;
	uint32_t layer;
	uint32_t *places; /* per node of `alone`: its node of `tree` */
	uint32_t *inodes; /* per node of `alone`: of a hardlink to a lower layer's file */
	uint32_t *made;   /* per inode of `alone`: its inode of `tree` */
};

/* The node of a hardlink's target; STRATA_NO_NODE when nothing is there. */
static int find_target(struct strata_tree *tree, const struct overlay *o, uint32_t at,
                       uint32_t *found, struct strata_err *err)
{
	const struct strata_index *index = o->alone->layers[0];
	struct strata_path target = index->entries[o->alone->nodes[at].entry].linkpath;
	const struct tree_walk how = {.metered = true};
	struct strata_err why = {.code = ""};

	*found = STRATA_NO_NODE;
	if (tree_walk(tree, &how, strata_index_text(index, target), target.len, found, &why) < 0 &&
	    strcmp(why.code, "ELOOP") != 0 && strcmp(why.code, "ENOENT") != 0) {
		*err = why;
		return -1;
	}
	return 0;
}

/* Finds the lower layer's file of a hardlink: by a name of it below, or another such hardlink. */
static int find_lower_file(struct overlay *o, uint32_t at, struct strata_err *err)
{
	uint32_t inode = STRATA_NO_NODE, found;
	struct strata_inode *file;

	if (find_target(o->alone, o, at, &found, err) < 0)
		return -1;
	if (found != STRATA_NO_NODE)
		inode = o->inodes[found];
	else if (find_target(o->tree, o, at, &found, err) < 0 ||
	         (found != STRATA_NO_NODE && tree_inode_of(o->tree, found, &inode, err) < 0))
		return -1;
	o->inodes[at] = inode;
	if (inode == STRATA_NO_NODE)
		return 0;
	file = &o->tree->inodes[inode];
	if (file->header_layer != o->layer || file->header_entry < o->alone->nodes[at].entry) {
		file->header_layer = o->layer;
		file->header_entry = o->alone->nodes[at].entry;
	}
	return 1;
}

/*
 * Runtimes refuse a hardlink to a file that is in no layer but a lower one. The tree shows
 * it as the specification does: as another name of the file below.
 */
static int find_lower_files(struct overlay *o, struct strata_err *err)
{
	bool progress = true;

	memset(o->inodes, 0xff, o->alone->node_count * sizeof(*o->inodes));
	for (int pass = 0; progress && pass < TREE_WAITING_PASSES; pass++) {
		progress = false;
		for (uint32_t at = 1; at < o->alone->node_count; at++) {
			const struct strata_node *node = &o->alone->nodes[at];
			int status;

			if (node->free || node->whiteout || node->inode != STRATA_NO_NODE ||
			    o->inodes[at] != STRATA_NO_NODE ||
			    strata_tree_type(o->alone, at) != '1')
				continue;
			status = find_lower_file(o, at, err);
			if (status < 0)
				return -1;
			progress = progress || status > 0;
		}
	}
	return 0;
}

/* A new node for one of the layer's, in place of anything else of its name. */
static int make_node(struct overlay *o, uint32_t at, uint32_t parent, uint32_t *node,
                     struct strata_err *err)
{
	const struct strata_node *from = &o->alone->nodes[at];
	struct tree_name name = {o->layer, from->name_offset, from->name_len};
	const char *text = strata_tree_name(o->alone, from);

	if (*node != STRATA_NO_NODE)
		tree_remove(o->tree, *node);
	if (from->name_layer ==
	    STRATA_NO_ENTRY) { /* an implied directory's: a text of the tree's own */
		if (o->tree->names.len > UINT32_MAX - UINT16_MAX)
			return strata_fail(err, "ELIMIT", "too many implied directories");
		name = (struct tree_name){STRATA_NO_ENTRY, (uint32_t)o->tree->names.len, name.len};
		if (strata_buf_append(&o->tree->names, text, name.len, err) < 0)
			return -1;
	}
	return tree_add(o->tree, parent, name, o->layer, node, err);
}

/* Gives the node the inode that it has in the layer's own tree. */
static int take_inode(struct overlay *o, uint32_t at, uint32_t node, struct strata_err *err)
{
	uint32_t inode = o->alone->nodes[at].inode;
	const struct strata_inode *from;

	if (inode == STRATA_NO_NODE) {
		tree_set_inode(o->tree, node, o->inodes[at]);
		return 0;
	}
	from = &o->alone->inodes[inode];
	if (o->made[inode] == STRATA_NO_NODE) {
		if (tree_add_inode(o->tree, o->layer, from->entry, &o->made[inode], err) < 0)
			return -1;
		o->tree->inodes[o->made[inode]].header_entry = from->header_entry;
	}
	tree_set_inode(o->tree, node, o->made[inode]);
	return 0;
}

/* Lays one node of the layer's over what is there. Its directory has been laid before. */
static int lay(struct overlay *o, uint32_t at, struct strata_err *err)
{
	const struct strata_node *from = &o->alone->nodes[at];
	uint32_t parent = o->places[from->parent];
	bool directory = tree_is_dir(o->alone, at);
	uint32_t node = strata_tree_child(o->tree, parent, strata_tree_name(o->alone, from),
	                                  from->name_len);

	if (hides(o->alone, at)) {
		if (node != STRATA_NO_NODE)
			tree_remove(o->tree, node);
		return 0;
	}
	if (directory && node != STRATA_NO_NODE && tree_is_dir(o->tree, node)) {
		if (from->opaque) {
			tree_clear(o->tree, node);
			o->tree->nodes[node].cleared = o->layer;
		}
	} else if (make_node(o, at, parent, &node, err) < 0) {
		return -1;
	}
	o->places[at] = node;
	if (from->entry != STRATA_NO_ENTRY) {
		o->tree->nodes[node].layer = o->layer;
		o->tree->nodes[node].entry = from->entry;
	}
	return directory ? 0 : take_inode(o, at, node, err);
}

int tree_lay_over(struct strata_tree *tree, struct strata_tree *alone, uint32_t layer,
                  struct strata_err *err)
{
	struct overlay o = {.tree = tree, .alone = alone, .layer = layer};
	const struct strata_node *root = &alone->nodes[STRATA_ROOT_NODE];
	cleanup_free uint32_t *places = NULL, *inodes = NULL, *made = NULL;

	o.places = places = strata_reallocarray(NULL, alone->node_count, sizeof(*places));
	o.inodes = inodes = strata_reallocarray(NULL, alone->node_count, sizeof(*inodes));
	o.made = made = strata_reallocarray(NULL, alone->inode_count, sizeof(*made));
	if (places == NULL || inodes == NULL || made == NULL)
		return strata_fail_nomem(err);
	if (alone->inode_count > 0)
		memset(made, 0xff, alone->inode_count * sizeof(*made));
	if (tree_reserve(tree, alone->live, err) < 0 || find_lower_files(&o, err) < 0)
		return -1;
	places[STRATA_ROOT_NODE] = STRATA_ROOT_NODE;
	if (root->entry != STRATA_NO_ENTRY) {
		tree->nodes[STRATA_ROOT_NODE].layer = layer;
		tree->nodes[STRATA_ROOT_NODE].entry = root->entry;
	}
	for (uint32_t at = root->first; at != STRATA_NO_NODE; at = after(alone, at))
		if (lay(&o, at, err) < 0)
			return -1;
	return 0;
}
