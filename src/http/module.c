/*
 * strata.http: HTTP exchanges by libcurl, on a thread of their own. A module of its own, so that
 * nothing else links libcurl.
 */
#include "http/module.h"

#include <curl/curl.h>
#include <string.h>

/* ---- fields of options ---- */

void strata_http_check_fields(lua_State *L, int arg, const char *const *names)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
		const char *const *name = names;
		const char *field = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";

		while (*name != NULL && strcmp(*name, field) != 0)
			name++;
		if (*name == NULL)
			luaL_error(L, "unknown field '%s'", field);
	}
}

lua_Number strata_http_number_field(lua_State *L, int arg, const char *field, lua_Number otherwise,
                                    lua_Number max)
{
	lua_Number n = otherwise;

	lua_getfield(L, arg, field);
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "field '%s' should be a number", field);
		n = lua_tonumber(L, -1);
	}
	lua_pop(L, 1);
	if (!(n >= 0 && n <= max))
		luaL_error(L, "field '%s' is out of range", field);
	return n;
}

lua_Number strata_http_check_seconds(lua_State *L, int arg)
{
	lua_Number seconds = luaL_optnumber(L, arg, 0);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e6, arg, "out of range");
	return seconds;
}

/* ---- Client ---- */

void strata_http_check_process(lua_State *L, const struct strata_http_client *c)
{
	if (strata_http_client_foreign(c))
		luaL_error(L, "the %s belongs to the process that this one was forked from",
		           HTTP_CLIENT_TYPE);
}

struct strata_http_client *strata_http_check_client(lua_State *L, int arg)
{
	struct strata_http_client *c = strata_check_handle(L, arg, HTTP_CLIENT_TYPE);

	strata_http_check_process(L, c);
	return c;
}

static void release_client(void *object)
{
	strata_http_client_close(object);
	strata_http_client_unref(object);
}

/* client{connections_per_host =, user_agent =} -> Client | nil, message, code */
static int client_new(lua_State *L)
{
	static const char *const fields[] = {"connections_per_host", "user_agent", NULL};
	struct strata_handle *handle;
	unsigned connections = 4;
	const char *agent = NULL;
	struct strata_err err;
	size_t len;

	lua_settop(L, 1);
	handle = strata_new_handle(L, HTTP_CLIENT_TYPE, release_client);
	if (!lua_isnil(L, 1)) {
		strata_http_check_fields(L, 1, fields);
		connections = (unsigned)strata_http_number_field(L, 1, fields[0], 4, 1000);
		agent = strata_opt_field(L, 1, fields[1], &len);
	}
	return strata_open_handle(
	        L, handle,
	        strata_http_client_new(connections, agent != NULL ? agent : "strata", &err), &err);
}

/* client:wait(seconds) -> whether an exchange has ended since the last call */
static int client_wait(lua_State *L)
{
	lua_Number seconds = strata_http_check_seconds(L, 2);

	lua_pushboolean(L, strata_http_client_wait(strata_http_check_client(L, 1), seconds));
	return 1;
}

static int client_tostring(lua_State *L)
{
	struct strata_handle *handle = strata_check_object(L, 1, HTTP_CLIENT_TYPE);

	lua_pushfstring(L, "%s(%s)", HTTP_CLIENT_TYPE, handle->object != NULL ? "open" : "closed");
	return 1;
}

__attribute__((visibility("default"))) int luaopen_strata_http(lua_State *L);

int luaopen_strata_http(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"start", strata_http_start}, {"wait", client_wait}, {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", client_tostring}, {NULL, NULL}};

	strata_lua_register_binding(L);
	strata_register_type(L, HTTP_CLIENT_TYPE, methods, meta, strata_close_handle);
	lua_newtable(L);
	lua_pushcfunction(L, client_new);
	lua_setfield(L, -2, "client");
	strata_http_register_exchange(L);
	strata_http_register_pipe(L);
	lua_pushstring(L, curl_version());
	lua_setfield(L, -2, "_LIBCURL");
	return 1;
}
