/*
 * What is in an archive of any format, one entry after the other, with the
 * content written straight into a file. Of compressions of the archive as a whole only those of
 * compress and uuencode are undone: archive.decompress and the core have the others, with limits.
 *
 *   ---@class strata.archive.Contents
 *
 *   ---@param source strata.File  any object with fileno() and name()
 *   ---@param opts? {max_bytes?: integer, max_dictionary?: integer}  max_bytes: of all contents
 *   -- together, default 64 GiB; max_dictionary: that a decoder of the format may want, default 64
 * MiB
 *   ---@return strata.archive.Contents?
 *   ---@return string? message
 *   ---@return string? code  "ELIMIT" when it is of a format that may want a larger dictionary
 *   function archive.contents(source, opts) end
 *
 *   ---@return strata.archive.Entry?  nil at the end
 *   ---@return string? message
 *   ---@return string? code  "EUNSUPPORTED" when it is encrypted
 *   function Contents:next() end
 *
 *   ---@param to strata.File  whose descriptor is written to
 *   ---@param offset integer
 *   ---@return integer? size  of the content of the entry that came last; holes are zeros
 *   ---@return string? message
 *   ---@return string? code
 *   function Contents:copy(to, offset) end
 *
 *   ---@return string  "ar", "empty" or "other"; known from the first entry on
 *   function Contents:format() end
 *
 *   function Contents:close() end
 *
 *   ---@class strata.archive.Entry
 *   ---@field path string?
 *   ---@field type strata.EntryType|"socket"
 *   ---@field mode integer
 *   ---@field uid integer
 *   ---@field gid integer
 *   ---@field uname string?
 *   ---@field gname string?
 *   ---@field size integer?  bytes
 *   ---@field mtime integer?  seconds
 *   ---@field mtime_nsec integer
 *   ---@field linkpath string?
 *   ---@field major integer?
 *   ---@field minor integer?
 *   ---@field xattrs table<string, string>
 *   ---@field content boolean  whether it has one
 */
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/dictionary.h"
#include "archive/module.h"

#define TYPE "strata.archive.Contents"

#define DEFAULT_DICTIONARY ((lua_Number)STRATA_DICTIONARY_DEFAULT)
#define DEFAULT_MAX_BYTES ((lua_Number)((int64_t)1 << 36))

struct contents {
	struct strata_source source;
	struct archive_entry *entry; /* the last one; libarchive's */
	locale_t names;              /* that names are converted in; 0: the process's */
	uint64_t total;
	uint64_t max_bytes;
	uint64_t max_dictionary;
};

static int contents_close(lua_State *L)
{
	strata_source_close(&((struct contents *)strata_check_object(L, 1, TYPE))->source);
	return 0;
}

static int contents_gc(lua_State *L)
{
	struct contents *c = strata_check_object(L, 1, TYPE);

	strata_source_free(&c->source);
	if (c->names)
		freelocale(c->names);
	c->names = (locale_t)0;
	return 0;
}

static struct contents *check_open(lua_State *L, int arg)
{
	struct contents *c = strata_check_object(L, arg, TYPE);

	if (c->source.archive == NULL || c->source.closing)
		luaL_error(L, "attempt to use a closed %s", TYPE);
	if (c->source.users > 0)
		luaL_error(L, "the %s is in use", TYPE);
	return c;
}

/*
 * Names that a format stores as Unicode come out as UTF-8 whatever the locale
 * of the process is. The thread's locale is that only while libarchive works.
 */
static locale_t enter(const struct contents *c)
{
	return c->names ? uselocale(c->names) : (locale_t)0;
}

static void leave(locale_t before)
{
	if (before)
		uselocale(before);
}

/* ---- opening ----------------------------------------------------------- */

/*
 * The formats and filters that work inside this process with little memory: no filter that starts
 * a program or has a dictionary, and no mtree, which takes any text and may open other files.
 */
static int (*const supports[])(struct archive *) = {
        archive_read_support_filter_compress, archive_read_support_filter_uu,
        archive_read_support_format_tar,      archive_read_support_format_cpio,
        archive_read_support_format_ar,       archive_read_support_format_zip,
        archive_read_support_format_cab,      archive_read_support_format_iso9660,
        archive_read_support_format_lha,      archive_read_support_format_warc,
        archive_read_support_format_empty,
};

/*
 * Formats whose decoders take as much as the archive says, and how much that can be. It stands
 * where only these decoders find it, so they are not to be had with less.
 */
static const struct hungry {
	int (*support)(struct archive *);
	const char *name;
	const char *magic;
	size_t magic_len;
	uint64_t dictionary;
} hungry[] = {
        {archive_read_support_format_7zip, "7z", "7z\xbc\xaf\x27\x1c", 6, (uint64_t)4 << 30},
        {archive_read_support_format_xar, "xar", "xar!", 4, (uint64_t)1 << 30},
        {archive_read_support_format_rar, "rar", "Rar!\x1a\x07\x00", 7, (uint64_t)256 << 20},
        {archive_read_support_format_rar5, "rar", "Rar!\x1a\x07\x01", 7, (uint64_t)64 << 20},
};

/* The same for the methods of zip, as libarchive names them. */
static const struct {
	const char *name;
	uint64_t dictionary;
} zip_methods[] = {
        {"(lzma)", (uint64_t)4 << 30},
        {"(xz)", (uint64_t)4 << 30},
        {"(ppmd-8)", (uint64_t)256 << 20},
        {"(zstd)", (uint64_t)128 << 20},
};

static int check_dictionary(const struct contents *c, const char *what, uint64_t dictionary,
                            struct strata_err *err)
{
	if (dictionary <= c->max_dictionary)
		return 0;
	return strata_fail(err, "ELIMIT",
	                   "%s may want a dictionary of %llu bytes, more than limits.dictionary "
	                   "(%llu)",
	                   what, (unsigned long long)dictionary,
	                   (unsigned long long)c->max_dictionary);
}

static int support_format(struct contents *c, const struct hungry *h, struct strata_err *err)
{
	char magic[8] = "";
	struct strata_err refusal;

	if (check_dictionary(c, h->name, h->dictionary, &refusal) == 0)
		return h->support(c->source.archive) != ARCHIVE_FATAL
		               ? 0
		               : strata_archive_fail(c->source.archive, err);
	if (pread(c->source.fd_plus_one - 1, magic, h->magic_len, 0) == (ssize_t)h->magic_len &&
	    memcmp(magic, h->magic, h->magic_len) == 0) {
		*err = refusal;
		return -1;
	}
	return 0;
}

static int start(struct contents *c, int fd, struct strata_err *err)
{
	struct archive *a;

	if (strata_source_descriptor(&c->source, fd, "open", err) < 0)
		return -1;
	a = c->source.archive;
	for (size_t i = 0; i < sizeof(supports) / sizeof(supports[0]); i++)
		if (supports[i](a) == ARCHIVE_FATAL)
			return strata_archive_fail(a, err);
	for (size_t i = 0; i < sizeof(hungry) / sizeof(hungry[0]); i++)
		if (support_format(c, &hungry[i], err) < 0)
			return -1;
	return archive_read_open1(a) == ARCHIVE_OK ? 0 : strata_archive_fail(a, err);
}

static int contents_new(lua_State *L)
{
	uint64_t max_bytes = strata_source_limit(L, 2, "max_bytes", DEFAULT_MAX_BYTES);
	uint64_t max_dictionary = strata_source_limit(L, 2, "max_dictionary", DEFAULT_DICTIONARY);
	struct contents *c;
	struct strata_err err;
	locale_t before;
	int status, fd;

	lua_settop(L, 1);
	c = strata_new_object(L, TYPE, sizeof(*c));
	fd = strata_source_check_file(L, 1);
	c->max_bytes = max_bytes;
	c->max_dictionary = max_dictionary;
	c->names = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	before = enter(c);
	status = start(c, fd, &err);
	leave(before);
	return status == 0 ? 1 : strata_push_error(L, &err);
}

/* ---- entries ----------------------------------------------------------- */

/* The error of libarchive; EUNSUPPORTED when it is for want of a password. */
static int fail_reading(struct contents *c, struct strata_err *err)
{
	const char *text = archive_error_string(c->source.archive);

	if (archive_read_has_encrypted_entries(c->source.archive) > 0 ||
	    (text && (strstr(text, "ncrypted") || strstr(text, "assphrase"))))
		return strata_fail(err, "EUNSUPPORTED", "encrypted");
	return strata_archive_fail(c->source.archive, err);
}

static void set_flags(lua_State *L, struct archive_entry *e)
{
	lua_pushboolean(L, strata_archive_has_content(e));
	lua_setfield(L, -2, "content");
	lua_pushinteger(L, (lua_Integer)archive_entry_mtime_nsec(e));
	lua_setfield(L, -2, "mtime_nsec");
	if (archive_entry_mtime_is_set(e)) {
		strata_push_int64(L, archive_entry_mtime(e));
		lua_setfield(L, -2, "mtime");
	}
	if (!archive_entry_hardlink(e) && archive_entry_filetype(e) == AE_IFSOCK) {
		lua_pushliteral(L, "socket");
		lua_setfield(L, -2, "type");
	}
}

/* Whether the entry may be decoded. Of a zip file only its header tells how. */
static int check_entry(const struct contents *c, struct strata_err *err)
{
	const char *format = archive_format_name(c->source.archive);

	if (archive_entry_is_encrypted(c->entry))
		return strata_fail(err, "EUNSUPPORTED", "encrypted");
	for (size_t i = 0; i < sizeof(zip_methods) / sizeof(zip_methods[0]); i++)
		if (format != NULL && strstr(format, zip_methods[i].name) != NULL)
			return check_dictionary(c, format, zip_methods[i].dictionary, err);
	return 0;
}

/* next() -> table | nil at the end | nil, message, code */
static int contents_next(lua_State *L)
{
	struct contents *c = check_open(L, 1);
	locale_t before = enter(c);
	struct strata_err err;
	int rc;

	c->entry = NULL;
	rc = archive_read_next_header(c->source.archive, &c->entry);
	/* libarchive converts a name when it is asked for the first time, so it is asked in this
	 * locale. */
	if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		archive_entry_pathname(c->entry);
		archive_entry_hardlink(c->entry);
		archive_entry_symlink(c->entry);
	} else if (rc != ARCHIVE_EOF) {
		fail_reading(c, &err);
	}
	leave(before);
	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) {
		c->entry = NULL;
		return strata_push_error(L, &err);
	}
	if (check_entry(c, &err) < 0) {
		c->entry = NULL;
		return strata_push_error(L, &err);
	}
	strata_source_use(&c->source);
	lua_newtable(L);
	strata_archive_set_metadata(L, c->entry);
	set_flags(L, c->entry);
	strata_source_release(&c->source);
	return 1;
}

static int write_all(int fd, const char *bytes, size_t len, int64_t offset, struct strata_err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strata_fail_errno(err, errno, "write");
		bytes += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes the blocks of data in their places. Holes between them are left out, and read as zeros. */
static int copy_blocks(struct contents *c, int fd, int64_t offset, int64_t *size,
                       struct strata_err *err)
{
	const void *block;
	size_t len;
	int64_t at;
	int rc;

	while ((rc = archive_read_data_block(c->source.archive, &block, &len, &at)) == ARCHIVE_OK ||
	       rc == ARCHIVE_WARN) {
		if (at < *size || at > INT64_MAX / 4 || len > INT64_MAX / 4 ||
		    c->total + (uint64_t)at + len > c->max_bytes)
			return strata_fail(err, "ELIMIT",
			                   "contents of more than %llu bytes (limits.bytes)",
			                   (unsigned long long)c->max_bytes);
		if (write_all(fd, block, len, offset + at, err) < 0)
			return -1;
		*size = at + (int64_t)len;
	}
	return rc == ARCHIVE_EOF ? 0 : fail_reading(c, err);
}

/* The file must be as long as the entry, also when that ends in a hole. */
static int copy_content(struct contents *c, int fd, int64_t offset, int64_t *size,
                        struct strata_err *err)
{
	struct stat st;

	*size = 0;
	if (copy_blocks(c, fd, offset, size, err) < 0)
		return -1;
	if (archive_entry_size_is_set(c->entry) && archive_entry_size(c->entry) > *size)
		*size = archive_entry_size(c->entry);
	if (*size > INT64_MAX / 4 || c->total + (uint64_t)*size > c->max_bytes)
		return strata_fail(err, "ELIMIT", "contents of more than %llu bytes (limits.bytes)",
		                   (unsigned long long)c->max_bytes);
	c->total += (uint64_t)*size;
	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "stat");
	if (st.st_size < offset + *size && ftruncate(fd, offset + *size) < 0)
		return strata_fail_errno(err, errno, "write");
	return 0;
}

/* copy(to, offset) -> size | nil, message, code */
static int contents_copy(lua_State *L)
{
	const int fd = strata_source_check_file(L, 2);
	struct contents *c = check_open(L, 1);
	lua_Integer offset = strata_check_integer(L, 3);
	struct strata_err err;
	locale_t before;
	int64_t size;
	int status;

	luaL_argcheck(L, offset >= 0 && offset < INT64_MAX / 4, 3, "out of range");
	if (c->entry == NULL)
		luaL_error(L, "there is no entry to copy");
	before = enter(c);
	status = copy_content(c, fd, (int64_t)offset, &size, &err);
	leave(before);
	c->entry = NULL;
	if (status < 0)
		return strata_push_error(L, &err);
	strata_push_int64(L, size);
	return 1;
}

static int contents_format(lua_State *L)
{
	struct contents *c = check_open(L, 1);

	switch (archive_format(c->source.archive) & ARCHIVE_FORMAT_BASE_MASK) {
	case ARCHIVE_FORMAT_AR:
		lua_pushliteral(L, "ar");
		break;
	case ARCHIVE_FORMAT_EMPTY:
		lua_pushliteral(L, "empty");
		break;
	default:
		lua_pushliteral(L, "other");
	}
	return 1;
}

static int contents_tostring(lua_State *L)
{
	const struct contents *c = strata_check_object(L, 1, TYPE);

	lua_pushstring(L, c->source.archive ? TYPE : TYPE "(closed)");
	return 1;
}

void strata_archive_register_contents(lua_State *L)
{
	static const luaL_Reg methods[] = {{"next", contents_next},
	                                   {"copy", contents_copy},
	                                   {"format", contents_format},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {
	        {"__tostring", contents_tostring}, {"__gc", contents_gc}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"contents", contents_new}, {NULL, NULL}};

	strata_register_type(L, TYPE, methods, meta, contents_close);
	strata_set_functions(L, functions);
}
