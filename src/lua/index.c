/* strata.EntryIndex: the entries of one tar, and its edit plan. */
#include <string.h>

#include "core/layer/draft.h"
#include "core/layer/path.h"
#include "core/layer/plan.h"
#include "core/tar/whiteout.h"
#include "lua/entry_fields.h"
#include "lua/limits.h"

#define EDIT_COUNTER_TYPE "strata.EditCounter" /* a uint64_t */
#define CHANGES_KEY "strata.index_changes"     /* in the registry: a uint64_t */
#define MAX_READ (64 << 20)

struct strata_lua_index *strata_check_index(lua_State *L, int arg)
{
	struct strata_lua_index *o = strata_check_object(L, arg, ENTRY_INDEX_TYPE);

	if (o->closed)
		luaL_error(L, "attempt to use a closed %s", ENTRY_INDEX_TYPE);
	if (o->index.busy)
		luaL_error(L, "the layer is in use by a save that has not ended");
	return o;
}

struct strata_index *strata_check_scanned(lua_State *L, int arg)
{
	struct strata_lua_index *o = strata_check_index(L, arg);

	if (!o->index.scanned)
		luaL_error(L, "the index has not been scanned");
	return &o->index;
}

/* Pushes a new object, all zero but for its table. */
static struct strata_lua_index *push_index(lua_State *L)
{
	struct strata_lua_index *o = strata_new_object(L, ENTRY_INDEX_TYPE, sizeof(*o));

	o->changes = strata_index_changes(L);

	/* Entries refer to their index through this table: it is their user value. */
	lua_newtable(L);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "index");
	strata_setuservalue(L, -2);
	return o;
}

static int compression_option(lua_State *L, int arg)
{
	static const char *const names[] = {"none", "gzip", "zstd", NULL};
	static const int values[] = {STRATA_NONE, STRATA_GZIP, STRATA_ZSTD};

	return values[luaL_checkoption(L, arg, "none", names)];
}

/*
 * entry_index(file, offset, size, compression [, max_read [, digest]]) -> EntryIndex, not scanned
 * yet. max_read: what entry:read() gives at most when it is not told how much. digest: the one that
 * names the blob, which is going to be hashed with its algorithm.
 */
static int index_new(lua_State *L)
{
	lua_Integer offset = strata_check_integer(L, 2);
	lua_Integer size = strata_check_integer(L, 3);
	int compression = compression_option(L, 4);
	lua_Integer max_read = lua_isnoneornil(L, 5) ? MAX_READ : strata_check_integer(L, 5);
	const char *digest = luaL_optstring(L, 6, "");
	struct strata_lua_index *o;

	strata_check_file(L, 1);
	luaL_argcheck(L, max_read >= 0, 5, "must not be negative");
	luaL_argcheck(L, offset >= 0, 2, "must not be negative");
	luaL_argcheck(L, size >= 0, 3, "must not be negative");
	o = push_index(L);
	o->max_read = (uint64_t)max_read;
	o->index.blob = (struct strata_blob){.file = strata_file_ref(strata_check_file(L, 1)),
	                                     .offset = (uint64_t)offset,
	                                     .size = (uint64_t)size,
	                                     .compression = (enum strata_compression)compression,
	                                     .algorithm = strata_digest_algorithm(digest)};
	return 1;
}

uint64_t *strata_index_changes(lua_State *L)
{
	uint64_t *changes;

	lua_getfield(L, LUA_REGISTRYINDEX, CHANGES_KEY);
	changes = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return changes;
}

/* Once for each state: what is there refers to it when the module is loaded again. */
static void make_changes(lua_State *L)
{
	if (strata_index_changes(L) != NULL)
		return;
	*(uint64_t *)lua_newuserdata(L, sizeof(uint64_t)) = 0;
	lua_setfield(L, LUA_REGISTRYINDEX, CHANGES_KEY);
}

void strata_close_index(struct strata_lua_index *o)
{
	/* The collector may finalise an index before the job that works on it; the job closes it
	 * then. */
	o->abandoned = o->index.busy;
	if (!o->closed && !o->index.busy) {
		o->closed = true;
		++*o->changes;
		strata_index_free(&o->index);
	}
}

static int index_close(lua_State *L)
{
	strata_close_index(strata_check_object(L, 1, ENTRY_INDEX_TYPE));
	return 0;
}

/* index:scan([limits as in limits.h]) -> true | nil, message, code. A job can do it, too. */
static int index_scan(lua_State *L)
{
	struct strata_lua_index *o;
	struct strata_tar_limits limits = {0};
	struct strata_inflate_limits inflate = {0};
	struct strata_err err;

	if (!lua_isnoneornil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		limits = strata_tar_limit_fields(L, 2);
		inflate = strata_inflate_limit_fields(L, 2);
	}
	o = strata_check_index(L, 1);
	if (!lua_isnoneornil(L, 2))
		o->index.inflate = inflate;
	if (!o->index.scanned && strata_index_scan(&o->index, &limits, NULL, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/*
 * index:take_draft() -> File, size, digest, diff_id, kept | nothing
 * The blob that the scan has written, when it is what index:write would make of the plan.
 */
static int index_take_draft(lua_State *L)
{
	struct strata_file **file = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	struct strata_blob_info info;

	*file = strata_draft_take(strata_check_scanned(L, 1), &info);
	if (*file == NULL)
		return 0;
	strata_push_int64(L, (int64_t)info.size);
	lua_pushstring(L, info.digest);
	lua_pushstring(L, info.diff_id);
	strata_push_int64(L, (int64_t)info.kept);
	return 5;
}

static bool is_listed(const struct strata_entry *e)
{
	return !e->dropped && e->typeflag != 'g';
}

static bool is_whiteout(const struct strata_index *index, const struct strata_entry *e)
{
	size_t base;
	enum strata_whiteout kind =
	        strata_whiteout_kind(strata_index_text(index, e->path), e->path.len, &base);

	return kind == STRATA_WHITEOUT_FILE || kind == STRATA_WHITEOUT_OPAQUE;
}

enum wanted { WANTED_LISTED, WANTED_GLOBAL, WANTED_MARKED, WANTED_WHITEOUT };

static bool is_wanted(const struct strata_index *index, const struct strata_entry *e,
                      enum wanted wanted)
{
	if (wanted == WANTED_GLOBAL)
		return !e->dropped && e->typeflag == 'g';
	return is_listed(e) && (wanted != WANTED_MARKED || e->marked) &&
	       (wanted != WANTED_WHITEOUT || is_whiteout(index, e));
}

/* The step of an iterator: upvalue 1 the index, 2 the next number, 3 which entries are wanted. */
static int entries_next(lua_State *L)
{
	enum wanted wanted = (enum wanted)lua_tointeger(L, lua_upvalueindex(3));
	struct strata_index *index;
	uint32_t i = (uint32_t)lua_tointeger(L, lua_upvalueindex(2));

	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	index = strata_check_scanned(L, 1);
	while (i < index->count && !is_wanted(index, &index->entries[i], wanted))
		i++;
	lua_pushinteger(L, (lua_Integer)i + 1);
	lua_replace(L, lua_upvalueindex(2));
	if (i >= index->count)
		return 0;
	strata_push_entry(L, 1, i);
	return 1;
}

static int push_iterator(lua_State *L, enum wanted wanted)
{
	strata_check_scanned(L, 1);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushinteger(L, (lua_Integer)wanted);
	lua_pushcclosure(L, entries_next, 3);
	return 1;
}

/* index:entries() -> iterator over the entries that are there */
static int index_entries(lua_State *L)
{
	return push_iterator(L, WANTED_LISTED);
}

/* index:globals() -> iterator over the global headers that are there, as entries */
static int index_globals(lua_State *L)
{
	return push_iterator(L, WANTED_GLOBAL);
}

/* index:marked() -> iterator over the entries that are marked */
static int index_marked(lua_State *L)
{
	return push_iterator(L, WANTED_MARKED);
}

/* index:whiteouts() -> iterator over the whiteouts and opaque markers that are there */
static int index_whiteouts(lua_State *L)
{
	return push_iterator(L, WANTED_WHITEOUT);
}

/*
 * index:mark(globs, whiteouts) -> how many entries Globs match, which are marked now. whiteouts:
 * those that hide such a path as well.
 */
static int index_mark(lua_State *L)
{
	bool whiteouts = lua_toboolean(L, 3);
	struct strata_index *index = strata_check_scanned(L, 1);
	struct strata_lua_globs *globs = strata_check_globs(L, 2);
	struct strata_err err;
	uint32_t count;

	if (strata_plan_mark_covered(index, globs->globs, whiteouts, globs->used, &count, &err) < 0)
		return strata_throw(L, &err);
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

/* index:drop_marked() -> how many entries were dropped */
static int index_drop_marked(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)strata_plan_drop_marked(strata_check_scanned(L, 1)));
	return 1;
}

/* index:unmark() */
static int index_unmark(lua_State *L)
{
	struct strata_index *index = strata_check_scanned(L, 1);

	for (uint32_t i = 0; i < index->count; i++)
		index->entries[i].marked = false;
	return 0;
}

/* index:entry(i) -> Entry | nil; from 1, dropped ones and global headers count */
static int index_entry(lua_State *L)
{
	struct strata_index *index = strata_check_scanned(L, 1);
	lua_Integer i = strata_check_integer(L, 2);

	if (i < 1 || i > (lua_Integer)index->count || !is_listed(&index->entries[i - 1]))
		return 0;
	strata_push_entry(L, 1, (uint32_t)(i - 1));
	return 1;
}

/* index:find(path) -> the last Entry of that path | nil. path is normalised first. */
static int index_find(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 2);
	size_t len;
	const char *path = luaL_checklstring(L, 2, &len);
	struct strata_index *index = strata_check_scanned(L, 1);
	struct strata_err err;
	uint32_t found;

	if (strata_buf_reserve(b, len + 1, &err) < 0)
		return strata_push_answer_error(L, &err);
	b->len = strata_path_normalise(path, len, b->data);
	if (strata_index_find(index, b->data, b->len, &found, &err) < 0)
		return strata_push_answer_error(L, &err);
	if (found == STRATA_NO_ENTRY)
		return 0;
	strata_push_entry(L, 1, found);
	return 1;
}

/* index:count() -> entries that are there, entries in all */
static int index_count(lua_State *L)
{
	const struct strata_index *index = strata_check_scanned(L, 1);
	lua_Integer listed = 0;

	for (uint32_t i = 0; i < index->count; i++)
		listed += is_listed(&index->entries[i]);
	lua_pushinteger(L, listed);
	lua_pushinteger(L, (lua_Integer)index->count);
	return 2;
}

/* index:info() -> {tar_size, end_offset, findings, diff_id | nil} */
static int index_info(lua_State *L)
{
	const struct strata_index index = *strata_check_scanned(L, 1);

	lua_newtable(L);
	strata_push_int64(L, (int64_t)index.tar_size);
	lua_setfield(L, -2, "tar_size");
	strata_push_int64(L, (int64_t)index.end_offset);
	lua_setfield(L, -2, "end_offset");
	lua_pushinteger(L, (lua_Integer)index.findings);
	lua_setfield(L, -2, "findings");
	if (index.diff_id[0] != '\0') {
		lua_pushstring(L, index.diff_id);
		lua_setfield(L, -2, "diff_id");
	}
	return 1;
}

/* Appends {finding =, offset =} for each bit to the list on top; with an entry, {entry =, name =,
 * typeflag =} too. */
static lua_Integer push_findings(lua_State *L, uint32_t bits, uint64_t offset, lua_Integer n)
{
	const char *name;

	for (unsigned bit = 0; (name = strata_tar_finding_name(bit)) != NULL; bit++) {
		if (!(bits & 1u << bit))
			continue;
		lua_newtable(L);
		lua_pushstring(L, name);
		lua_setfield(L, -2, "finding");
		strata_push_int64(L, (int64_t)offset);
		lua_setfield(L, -2, "offset");
		lua_rawseti(L, -2, (int)++n);
	}
	return n;
}

/* Appends those of entry i, which may have none. */
static lua_Integer push_entry_findings(lua_State *L, const struct strata_index *index, uint32_t i,
                                       lua_Integer n)
{
	static const enum strata_entry_field fields[] = {F_POSITION, F_NAME, F_TYPEFLAG};
	static const char *const names[] = {"entry", "name", "typeflag"};
	const struct strata_entry *e = &index->entries[i];
	lua_Integer last;

	if (e->findings == 0 || e->dropped)
		return n;
	last = push_findings(L, e->findings, e->header_offset, n);
	for (int f = 0; f < 3 && i < index->count; f++) {
		int list = lua_gettop(L);

		strata_push_entry_field(L, index, i, fields[f]);
		for (lua_Integer k = n + 1; k <= last; k++) {
			lua_rawgeti(L, list, (int)k);
			lua_pushvalue(L, -2);
			lua_setfield(L, -2, names[f]);
			lua_pop(L, 1);
		}
		lua_settop(L, list);
	}
	return last;
}

/*
 * index:findings([first [, max]]) -> what a stricter reader would not let pass,
 * from that entry on: {finding = "gnu-prefix", offset =, entry =, name =,
 * typeflag =}; then the number of the entry to go on with, nil at the end. Of
 * the tar as a whole, without entry and name, are the last ones. About max.
 */
static int index_findings(lua_State *L)
{
	const struct strata_index *index = strata_check_scanned(L, 1);
	lua_Integer first = lua_isnoneornil(L, 2) ? 1 : strata_check_integer(L, 2);
	lua_Integer max = lua_isnoneornil(L, 3) ? INT32_MAX : strata_check_integer(L, 3);
	lua_Integer n = 0;
	uint32_t i;

	luaL_argcheck(L, first >= 1, 2, "must be positive");
	luaL_argcheck(L, max >= 1, 3, "must be positive");
	lua_newtable(L);
	i = first - 1 < (lua_Integer)index->count ? (uint32_t)(first - 1) : index->count;
	for (; i < index->count && n < max; i++)
		n = push_entry_findings(L, index, i, n);
	strata_check_scanned(L, 1); /* else the list lacks what a finaliser has closed */
	if (i < index->count) {
		lua_pushinteger(L, (lua_Integer)i + 1);
		return 2;
	}
	push_findings(L, index->findings, index->end_offset, n);
	return 1;
}

/* index:revision() -> how often it was edited; 0 for one that was not, or not scanned */
static int index_revision(lua_State *L)
{
	struct strata_lua_index *o = strata_check_object(L, 1, ENTRY_INDEX_TYPE);

	lua_pushinteger(L, (lua_Integer)o->index.revision);
	return 1;
}

/* edit_counter() -> EditCounter, at 0: for indexes that are to be asked together */
static int edit_counter_new(lua_State *L)
{
	strata_new_object(L, EDIT_COUNTER_TYPE, sizeof(uint64_t));
	return 1;
}

/* counter:count() -> how often indexes were edited that it counts for */
static int edit_counter_count(lua_State *L)
{
	const uint64_t *edits = strata_check_object(L, 1, EDIT_COUNTER_TYPE);

	strata_push_int64(L, (int64_t)*edits);
	return 1;
}

/* counter:add(): something else has changed that those who ask have to know of */
static int edit_counter_add(lua_State *L)
{
	++*(uint64_t *)strata_check_object(L, 1, EDIT_COUNTER_TYPE);
	return 0;
}

/* index:count_in(counter): its edits from now on. The table of the index keeps the counter. */
static int index_count_in(lua_State *L)
{
	uint64_t *edits = strata_check_object(L, 2, EDIT_COUNTER_TYPE);

	strata_check_object(L, 1, ENTRY_INDEX_TYPE);
	strata_getuservalue(L, 1);
	lua_pushvalue(L, 2);
	lua_setfield(L, -2, "edits");
	((struct strata_lua_index *)strata_check_object(L, 1, ENTRY_INDEX_TYPE))->index.edits =
	        edits;
	return 0;
}

/* index:prepared() -> whether contents can be read without the layer being read as a whole before
 */
static int index_prepared(lua_State *L)
{
	struct strata_lua_index *o = strata_check_index(L, 1);
	struct strata_err err;

	lua_pushboolean(L, strata_index_is_prepared(&o->index, &err) == 1);
	return 1;
}

/* index:copy() -> an EntryIndex of the same entries and marks, without content */
static int index_copy(lua_State *L)
{
	struct strata_lua_index *o = (strata_check_scanned(L, 1), push_index(L));
	struct strata_err err;

	if (strata_index_copy(strata_check_scanned(L, 1), &o->index, &err) < 0)
		return strata_push_error(L, &err);
	return 1;
}

/* index:as_scanned() -> such a copy, in which nothing is dropped, marked or renamed */
static int index_as_scanned(lua_State *L)
{
	struct strata_lua_index *o = (strata_check_scanned(L, 1), push_index(L));
	struct strata_err err;

	if (strata_index_copy(strata_check_scanned(L, 1), &o->index, &err) < 0)
		return strata_push_error(L, &err);
	strata_index_restore_names(&o->index);
	return 1;
}

/* index:lost_names() -> whether an entry was dropped, whether a path or a linkpath was assigned */
static int index_lost_names(lua_State *L)
{
	const struct strata_index *index = strata_check_scanned(L, 1);
	bool dropped = false;

	for (uint32_t i = 0; i < index->count && !dropped; i++)
		dropped = index->entries[i].dropped;
	lua_pushboolean(L, dropped);
	lua_pushboolean(L, index->former_count > 0);
	return 2;
}

/* index:dangling() -> an array of the hardlinks to files that the tar does not have by their names
 */
static int index_dangling(lua_State *L)
{
	struct strata_index *index = strata_check_scanned(L, 1);
	int n = 0;

	lua_newtable(L);
	for (uint32_t i = 0; i < index->count; i++) {
		if (!is_listed(&index->entries[i]) || !strata_index_is_dangling(index, i))
			continue;
		strata_push_entry(L, 1, i);
		lua_rawseti(L, 2, ++n);
		lua_settop(L, 2);
	}
	return 1;
}

/* index:tar() -> a File that has the plain tar, and its offset there | nil: it is not inflated */
static int index_tar(lua_State *L)
{
	struct strata_file **slot = strata_new_object(L, FILE_TYPE, sizeof(struct strata_file *));
	const struct strata_index *index = strata_check_scanned(L, 1);
	struct strata_file *file = index->plain;

	if (file == NULL && index->blob.compression == STRATA_NONE)
		file = index->blob.file;
	if (file == NULL)
		return 0;
	*slot = strata_file_ref(file);
	strata_push_int64(L, file == index->plain ? 0 : (int64_t)index->blob.offset);
	return 2;
}

static int index_tostring(lua_State *L)
{
	struct strata_lua_index *o = strata_check_object(L, 1, ENTRY_INDEX_TYPE);

	if (o->closed || o->index.busy)
		lua_pushfstring(L, "%s(%s)", ENTRY_INDEX_TYPE, o->closed ? "closed" : "in use");
	else
		lua_pushfstring(L, "%s(%d entries)", ENTRY_INDEX_TYPE, (int)o->index.count);
	return 1;
}

void strata_lua_register_index(lua_State *L)
{
	static const luaL_Reg methods[] = {{"scan", index_scan},
	                                   {"entries", index_entries},
	                                   {"globals", index_globals},
	                                   {"entry", index_entry},
	                                   {"find", index_find},
	                                   {"count", index_count},
	                                   {"info", index_info},
	                                   {"findings", index_findings},
	                                   {"revision", index_revision},
	                                   {"take_draft", index_take_draft},
	                                   {"count_in", index_count_in},
	                                   {"copy", index_copy},
	                                   {"as_scanned", index_as_scanned},
	                                   {"lost_names", index_lost_names},
	                                   {"dangling", index_dangling},
	                                   {"prepared", index_prepared},
	                                   {"unmark", index_unmark},
	                                   {"tar", index_tar},
	                                   {"drop_marked", index_drop_marked},
	                                   {"mark", index_mark},
	                                   {"marked", index_marked},
	                                   {"whiteouts", index_whiteouts},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", index_tostring}, {NULL, NULL}};
	static const luaL_Reg counter[] = {
	        {"count", edit_counter_count}, {"add", edit_counter_add}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"entry_index", index_new}, {"edit_counter", edit_counter_new}, {NULL, NULL}};

	make_changes(L);
	strata_register_type(L, ENTRY_INDEX_TYPE, methods, meta, index_close);
	strata_register_type(L, EDIT_COUNTER_TYPE, counter, NULL, NULL);
	strata_set_functions(L, functions);
}
