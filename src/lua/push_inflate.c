/*
 * strata.PushInflate: gzip and zstd, pushed.
 *
 *   ---@param compression "gzip"|"zstd"
 *   ---@param limits? {max_bytes?: integer, max_ratio?: integer, max_zstd_window?: integer,
 *   ---                max_members?: integer, max_empty_blocks?: integer}
 *   ---@return strata.PushInflate?
 *   function core.push_inflate(compression, limits) end
 *
 * All that was fed is to be read before more is fed.
 */
#include "core/codec/codec.h"
#include "lua/limits.h"
#include "lua/objects.h"

#define INFLATE_TYPE "strata.PushInflate"

struct lua_inflate {
	struct strata_decoder *decoder; /* NULL when closed */
	const unsigned char *in;        /* in the string that the user value holds */
	size_t in_len;
};

static int inflate_new(lua_State *L)
{
	enum strata_compression c = strata_check_compression(L, luaL_checkstring(L, 1));
	struct strata_inflate_limits limits = {0};
	struct lua_inflate *o;
	struct strata_err err;

	if (!lua_isnoneornil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		limits = strata_inflate_limit_fields(L, 2);
	}
	o = strata_new_object(L, INFLATE_TYPE, sizeof(*o));
	lua_newtable(L);
	strata_setuservalue(L, -2);
	o->decoder = strata_decoder_new(c, &limits, &err);
	return o->decoder != NULL ? 1 : strata_push_error(L, &err);
}

static struct lua_inflate *check_inflate(lua_State *L)
{
	struct lua_inflate *o = strata_check_object(L, 1, INFLATE_TYPE);

	if (o->decoder == NULL)
		luaL_error(L, "attempt to use a closed %s", INFLATE_TYPE);
	return o;
}

/* inflate:feed(bytes) */
static int inflate_feed(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct lua_inflate *o = check_inflate(L);

	if (o->in_len > 0)
		return luaL_error(L, "what was fed before has not been read");
	strata_getuservalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 1);
	o->in = (const unsigned char *)bytes;
	o->in_len = len;
	return 0;
}

/* inflate:read([max]) -> bytes, "" when more has to be fed | nil, message, code */
static int inflate_read(lua_State *L)
{
	struct strata_buf *out = strata_begin_buffer(L, 2);
	struct lua_inflate *o = check_inflate(L);
	lua_Integer max = lua_isnil(L, 2) ? 65536 : strata_check_integer(L, 2);
	struct strata_err err;

	luaL_argcheck(L, max > 0 && max <= 1 << 26, 2, "out of range");
	if (strata_buf_reserve(out, (size_t)max, &err) < 0 ||
	    strata_decoder_step(o->decoder, &o->in, &o->in_len, (unsigned char *)out->data,
	                        (size_t)max, &out->len, &err) < 0)
		return strata_push_error(L, &err);
	return strata_push_contents(L, out);
}

/* inflate:finish() -> true | nil, message, code */
static int inflate_finish(lua_State *L)
{
	struct lua_inflate *o = check_inflate(L);
	struct strata_err err;

	if (strata_decoder_finish(o->decoder, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int inflate_close(lua_State *L)
{
	struct lua_inflate *o = strata_check_object(L, 1, INFLATE_TYPE);

	strata_decoder_free(o->decoder);
	o->decoder = NULL;
	o->in_len = 0;
	return 0;
}

/* sniff(bytes) -> "none", "gzip", ... of the first bytes of something */
static int module_sniff(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);

	if (len > STRATA_SNIFF_BYTES)
		len = STRATA_SNIFF_BYTES;
	lua_pushstring(L, strata_compression_name(strata_sniff(bytes, len)));
	return 1;
}

void strata_lua_register_push_inflate(lua_State *L)
{
	static const luaL_Reg methods[] = {{"feed", inflate_feed},
	                                   {"read", inflate_read},
	                                   {"finish", inflate_finish},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"push_inflate", inflate_new}, {"sniff", module_sniff}, {NULL, NULL}};

	strata_register_type(L, INFLATE_TYPE, methods, NULL, inflate_close);
	strata_set_functions(L, functions);
}
