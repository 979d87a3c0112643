/*
 * strata.PushDigest: the digest of what is pushed.
 *
 *   ---@param algorithm? "sha256"|"sha512"  default sha256
 *   ---@return strata.PushDigest?
 *   function core.push_digest(algorithm) end
 */
#include "core/base/digest.h"
#include "lua/objects.h"

#define DIGEST_TYPE "strata.PushDigest"

static void release(void *digest)
{
	strata_digest_free(digest);
}

static int digest_new(lua_State *L)
{
	enum strata_digest_alg alg = strata_check_algorithm(L, luaL_optstring(L, 1, NULL));
	struct strata_handle *handle = strata_new_handle(L, DIGEST_TYPE, release);
	struct strata_err err;

	return strata_open_handle(L, handle, strata_digest_new(alg, &err), &err);
}

/* digest:update(bytes) -> true | nil, message, code */
static int digest_update(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct strata_digest *d = strata_check_handle(L, 1, DIGEST_TYPE);
	struct strata_err err;

	return strata_push_ok(L, strata_digest_update(d, bytes, len, &err), &err);
}

/* digest:final() -> "<algorithm>:<hex>" of all since the last one | nil, message, code */
static int digest_final(lua_State *L)
{
	struct strata_digest *d = strata_check_handle(L, 1, DIGEST_TYPE);
	char text[STRATA_DIGEST_MAX];
	struct strata_err err;

	if (strata_digest_final(d, text, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushstring(L, text);
	return 1;
}

void strata_lua_register_push_digest(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"update", digest_update}, {"final", digest_final}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"push_digest", digest_new}, {NULL, NULL}};

	strata_register_type(L, DIGEST_TYPE, methods, NULL, strata_close_handle);
	strata_set_functions(L, functions);
}
