/*
 * strata.archive: files as libarchive reads them. A module of its own, so that
 * nothing else links libarchive. All handles belong to a userdata, so that they
 * are freed after a Lua error.
 */
#include "archive/module.h"

#include <string.h>

bool strata_archive_has_content(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return archive_entry_size_is_set(e) && archive_entry_size(e) > 0;
	return archive_entry_filetype(e) == AE_IFREG;
}

const char *strata_archive_type_name(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return "hardlink";
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return "file";
	case AE_IFDIR:
		return "dir";
	case AE_IFLNK:
		return "symlink";
	case AE_IFCHR:
		return "char";
	case AE_IFBLK:
		return "block";
	case AE_IFIFO:
		return "fifo";
	default:
		return "other";
	}
}

void strata_archive_set_string(lua_State *L, const char *key, const char *value)
{
	if (value) {
		lua_pushstring(L, value);
		lua_setfield(L, -2, key);
	}
}

static void set_int64(lua_State *L, const char *key, int64_t value)
{
	strata_push_int64(L, value);
	lua_setfield(L, -2, key);
}

static void set_xattrs(lua_State *L, struct archive_entry *e)
{
	const char *name;
	const void *value;
	size_t len;

	lua_newtable(L);
	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		if (!name)
			continue;
		lua_pushstring(L, name);
		lua_pushlstring(L, value, len);
		lua_rawset(L, -3);
	}
	lua_setfield(L, -2, "xattrs");
}

void strata_archive_set_metadata(lua_State *L, struct archive_entry *e)
{
	const char *type = strata_archive_type_name(e);

	strata_archive_set_string(L, "path", archive_entry_pathname(e));
	strata_archive_set_string(L, "type", type);
	set_int64(L, "mode", archive_entry_perm(e) & 07777);
	set_int64(L, "uid", archive_entry_uid(e));
	set_int64(L, "gid", archive_entry_gid(e));
	strata_archive_set_string(L, "uname", archive_entry_uname(e));
	strata_archive_set_string(L, "gname", archive_entry_gname(e));
	if (archive_entry_size_is_set(e))
		set_int64(L, "size", archive_entry_size(e));
	if (archive_entry_hardlink(e))
		strata_archive_set_string(L, "linkpath", archive_entry_hardlink(e));
	else
		strata_archive_set_string(L, "linkpath", archive_entry_symlink(e));
	if (strcmp(type, "char") == 0 || strcmp(type, "block") == 0) {
		set_int64(L, "major", (int64_t)archive_entry_rdevmajor(e));
		set_int64(L, "minor", (int64_t)archive_entry_rdevminor(e));
	}
	set_xattrs(L, e);
}

__attribute__((visibility("default"))) int luaopen_strata_archive(lua_State *L);

int luaopen_strata_archive(lua_State *L)
{
	strata_lua_register_binding(L);
	lua_newtable(L);
	strata_archive_register_decompress(L);
	strata_archive_register_contents(L);
	strata_archive_register_tar_reader(L);
	lua_pushstring(L, archive_version_string());
	lua_setfield(L, -2, "_LIBARCHIVE");
	return 1;
}
