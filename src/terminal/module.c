/*
 * strata.terminal: what the REPL does to the process, which is its own. Nothing else loads it, so
 * that the other modules leave the signals of their host alone.
 *
 * interrupt() -> what the process does at SIGINT; interrupt(before) has it do that again. The
 * handler of lua(1) makes an error of one SIGINT, and takes itself away: a program that goes on
 * afterwards puts it back.
 */
#include <signal.h>

#include <lauxlib.h>
#include <lua.h>

#define INTERRUPT_TYPE "strata.Interrupt"

static int interrupt(lua_State *L)
{
	struct sigaction *action;

	if (!lua_isnoneornil(L, 1)) {
		action = luaL_checkudata(L, 1, INTERRUPT_TYPE);
		sigaction(SIGINT, action, NULL);
		return 0;
	}
	action = lua_newuserdata(L, sizeof(*action));
	sigaction(SIGINT, NULL, action);
	luaL_getmetatable(L, INTERRUPT_TYPE);
	lua_setmetatable(L, -2);
	return 1;
}

__attribute__((visibility("default"))) int luaopen_strata_terminal(lua_State *L);

int luaopen_strata_terminal(lua_State *L)
{
	luaL_newmetatable(L, INTERRUPT_TYPE);
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushcfunction(L, interrupt);
	lua_setfield(L, -2, "interrupt");
	return 1;
}
