/* Shared by the files of strata.archive. */
#ifndef STRATA_ARCHIVE_MODULE_H
#define STRATA_ARCHIVE_MODULE_H

#include <archive_entry.h>
#include <stdbool.h>

#include "archive/source.h"

/* Fills the table on top of the stack with everything but content and time. */
void strata_archive_set_metadata(lua_State *L, struct archive_entry *e);

/* True when data may follow the header: for files, and for the hardlinks of cpio that have it. */
bool strata_archive_has_content(struct archive_entry *e);

/* "file", "dir", "hardlink" ... */
const char *strata_archive_type_name(struct archive_entry *e);

/* Sets a field of the table on top of the stack, unless value is NULL. */
void strata_archive_set_string(lua_State *L, const char *key, const char *value);

/* Each adds its functions to the module table on top of the stack. */
void strata_archive_register_decompress(lua_State *L);
void strata_archive_register_contents(lua_State *L);
void strata_archive_register_tar_reader(lua_State *L);

#endif
