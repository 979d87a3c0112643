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
 * Nothing but tar is tried and no filter is taken off, so that what is listed
 * is libarchive's reading of these very bytes. It reads through a descriptor of
 * its own; payloads are passed over.
 */
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/module.h"

#define TYPE "strata.archive.TarReader"

#define IN_BYTES ((size_t)64 << 10)

struct tar_reader {
	struct archive *archive;
	int fd_plus_one; /* 0: none */
	int64_t at;
	int64_t end;
	char *in; /* IN_BYTES */
};

static void release(struct tar_reader *r)
{
	if (r->archive)
		archive_read_free(r->archive);
	if (r->fd_plus_one > 0)
		close(r->fd_plus_one - 1);
	free(r->in);
	r->archive = NULL;
	r->fd_plus_one = 0;
	r->in = NULL;
}

static int reader_close(lua_State *L)
{
	release(strata_check_object(L, 1, TYPE));
	return 0;
}

static la_ssize_t read_range(struct archive *a, void *data, const void **bytes)
{
	struct tar_reader *r = data;
	int64_t left = r->end - r->at;
	ssize_t n;

	do {
		n = pread(r->fd_plus_one - 1, r->in,
		          left < (int64_t)IN_BYTES ? (size_t)left : IN_BYTES, (off_t)r->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, EIO, "read");
		return -1;
	}
	r->at += n;
	*bytes = r->in;
	return n;
}

static la_int64_t skip_range(struct archive *a, void *data, la_int64_t n)
{
	struct tar_reader *r = data;

	(void)a;
	if (n > r->end - r->at)
		n = r->end - r->at;
	r->at += n;
	return n;
}

static int start(struct tar_reader *r, int fd, struct strata_err *err)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return strata_fail_errno(err, errno, "second reader");
	r->fd_plus_one = fd + 1;
	r->in = malloc(IN_BYTES);
	r->archive = archive_read_new();
	if (!r->in || !r->archive)
		return strata_fail_nomem(err);
	if (archive_read_support_format_tar(r->archive) != ARCHIVE_OK ||
	    archive_read_support_format_empty(r->archive) != ARCHIVE_OK ||
	    archive_read_set_read_callback(r->archive, read_range) != ARCHIVE_OK ||
	    archive_read_set_skip_callback(r->archive, skip_range) != ARCHIVE_OK ||
	    archive_read_set_callback_data(r->archive, r) != ARCHIVE_OK ||
	    archive_read_open1(r->archive) != ARCHIVE_OK)
		return strata_archive_fail(r->archive, err);
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
	int fd;

	luaL_checktype(L, 1, LUA_TUSERDATA);
	luaL_argcheck(L, offset >= 0, 2, "must not be negative");
	luaL_argcheck(L, size >= 0 && size <= INT64_MAX - offset, 3, "out of range");
	lua_getfield(L, 1, "fileno");
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	fd = (int)luaL_checkinteger(L, -1);
	lua_settop(L, 1); /* keeps the file, whose descriptor it is */
	r = strata_new_object(L, TYPE, sizeof(*r));
	r->at = offset;
	r->end = offset + size;
	if (start(r, fd, &err) == 0)
		return 1;
	release(r);
	return strata_push_error(L, &err);
}

static int reader_next(lua_State *L)
{
	struct tar_reader *r = strata_check_object(L, 1, TYPE);
	struct archive_entry *e;
	struct strata_err err;
	int rc = ARCHIVE_EOF;

	if (r->archive)
		rc = archive_read_next_header(r->archive, &e);
	if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		push_entry(L, e);
		return 1;
	}
	if (rc != ARCHIVE_EOF)
		strata_archive_fail(r->archive, &err);
	release(r);
	if (rc != ARCHIVE_EOF)
		return strata_push_error(L, &err);
	lua_pushnil(L);
	return 1;
}

void strata_archive_register_tar_reader(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"next", reader_next}, {"close", reader_close}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"tar_reader", tar_reader}, {NULL, NULL}};

	strata_register_type(L, TYPE, methods, NULL, reader_close);
	strata_set_functions(L, functions);
}
