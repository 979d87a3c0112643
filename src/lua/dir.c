/*
 * strata.Dir: a directory that is read and written by the names inside.
 *
 *   ---@class strata.Dir
 *   -- Names are relative and never lead out of the directory, also not by symbolic links: that is
 *   -- code "EXDEV", or "ELOOP" for loops and magic links. Links that stay inside are followed.
 *
 *   ---@param path string
 *   ---@return strata.Dir? dir  for reading
 *   ---@return string? message
 *   ---@return string? code
 *   function core.open_dir(path) end
 *
 *   -- For writing, too. A directory that is missing is made with the first file that is published
 * in
 *   -- it; its parent must be there and writable.
 *   ---@param path string
 *   ---@return strata.Dir?
 *   ---@return string? message
 *   ---@return string? code
 *   function core.create_dir(path) end
 *
 *   ---@return strata.File?  a regular file, for reading
 *   function Dir:open(name) end
 *
 *   -- An output that is to become the file `name`, with the mode and owner of one that is there.
 *   ---@return strata.File?
 *   function Dir:create(name) end
 *
 *   -- An output of this directory becomes the file `name`, whole or not at all. Directories on the
 * way
 *   -- are made. What was made or published stays, whatever fails later.
 *   ---@return boolean? ok
 *   function Dir:publish(file, name) end
 *
 *   ---@return {type: string, size: integer}?  types as an Entry has them; never "symlink"
 *   function Dir:stat(name) end
 *
 *   ---@return boolean?  nil, message, code when it cannot be told
 *   function Dir:exists(name) end
 *
 *   ---@param name? string  default: the directory itself
 *   ---@return string[]?  sorted bytewise
 *   function Dir:list(name) end
 *
 *   -- Keeps every other Dir of the same directory from being locked until unlock() or close().
 * Code
 *   -- "EBUSY" after a minute.
 *   ---@return boolean? ok
 *   function Dir:lock() end
 *   function Dir:unlock() end
 *
 *   ---@param other strata.Dir
 *   ---@return boolean  both are one directory, whatever paths led to it
 *   function Dir:same(other) end
 *
 *   ---@return string  the path that it was opened by
 *   function Dir:name() end
 *
 *   function Dir:close() end
 */
#include <string.h>

#include "core/fs/dir.h"
#include "lua/objects.h"

#define DIR_TYPE "strata.Dir"

static struct strata_dir *check_dir(lua_State *L, int arg)
{
	struct strata_dir **dir = strata_check_object(L, arg, DIR_TYPE);

	if (*dir == NULL)
		luaL_error(L, "attempt to use a closed %s", DIR_TYPE);
	return *dir;
}

/*
 * The directory, and a name inside. Names come out of documents, so one with a NUL is bad input:
 * NULL, with *err filled.
 */
static const char *check_name(lua_State *L, int arg, struct strata_dir **dir,
                              struct strata_err *err)
{
	size_t len;
	const char *name = luaL_checklstring(L, arg, &len);
	char quoted[256];

	*dir = check_dir(L, 1);
	if (strlen(name) == len)
		return name;
	strata_fail(err, "EINVAL", "%s: a NUL byte in the name %s", strata_dir_name(*dir),
	            strata_quote(quoted, sizeof(quoted), name, len));
	return NULL;
}

static int push_result(lua_State *L, int rc, const struct strata_err *err)
{
	if (rc < 0)
		return strata_push_error(L, err);
	lua_pushboolean(L, rc);
	return 1;
}

static int open_with(lua_State *L, struct strata_dir *(*open)(const char *, struct strata_err *))
{
	const char *path = strata_check_path(L, 1);
	struct strata_dir **dir = strata_new_object(L, DIR_TYPE, sizeof(struct strata_dir *));
	struct strata_err err;

	*dir = open(path, &err);
	return *dir ? 1 : strata_push_error(L, &err);
}

static int dir_open_dir(lua_State *L)
{
	return open_with(L, strata_dir_open);
}

static int dir_create_dir(lua_State *L)
{
	return open_with(L, strata_dir_make);
}

static int dir_close(lua_State *L)
{
	struct strata_dir **dir = strata_check_object(L, 1, DIR_TYPE);
	struct strata_dir *closing = *dir;

	*dir = NULL;
	strata_dir_free(closing);
	return 0;
}

/* Pushes a File of a name in the directory. */
static int file_in(lua_State *L, struct strata_file *(*open)(const struct strata_dir *,
                                                             const char *, struct strata_err *))
{
	struct strata_file **f;
	struct strata_dir *dir;
	struct strata_err err;
	const char *name;

	lua_settop(L, 2);
	f = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	name = check_name(L, 2, &dir, &err);
	if (name != NULL)
		*f = open(dir, name, &err);
	return *f ? 1 : strata_push_error(L, &err);
}

static int dir_open(lua_State *L)
{
	return file_in(L, strata_dir_file);
}

static int dir_create(lua_State *L)
{
	return file_in(L, strata_dir_create);
}

/* As entries name them; a socket, which no tar holds, is "other". */
static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	default:
		return "other";
	}
}

static int dir_stat(lua_State *L)
{
	struct strata_dir *dir;
	struct strata_err err;
	const char *name = check_name(L, 2, &dir, &err);
	struct stat st;

	if (name == NULL || strata_dir_stat(dir, name, &st, &err) < 0)
		return strata_push_error(L, &err);
	lua_newtable(L);
	lua_pushstring(L, type_name(st.st_mode));
	lua_setfield(L, -2, "type");
	strata_push_int64(L, st.st_size);
	lua_setfield(L, -2, "size");
	return 1;
}

static int dir_exists(lua_State *L)
{
	struct strata_dir *dir;
	struct strata_err err;
	const char *name = check_name(L, 2, &dir, &err);

	return push_result(L, name ? strata_dir_exists(dir, name, &err) : -1, &err);
}

static int dir_list(lua_State *L)
{
	struct strata_buf *names = strata_begin_buffer(L, 2);
	struct strata_dir *dir;
	struct strata_err err;
	const char *name = ".";
	int n = 0;

	if (lua_isnil(L, 2))
		dir = check_dir(L, 1);
	else
		name = check_name(L, 2, &dir, &err);
	if (name == NULL || strata_dir_list(dir, name, names, &err) < 0)
		return strata_push_error(L, &err);
	lua_newtable(L);
	for (size_t at = 0, len; at < names->len; at += len + 1) {
		len = strlen(names->data + at);
		lua_pushlstring(L, names->data + at, len);
		lua_rawseti(L, -2, ++n);
	}
	strata_buf_free(names);
	return 1;
}

/* dir:publish(file, name) -> true | nil, message, code */
static int dir_publish(lua_State *L)
{
	struct strata_dir *dir;
	struct strata_err err;
	const char *name = check_name(L, 3, &dir, &err);
	struct strata_file *f = strata_check_file(L, 2);

	return push_result(L, name && strata_dir_publish(dir, f, name, &err) == 0 ? 1 : -1, &err);
}

static int dir_remove(lua_State *L)
{
	struct strata_dir *dir;
	struct strata_err err;
	const char *name = check_name(L, 2, &dir, &err);

	return push_result(L, name && strata_dir_remove(dir, name, &err) == 0 ? 1 : -1, &err);
}

static int dir_lock(lua_State *L)
{
	struct strata_dir *dir = check_dir(L, 1);
	struct strata_err err;

	return push_result(L, strata_dir_lock(dir, &err) < 0 ? -1 : 1, &err);
}

static int dir_unlock(lua_State *L)
{
	strata_dir_unlock(check_dir(L, 1));
	return 0;
}

static int dir_same(lua_State *L)
{
	lua_pushboolean(L, strata_dir_same(check_dir(L, 1), check_dir(L, 2)));
	return 1;
}

static int dir_name(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);

	return strata_push_copy(L, copy, strata_dir_name(check_dir(L, 1)));
}

static int dir_tostring(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);
	struct strata_dir **dir = strata_check_object(L, 1, DIR_TYPE);

	return strata_push_title(L, copy, DIR_TYPE, *dir != NULL ? strata_dir_name(*dir) : NULL);
}

void strata_lua_register_dir(lua_State *L)
{
	static const luaL_Reg methods[] = {{"open", dir_open},
	                                   {"create", dir_create},
	                                   {"publish", dir_publish},
	                                   {"stat", dir_stat},
	                                   {"exists", dir_exists},
	                                   {"list", dir_list},
	                                   {"remove", dir_remove},
	                                   {"lock", dir_lock},
	                                   {"unlock", dir_unlock},
	                                   {"name", dir_name},
	                                   {"same", dir_same},
	                                   {"close", dir_close},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", dir_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"open_dir", dir_open_dir}, {"create_dir", dir_create_dir}, {NULL, NULL}};

	strata_register_type(L, DIR_TYPE, methods, meta, dir_close);
	strata_set_functions(L, functions);
}
