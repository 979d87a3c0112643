/* strata.Apply: a directory, the layers that are to be applied to it, and what came of it. */
#include <string.h>

#include "lua/limits.h"
#include "lua/objects.h"

static struct strata_apply *check_apply(lua_State *L)
{
	struct strata_apply **a = strata_check_object(L, 1, APPLY_TYPE);

	if (*a == NULL)
		luaL_error(L, "attempt to use a closed %s", APPLY_TYPE);
	return *a;
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
 * apply(dir, {overlay, user_xattrs, merge, keep_partial, unprivileged, rootless, max_depth,
 *        max_removals, max_steps}) -> Apply | nil, message, code; and the options of limits.h
 */
static int apply_new(lua_State *L)
{
	const char *dir = strata_check_path(L, 1);
	struct strata_apply_options options = {0};
	struct strata_apply **a;
	struct strata_err err;
	uint64_t depth;

	luaL_checktype(L, 2, LUA_TTABLE);
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
	a = strata_new_object(L, APPLY_TYPE, sizeof(struct strata_apply *));
	*a = strata_apply_new(dir, &options, &err);
	return *a != NULL ? 1 : strata_push_error(L, &err);
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

static void push_note(lua_State *L, const struct strata_apply_note *note)
{
	lua_newtable(L);
	lua_pushinteger(L, (lua_Integer)note->layer);
	lua_setfield(L, -2, "layer");
	lua_pushstring(L, note->path);
	lua_setfield(L, -2, "path");
	lua_pushstring(L, note->what);
	lua_setfield(L, -2, "what");
	lua_pushstring(L, note->code);
	lua_setfield(L, -2, "code");
	if (note->detail != NULL) {
		lua_pushstring(L, note->detail);
		lua_setfield(L, -2, "name");
	}
}

/* apply:result() -> {entries, bytes, skipped = {...}, skipped_count}, after its job is done */
static int apply_result(lua_State *L)
{
	const struct strata_apply_result *r = strata_apply_result(check_apply(L));

	lua_newtable(L);
	strata_push_int64(L, (int64_t)r->entries);
	lua_setfield(L, -2, "entries");
	strata_push_int64(L, (int64_t)r->bytes);
	lua_setfield(L, -2, "bytes");
	strata_push_int64(L, (int64_t)r->note_count);
	lua_setfield(L, -2, "skipped_count");
	lua_newtable(L);
	for (size_t i = 0; i < r->notes_kept; i++) {
		push_note(L, &r->notes[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "skipped");
	return 1;
}

/* A job that works on it keeps it until its end. */
static int apply_close(lua_State *L)
{
	struct strata_apply **a = strata_check_object(L, 1, APPLY_TYPE);
	struct strata_apply *closed = *a;

	*a = NULL;
	strata_apply_unref(closed);
	return 0;
}

void strata_lua_register_apply(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"add", apply_add}, {"result", apply_result}, {"close", apply_close}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"apply", apply_new}, {NULL, NULL}};

	strata_register_type(L, APPLY_TYPE, methods, NULL, apply_close);
	strata_set_functions(L, functions);
}
