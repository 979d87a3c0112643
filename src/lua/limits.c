#include "lua/limits.h"

uint64_t strata_limit_field(lua_State *L, int arg, const char *field)
{
	int64_t n = 0;

	lua_getfield(L, arg, field);
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "field '%s' should be a number", field);
		n = strata_check_integer(L, lua_gettop(L));
	}
	lua_pop(L, 1);
	if (n < 0)
		luaL_error(L, "field '%s' must not be negative", field);
	return (uint64_t)n;
}

struct strata_tar_limits strata_tar_limit_fields(lua_State *L, int arg)
{
	struct strata_tar_limits limits = {
	        .max_extension = (size_t)strata_limit_field(L, arg, "max_extension"),
	        .max_path = (size_t)strata_limit_field(L, arg, "max_path"),
	        .max_entries = strata_limit_field(L, arg, "max_entries"),
	        .max_records = (size_t)strata_limit_field(L, arg, "max_records"),
	        .max_sparse = (size_t)strata_limit_field(L, arg, "max_sparse"),
	        .max_file = strata_limit_field(L, arg, "max_file"),
	};

	return limits;
}

struct strata_inflate_limits strata_inflate_limit_fields(lua_State *L, int arg)
{
	struct strata_inflate_limits limits = {
	        .bytes = strata_limit_field(L, arg, "max_bytes"),
	        .ratio = strata_limit_field(L, arg, "max_ratio"),
	        .zstd_window = strata_limit_field(L, arg, "max_zstd_window"),
	        .members = strata_limit_field(L, arg, "max_members"),
	        .empty_blocks = strata_limit_field(L, arg, "max_empty_blocks"),
	};

	return limits;
}
