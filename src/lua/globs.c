/* strata.Globs: patterns of paths, and which of them have matched something. */
#include "core/layer/globs.h"

#include <stdlib.h>

#include "lua/objects.h"

struct strata_lua_globs *strata_check_globs(lua_State *L, int arg)
{
	struct strata_lua_globs *o = strata_check_object(L, arg, GLOBS_TYPE);

	if (o->globs == NULL)
		luaL_error(L, "attempt to use a closed %s", GLOBS_TYPE);
	return o;
}

/* globs(list) -> Globs. The patterns are numbered as in the list. */
static int globs_new(lua_State *L)
{
	struct strata_lua_globs *o;
	struct strata_err err;
	const char *pattern;
	size_t count, len;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	count = lua_rawlen(L, 1);
	o = strata_new_object(L, GLOBS_TYPE, sizeof(*o));
	o->globs = strata_globs_new(&err);
	o->used = calloc(count > 0 ? count : 1, sizeof(*o->used));
	if (o->globs == NULL || o->used == NULL) {
		strata_fail_nomem(&err);
		return strata_throw(L, &err);
	}
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, (int)i);
		if (lua_type(L, -1) != LUA_TSTRING)
			return luaL_argerror(L, 1, "an array of strings is wanted");
		pattern = lua_tolstring(L, -1, &len);
		if (strata_globs_add(o->globs, pattern, len, &err) < 0)
			return strata_throw(L, &err);
		lua_pop(L, 1);
		o->count = i;
	}
	strata_globs_sort(o->globs);
	return 1;
}

/*
 * globs:match(path [, is_aside]) -> whether one matches the path or a directory that it is in.
 * is_aside: it is no match that counts for globs:unused.
 */
static int globs_match(lua_State *L)
{
	struct strata_lua_globs *o = strata_check_globs(L, 1);
	size_t len;
	const char *path = luaL_checklstring(L, 2, &len);

	lua_pushboolean(
	        L, strata_globs_match(o->globs, path, len, lua_toboolean(L, 3) ? NULL : o->used));
	return 1;
}

/* globs:unused() -> the numbers of those that have matched nothing */
static int globs_unused(lua_State *L)
{
	struct strata_lua_globs *o = strata_check_globs(L, 1);
	int n = 0;

	lua_newtable(L);
	for (size_t i = 0; i < o->count; i++) {
		if (o->used[i])
			continue;
		lua_pushinteger(L, (lua_Integer)i + 1);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* glob_name(pattern, name) -> whether the name of a pattern matches a name */
static int glob_name(lua_State *L)
{
	size_t pattern_len, len;
	const char *pattern = luaL_checklstring(L, 1, &pattern_len);
	const char *name = luaL_checklstring(L, 2, &len);

	lua_pushboolean(L, strata_glob_name(pattern, pattern_len, name, len));
	return 1;
}

/* Only the finaliser. */
static int globs_free(lua_State *L)
{
	struct strata_lua_globs *o = strata_check_object(L, 1, GLOBS_TYPE);

	strata_globs_unref(o->globs);
	free(o->used);
	*o = (struct strata_lua_globs){0};
	return 0;
}

void strata_lua_register_globs(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"match", globs_match}, {"unused", globs_unused}, {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__gc", globs_free}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"globs", globs_new}, {"glob_name", glob_name}, {NULL, NULL}};

	strata_register_type(L, GLOBS_TYPE, methods, meta, NULL);
	strata_set_functions(L, functions);
}
