/* Comparing two trees by where their nodes come from. */
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tree/internal.h"

/* The next nodes of a directory in both trees; STRATA_NO_NODE: no more there. */
struct cursor {
	uint32_t a;
	uint32_t b;
};

static int compare_names(const struct strata_tree *a, uint32_t in_a, const struct strata_tree *b,
                         uint32_t in_b)
{
	const struct strata_node *x = &a->nodes[in_a], *y = &b->nodes[in_b];
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order = memcmp(strata_tree_name(a, x), strata_tree_name(b, y), len);

	return order != 0 ? order : (int)x->name_len - (int)y->name_len;
}

/* Takes the nodes of the lowest name: of both trees, or of the one that has it. */
static struct strata_tree_pair take(const struct strata_tree *a, const struct strata_tree *b,
                                    struct cursor *at)
{
	struct strata_tree_pair pair = {.a = at->a, .b = at->b};
	int order = at->a == STRATA_NO_NODE ? 1 : -1;

	if (at->a != STRATA_NO_NODE && at->b != STRATA_NO_NODE)
		order = compare_names(a, at->a, b, at->b);
	if (order <= 0)
		at->a = a->nodes[at->a].next;
	else
		pair.a = STRATA_NO_NODE;
	if (order >= 0)
		at->b = b->nodes[at->b].next;
	else
		pair.b = STRATA_NO_NODE;
	return pair;
}

static bool is_same_entry(const struct strata_tree *a, uint32_t layer_a, uint32_t entry_a,
                          const struct strata_tree *b, uint32_t layer_b, uint32_t entry_b)
{
	if (entry_a == STRATA_NO_ENTRY || entry_b == STRATA_NO_ENTRY)
		return entry_a == entry_b;
	return a->layers[layer_a] == b->layers[layer_b] && entry_a == entry_b;
}

/* Whether two nodes have their content and their attributes from the same entries. */
static bool has_same_origin(const struct strata_tree *a, const struct strata_tree *b,
                            const struct strata_tree_pair *pair)
{
	struct strata_inode x, y;

	if (pair->a == STRATA_NO_NODE || pair->b == STRATA_NO_NODE)
		return false;
	x = strata_tree_source(a, pair->a);
	y = strata_tree_source(b, pair->b);
	return is_same_entry(a, x.layer, x.entry, b, y.layer, y.entry) &&
	       is_same_entry(a, x.header_layer, x.header_entry, b, y.header_layer, y.header_entry);
}

static bool has_inode(const struct strata_tree *tree, uint32_t node)
{
	return tree->nodes[node].inode != STRATA_NO_NODE;
}

static uint32_t first_of(const struct strata_tree *tree, uint32_t node)
{
	return node != STRATA_NO_NODE ? tree->nodes[node].first : STRATA_NO_NODE;
}

int strata_tree_compare(const struct strata_tree *a, const struct strata_tree *b,
                        struct strata_buf *pairs, struct strata_err *err)
{
	struct strata_tree_pair pair = {.a = STRATA_ROOT_NODE, .b = STRATA_ROOT_NODE};
	cleanup_free struct cursor *stack = NULL;
	size_t depth = 0;

	for (;;) {
		struct cursor inside = {first_of(a, pair.a), first_of(b, pair.b)};

		pair.same_origin = has_same_origin(a, b, &pair);
		if ((!pair.same_origin || has_inode(a, pair.a) || has_inode(b, pair.b)) &&
		    strata_buf_append(pairs, &pair, sizeof(pair), err) < 0)
			return -1;
		if (inside.a != STRATA_NO_NODE || inside.b != STRATA_NO_NODE) {
			if (strata_grow(stack, depth, err) < 0)
				return -1;
			stack[depth++] = inside;
		}
		while (depth > 0 && stack[depth - 1].a == STRATA_NO_NODE &&
		       stack[depth - 1].b == STRATA_NO_NODE)
			depth--;
		if (depth == 0)
			return 0;
		pair = take(a, b, &stack[depth - 1]);
	}
}
