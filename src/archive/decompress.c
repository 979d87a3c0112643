/*
 * Files that are compressed as a whole, in ways that the core does not know, and rpm packages,
 * whose headers stand before a compressed cpio archive.
 *
 *   ---@class strata.archive.Decompressor
 *
 *   -- Exactly one layer of compression is taken off: nothing is guessed. More than the named one,
 *   -- less than a whole stream, or anything behind it, is an error of read(). gzip and zstd are
 *   -- the core's.
 *   ---@param source string|strata.File  a path, or an object with fileno() and name()
 *   ---@param compression "xz"|"bzip2"|"lz4"|"lzma"|"rpm"
 *   ---@param opts? {max_bytes?: integer, max_ratio?: integer, max_dictionary?: integer}
 *   -- max_bytes: of output, default 1 TiB; max_ratio: of output to input beyond the first 256 MiB,
 *   -- default 2000; max_dictionary: of xz and lzma, default 64 MiB
 *   ---@return strata.archive.Decompressor?
 *   ---@return string? message
 *   ---@return string? code  "EFORMAT" when it does not begin like that; "ELIMIT": the dictionary
 *   function archive.decompress(source, compression, opts) end
 *
 *   ---@param size? integer  default 256 KiB, at most 16 MiB
 *   ---@return string? bytes  as many, or fewer at the end; nil alone when there are no more
 *   ---@return string? message
 *   ---@return string? code  "EFORMAT" truncated or damaged, "ELIMIT" more than that
 *   function Decompressor:read(size) end
 *
 *   ---@return integer  bytes of the source that were taken in so far
 *   function Decompressor:consumed() end
 *
 *   function Decompressor:close() end
 */
#include <archive_entry.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/dictionary.h"
#include "archive/module.h"
#include "core/codec/codec.h"

#define TYPE "strata.archive.Decompressor"

#define OUT_BYTES ((lua_Integer)256 << 10)
#define MAX_OUT_BYTES ((lua_Integer)16 << 20)
#define DEFAULT_MAX_BYTES ((lua_Number)STRATA_INFLATE_BYTES)
#define DEFAULT_MAX_RATIO ((lua_Number)STRATA_INFLATE_RATIO)
#define DEFAULT_DICTIONARY ((lua_Number)STRATA_DICTIONARY_DEFAULT)

/*
 * The compressions that libarchive decodes inside this process. It is told
 * which one to expect, so that it does not try others, and then does not check
 * the first bytes: they are checked here. Without gzip, whose checksum it
 * ignores, compress, with which it reads before the source is open, and lzip, whose dictionaries
 * it does not limit.
 */
static const struct compression {
	const char *name;
	int filter;
	const char *magic;
	size_t magic_len;
} compressions[] = {
        {"bzip2", ARCHIVE_FILTER_BZIP2, "BZh", 3},
        {"lz4", ARCHIVE_FILTER_LZ4, "\x04\x22\x4d\x18", 4},
        {"lzma", ARCHIVE_FILTER_LZMA, "", 0},
        {"rpm", ARCHIVE_FILTER_RPM, "\xed\xab\xee\xdb", 4},
        {"xz", ARCHIVE_FILTER_XZ, "\xfd\x37\x7a\x58\x5a\x00", 6},
};

struct decompressor {
	struct strata_source source;
	char *name; /* what messages call the source, quoted */
	uint64_t total;
	uint64_t max_bytes;
	uint64_t max_ratio;
	uint64_t max_dictionary;
	bool ended;
	bool failed; /* with `err` */
	struct strata_err err;
};

static void release(struct decompressor *d)
{
	strata_source_close(&d->source);
	free(d->name);
	d->name = NULL;
}

static int decompressor_close(lua_State *L)
{
	release(strata_check_object(L, 1, TYPE));
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

static int set_name(struct decompressor *d, const char *name, size_t len, struct strata_err *err)
{
	char quoted[256];

	d->name = strdup(strata_quote(quoted, sizeof(quoted), name, len));
	return d->name ? 0 : strata_fail_nomem(err);
}

static int start(struct decompressor *d, const struct compression *c, struct strata_err *err)
{
	struct archive *a = d->source.archive;
	struct archive_entry *e;
	char magic[8];

	if (pread(d->source.fd_plus_one - 1, magic, c->magic_len, 0) != (ssize_t)c->magic_len ||
	    memcmp(magic, c->magic, c->magic_len) != 0)
		return strata_fail(err, "EFORMAT", "%s: not compressed with %s", d->name, c->name);
	if ((c->filter == ARCHIVE_FILTER_XZ || c->filter == ARCHIVE_FILTER_LZMA) &&
	    strata_archive_check_dictionary(d->source.fd_plus_one - 1, d->source.end,
	                                    c->filter == ARCHIVE_FILTER_XZ, d->max_dictionary,
	                                    d->name, err) < 0)
		return -1;
	if (archive_read_append_filter(a, c->filter) != ARCHIVE_OK ||
	    archive_read_set_format(a, ARCHIVE_FORMAT_RAW) != ARCHIVE_OK ||
	    archive_read_open1(a) != ARCHIVE_OK || archive_read_next_header(a, &e) != ARCHIVE_OK) {
		strata_archive_fail(a, err);
		return strata_err_wrap(err, "%s", d->name);
	}
	return 0;
}

static const struct compression *check_compression(lua_State *L, int arg)
{
	const char *name = luaL_checkstring(L, arg);

	for (size_t i = 0; i < sizeof(compressions) / sizeof(compressions[0]); i++)
		if (strcmp(compressions[i].name, name) == 0)
			return &compressions[i];
	luaL_argerror(L, arg, lua_pushfstring(L, "unknown compression '%s'", name));
	return NULL;
}

/* decompress(source, compression [, opts]) -> Decompressor | nil, message, code */
static int decompress(lua_State *L)
{
	const bool is_path = lua_type(L, 1) == LUA_TSTRING;
	const char *path = is_path ? strata_check_path(L, 1) : NULL;
	const struct compression *c = check_compression(L, 2);
	uint64_t max_bytes = strata_source_limit(L, 3, "max_bytes", DEFAULT_MAX_BYTES);
	uint64_t max_ratio = strata_source_limit(L, 3, "max_ratio", DEFAULT_MAX_RATIO);
	uint64_t max_dictionary = strata_source_limit(L, 3, "max_dictionary", DEFAULT_DICTIONARY);
	struct decompressor *d;
	struct strata_err err;
	int rc;

	if (!is_path)
		strata_source_check_file(L, 1);
	lua_settop(L, 1);
	d = strata_new_object(L, TYPE, sizeof(*d));
	d->max_bytes = max_bytes;
	d->max_ratio = max_ratio > 0 ? max_ratio : 1;
	d->max_dictionary = max_dictionary;
	if (is_path) {
		rc = set_name(d, path, strlen(path), &err);
		if (rc == 0)
			rc = strata_source_path(&d->source, path, d->name, &err);
	} else {
		size_t len;
		const char *name;

		lua_getfield(L, 1, "name");
		lua_pushvalue(L, 1);
		lua_call(L, 1, 1);
		name = luaL_checklstring(L, 3, &len);
		rc = set_name(d, name, len, &err);
		if (rc == 0)
			rc = strata_source_descriptor(&d->source, strata_source_check_file(L, 1),
			                              d->name, &err);
		lua_settop(L, 2);
	}
	if (rc == 0)
		rc = start(d, c, &err);
	if (rc == 0)
		return 1;
	release(d);
	return strata_push_error(L, &err);
}

/* ---- reading ----------------------------------------------------------- */

/* At the end of the stream: libarchive does not say whether the source goes on behind it. */
static int check_end(struct decompressor *d, struct strata_err *err)
{
	int64_t left = d->source.end - archive_filter_bytes(d->source.archive, -1);

	d->ended = true;
	if (left > 0)
		return strata_fail(err, "EFORMAT", "%s: %lld bytes behind the end of the stream",
		                   d->name, (long long)left);
	return 0;
}

/* Up to size bytes into out. */
static int fill(struct decompressor *d, struct strata_buf *out, size_t size, struct strata_err *err)
{
	la_ssize_t n;

	if (d->ended)
		return 0;
	if (strata_buf_reserve(out, size, err) < 0)
		return -1;
	n = archive_read_data(d->source.archive, out->data, size);
	if (n < 0) {
		strata_archive_fail(d->source.archive, err);
		return strata_err_wrap(err, "%s", d->name);
	}
	out->len = (size_t)n;
	d->total += (uint64_t)n;
	if (d->total > d->max_bytes)
		return strata_fail(err, "ELIMIT",
		                   "%s: inflates to more than %llu bytes (max_bytes)", d->name,
		                   (unsigned long long)d->max_bytes);
	if (d->total > STRATA_INFLATE_RATIO_FREE &&
	    d->total / d->max_ratio >= (uint64_t)archive_filter_bytes(d->source.archive, -1))
		return strata_fail(err, "ELIMIT",
		                   "%s: inflates to more than %llu times its size (max_ratio)",
		                   d->name, (unsigned long long)d->max_ratio);
	return n < (la_ssize_t)size ? check_end(d, err) : 0;
}

static struct decompressor *check_open(lua_State *L, int arg)
{
	struct decompressor *d = strata_check_object(L, arg, TYPE);

	if (d->source.archive == NULL)
		luaL_error(L, "attempt to use a closed %s", TYPE);
	return d;
}

static int decompressor_read(lua_State *L)
{
	struct strata_buf *out = strata_begin_buffer(L, 2);
	struct decompressor *d = check_open(L, 1);
	lua_Integer size = lua_isnil(L, 2) ? OUT_BYTES : strata_check_integer(L, 2);

	luaL_argcheck(L, size > 0 && size <= MAX_OUT_BYTES, 2, "between 1 and 16 MiB expected");
	if (!d->failed)
		d->failed = fill(d, out, (size_t)size, &d->err) < 0;
	if (d->failed)
		return strata_push_error(L, &d->err);
	if (out->len > 0)
		return strata_push_contents(L, out);
	lua_pushnil(L);
	return 1;
}

static int decompressor_consumed(lua_State *L)
{
	struct decompressor *d = check_open(L, 1);

	strata_push_int64(L, archive_filter_bytes(d->source.archive, -1));
	return 1;
}

static int decompressor_tostring(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);
	struct decompressor *d = strata_check_object(L, 1, TYPE);

	return strata_push_title(L, copy, TYPE, d->name);
}

void strata_archive_register_decompress(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"read", decompressor_read}, {"consumed", decompressor_consumed}, {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", decompressor_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"decompress", decompress}, {NULL, NULL}};

	strata_register_type(L, TYPE, methods, meta, decompressor_close);
	strata_set_functions(L, functions);
}
