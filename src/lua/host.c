/* What a script wants to know of its host: the time, and whether somebody looks. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lua/binding.h"

/* monotonic() -> seconds, of a clock that only goes forward */
static int host_monotonic(lua_State *L)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
	return 1;
}

/* is_terminal(descriptor) -> boolean */
static int host_is_terminal(lua_State *L)
{
	lua_pushboolean(L, isatty((int)strata_check_integer(L, 1)));
	return 1;
}

/* is_root() -> boolean: whether owners and devices are no matter of permission */
static int host_is_root(lua_State *L)
{
	lua_pushboolean(L, geteuid() == 0);
	return 1;
}

/* identity(path) -> a string that is another one once the file is | nil, message, code */
static int host_identity(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct strata_err err;
	struct stat st;
	char text[128];

	if (stat(path, &st) < 0) {
		strata_fail_errno(&err, errno, "%s", path);
		return strata_push_error(L, &err);
	}
	snprintf(text, sizeof(text), "%llx:%llx:%llx:%llx.%lx", (unsigned long long)st.st_dev,
	         (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
	         (unsigned long long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
	lua_pushstring(L, text);
	return 1;
}

void strata_lua_register_host(lua_State *L)
{
	static const luaL_Reg functions[] = {{"monotonic", host_monotonic},
	                                     {"is_terminal", host_is_terminal},
	                                     {"is_root", host_is_root},
	                                     {"identity", host_identity},
	                                     {NULL, NULL}};

	strata_set_functions(L, functions);
}
