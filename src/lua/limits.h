/* Limits as fields of an options table: max_entries, max_bytes ... Absent ones are the defaults. */
#ifndef STRATA_LUA_LIMITS_H
#define STRATA_LUA_LIMITS_H

#include "core/codec/codec.h"
#include "core/tar/tar.h"
#include "lua/binding.h"

/* One of them; 0 when it is absent. Throws for what is no whole number from 0. */
uint64_t strata_limit_field(lua_State *L, int arg, const char *field);

/* Those of the tar parser: max_entries, max_path, max_extension, max_records, max_sparse, max_file.
 */
struct strata_tar_limits strata_tar_limit_fields(lua_State *L, int arg);

/* Those of inflating: max_bytes, max_ratio, max_zstd_window, max_members. */
struct strata_inflate_limits strata_inflate_limit_fields(lua_State *L, int arg);

#endif
