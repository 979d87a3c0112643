/* strata.Assembly: a new tar made of entries of several indexes, for a job to write. */
#include "core/layer/assembly.h"

#include <sys/stat.h>

#include "lua/objects.h"

static struct strata_assembly *check_assembly(lua_State *L)
{
	return strata_check_object(L, 1, ASSEMBLY_TYPE);
}

/* assemble() -> Assembly. Its user value is the list of its indexes. */
static int assembly_new(lua_State *L)
{
	strata_new_object(L, ASSEMBLY_TYPE, sizeof(struct strata_assembly));
	lua_newtable(L);
	strata_setuservalue(L, -2);
	return 1;
}

/* assembly:source(index) -> its number | nil, message, code. The index must not have been edited.
 */
static int assembly_source(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	struct strata_index *index = strata_check_scanned(L, 2);
	struct strata_err err;
	uint32_t source;

	luaL_argcheck(L, index->revision == 0, 2, "has been edited");
	strata_getuservalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, (int)c->source_count + 1);
	if (strata_assembly_add_source(c, index, &source, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushinteger(L, (lua_Integer)source + 1);
	return 1;
}

/* assembly:add(source, entry number [, name [, linkpath]]) -> true | nil, message, code */
static int assembly_add(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	lua_Integer source = strata_check_integer(L, 2);
	lua_Integer entry = strata_check_integer(L, 3);
	size_t name_len = 0, linkpath_len = 0;
	const char *name = luaL_optlstring(L, 4, NULL, &name_len);
	const char *linkpath = luaL_optlstring(L, 5, NULL, &linkpath_len);
	struct strata_err err;

	luaL_argcheck(L, source >= 1 && source <= (lua_Integer)c->source_count, 2, "out of range");
	lua_settop(L, 5);
	strata_getuservalue(L, 1);
	lua_rawgeti(L, -1, (int)source);
	strata_check_scanned(L, lua_gettop(L));
	luaL_argcheck(L, entry >= 1 && entry <= (lua_Integer)c->sources[source - 1]->count, 3,
	              "out of range");
	if (strata_assembly_add_entry(c, (uint32_t)source - 1, (uint32_t)entry - 1, name, name_len,
	                              linkpath, linkpath_len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/*
 * assembly:take_header(source, entry number): the entry that was added last gets the mode, owner,
 * time and xattrs of that one
 */
static int assembly_take_header(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	lua_Integer source = strata_check_integer(L, 2);
	lua_Integer entry = strata_check_integer(L, 3);

	luaL_argcheck(L, source >= 1 && source <= (lua_Integer)c->source_count, 2, "out of range");
	luaL_argcheck(L, entry >= 1 && entry <= (lua_Integer)c->sources[source - 1]->count, 3,
	              "out of range");
	if (c->count == 0 || c->items[c->count - 1].kind != STRATA_ASSEMBLY_ENTRY)
		return luaL_error(L, "no entry has been added");
	strata_assembly_take_header(c, (uint32_t)source - 1, (uint32_t)entry - 1);
	return 0;
}

/* assembly:bytes(blocks) -> true | nil, message, code */
static int assembly_bytes(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct strata_err err;

	luaL_argcheck(L, len % STRATA_TAR_BLOCK == 0 && len <= UINT32_MAX, 2, "no whole blocks");
	if (strata_assembly_add_bytes(c, bytes, len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* assembly:range(file, offset, length) -> true | nil, message, code */
static int assembly_range(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	struct strata_file *file = strata_check_file(L, 2);
	lua_Integer offset = strata_check_integer(L, 3);
	lua_Integer len = strata_check_integer(L, 4);
	struct strata_err err;

	luaL_argcheck(L, offset >= 0, 3, "must not be negative");
	luaL_argcheck(L, len >= 0, 4, "must not be negative");
	if (strata_assembly_add_range(c, file, (uint64_t)offset, (uint64_t)len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* assembly:host_file(host tree, number): the content of a file, padded -> true | nil, message, code
 */
static int assembly_host_file(lua_State *L)
{
	struct strata_assembly *c = check_assembly(L);
	struct strata_host_tree *tree = strata_check_host_tree(L, 2);
	uint32_t number = strata_check_host_tree_number(L, 3, tree);
	struct strata_err err;

	luaL_argcheck(L, S_ISREG(tree->entries[number].mode), 3, "is no regular file");
	if (strata_assembly_add_host_file(c, tree, number, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* assembly:open_ended(): no end blocks are written, for a range that is added last has them */
static int assembly_open_ended(lua_State *L)
{
	check_assembly(L)->open_ended = true;
	return 0;
}

/* assembly:count() -> entries so far */
static int assembly_count(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_assembly(L)->count);
	return 1;
}

static int assembly_gc(lua_State *L)
{
	strata_assembly_free(check_assembly(L));
	return 0;
}

void strata_lua_register_assembly(lua_State *L)
{
	static const luaL_Reg methods[] = {{"source", assembly_source},
	                                   {"add", assembly_add},
	                                   {"take_header", assembly_take_header},
	                                   {"bytes", assembly_bytes},
	                                   {"range", assembly_range},
	                                   {"host_file", assembly_host_file},
	                                   {"open_ended", assembly_open_ended},
	                                   {"count", assembly_count},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__gc", assembly_gc}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"assemble", assembly_new}, {NULL, NULL}};

	strata_register_type(L, ASSEMBLY_TYPE, methods, meta, NULL);
	strata_set_functions(L, functions);
}
