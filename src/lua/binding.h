/*
 * What the files of the binding share: creation and checking of userdata,
 * error values, registration. One file per object; each has one
 * `strata_lua_register_X(L)` that fills its metatable and adds its functions
 * to the module table on top of the stack.
 *
 * Finalisers. Whatever makes a Lua object (a string, a table, a userdata) may run the collector,
 * and so finalisers of the script, which may close or change any object. Up to Lua 5.2 and in
 * LuaJIT lua_pushlstring does so before it copies its bytes. So no pointer into an object is kept
 * across such a call, and no such pointer is given to lua_pushlstring. Bytes on their way to Lua go
 * into a strata_push_buffer, or an array on the stack of C, and objects are checked after the last
 * such call. lua_getfield, lua_rawget and lua_rawset are no such calls; luaL_checklstring is one,
 * which makes a string of a number: texts are taken before objects.
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

/* A class that is a pointer to an object of the core and nothing else. */
struct strata_handle {
	void *object; /* NULL when closed */
	void (*release)(void *object);
};

/* Pushes a closed one. */
struct strata_handle *strata_new_handle(lua_State *L, const char *type,
                                        void (*release)(void *object));

/* Opens it, and returns 1; for NULL: nil, message, code. */
int strata_open_handle(lua_State *L, struct strata_handle *handle, void *object,
                       const struct strata_err *err);

/* The object; throws when the handle is closed, or of another type. */
void *strata_check_handle(lua_State *L, int arg, const char *type);

/* close(), and the finaliser of handles; upvalue 1 is the type, see strata_register_type. */
int strata_close_handle(lua_State *L);

/*
 * Creates the metatable `type` once per state: methods go to __index (unless
 * meta brings one), __name, and close as "close", __gc and __close when it is not NULL; the
 * upvalue 1 of close is the type.
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

/* Pushes an empty buffer that the collector frees: for bytes on their way to Lua. */
struct strata_buf *strata_push_buffer(lua_State *L);

/* The same before the arguments of a function are looked at, of which there are n at most. */
struct strata_buf *strata_begin_buffer(lua_State *L, int n);

/* Pushes the bytes of such a buffer as a string, and frees them. Returns 1. */
int strata_push_contents(lua_State *L, struct strata_buf *b);

/* Pushes a text by way of such a buffer. Returns 1. */
int strata_push_copy(lua_State *L, struct strata_buf *b, const char *text);

/* Pushes "type(name)" by way of such a buffer, "type(closed)" when name is NULL. Returns 1. */
int strata_push_title(lua_State *L, struct strata_buf *b, const char *type, const char *name);

/* Throws unless the field of the table at `arg` is a string or absent; NULL when absent. */
const char *strata_opt_field(lua_State *L, int arg, const char *field, size_t *len);

/* The algorithm of that name, SHA-256 for NULL; throws for one that is not known. */
enum strata_digest_alg strata_check_algorithm(lua_State *L, const char *name);

void strata_lua_register_binding(lua_State *L);
void strata_lua_register_json(lua_State *L);
void strata_lua_register_object(lua_State *L);
void strata_lua_register_file(lua_State *L);
void strata_lua_register_dir(lua_State *L);
void strata_lua_register_stdio(lua_State *L);
void strata_lua_register_globs(lua_State *L);
void strata_lua_register_index(lua_State *L);
void strata_lua_register_entry(lua_State *L);
void strata_lua_register_checkpoint(lua_State *L);
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
