/*
 * Objects whose behaviour is written in Lua: a userdata that carries one
 * state table. Userdata, because __gc works on it in every Lua, and because a
 * wrong argument can be told from a right one. lua/strata/util/object.lua is the
 * only caller.
 */
#include "lua/binding.h"

/* new(state) -> object; upvalue 1 is the metatable. */
static int object_new(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	strata_newuserdata(L, 1);
	lua_pushvalue(L, 1);
	strata_setuservalue(L, -2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_setmetatable(L, -2);
	return 1;
}

/* state(object [, argument number]) -> its table; throws for anything else. */
static int object_state(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
		int same = lua_rawequal(L, -1, lua_upvalueindex(1));

		lua_pop(L, 1);
		if (same) {
			strata_getuservalue(L, 1);
			return 1;
		}
	}
	lua_getfield(L, lua_upvalueindex(1), "__name");
	return luaL_error(L, "%s expected, got %s (a method is called with ':')",
	                  lua_tostring(L, -1), luaL_typename(L, 1));
}

/* is(value) -> boolean */
static int object_is(lua_State *L)
{
	lua_pushboolean(L, lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1) &&
	                           lua_rawequal(L, -1, lua_upvalueindex(1)));
	return 1;
}

/* object_type(metatable) -> new, state, is. The metatable needs a __name. */
static int object_type(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, object_new, 1);
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, object_state, 1);
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, object_is, 1);
	return 3;
}

void strata_lua_register_object(lua_State *L)
{
	static const luaL_Reg functions[] = {{"object_type", object_type}, {NULL, NULL}};

	strata_set_functions(L, functions);
}
