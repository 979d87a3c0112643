/*
 * strata.PushTar: a tar, pushed.
 *
 *   ---@param options? {data?: boolean, max_entries?: integer ...}  data false: payloads are
 *   ---  passed over; the limits are those of limits.h
 *   ---@return strata.PushTar?
 *   function core.push_tar(options) end
 *
 * All that was fed is to be taken, until next() has nothing, before more is fed.
 */
#include "core/tar/tar.h"
#include "lua/entry_fields.h"
#include "lua/limits.h"

#define PARSER_TYPE "strata.PushTar"

struct lua_parser {
	struct strata_tar_parser *parser; /* NULL when closed */
	struct strata_index entry;        /* of one entry at most: what fields are read from */
	const char *bytes;                /* the string that was fed; the user value holds it */
	size_t len;
	const char *in; /* what is left of it */
	size_t in_len;
	bool no_data;
};

static int parser_new(lua_State *L)
{
	struct strata_tar_limits limits = {0};
	struct lua_parser *o;
	struct strata_err err;
	bool no_data = false;

	if (!lua_isnoneornil(L, 1)) {
		luaL_checktype(L, 1, LUA_TTABLE);
		lua_settop(L, 1);
		limits = strata_tar_limit_fields(L, 1);
		lua_getfield(L, 1, "data");
		no_data = !lua_isnil(L, -1) && !lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	o = strata_new_object(L, PARSER_TYPE, sizeof(*o));
	lua_newtable(L);
	strata_setuservalue(L, -2);
	o->no_data = no_data;
	o->parser = strata_tar_parser_new(&limits, &err);
	return o->parser != NULL ? 1 : strata_push_error(L, &err);
}

static struct lua_parser *check_parser(lua_State *L)
{
	struct lua_parser *o = strata_check_object(L, 1, PARSER_TYPE);

	if (o->parser == NULL)
		luaL_error(L, "attempt to use a closed %s", PARSER_TYPE);
	return o;
}

/* parser:feed(bytes) */
static int parser_feed(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct lua_parser *o = check_parser(L);

	if (o->in_len > 0)
		return luaL_error(L, "what was fed before has not been taken");
	strata_getuservalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 1);
	o->bytes = o->in = bytes;
	o->len = o->in_len = len;
	return 0;
}

static int push_entry(lua_State *L, struct lua_parser *o)
{
	const struct strata_tar_header *h = strata_tar_entry(o->parser);
	const int64_t offset = (int64_t)h->header_offset;
	const bool global = h->typeflag == 'g';
	struct strata_err err;

	o->entry.count = 0;
	o->entry.arena.len = 0;
	if (strata_index_add(&o->entry, h, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushstring(L, global ? "global" : "entry");
	strata_push_entry_table(L, &o->entry);
	strata_push_int64(L, offset);
	return 3;
}

/* A slice of the payload. When it is all that was fed, the string that was fed is passed on. */
static int push_data(lua_State *L, const struct lua_parser *o, const char *data, size_t len)
{
	const int64_t offset = (int64_t)(strata_tar_offset(o->parser) - len);
	const bool whole = data == o->bytes && len == o->len;

	lua_settop(L, 1);
	strata_getuservalue(L, 1);
	lua_rawgeti(L, 2, 1); /* `data` is in it, and so stays while it is on the stack */
	lua_pushliteral(L, "data");
	if (whole)
		lua_pushvalue(L, 3);
	else
		lua_pushlstring(L, data, len);
	strata_push_int64(L, offset);
	return 3;
}

/*
 * parser:next() -> "entry"|"global", fields, offset | "data", bytes, offset |
 * "end", offset | nil when more has to be fed | nil, message, code
 */
static int parser_next(lua_State *L)
{
	struct lua_parser *o = check_parser(L);
	enum strata_tar_event event;
	const char *data = NULL;
	struct strata_err err;
	size_t len = 0;

	do {
		if (strata_tar_step(o->parser, &o->in, &o->in_len, &event, &data, &len, &err) < 0)
			return strata_push_error(L, &err);
	} while (event == STRATA_TAR_DATA && o->no_data);
	switch (event) {
	case STRATA_TAR_ENTRY:
		return push_entry(L, o);
	case STRATA_TAR_DATA:
		return push_data(L, o, data, len);
	case STRATA_TAR_END:
		lua_pushliteral(L, "end");
		strata_push_int64(L, (int64_t)strata_tar_offset(o->parser));
		return 2;
	case STRATA_TAR_MORE:
		break;
	}
	return 0;
}

/* parser:finish() -> where the end blocks begin, findings | nil, message, code */
static int parser_finish(lua_State *L)
{
	struct lua_parser *o = check_parser(L);
	uint32_t findings = 0;
	uint64_t end_offset = 0;
	struct strata_err err;

	if (strata_tar_finish(o->parser, &findings, &end_offset, &err) < 0)
		return strata_push_error(L, &err);
	strata_push_int64(L, (int64_t)end_offset);
	lua_pushinteger(L, (lua_Integer)findings);
	return 2;
}

static int parser_close(lua_State *L)
{
	struct lua_parser *o = strata_check_object(L, 1, PARSER_TYPE);

	strata_tar_parser_free(o->parser);
	strata_index_free(&o->entry);
	o->parser = NULL;
	o->in_len = 0;
	return 0;
}

void strata_lua_register_push_tar(lua_State *L)
{
	static const luaL_Reg methods[] = {{"feed", parser_feed},
	                                   {"next", parser_next},
	                                   {"finish", parser_finish},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"push_tar", parser_new}, {NULL, NULL}};

	strata_register_type(L, PARSER_TYPE, methods, NULL, parser_close);
	strata_set_functions(L, functions);
}
