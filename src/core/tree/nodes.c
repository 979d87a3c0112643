/* The nodes of a tree: names to nodes, adding, removing, order. */
#include "core/tree/tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tree/internal.h"

#define FIRST_BUCKETS 64
#define MOST_BUCKETS ((uint64_t)1 << 31)

/* ---- names to nodes ------------------------------------------------------- */

static uint32_t *bucket_of(const struct strata_tree *tree, uint32_t parent, const char *name,
                           size_t len)
{
	struct strata_hash_key key = tree->hash_key;

	key.k1 ^= (uint64_t)parent << 16;
	return &tree->buckets[(uint32_t)strata_hash(key, name, len) & tree->bucket_mask];
}

uint32_t strata_tree_child(const struct strata_tree *tree, uint32_t parent, const char *name,
                           size_t len)
{
	uint32_t at = *bucket_of(tree, parent, name, len);

	for (; at != STRATA_NO_NODE; at = tree->nodes[at].chain) {
		const struct strata_node *node = &tree->nodes[at];

		if (node->parent == parent && node->name_len == len &&
		    memcmp(strata_tree_name(tree, node), name, len) == 0)
			return at;
	}
	return STRATA_NO_NODE;
}

static void hash_in(struct strata_tree *tree, uint32_t at)
{
	struct strata_node *node = &tree->nodes[at];
	uint32_t *bucket =
	        bucket_of(tree, node->parent, strata_tree_name(tree, node), node->name_len);

	node->chain = *bucket;
	*bucket = at;
}

static void hash_out(struct strata_tree *tree, uint32_t at)
{
	struct strata_node *node = &tree->nodes[at];
	uint32_t *link =
	        bucket_of(tree, node->parent, strata_tree_name(tree, node), node->name_len);

	while (*link != at)
		link = &tree->nodes[*link].chain;
	*link = node->chain;
}

static int new_buckets(struct strata_tree *tree, uint32_t count, struct strata_err *err)
{
	uint32_t *buckets = strata_reallocarray(NULL, count, sizeof(*buckets));

	if (buckets == NULL)
		return strata_fail_nomem(err);
	memset(buckets, 0xff, count * sizeof(*buckets));
	free(tree->buckets);
	tree->buckets = buckets;
	tree->bucket_mask = count - 1;
	return 0;
}

int tree_reserve(struct strata_tree *tree, uint32_t more, struct strata_err *err)
{
	uint64_t nodes = (uint64_t)tree->live + more;
	uint64_t buckets = (uint64_t)tree->bucket_mask + 1;

	if (nodes <= buckets || buckets == MOST_BUCKETS)
		return 0;
	while (buckets < nodes && buckets < MOST_BUCKETS)
		buckets *= 2;
	if (new_buckets(tree, (uint32_t)buckets, err) < 0)
		return -1;
	for (uint32_t i = 1; i < tree->node_count; i++)
		if (!tree->nodes[i].free)
			hash_in(tree, i);
	return 0;
}

/* Room for one node more; nodes are numbered by 32 bits. */
static int grow(struct strata_tree *tree, struct strata_err *err)
{
	if (strata_grow(tree->nodes, tree->node_count, err) < 0)
		return -1;
	return tree_reserve(tree, 1, err);
}

/* ---- adding and removing --------------------------------------------------- */

int strata_tree_init(struct strata_tree *tree, struct strata_err *err)
{
	tree->free_node = STRATA_NO_NODE;
	tree->sorted = true;
	tree->max_steps = STRATA_TREE_STEPS;
	if (getrandom(&tree->hash_key, sizeof(tree->hash_key), 0) < 0)
		tree->hash_key.k0 = (uintptr_t)tree;
	if (new_buckets(tree, FIRST_BUCKETS, err) < 0 || grow(tree, err) < 0)
		return -1;
	tree->nodes[STRATA_ROOT_NODE] = (struct strata_node){
	        .first = STRATA_NO_NODE,
	        .next = STRATA_NO_NODE,
	        .prev = STRATA_NO_NODE,
	        .chain = STRATA_NO_NODE,
	        .entry = STRATA_NO_ENTRY,
	        .inode = STRATA_NO_NODE,
	        .name_layer = STRATA_NO_ENTRY,
	};
	tree->node_count = tree->live = 1;
	return 0;
}

void strata_tree_free(struct strata_tree *tree)
{
	free(tree->layers);
	free(tree->nodes);
	free(tree->buckets);
	free(tree->inodes);
	strata_buf_free(&tree->names);
	*tree = (struct strata_tree){0};
}

int tree_add(struct strata_tree *tree, uint32_t parent, struct tree_name name, uint32_t layer,
             uint32_t *node, struct strata_err *err)
{
	uint32_t at = tree->free_node;
	uint32_t first;

	if (at != STRATA_NO_NODE)
		tree->free_node = tree->nodes[at].chain;
	else if (grow(tree, err) < 0)
		return -1;
	else
		at = tree->node_count++;
	first = tree->nodes[parent].first;
	tree->nodes[at] = (struct strata_node){
	        .parent = parent,
	        .first = STRATA_NO_NODE,
	        .next = first,
	        .prev = STRATA_NO_NODE,
	        .layer = layer,
	        .entry = STRATA_NO_ENTRY,
	        .inode = STRATA_NO_NODE,
	        .cleared = layer,
	        .name_layer = name.layer,
	        .name_offset = name.offset,
	        .name_len = name.len,
	};
	if (first != STRATA_NO_NODE)
		tree->nodes[first].prev = at;
	tree->nodes[parent].first = at;
	tree->live++;
	tree->sorted = false;
	hash_in(tree, at);
	*node = at;
	return 0;
}

/* Takes a node without children out of the tree. */
static void remove_leaf(struct strata_tree *tree, uint32_t at)
{
	struct strata_node *node = &tree->nodes[at];

	tree_set_inode(tree, at, STRATA_NO_NODE);
	hash_out(tree, at);
	if (node->prev != STRATA_NO_NODE)
		tree->nodes[node->prev].next = node->next;
	else
		tree->nodes[node->parent].first = node->next;
	if (node->next != STRATA_NO_NODE)
		tree->nodes[node->next].prev = node->prev;
	tree->removed++;
	node->free = true;
	node->chain = tree->free_node;
	tree->free_node = at;
	tree->live--;
}

void tree_clear(struct strata_tree *tree, uint32_t node)
{
	uint32_t at = node;

	for (;;) {
		uint32_t parent;

		while (tree->nodes[at].first != STRATA_NO_NODE)
			at = tree->nodes[at].first;
		if (at == node)
			return;
		parent = tree->nodes[at].parent;
		remove_leaf(tree, at);
		at = parent;
	}
}

void tree_remove(struct strata_tree *tree, uint32_t node)
{
	tree_clear(tree, node);
	remove_leaf(tree, node);
}

/* ---- inodes ------------------------------------------------------------------ */

int tree_add_inode(struct strata_tree *tree, uint32_t layer, uint32_t entry, uint32_t *inode,
                   struct strata_err *err)
{
	if (strata_grow(tree->inodes, tree->inode_count, err) < 0)
		return -1;
	tree->inodes[tree->inode_count] = (struct strata_inode){layer, entry, layer, entry, 0};
	*inode = tree->inode_count++;
	return 0;
}

void tree_set_inode(struct strata_tree *tree, uint32_t node, uint32_t inode)
{
	uint32_t *place = &tree->nodes[node].inode;

	if (*place != STRATA_NO_NODE)
		tree->inodes[*place].links--;
	if (inode != STRATA_NO_NODE)
		tree->inodes[inode].links++;
	*place = inode;
}

int tree_inode_of(struct strata_tree *tree, uint32_t node, uint32_t *inode, struct strata_err *err)
{
	struct strata_inode source = strata_tree_source(tree, node);

	*inode = tree->nodes[node].inode;
	if (*inode != STRATA_NO_NODE || tree_is_dir(tree, node))
		return 0;
	if (tree->layers[source.layer]->entries[source.entry].typeflag == '1')
		return 0; /* a hardlink to nothing is no file */
	if (tree_add_inode(tree, source.layer, source.entry, inode, err) < 0)
		return -1;
	tree_set_inode(tree, node, *inode);
	return 0;
}

struct strata_inode strata_tree_source(const struct strata_tree *tree, uint32_t node)
{
	const struct strata_node *n = &tree->nodes[node];

	if (n->inode != STRATA_NO_NODE)
		return tree->inodes[n->inode];
	return (struct strata_inode){n->layer, n->entry, n->layer, n->entry, 1};
}

char strata_tree_type(const struct strata_tree *tree, uint32_t node)
{
	struct strata_inode source = strata_tree_source(tree, node);

	if (tree->nodes[node].whiteout)
		return '3'; /* as unpackers for overlayfs make one: a character device 0:0 */
	return source.entry == STRATA_NO_ENTRY
	               ? '5'
	               : tree->layers[source.layer]->entries[source.entry].typeflag;
}

/* ---- order ------------------------------------------------------------------- */

struct sorted_child {
	const char *name;
	size_t len;
	uint32_t node;
};

static int compare_children(const void *a, const void *b)
{
	const struct sorted_child *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	if (order != 0)
		return order;
	return x->len < y->len ? -1 : x->len > y->len;
}

/* Sorts the children of a directory by means of an array that has room for them. */
static void sort_children(struct strata_tree *tree, uint32_t parent, struct sorted_child *list)
{
	uint32_t before = STRATA_NO_NODE;
	size_t n = 0;

	for (uint32_t at = tree->nodes[parent].first; at != STRATA_NO_NODE;
	     at = tree->nodes[at].next) {
		const struct strata_node *node = &tree->nodes[at];

		list[n++] = (struct sorted_child){strata_tree_name(tree, node), node->name_len, at};
	}
	if (n < 2)
		return;
	qsort(list, n, sizeof(*list), compare_children);
	tree->nodes[parent].first = list[0].node;
	for (size_t i = 0; i < n; i++) {
		tree->nodes[list[i].node].prev = before;
		tree->nodes[list[i].node].next = i + 1 < n ? list[i + 1].node : STRATA_NO_NODE;
		before = list[i].node;
	}
}

int strata_tree_sort(struct strata_tree *tree, struct strata_err *err)
{
	cleanup_free struct sorted_child *list = NULL;
	uint32_t most = 0;

	if (tree->sorted)
		return 0;
	for (uint32_t i = 0; i < tree->node_count; i++) {
		uint32_t n = 0;

		for (uint32_t at = tree->nodes[i].free ? STRATA_NO_NODE : tree->nodes[i].first;
		     at != STRATA_NO_NODE; at = tree->nodes[at].next)
			n++;
		most = n > most ? n : most;
	}
	list = strata_reallocarray(NULL, most, sizeof(*list));
	if (list == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < tree->node_count; i++)
		if (!tree->nodes[i].free)
			sort_children(tree, i, list);
	tree->sorted = true;
	return 0;
}

int strata_tree_path(const struct strata_tree *tree, uint32_t node, struct strata_buf *out,
                     struct strata_err *err)
{
	size_t len = 0, end;

	if (node == STRATA_ROOT_NODE)
		return strata_buf_append(out, ".", 1, err);
	for (uint32_t at = node; at != STRATA_ROOT_NODE; at = tree->nodes[at].parent)
		len += tree->nodes[at].name_len + (size_t)1;
	len--;
	if (strata_buf_reserve(out, len, err) < 0)
		return -1;
	end = out->len + len;
	for (uint32_t at = node; at != STRATA_ROOT_NODE; at = tree->nodes[at].parent) {
		const struct strata_node *n = &tree->nodes[at];

		end -= n->name_len;
		memcpy(out->data + end, strata_tree_name(tree, n), n->name_len);
		if (end > out->len)
			out->data[--end] = '/';
	}
	out->len += len;
	return 0;
}

/* ---- matching ---------------------------------------------------------- */

/* The node behind one in a walk through all; STRATA_ROOT_NODE behind the last. */
static uint32_t node_after(const struct strata_tree *tree, uint32_t at)
{
	if (tree->nodes[at].first != STRATA_NO_NODE)
		return tree->nodes[at].first;
	while (at != STRATA_ROOT_NODE && tree->nodes[at].next == STRATA_NO_NODE)
		at = tree->nodes[at].parent;
	return at != STRATA_ROOT_NODE ? tree->nodes[at].next : at;
}

int strata_tree_match(const struct strata_tree *tree, const struct strata_globs *globs, bool *used,
                      struct strata_buf *nodes, struct strata_err *err)
{
	cleanup_buf struct strata_buf path = {0};

	for (uint32_t at = node_after(tree, STRATA_ROOT_NODE); at != STRATA_ROOT_NODE;
	     at = node_after(tree, at)) {
		path.len = 0;
		if (strata_tree_path(tree, at, &path, err) < 0)
			return -1;
		if (strata_globs_match(globs, path.data, path.len, used) &&
		    strata_buf_append(nodes, &at, sizeof(at), err) < 0)
			return -1;
	}
	return 0;
}
