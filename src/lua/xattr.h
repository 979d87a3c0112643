/* Extended attributes: between PAX records and Lua tables. */
#ifndef STRATA_XATTR_H
#define STRATA_XATTR_H

#include "lua/binding.h"

/*
 * Pushes a table name -> value of the records SCHILY.xattr.NAME and
 * LIBARCHIVE.xattr.NAME (URL-encoded name, base64 value); SCHILY wins where
 * both are there. %3D and %25 in SCHILY names are decoded, as GNU tar and
 * bsdtar write them. Returns 1.
 */
int strata_push_xattrs(lua_State *L, const struct strata_buf *records);

/*
 * Appends to out the records that make the table at `arg` the attributes:
 * `records` without attributes that are gone or changed, and the new ones in
 * order of their names. Throws when the table holds anything but strings.
 */
int strata_xattr_records(lua_State *L, int arg, const struct strata_buf *records,
                         struct strata_buf *out, struct strata_err *err);

#endif
