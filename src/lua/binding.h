/*
 * What the files of the binding share: creation and checking of userdata,
 * error values, registration. One file per object; each has one
 * `strata_lua_register_X(L)` that fills its metatable and adds its functions
 * to the module table on top of the stack.
 */
#ifndef STRATA_BINDING_H
#define STRATA_BINDING_H

#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "lua/compat.h"

/* Pushes nil, message, code of a core error; returns 3 for `return`. */
int strata_push_error(lua_State *L, const struct strata_err *err);

/*
 * The same for what looks something up: throws for want of memory, since nil
 * would be taken for the answer.
 */
int strata_push_answer_error(lua_State *L, const struct strata_err *err);

/* Pushes true, or nil, message, code when rc is negative. */
int strata_push_ok(lua_State *L, int rc, const struct strata_err *err);

/* Throws a core error where misuse and want of memory are all that can go wrong. */
int strata_throw(lua_State *L, const struct strata_err *err);

/*
 * New userdata of `size` zero bytes with the metatable `type`, pushed before
 * any resource exists: its finaliser must tolerate all zero.
 */
void *strata_new_object(lua_State *L, const char *type, size_t size);

/* Like luaL_testudata, which Lua 5.1 lacks. */
void *strata_test_object(lua_State *L, int arg, const char *type);

/* Like luaL_checkudata, and its message names our type on every Lua. */
void *strata_check_object(lua_State *L, int arg, const char *type);

/*
 * Creates the metatable `type` once per state: methods go to __index (unless
 * meta brings one), __name, __gc and __close = close when it is not NULL.
 */
void strata_register_type(lua_State *L, const char *type, const luaL_Reg *methods,
                          const luaL_Reg *meta, lua_CFunction close);

/* Sets the functions in the table on top of the stack. */
void strata_set_functions(lua_State *L, const luaL_Reg *functions);

/* An integer argument that may come as an integral float (cjson gives those). */
lua_Integer strata_check_integer(lua_State *L, int arg);

/* A path of the host; throws when it holds a NUL byte. */
const char *strata_check_path(lua_State *L, int arg);

/* The same, NULL when it is nil or absent. */
const char *strata_opt_path(lua_State *L, int arg);

/* Pushes a 64-bit quantity as an integer where Lua has one. */
void strata_push_int64(lua_State *L, int64_t value);

/*
 * Pushes a buffer that the collector frees: for bytes of a size that is not
 * known before, gathered by the core and then pushed as a string.
 */
struct strata_buf *strata_push_buffer(lua_State *L);

/* Throws unless the field of the table at `arg` is a string or absent; NULL when absent. */
const char *strata_opt_field(lua_State *L, int arg, const char *field, size_t *len);

/* The algorithm of that name, SHA-256 for NULL; throws for one that is not known. */
enum strata_digest_alg strata_check_algorithm(lua_State *L, const char *name);

void strata_lua_register_json(lua_State *L);
void strata_lua_register_object(lua_State *L);
void strata_lua_register_file(lua_State *L);
void strata_lua_register_dir(lua_State *L);
void strata_lua_register_stdio(lua_State *L);
void strata_lua_register_index(lua_State *L);
void strata_lua_register_entry(lua_State *L);
void strata_lua_register_tar(lua_State *L);
void strata_lua_register_tree(lua_State *L);
void strata_lua_register_assembly(lua_State *L);
void strata_lua_register_host_tree(lua_State *L);
void strata_lua_register_job(lua_State *L);
void strata_lua_register_apply(lua_State *L);
void strata_lua_register_host(lua_State *L);
void strata_lua_register_digest(lua_State *L);
void strata_lua_register_push_tar(lua_State *L);
void strata_lua_register_push_inflate(lua_State *L);
void strata_lua_register_push_deflate(lua_State *L);
void strata_lua_register_push_digest(lua_State *L);

#endif
