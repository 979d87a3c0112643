/*
 * One source for Lua 5.1 to 5.4 and LuaJIT.
 *
 * The 5.1 build is also loaded by LuaJIT and nginx, so nothing may be used
 * that PUC 5.1 does not export: luaL_setfuncs, luaL_testudata and others are
 * therefore our own functions everywhere.
 */
#ifndef STRATA_COMPAT_H
#define STRATA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen((L), (i))
#endif

/* A userdata with one associated table: environment in 5.1, user value later. */
#if LUA_VERSION_NUM >= 504
#define strata_newuserdata(L, size) lua_newuserdatauv((L), (size), 1)
#define strata_setuservalue(L, i) ((void)lua_setiuservalue((L), (i), 1))
#define strata_getuservalue(L, i) ((void)lua_getiuservalue((L), (i), 1))
#elif LUA_VERSION_NUM >= 502
#define strata_newuserdata(L, size) lua_newuserdata((L), (size))
#define strata_setuservalue(L, i) lua_setuservalue((L), (i))
#define strata_getuservalue(L, i) lua_getuservalue((L), (i))
#else
#define strata_newuserdata(L, size) lua_newuserdata((L), (size))
#define strata_setuservalue(L, i) ((void)lua_setfenv((L), (i)))
#define strata_getuservalue(L, i) lua_getfenv((L), (i))
#endif

#endif
