#include "lua/binding.h"

#ifndef STRATA_VERSION
#define STRATA_VERSION "0.1.0"
#endif

/* luaopen is cheap and may run several times in one state. */
__attribute__((visibility("default"))) int luaopen_strata_core(lua_State *L);

int luaopen_strata_core(lua_State *L)
{
	lua_newtable(L);
	lua_pushliteral(L, STRATA_VERSION);
	lua_setfield(L, -2, "_VERSION");
	strata_lua_register_binding(L);
	strata_lua_register_object(L);
	strata_lua_register_json(L);
	strata_lua_register_digest(L);
	strata_lua_register_file(L);
	strata_lua_register_dir(L);
	strata_lua_register_stdio(L);
	strata_lua_register_globs(L);
	strata_lua_register_index(L);
	strata_lua_register_entry(L);
	strata_lua_register_checkpoint(L);
	strata_lua_register_tar(L);
	strata_lua_register_tree(L);
	strata_lua_register_assembly(L);
	strata_lua_register_host_tree(L);
	strata_lua_register_job(L);
	strata_lua_register_apply(L);
	strata_lua_register_host(L);
	strata_lua_register_push_tar(L);
	strata_lua_register_push_inflate(L);
	strata_lua_register_push_deflate(L);
	strata_lua_register_push_digest(L);
	return 1;
}
