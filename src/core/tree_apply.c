/* Putting a layer on top of a tree. */
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "tree_internal.h"

#define WHITEOUT ".wh."
#define WHITEOUT_LEN 4
#define OPAQUE ".wh..wh..opq"

/* What a whiteout does to a node of the lower layers. */
struct hiding {
	uint32_t node;
	bool opaque;
};

/* A hardlink whose file is not in its layer. */
struct stray {
	uint32_t entry;
	uint32_t lower; /* the inode that lower layers have for it; STRATA_NO_NODE: none */
	uint32_t node;  /* where it was put; STRATA_NO_NODE: nowhere */
};

struct apply {
	struct strata_tree *tree;
	struct strata_index *index;
	uint32_t layer;
	uint32_t *inode_of; /* per entry: of files that have links; NULL without links */
	struct stray *strays;
	uint32_t stray_count;
	struct hiding *hidings;
	size_t hiding_count;
	size_t hiding_capacity;
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
static int inode_at(struct apply *a, struct strata_path path, uint32_t *inode,
                    struct strata_err *err)
{
	struct strata_tree *tree = a->tree;
	const struct tree_walk how = {.metered = true};
	struct strata_inode source;
	uint32_t node;

	*inode = STRATA_NO_NODE;
	if (look_up(a, &how, strata_index_text(a->index, path), path.len, &node, err) < 0)
		return -1;
	if (node == STRATA_NO_NODE || tree_is_dir(tree, node))
		return 0;
	*inode = tree->nodes[node].inode;
	if (*inode != STRATA_NO_NODE)
		return 0;
	source = strata_tree_source(tree, node);
	if (tree->layers[source.layer]->entries[source.entry].typeflag == '1')
		return 0; /* a link to nothing is no file */
	if (tree_add_inode(tree, source.layer, source.entry, inode, err) < 0)
		return -1;
	tree_set_inode(tree, node, *inode);
	return 0;
}

/*
 * The entry at whose linkpath a chain of links leaves the layer. `ends` keeps what
 * was found, so that each link is passed once; a circle ends where it began.
 */
static uint32_t end_of_chain(const struct apply *a, uint32_t *ends, uint32_t i)
{
	uint32_t at = i, end;

	while (ends[at] == STRATA_NO_ENTRY && a->index->links[at].target != STRATA_NO_ENTRY &&
	       a->index->entries[a->index->links[at].target].typeflag == '1') {
		ends[at] = at; /* on the way */
		at = a->index->links[at].target;
	}
	end = ends[at] != STRATA_NO_ENTRY ? ends[at] : at;
	while (i != end && ends[i] == i) {
		ends[i] = end;
		i = a->index->links[i].target;
	}
	ends[end] = end;
	return end;
}

/* Finds what strays share with lower layers, before these are hidden by anything. */
static int bind_strays(struct apply *a, struct strata_err *err)
{
	cleanup_free uint32_t *ends = NULL;
	size_t bytes = (size_t)a->index->count * sizeof(*ends);

	if (a->stray_count == 0)
		return 0;
	ends = malloc(bytes);
	if (ends == NULL)
		return strata_fail_nomem(err);
	memset(ends, 0xff, bytes);
	for (uint32_t i = 0; i < a->stray_count; i++) {
		struct stray *stray = &a->strays[i];
		uint32_t end = end_of_chain(a, ends, stray->entry);

		if (inode_at(a, a->index->entries[end].linkpath, &stray->lower, err) < 0)
			return -1;
	}
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
			a->strays[a->stray_count++] =
			        (struct stray){i, STRATA_NO_NODE, STRATA_NO_NODE};
	return bind_strays(a, err);
}

/*
 * Strays become names of a file: one that this layer has put there under another
 * spelling of its path, or else the lower one.
 */
static int settle_strays(struct apply *a, struct strata_err *err)
{
	struct strata_tree *tree = a->tree;

	for (uint32_t i = 0; i < a->stray_count; i++) {
		struct stray *stray = &a->strays[i];
		uint32_t inode;

		if (stray->node == STRATA_NO_NODE || tree->nodes[stray->node].free ||
		    tree->nodes[stray->node].entry != stray->entry ||
		    tree->nodes[stray->node].layer != a->layer)
			continue;
		if (inode_at(a, a->index->entries[stray->entry].linkpath, &inode, err) < 0)
			return -1;
		if (inode == STRATA_NO_NODE ||
		    (stray->lower != STRATA_NO_NODE && tree->inodes[inode].layer != a->layer))
			inode = stray->lower;
		if (inode != STRATA_NO_NODE)
			tree_set_inode(tree, stray->node, inode);
	}
	return 0;
}

/* ---- whiteouts ---------------------------------------------------------------- */

/* True when the layer itself says what is at that path: then it is no symlink of lower ones. */
static bool is_in_layer(void *context, const char *path, size_t len)
{
	struct apply *a = context;
	struct strata_err ignored;
	uint32_t found;

	return strata_index_find(a->index, path, len, &found, &ignored) == 0 &&
	       found != STRATA_NO_ENTRY;
}

static int add_hiding(struct apply *a, uint32_t node, bool opaque, struct strata_err *err)
{
	if (a->hiding_count == a->hiding_capacity) {
		size_t capacity = a->hiding_capacity ? a->hiding_capacity * 2 : 16;
		struct hiding *grown = strata_reallocarray(a->hidings, capacity, sizeof(*grown));

		if (grown == NULL)
			return strata_fail_nomem(err);
		a->hidings = grown;
		a->hiding_capacity = capacity;
	}
	a->hidings[a->hiding_count++] = (struct hiding){node, opaque};
	return 0;
}

/* Notes which node of the lower layers a whiteout is about, if any. */
static int find_hidden(struct apply *a, uint32_t entry, bool opaque, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[entry];
	const char *path = strata_index_text(a->index, e->path);
	const struct tree_walk how = {
	        .follow = true, .metered = true, .at_link = is_in_layer, .context = a};
	const struct tree_walk itself = {.metered = true, .at_link = is_in_layer, .context = a};
	uint32_t node = STRATA_ROOT_NODE;
	size_t base_len, dir_len;
	const char *base = base_of(path, e->path.len, &base_len);

	dir_len = base > path ? (size_t)(base - path) - 1 : 0;
	/* What cannot be reached hides nothing. */
	if (look_up(a, opaque ? &itself : &how, path, dir_len, &node, err) < 0)
		return -1;
	if (node == STRATA_NO_NODE)
		return 0;
	if (!opaque && tree_is_dir(a->tree, node))
		node = tree_child(a->tree, node, base + WHITEOUT_LEN, base_len - WHITEOUT_LEN);
	else if (!opaque)
		node = STRATA_NO_NODE;
	return node != STRATA_NO_NODE ? add_hiding(a, node, opaque, err) : 0;
}

/* Puts an implied directory in the place of a node that is none. */
static int replace_by_directory(struct strata_tree *tree, uint32_t node, uint32_t layer,
                                struct strata_err *err)
{
	const struct strata_node old = tree->nodes[node];
	const struct tree_name name = {old.name_layer, old.name_offset, old.name_len};

	tree_remove(tree, node);
	return tree_add(tree, old.parent, name, layer, &node, err);
}

/* All whiteouts are found before the first one acts: their order is of no account. */
static int apply_whiteouts(struct apply *a, struct strata_err *err)
{
	struct strata_tree *tree = a->tree;

	for (uint32_t i = 0; i < a->index->count; i++) {
		enum role role = role_of(a->index, &a->index->entries[i]);

		if (role == ROLE_INVALID) {
			strata_fail(err, "EFORMAT", "a whiteout that names nothing");
			return blame(a, i, err);
		}
		if ((role == ROLE_WHITEOUT || role == ROLE_OPAQUE) && a->layer > 0 &&
		    find_hidden(a, i, role == ROLE_OPAQUE, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < a->hiding_count; i++) {
		uint32_t node = a->hidings[i].node;

		if (tree->nodes[node].free)
			continue;
		if (!a->hidings[i].opaque)
			tree_remove(tree, node);
		else if (tree_is_dir(tree, node))
			tree_clear(tree, node);
	}
	/* From here on numbers of removed nodes are used again. */
	for (size_t i = 0; i < a->hiding_count; i++) {
		uint32_t node = a->hidings[i].node;

		if (a->hidings[i].opaque && !tree->nodes[node].free &&
		    tree->nodes[node].layer != a->layer && !tree_is_dir(tree, node) &&
		    replace_by_directory(tree, node, a->layer, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- entries ------------------------------------------------------------------- */

/* The node that an entry is put at, new or a directory that stays. */
static int place(struct apply *a, uint32_t i, uint32_t *node, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[i];
	const struct tree_walk how = {
	        .follow = true, .metered = true, .create = true, .layer = a->layer};
	const char *path = strata_index_text(a->index, e->path);
	size_t base_len, dir_len;
	const char *base = base_of(path, e->path.len, &base_len);
	const struct tree_name name = {a->layer, e->path.offset + (uint32_t)(base - path),
	                               (uint16_t)base_len};
	uint32_t parent;

	dir_len = base > path ? (size_t)(base - path) - 1 : 0;
	if (tree_walk(a->tree, &how, path, dir_len, &parent, err) < 0 || parent == STRATA_NO_NODE)
		return -1;
	*node = tree_child(a->tree, parent, base, base_len);
	if (*node != STRATA_NO_NODE) {
		if (e->typeflag == '5' && tree_is_dir(a->tree, *node))
			return 0;
		tree_remove(a->tree, *node);
	}
	return tree_add(a->tree, parent, name, a->layer, node, err);
}

static int apply_entry(struct apply *a, uint32_t i, struct strata_err *err)
{
	const struct strata_entry *e = &a->index->entries[i];
	uint32_t node = STRATA_ROOT_NODE;
	uint32_t inode = STRATA_NO_NODE;

	if (e->path.len == 1 && *strata_index_text(a->index, e->path) == '.') {
		if (e->typeflag != '5')
			return strata_fail(err, "EFORMAT", "the root can only be a directory");
	} else if (place(a, i, &node, err) < 0) {
		return -1;
	}
	a->tree->nodes[node].layer = a->layer;
	a->tree->nodes[node].entry = i;
	if (a->inode_of != NULL)
		inode = a->inode_of[e->typeflag == '1' && is_bound(a, i) ? a->index->links[i].root
		                                                         : i];
	tree_set_inode(a->tree, node, inode);
	for (uint32_t low = 0, high = a->stray_count; e->typeflag == '1' && low < high;) {
		uint32_t middle = low + (high - low) / 2;

		if (a->strays[middle].entry == i)
			a->strays[middle].node = node;
		if (a->strays[middle].entry < i)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

static int apply_layer(struct apply *a, struct strata_err *err)
{
	if (bind_links(a, err) < 0 || apply_whiteouts(a, err) < 0)
		return -1;
	for (uint32_t i = 0; i < a->index->count; i++)
		if (role_of(a->index, &a->index->entries[i]) == ROLE_ENTRY &&
		    apply_entry(a, i, err) < 0)
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
	free(a.hidings);
	return status;
}
