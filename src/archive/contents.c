/*
 * What is in an archive of any format, one entry after the other, with the
 * content written straight into a file.
 *
 *   ---@class strata.archive.Contents
 *
 *   ---@param source strata.File  any object with fileno() and name()
 *   ---@param opts? {max_bytes?: integer}  of all contents together; default 64 GiB
 *   ---@return strata.archive.Contents?
 *   ---@return string? message
 *   ---@return string? code
 *   function archive.contents(source, opts) end
 *
 *   ---@return table? entry  as archive.entries gives them, with `content` when it has one; nil at
 * the end
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
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/module.h"

#define TYPE "strata.archive.Contents"

#define IN_BYTES ((size_t)256 << 10)
#define DEFAULT_MAX_BYTES ((lua_Number)((int64_t)1 << 36))

struct contents {
	struct archive *archive;
	struct archive_entry *entry; /* the last one; libarchive's */
	locale_t names;              /* that names are converted in; 0: the process's */
	int fd_plus_one;             /* 0: none */
	int64_t offset;              /* in the source: its descriptor's position is not ours */
	int64_t size;                /* of the source */
	char *in;                    /* IN_BYTES */
	uint64_t total;
	uint64_t max_bytes;
};

static int contents_close(lua_State *L)
{
	struct contents *c = strata_check_object(L, 1, TYPE);

	if (c->archive)
		archive_read_free(c->archive);
	if (c->fd_plus_one > 0)
		close(c->fd_plus_one - 1);
	if (c->names)
		freelocale(c->names);
	free(c->in);
	memset(c, 0, sizeof(*c));
	return 0;
}

static struct contents *check_open(lua_State *L, int arg)
{
	struct contents *c = strata_check_object(L, arg, TYPE);

	if (c->archive == NULL)
		luaL_error(L, "attempt to use a closed %s", TYPE);
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

static la_ssize_t read_source(struct archive *a, void *data, const void **bytes)
{
	struct contents *c = data;
	ssize_t n;

	do {
		n = pread(c->fd_plus_one - 1, c->in, IN_BYTES, (off_t)c->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, EIO, "read");
		return -1;
	}
	c->offset += n;
	*bytes = c->in;
	return n;
}

static la_int64_t skip_source(struct archive *a, void *data, la_int64_t request)
{
	struct contents *c = data;
	int64_t n = c->size - c->offset < request ? c->size - c->offset : request;

	(void)a;
	if (n <= 0)
		return 0;
	c->offset += n;
	return n;
}

static la_int64_t seek_source(struct archive *a, void *data, la_int64_t offset, int whence)
{
	struct contents *c = data;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? c->offset : c->size;
	int64_t to;

	(void)a;
	if (__builtin_add_overflow(base, offset, &to) || to < 0)
		return ARCHIVE_FATAL;
	c->offset = to;
	return to;
}

static int start(struct contents *c, int fd, struct strata_err *err)
{
	struct stat st;
	int status;

	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || fstat(fd, &st) < 0) {
		status = errno;
		if (fd >= 0)
			close(fd);
		return strata_fail_errno(err, status, "open");
	}
	c->fd_plus_one = fd + 1;
	c->size = st.st_size;
	c->in = malloc(IN_BYTES);
	c->archive = archive_read_new();
	c->names = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!c->in || !c->archive)
		return strata_fail_nomem(err);
	if (strata_archive_support(c->archive, err) < 0)
		return -1;
	archive_read_set_callback_data(c->archive, c);
	archive_read_set_read_callback(c->archive, read_source);
	archive_read_set_skip_callback(c->archive, skip_source);
	archive_read_set_seek_callback(c->archive, seek_source);
	if (archive_read_open1(c->archive) != ARCHIVE_OK)
		return strata_archive_fail(c->archive, err);
	return 0;
}

static uint64_t check_max_bytes(lua_State *L, int arg)
{
	lua_Number max = DEFAULT_MAX_BYTES;

	if (!lua_isnoneornil(L, arg)) {
		luaL_checktype(L, arg, LUA_TTABLE);
		lua_getfield(L, arg, "max_bytes");
		if (!lua_isnil(L, -1))
			max = luaL_checknumber(L, -1);
		lua_pop(L, 1);
	}
	luaL_argcheck(L, max >= 0, arg, "max_bytes must not be negative");
	return max < 9007199254740992.0 ? (uint64_t)max : (uint64_t)1 << 53;
}

/* The descriptor of the strata.File at arg, which belongs to another module. */
static int check_fileno(lua_State *L, int arg)
{
	int fd;

	if (lua_type(L, arg) != LUA_TUSERDATA)
		luaL_argerror(L, arg, "a strata.File expected");
	lua_getfield(L, arg, "fileno");
	if (!lua_isfunction(L, -1))
		luaL_argerror(L, arg, "a strata.File expected");
	lua_pushvalue(L, arg);
	lua_call(L, 1, 1);
	fd = (int)luaL_checkinteger(L, -1);
	lua_pop(L, 1);
	return fd;
}

static int contents_new(lua_State *L)
{
	uint64_t max_bytes = check_max_bytes(L, 2);
	int fd = check_fileno(L, 1);
	struct contents *c;
	struct strata_err err;
	locale_t before;
	int status;

	c = strata_new_object(L, TYPE, sizeof(*c));
	c->max_bytes = max_bytes;
	before = enter(c);
	status = start(c, fd, &err);
	leave(before);
	return status == 0 ? 1 : strata_push_error(L, &err);
}

/* ---- entries ----------------------------------------------------------- */

static bool has_content(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return archive_entry_size_is_set(e) && archive_entry_size(e) > 0;
	return archive_entry_filetype(e) == AE_IFREG;
}

/* libarchive's error; that it is for want of a password goes first. */
static int fail_reading(struct contents *c, struct strata_err *err)
{
	const char *text = archive_error_string(c->archive);

	if (archive_read_has_encrypted_entries(c->archive) > 0 ||
	    (text && (strstr(text, "ncrypted") || strstr(text, "assphrase"))))
		return strata_fail(err, "EUNSUPPORTED", "encrypted");
	return strata_archive_fail(c->archive, err);
}

static void set_flags(lua_State *L, struct archive_entry *e)
{
	lua_pushboolean(L, has_content(e));
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

/* next() -> table | nil at the end | nil, message, code */
static int contents_next(lua_State *L)
{
	struct contents *c = check_open(L, 1);
	locale_t before = enter(c);
	struct strata_err err;
	int rc;

	c->entry = NULL;
	rc = archive_read_next_header(c->archive, &c->entry);
	/* Names are converted when they are asked for, once: */
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
	if (archive_entry_is_encrypted(c->entry)) {
		strata_fail(&err, "EUNSUPPORTED", "encrypted");
		return strata_push_error(L, &err);
	}
	lua_newtable(L);
	strata_archive_set_metadata(L, c->entry);
	set_flags(L, c->entry);
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

/* Blocks of data at their places; what lies between them was never written and reads as zeros. */
static int copy_blocks(struct contents *c, int fd, int64_t offset, int64_t *size,
                       struct strata_err *err)
{
	const void *block;
	size_t len;
	int64_t at;
	int rc;

	while ((rc = archive_read_data_block(c->archive, &block, &len, &at)) == ARCHIVE_OK ||
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
	struct contents *c = check_open(L, 1);
	int fd = check_fileno(L, 2);
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

	switch (archive_format(c->archive) & ARCHIVE_FORMAT_BASE_MASK) {
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

	lua_pushstring(L, c->archive ? TYPE : TYPE "(closed)");
	return 1;
}

void strata_archive_register_contents(lua_State *L)
{
	static const luaL_Reg methods[] = {{"next", contents_next},
	                                   {"copy", contents_copy},
	                                   {"format", contents_format},
	                                   {"close", contents_close},
	                                   {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", contents_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"contents", contents_new}, {NULL, NULL}};

	strata_register_type(L, TYPE, methods, meta, contents_close);
	strata_set_functions(L, functions);
}
