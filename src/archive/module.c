/*
 * strata.archive: files as libarchive reads them. A module of its own, so that
 * nothing else links libarchive.
 *
 * Names are the bytes that libarchive gives for the encoding of the C locale;
 * its complaints about converting them are warnings of the entry. All handles
 * belong to a userdata, so that they are freed after a Lua error.
 */
#include <string.h>

#include "archive/module.h"
#include "core/base/digest.h"

#define READER "strata.archive.reader"

/* Bytes of one entry's content, holes included, that are hashed: 64 GiB. */
#define MAX_CONTENT ((int64_t)1 << 36)

struct reader {
	struct strata_source source;
	struct strata_digest *digest; /* NULL: contents are not hashed */
};

static int reader_close(lua_State *L)
{
	struct reader *r = strata_check_object(L, 1, READER);

	strata_source_close(&r->source);
	strata_digest_free(r->digest);
	r->digest = NULL;
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

/*
 * All formats and filters that work inside this process: no filter that starts
 * a program, and no mtree, which takes any text and may open other files.
 */
static int (*const supports[])(struct archive *) = {
        archive_read_support_filter_gzip,     archive_read_support_filter_bzip2,
        archive_read_support_filter_compress, archive_read_support_filter_lzma,
        archive_read_support_filter_lzip,     archive_read_support_filter_xz,
        archive_read_support_filter_lz4,      archive_read_support_filter_zstd,
        archive_read_support_filter_uu,       archive_read_support_filter_rpm,
        archive_read_support_format_tar,      archive_read_support_format_cpio,
        archive_read_support_format_ar,       archive_read_support_format_zip,
        archive_read_support_format_7zip,     archive_read_support_format_cab,
        archive_read_support_format_iso9660,  archive_read_support_format_lha,
        archive_read_support_format_rar,      archive_read_support_format_rar5,
        archive_read_support_format_warc,     archive_read_support_format_xar,
        archive_read_support_format_empty,
};

int strata_archive_support(struct archive *a, struct strata_err *err)
{
	for (size_t i = 0; i < sizeof(supports) / sizeof(supports[0]); i++)
		if (supports[i](a) == ARCHIVE_FATAL)
			return strata_archive_fail(a, err);
	return 0;
}

static int reader_open(struct reader *r, const char *path, bool digest, struct strata_err *err)
{
	if (digest) {
		r->digest = strata_digest_new(STRATA_SHA256, err);
		if (!r->digest)
			return -1;
	}
	if (strata_source_path(&r->source, path, "open", err) < 0 ||
	    strata_archive_support(r->source.archive, err) < 0)
		return -1;
	if (archive_read_open1(r->source.archive) != ARCHIVE_OK)
		return strata_archive_fail(r->source.archive, err);
	return 0;
}

/* ---- content ----------------------------------------------------------- */

static int hash_zeros(struct reader *r, int64_t n, struct strata_err *err)
{
	static const char zeros[4096];

	while (n > 0) {
		size_t len = n < (int64_t)sizeof(zeros) ? (size_t)n : sizeof(zeros);

		if (strata_digest_update(r->digest, zeros, len, err) < 0)
			return -1;
		n -= (int64_t)len;
	}
	return 0;
}

/* The digest of the current entry's content; holes read as zeros. */
static int hash_content(struct reader *r, struct archive_entry *e, char out[STRATA_DIGEST_MAX],
                        struct strata_err *err)
{
	const void *block;
	size_t len;
	int64_t offset, done = 0;
	int rc;

	while ((rc = archive_read_data_block(r->source.archive, &block, &len, &offset)) ==
	               ARCHIVE_OK ||
	       rc == ARCHIVE_WARN) {
		if (offset < done || offset > MAX_CONTENT || (int64_t)len > MAX_CONTENT - offset)
			return strata_fail(err, "ELIMIT", "content of more than 64 GiB");
		if (hash_zeros(r, offset - done, err) < 0 ||
		    strata_digest_update(r->digest, block, len, err) < 0)
			return -1;
		done = offset + (int64_t)len;
	}
	if (rc != ARCHIVE_EOF)
		return strata_archive_fail(r->source.archive, err);
	if (archive_entry_size_is_set(e) && archive_entry_size(e) > done) {
		if (archive_entry_size(e) > MAX_CONTENT)
			return strata_fail(err, "ELIMIT", "content of more than 64 GiB");
		if (hash_zeros(r, archive_entry_size(e) - done, err) < 0)
			return -1;
	}
	return strata_digest_final(r->digest, out, err);
}

bool strata_archive_has_content(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return archive_entry_size_is_set(e) && archive_entry_size(e) > 0;
	return archive_entry_filetype(e) == AE_IFREG;
}

/* ---- entries as tables ------------------------------------------------- */

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

static void set_mtime(lua_State *L, struct archive_entry *e)
{
	long nsec = archive_entry_mtime_nsec(e);

	if (!archive_entry_mtime_is_set(e))
		return;
	if (nsec == 0) {
		set_int64(L, "mtime", archive_entry_mtime(e));
	} else {
		lua_pushnumber(L, (lua_Number)archive_entry_mtime(e) + (lua_Number)nsec / 1e9);
		lua_setfield(L, -2, "mtime");
	}
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
	set_mtime(L, e);
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

static void set_warning(lua_State *L, struct archive *a)
{
	char text[512];

	strata_archive_message(text, sizeof(text), a);
	lua_newtable(L);
	lua_pushstring(L, text);
	lua_rawseti(L, -2, 1);
	lua_setfield(L, -2, "warning");
}

/*
 * Pushes a table for the next entry. 1 an entry, 0 the end, -1 an error with
 * nothing pushed that matters.
 */
static int push_entry(lua_State *L, struct reader *r, struct strata_err *err)
{
	struct archive_entry *e;
	char digest[STRATA_DIGEST_MAX];
	int rc = archive_read_next_header(r->source.archive, &e);

	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
		return strata_archive_fail(r->source.archive, err);
	lua_newtable(L);
	strata_archive_set_metadata(L, e);
	if (rc == ARCHIVE_WARN)
		set_warning(L, r->source.archive);
	if (r->digest && strata_archive_has_content(e)) {
		if (hash_content(r, e, digest, err) < 0)
			return -1;
		strata_archive_set_string(L, "digest", digest);
	}
	return 1;
}

/* entries(path [, {digest = boolean}]) -> array of tables | nil, message, code */
static int archive_entries(lua_State *L)
{
	size_t path_len;
	const char *path = luaL_checklstring(L, 1, &path_len);
	bool digest = false;
	struct strata_err err;
	struct reader *r;
	lua_Integer n = 0;
	int rc;

	luaL_argcheck(L, strlen(path) == path_len, 1, "a path cannot hold a NUL byte");
	if (!lua_isnoneornil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		lua_getfield(L, 2, "digest");
		digest = lua_toboolean(L, -1);
	}
	lua_settop(L, 1);
	r = strata_new_object(L, READER, sizeof(*r));
	lua_newtable(L);
	rc = reader_open(r, path, digest, &err);
	if (rc == 0)
		while ((rc = push_entry(L, r, &err)) > 0)
			lua_rawseti(L, 3, (int)++n);
	lua_pushcfunction(L, reader_close);
	lua_pushvalue(L, 2);
	lua_call(L, 1, 0);
	if (rc < 0) {
		char quoted[256];

		strata_quote(quoted, sizeof(quoted), path, path_len);
		if (n > 0)
			strata_err_wrap(&err, "archive %s: behind entry %d", quoted, (int)n);
		else
			strata_err_wrap(&err, "archive %s", quoted);
		return strata_push_error(L, &err);
	}
	lua_settop(L, 3);
	return 1;
}

static const luaL_Reg functions[] = {
        {"entries", archive_entries},
        {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_strata_archive(lua_State *L);

int luaopen_strata_archive(lua_State *L)
{
	strata_register_type(L, READER, NULL, NULL, reader_close);
	lua_newtable(L);
	strata_set_functions(L, functions);
	strata_archive_register_decompress(L);
	strata_archive_register_contents(L);
	strata_archive_register_tar_reader(L);
	lua_pushstring(L, archive_version_string());
	lua_setfield(L, -2, "_LIBARCHIVE");
	return 1;
}
