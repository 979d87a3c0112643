/*
 * The whiteouts of a layer that is unpacked: into the tree of those below it they hide nodes of
 * lower layers, in a tree of its own they become nodes, which overlay.c lays over the others.
 */
#include <string.h>

#include "core/tar/whiteout.h"
#include "core/tree/merge_internal.h"

/* True when everything below a directory is this layer's. */
static bool is_wholly_ours(const struct merge *m, uint32_t node)
{
	return m->tree->nodes[node].cleared == m->layer;
}

/* Hides one node of a lower layer; everything below it has been hidden before. */
static void hide_node(struct merge *m, uint32_t at)
{
	struct strata_node *node = &m->tree->nodes[at];

	node->cleared = m->layer;
	if (node->layer == m->layer)
		return;
	if (node->first == STRATA_NO_NODE) {
		tree_remove(m->tree, at);
	} else { /* a directory implied by this layer's entries in it */
		node->layer = m->layer;
		node->entry = STRATA_NO_ENTRY;
	}
}

/* Removes the nodes of lower layers below a node, and with `itself` the node; this layer's stay. */
static void hide(struct merge *m, uint32_t top, bool itself)
{
	uint32_t at = top;

	for (;;) {
		const struct strata_node *node = &m->tree->nodes[at];
		uint32_t next = node->next, parent = node->parent;

		if (node->first != STRATA_NO_NODE && !is_wholly_ours(m, at)) {
			m->tree->nodes[at].cleared = m->layer; /* when we come back */
			at = node->first;
			continue;
		}
		if (at != top || itself)
			hide_node(m, at);
		else
			m->tree->nodes[at].cleared = m->layer;
		if (at == top)
			return;
		at = next != STRATA_NO_NODE ? next : parent;
	}
}

/* The node of the first len bytes of a path, the last component not followed unless it says so. */
static int find_dir(struct merge *m, const char *path, size_t len, bool follow, uint32_t *node,
                    struct strata_err *err)
{
	const struct tree_walk how = {.follow = follow, .metered = true};

	*node = STRATA_ROOT_NODE;
	return len > 0 ? merge_look_up(m, &how, path, len, node, err) : 0;
}

int merge_whiteout(struct merge *m, uint32_t entry, bool opaque, struct strata_err *err)
{
	const struct strata_entry *e = &m->index->entries[entry];
	const char *path = strata_index_text(m->index, e->path);
	size_t base_len, dir_len;
	const char *base = merge_base_of(path, e->path.len, &base_len);
	uint32_t node;

	dir_len = base > path ? (size_t)(base - path) - 1 : 0;
	/* A whiteout whose directory is not there hides nothing. */
	if (find_dir(m, path, dir_len, !opaque, &node, err) < 0)
		return -1;
	if (node != STRATA_NO_NODE && !opaque)
		node = tree_is_dir(m->tree, node)
		               ? strata_tree_child(m->tree, node, base + STRATA_WHITEOUT_PREFIX_LEN,
		                                   base_len - STRATA_WHITEOUT_PREFIX_LEN)
		               : STRATA_NO_NODE;
	if (node == STRATA_NO_NODE)
		return 0;
	if (!opaque || tree_is_dir(m->tree, node))
		hide(m, node, !opaque);
	return 0;
}

/* ---- whiteouts of a layer that is unpacked for itself ----------------------------- */

/* Puts a whiteout of `name`, which is `len` bytes at `offset` of the layer's texts, in a directory.
 */
static int add_whiteout(struct merge *m, uint32_t parent, uint32_t offset, size_t len,
                        struct strata_err *err)
{
	const struct tree_name name = {m->layer, offset, (uint16_t)len};
	uint32_t node = strata_tree_child(m->tree, parent, m->index->arena.data + offset, len);

	/* In the lowest layer containerd removes what is there; otherwise runtimes refuse. */
	if (node != STRATA_NO_NODE && m->lowest)
		tree_remove(m->tree, node);
	else if (node != STRATA_NO_NODE)
		return 0;
	if (tree_add(m->tree, parent, name, m->layer, &node, err) < 0)
		return -1;
	m->tree->nodes[node].whiteout = true;
	return 0;
}

int merge_keep_whiteout(struct merge *m, uint32_t entry, bool opaque, struct strata_err *err)
{
	const struct strata_path path = m->index->entries[entry].path;
	const char *text = strata_index_text(m->index, path);
	size_t base_len;
	size_t base = (size_t)(merge_base_of(text, path.len, &base_len) - text);
	const struct tree_walk how = {
	        .follow = true, .metered = true, .create = true, .spare = true, .layer = m->layer};
	uint32_t parent;

	if (merge_look_up(m, &how, text, base > 0 ? base - 1 : 0, &parent, err) < 0)
		return -1;
	if (parent == STRATA_NO_NODE)
		return 0;
	if (!opaque)
		return add_whiteout(m, parent,
		                    path.offset + (uint32_t)base + STRATA_WHITEOUT_PREFIX_LEN,
		                    base_len - STRATA_WHITEOUT_PREFIX_LEN, err);
	m->tree->nodes[parent].opaque = parent != STRATA_ROOT_NODE;
	return 0;
}
