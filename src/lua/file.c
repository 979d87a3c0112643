/* strata.File: random access, temporary files, atomic outputs. */
#include <string.h>

#include "core/codec/codec.h"
#include "core/layer/stated_size.h"
#include "lua/objects.h"

struct strata_file *strata_check_file(lua_State *L, int arg)
{
	struct strata_file **f = strata_check_object(L, arg, FILE_TYPE);

	if (*f == NULL)
		luaL_error(L, "attempt to use a closed %s", FILE_TYPE);
	return *f;
}

/* An offset or length: a whole number that is not negative. */
static uint64_t check_offset(lua_State *L, int arg)
{
	lua_Integer n = strata_check_integer(L, arg);

	luaL_argcheck(L, n >= 0, arg, "must not be negative");
	return (uint64_t)n;
}

static int push_file(lua_State *L, struct strata_file **slot, struct strata_file *f,
                     const struct strata_err *err)
{
	if (f == NULL)
		return strata_push_error(L, err);
	*slot = f;
	return 1;
}

/* open_file(path) -> File | nil, message, code */
static int file_open(lua_State *L)
{
	const char *path = strata_check_path(L, 1);
	struct strata_file **f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	struct strata_err err;

	return push_file(L, f, strata_file_open(path, &err), &err);
}

/* temp_file([dir]) -> File | nil, message, code */
static int file_temp(lua_State *L)
{
	const char *dir = strata_opt_path(L, 1);
	struct strata_file **f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	struct strata_err err;

	return push_file(L, f, strata_file_temp(dir, NULL, &err), &err);
}

/* create_file(path) -> File | nil, message, code; appears with publish() */
static int file_create(lua_State *L)
{
	const char *path = strata_check_path(L, 1);
	struct strata_file **f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	struct strata_err err;

	return push_file(L, f, strata_file_create(path, &err), &err);
}

static int file_close(lua_State *L)
{
	struct strata_file **f = strata_check_object(L, 1, FILE_TYPE);
	struct strata_file *closing = *f;

	*f = NULL;
	strata_file_unref(closing);
	return 0;
}

/* file:share() -> another File of the same open file; each is closed by itself */
static int file_share(lua_State *L)
{
	struct strata_file **f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));

	*f = strata_file_ref(strata_check_file(L, 1));
	return 1;
}

/* file:same(other) -> whether both are the same open file */
static int file_same(lua_State *L)
{
	lua_pushboolean(L, strata_check_file(L, 1) == strata_check_file(L, 2));
	return 1;
}

/* file:private() -> whether nobody else can write to it */
static int file_private(lua_State *L)
{
	lua_pushboolean(L, strata_file_private(strata_check_file(L, 1)));
	return 1;
}

static int file_size(lua_State *L)
{
	strata_push_int64(L, (int64_t)strata_file_size(strata_check_file(L, 1)));
	return 1;
}

static int file_name(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);

	return strata_push_copy(L, copy, strata_file_name(strata_check_file(L, 1)));
}

/* file:read(offset, length) -> bytes | nil, message, code */
static int file_read(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 3);
	struct strata_file *f = strata_check_file(L, 1);
	uint64_t offset = check_offset(L, 2);
	uint64_t len = check_offset(L, 3);
	struct strata_err err;

	if (strata_buf_reserve(b, (size_t)len, &err) < 0 ||
	    strata_file_read(f, offset, b->data, (size_t)len, &err) < 0)
		return strata_push_error(L, &err);
	b->len = (size_t)len;
	return strata_push_contents(L, b);
}

/* file:sniff(offset, size) -> "none", "gzip", ... | nil, message, code */
static int file_sniff(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	uint64_t offset = check_offset(L, 2);
	uint64_t size = check_offset(L, 3);
	char bytes[STRATA_SNIFF_BYTES];
	size_t len = size < sizeof(bytes) ? (size_t)size : sizeof(bytes);
	struct strata_err err;

	if (strata_file_read(f, offset, bytes, len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushstring(L, strata_compression_name(strata_sniff(bytes, len)));
	return 1;
}

/* file:stated_size(offset, size, compression) -> what a compressed blob says its tar has: a claim |
 * nil when it says nothing likely | nil, message, code */
static int file_stated_size(lua_State *L)
{
	struct strata_blob blob = {
	        .offset = check_offset(L, 2),
	        .size = check_offset(L, 3),
	        .compression = strata_check_compression(L, luaL_checkstring(L, 4)),
	};
	struct strata_err err;
	uint64_t size;
	int status;

	blob.file = strata_check_file(L, 1);
	status = strata_stated_size(&blob, &size, &err);
	if (status < 0)
		return strata_push_error(L, &err);
	if (status == 0)
		return 0;
	strata_push_int64(L, (int64_t)size);
	return 1;
}

/* file:write(offset, bytes) -> true | nil, message, code */
static int file_write(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 3, &len);
	struct strata_file *f = strata_check_file(L, 1);
	uint64_t offset = check_offset(L, 2);
	struct strata_err err;

	if (strata_file_write(f, offset, bytes, len, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* file:grow(size) -> true | nil, message, code; of a temporary file, after its descriptor was
 * written to by somebody else */
static int file_grow(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	uint64_t size = check_offset(L, 2);
	struct strata_err err;

	return strata_push_ok(L, strata_file_grow(f, size, &err), &err);
}

/* file:unchanged() -> true | nil, message, "ESTALE" */
static int file_unchanged(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	struct strata_err err;

	if (strata_file_unchanged(f, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* file:take(temp) -> whether it could | nil, message, code */
static int file_take(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	struct strata_err err;
	int taken = strata_file_take(f, strata_check_file(L, 2), &err);

	if (taken < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, taken);
	return 1;
}

/* file:publish() -> true | nil, message, code */
static int file_publish(lua_State *L)
{
	struct strata_file *f = strata_check_file(L, 1);
	struct strata_err err;

	if (strata_file_publish(f, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* file:give_up(): an output is not going to be published; what has a part in it can still read */
static int file_give_up(lua_State *L)
{
	strata_file_give_up(strata_check_file(L, 1));
	return 0;
}

/* file:fileno() -> integer; the descriptor and its position stay the file's, which is not to be
 * closed */
static int file_fileno(lua_State *L)
{
	lua_pushinteger(L, strata_file_fd(strata_check_file(L, 1)));
	return 1;
}

static int file_tostring(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);
	struct strata_file **f = strata_check_object(L, 1, FILE_TYPE);

	return strata_push_title(L, copy, FILE_TYPE, *f != NULL ? strata_file_name(*f) : NULL);
}

void strata_lua_register_file(lua_State *L)
{
	static const luaL_Reg methods[] = {{"size", file_size},
	                                   {"name", file_name},
	                                   {"read", file_read},
	                                   {"sniff", file_sniff},
	                                   {"write", file_write},
	                                   {"grow", file_grow},
	                                   {"close", file_close},
	                                   {"unchanged", file_unchanged},
	                                   {"take", file_take},
	                                   {"publish", file_publish},
	                                   {"give_up", file_give_up},
	                                   {"fileno", file_fileno},
	                                   {"send", strata_lua_file_send},
	                                   {"share", file_share},
	                                   {"same", file_same},
	                                   {"private", file_private},
	                                   {"stated_size", file_stated_size},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", file_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"open_file", file_open},
	                                     {"temp_file", file_temp},
	                                     {"create_file", file_create},
	                                     {NULL, NULL}};

	strata_register_type(L, FILE_TYPE, methods, meta, file_close);
	strata_set_functions(L, functions);
}
