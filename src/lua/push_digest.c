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

static int digest_new(lua_State *L)
{
	enum strata_digest_alg alg = strata_check_algorithm(L, luaL_optstring(L, 1, NULL));
	struct strata_digest **d =
	        strata_new_object(L, DIGEST_TYPE, sizeof(struct strata_digest *));
	struct strata_err err;

	*d = strata_digest_new(alg, &err);
	return *d != NULL ? 1 : strata_push_error(L, &err);
}

static struct strata_digest *check_digest(lua_State *L)
{
	struct strata_digest **d = strata_check_object(L, 1, DIGEST_TYPE);

	if (*d == NULL)
		luaL_error(L, "attempt to use a closed %s", DIGEST_TYPE);
	return *d;
}

/* digest:update(bytes) -> true | nil, message, code */
static int digest_update(lua_State *L)
{
	struct strata_digest *d = check_digest(L);
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	struct strata_err err;

	if (strata_digest_update(d, bytes, len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* digest:final() -> "<algorithm>:<hex>" of all since the last one | nil, message, code */
static int digest_final(lua_State *L)
{
	struct strata_digest *d = check_digest(L);
	char text[STRATA_DIGEST_MAX];
	struct strata_err err;

	if (strata_digest_final(d, text, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushstring(L, text);
	return 1;
}

static int digest_close(lua_State *L)
{
	struct strata_digest **d = strata_check_object(L, 1, DIGEST_TYPE);

	strata_digest_free(*d);
	*d = NULL;
	return 0;
}

void strata_lua_register_push_digest(lua_State *L)
{
	static const luaL_Reg methods[] = {{"update", digest_update},
	                                   {"final", digest_final},
	                                   {"close", digest_close},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"push_digest", digest_new}, {NULL, NULL}};

	strata_register_type(L, DIGEST_TYPE, methods, NULL, digest_close);
	strata_set_functions(L, functions);
}
