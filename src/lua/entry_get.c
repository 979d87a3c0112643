/* Entry fields as Lua values. */
#include <stdbool.h>
#include <string.h>

#include "lua/entry_fields.h"
#include "lua/xattr.h"

/* ---- names -------------------------------------------------------------- */

const char *strata_entry_type_name(char typeflag)
{
	switch (typeflag) {
	case '\0':
	case '0':
	case '7':
	case 'S':
		return "file";
	case '1':
		return "hardlink";
	case '2':
		return "symlink";
	case '3':
		return "char";
	case '4':
		return "block";
	case '5':
		return "dir";
	case '6':
		return "fifo";
	default:
		return "other";
	}
}

void strata_push_hidden(lua_State *L, enum strata_whiteout kind, const char *path, size_t len,
                        size_t base)
{
	if (kind == STRATA_WHITEOUT_FILE) {
		const char *name = path + base + STRATA_WHITEOUT_PREFIX_LEN;

		lua_pushlstring(L, path, base);
		lua_pushlstring(L, name, (size_t)(path + len - name));
		lua_concat(L, 2);
	} else if (kind == STRATA_WHITEOUT_OPAQUE && base > 0) {
		lua_pushlstring(L, path, base - 1);
	} else if (kind == STRATA_WHITEOUT_OPAQUE) {
		lua_pushliteral(L, ".");
	} else {
		lua_pushnil(L);
	}
}

/* ---- reading fields ----------------------------------------------------- */

/* Texts up to this length are copied to the stack of C on their way to Lua. */
#define SHORT_TEXT 512

/* The text, which is still in the arena; throws when a finaliser has closed the index. */
static const char *text_at(lua_State *L, const struct strata_index *index, uint32_t offset,
                           size_t len)
{
	if (offset + len > index->arena.len)
		luaL_error(L, "the layer was closed while an entry was read");
	return index->arena.data + offset;
}

/* Pushes a buffer with a copy of the text. */
static struct strata_buf *push_copy(lua_State *L, const struct strata_index *index, uint32_t offset,
                                    size_t len)
{
	struct strata_buf *copy = strata_push_buffer(L);
	struct strata_err err;

	if (strata_buf_append(copy, text_at(L, index, offset, len), len, &err) < 0)
		strata_throw(L, &err);
	return copy;
}

static void push_text(lua_State *L, const struct strata_index *index, struct strata_path text)
{
	char copy[SHORT_TEXT];

	if (text.len <= sizeof(copy)) {
		memcpy(copy, strata_index_text(index, text), text.len);
		lua_pushlstring(L, copy, text.len);
	} else {
		strata_push_contents(L, push_copy(L, index, text.offset, text.len));
		lua_remove(L, -2);
	}
}

/* What an entry hides if it is a whiteout of this kind; else nil. */
static void push_hidden_by(lua_State *L, const struct strata_index *index, struct strata_path path,
                           enum strata_whiteout kind)
{
	size_t base;

	if (strata_whiteout_kind(strata_index_text(index, path), path.len, &base) != kind) {
		lua_pushnil(L);
		return;
	}
	push_text(L, index, path);
	strata_push_hidden(L, kind, lua_tostring(L, -1), path.len, base);
	lua_remove(L, -2);
}

bool strata_entry_has_link(const struct strata_entry *e)
{
	return e->typeflag == '1' || e->typeflag == '2';
}

bool strata_entry_is_device(const struct strata_entry *e)
{
	return e->typeflag == '3' || e->typeflag == '4';
}

struct strata_tar_time strata_entry_time(const struct strata_index *index, uint32_t number,
                                         enum strata_entry_field field)
{
	struct strata_times times = strata_index_times(index, &index->entries[number]);

	return field == F_ATIME || field == F_ATIME_NSEC ? times.atime : times.ctime;
}

static int push_seconds(lua_State *L, int64_t seconds, uint32_t nsec)
{
	if (nsec == 0)
		strata_push_int64(L, seconds);
	else
		lua_pushnumber(L, strata_seconds(seconds, nsec));
	return 1;
}

/* PAX records as a table; the last one of a key counts. */
static int push_pax(lua_State *L, const struct strata_buf *records)
{
	const char *next = records->data;
	size_t left = records->len;
	struct strata_pax_record r;
	struct strata_err err;

	lua_newtable(L);
	while (strata_pax_next(&next, &left, &r, &err) > 0) {
		lua_pushlstring(L, r.key, r.key_len);
		lua_pushlstring(L, r.value, r.value_len);
		lua_rawset(L, -3);
	}
	return 1;
}

struct strata_buf *strata_push_records(lua_State *L, const struct strata_index *index,
                                       uint32_t number)
{
	struct strata_text pax = index->entries[number].pax;

	return push_copy(L, index, pax.offset, pax.len);
}

/* An owner that is left as it is is -1, as in Go and in the tar. */
static int push_id(lua_State *L, uint32_t id)
{
	strata_push_int64(L, id == STRATA_TAR_NO_ID ? -1 : (int64_t)id);
	return 1;
}

static int push_number(lua_State *L, bool there, int64_t value)
{
	if (there)
		strata_push_int64(L, value);
	else
		lua_pushnil(L);
	return 1;
}

/* An atime or ctime, or its nanoseconds. */
static int push_time_field(lua_State *L, const struct strata_index *index, uint32_t number,
                           enum strata_entry_field field)
{
	struct strata_tar_time t = strata_entry_time(index, number, field);

	if (t.there && (field == F_ATIME || field == F_CTIME))
		return push_seconds(L, t.seconds, t.nsec);
	return push_number(L, t.there, t.nsec);
}

static int push_text_field(lua_State *L, const struct strata_index *index,
                           const struct strata_entry *e, enum strata_entry_field field)
{
	const char typeflag = e->typeflag;

	switch (field) {
	case F_PATH:
		push_text(L, index, e->path);
		break;
	case F_NAME:
		push_text(L, index, e->name);
		break;
	case F_UNAME:
		push_text(L, index, e->uname);
		break;
	case F_GNAME:
		push_text(L, index, e->gname);
		break;
	case F_LINKPATH:
		if (strata_entry_has_link(e))
			push_text(L, index, e->linkpath);
		else
			lua_pushnil(L);
		break;
	case F_TYPE:
		lua_pushstring(L, strata_entry_type_name(typeflag));
		break;
	case F_TYPEFLAG:
		lua_pushlstring(L, &typeflag, 1);
		break;
	case F_WHITEOUT:
		push_hidden_by(L, index, e->path, STRATA_WHITEOUT_FILE);
		break;
	case F_OPAQUE:
		push_hidden_by(L, index, e->path, STRATA_WHITEOUT_OPAQUE);
		break;
	default:
		lua_pushnil(L);
	}
	return 1;
}

int strata_push_entry_field(lua_State *L, const struct strata_index *index, uint32_t number,
                            enum strata_entry_field field)
{
	const struct strata_entry *e = &index->entries[number];

	switch (field) {
	case F_MODE:
		return push_number(L, true, e->mode & 07777);
	case F_SETUID:
		lua_pushboolean(L, (e->mode & 04000) != 0);
		return 1;
	case F_SETGID:
		lua_pushboolean(L, (e->mode & 02000) != 0);
		return 1;
	case F_STICKY:
		lua_pushboolean(L, (e->mode & 01000) != 0);
		return 1;
	case F_UID:
		return push_id(L, e->uid);
	case F_GID:
		return push_id(L, e->gid);
	case F_SIZE:
		return push_number(L, true, e->size);
	case F_MTIME:
		return push_seconds(L, e->mtime, e->mtime_nsec);
	case F_MTIME_NSEC:
		return push_number(L, true, e->mtime_nsec);
	case F_ATIME:
	case F_ATIME_NSEC:
	case F_CTIME:
	case F_CTIME_NSEC:
		return push_time_field(L, index, number, field);
	case F_MAJOR:
		return push_number(L, strata_entry_is_device(e), e->devmajor);
	case F_MINOR:
		return push_number(L, strata_entry_is_device(e), e->devminor);
	case F_XATTRS:
		if (e->pax.len == 0) { /* most entries: no buffer is needed to read none */
			lua_newtable(L);
			return 1;
		}
		return strata_push_xattrs(L, strata_push_records(L, index, number));
	case F_PAX:
		return push_pax(L, strata_push_records(L, index, number));
	case F_POSITION:
		return push_number(L, true, (int64_t)number + 1);
	case F_HEADER_OFFSET:
		return push_number(L, true, (int64_t)e->header_offset);
	case F_DATA_OFFSET:
		return push_number(L, true, (int64_t)e->data_offset);
	case F_STORED:
		return push_number(L, true, e->stored);
	case F_SPARSE:
		lua_pushboolean(L, e->sparse);
		return 1;
	case F_MARKED:
		lua_pushboolean(L, e->marked);
		return 1;
	case F_DANGLING:
		lua_pushboolean(L, strata_index_is_dangling(index, number));
		return 1;
	default:
		return push_text_field(L, index, e, field);
	}
}
