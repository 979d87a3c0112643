/* strata.Entry: one entry of an index, read and edited field by field. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/layer/plan.h"
#include "lua/entry_fields.h"

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

static const struct {
	const char *name;
	enum strata_entry_field field;
} field_names[] = {
        {"path", F_PATH},
        {"name", F_NAME},
        {"type", F_TYPE},
        {"typeflag", F_TYPEFLAG},
        {"mode", F_MODE},
        {"setuid", F_SETUID},
        {"setgid", F_SETGID},
        {"sticky", F_STICKY},
        {"uid", F_UID},
        {"gid", F_GID},
        {"uname", F_UNAME},
        {"gname", F_GNAME},
        {"size", F_SIZE},
        {"mtime", F_MTIME},
        {"mtime_nsec", F_MTIME_NSEC},
        {"atime", F_ATIME},
        {"atime_nsec", F_ATIME_NSEC},
        {"ctime", F_CTIME},
        {"ctime_nsec", F_CTIME_NSEC},
        {"linkpath", F_LINKPATH},
        {"major", F_MAJOR},
        {"minor", F_MINOR},
        {"xattrs", F_XATTRS},
        {"pax", F_PAX},
        {"whiteout", F_WHITEOUT},
        {"opaque", F_OPAQUE},
        {"sparse", F_SPARSE},
        {"header_offset", F_HEADER_OFFSET},
        {"data_offset", F_DATA_OFFSET},
        {"stored", F_STORED},
        {"position", F_POSITION},
        {"dangling", F_DANGLING},
        {"marked", F_MARKED},
};

#define FIELDS (sizeof(field_names) / sizeof(*field_names))

/* The last three are of an entry among others: an entry of a stream lacks them. */
#define STREAM_FIELDS (FIELDS - 3)

void strata_push_entry_table(lua_State *L, const struct strata_index *index)
{
	int table;

	lua_createtable(L, 0, (int)STREAM_FIELDS);
	table = lua_gettop(L);
	for (size_t i = 0; i < STREAM_FIELDS; i++) {
		if (index->count == 0)
			luaL_error(L, "closed while an entry was read");
		strata_push_entry_field(L, index, 0, field_names[i].field);
		lua_setfield(L, table, field_names[i].name);
		lua_settop(L, table);
	}
}

/* The number of the field named at `arg`, 0 for none; upvalue 1 maps names. */
static enum strata_entry_field field_at(lua_State *L, int arg)
{
	int field;

	lua_pushvalue(L, arg);
	lua_rawget(L, lua_upvalueindex(1));
	field = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return (enum strata_entry_field)field;
}

/*
 * Throws: the entry has no such field. The metatable's "unknown", which lua/strata/layer/entry.lua
 * sets, words it.
 */
static int no_field(lua_State *L, bool assigned)
{
	lua_settop(L, 2);
	if (luaL_getmetafield(L, 1, "unknown")) {
		lua_pushvalue(L, 2);
		lua_pushboolean(L, assigned);
		lua_call(L, 2, 0);
	}
	lua_pushvalue(L, 2);
	return luaL_error(L, "an entry has no field '%s'", lua_tostring(L, -1));
}

/*
 * Calls a function of the metatable, which lua/strata/layer/entry.lua sets, with what is on the top
 * of the stack, the field's name and the entry index. Gives its result in place of the top.
 */
static void call_hook(lua_State *L, const char *name)
{
	if (!luaL_getmetafield(L, 1, name))
		return;
	lua_insert(L, -2);
	lua_pushvalue(L, 2);
	strata_getuservalue(L, 1);
	lua_getfield(L, -1, "index");
	lua_remove(L, -2);
	lua_call(L, 3, 1);
}

/* __index: upvalue 1 the fields, upvalue 2 the methods */
static int entry_index(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	enum strata_entry_field field = field_at(L, 2);

	if (field != 0) {
		int results =
		        strata_push_entry_field(L, &entry->owner->index, entry->number, field);

		if (field == F_XATTRS || field == F_PAX)
			call_hook(L, "hand_out");
		return results;
	}
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(2));
	return lua_isnil(L, -1) ? no_field(L, false) : 1;
}

/* __newindex; what the world does wrong (no memory, too long) is thrown as well */
static int entry_newindex(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	enum strata_entry_field field = field_at(L, 2);
	struct strata_err err;

	if (field == 0)
		return no_field(L, true);
	if (strata_set_entry_field(L, &entry->owner->index, entry->number, field, &err) < 0)
		return luaL_error(L, "%s", err.msg);
	if (field == F_XATTRS) {
		lua_pushnil(L);
		call_hook(L, "hand_out");
	}
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

/* A read of no stated length fails when it would give more than max_read bytes. */
static int check_read(const struct lua_entry *entry, uint64_t from, int64_t size,
                      struct strata_err *err)
{
	uint64_t max = entry->owner->max_read;

	if (from >= (uint64_t)size || (uint64_t)size - from <= max)
		return 0;
	return strata_fail(err, "ELIMIT",
	                   "content of %llu bytes, more than limits.read (%llu): "
	                   "say how many to read, or open it to read in pieces",
	                   (unsigned long long)((uint64_t)size - from), (unsigned long long)max);
}

/* Fails for an entry that is no file, nor a name of one. */
static int check_file_entry(const struct strata_index *index, uint32_t number,
                            struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[number];
	const char *type = strata_entry_type_name(e->typeflag);
	char path[1024];

	if (strcmp(type, "file") == 0)
		return 0;
	if (e->typeflag == '1')
		return strata_fail(err, "ENOENT",
		                   "the file that the hardlink names is not in this layer");
	strata_quote(path, sizeof(path), strata_index_text(index, e->path), e->path.len);
	if (e->typeflag == '5')
		return strata_fail(err, "EISDIR", "%s: is a directory, not a file", path);
	return strata_fail(err, "EINVAL", "%s: is a %s, not a file", path, type);
}

/* entry:read([max [, from]]) -> content | nil, message, code */
static int entry_read(lua_State *L)
{
	struct strata_buf *content = strata_begin_buffer(L, 3);
	struct lua_entry *entry = check_entry(L, 1);
	lua_Integer max = lua_isnil(L, 2) ? -1 : strata_check_integer(L, 2);
	lua_Integer from = lua_isnil(L, 3) ? 0 : strata_check_integer(L, 3);
	struct strata_index *index = &entry->owner->index;
	uint32_t number = content_of(entry);
	struct strata_err err;

	luaL_argcheck(L, from >= 0, 3, "must not be negative");
	if (check_file_entry(index, number, &err) == 0 &&
	    (max >= 0 ||
	     check_read(entry, (uint64_t)from, index->entries[number].size, &err) == 0) &&
	    strata_index_content(index, number, (uint64_t)from,
	                         max < 0 ? UINT64_MAX : (uint64_t)max, content, &err) == 0)
		return strata_push_contents(L, content);
	return strata_push_error(L, &err);
}

/* entry:digest() -> "sha256:<hex>" of its content | nil, message, code */
static int entry_digest(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	struct strata_index *index = &entry->owner->index;
	uint32_t number = content_of(entry);
	char digest[STRATA_DIGEST_MAX];
	struct strata_err err;

	if (check_file_entry(index, number, &err) < 0 ||
	    strata_index_digest(index, number, digest, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushstring(L, digest);
	return 1;
}

/*
 * entry:same_content(other [, max [, from]]) -> boolean | nil, message, code
 * Of files, hardlinks followed inside their layers; up to max bytes from `from` on.
 */
static int entry_same_content(lua_State *L)
{
	struct lua_entry *a = check_entry(L, 1);
	struct lua_entry *b = check_entry(L, 2);
	lua_Integer max = lua_isnoneornil(L, 3) ? -1 : strata_check_integer(L, 3);
	lua_Integer from = lua_isnoneornil(L, 4) ? 0 : strata_check_integer(L, 4);
	struct strata_err err;
	int same;

	luaL_argcheck(L, from >= 0, 4, "must not be negative");
	same = strata_index_same_content(&a->owner->index, content_of(a), &b->owner->index,
	                                 content_of(b), (uint64_t)from,
	                                 max < 0 ? UINT64_MAX : (uint64_t)max, &err);
	if (same < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, same);
	return 1;
}

/* entry:replace(data) -> entry; under every name that the file has in this layer */
static int entry_replace(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	struct lua_entry *entry = check_entry(L, 1);
	struct strata_index *index = &entry->owner->index;
	uint32_t number = content_of(entry);
	struct strata_err err;

	if (strcmp(strata_entry_type_name(index->entries[number].typeflag), "file") != 0)
		return luaL_error(L, "only a file's content can be replaced, not that of a %s",
		                  strata_entry_type_name(index->entries[number].typeflag));
	if (strata_plan_content(index, number, data, len, &err) < 0)
		return strata_throw(L, &err);
	lua_settop(L, 1);
	return 1;
}

/* entry:remove() -> entry */
static int entry_remove(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);

	strata_plan_drop(&entry->owner->index, entry->number);
	lua_settop(L, 1);
	return 1;
}

/* entry:mark(): index:drop_marked will drop it */
static int entry_mark(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);

	entry->owner->index.entries[entry->number].marked = true;
	return 0;
}

/*
 * entry:follow(): the blocks of its extension headers get what was assigned, where they repeat what
 * the entry had
 */
static int entry_follow(lua_State *L)
{
	struct lua_entry *entry = check_entry(L, 1);
	struct strata_entry *e = &entry->owner->index.entries[entry->number];

	if (e->changed != 0)
		e->changed |= STRATA_TAR_REPEATED;
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
	snprintf(text, sizeof(text), "(%s, %s, %04o, %u:%u, %s)", shown,
	         strata_entry_type_name(e->typeflag), e->mode & 07777u, e->uid, e->gid, size);
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

static const luaL_Reg methods[] = {{"read", entry_read},       {"digest", entry_digest},
                                   {"replace", entry_replace}, {"same_content", entry_same_content},
                                   {"remove", entry_remove},   {"mark", entry_mark},
                                   {"follow", entry_follow},   {NULL, NULL}};

/* entry_class() -> the metatable of entries, which has their `methods`, and the names of their
 * fields */
static int module_entry_class(lua_State *L)
{
	luaL_getmetatable(L, ENTRY_TYPE);
	lua_newtable(L);
	for (size_t i = 0; i < FIELDS; i++) {
		lua_pushstring(L, field_names[i].name);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 2;
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
	for (size_t i = 0; i < FIELDS; i++) {
		lua_pushinteger(L, field_names[i].field);
		lua_setfield(L, -2, field_names[i].name);
	}
}

void strata_lua_register_entry(lua_State *L)
{
	static const luaL_Reg meta[] = {{"__tostring", entry_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"human_size", module_human_size},
	                                     {"quote", module_quote},
	                                     {"entry_class", module_entry_class},
	                                     {NULL, NULL}};

	strata_register_type(L, ENTRY_TYPE, methods, meta, NULL);
	lua_getfield(L, LUA_REGISTRYINDEX, ENTRY_TYPE);
	lua_getfield(L, -1, "__newindex");
	if (lua_isnil(L, -1)) { /* not when the module is required once more */
		push_field_table(L);
		lua_getfield(L, -3, "__index");
		lua_pushvalue(L, -1);
		lua_setfield(L, -5, "methods");
		lua_pushcclosure(L, entry_index, 2);
		lua_setfield(L, -3, "__index");
		push_field_table(L);
		lua_pushcclosure(L, entry_newindex, 1);
		lua_setfield(L, -3, "__newindex");
	}
	lua_pop(L, 2);
	strata_set_functions(L, functions);
}
