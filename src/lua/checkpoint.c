/* strata.Checkpoint: the edit plan of an index as it was, for edits that happen whole or not at
 * all. */
#include "core/layer/checkpoint.h"

#include "lua/objects.h"

#define CHECKPOINT_TYPE "strata.Checkpoint"

/*
 * checkpoint(index) -> Checkpoint | nil, message, code. The index has been scanned; it is in the
 * user value, which is a table in every Lua.
 */
static int checkpoint_new(lua_State *L)
{
	struct strata_checkpoint *c;
	struct strata_err err;

	strata_check_scanned(L, 1);
	c = strata_new_object(L, CHECKPOINT_TYPE, sizeof(*c));
	lua_newtable(L);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "index");
	strata_setuservalue(L, -2);
	if (strata_checkpoint_take(c, strata_check_scanned(L, 1), &err) < 0)
		return strata_push_error(L, &err);
	return 1;
}

/* checkpoint:restore() -> whether the index has gone back; false when it is closed by now */
static int checkpoint_restore(lua_State *L)
{
	struct strata_checkpoint *c = strata_check_object(L, 1, CHECKPOINT_TYPE);
	struct strata_lua_index *o;

	strata_getuservalue(L, 1);
	lua_getfield(L, -1, "index");
	o = strata_check_object(L, -1, ENTRY_INDEX_TYPE);
	lua_pushboolean(L, !o->closed && !o->index.busy && strata_checkpoint_restore(c, &o->index));
	return 1;
}

static int checkpoint_close(lua_State *L)
{
	strata_checkpoint_free(strata_check_object(L, 1, CHECKPOINT_TYPE));
	return 0;
}

void strata_lua_register_checkpoint(lua_State *L)
{
	static const luaL_Reg methods[] = {{"restore", checkpoint_restore}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"checkpoint", checkpoint_new}, {NULL, NULL}};

	strata_register_type(L, CHECKPOINT_TYPE, methods, NULL, checkpoint_close);
	strata_set_functions(L, functions);
}
