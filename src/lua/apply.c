/* strata.Apply: a directory, the layers that are to be applied to it, and what came of it. */
#include <string.h>

#include "lua/limits.h"
#include "lua/objects.h"

static void release(void *apply)
{
	strata_apply_unref(apply);
}

static struct strata_apply *check_apply(lua_State *L)
{
	return strata_check_handle(L, 1, APPLY_TYPE);
}

static bool flag_field(lua_State *L, int arg, const char *field)
{
	bool flag;

	lua_getfield(L, arg, field);
	flag = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return flag;
}

/*
 * apply(dir, {view, overlay, user_xattrs, merge, keep_partial, unprivileged, rootless, max_depth,
 *        max_removals, max_steps}) -> Apply | nil, message, code; and the options of limits.h
 */
static int apply_new(lua_State *L)
{
	const char *dir = strata_check_path(L, 1);
	struct strata_apply_options options = {0};
	const char *view;
	struct strata_handle *handle;
	struct strata_err err;
	uint64_t depth;
	size_t len;

	luaL_checktype(L, 2, LUA_TTABLE);
	view = strata_opt_field(L, 2, "view", &len);
	options.view =
	        view != NULL && strcmp(view, "spec") == 0 ? STRATA_VIEW_SPEC : STRATA_VIEW_RUNTIME;
	options.overlay = flag_field(L, 2, "overlay");
	options.user_xattrs = flag_field(L, 2, "user_xattrs");
	options.merge = flag_field(L, 2, "merge");
	options.keep_partial = flag_field(L, 2, "keep_partial");
	options.unprivileged = flag_field(L, 2, "unprivileged");
	options.rootless = flag_field(L, 2, "rootless");
	options.limits = strata_tar_limit_fields(L, 2);
	options.inflate = strata_inflate_limit_fields(L, 2);
	depth = strata_limit_field(L, 2, "max_depth");
	options.max_depth = depth < UINT32_MAX ? (uint32_t)depth : UINT32_MAX;
	options.max_removals = strata_limit_field(L, 2, "max_removals");
	options.max_steps = strata_limit_field(L, 2, "max_steps");
	handle = strata_new_handle(L, APPLY_TYPE, release);
	return strata_open_handle(L, handle, strata_apply_new(dir, &options, &err), &err);
}

static const char *digest_field(lua_State *L, const char *field)
{
	size_t len = 0;
	const char *digest = strata_opt_field(L, 2, field, &len);

	if (digest != NULL && len >= STRATA_DIGEST_MAX)
		luaL_error(L, "field '%s' is no digest", field);
	return digest != NULL ? digest : "";
}

/*
 * apply:add{label, file, offset, size, compression, digest, diff_id [, index]} -> true | nil,
 * message, code. index has the entries as they are in the blob: overlay does not scan it again.
 */
static int apply_add(lua_State *L)
{
	struct strata_apply *a = check_apply(L);
	struct strata_blob blob = {0};
	const struct strata_index *index;
	const char *label, *digest, *diff_id;
	struct strata_err err;
	size_t len;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	label = strata_opt_field(L, 2, "label", &len);
	digest = digest_field(L, "digest");
	diff_id = digest_field(L, "diff_id");
	blob.algorithm = strata_digest_algorithm(digest);
	blob.offset = strata_limit_field(L, 2, "offset");
	blob.size = strata_limit_field(L, 2, "size");
	blob.compression = strata_check_compression(L, strata_opt_field(L, 2, "compression", &len));
	lua_getfield(L, 2, "file");
	blob.file = strata_check_file(L, 3);
	lua_getfield(L, 2, "index");
	index = lua_isnil(L, 4) ? NULL : strata_check_scanned(L, 4);
	if (strata_apply_add(a, label != NULL ? label : "layer", &blob, digest, diff_id, index,
	                     &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

/* The bytes of a note's texts, each with its NUL; the last one only if there is one. */
static size_t note_len(const struct strata_apply_note *note)
{
	return strlen(note->path) + strlen(note->what) + strlen(note->code) + 3 +
	       (note->detail != NULL ? strlen(note->detail) + 1 : 0);
}

static void copy_note(const struct strata_apply_note *note, char *copy)
{
	const char *const texts[] = {note->path, note->what, note->code, note->detail};

	for (size_t i = 0; i < 4 && texts[i] != NULL; i++) {
		size_t len = strlen(texts[i]) + 1;

		memcpy(copy, texts[i], len);
		copy += len;
	}
}

/*
 * Pushes a copy of a note's texts. It is Lua's memory: when all layers have been applied, nothing
 * of ours may fail any more. A finaliser may close the Apply while Lua makes room.
 */
static const char *push_note_texts(lua_State *L, size_t i, size_t *len, size_t *layer)
{
	const struct strata_apply_note *note = &strata_apply_result(check_apply(L))->notes[i];
	char *copy;

	*len = note_len(note);
	copy = strata_newuserdata(L, *len);
	note = &strata_apply_result(check_apply(L))->notes[i];
	*layer = note->layer;
	copy_note(note, copy);
	return copy;
}

/* Pushes a note whose texts have been copied. */
static void push_note(lua_State *L, size_t layer, const char *copy, size_t len)
{
	static const char *const keys[] = {"path", "what", "code", "name"};
	size_t at = 0;

	lua_newtable(L);
	lua_pushinteger(L, (lua_Integer)layer);
	lua_setfield(L, -2, "layer");
	for (int k = 0; at < len; k++) {
		set_text(L, keys[k], copy + at);
		at += strlen(copy + at) + 1;
	}
}

static void set_count(lua_State *L, const char *key, uint64_t count)
{
	strata_push_int64(L, (int64_t)count);
	lua_setfield(L, -2, key);
}

/* apply:result() -> {entries, bytes, skipped = {...}, skipped_count}, after its job is done */
static int apply_result(lua_State *L)
{
	const struct strata_apply_result r = *strata_apply_result(check_apply(L));

	lua_settop(L, 1);
	lua_newtable(L);
	set_count(L, "entries", r.entries);
	set_count(L, "bytes", r.bytes);
	set_count(L, "skipped_count", r.note_count);
	lua_newtable(L);
	for (size_t i = 0; i < r.notes_kept; i++) {
		size_t layer, len;
		const char *texts = push_note_texts(L, i, &len, &layer);

		push_note(L, layer, texts, len);
		lua_remove(L, -2);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "skipped");
	return 1;
}

void strata_lua_register_apply(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"add", apply_add}, {"result", apply_result}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"apply", apply_new}, {NULL, NULL}};

	strata_register_type(L, APPLY_TYPE, methods, NULL, strata_close_handle);
	strata_set_functions(L, functions);
}
