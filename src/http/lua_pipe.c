/* strata.http.Pipe: a blob on its way from one exchange to another. */
#include "http/module.h"

#include <string.h>

struct strata_pipe *strata_http_check_pipe(lua_State *L, int arg)
{
	return strata_check_handle(L, arg, HTTP_PIPE_TYPE);
}

static void release_pipe(void *object)
{
	strata_pipe_close(object);
	strata_pipe_unref(object);
}

/* pipe{total =, digest =, room =} -> Pipe | nil, message, code */
static int pipe_new(lua_State *L)
{
	static const char *const fields[] = {"total", "digest", "room", NULL};
	struct strata_handle *handle;
	struct strata_err err;
	lua_Number total, room;
	const char *digest;
	size_t len = 0;

	lua_settop(L, 1);
	strata_http_check_fields(L, 1, fields);
	handle = strata_new_handle(L, HTTP_PIPE_TYPE, release_pipe);
	total = strata_http_number_field(L, 1, fields[0], -1, 9007199254740992.0);
	room = strata_http_number_field(L, 1, fields[2], 1048576, 1073741824);
	digest = strata_opt_field(L, 1, fields[1], &len);
	if (digest == NULL || !strata_digest_valid(digest, len, NULL))
		return luaL_error(L, "field 'digest' should be a digest");
	if (room < (lua_Number)STRATA_PIPE_ROOM_MIN)
		return luaL_error(L, "field 'room' should be 131072 at least");
	return strata_open_handle(
	        L, handle, strata_pipe_new((uint64_t)total, digest, (size_t)room, &err), &err);
}

static int pipe_tostring(lua_State *L)
{
	struct strata_handle *handle = strata_check_object(L, 1, HTTP_PIPE_TYPE);

	lua_pushfstring(L, "%s(%s)", HTTP_PIPE_TYPE, handle->object != NULL ? "open" : "closed");
	return 1;
}

void strata_http_register_pipe(lua_State *L)
{
	static const luaL_Reg meta[] = {{"__tostring", pipe_tostring}, {NULL, NULL}};

	strata_register_type(L, HTTP_PIPE_TYPE, NULL, meta, strata_close_handle);
	lua_pushcfunction(L, pipe_new);
	lua_setfield(L, -2, "pipe");
}
