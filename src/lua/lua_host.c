/* What a script wants to know of its host: the time, and whether somebody looks. */
#include <time.h>
#include <unistd.h>

#include "binding.h"

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

void strata_lua_register_host(lua_State *L)
{
	static const luaL_Reg functions[] = {{"monotonic", host_monotonic},
	                                     {"is_terminal", host_is_terminal},
	                                     {"is_root", host_is_root},
	                                     {NULL, NULL}};

	strata_set_functions(L, functions);
}
