/* Digests of strings, and what the core is made of. */
#include <openssl/crypto.h>

#include "core/codec/codec.h"
#include "lua/binding.h"

enum strata_digest_alg strata_check_algorithm(lua_State *L, const char *name)
{
	enum strata_digest_alg alg = STRATA_SHA256;

	if (name != NULL && !strata_digest_named(name, &alg))
		luaL_error(L, "unknown digest algorithm '%s'", name);
	return alg;
}

static int push_digest(lua_State *L, enum strata_digest_alg alg)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);
	char digest[STRATA_DIGEST_MAX];
	struct strata_err err;

	if (strata_digest_bytes(alg, bytes, len, digest, &err) < 0)
		return luaL_error(L, "%s", err.msg);
	lua_pushstring(L, digest);
	return 1;
}

/* sha256(bytes) -> "sha256:<hex>"; throws when there is no memory: nothing else can go wrong */
static int digest_sha256(lua_State *L)
{
	return push_digest(L, STRATA_SHA256);
}

/* sha512(bytes) -> "sha512:<hex>", likewise */
static int digest_sha512(lua_State *L)
{
	return push_digest(L, STRATA_SHA512);
}

/* digest_valid(text) -> true, algorithm; false for algorithms that cannot be verified */
static int digest_valid(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	enum strata_digest_alg alg;
	bool valid = strata_digest_valid(text, len, &alg);

	lua_pushboolean(L, valid);
	if (!valid)
		return 1;
	lua_pushstring(L, strata_digest_name(alg));
	return 2;
}

/* libraries() -> {openssl = "...", gzip = "...", zstd = "..."} */
static int digest_libraries(lua_State *L)
{
	lua_newtable(L);
	lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
	lua_setfield(L, -2, "openssl");
	lua_pushstring(L, strata_codec_gzip_library());
	lua_setfield(L, -2, "gzip");
	lua_pushstring(L, strata_codec_zstd_library());
	lua_setfield(L, -2, "zstd");
	return 1;
}

void strata_lua_register_digest(lua_State *L)
{
	static const luaL_Reg functions[] = {{"sha256", digest_sha256},
	                                     {"sha512", digest_sha512},
	                                     {"digest_valid", digest_valid},
	                                     {"libraries", digest_libraries},
	                                     {NULL, NULL}};

	strata_set_functions(L, functions);
}
