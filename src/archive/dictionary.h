/*
 * The memory that xz and lzma want before they decode a byte: the dictionary, whose size stands in
 * their headers. libarchive allocates it without a limit to speak of (1 GiB), so the headers are
 * looked at before it gets the file.
 */
#ifndef STRATA_ARCHIVE_DICTIONARY_H
#define STRATA_ARCHIVE_DICTIONARY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

/* What `xz -9` and `lzma -9` need. */
#define STRATA_DICTIONARY_DEFAULT ((uint64_t)64 << 20)

/*
 * ELIMIT when one of the dictionaries of the file is larger than max, EFORMAT when the headers
 * cannot be followed to the end. An .xz file has one for each block of each stream: to find the
 * next header the lengths of LZMA2's chunks are added up. A .lzma file (xz false) has one.
 */
int strata_archive_check_dictionary(int fd, int64_t end, bool xz, uint64_t max, const char *name,
                                    struct strata_err *err);

#endif
