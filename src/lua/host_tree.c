/*
 * strata.HostTree: a directory of the host, to be made a layer of. core/fs/host_tree.h says
 * how it is walked. Numbers count from 1; 0 is the directory itself.
 */
#include "core/fs/host_tree.h"

#include <sys/stat.h>

#include "lua/objects.h"

struct strata_host_tree *strata_check_host_tree(lua_State *L, int arg)
{
	struct strata_host_tree **d = strata_check_object(L, arg, HOST_TREE_TYPE);

	if (*d == NULL)
		luaL_error(L, "attempt to use a closed %s", HOST_TREE_TYPE);
	return *d;
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
	struct strata_host_tree **d;
	struct strata_err err;

	luaL_argcheck(L, max >= 1 && max < INT32_MAX, 2, "out of range");
	d = strata_new_object(L, HOST_TREE_TYPE, sizeof(struct strata_host_tree *));
	*d = strata_host_tree_new(path, (uint32_t)max, &err);
	return *d ? 1 : strata_push_error(L, &err);
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
	struct strata_host_tree *d = strata_check_host_tree(L, 1);
	size_t len;
	const char *path = luaL_checklstring(L, 2, &len);
	uint32_t number;

	if (!strata_host_tree_find(d, path, len, &number))
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

	lua_pushlstring(L, (const char *)id, sizeof(id));
	lua_setfield(L, -2, "inode");
}

static void push_entry(lua_State *L, const struct strata_host_tree *d,
                       const struct strata_host_tree_entry *e)
{
	lua_newtable(L);
	lua_pushlstring(L, e->path_len ? strata_host_tree_text(d, e->path) : "", e->path_len);
	lua_setfield(L, -2, "path");
	lua_pushstring(L, type_name(e->mode));
	lua_setfield(L, -2, "type");
	set_number(L, "mode", e->mode & 07777);
	set_number(L, "uid", e->uid);
	set_number(L, "gid", e->gid);
	set_number(L, "size", S_ISREG(e->mode) ? e->size : 0);
	set_number(L, "mtime", e->mtime);
	set_number(L, "mtime_nsec", e->mtime_nsec);
	if (S_ISLNK(e->mode)) {
		lua_pushlstring(L, strata_host_tree_text(d, e->linkpath), e->linkpath_len);
		lua_setfield(L, -2, "linkpath");
	}
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		set_number(L, "major", e->devmajor);
		set_number(L, "minor", e->devminor);
	}
	if (e->xattrs_len > 0)
		set_xattrs(L, strata_host_tree_text(d, e->xattrs), e->xattrs_len);
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
	struct strata_host_tree *d = strata_check_host_tree(L, 1);

	if (strata_check_integer(L, 2) == 0)
		push_entry(L, d, &d->self);
	else
		push_entry(L, d, &d->entries[strata_check_host_tree_number(L, 2, d)]);
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

static int host_tree_close(lua_State *L)
{
	struct strata_host_tree **d = strata_check_object(L, 1, HOST_TREE_TYPE);
	struct strata_host_tree *closing = *d;

	*d = NULL;
	strata_host_tree_unref(closing);
	return 0;
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
	                                   {"close", host_tree_close},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"host_tree", host_tree_new}, {NULL, NULL}};

	strata_register_type(L, HOST_TREE_TYPE, methods, NULL, host_tree_close);
	strata_set_functions(L, functions);
}
