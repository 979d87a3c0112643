/* What the files of strata.archive share. */
#ifndef STRATA_ARCHIVE_MODULE_H
#define STRATA_ARCHIVE_MODULE_H

#include <archive.h>

#include "../lua/binding.h"

/* libarchive's error: of the system if it is one that reading gives, else EFORMAT. Returns -1. */
int strata_archive_fail(struct archive *a, struct strata_err *err);

/* Adds its functions to the module table on top of the stack. */
void strata_archive_register_decompress(lua_State *L);

#endif
