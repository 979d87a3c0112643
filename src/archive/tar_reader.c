/*
 * The second reader: the entries of a plain tar as libarchive sees them.
 *
 *   ---@class strata.archive.TarReader
 *
 *   ---@param file strata.File  an object with fileno()
 *   ---@param offset integer  where the tar begins in it
 *   ---@param size integer
 *   ---@return strata.archive.TarReader?
 *   ---@return string? message
 *   ---@return string? code
 *   function archive.tar_reader(file, offset, size) end
 *
 *   ---@return {name: string?, type: string, size: integer?, linkpath: string?}?  nil alone at the
 * end
 *   ---@return string? message
 *   ---@return string? code
 *   function TarReader:next() end
 *
 *   function TarReader:close() end
 *
 * No other format and no compression is tried, so that the list is libarchive's
 * reading of these very bytes. Payloads are skipped.
 */
#include <archive_entry.h>

#include "archive/module.h"

#define TYPE "strata.archive.TarReader"

struct tar_reader {
	struct strata_source source;
	bool ended;
};

static int reader_close(lua_State *L)
{
	strata_source_close(&((struct tar_reader *)strata_check_object(L, 1, TYPE))->source);
	return 0;
}

static int reader_gc(lua_State *L)
{
	strata_source_free(&((struct tar_reader *)strata_check_object(L, 1, TYPE))->source);
	return 0;
}

static int start(struct tar_reader *r, int fd, int64_t offset, int64_t size, struct strata_err *err)
{
	struct archive *a;

	if (strata_source_descriptor(&r->source, fd, "second reader", err) < 0)
		return -1;
	r->source.at = offset;
	r->source.end = offset + size;
	a = r->source.archive;
	if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_support_format_empty(a) != ARCHIVE_OK ||
	    archive_read_open1(a) != ARCHIVE_OK)
		return strata_archive_fail(a, err);
	return 0;
}

static void push_entry(lua_State *L, struct archive_entry *e)
{
	const char *hardlink = archive_entry_hardlink(e);

	lua_newtable(L);
	strata_archive_set_string(L, "name", archive_entry_pathname(e));
	strata_archive_set_string(L, "type", strata_archive_type_name(e));
	strata_archive_set_string(L, "linkpath", hardlink ? hardlink : archive_entry_symlink(e));
	if (archive_entry_size_is_set(e)) {
		strata_push_int64(L, archive_entry_size(e));
		lua_setfield(L, -2, "size");
	}
}

/* tar_reader(file, offset, size) -> TarReader | nil, message, code */
static int tar_reader(lua_State *L)
{
	lua_Integer offset = strata_check_integer(L, 2);
	lua_Integer size = strata_check_integer(L, 3);
	struct tar_reader *r;
	struct strata_err err;

	luaL_argcheck(L, offset >= 0, 2, "must not be negative");
	luaL_argcheck(L, size >= 0 && size <= INT64_MAX - offset, 3, "out of range");
	lua_settop(L, 1);
	r = strata_new_object(L, TYPE, sizeof(*r));
	if (start(r, strata_source_check_file(L, 1), offset, size, &err) == 0)
		return 1;
	strata_source_close(&r->source);
	return strata_push_error(L, &err);
}

static int reader_next(lua_State *L)
{
	struct tar_reader *r = strata_check_object(L, 1, TYPE);
	struct archive_entry *e;
	struct strata_err err;
	int rc = ARCHIVE_EOF;

	if (r->source.users > 0)
		return luaL_error(L, "the %s is in use", TYPE);
	if (!r->ended && r->source.archive == NULL)
		return luaL_error(L, "attempt to use a closed %s", TYPE);
	if (!r->ended)
		rc = archive_read_next_header(r->source.archive, &e);
	if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		strata_source_use(&r->source);
		push_entry(L, e);
		strata_source_release(&r->source);
		return 1;
	}
	if (rc != ARCHIVE_EOF)
		strata_archive_fail(r->source.archive, &err);
	r->ended = true;
	strata_source_close(&r->source);
	if (rc != ARCHIVE_EOF)
		return strata_push_error(L, &err);
	lua_pushnil(L);
	return 1;
}

void strata_archive_register_tar_reader(lua_State *L)
{
	static const luaL_Reg methods[] = {{"next", reader_next}, {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__gc", reader_gc}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"tar_reader", tar_reader}, {NULL, NULL}};

	strata_register_type(L, TYPE, methods, meta, reader_close);
	strata_set_functions(L, functions);
}
