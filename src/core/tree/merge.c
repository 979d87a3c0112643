/* Putting a layer on top of a tree. */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/tree/internal.h"

#define WHITEOUT ".wh."
#define WHITEOUT_LEN 4
#define OPAQUE ".wh..wh..opq"

/* A hardlink may lead to one that stands behind it, and so on: as far as unpackers follow them. */
#define STRAY_PASSES 40

/* A hardlink whose file is not in its layer. */
struct stray {
	uint32_t entry;
	uint32_t node; /* where it was put; STRATA_NO_NODE: nowhere */
};

struct apply {
	struct strata_tree *tree;
	struct strata_index *index;
	uint32_t layer;
	uint32_t *inode_of; /* per entry: of files that have links; NULL without links */
	struct stray *strays;
	uint32_t stray_count;
};

enum role { ROLE_ENTRY, ROLE_WHITEOUT, ROLE_OPAQUE, ROLE_SKIP, ROLE_INVALID };

static bool starts(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static const char *base_of(const char *path, size_t len, size_t *base_len)
{
	const char *slash = memrchr(path, '/', len);
	const char *base = slash != NULL ? slash + 1 : path;

	*base_len = len - (size_t)(base - path);
	return base;
}

/* AUFS keeps what is its own in directories of such names. */
static bool in_metadata(const char *path, size_t len)
{
	const char *at = path;

	while ((at = memmem(at, len - (size_t)(at - path), "/.wh..wh.", 9)) != NULL) {
		at += 9;
		if (memchr(at, '/', len - (size_t)(at - path)) != NULL)
			return true;
	}
	return starts(path, len, ".wh..wh.") && memchr(path, '/', len) != NULL;
}

static enum role role_of(const struct strata_index *index, const struct strata_entry *e)
{
	const char *path = strata_index_text(index, e->path);
	size_t len;
	const char *base = base_of(path, e->path.len, &len);

	if (e->dropped || e->typeflag == 'g' || in_metadata(path, e->path.len))
		return ROLE_SKIP;
	if (!starts(base, len, WHITEOUT))
		return ROLE_ENTRY;
	if (len == strlen(OPAQUE) && memcmp(base, OPAQUE, len) == 0)
		return ROLE_OPAQUE;
	base += WHITEOUT_LEN;
	len -= WHITEOUT_LEN;
	if (starts(base, len, WHITEOUT))
		return ROLE_SKIP;
	return len == 0 || (len <= 2 && memcmp(base, "..", len) == 0) ? ROLE_INVALID
	                                                              : ROLE_WHITEOUT;
}

/* Says which entry an error is about. */
static int blame(const struct apply *a, uint32_t entry, struct strata_err *err)
{
	struct strata_path path = a->index->entries[entry].path;
	char quoted[512];

	return strata_err_wrap(
	        err, "entry %u %s", entry + 1,
	        strata_quote(quoted, sizeof(quoted), strata_index_text(a->index, path), path.len));
}

/* ---- hardlinks ------------------------------------------------------------- */

/* Who assigned the linkpath knew nothing of what the scan has bound. */
static bool is_bound(const struct apply *a, uint32_t i)
{
	const struct strata_entry *e = &a->index->entries[i];
	uint32_t root = a->index->links[i].root;

	return root != STRATA_NO_ENTRY && a->index->entries[root].typeflag != '5' &&
	       (e->retargeted || !(e->changed & STRATA_TAR_LINKPATH));
}

/* Looks for what may be missing: STRATA_NO_NODE then. -1 only for what must not be passed over. */
static int look_up(struct apply *a, const struct tree_walk *how, const char *path, size_t len,
                   uint32_t *node, struct strata_err *err)
{
	struct strata_err why = {.code = ""};

	if (tree_walk(a->tree, how, path, len, node, &why) == 0)
		return 0;
	*node = STRATA_NO_NODE;
	if (strcmp(why.code, "ELOOP") == 0 || strcmp(why.code, "ENOENT") == 0)
		return 0;
	*err = why;
	return -1;
}

/*
 * The inode that a path leads to: of the last component itself, which need not be
 * followed. STRATA_NO_NODE for a directory and for what is not there.
 */
static int inode_at(struct apply *a, struct strata_path path, uint32_t *node, uint32_t *inode,
                    struct strata_err *err)
{
	struct strata_tree *tree = a->tree;
	const struct tree_walk how = {.metered = true};
	struct strata_inode source;

	*inode = STRATA_NO_NODE;
	if (look_up(a, &how, strata_index_text(a->index, path), path.len, node, err) < 0)
		return -1;
	if (*node == STRATA_NO_NODE || tree_is_dir(tree, *node))
		return 0;
	*inode = tree->nodes[*node].inode;
	if (*inode != STRATA_NO_NODE)
		return 0;
	source = strata_tree_source(tree, *node);
	if (tree->layers[source.layer]->entries[source.entry].typeflag == '1')
		return 0; /* a link to nothing is no file */
	if (tree_add_inode(tree, source.layer, source.entry, inode, err) < 0)
		return -1;
	tree_set_inode(tree, *node, *inode);
	return 0;
}

/* Makes inodes of the layer's files that have links, and lists its strays. */
static int bind_links(struct apply *a, struct strata_err *err)
{
	const struct strata_index *index = a->index;
	size_t bytes = (size_t)index->count * sizeof(*a->inode_of);
	uint32_t strays = 0;

	if (index->links == NULL)
		return 0;
	a->inode_of = malloc(bytes);
	if (a->inode_of == NULL)
		return strata_fail_nomem(err);
	memset(a->inode_of, 0xff, bytes);
	for (uint32_t i = 0; i < index->count; i++) {
		uint32_t root = index->links[i].root;

		if (index->entries[i].typeflag != '1' ||
		    role_of(index, &index->entries[i]) != ROLE_ENTRY)
			continue;
		if (!is_bound(a, i))
			strays++;
		else if (a->inode_of[root] == STRATA_NO_NODE &&
		         tree_add_inode(a->tree, a->layer, root, &a->inode_of[root], err) < 0)
			return -1;
	}
	a->strays = strata_reallocarray(NULL, strays, sizeof(*a->strays));
	if (a->strays == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < index->count; i++)
		if (index->entries[i].typeflag == '1' &&
		    role_of(index, &index->entries[i]) == ROLE_ENTRY && !is_bound(a, i))
			a->strays[a->stray_count++] = (struct stray){i, STRATA_NO_NODE};
	return 0;
}

static struct stray *find_stray(struct apply *a, uint32_t entry)
{
	uint32_t low = 0, high = a->stray_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->strays[middle].entry == entry)
			return &a->strays[middle];
		if (a->strays[middle].entry < entry)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* True when the entry has not been replaced since. */
static bool is_there(const struct apply *a, const struct stray *stray)
{
	const struct strata_node *node;

	if (stray->node == STRATA_NO_NODE)
		return false;
	node = &a->tree->nodes[stray->node];
	return !node->free && node->entry == stray->entry && node->layer == a->layer;
}

/* Looks at the link's target again. 1: it is another file now. */
static int settle_stray(struct apply *a, const struct stray *stray, struct strata_err *err)
{
	struct strata_tree *tree = a->tree;
	uint32_t before = tree->nodes[stray->node].inode;
	uint32_t inode, target;

	if (inode_at(a, a->index->entries[stray->entry].linkpath, &target, &inode, err) < 0)
		return -1;
	if (inode == STRATA_NO_NODE || inode == before ||
	    (before != STRATA_NO_NODE && tree->nodes[target].layer != a->layer))
		return 0;
	tree_set_inode(tree, stray->node, inode);
	return 1;
}

/* Strays whose file this layer has put there behind them. */
static int settle_strays(struct apply *a, struct strata_err *err)
{
	bool progress = true;

	for (int pass = 0; progress && pass < STRAY_PASSES; pass++) {
		progress = false;
		for (uint32_t i = 0; i < a->stray_count; i++) {
			int status = is_there(a, &a->strays[i])
			                     ? settle_stray(a, &a->strays[i], err)
			                     : 0;

			if (status < 0)
				return -1;
			progress = progress || status > 0;
		}
	}
	return 0;
}

/* ---- whiteouts ---------------------------------------------------------------- */

/* True when all that is in a directory is this layer's. */
static bool is_clean(const struct apply *a, uint32_t node)
{
	return a->tree->nodes[node].cleared == a->layer;
}

/* What is below the node has been gone through. */
static void hide_node(struct apply *a, uint32_t at)
{
	struct strata_node *node = &a->tree->nodes[at];

	node->cleared = a->layer;
	if (node->layer == a->layer)
		return;
	if (node->first == STRATA_NO_NODE) {
		tree_remove(a->tree, at);
	} else { /* as if newly made for what is in it */
		node->layer = a->layer;
		node->entry = STRATA_NO_ENTRY;
	}
}

/* Removes what lower layers have at a node, or only below it, and spares what this one has. */
static void hide(struct apply *a, uint32_t top, bool itself)
{
	uint32_t at = top;

	for (;;) {
		const struct strata_node *node = &a->tree->nodes[at];
		uint32_t next = node->next, parent = node->parent;

		if (node->first != STRATA_NO_NODE && !is_clean(a, at)) {
			a->tree->nodes[at].cleared = a->layer; /* when we come back */
			at = node->first;
			continue;
		}
		if (at != top || itself)
			hide_node(a, at);
		else
			a->tree->nodes[at].cleared = a->layer;
		if (at == top)
			return;
		at = next != STRATA_NO_NODE ? next : parent;
	}
}

/* The node of the first len bytes of a path, the last component not followed unless it says so. */
static int find_dir(struct apply *a, const char *path, size_t len, bool follow, uint32_t *node,
                    struct strata_err *err)
{
	const struct tree_walk how = {.follow = follow, .metered = true};

	*node = STRATA_ROOT_NODE;
	return len > 0 ? look_up(a, &how, path, len, node, err) : 0;
}

/* A directory that was a link below is a new one, and the link's target stays as it is. */
static int replace_link(struct apply *a, uint32_t node, struct strata_err *err)
{
	struct strata_tree *tree = a->tree;
	const struct strata_node old = tree->nodes[node];
	const struct tree_name name = {old.name_layer, old.name_offset, old.name_len};

	if (old.layer == a->layer || strata_tree_type(tree, node) != '2')
		return 0;
	tree_remove(tree, node);
	return tree_add(tree, old.parent, name, a->layer, &node, err);
}

static int apply_whiteout(struct apply *a, uint32_t entry, bool opaque, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[entry];
	const char *path = strata_index_text(a->index, e->path);
	size_t base_len, dir_len;
	const char *base = base_of(path, e->path.len, &base_len);
	uint32_t node;

	dir_len = base > path ? (size_t)(base - path) - 1 : 0;
	/* What cannot be reached hides nothing. */
	if (find_dir(a, path, dir_len, !opaque, &node, err) < 0)
		return -1;
	if (node != STRATA_NO_NODE && !opaque)
		node = tree_is_dir(a->tree, node) ? tree_child(a->tree, node, base + WHITEOUT_LEN,
		                                               base_len - WHITEOUT_LEN)
		                                  : STRATA_NO_NODE;
	if (node == STRATA_NO_NODE)
		return 0;
	if (opaque && !tree_is_dir(a->tree, node))
		return replace_link(a, node, err);
	hide(a, node, !opaque);
	return 0;
}

/* ---- entries ------------------------------------------------------------------- */

/* The directory that an entry is put in. */
static int find_parent(struct apply *a, const char *path, size_t len, uint32_t *parent,
                       struct strata_err *err)
{
	const struct tree_walk how = {
	        .follow = true, .metered = true, .create = true, .layer = a->layer};

	if (tree_walk(a->tree, &how, path, len, parent, err) < 0 || *parent == STRATA_NO_NODE)
		return -1;
	return 0;
}

/* The file that an entry is a name of, if it has or gets others, as far as that is known now. */
static int find_inode(struct apply *a, uint32_t i, uint32_t *inode, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[i];
	uint32_t ignored;

	*inode = STRATA_NO_NODE;
	if (e->typeflag == '1' && !is_bound(a, i))
		return inode_at(a, e->linkpath, &ignored, inode, err);
	if (a->inode_of != NULL)
		*inode = a->inode_of[e->typeflag == '1' ? a->index->links[i].root : i];
	return 0;
}

/* The node that an entry is put at, new or what stays: a directory, or a name of the same file. */
static int place(struct apply *a, uint32_t i, uint32_t *node, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[i];
	struct strata_tree *tree = a->tree;
	const char *path = strata_index_text(a->index, e->path);
	size_t base_len;
	const char *base = base_of(path, e->path.len, &base_len);
	const struct tree_name name = {a->layer, e->path.offset + (uint32_t)(base - path),
	                               (uint16_t)base_len};
	uint32_t parent, inode;

	if (find_parent(a, path, base > path ? (size_t)(base - path) - 1 : 0, &parent, err) < 0 ||
	    find_inode(a, i, &inode, err) < 0)
		return -1;
	*node = tree_child(tree, parent, base, base_len);
	if (*node != STRATA_NO_NODE && e->typeflag == '5' && tree_is_dir(tree, *node))
		return 0;
	if (*node != STRATA_NO_NODE && inode != STRATA_NO_NODE && tree->nodes[*node].inode == inode)
		return 0;
	if (*node != STRATA_NO_NODE)
		tree_remove(tree, *node);
	/* What it replaces may have held its target. */
	if (inode != STRATA_NO_NODE && e->typeflag == '1' && !is_bound(a, i) &&
	    tree->inodes[inode].links == 0)
		inode = STRATA_NO_NODE;
	if (tree_add(tree, parent, name, a->layer, node, err) < 0)
		return -1;
	tree_set_inode(tree, *node, inode);
	return 0;
}

static int apply_entry(struct apply *a, uint32_t i, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[i];
	uint32_t node = STRATA_ROOT_NODE;
	struct stray *stray = e->typeflag == '1' ? find_stray(a, i) : NULL;

	if (e->path.len == 1 && *strata_index_text(a->index, e->path) == '.') {
		if (e->typeflag != '5')
			return strata_fail(err, "EFORMAT", "the root can only be a directory");
	} else if (place(a, i, &node, err) < 0) {
		return -1;
	}
	a->tree->nodes[node].layer = a->layer;
	a->tree->nodes[node].entry = i;
	if (stray != NULL)
		stray->node = node;
	return 0;
}

static int apply_any(struct apply *a, uint32_t i, struct strata_err *err)
{
	enum role role = role_of(a->index, &a->index->entries[i]);

	if (role == ROLE_INVALID)
		return strata_fail(err, "EFORMAT", "a whiteout that names nothing");
	if (role == ROLE_ENTRY)
		return apply_entry(a, i, err);
	/* Nothing is below the first layer. */
	if (role == ROLE_SKIP || a->layer == 0)
		return 0;
	return apply_whiteout(a, i, role == ROLE_OPAQUE, err);
}

static int apply_layer(struct apply *a, struct strata_err *err)
{
	if (bind_links(a, err) < 0)
		return -1;
	for (uint32_t i = 0; i < a->index->count; i++)
		if (apply_any(a, i, err) < 0)
			return blame(a, i, err);
	return settle_strays(a, err);
}

int strata_tree_apply(struct strata_tree *tree, struct strata_index *index, struct strata_err *err)
{
	struct apply a = {.tree = tree, .index = index, .layer = tree->layer_count};
	struct strata_index **grown =
	        strata_reallocarray(tree->layers, (size_t)tree->layer_count + 1, sizeof(*grown));
	int status;

	if (grown == NULL)
		return strata_fail_nomem(err);
	tree->layers = grown;
	tree->layers[tree->layer_count++] = index;
	status = apply_layer(&a, err);
	tree->broken = tree->broken || status < 0;
	free(a.inode_of);
	free(a.strays);
	return status;
}
