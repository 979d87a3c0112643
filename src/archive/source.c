#include "archive/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

/* ---- errors ------------------------------------------------------------ */

void strata_archive_message(char *out, size_t size, struct archive *a)
{
	const char *text = archive_error_string(a);
	size_t i = 0;

	if (!text)
		text = "unknown error";
	for (; i < size - 1 && text[i] != '\0'; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	out[i] = '\0';
}

int strata_archive_fail(struct archive *a, struct strata_err *err)
{
	char text[512];
	int errnum = archive_errno(a);

	switch (errnum) {
	case ENOMEM:
	case EIO:
	case EACCES:
	case ESTALE:
		return strata_fail_errno(err, errnum, "read");
	default:
		strata_archive_message(text, sizeof(text), a);
		return strata_fail(err, "EFORMAT", "%s", text);
	}
}

/* ---- what libarchive calls --------------------------------------------- */

static la_ssize_t read_bytes(struct archive *a, void *data, const void **bytes)
{
	struct strata_source *s = data;
	int64_t left = s->end > s->at ? s->end - s->at : 0;
	size_t want = left < (int64_t)READ_BYTES ? (size_t)left : READ_BYTES;
	ssize_t n;

	do {
		n = pread(s->fd_plus_one - 1, s->bytes, want, (off_t)s->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, EIO, "read");
		return -1;
	}
	s->at += n;
	*bytes = s->bytes;
	return n;
}

static la_int64_t skip_bytes(struct archive *a, void *data, la_int64_t n)
{
	struct strata_source *s = data;

	(void)a;
	if (n > s->end - s->at)
		n = s->end - s->at;
	if (n <= 0)
		return 0;
	s->at += n;
	return n;
}

static la_int64_t seek_bytes(struct archive *a, void *data, la_int64_t offset, int whence)
{
	struct strata_source *s = data;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->end;
	int64_t to;

	(void)a;
	if (__builtin_add_overflow(base, offset, &to) || to < 0)
		return ARCHIVE_FATAL;
	s->at = to;
	return to;
}

/* ---- opening and closing ----------------------------------------------- */

static int start(struct strata_source *s, const char *what, struct strata_err *err)
{
	struct stat st;

	if (fstat(s->fd_plus_one - 1, &st) < 0)
		return strata_fail_errno(err, errno, "%s", what);
	if (S_ISDIR(st.st_mode))
		return strata_fail_errno(err, EISDIR, "%s", what);
	if (!S_ISREG(st.st_mode))
		return strata_fail(err, "EUNSUPPORTED", "%s: not a regular file", what);
	s->end = st.st_size;
	s->bytes = malloc(READ_BYTES);
	s->archive = archive_read_new();
	if (!s->bytes || !s->archive)
		return strata_fail_nomem(err);
	if (archive_read_set_callback_data(s->archive, s) != ARCHIVE_OK ||
	    archive_read_set_read_callback(s->archive, read_bytes) != ARCHIVE_OK ||
	    archive_read_set_skip_callback(s->archive, skip_bytes) != ARCHIVE_OK ||
	    archive_read_set_seek_callback(s->archive, seek_bytes) != ARCHIVE_OK)
		return strata_archive_fail(s->archive, err);
	return 0;
}

int strata_source_path(struct strata_source *s, const char *path, const char *what,
                       struct strata_err *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ENXIO) /* a socket */
		return strata_fail(err, "EUNSUPPORTED", "%s: not a regular file", what);
	if (fd < 0)
		return strata_fail_errno(err, errno, "%s", what);
	s->fd_plus_one = fd + 1;
	return start(s, what, err);
}

int strata_source_descriptor(struct strata_source *s, int fd, const char *what,
                             struct strata_err *err)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return strata_fail_errno(err, errno, "%s", what);
	s->fd_plus_one = fd + 1;
	return start(s, what, err);
}

void strata_source_free(struct strata_source *s)
{
	if (s->archive)
		archive_read_free(s->archive);
	if (s->fd_plus_one > 0)
		close(s->fd_plus_one - 1);
	free(s->bytes);
	memset(s, 0, sizeof(*s));
}

void strata_source_close(struct strata_source *s)
{
	s->closing = s->users > 0;
	if (!s->closing)
		strata_source_free(s);
}

void strata_source_use(struct strata_source *s)
{
	s->users++;
}

void strata_source_release(struct strata_source *s)
{
	s->users--;
	if (s->closing && s->users == 0)
		strata_source_free(s);
}

/* ---- arguments --------------------------------------------------------- */

int strata_source_check_file(lua_State *L, int arg)
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

uint64_t strata_source_limit(lua_State *L, int arg, const char *field, lua_Number otherwise)
{
	lua_Number max = otherwise;

	if (!lua_isnoneornil(L, arg)) {
		luaL_checktype(L, arg, LUA_TTABLE);
		lua_getfield(L, arg, field);
		if (!lua_isnil(L, -1))
			max = luaL_checknumber(L, -1);
		lua_pop(L, 1);
	}
	if (!(max >= 0))
		luaL_argerror(L, arg, lua_pushfstring(L, "%s must not be negative", field));
	return max < 9007199254740992.0 ? (uint64_t)max : (uint64_t)1 << 53;
}
