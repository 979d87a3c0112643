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

static void release(void *encoder)
{
	strata_encoder_free(encoder);
}

static int deflate_new(lua_State *L)
{
	enum strata_compression c = strata_check_compression(L, luaL_checkstring(L, 1));
	lua_Integer level = lua_isnoneornil(L, 2) ? -1 : strata_check_integer(L, 2);
	struct strata_handle *handle;
	struct strata_err err;

	luaL_argcheck(L, level >= -1 && level <= 1000, 2, "out of range");
	handle = strata_new_handle(L, DEFLATE_TYPE, release);
	return strata_open_handle(L, handle, strata_encoder_new(c, (int)level, &err), &err);
}

/* Gathers in `out` what comes of the bytes. */
static int encode(struct strata_encoder *encoder, const char *bytes, size_t len, bool end,
                  struct strata_buf *out, struct strata_err *err)
{
	const unsigned char *in = (const unsigned char *)bytes;
	bool done = false;
	size_t n;

	do {
		if (strata_buf_reserve(out, STEP, err) < 0 ||
		    strata_encoder_step(encoder, &in, &len, end,
		                        (unsigned char *)out->data + out->len, STEP, &n, &done,
		                        err) < 0)
			return -1;
		out->len += n;
	} while (end ? !done : len > 0 || n == STEP);
	return 0;
}

/* deflate:write(bytes) -> what is ready, perhaps "" | nil, message, code */
static int deflate_write(lua_State *L)
{
	struct strata_buf *out = strata_begin_buffer(L, 2);
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct strata_encoder *encoder = strata_check_handle(L, 1, DEFLATE_TYPE);
	struct strata_err err;

	if (encode(encoder, bytes, len, false, out, &err) < 0)
		return strata_push_error(L, &err);
	return strata_push_contents(L, out);
}

/* deflate:finish() -> the rest | nil, message, code */
static int deflate_finish(lua_State *L)
{
	struct strata_buf *out = strata_begin_buffer(L, 1);
	struct strata_err err;

	if (encode(strata_check_handle(L, 1, DEFLATE_TYPE), NULL, 0, true, out, &err) < 0)
		return strata_push_error(L, &err);
	return strata_push_contents(L, out);
}

void strata_lua_register_push_deflate(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"write", deflate_write}, {"finish", deflate_finish}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"push_deflate", deflate_new}, {NULL, NULL}};

	strata_register_type(L, DEFLATE_TYPE, methods, NULL, strata_close_handle);
	strata_set_functions(L, functions);
}
