#include <stdbool.h>
#include <string.h>

#include "lua/binding.h"

int strata_push_error(lua_State *L, const struct strata_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->msg);
	lua_pushstring(L, err->code);
	return 3;
}

int strata_push_ok(lua_State *L, int rc, const struct strata_err *err)
{
	if (rc < 0)
		return strata_push_error(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

int strata_throw(lua_State *L, const struct strata_err *err)
{
	if (strcmp(err->code, "ENOMEM") == 0)
		return luaL_error(L, "not enough memory"); /* as Lua says it */
	return luaL_error(L, "%s", err->msg);
}

int strata_push_answer_error(lua_State *L, const struct strata_err *err)
{
	if (strcmp(err->code, "ENOMEM") == 0)
		return strata_throw(L, err);
	return strata_push_error(L, err);
}

void *strata_new_object(lua_State *L, const char *type, size_t size)
{
	void *object = strata_newuserdata(L, size);

	memset(object, 0, size);
	lua_getfield(L, LUA_REGISTRYINDEX, type);
	lua_setmetatable(L, -2);
	return object;
}

void *strata_test_object(lua_State *L, int arg, const char *type)
{
	void *object = lua_touserdata(L, arg);
	bool same;

	if (object == NULL || !lua_getmetatable(L, arg))
		return NULL;
	lua_getfield(L, LUA_REGISTRYINDEX, type);
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same ? object : NULL;
}

void *strata_check_object(lua_State *L, int arg, const char *type)
{
	void *object = strata_test_object(L, arg, type);

	if (object == NULL) {
		const char *got = luaL_typename(L, arg);

		if (luaL_getmetafield(L, arg, "__name") && lua_type(L, -1) == LUA_TSTRING)
			got = lua_tostring(L, -1);
		luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", type, got));
	}
	return object;
}

struct strata_handle *strata_new_handle(lua_State *L, const char *type,
                                        void (*release)(void *object))
{
	struct strata_handle *handle = strata_new_object(L, type, sizeof(*handle));

	handle->release = release;
	return handle;
}

int strata_open_handle(lua_State *L, struct strata_handle *handle, void *object,
                       const struct strata_err *err)
{
	handle->object = object;
	return object != NULL ? 1 : strata_push_error(L, err);
}

void *strata_check_handle(lua_State *L, int arg, const char *type)
{
	struct strata_handle *handle = strata_check_object(L, arg, type);

	if (handle->object == NULL)
		luaL_error(L, "attempt to use a closed %s", type);
	return handle->object;
}

int strata_close_handle(lua_State *L)
{
	struct strata_handle *handle =
	        strata_check_object(L, 1, lua_tostring(L, lua_upvalueindex(1)));
	void *object = handle->object;

	handle->object = NULL;
	if (object != NULL)
		handle->release(object);
	return 0;
}

void strata_register_type(lua_State *L, const char *type, const luaL_Reg *methods,
                          const luaL_Reg *meta, lua_CFunction close)
{
	if (luaL_newmetatable(L, type)) { /* 0 when the module is required once more */
		lua_pushstring(L, type);
		lua_setfield(L, -2, "__name");
		lua_newtable(L);
		strata_set_functions(L, methods);
		if (close != NULL) {
			lua_pushstring(L, type);
			lua_pushcclosure(L, close, 1);
			lua_pushvalue(L, -1);
			lua_setfield(L, -4, "__gc");
			lua_pushvalue(L, -1);
			lua_setfield(L, -4, "__close");
			lua_setfield(L, -2, "close");
		}
		lua_setfield(L, -2, "__index");
		if (meta != NULL)
			strata_set_functions(L, meta);
	}
	lua_pop(L, 1);
}

void strata_set_functions(lua_State *L, const luaL_Reg *functions)
{
	for (; functions != NULL && functions->name != NULL; functions++) {
		lua_pushcfunction(L, functions->func);
		lua_setfield(L, -2, functions->name);
	}
}

lua_Integer strata_check_integer(lua_State *L, int arg)
{
	lua_Number n = luaL_checknumber(L, arg);

	/* 2^63 is exact as a double; the comparison also refuses NaN. */
	if (!(n >= -9223372036854775808.0 && n < 9223372036854775808.0) ||
	    n != (lua_Number)(lua_Integer)n)
		luaL_argerror(L, arg, "number has no integer representation");
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, arg))
		return lua_tointeger(L, arg);
#endif
	return (lua_Integer)n;
}

const char *strata_check_path(lua_State *L, int arg)
{
	size_t len;
	const char *path = luaL_checklstring(L, arg, &len);

	luaL_argcheck(L, strlen(path) == len, arg, "a path cannot hold a NUL byte");
	return path;
}

const char *strata_opt_path(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg) ? NULL : strata_check_path(L, arg);
}

void strata_push_int64(lua_State *L, int64_t value)
{
#if LUA_VERSION_NUM >= 503
	lua_pushinteger(L, value);
#else
	lua_pushnumber(L, (lua_Number)value);
#endif
}

#define BUFFER_TYPE "strata.Buffer"

static int buffer_gc(lua_State *L)
{
	strata_buf_free(lua_touserdata(L, 1));
	return 0;
}

struct strata_buf *strata_push_buffer(lua_State *L)
{
	return strata_new_object(L, BUFFER_TYPE, sizeof(struct strata_buf));
}

struct strata_buf *strata_begin_buffer(lua_State *L, int n)
{
	lua_settop(L, n);
	return strata_push_buffer(L);
}

int strata_push_contents(lua_State *L, struct strata_buf *b)
{
	lua_pushlstring(L, b->len > 0 ? b->data : "", b->len);
	strata_buf_free(b);
	return 1;
}

int strata_push_copy(lua_State *L, struct strata_buf *b, const char *text)
{
	struct strata_err err;

	if (strata_buf_append(b, text, strlen(text), &err) < 0)
		return strata_throw(L, &err);
	return strata_push_contents(L, b);
}

int strata_push_title(lua_State *L, struct strata_buf *b, const char *type, const char *name)
{
	struct strata_err err;

	if (name == NULL) {
		lua_pushfstring(L, "%s(closed)", type);
		return 1;
	}
	if (strata_buf_append(b, name, strlen(name) + 1, &err) < 0)
		return strata_throw(L, &err);
	lua_pushfstring(L, "%s(%s)", type, b->data);
	strata_buf_free(b);
	return 1;
}

void strata_lua_register_binding(lua_State *L)
{
	strata_register_type(L, BUFFER_TYPE, NULL, NULL, buffer_gc);
}

const char *strata_opt_field(lua_State *L, int arg, const char *field, size_t *len)
{
	const char *text = NULL;

	lua_getfield(L, arg, field);
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "field '%s' should be a string", field);
		text = lua_tolstring(L, -1, len); /* the table keeps it alive */
	}
	lua_pop(L, 1);
	return text;
}
