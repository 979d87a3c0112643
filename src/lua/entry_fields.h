/*
 * The fields of an entry, by number: reading and assigning them.
 *
 * The caller has checked that the entry can be used. The index must be in a userdata on the stack:
 * finalisers may close it meanwhile, and then these functions throw (see binding.h).
 */
#ifndef STRATA_LUA_ENTRY_FIELDS_H
#define STRATA_LUA_ENTRY_FIELDS_H

#include <stdbool.h>

#include "core/tar/whiteout.h"
#include "lua/objects.h"

enum strata_entry_field {
	F_PATH = 1,
	F_NAME,
	F_TYPE,
	F_TYPEFLAG,
	F_MODE,
	F_SETUID,
	F_SETGID,
	F_STICKY,
	F_UID,
	F_GID,
	F_UNAME,
	F_GNAME,
	F_SIZE,
	F_MTIME,
	F_MTIME_NSEC,
	F_ATIME,
	F_ATIME_NSEC,
	F_CTIME,
	F_CTIME_NSEC,
	F_LINKPATH,
	F_MAJOR,
	F_MINOR,
	F_XATTRS,
	F_PAX,
	F_WHITEOUT,
	F_OPAQUE,
	F_POSITION,
	F_SPARSE,
	F_DANGLING,
	F_MARKED,
	F_HEADER_OFFSET,
	F_DATA_OFFSET,
	F_STORED,
};

/* "file", "dir", "symlink" ... */
const char *strata_entry_type_name(char typeflag);

/*
 * Pushes the path or directory that a whiteout of this kind hides, nil for an ordinary name. The
 * path is a string of Lua that is on the stack; base: see strata_whiteout_kind.
 */
void strata_push_hidden(lua_State *L, enum strata_whiteout kind, const char *path, size_t len,
                        size_t base);

/* Seconds with their fraction. */
static inline lua_Number strata_seconds(int64_t seconds, uint32_t nsec)
{
	return (lua_Number)seconds + (lua_Number)nsec / 1e9;
}

/* The atime or ctime that a field of that name belongs to. */
struct strata_tar_time strata_entry_time(const struct strata_index *index, uint32_t number,
                                         enum strata_entry_field field);

bool strata_entry_has_link(const struct strata_entry *e);
bool strata_entry_is_device(const struct strata_entry *e);

/* Pushes a table of the fields of the first entry of an index, but those that depend on other
 * entries. */
void strata_push_entry_table(lua_State *L, const struct strata_index *index);

/* Pushes a buffer with a copy of the PAX records of an entry. */
struct strata_buf *strata_push_records(lua_State *L, const struct strata_index *index,
                                       uint32_t number);

/* Pushes the value, nil where the entry has none. Below it may be what it was made of. Returns 1.
 */
int strata_push_entry_field(lua_State *L, const struct strata_index *index, uint32_t number,
                            enum strata_entry_field field);

/* Assigns the value at index 3 of the stack. Throws what is no value for the field. */
int strata_set_entry_field(lua_State *L, struct strata_index *index, uint32_t number,
                           enum strata_entry_field field, struct strata_err *err);

#endif
