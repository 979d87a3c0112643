/*
 * Streams of Lua's io library, into files and out of them.
 *
 *   ---@param source "-"|file*  standard input, or an open file of io (io.popen's, too)
 *   ---@param temp_dir? string  default: $TMPDIR or /tmp
 *   ---@param max? integer  more bytes are ELIMIT; default 1 TiB
 *   ---@return strata.File?  everything that was left to read; unnamed, gone when it is closed
 *   ---@return string? message
 *   ---@return string? code
 *   function core.spool(source, temp_dir, max) end
 *
 *   ---@param target "-"|file*  standard output, or an open file of io
 *   ---@return boolean? ok
 *   ---@return string? message
 *   ---@return string? code  "EPIPE" when nobody reads any more
 *   function File:send(target) end
 */
#include <lualib.h>
#include <string.h>

#include "core/fs/stdio.h"
#include "lua/objects.h"

#define MAX_SPOOL 1099511627776.0

#if LUA_VERSION_NUM >= 502
static FILE *stream_of(const void *object)
{
	const luaL_Stream *stream = object;

	return stream->closef ? stream->f : NULL;
}
#else
/* What Lua 5.1 keeps; LuaJIT has more behind it. */
static FILE *stream_of(const void *object)
{
	return *(FILE *const *)object;
}
#endif

/* "-" or an open file of the io library; throws for anything else. */
static FILE *check_stream(lua_State *L, int arg, FILE *standard)
{
	const void *object = strata_test_object(L, arg, LUA_FILEHANDLE);
	FILE *stream;

	if (lua_type(L, arg) == LUA_TSTRING && strcmp(lua_tostring(L, arg), "-") == 0)
		return standard;
	if (object == NULL) {
		luaL_argerror(L, arg, "\"-\" or an open file expected");
		return NULL; /* not reached */
	}
	stream = stream_of(object);
	if (stream == NULL)
		luaL_argerror(L, arg, "the file is closed");
	return stream;
}

/* spool(source [, temp_dir [, max]]) -> File | nil, message, code */
static int spool(lua_State *L)
{
	const char *temp_dir = strata_opt_path(L, 2);
	lua_Number max = luaL_optnumber(L, 3, MAX_SPOOL);
	struct strata_file **f;
	FILE *from;
	struct strata_err err;

	lua_settop(L, 3);
	f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	from = check_stream(L, 1, stdin);
	luaL_argcheck(L, max >= 0 && max <= 9007199254740992.0, 3, "out of range");
	*f = strata_stdio_read(from, from == stdin ? "standard input" : "stream", temp_dir,
	                       (uint64_t)max, &err);
	return *f ? 1 : strata_push_error(L, &err);
}

int strata_lua_file_send(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	FILE *to = check_stream(L, 2, stdout);
	struct strata_err err;

	if (strata_stdio_write(f, to, to == stdout ? "standard output" : "stream", &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

void strata_lua_register_stdio(lua_State *L)
{
	static const luaL_Reg functions[] = {{"spool", spool}, {NULL, NULL}};

	strata_set_functions(L, functions);
}
