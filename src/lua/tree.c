/* strata.Tree: the merged view of some indexes, by nodes. strata.rootfs makes it pleasant. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tree/tree.h"
#include "lua/entry_fields.h"

#define TREE_TYPE "strata.Tree"

struct layer {
	struct strata_lua_index *index; /* kept alive by the user value */
	uint32_t revision;
};

struct lua_tree {
	struct strata_tree tree;
	struct layer *layers;
	uint32_t count;
	const uint64_t *changes; /* see strata_index_changes */
	uint64_t checked_at;     /* what it was when all layers could be looked at */
	bool ready;
	bool closed;
};

/*
 * tree([max_steps [, view [, drops_marked]]]) -> Tree. view: "runtime" (default) or "spec". Its
 * user value is the list of its indexes.
 */
static int tree_new(lua_State *L)
{
	static const char *const views[] = {"runtime", "spec", NULL};
	lua_Integer max_steps = lua_isnoneornil(L, 1) ? 0 : strata_check_integer(L, 1);
	int view = luaL_checkoption(L, 2, "runtime", views);
	bool drops_marked = lua_toboolean(L, 3);
	struct lua_tree *o = strata_new_object(L, TREE_TYPE, sizeof(*o));
	struct strata_err err;

	luaL_argcheck(L, max_steps >= 0, 1, "must not be negative");
	lua_newtable(L);
	strata_setuservalue(L, -2);
	o->changes = strata_index_changes(L);
	if (strata_tree_init(&o->tree, &err) < 0)
		return strata_push_error(L, &err);
	if (max_steps > 0)
		o->tree.max_steps = (uint64_t)max_steps;
	o->tree.drops_marked = drops_marked;
	o->tree.view = view == 0 ? STRATA_VIEW_RUNTIME : STRATA_VIEW_SPEC;
	o->ready = true;
	return 1;
}

static int tree_close(lua_State *L)
{
	struct lua_tree *o = strata_check_object(L, 1, TREE_TYPE);

	o->closed = true;
	free(steal_pointer(&o->layers));
	strata_tree_free(&o->tree);
	return 0;
}

/* A tree whose layers can all be looked at. */
static struct lua_tree *check_tree_at(lua_State *L, int arg)
{
	struct lua_tree *o = strata_check_object(L, arg, TREE_TYPE);

	if (o->closed || !o->ready || o->tree.broken)
		luaL_error(L, "attempt to use a closed %s", TREE_TYPE);
	if (o->checked_at == *o->changes)
		return o;
	for (uint32_t i = 0; i < o->count; i++) {
		if (o->layers[i].index->closed)
			luaL_error(L, "attempt to use a %s of a closed layer", TREE_TYPE);
		if (o->layers[i].index->index.busy)
			luaL_error(L, "the layer is in use by a save that has not ended");
	}
	o->checked_at = *o->changes;
	return o;
}

static struct lua_tree *check_tree(lua_State *L)
{
	return check_tree_at(L, 1);
}

/* Queries see children in the order of their names; a tree is sorted when the first one comes. */
static struct lua_tree *check_sorted_at(lua_State *L, int arg)
{
	struct lua_tree *o = check_tree_at(L, arg);
	struct strata_err err;

	if (strata_tree_sort(&o->tree, &err) < 0)
		strata_throw(L, &err);
	return o;
}

static struct lua_tree *check_sorted(lua_State *L)
{
	return check_sorted_at(L, 1);
}

static uint32_t check_node(lua_State *L, int arg, const struct lua_tree *o)
{
	lua_Integer node = strata_check_integer(L, arg);

	luaL_argcheck(
	        L, node >= 0 && node < (lua_Integer)o->tree.node_count && !o->tree.nodes[node].free,
	        arg, "no such node");
	return (uint32_t)node;
}

static int push_node(lua_State *L, uint32_t node)
{
	if (node == STRATA_NO_NODE)
		lua_pushnil(L);
	else
		lua_pushinteger(L, (lua_Integer)node);
	return 1;
}

/* tree:apply(index) -> true | nil, message, code; what failed can only be closed */
static int tree_apply(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	struct strata_index *index = strata_check_scanned(L, 2);
	struct strata_err err;

	strata_getuservalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, (int)o->count + 1);
	if (strata_grow(o->layers, o->count, &err) < 0)
		return strata_push_error(L, &err);
	o->layers[o->count++] = (struct layer){lua_touserdata(L, 2), index->revision};
	return strata_push_ok(L, strata_tree_apply(&o->tree, index, &err), &err);
}

/* tree:current() -> false when a layer was closed or edited since it was put here */
static int tree_current(lua_State *L)
{
	struct lua_tree *o = strata_check_object(L, 1, TREE_TYPE);
	bool current = !o->closed && !o->tree.broken;

	for (uint32_t i = 0; current && i < o->count; i++)
		current = !o->layers[i].index->closed &&
		          o->layers[i].index->index.revision == o->layers[i].revision;
	lua_pushboolean(L, current);
	return 1;
}

/* tree:find(path [, follow = true]) -> node | nil, message, code */
static int tree_find(lua_State *L)
{
	size_t len;
	const char *path = luaL_checklstring(L, 2, &len);
	struct lua_tree *o = check_tree(L);
	bool follow = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
	struct strata_err err;
	uint32_t node;

	if (strata_tree_find(&o->tree, path, len, follow, &node, &err) < 0)
		return strata_push_answer_error(L, &err);
	return push_node(L, node);
}

/* tree:path(node) -> its path, "." for the root */
static int tree_path(lua_State *L)
{
	struct strata_buf *path = strata_begin_buffer(L, 2);
	struct lua_tree *o = check_tree(L);
	struct strata_err err;

	if (strata_tree_path(&o->tree, check_node(L, 2, o), path, &err) < 0)
		return strata_throw(L, &err);
	return strata_push_contents(L, path);
}

/* tree:name(node) -> the last component of its path, "" for the root */
static int tree_name(lua_State *L)
{
	struct strata_buf *name = strata_begin_buffer(L, 2);
	struct lua_tree *o = check_tree(L);
	const struct strata_node *node = &o->tree.nodes[check_node(L, 2, o)];
	struct strata_err err;

	if (node->name_len > 0 &&
	    strata_buf_append(name, strata_tree_name(&o->tree, node), node->name_len, &err) < 0)
		return strata_throw(L, &err);
	return strata_push_contents(L, name);
}

/*
 * tree:info(node) -> type, layer | nil, inode | nil, links
 * The layer is the one whose entry stands at the path, from 1; nil for the root
 * when no layer has one. The inode is a number that names of one file share.
 */
static int tree_info(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	uint32_t number = check_node(L, 2, o);
	const struct strata_node *node = &o->tree.nodes[number];
	const bool has_layer = number != STRATA_ROOT_NODE || node->entry != STRATA_NO_ENTRY;
	const lua_Integer layer = (lua_Integer)node->layer + 1;
	const uint32_t inode = node->inode;
	const lua_Integer links =
	        inode != STRATA_NO_NODE ? (lua_Integer)o->tree.inodes[inode].links : 1;

	lua_pushstring(L, strata_entry_type_name(strata_tree_type(&o->tree, number)));
	if (has_layer)
		lua_pushinteger(L, layer);
	else
		lua_pushnil(L);
	push_node(L, inode);
	lua_pushinteger(L, links);
	return 4;
}

static int push_entry(lua_State *L, uint32_t layer, uint32_t entry)
{
	if (entry == STRATA_NO_ENTRY)
		return 0;
	strata_getuservalue(L, 1);
	lua_rawgeti(L, -1, (int)layer + 1);
	strata_push_entry(L, lua_gettop(L), entry);
	return 1;
}

/* Moves the value on top to the end of an array, and takes what was pushed with it away. */
static void add_header(lua_State *L, int array, int *n)
{
	lua_rawseti(L, array, ++*n);
	lua_settop(L, array);
}

static int push_array(lua_State *L, int array)
{
	lua_settop(L, array);
	return 1;
}

/* tree:entry(node) -> the Entry that stands at the path | nil when it is implied */
static int tree_entry(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	const struct strata_node *node = &o->tree.nodes[check_node(L, 2, o)];

	return push_entry(L, node->layer, node->entry);
}

/*
 * tree:headers(node) -> an array of the Entries that give the node its attributes, the last
 * one last. A file with hardlinks has those of all its names in their order; an implied
 * directory has none.
 */
static int tree_headers(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	struct strata_inode source = strata_tree_source(&o->tree, check_node(L, 2, o));
	/* A root without an entry may have no layer. */
	const struct strata_index *index =
	        source.layer < o->tree.layer_count ? o->tree.layers[source.layer] : NULL;
	uint32_t end;
	int n = 0;

	lua_settop(L, 2);
	lua_newtable(L);
	if (push_entry(L, source.layer, source.entry) != 0)
		add_header(L, 3, &n);
	if (index == NULL ||
	    (source.header_layer == source.layer && source.header_entry == source.entry))
		return push_array(L, 3);
	end = source.header_layer == source.layer ? source.header_entry : index->count;
	for (uint32_t i = 0; i < end; i++) {
		if (i >= index->count)
			luaL_error(L, "the layer was closed while its entries were listed");
		if (i != source.entry && strata_index_file_of(index, i) == source.entry) {
			push_entry(L, source.layer, i);
			add_header(L, 3, &n);
		}
	}
	push_entry(L, source.header_layer, source.header_entry);
	add_header(L, 3, &n);
	return push_array(L, 3);
}

/* tree:header(node) -> the last of its headers, and its layer, from 1 | nil */
static int tree_header(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	struct strata_inode source = strata_tree_source(&o->tree, check_node(L, 2, o));

	if (push_entry(L, source.header_layer, source.header_entry) == 0)
		return 0;
	lua_pushinteger(L, (lua_Integer)source.header_layer + 1);
	return 2;
}

/* tree:source(node) -> the Entry that has its content, and its layer, from 1 | nil
 */
static int tree_source(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	struct strata_inode source = strata_tree_source(&o->tree, check_node(L, 2, o));

	if (push_entry(L, source.layer, source.entry) == 0)
		return 0;
	lua_pushinteger(L, (lua_Integer)source.layer + 1);
	return 2;
}

/* tree:parent(node), tree:first(node), tree:next(node) -> node | nil */
static int tree_parent(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	uint32_t node = check_node(L, 2, o);

	return push_node(L, node == STRATA_ROOT_NODE ? STRATA_NO_NODE : o->tree.nodes[node].parent);
}

static int tree_first(lua_State *L)
{
	struct lua_tree *o = check_sorted(L);

	return push_node(L, o->tree.nodes[check_node(L, 2, o)].first);
}

static int tree_next(lua_State *L)
{
	struct lua_tree *o = check_sorted(L);

	return push_node(L, o->tree.nodes[check_node(L, 2, o)].next);
}

/* tree:child(node, name) -> the node of that name in it | nil */
static int tree_child(lua_State *L)
{
	struct lua_tree *o = check_tree(L);
	uint32_t node = check_node(L, 2, o);
	size_t len;
	const char *name = luaL_checklstring(L, 3, &len);

	return push_node(L, strata_tree_child(&o->tree, node, name, len));
}

/* tree:count() -> paths, the root among them */
static int tree_count(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_tree(L)->tree.live);
	return 1;
}

/* Sets the three numbers of a pair. */
static void push_pair(lua_State *L, int array, int at, const struct strata_tree_pair *pair)
{
	const lua_Integer values[] = {pair->a != STRATA_NO_NODE ? (lua_Integer)pair->a : -1,
	                              pair->b != STRATA_NO_NODE ? (lua_Integer)pair->b : -1,
	                              pair->same_origin};

	for (int i = 0; i < 3; i++) {
		lua_pushinteger(L, values[i]);
		lua_rawseti(L, array, at + i + 1);
	}
}

/*
 * tree:compare(other) -> an array of three numbers for each path that may differ: its node, the
 * node of the other tree, -1 for none, and 1 when both come from the same entries, which is told
 * of names of files with several names alone
 */
static int tree_compare(lua_State *L)
{
	struct strata_buf *pairs = strata_begin_buffer(L, 2);
	struct lua_tree *a = check_sorted_at(L, 1);
	struct lua_tree *b = check_sorted_at(L, 2);
	struct strata_err err;
	size_t count;

	if (strata_tree_compare(&a->tree, &b->tree, pairs, &err) < 0)
		return strata_throw(L, &err);
	count = pairs->len / sizeof(struct strata_tree_pair);
	luaL_argcheck(L, count < INT_MAX / 3, 2, "too many differences");
	lua_createtable(L, (int)(3 * count), 0);
	for (size_t i = 0; i < count; i++) {
		struct strata_tree_pair pair;

		memcpy(&pair, pairs->data + i * sizeof(pair), sizeof(pair));
		push_pair(L, 4, (int)(3 * i), &pair);
	}
	strata_buf_free(pairs);
	return 1;
}

/* tree:match(globs) -> an array of the nodes whose paths Globs match; the root is none of them */
static int tree_match(lua_State *L)
{
	struct strata_buf *nodes = strata_begin_buffer(L, 2);
	struct lua_tree *o = check_sorted_at(L, 1);
	struct strata_lua_globs *globs = strata_check_globs(L, 2);
	struct strata_err err;
	size_t count;

	if (strata_tree_match(&o->tree, globs->globs, globs->used, nodes, &err) < 0)
		return strata_throw(L, &err);
	count = nodes->len / sizeof(uint32_t);
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		uint32_t node;

		memcpy(&node, nodes->data + i * sizeof(node), sizeof(node));
		lua_pushinteger(L, (lua_Integer)node);
		lua_rawseti(L, 4, (int)i + 1);
	}
	strata_buf_free(nodes);
	return 1;
}

void strata_lua_register_tree(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"apply", tree_apply},     {"current", tree_current}, {"find", tree_find},
	        {"path", tree_path},       {"name", tree_name},       {"info", tree_info},
	        {"entry", tree_entry},     {"source", tree_source},   {"headers", tree_headers},
	        {"header", tree_header},   {"parent", tree_parent},   {"first", tree_first},
	        {"next", tree_next},       {"child", tree_child},     {"count", tree_count},
	        {"compare", tree_compare}, {"match", tree_match},     {NULL, NULL}};
	static const luaL_Reg functions[] = {{"tree", tree_new}, {NULL, NULL}};

	strata_register_type(L, TREE_TYPE, methods, NULL, tree_close);
	strata_set_functions(L, functions);
}
