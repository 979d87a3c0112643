/* Lua values as new values of entry fields. */
#include <stdbool.h>
#include <string.h>

#include "core/layer/plan.h"
#include "lua/entry_fields.h"
#include "lua/xattr.h"

static uint32_t check_uint32(lua_State *L, int arg, const char *field, lua_Integer max)
{
	lua_Integer n;

	if (lua_type(L, arg) != LUA_TNUMBER)
		luaL_error(L, "%s should be a number, not %s", field, luaL_typename(L, arg));
	n = strata_check_integer(L, arg);
	if (n < 0 || n > max)
		luaL_error(L, "%s is out of range", field);
	return (uint32_t)n;
}

/* A mode as a number, or as people write it: "0755", "644". */
static uint32_t check_mode(lua_State *L, int arg)
{
	const char *text;
	uint32_t mode = 0;
	size_t len;

	if (lua_type(L, arg) != LUA_TSTRING)
		return check_uint32(L, arg, "mode", 07777);
	text = lua_tolstring(L, arg, &len);
	for (size_t i = 0; i < len && len <= 5; i++) {
		if (text[i] < '0' || text[i] > '7')
			len = 0;
		mode = mode * 8 + (uint32_t)(text[i] - '0');
	}
	if (len == 0 || len > 5 || mode > 07777)
		luaL_error(L, "mode should be a number or octal digits such as \"0755\"");
	return mode;
}

static uint32_t mode_bit(enum strata_entry_field field)
{
	return field == F_SETUID ? 04000 : field == F_SETGID ? 02000 : 01000;
}

static const char *check_text(lua_State *L, int arg, const char *field, size_t *len)
{
	const char *text;

	if (lua_type(L, arg) != LUA_TSTRING)
		luaL_error(L, "%s should be a string, not %s", field, luaL_typename(L, arg));
	text = lua_tolstring(L, arg, len);
	if (memchr(text, '\0', *len) != NULL)
		luaL_error(L, "%s must not hold a NUL byte", field);
	return text;
}

/*
 * Seconds as a number: fractions finer than a double holds are not made up. The number that `old`
 * reads as gives all of its nanoseconds.
 */
static struct strata_tar_time check_time(lua_State *L, const char *field, const char *wanted,
                                         struct strata_tar_time old)
{
	lua_Number value;
	int64_t sec;
	int64_t ticks;

	if (lua_type(L, 3) != LUA_TNUMBER)
		luaL_error(L, "%s should be %s, not %s", field, wanted, luaL_typename(L, 3));
	value = lua_tonumber(L, 3);
	if (old.there && value == strata_seconds(old.seconds, old.nsec))
		return old;
	if (!(value > -9e15 && value < 9e15))
		luaL_error(L, "%s is out of range", field);
	sec = (int64_t)value - (value < (lua_Number)(int64_t)value);
	ticks = (int64_t)((value - (lua_Number)sec) * 1e7 + 0.5); /* of 100 ns */
	if (ticks == 10000000) {
		sec++;
		ticks = 0;
	}
	return (struct strata_tar_time){sec, (uint32_t)ticks * 100, true};
}

static void set_mtime(lua_State *L, struct strata_index *index, uint32_t number)
{
	const struct strata_entry *e = &index->entries[number];
	struct strata_tar_time t = {e->mtime, e->mtime_nsec, true};

	t = check_time(L, "mtime", "a number", t);
	strata_plan_mtime(index, number, t.seconds, t.nsec);
}

/* The field of a header that an atime or ctime, or its nanoseconds, are in; 0 for all else. */
static enum strata_tar_field time_field(enum strata_entry_field field)
{
	if (field == F_ATIME || field == F_ATIME_NSEC)
		return STRATA_TAR_ATIME;
	return field == F_CTIME || field == F_CTIME_NSEC ? STRATA_TAR_CTIME : 0;
}

static int set_time(lua_State *L, struct strata_index *index, uint32_t number,
                    enum strata_entry_field field, struct strata_err *err)
{
	struct strata_tar_time t = strata_entry_time(index, number, field);
	const char *name = lua_tostring(L, 2);

	if (lua_isnil(L, 3) && !t.there)
		return 0;
	if (field == F_ATIME_NSEC || field == F_CTIME_NSEC) {
		t.nsec = check_uint32(L, 3, name, 999999999);
		if (!t.there)
			luaL_error(L, "%s: the entry has no %s", name,
			           field == F_ATIME_NSEC ? "atime" : "ctime");
	} else if (lua_isnil(L, 3)) {
		t.there = false;
	} else {
		t = check_time(L, name, "a number or nil", t);
	}
	return strata_plan_time(index, number, time_field(field), &t, err);
}

/* True when a component of the path is ".."; *is_root tells whether it has none but ".". */
static bool climbs(const char *path, size_t len, bool *is_root)
{
	*is_root = true;
	for (size_t i = 0; i < len;) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t part = slash ? (size_t)(slash - path) - i : len - i;

		if (part == 2 && memcmp(path + i, "..", 2) == 0)
			return true;
		*is_root = *is_root && (part == 0 || (part == 1 && path[i] == '.'));
		i += part + 1;
	}
	return false;
}

static int set_path(lua_State *L, struct strata_index *index, uint32_t number,
                    struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[number];
	size_t len;
	bool is_root;
	const char *path = check_text(L, 3, "path", &len);

	if (len == 0)
		luaL_error(L, "path must not be empty");
	if (climbs(path, len, &is_root))
		luaL_error(L, "path must not hold '..'");
	if (is_root && e->typeflag != '5' &&
	    !(e->path.len == 1 && *strata_index_text(index, e->path) == '.'))
		luaL_error(L, "path: only a directory can be the root");
	return strata_plan_path(index, number, path, len, err);
}

static int set_text(lua_State *L, struct strata_index *index, uint32_t number,
                    enum strata_entry_field field, struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[number];
	enum strata_tar_field which = field == F_LINKPATH ? STRATA_TAR_LINKPATH
	                              : field == F_UNAME  ? STRATA_TAR_UNAME
	                                                  : STRATA_TAR_GNAME;
	size_t len;
	const char *text = check_text(L, 3, lua_tostring(L, 2), &len);

	if (field == F_LINKPATH && (!strata_entry_has_link(e) || len == 0))
		luaL_error(L, len == 0 ? "linkpath must not be empty"
		                       : "linkpath: the entry is no link");
	return strata_plan_text(index, number, which, text, len, err);
}

static void set_device(lua_State *L, struct strata_index *index, uint32_t number,
                       enum strata_entry_field field)
{
	const struct strata_entry *e = &index->entries[number];
	uint32_t value = check_uint32(L, 3, lua_tostring(L, 2), 0x7fffffff);

	if (!strata_entry_is_device(e))
		luaL_error(L, "%s: the entry is no device", lua_tostring(L, 2));
	strata_plan_device(index, number, field == F_MAJOR ? value : e->devmajor,
	                   field == F_MINOR ? value : e->devminor);
}

static int set_xattrs(lua_State *L, struct strata_index *index, uint32_t number,
                      struct strata_err *err)
{
	struct strata_buf *old, *records;

	luaL_checktype(L, 3, LUA_TTABLE);
	old = strata_push_records(L, index, number);
	records = strata_push_buffer(L);
	if (strata_xattr_records(L, 3, old, records, err) < 0)
		return -1;
	if (number >= index->count || index->busy)
		luaL_error(L, "the layer was closed, or saved, while an entry was changed");
	return strata_plan_records(index, number, records->data ? records->data : "", records->len,
	                           err);
}

static int set_field(lua_State *L, struct strata_index *index, uint32_t number,
                     enum strata_entry_field field, struct strata_err *err)
{
	const lua_Integer max_id = 0xfffffffe;

	switch (field) {
	case F_PATH:
		return set_path(L, index, number, err);
	case F_LINKPATH:
	case F_UNAME:
	case F_GNAME:
		return set_text(L, index, number, field, err);
	case F_MODE: {
		uint32_t mode = check_mode(L, 3);

		mode |= index->entries[number].mode & ~(uint32_t)07777;
		strata_plan_number(index, number, STRATA_TAR_MODE, mode);
		return 0;
	}
	case F_SETUID:
	case F_SETGID:
	case F_STICKY: {
		uint32_t mode = index->entries[number].mode & ~mode_bit(field);

		if (lua_type(L, 3) != LUA_TBOOLEAN)
			return luaL_error(L, "%s should be true or false, not %s",
			                  lua_tostring(L, 2), luaL_typename(L, 3));
		strata_plan_number(index, number, STRATA_TAR_MODE,
		                   lua_toboolean(L, 3) ? mode | mode_bit(field) : mode);
		return 0;
	}
	case F_UID:
		strata_plan_number(index, number, STRATA_TAR_UID,
		                   check_uint32(L, 3, "uid", max_id));
		return 0;
	case F_GID:
		strata_plan_number(index, number, STRATA_TAR_GID,
		                   check_uint32(L, 3, "gid", max_id));
		return 0;
	case F_MTIME:
		set_mtime(L, index, number);
		return 0;
	case F_MTIME_NSEC:
		strata_plan_mtime(index, number, index->entries[number].mtime,
		                  check_uint32(L, 3, "mtime_nsec", 999999999));
		return 0;
	case F_ATIME:
	case F_ATIME_NSEC:
	case F_CTIME:
	case F_CTIME_NSEC:
		return set_time(L, index, number, field, err);
	case F_MAJOR:
	case F_MINOR:
		set_device(L, index, number, field);
		return 0;
	case F_XATTRS:
		return set_xattrs(L, index, number, err);
	case F_SIZE:
		return luaL_error(L, "size follows the content: use entry:replace(data)");
	default:
		return luaL_error(L, "field '%s' of an entry cannot be assigned",
		                  lua_tostring(L, 2));
	}
}

/* Unpackers give a file what the last header of its names says. */
static bool is_of_file(enum strata_entry_field field)
{
	return field == F_MODE || field == F_SETUID || field == F_SETGID || field == F_STICKY ||
	       field == F_UID || field == F_GID || field == F_UNAME || field == F_GNAME ||
	       field == F_MTIME || field == F_MTIME_NSEC || field == F_XATTRS ||
	       time_field(field) != 0;
}

/* A hardlink whose target was assigned is no name of the file any more. */
static bool is_name(const struct strata_entry *e)
{
	return !e->dropped && (e->retargeted || !(e->changed & STRATA_TAR_LINKPATH));
}

/* Sets the field in the header of another name of the file, when it has been set in the entry's. */
static int set_other(lua_State *L, struct strata_index *index, uint32_t number, uint32_t other,
                     enum strata_entry_field field, struct strata_err *err)
{
	struct strata_tar_time t;

	if (time_field(field) == 0)
		return set_field(L, index, other, field, err);
	/* Nanoseconds alone would have no seconds where the other header lacks the time. */
	t = strata_entry_time(index, number, field);
	return strata_plan_time(index, other, time_field(field), &t, err);
}

int strata_set_entry_field(lua_State *L, struct strata_index *index, uint32_t number,
                           enum strata_entry_field field, struct strata_err *err)
{
	int top = lua_gettop(L);
	int status = set_field(L, index, number, field, err);
	uint32_t at = number;

	lua_settop(L, top);
	if (!is_of_file(field) || !is_name(&index->entries[number]))
		return status;
	/* Between two of them a finaliser may close the index. */
	while (status == 0 && number < index->count && index->links != NULL &&
	       (at = index->links[at].next) != number) {
		if (is_name(&index->entries[at])) {
			status = set_other(L, index, number, at, field, err);
			lua_settop(L, top);
		}
	}
	return status;
}
