/*
 * Unpacking a layer: into the tree of those below it, as the specification has it, or into
 * a tree of its own (`alone`), which overlay.c lays over them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/layer/path.h"
#include "core/tar/whiteout.h"
#include "core/tree/merge_internal.h"

const char *merge_base_of(const char *path, size_t len, size_t *base_len)
{
	const char *slash = memrchr(path, '/', len);
	const char *base = slash != NULL ? slash + 1 : path;

	*base_len = len - (size_t)(base - path);
	return base;
}

static bool is_dropped(const struct merge *m, const struct strata_entry *e)
{
	return e->dropped || (e->marked && m->tree->drops_marked);
}

/*
 * What an entry does. By the specification ".wh..wh." names in the root, and all that is
 * below them, are for AUFS alone; runtimes take the name itself for a whiteout and pass over
 * nothing.
 */
static enum strata_whiteout kind_of(const struct merge *m, const struct strata_entry *e)
{
	const char *path = strata_index_text(m->index, e->path);
	enum strata_whiteout kind;
	size_t base;

	if (is_dropped(m, e) || e->typeflag == 'g' ||
	    (!m->alone && strata_whiteout_in_aufs(path, e->path.len)))
		return STRATA_WHITEOUT_AUFS;
	kind = strata_whiteout_kind(path, e->path.len, &base);
	return m->alone && kind == STRATA_WHITEOUT_AUFS ? STRATA_WHITEOUT_FILE : kind;
}

/* Says which entry an error is about. */
static int blame(const struct merge *m, uint32_t entry, struct strata_err *err)
{
	struct strata_path path = m->index->entries[entry].path;
	char quoted[512];

	return strata_err_wrap(
	        err, "entry %u %s", entry + 1,
	        strata_quote(quoted, sizeof(quoted), strata_index_text(m->index, path), path.len));
}

/* ---- hardlinks ------------------------------------------------------------- */

static bool is_link(const struct merge *m, uint32_t i)
{
	const struct strata_entry *e = &m->index->entries[i];

	return e->typeflag == '1' && kind_of(m, e) == STRATA_WHITEOUT_NO;
}

/* The scan binds a hardlink by its name; a linkpath that was assigned since is not bound. */
static bool is_bound(const struct merge *m, uint32_t i)
{
	const struct strata_entry *e = &m->index->entries[i];
	uint32_t root = m->index->links[i].root;
	const struct strata_entry *file = root != STRATA_NO_ENTRY ? &m->index->entries[root] : NULL;

	return file != NULL && file->typeflag != '5' &&
	       (!m->alone || is_dropped(m, file) || kind_of(m, file) == STRATA_WHITEOUT_NO) &&
	       (e->retargeted || !(e->changed & STRATA_TAR_LINKPATH));
}

/* Makes inodes of the layer's files that have hardlinks, and lists the hardlinks. */
static int bind_links(struct merge *m, struct strata_err *err)
{
	const struct strata_index *index = m->index;
	size_t bytes = (size_t)index->count * sizeof(*m->inode_of);
	uint32_t links = 0;

	if (index->links == NULL)
		return 0;
	m->inode_of = malloc(bytes);
	if (m->inode_of == NULL)
		return strata_fail_nomem(err);
	memset(m->inode_of, 0xff, bytes);
	for (uint32_t i = 0; i < index->count; i++)
		links += is_link(m, i);
	m->links = strata_reallocarray(NULL, links, sizeof(*m->links));
	if (m->links == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < index->count; i++) {
		uint32_t root = index->links[i].root;

		if (!is_link(m, i))
			continue;
		if (is_bound(m, i) && m->inode_of[root] == STRATA_NO_NODE &&
		    tree_add_inode(m->tree, m->layer, root, &m->inode_of[root], err) < 0)
			return -1;
		m->links[m->link_count++] = (struct link){.entry = i, .node = STRATA_NO_NODE};
	}
	return 0;
}

int merge_look_up(struct merge *m, const struct tree_walk *how, const char *path, size_t len,
                  uint32_t *node, struct strata_err *err)
{
	struct strata_err why = {.code = ""};

	if (tree_walk(m->tree, how, path, len, node, &why) == 0)
		return 0;
	*node = STRATA_NO_NODE;
	if (strcmp(why.code, "ELOOP") == 0 || strcmp(why.code, "ENOENT") == 0)
		return 0;
	*err = why;
	return -1;
}

/*
 * The inode of the file that a hardlink names; the last component is not followed.
 * STRATA_NO_NODE for a directory and when nothing is there. Unpackers take ".." out of
 * the text before they look.
 */
static int target_inode(struct merge *m, struct strata_path path, uint32_t *node, uint32_t *inode,
                        struct strata_err *err)
{
	const struct tree_walk how = {.metered = true};
	cleanup_free char *clean = malloc((size_t)path.len + 1);
	size_t len;

	*inode = STRATA_NO_NODE;
	if (clean == NULL)
		return strata_fail_nomem(err);
	len = strata_path_normalise(strata_index_text(m->index, path), path.len, clean);
	if (merge_look_up(m, &how, clean, len, node, err) < 0)
		return -1;
	if (*node == STRATA_NO_NODE || m->tree->nodes[*node].whiteout)
		return 0;
	return tree_inode_of(m->tree, *node, inode, err);
}

/* ---- entries ------------------------------------------------------------------- */

/* The directory of an entry, which is the first `len` bytes of its path; made when it is missing.
 */
static int find_parent(struct merge *m, const char *path, size_t len, uint32_t *parent,
                       struct strata_err *err)
{
	const struct tree_walk how = {
	        .follow = true, .metered = true, .create = true, .layer = m->layer};

	*parent = STRATA_ROOT_NODE;
	if (len == 0)
		return 0;
	if (len != m->parent.len || m->tree->removed != m->parent.removed ||
	    memcmp(path, m->parent.path, len) != 0) {
		m->parent.len = 0; /* in case of a failure */
		if (tree_walk(m->tree, &how, path, len, &m->parent.node, err) < 0)
			return -1;
		m->parent.path = path;
		m->parent.len = len;
		m->parent.removed = m->tree->removed;
	}
	*parent = m->parent.node;
	return 0;
}

/* The inode of an entry that is no hardlink: STRATA_NO_NODE for a file with one name. */
static uint32_t file_inode(const struct merge *m, uint32_t i)
{
	return m->inode_of != NULL ? m->inode_of[i] : STRATA_NO_NODE;
}

/*
 * The node of an entry. It is a new one, unless a directory comes on a directory or
 * a hardlink on a name of the same file: such a node stays.
 */
static int place(struct merge *m, uint32_t i, uint32_t inode, uint32_t *node,
                 struct strata_err *err)
{
	const struct strata_entry *e = &m->index->entries[i];
	struct strata_tree *tree = m->tree;
	const char *path = strata_index_text(m->index, e->path);
	size_t base_len;
	const char *base = merge_base_of(path, e->path.len, &base_len);
	const struct tree_name name = {m->layer, e->path.offset + (uint32_t)(base - path),
	                               (uint16_t)base_len};
	uint32_t parent;

	if (find_parent(m, path, base > path ? (size_t)(base - path) - 1 : 0, &parent, err) < 0)
		return -1;
	*node = strata_tree_child(tree, parent, base, base_len);
	if (*node != STRATA_NO_NODE && e->typeflag == '5' && tree_is_dir(tree, *node))
		return 0;
	if (*node != STRATA_NO_NODE && inode != STRATA_NO_NODE && tree->nodes[*node].inode == inode)
		return 0;
	if (*node != STRATA_NO_NODE)
		tree_remove(tree, *node);
	if (tree_add(tree, parent, name, m->layer, node, err) < 0)
		return -1;
	tree_set_inode(tree, *node, inode);
	return 0;
}

/* Docker and podman set the attribute by which overlayfs knows an opaque directory. */
static bool is_marked_opaque(const struct merge *m, const struct strata_entry *e)
{
	static const char key[] = "SCHILY.xattr.trusted.overlay.opaque";
	const char *records = m->index->arena.data + e->pax.offset;
	size_t left = e->pax.len;
	struct strata_pax_record r;
	struct strata_err ignored;
	bool marked = false;

	while (strata_pax_next(&records, &left, &r, &ignored) > 0)
		if (r.key_len == strlen(key) && memcmp(r.key, key, r.key_len) == 0)
			marked = r.value_len == 1 && r.value[0] == 'y';
	return marked;
}

/*
 * inode: of which it becomes a name, STRATA_NO_NODE for a file with one name and for no file. *at
 * is its node, STRATA_NO_NODE when it is passed over.
 */
static int merge_entry(struct merge *m, uint32_t i, uint32_t inode, uint32_t *at,
                       struct strata_err *err)
{
	const struct strata_entry *e = &m->index->entries[i];
	uint32_t node = STRATA_ROOT_NODE;

	*at = STRATA_NO_NODE;
	if (e->path.len == 1 && *strata_index_text(m->index, e->path) == '.') {
		if (e->typeflag != '5' && m->alone)
			return 0; /* runtimes pass over it */
		if (e->typeflag != '5')
			return strata_fail(err, "EFORMAT", "the root is not a directory");
	} else if (place(m, i, inode, &node, err) < 0) {
		return -1;
	}
	m->tree->nodes[node].layer = m->layer;
	m->tree->nodes[node].entry = i;
	if (m->alone && e->typeflag == '5' && e->pax.len > 0 && is_marked_opaque(m, e))
		m->tree->nodes[node].opaque = node != STRATA_ROOT_NODE;
	*at = node;
	return 0;
}

/* ---- hardlinks that wait ------------------------------------------------------- */

/* Dropped entries and those of AUFS have no nodes, but their hardlinks keep their content. */
static bool has_no_node(const struct merge *m, uint32_t i)
{
	uint32_t root = m->index->links[i].root;

	return is_bound(m, i) && kind_of(m, &m->index->entries[root]) != STRATA_WHITEOUT_NO;
}

/* The inode of the file that a hardlink is bound to, when that can be had now. */
static uint32_t bound_inode(const struct merge *m, uint32_t i)
{
	uint32_t inode = is_bound(m, i) ? m->inode_of[m->index->links[i].root] : STRATA_NO_NODE;
	bool there = inode != STRATA_NO_NODE && m->tree->inodes[inode].links > 0;

	return there || has_no_node(m, i) ? inode : STRATA_NO_NODE;
}

/* Keeps the place of a hardlink whose file is not there yet. */
static int keep_place(struct merge *m, struct link *link, struct strata_err *err)
{
	return merge_entry(m, link->entry, STRATA_NO_NODE, &link->node, err);
}

/* An entry that came later has taken the place that was kept for a hardlink, or its directory's. */
static bool has_lost_place(const struct merge *m, const struct link *link)
{
	const struct strata_node *node;

	if (link->node == STRATA_NO_NODE)
		return false;
	node = &m->tree->nodes[link->node];
	return node->free || node->entry != link->entry;
}

/* A hardlink to a whiteout is one. */
static int link_whiteout(struct merge *m, struct link *link, struct strata_err *err)
{
	uint32_t node = link->node;

	if (node == STRATA_NO_NODE && place(m, link->entry, STRATA_NO_NODE, &node, err) < 0)
		return -1;
	m->tree->nodes[node].entry = STRATA_NO_ENTRY;
	m->tree->nodes[node].whiteout = true;
	link->placed = true;
	return 1;
}

/*
 * Looks for the file of a hardlink: what its target's path has now, as unpackers look for it,
 * which may be a whiteout; without anything there, the file to which it is bound.
 */
static int find_file(struct merge *m, uint32_t entry, uint32_t *node, uint32_t *inode,
                     struct strata_err *err)
{
	*inode = *node = STRATA_NO_NODE;
	/* A lower layer may have a file of the name that an entry without a node has. */
	if ((m->alone || !has_no_node(m, entry)) &&
	    target_inode(m, m->index->entries[entry].linkpath, node, inode, err) < 0)
		return -1;
	if (*inode == STRATA_NO_NODE)
		*inode = bound_inode(m, entry);
	return 0;
}

/* Places a hardlink, whose header then has the file's attributes. 1: it has been placed. */
static int place_link(struct merge *m, struct link *link, struct strata_err *err)
{
	uint32_t inode, node;

	if (find_file(m, link->entry, &node, &inode, err) < 0)
		return -1;
	if (node != STRATA_NO_NODE && m->tree->nodes[node].whiteout)
		return link_whiteout(m, link, err);
	if (inode == STRATA_NO_NODE)
		return 0;
	if (link->node != STRATA_NO_NODE)
		tree_set_inode(m->tree, link->node, inode);
	else if (merge_entry(m, link->entry, inode, &node, err) < 0)
		return -1;
	m->tree->inodes[inode].header_layer = m->layer;
	m->tree->inodes[inode].header_entry = link->entry;
	link->placed = true;
	return 1;
}

/* One pass over the hardlinks that wait: 1 when it has placed any. */
static int pass_links(struct merge *m, struct strata_err *err)
{
	int progress = 0;

	for (uint32_t k = 0; k < m->link_count; k++) {
		struct link *link = &m->links[k];
		int status = 0;

		link->placed = link->placed || has_lost_place(m, link);
		if (!link->placed)
			status = place_link(m, link, err);
		if (status < 0)
			return blame(m, link->entry, err);
		progress = progress || status > 0;
	}
	return progress;
}

/*
 * The hardlinks that wait have the place where they stand, or, by the specification, stand at the
 * layer's end: until then something of a lower layer may be there, which may be the file that they
 * name. One whose file is nowhere becomes a node without an inode.
 */
static int end_links(struct merge *m, struct strata_err *err)
{
	int status = 1;

	for (int pass = 0; status > 0 && pass < TREE_WAITING_PASSES; pass++)
		status = pass_links(m, err);
	if (status < 0)
		return -1;
	for (uint32_t k = 0; k < m->link_count; k++)
		if (!m->links[k].placed && m->links[k].node == STRATA_NO_NODE &&
		    keep_place(m, &m->links[k], err) < 0)
			return blame(m, m->links[k].entry, err);
	return 0;
}

/* A hardlink, when it comes. */
static int merge_link(struct merge *m, struct link *link, struct strata_err *err)
{
	int status = place_link(m, link, err);

	return status == 0 && m->alone ? keep_place(m, link, err) : status;
}

/* ---- a layer --------------------------------------------------------------------- */

static int merge_any(struct merge *m, uint32_t i, struct strata_err *err)
{
	enum strata_whiteout kind = kind_of(m, &m->index->entries[i]);
	uint32_t node;

	if (m->next_link < m->link_count && m->links[m->next_link].entry == i)
		return merge_link(m, &m->links[m->next_link++], err);
	if (kind == STRATA_WHITEOUT_NO)
		return merge_entry(m, i, file_inode(m, i), &node, err);
	if (kind == STRATA_WHITEOUT_INVALID)
		return strata_fail(err, "EFORMAT", "a whiteout of no name");
	if (kind == STRATA_WHITEOUT_AUFS)
		return 0;
	if (m->alone)
		return merge_keep_whiteout(m, i, kind == STRATA_WHITEOUT_OPAQUE, err);
	if (m->lowest)
		return 0;
	return merge_whiteout(m, i, kind == STRATA_WHITEOUT_OPAQUE, err);
}

static int merge_layer(struct merge *m, struct strata_err *err)
{
	if (bind_links(m, err) < 0)
		return -1;
	for (uint32_t i = 0; i < m->index->count; i++)
		if (merge_any(m, i, err) < 0)
			return blame(m, i, err);
	return end_links(m, err);
}

static int merge_index(struct strata_tree *tree, struct strata_index *index, struct merge m,
                       struct strata_err *err)
{
	int status;

	if (strata_grow(tree->layers, tree->layer_count, err) < 0)
		return -1;
	m.tree = tree;
	m.index = index;
	m.layer = tree->layer_count;
	tree->layers[tree->layer_count++] = index;
	status = tree_reserve(tree, index->count, err);
	if (status == 0)
		status = merge_layer(&m, err);
	free(m.inode_of);
	free(m.links);
	return status;
}

/* Unpacks a layer for itself, and lays it over those below. */
static int lay_over(struct strata_tree *tree, struct strata_index *index, struct strata_err *err)
{
	struct strata_tree alone = {0};
	int status = strata_tree_init(&alone, err);

	alone.steps = tree->steps;
	alone.max_steps = tree->max_steps;
	alone.drops_marked = tree->drops_marked;
	if (status == 0)
		status = merge_index(&alone, index, (struct merge){.alone = true}, err);
	tree->steps = alone.steps;
	if (status == 0)
		status = strata_grow(tree->layers, tree->layer_count, err);
	if (status == 0) {
		tree->layers[tree->layer_count++] = index;
		status = tree_lay_over(tree, &alone, tree->layer_count - 1, err);
	}
	strata_tree_free(&alone);
	return status;
}

int strata_tree_apply(struct strata_tree *tree, struct strata_index *index, struct strata_err *err)
{
	bool lowest = tree->layer_count == 0;
	int status;

	if (tree->view == STRATA_VIEW_SPEC)
		status = merge_index(tree, index, (struct merge){.lowest = lowest}, err);
	else if (lowest)
		status = merge_index(tree, index, (struct merge){.alone = true, .lowest = true},
		                     err);
	else
		status = lay_over(tree, index, err);
	if (status == 0 && lowest && tree->view == STRATA_VIEW_RUNTIME)
		tree_drop_whiteouts(tree);
	tree->broken = tree->broken || status < 0;
	return status;
}
