/* Headers of single tar members, for the outer archive: patch and write. */
#include <string.h>

#include "core/layer/path.h"
#include "core/tar/tar.h"
#include "lua/entry_fields.h"

/* The whole-number field of the table at arg; false when absent. */
static bool number_field(lua_State *L, int arg, const char *field, int64_t *value)
{
	bool there;

	lua_getfield(L, arg, field);
	there = !lua_isnil(L, -1);
	if (there) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "field '%s' should be a number", field);
		*value = strata_check_integer(L, lua_gettop(L));
	}
	lua_pop(L, 1);
	return there;
}

/*
 * patch_header(raw, {name =, linkpath =, size =, typeflag =}) -> the header
 * span with those fields changed and nothing else | nil, message, code
 */
static int tar_patch_header(lua_State *L)
{
	size_t raw_len, len;
	const char *raw = luaL_checklstring(L, 1, &raw_len);
	struct strata_tar_changes c = {0};
	struct strata_buf *out;
	struct strata_err err;
	const char *typeflag;

	luaL_checktype(L, 2, LUA_TTABLE);
	c.to.path = strata_opt_field(L, 2, "name", &c.to.path_len);
	c.to.linkpath = strata_opt_field(L, 2, "linkpath", &c.to.linkpath_len);
	typeflag = strata_opt_field(L, 2, "typeflag", &len);
	c.mask = (c.to.path ? STRATA_TAR_PATH : 0u) | (c.to.linkpath ? STRATA_TAR_LINKPATH : 0u) |
	         (typeflag ? STRATA_TAR_TYPE : 0u);
	if (typeflag != NULL)
		c.to.typeflag = typeflag[0];
	if (number_field(L, 2, "size", &c.to.size)) {
		c.mask |= STRATA_TAR_SIZE;
		c.to.stored = c.to.size;
	}
	out = strata_push_buffer(L);
	if (strata_tar_patch(raw, raw_len, &c, out, &err) < 0)
		return strata_push_error(L, &err);
	return strata_push_contents(L, out);
}

/* A time that is there when its seconds are. */
static struct strata_tar_time time_fields(lua_State *L, const char *seconds, const char *nsec)
{
	struct strata_tar_time t = {0};
	int64_t n = 0;

	t.there = number_field(L, 1, seconds, &t.seconds);
	if (number_field(L, 1, nsec, &n))
		t.nsec = (uint32_t)n;
	return t;
}

/*
 * write_header{name =, typeflag = "0", size =, mode =, uid =, gid =, mtime =,
 * mtime_nsec =, atime =, atime_nsec =, ctime =, ctime_nsec =, linkpath =, uname =,
 * gname =, major =, minor =, records =} -> a fresh header span | nil, message, code
 */
static int tar_write_header(lua_State *L)
{
	struct strata_tar_header h = {.typeflag = '0', .mode = 0644};
	struct strata_buf *out;
	struct strata_err err;
	const char *typeflag;
	int64_t n = 0;
	size_t len;

	luaL_checktype(L, 1, LUA_TTABLE);
	h.path = strata_opt_field(L, 1, "name", &h.path_len);
	luaL_argcheck(L, h.path != NULL && h.path_len > 0, 1, "name is missing");
	h.linkpath = strata_opt_field(L, 1, "linkpath", &h.linkpath_len);
	h.uname = strata_opt_field(L, 1, "uname", &h.uname_len);
	h.gname = strata_opt_field(L, 1, "gname", &h.gname_len);
	h.pax = strata_opt_field(L, 1, "records", &h.pax_len);
	typeflag = strata_opt_field(L, 1, "typeflag", &len);
	if (typeflag != NULL)
		h.typeflag = typeflag[0];
	number_field(L, 1, "size", &h.size);
	luaL_argcheck(L, h.size >= 0, 1, "size must not be negative");
	h.stored = h.size;
	number_field(L, 1, "mtime", &h.mtime);
	if (number_field(L, 1, "mtime_nsec", &n))
		h.mtime_nsec = (uint32_t)n;
	h.atime = time_fields(L, "atime", "atime_nsec");
	h.ctime = time_fields(L, "ctime", "ctime_nsec");
	if (number_field(L, 1, "mode", &n))
		h.mode = (uint32_t)n & 0177777; /* Docker writes the bits of the type, too */
	if (number_field(L, 1, "uid", &n))
		h.uid = (uint64_t)n;
	if (number_field(L, 1, "gid", &n))
		h.gid = (uint64_t)n;
	if (number_field(L, 1, "major", &n))
		h.devmajor = (uint32_t)n;
	if (number_field(L, 1, "minor", &n))
		h.devminor = (uint32_t)n;
	out = strata_push_buffer(L);
	if (strata_tar_write(&h, out, &err) < 0)
		return strata_push_error(L, &err);
	return strata_push_contents(L, out);
}

/* normalise(path) -> path without leading "/" or "./", "..", "//", trailing "/" */
static int tar_normalise(lua_State *L)
{
	size_t len;
	const char *path = luaL_checklstring(L, 1, &len);
	struct strata_buf *out = strata_push_buffer(L);
	struct strata_err err;

	if (strata_buf_reserve(out, len + 1, &err) < 0)
		return strata_throw(L, &err);
	out->len = strata_path_normalise(path, len, out->data);
	return strata_push_contents(L, out);
}

/*
 * whiteout(path) -> kind, hidden, in_aufs: kind is "whiteout", "opaque", "aufs", "invalid", or nil
 * for an ordinary name; hidden is the path, or the directory, that it hides; in_aufs is true when
 * it lies in a directory of AUFS
 */
static int tar_whiteout(lua_State *L)
{
	static const char *const kinds[] = {[STRATA_WHITEOUT_FILE] = "whiteout",
	                                    [STRATA_WHITEOUT_OPAQUE] = "opaque",
	                                    [STRATA_WHITEOUT_AUFS] = "aufs",
	                                    [STRATA_WHITEOUT_INVALID] = "invalid"};
	size_t len, base;
	const char *path = luaL_checklstring(L, 1, &len);
	enum strata_whiteout kind = strata_whiteout_kind(path, len, &base);

	lua_pushstring(L, kinds[kind]);
	strata_push_hidden(L, kind, path, len, base);
	lua_pushboolean(L, strata_whiteout_in_aufs(path, len));
	return 3;
}

/* whiteout_name(path) -> the path of the whiteout that hides it */
static int tar_whiteout_name(lua_State *L)
{
	size_t len, base;
	const char *path = luaL_checklstring(L, 1, &len);

	strata_whiteout_kind(path, len, &base);
	lua_pushlstring(L, path, base);
	lua_pushliteral(L, STRATA_WHITEOUT_PREFIX);
	lua_pushlstring(L, path + base, len - base);
	lua_concat(L, 3);
	return 1;
}

/* opaque_name(directory) -> the path of the marker that makes it opaque; "." is the root */
static int tar_opaque_name(lua_State *L)
{
	const char *directory = luaL_checkstring(L, 1);

	if (strcmp(directory, ".") == 0) {
		lua_pushliteral(L, STRATA_OPAQUE_NAME);
		return 1;
	}
	lua_settop(L, 1);
	lua_pushliteral(L, "/" STRATA_OPAQUE_NAME);
	lua_concat(L, 2);
	return 1;
}

void strata_lua_register_tar(lua_State *L)
{
	static const luaL_Reg functions[] = {{"patch_header", tar_patch_header},
	                                     {"write_header", tar_write_header},
	                                     {"normalise", tar_normalise},
	                                     {"whiteout", tar_whiteout},
	                                     {"whiteout_name", tar_whiteout_name},
	                                     {"opaque_name", tar_opaque_name},
	                                     {NULL, NULL}};

	strata_set_functions(L, functions);
}
