/*
 * strata.HostTree: a directory of the host, to be made a layer of. core/fs/host_tree.h says
 * how it is walked. Numbers count from 1; 0 is the directory itself.
 */
#include "core/fs/host_tree.h"

#include <sys/stat.h>

#include "lua/objects.h"

static void release(void *tree)
{
	strata_host_tree_unref(tree);
}

struct strata_host_tree *strata_check_host_tree(lua_State *L, int arg)
{
	return strata_check_handle(L, arg, HOST_TREE_TYPE);
}

uint32_t strata_check_host_tree_number(lua_State *L, int arg, const struct strata_host_tree *tree)
{
	lua_Integer number = strata_check_integer(L, arg);

	luaL_argcheck(L, number >= 1 && number <= (lua_Integer)tree->count, arg, "out of range");
	return (uint32_t)number - 1;
}

/* host_tree(path, max_entries) -> HostTree | nil, message, code */
static int host_tree_new(lua_State *L)
{
	const char *path = strata_check_path(L, 1);
	lua_Integer max = strata_check_integer(L, 2);
	struct strata_handle *handle;
	struct strata_err err;

	luaL_argcheck(L, max >= 1 && max < INT32_MAX, 2, "out of range");
	handle = strata_new_handle(L, HOST_TREE_TYPE, release);
	return strata_open_handle(L, handle, strata_host_tree_new(path, (uint32_t)max, &err), &err);
}

/* tree:list(number) -> how many entries there are now | nil, message, code */
static int host_tree_list(lua_State *L)
{
	struct strata_host_tree *d = strata_check_host_tree(L, 1);
	uint32_t number = STRATA_HOST_TREE_NO_PARENT;
	struct strata_err err;

	if (strata_check_integer(L, 2) != 0)
		number = strata_check_host_tree_number(L, 2, d);
	luaL_argcheck(L, number == STRATA_HOST_TREE_NO_PARENT || S_ISDIR(d->entries[number].mode),
	              2, "is no directory");
	if (strata_host_tree_list(d, number, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushinteger(L, (lua_Integer)d->count);
	return 1;
}

/* tree:drop(number) */
static int host_tree_drop(lua_State *L)
{
	struct strata_host_tree *d = strata_check_host_tree(L, 1);

	d->entries[strata_check_host_tree_number(L, 2, d)].dropped = true;
	return 0;
}

/* tree:sort() -> how many entries are left | nil, message, code */
static int host_tree_sort(lua_State *L)
{
	struct strata_host_tree *d = strata_check_host_tree(L, 1);
	struct strata_err err;

	if (strata_host_tree_sort(d, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushinteger(L, (lua_Integer)d->count);
	return 1;
}

/* tree:find(path) -> number | nil */
static int host_tree_find(lua_State *L)
{
	size_t len;
	const char *path = luaL_checklstring(L, 2, &len);
	uint32_t number;

	if (!strata_host_tree_find(strata_check_host_tree(L, 1), path, len, &number))
		return 0;
	lua_pushinteger(L, (lua_Integer)number + 1);
	return 1;
}

/* ---- entries as tables --------------------------------------------------------- */

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	default:
		return "socket";
	}
}

static void set_number(lua_State *L, const char *key, int64_t value)
{
	strata_push_int64(L, value);
	lua_setfield(L, -2, key);
}

static void set_text(lua_State *L, const char *key, const char *text, size_t len)
{
	lua_pushlstring(L, text, len);
	lua_setfield(L, -2, key);
}

static void set_xattrs(lua_State *L, const char *records, size_t len)
{
	struct strata_host_tree_xattr x;

	lua_newtable(L);
	while (strata_host_tree_xattr(&records, &len, &x)) {
		lua_pushstring(L, x.name);
		lua_pushlstring(L, x.value, x.len);
		lua_rawset(L, -3);
	}
	lua_setfield(L, -2, "xattrs");
}

/* What names the file behind all its names, exact on any Lua. */
static void set_inode(lua_State *L, const struct strata_host_tree_entry *e)
{
	const uint64_t id[2] = {e->dev, e->ino};

	set_text(L, "inode", (const char *)id, sizeof(id));
}

/* Copies an entry: its texts go to `text`, which the copy then says the places in. */
static int copy_entry(const struct strata_host_tree *tree, struct strata_host_tree_entry *e,
                      struct strata_buf *text, struct strata_err *err)
{
	const struct strata_host_tree_entry from = *e;

	e->path = 0;
	e->linkpath = from.path_len;
	e->xattrs = from.path_len + from.linkpath_len;
	if (strata_buf_append(text, strata_host_tree_text(tree, from.path), from.path_len, err) <
	            0 ||
	    strata_buf_append(text, strata_host_tree_text(tree, from.linkpath), from.linkpath_len,
	                      err) < 0)
		return -1;
	return strata_buf_append(text, strata_host_tree_text(tree, from.xattrs), from.xattrs_len,
	                         err);
}

static void push_entry(lua_State *L, const struct strata_host_tree_entry *e, const char *text)
{
	lua_newtable(L);
	set_text(L, "path", text + e->path, e->path_len);
	lua_pushstring(L, type_name(e->mode));
	lua_setfield(L, -2, "type");
	set_number(L, "mode", e->mode & 07777);
	set_number(L, "uid", e->uid);
	set_number(L, "gid", e->gid);
	set_number(L, "size", S_ISREG(e->mode) ? e->size : 0);
	set_number(L, "mtime", e->mtime);
	set_number(L, "mtime_nsec", e->mtime_nsec);
	if (S_ISLNK(e->mode))
		set_text(L, "linkpath", text + e->linkpath, e->linkpath_len);
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		set_number(L, "major", e->devmajor);
		set_number(L, "minor", e->devminor);
	}
	if (e->xattrs_len > 0)
		set_xattrs(L, text + e->xattrs, e->xattrs_len);
	if (!S_ISDIR(e->mode) && e->links > 1)
		set_inode(L, e);
	if (e->foreign) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, "foreign");
	}
	if (e->parent != STRATA_HOST_TREE_NO_PARENT)
		set_number(L, "parent", (int64_t)e->parent + 1);
}

/*
 * tree:get(number) -> {path, type, mode, uid, gid, size, mtime, mtime_nsec,
 * linkpath, major, minor, xattrs, inode (when it has several names), foreign,
 * parent}; 0: the directory itself
 */
static int host_tree_get(lua_State *L)
{
	struct strata_buf *text = strata_begin_buffer(L, 2);
	struct strata_host_tree *d = strata_check_host_tree(L, 1);
	struct strata_host_tree_entry e = d->self;
	struct strata_err err;

	if (strata_check_integer(L, 2) != 0)
		e = d->entries[strata_check_host_tree_number(L, 2, d)];
	if (copy_entry(d, &e, text, &err) < 0)
		return strata_throw(L, &err);
	push_entry(L, &e, text->data != NULL ? text->data : "");
	strata_buf_free(text);
	return 1;
}

/* tree:same_inode(number, other, its number) -> boolean: it is one file, not two */
static int host_tree_same_inode(lua_State *L)
{
	struct strata_host_tree *a = strata_check_host_tree(L, 1),
	                        *b = strata_check_host_tree(L, 3);
	const struct strata_host_tree_entry *x =
	        &a->entries[strata_check_host_tree_number(L, 2, a)];
	const struct strata_host_tree_entry *y =
	        &b->entries[strata_check_host_tree_number(L, 4, b)];

	lua_pushboolean(L, x->dev == y->dev && x->ino == y->ino);
	return 1;
}

/* tree:same_content(number, other, its number) -> boolean | nil, message, code */
static int host_tree_same_content(lua_State *L)
{
	struct strata_host_tree *a = strata_check_host_tree(L, 1),
	                        *b = strata_check_host_tree(L, 3);
	uint32_t x = strata_check_host_tree_number(L, 2, a),
	         y = strata_check_host_tree_number(L, 4, b);
	struct strata_err err;
	int same;

	luaL_argcheck(L, S_ISREG(a->entries[x].mode), 2, "is no regular file");
	luaL_argcheck(L, S_ISREG(b->entries[y].mode), 4, "is no regular file");
	same = strata_host_tree_same(a, x, b, y, &err);
	if (same < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, same);
	return 1;
}

void strata_lua_register_host_tree(lua_State *L)
{
	static const luaL_Reg methods[] = {{"list", host_tree_list},
	                                   {"drop", host_tree_drop},
	                                   {"sort", host_tree_sort},
	                                   {"find", host_tree_find},
	                                   {"get", host_tree_get},
	                                   {"same_inode", host_tree_same_inode},
	                                   {"same_content", host_tree_same_content},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"host_tree", host_tree_new}, {NULL, NULL}};

	strata_register_type(L, HOST_TREE_TYPE, methods, NULL, strata_close_handle);
	strata_set_functions(L, functions);
}
