/* strata.Entry: one entry of an index, read and edited field by field. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../core/edit.h"
#include "objects.h"
#include "xattr.h"

struct lua_entry {
	struct strata_lua_index *owner; /* kept alive by the user value */
	uint32_t number;
};

void strata_push_entry(lua_State *L, int arg, uint32_t number)
{
	struct lua_entry *entry = strata_new_object(L, ENTRY_TYPE, sizeof(*entry));

	strata_getuservalue(L, arg);
	strata_setuservalue(L, -2);
	entry->owner = lua_touserdata(L, arg);
	entry->number = number;
}

static struct lua_entry *check_entry(lua_State *L, int arg)
{
	struct lua_entry *entry = strata_check_object(L, arg, ENTRY_TYPE);

	if (entry->owner->closed)
		luaL_error(L, "attempt to use an entry of a closed layer");
	/* Not even to be read: a save points hardlinks at their new targets. */
	if (entry->owner->index.busy)
		luaL_error(L, "the layer is in use by a save that has not ended");
	return entry;
}

uint32_t strata_check_entry_of(lua_State *L, int arg, const struct strata_index *index)
{
	struct lua_entry *entry = check_entry(L, arg);

	luaL_argcheck(L, &entry->owner->index == index, arg, "entry of another layer");
	return entry->number;
}

/* ---- names -------------------------------------------------------------- */

static const char *type_name(char typeflag)
{
	switch (typeflag) {
	case '\0':
	case '0':
	case '7':
	case 'S':
		return "file";
	case '1':
		return "hardlink";
	case '2':
		return "symlink";
	case '3':
		return "char";
	case '4':
		return "block";
	case '5':
		return "dir";
	case '6':
		return "fifo";
	default:
		return "other";
	}
}

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static const char *basename_of(const char *path, size_t len, size_t *base_len)
{
	const char *slash = memrchr(path, '/', len);
	const char *base = slash ? slash + 1 : path;

	*base_len = len - (size_t)(base - path);
	return base;
}

/* The directory that base (a part of path) is in; "." is the root. */
static void push_directory(lua_State *L, const char *path, const char *base)
{
	if (base == path)
		lua_pushliteral(L, ".");
	else
		lua_pushlstring(L, path, (size_t)(base - path) - 1);
}

static void push_opaque(lua_State *L, const char *path, size_t len)
{
	size_t base_len;
	const char *base = basename_of(path, len, &base_len);

	if (base_len == strlen(OPAQUE) && memcmp(base, OPAQUE, base_len) == 0)
		push_directory(L, path, base);
	else
		lua_pushnil(L);
}

/*
 * The path that a whiteout hides. ".wh..wh." names are AUFS metadata, and
 * ".wh.", ".wh..", ".wh..." name no file.
 */
static void push_whiteout(lua_State *L, const char *path, size_t len)
{
	const size_t prefix = strlen(WHITEOUT);
	size_t base_len;
	const char *base = basename_of(path, len, &base_len);
	const char *hidden = base + prefix;
	size_t hidden_len = base_len - prefix;

	if (base_len <= prefix || memcmp(base, WHITEOUT, prefix) != 0 ||
	    (hidden_len >= prefix && memcmp(hidden, WHITEOUT, prefix) == 0) ||
	    (hidden_len <= 2 && memcmp(hidden, "..", hidden_len) == 0)) {
		lua_pushnil(L);
		return;
	}
	lua_pushlstring(L, path, (size_t)(base - path));
	lua_pushlstring(L, hidden, hidden_len);
	lua_concat(L, 2);
}

/* ---- reading fields ----------------------------------------------------- */

enum field {
	F_PATH = 1,
	F_NAME,
	F_TYPE,
	F_TYPEFLAG,
	F_MODE,
	F_UID,
	F_GID,
	F_UNAME,
	F_GNAME,
	F_SIZE,
	F_MTIME,
	F_MTIME_NSEC,
	F_LINKPATH,
	F_MAJOR,
	F_MINOR,
	F_XATTRS,
	F_PAX,
	F_WHITEOUT,
	F_OPAQUE,
	F_INDEX,
	F_SPARSE,
	F_DANGLING,
	F_MARKED,
	F_HEADER_OFFSET,
	F_DATA_OFFSET,
	F_STORED,
};

static const struct {
	const char *name;
	enum field field;
} field_names[] = {
        {"path", F_PATH},
        {"name", F_NAME},
        {"type", F_TYPE},
        {"typeflag", F_TYPEFLAG},
        {"mode", F_MODE},
        {"uid", F_UID},
        {"gid", F_GID},
        {"uname", F_UNAME},
        {"gname", F_GNAME},
        {"size", F_SIZE},
        {"mtime", F_MTIME},
        {"mtime_nsec", F_MTIME_NSEC},
        {"linkpath", F_LINKPATH},
        {"major", F_MAJOR},
        {"minor", F_MINOR},
        {"xattrs", F_XATTRS},
        {"pax", F_PAX},
        {"whiteout", F_WHITEOUT},
        {"opaque", F_OPAQUE},
        {"index", F_INDEX},
        {"sparse", F_SPARSE},
        {"dangling", F_DANGLING},
        {"marked", F_MARKED},
        {"header_offset", F_HEADER_OFFSET},
        {"data_offset", F_DATA_OFFSET},
        {"stored", F_STORED},
};

/* A hardlink to what no entry of its tar is: a lower layer may have the file. */
static bool is_dangling(const struct strata_index *index, const struct strata_entry *e)
{
	return e->typeflag == '1' && index->links != NULL &&
	       index->links[e - index->entries].root == STRATA_NO_ENTRY;
}

static void push_path(lua_State *L, const struct strata_index *index, struct strata_path path)
{
	lua_pushlstring(L, strata_index_text(index, path), path.len);
}

static bool has_link(const struct strata_entry *e)
{
	return e->typeflag == '1' || e->typeflag == '2';
}

static bool is_device(const struct strata_entry *e)
{
	return e->typeflag == '3' || e->typeflag == '4';
}

static lua_Number mtime_of(const struct strata_entry *e)
{
	return (lua_Number)e->mtime + (lua_Number)e->mtime_nsec / 1e9;
}

static void push_mtime(lua_State *L, const struct strata_entry *e)
{
	if (e->mtime_nsec == 0)
		strata_push_int64(L, e->mtime);
	else
		lua_pushnumber(L, mtime_of(e));
}

/* PAX records as a table; the last one of a key counts. */
static int push_pax(lua_State *L, const struct strata_index *index, const struct strata_entry *e)
{
	const char *records = index->arena.data + e->pax.offset;
	size_t len = e->pax.len;
	struct strata_pax_record r;
	struct strata_err err;

	lua_newtable(L);
	while (strata_pax_next(&records, &len, &r, &err) > 0) {
		lua_pushlstring(L, r.key, r.key_len);
		lua_pushlstring(L, r.value, r.value_len);
		lua_rawset(L, -3);
	}
	return 1;
}

static int push_number(lua_State *L, bool there, int64_t value)
{
	if (there)
		strata_push_int64(L, value);
	else
		lua_pushnil(L);
	return 1;
}

static int push_text_field(lua_State *L, const struct strata_index *index,
                           const struct strata_entry *e, enum field field)
{
	const char *path = strata_index_text(index, e->path);

	switch (field) {
	case F_PATH:
		push_path(L, index, e->path);
		break;
	case F_NAME:
		push_path(L, index, e->name);
		break;
	case F_UNAME:
		push_path(L, index, e->uname);
		break;
	case F_GNAME:
		push_path(L, index, e->gname);
		break;
	case F_LINKPATH:
		if (has_link(e))
			push_path(L, index, e->linkpath);
		else
			lua_pushnil(L);
		break;
	case F_TYPE:
		lua_pushstring(L, type_name(e->typeflag));
		break;
	case F_TYPEFLAG:
		lua_pushlstring(L, &e->typeflag, 1);
		break;
	case F_WHITEOUT:
		push_whiteout(L, path, e->path.len);
		break;
	case F_OPAQUE:
		push_opaque(L, path, e->path.len);
		break;
	default:
		lua_pushnil(L);
	}
	return 1;
}

static int push_field(lua_State *L, const struct lua_entry *entry, enum field field)
{
	const struct strata_index *index = &entry->owner->index;
	const struct strata_entry *e = &index->entries[entry->number];

	switch (field) {
	case F_MODE:
		return push_number(L, true, e->mode & 07777);
	case F_UID:
		return push_number(L, true, e->uid);
	case F_GID:
		return push_number(L, true, e->gid);
	case F_SIZE:
		return push_number(L, true, e->size);
	case F_MTIME:
		push_mtime(L, e);
		return 1;
	case F_MTIME_NSEC:
		return push_number(L, true, e->mtime_nsec);
	case F_MAJOR:
		return push_number(L, is_device(e), e->devmajor);
	case F_MINOR:
		return push_number(L, is_device(e), e->devminor);
	case F_XATTRS:
		return strata_push_xattrs(L, index->arena.data + e->pax.offset, e->pax.len);
	case F_PAX:
		return push_pax(L, index, e);
	case F_INDEX:
		return push_number(L, true, (int64_t)entry->number + 1);
	case F_HEADER_OFFSET:
		return push_number(L, true, (int64_t)e->header_offset);
	case F_DATA_OFFSET:
		return push_number(L, true, (int64_t)e->data_offset);
	case F_STORED:
		return push_number(L, true, e->stored);
	case F_SPARSE:
		lua_pushboolean(L, e->sparse);
		return 1;
	case F_MARKED:
		lua_pushboolean(L, e->marked);
		return 1;
	case F_DANGLING:
		lua_pushboolean(L, is_dangling(index, e));
		return 1;
	default:
		return push_text_field(L, index, e, field);
	}
}

/* The number of the field named at `arg`, 0 for none; upvalue 1 maps names. */
static enum field field_at(lua_State *L, int arg)
{
	int field;

	lua_pushvalue(L, arg);
	lua_rawget(L, lua_upvalueindex(1));
	field = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return (enum field)field;
}

/* __index: upvalue 1 the fields, upvalue 2 the methods */
static int entry_index(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	enum field field = field_at(L, 2);

	if (field != 0)
		return push_field(L, entry, field);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(2));
	return 1;
}

/* ---- assigning to fields ------------------------------------------------ */

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

/* Seconds as a number: fractions finer than a double holds are not made up. */
static void set_mtime(lua_State *L, struct strata_index *index, uint32_t number)
{
	const struct strata_entry *e = &index->entries[number];
	lua_Number value;
	int64_t sec;
	int64_t ticks;

	if (lua_type(L, 3) != LUA_TNUMBER)
		luaL_error(L, "mtime should be a number, not %s", luaL_typename(L, 3));
	value = lua_tonumber(L, 3);
	if (value == mtime_of(e))
		return;
	if (!(value > -9e15 && value < 9e15))
		luaL_error(L, "mtime is out of range");
	sec = (int64_t)value - (value < (lua_Number)(int64_t)value);
	ticks = (int64_t)((value - (lua_Number)sec) * 1e7 + 0.5); /* of 100 ns */
	if (ticks == 10000000) {
		sec++;
		ticks = 0;
	}
	strata_edit_mtime(index, number, sec, (uint32_t)ticks * 100);
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
	return strata_edit_path(index, number, path, len, err);
}

static int set_text(lua_State *L, struct strata_index *index, uint32_t number, enum field field,
                    struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[number];
	enum strata_tar_field which = field == F_LINKPATH ? STRATA_TAR_LINKPATH
	                              : field == F_UNAME  ? STRATA_TAR_UNAME
	                                                  : STRATA_TAR_GNAME;
	size_t len;
	const char *text = check_text(L, 3, lua_tostring(L, 2), &len);

	if (field == F_LINKPATH && (!has_link(e) || len == 0))
		luaL_error(L, len == 0 ? "linkpath must not be empty"
		                       : "linkpath: the entry is no link");
	return strata_edit_text(index, number, which, text, len, err);
}

static void set_device(lua_State *L, struct strata_index *index, uint32_t number, enum field field)
{
	const struct strata_entry *e = &index->entries[number];
	uint32_t value = check_uint32(L, 3, lua_tostring(L, 2), 0x7fffffff);

	if (!is_device(e))
		luaL_error(L, "%s: the entry is no device", lua_tostring(L, 2));
	strata_edit_device(index, number, field == F_MAJOR ? value : e->devmajor,
	                   field == F_MINOR ? value : e->devminor);
}

static int set_xattrs(lua_State *L, struct strata_index *index, uint32_t number,
                      struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[number];
	struct strata_buf *records;

	luaL_checktype(L, 3, LUA_TTABLE);
	records = strata_push_buffer(L);
	if (strata_xattr_records(L, 3, index->arena.data + e->pax.offset, e->pax.len, records,
	                         err) < 0)
		return -1;
	return strata_edit_records(index, number, records->data ? records->data : "", records->len,
	                           err);
}

static int set_field(lua_State *L, struct lua_entry *entry, enum field field,
                     struct strata_err *err)
{
	struct strata_index *index = &entry->owner->index;
	const lua_Integer max_id = 0xfffffffe;

	switch (field) {
	case F_PATH:
		return set_path(L, index, entry->number, err);
	case F_LINKPATH:
	case F_UNAME:
	case F_GNAME:
		return set_text(L, index, entry->number, field, err);
	case F_MODE: {
		uint32_t mode = check_uint32(L, 3, "mode", 07777);

		mode |= index->entries[entry->number].mode & ~(uint32_t)07777;
		strata_edit_number(index, entry->number, STRATA_TAR_MODE, mode);
		return 0;
	}
	case F_UID:
		strata_edit_number(index, entry->number, STRATA_TAR_UID,
		                   check_uint32(L, 3, "uid", max_id));
		return 0;
	case F_GID:
		strata_edit_number(index, entry->number, STRATA_TAR_GID,
		                   check_uint32(L, 3, "gid", max_id));
		return 0;
	case F_MTIME:
		set_mtime(L, index, entry->number);
		return 0;
	case F_MAJOR:
	case F_MINOR:
		set_device(L, index, entry->number, field);
		return 0;
	case F_XATTRS:
		return set_xattrs(L, index, entry->number, err);
	case F_SIZE:
		return luaL_error(L, "size follows the content: use entry:replace(data)");
	default:
		return luaL_error(L, "field '%s' of an entry cannot be assigned",
		                  lua_tostring(L, 2));
	}
}

/* __newindex; what the world does wrong (no memory, too long) is thrown as well */
static int entry_newindex(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	enum field field = field_at(L, 2);
	struct strata_err err;

	if (field == 0)
		return luaL_error(L, "an entry has no field '%s'", lua_tostring(L, 2));
	if (set_field(L, entry, field, &err) < 0)
		return luaL_error(L, "%s", err.msg);
	return 0;
}

/* ---- methods ------------------------------------------------------------ */

/* The entry whose content it is: a hardlink is another name of its file. */
static uint32_t content_of(const struct lua_entry *entry)
{
	const struct strata_index *index = &entry->owner->index;
	const struct strata_entry *e = &index->entries[entry->number];

	if (e->typeflag != '1' || index->links == NULL ||
	    index->links[entry->number].root == STRATA_NO_ENTRY)
		return entry->number;
	return index->links[entry->number].root;
}

/* entry:read([max [, from]]) -> content | nil, message, code */
static int entry_read(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	lua_Integer max = lua_isnoneornil(L, 2) ? -1 : strata_check_integer(L, 2);
	lua_Integer from = lua_isnoneornil(L, 3) ? 0 : strata_check_integer(L, 3);
	struct strata_index *index = &entry->owner->index;
	uint32_t number = content_of(entry);
	struct strata_buf *content = strata_push_buffer(L);
	struct strata_err err;

	luaL_argcheck(L, from >= 0, 3, "must not be negative");
	if (index->entries[number].typeflag == '1')
		strata_fail(&err, "ENOENT",
		            "the file that the hardlink names is not in this layer");
	else if (strata_index_content(index, number, (uint64_t)from,
	                              max < 0 ? UINT64_MAX : (uint64_t)max, content, &err) == 0) {
		lua_pushlstring(L, content->data ? content->data : "", content->len);
		strata_buf_free(content);
		return 1;
	}
	return strata_push_error(L, &err);
}

/* entry:replace(data) -> entry; under every name that the file has in this layer */
static int entry_replace(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	struct strata_index *index = &entry->owner->index;
	uint32_t number = content_of(entry);
	struct strata_err err;

	if (strcmp(type_name(index->entries[number].typeflag), "file") != 0)
		return luaL_error(L, "only a file's content can be replaced, not that of a %s",
		                  type_name(index->entries[number].typeflag));
	if (strata_edit_content(index, number, data, len, &err) < 0)
		return luaL_error(L, "%s", err.msg);
	lua_settop(L, 1);
	return 1;
}

/* entry:drop() */
static int entry_drop(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);

	strata_edit_drop(&entry->owner->index, entry->number);
	return 0;
}

/* entry:mark(): index:drop_marked will drop it */
static int entry_mark(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);

	entry->owner->index.entries[entry->number].marked = true;
	return 0;
}

/* Bytes for people: "1.2 kB". out has room for 32. */
static void human_size(int64_t size, char *out)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)size;
	size_t unit = 0;

	if (size < 1000) {
		snprintf(out, 32, "%d B", (int)size);
		return;
	}
	for (value /= 1000; value >= 999.95 && unit + 1 < sizeof(units) / sizeof(*units); unit++)
		value /= 1000;
	snprintf(out, 32, value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* strata.Entry(etc/passwd, file, 0644, 0:0, 1.2 kB); odd bytes of the path escaped */
static int entry_tostring(lua_State *L)
{
	struct lua_entry *entry = strata_check_object(L, 1, ENTRY_TYPE);
	const struct strata_index *index = &entry->owner->index;
	const struct strata_entry *e;
	char path[1024], text[1200], size[32];
	char *shown = path;
	char *end;

	if (entry->owner->closed || entry->owner->index.busy) {
		lua_pushfstring(L, "%s(%s)", ENTRY_TYPE,
		                entry->owner->closed ? "closed" : "in use");
		return 1;
	}
	e = &index->entries[entry->number];
	strata_quote(path, sizeof(path), strata_index_text(index, e->path), e->path.len);
	end = path + strlen(path) - 1;
	if (*end == '\'') { /* without the quotes, unless it is cut short */
		*end = '\0';
		shown++;
	}
	human_size(e->size, size);
	snprintf(text, sizeof(text), "(%s, %s, %04o, %u:%u, %s)", shown, type_name(e->typeflag),
	         e->mode & 07777u, e->uid, e->gid, size);
	lua_pushfstring(L, "%s%s", ENTRY_TYPE, text);
	return 1;
}

/* human_size(bytes) -> "1.2 kB" */
static int module_human_size(lua_State *L)
{
	char size[32];

	human_size(strata_check_integer(L, 1), size);
	lua_pushstring(L, size);
	return 1;
}

/* quote(bytes) -> the bytes in quotes, printable, for messages */
static int module_quote(lua_State *L)
{
	char quoted[1024];
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);

	lua_pushstring(L, strata_quote(quoted, sizeof(quoted), bytes, len));
	return 1;
}

static void push_field_table(lua_State *L)
{
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(field_names) / sizeof(*field_names); i++) {
		lua_pushinteger(L, field_names[i].field);
		lua_setfield(L, -2, field_names[i].name);
	}
}

void strata_lua_register_entry(lua_State *L)
{
	static const luaL_Reg methods[] = {{"read", entry_read},
	                                   {"replace", entry_replace},
	                                   {"drop", entry_drop},
	                                   {"mark", entry_mark},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", entry_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"human_size", module_human_size}, {"quote", module_quote}, {NULL, NULL}};

	strata_register_type(L, ENTRY_TYPE, methods, meta, NULL);
	lua_getfield(L, LUA_REGISTRYINDEX, ENTRY_TYPE);
	lua_getfield(L, -1, "__newindex");
	if (lua_isnil(L, -1)) { /* not when the module is required once more */
		push_field_table(L);
		lua_getfield(L, -3, "__index");
		lua_pushcclosure(L, entry_index, 2);
		lua_setfield(L, -3, "__index");
		push_field_table(L);
		lua_pushcclosure(L, entry_newindex, 1);
		lua_setfield(L, -3, "__newindex");
	}
	lua_pop(L, 2);
	strata_set_functions(L, functions);
}
