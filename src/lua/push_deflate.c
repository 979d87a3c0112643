/*
 * strata.PushDeflate: gzip and zstd, pushed, the other way.
 *
 *   ---@param compression "gzip"|"zstd"
 *   ---@param level? integer
 *   ---@return strata.PushDeflate?
 *   function core.push_deflate(compression, level) end
 */
#include <stdbool.h>

#include "core/codec/codec.h"
#include "lua/objects.h"

#define DEFLATE_TYPE "strata.PushDeflate"
#define STEP ((size_t)64 << 10)

struct lua_deflate {
	struct strata_encoder *encoder; /* NULL when closed */
	struct strata_buf out;
};

static int deflate_new(lua_State *L)
{
	enum strata_compression c = strata_check_compression(L, luaL_checkstring(L, 1));
	lua_Integer level = lua_isnoneornil(L, 2) ? -1 : strata_check_integer(L, 2);
	struct lua_deflate *o;
	struct strata_err err;

	luaL_argcheck(L, level >= -1 && level <= 1000, 2, "out of range");
	o = strata_new_object(L, DEFLATE_TYPE, sizeof(*o));
	o->encoder = strata_encoder_new(c, (int)level, &err);
	return o->encoder != NULL ? 1 : strata_push_error(L, &err);
}

static struct lua_deflate *check_deflate(lua_State *L)
{
	struct lua_deflate *o = strata_check_object(L, 1, DEFLATE_TYPE);

	if (o->encoder == NULL)
		luaL_error(L, "attempt to use a closed %s", DEFLATE_TYPE);
	return o;
}

/* Gathers in o->out what comes of the bytes. */
static int encode(struct lua_deflate *o, const unsigned char *in, size_t in_len, bool end,
                  struct strata_err *err)
{
	bool done = false;
	size_t n;

	o->out.len = 0;
	do {
		if (strata_buf_reserve(&o->out, STEP, err) < 0 ||
		    strata_encoder_step(o->encoder, &in, &in_len, end,
		                        (unsigned char *)o->out.data + o->out.len, STEP, &n, &done,
		                        err) < 0)
			return -1;
		o->out.len += n;
	} while (end ? !done : in_len > 0 || n == STEP);
	return 0;
}

static int push_encoded(lua_State *L, const char *bytes, size_t len, bool end)
{
	struct lua_deflate *o = check_deflate(L);
	struct strata_err err;

	if (encode(o, (const unsigned char *)bytes, len, end, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushlstring(L, o->out.len > 0 ? o->out.data : "", o->out.len);
	return 1;
}

/* deflate:write(bytes) -> what is ready, perhaps "" | nil, message, code */
static int deflate_write(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);

	return push_encoded(L, bytes, len, false);
}

/* deflate:finish() -> the rest | nil, message, code */
static int deflate_finish(lua_State *L)
{
	return push_encoded(L, NULL, 0, true);
}

static int deflate_close(lua_State *L)
{
	struct lua_deflate *o = strata_check_object(L, 1, DEFLATE_TYPE);

	strata_encoder_free(o->encoder);
	strata_buf_free(&o->out);
	o->encoder = NULL;
	return 0;
}

void strata_lua_register_push_deflate(lua_State *L)
{
	static const luaL_Reg methods[] = {{"write", deflate_write},
	                                   {"finish", deflate_finish},
	                                   {"close", deflate_close},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"push_deflate", deflate_new}, {NULL, NULL}};

	strata_register_type(L, DEFLATE_TYPE, methods, NULL, deflate_close);
	strata_set_functions(L, functions);
}
