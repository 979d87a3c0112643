/*
 * Extended attributes in PAX records.
 *
 * GNU tar, star and Go write SCHILY.xattr.NAME with the value as it is; GNU tar and bsdtar spell
 * '=' and '%' of the name as %3D and %25 there. libarchive also writes LIBARCHIVE.xattr.NAME, with
 * any byte of the name as %XX and the value in base64 without padding. No runtime reads those, so
 * an entry has the attributes of its SCHILY records alone.
 */
#ifndef STRATA_TAR_XATTR_H
#define STRATA_TAR_XATTR_H

#include "core/tar/tar.h"

/* One attribute. name and value live until the next call with the same `text`; NUL behind the name
 * only. */
struct strata_tar_xattr {
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
	bool schily;
};

/* Decodes a record of either kind, with `text` for what is not spelt out in it: 1 an attribute, 0
 * another record, -1 ENOMEM. */
int strata_tar_xattr(const struct strata_pax_record *r, struct strata_buf *text,
                     struct strata_tar_xattr *x, struct strata_err *err);

/* The attributes of an entry that are left to be read: its PAX records. */
struct strata_tar_xattrs {
	const char *records;
	size_t len;
};

/*
 * The next attribute: 1, 0 when there are no more, -1 on failure. Of several of one name the one
 * that counts comes last: each may overwrite those before it.
 */
int strata_tar_xattr_next(struct strata_tar_xattrs *list, struct strata_buf *text,
                          struct strata_tar_xattr *x, struct strata_err *err);

/* Appends the key of the record that holds the attribute: "SCHILY.xattr.NAME". */
int strata_tar_xattr_key(struct strata_buf *out, const char *name, size_t len,
                         struct strata_err *err);

#endif
