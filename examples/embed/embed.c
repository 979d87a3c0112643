/*
 * Runs a Lua script in a program of its own, with a limit for the memory that Lua
 * takes: embed MEGABYTES SCRIPT.lua [ARGUMENT ...]
 *
 * strata's module looks for Lua's functions in the program: with a static liblua it
 * wants -Wl,--export-dynamic.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

struct budget {
	size_t used;
	size_t limit;
};

/* Lua's allocator. A script that wants more gets the error "not enough memory". */
static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
	struct budget *budget = context;
	void *moved;

	if (block == NULL)
		old_size = 0; /* it is a kind of object then */
	if (new_size == 0) {
		free(block);
		budget->used -= old_size;
		return NULL;
	}
	if (new_size > old_size && new_size - old_size > budget->limit - budget->used)
		return NULL;
	moved = realloc(block, new_size);
	if (moved != NULL)
		budget->used += new_size - old_size;
	return moved;
}

/* In a protected call: also opening the libraries may want too much. */
static int run(lua_State *L)
{
	char **argv = lua_touserdata(L, 1);

	luaL_openlibs(L);
	if (luaL_loadfile(L, argv[2]) != LUA_OK)
		return lua_error(L);
	for (argv += 3; *argv != NULL; argv++)
		lua_pushstring(L, *argv);
	lua_call(L, lua_gettop(L) - 2, 0);
	return 0;
}

int main(int argc, char **argv)
{
	struct budget budget = {0};
	lua_State *L;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: %s MEGABYTES SCRIPT.lua [ARGUMENT ...]\n", argv[0]);
		return 2;
	}
	budget.limit = strtoul(argv[1], NULL, 10) << 20;
	L = lua_newstate(allocate, &budget);
	if (L == NULL) {
		fprintf(stderr, "%s: no memory\n", argv[0]);
		return 1;
	}
	lua_pushcfunction(L, run);
	lua_pushlightuserdata(L, argv);
	status = lua_pcall(L, 1, 0, 0);
	if (status != LUA_OK)
		fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
	lua_close(L);
	return status == LUA_OK ? 0 : 1;
}
