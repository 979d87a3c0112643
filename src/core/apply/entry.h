/* One entry: what it replaces is removed first, then it is made anew. */
#ifndef STRATA_APPLY_ENTRY_H
#define STRATA_APPLY_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"
#include "core/tar/tar.h"

struct strata_apply;

/* Refuses names that are too long, and paths that are too deep. */
int apply_check_path(const struct strata_apply *a, const char *path, size_t len,
                     struct strata_err *err);

/* Goes on to the next entry and checks its path. 0: it is none to be applied; else 1. */
int apply_entry_begin(struct strata_apply *a, const struct strata_tar_header *h,
                      struct strata_err *err);

/*
 * Refuses types that are not known. A root that is no directory is refused, or passed over by
 * default: 0, else 1.
 */
int apply_entry_check(struct strata_apply *a, const struct strata_tar_header *h,
                      struct strata_err *err);

/* True for the character device 0:0, which overlayfs takes for a whiteout. */
static inline bool apply_is_hiding(const struct strata_tar_header *h)
{
	return h->typeflag == '3' && h->devmajor == 0 && h->devminor == 0;
}

/* Applies an entry; its payload follows by apply_data. */
int apply_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                size_t raw_len, struct strata_err *err);

/* Makes a file of any type but a directory or a hardlink, with a->meta, in a->dir. */
int apply_make_file(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                    size_t raw_len, const char *name, struct strata_err *err);

#endif
