/*
 * What the tar files share: where a header block's fields lie, how numbers are
 * spelt in them, and how a header span is taken apart. Not for other rooms.
 */
#ifndef STRATA_TAR_INTERNAL_H
#define STRATA_TAR_INTERNAL_H

#include <string.h>

#include "core/tar/tar.h"

/* A field of a header block. */
struct tar_field {
	unsigned short at;
	unsigned short len;
};

#define TAR_NAME_LEN 100
#define TAR_NAME ((struct tar_field){0, TAR_NAME_LEN})
#define TAR_MODE ((struct tar_field){100, 8})
#define TAR_UID ((struct tar_field){108, 8})
#define TAR_GID ((struct tar_field){116, 8})
#define TAR_SIZE ((struct tar_field){124, 12})
#define TAR_MTIME ((struct tar_field){136, 12})
#define TAR_CHECKSUM ((struct tar_field){148, 8})
#define TAR_TYPEFLAG_AT 156
#define TAR_LINKNAME ((struct tar_field){157, 100})
#define TAR_MAGIC ((struct tar_field){257, 8}) /* with the version */
#define TAR_UNAME ((struct tar_field){265, 32})
#define TAR_GNAME ((struct tar_field){297, 32})
#define TAR_DEVMAJOR ((struct tar_field){329, 8})
#define TAR_DEVMINOR ((struct tar_field){337, 8})
#define TAR_PREFIX ((struct tar_field){345, 155})
#define TAR_STAR_PREFIX ((struct tar_field){345, 131})
#define TAR_STAR_ATIME ((struct tar_field){476, 12})
#define TAR_STAR_CTIME ((struct tar_field){488, 12})
#define TAR_STAR_TRAILER ((struct tar_field){508, 4})
#define TAR_GNU_ATIME ((struct tar_field){345, 12})
#define TAR_GNU_CTIME ((struct tar_field){357, 12})
#define TAR_GNU_SPARSE ((struct tar_field){386, 96}) /* 4 pairs of offset and length */
#define TAR_GNU_EXTENDED_AT 482
#define TAR_GNU_REALSIZE ((struct tar_field){483, 12})
#define TAR_SPARSE_PAIR 24         /* bytes of one pair: two numbers of 12 */
#define TAR_SPARSE_BLOCK_PAIRS 21  /* pairs in a sparse extension block */
#define TAR_SPARSE_EXTENDED_AT 504 /* "another one follows", in such a block */

#define TAR_MAX_EXTENSION ((size_t)1 << 20)
#define TAR_MAX_SPARSE 65536 /* extents, by default */
#define TAR_MAX_SIZE (INT64_MAX / 2)
#define TAR_MAX_OCTAL_SIZE ((int64_t)077777777777) /* what a size field holds in octal */
#define TAR_JOINED_MAX (155 + 1 + TAR_NAME_LEN)    /* prefix, slash, name */
#define TAR_UNAME_MAX 31 /* readers differ about a field without its NUL */

/* ---- header.c: one block ------------------------------------------- */

/* False when the field holds no number (or one beyond int64). */
bool tar_get_number(const char *block, struct tar_field f, int64_t *out);

/*
 * Writes n into the field: in octal, in the style (fill, terminator) that the
 * field has, or in base-256 where octal does not hold it. A field that holds n
 * already is left alone. False when it fits neither way.
 */
bool tar_put_number(char *block, struct tar_field f, int64_t n);

/* True when n fits the field in octal with a terminator. */
bool tar_fits_octal(struct tar_field f, int64_t n);

/* True when the field is spelt in base-256. */
bool tar_is_base256(const char *block, struct tar_field f);

/* The bytes of a text field up to its NUL or end. */
size_t tar_text_len(const char *block, struct tar_field f);

/* Writes text, filled up with NUL; what does not fit is cut. */
void tar_put_text(char *block, struct tar_field f, const char *text, size_t len);

/* True when path can be split for a prefix field of that size: *at is the slash. */
bool tar_split_path(const char *path, size_t len, size_t prefix_max, size_t *at);

bool tar_is_ascii(const char *text, size_t len);

static inline bool tar_ends_in_slash(const char *path, size_t len)
{
	return len > 0 && path[len - 1] == '/';
}

bool tar_is_zero(const char *bytes, size_t len);

/*
 * GNU tar and bsdtar repeat the owner and the time of an entry in the blocks of its extension
 * headers, which nobody reads. Where such a block has what the entry had, and that is no zero, it
 * gets what the entry has now. True when the block was changed; its checksum is right then.
 */
bool tar_follow(char *block, const struct strata_tar_header *old,
                const struct strata_tar_header *now);

/* True when the checksum is right; *is_signed: only as a sum of signed bytes. */
bool tar_checksum_ok(const char *block, bool *is_signed);

/* Sets the checksum, in the style that the field has. */
void tar_put_checksum(char *block);

enum strata_tar_format tar_block_format(const char *block);

/* Where a path's prefix goes; length 0 for formats that have none. */
struct tar_field tar_prefix_field(enum strata_tar_format format);

/* Where the block has an atime (a ctime, if `changed`); length 0 when it has none. */
struct tar_field tar_time_field(const char *block, bool changed);

/*
 * Decodes a block's own fields into *h. A path with a prefix is put together
 * in `joined`, TAR_JOINED_MAX bytes that live as long as *h is used.
 */
int tar_decode_block(const char *block, char *joined, struct strata_tar_header *h,
                     struct strata_err *err);

/* ---- decode.c: a whole span ---------------------------------------- */

/* An extension header in a span: at = its block, body = its payload. */
struct tar_extension {
	size_t at;
	size_t body;
	size_t len;
	bool present;
};

/* A header span taken apart. Of repeated extension headers the last counts. */
struct tar_span {
	struct tar_extension x; /* of a global header: that header itself */
	struct tar_extension longname;
	struct tar_extension longlink;
	size_t extensions; /* number of extension headers */
	size_t main;       /* main header's block; behind the end for a global header */
	bool global;
};

static inline bool tar_is_extension(char typeflag)
{
	return typeflag == 'x' || typeflag == 'L' || typeflag == 'K';
}

/* Payload size of an extension or global header block; EFORMAT or ELIMIT. */
int tar_extension_size(const char *block, size_t max, size_t *size, struct strata_err *err);

int tar_split_span(const char *raw, size_t len, struct tar_span *s, struct strata_err *err);

/* Decodes a span into *h, which then points into it and into `joined`. */
int tar_decode_span(const char *raw, const struct tar_span *s, char *joined,
                    struct strata_tar_header *h, struct strata_err *err);

/* ---- pax.c: records ------------------------------------------------ */

enum pax_key {
	PAX_PATH,
	PAX_LINKPATH,
	PAX_UNAME,
	PAX_GNAME,
	PAX_UID,
	PAX_GID,
	PAX_SIZE,
	PAX_MTIME,
	PAX_ATIME,
	PAX_CTIME,
	PAX_SPARSE_MAJOR,
	PAX_SPARSE_MINOR,
	PAX_SPARSE_NAME,
	PAX_SPARSE_SIZE,
	PAX_SPARSE_REALSIZE,
	PAX_SPARSE_MAP,
	PAX_SPARSE_NUMBLOCKS,
	PAX_SPARSE_OFFSET,
	PAX_SPARSE_NUMBYTES,
	PAX_OTHER, /* number of the known ones */
};

extern const struct pax_key_name {
	const char *text;
	size_t len;
} pax_key_names[PAX_OTHER];

/* The value of each known key that counts: the last one; an empty one counts as none. */
struct pax_values {
	struct {
		const char *text;
		size_t len;
	} of[PAX_OTHER];
	bool duplicate; /* some key occurs twice */
	bool sparse;    /* some GNU.sparse key occurs */
};

enum pax_key pax_key_of(const char *key, size_t len);

int pax_collect(const char *records, size_t len, struct pax_values *v, struct strata_err *err);

/* Digits only; false when empty, otherwise spelt or above max. */
bool pax_number(const char *text, size_t len, uint64_t max, uint64_t *out);

/* "-1.25" and the like; false when it is not a time. */
bool pax_time(const char *text, size_t len, int64_t *seconds, uint32_t *nsec);

/* Where PAX records have a sparse entry's map: in themselves, or at the beginning of its payload.
 */
enum pax_sparse_kind { PAX_NOT_SPARSE, PAX_SPARSE_IN_RECORDS, PAX_SPARSE_IN_PAYLOAD };

enum pax_sparse_kind pax_sparse_kind(const struct pax_values *v);

/* Longest text of pax_format_time and of a number. */
#define PAX_TEXT_MAX 40

size_t pax_format_time(char *out, int64_t seconds, uint32_t nsec);
size_t pax_format_number(char *out, uint64_t n);

/*
 * Gives the key this value in a buffer of records: in the place of its last
 * record, or behind the last record; len 0 takes all its records out. Nothing
 * is touched when that is so already. *changed is set when bytes changed.
 */
int pax_set(struct strata_buf *records, const char *key, size_t key_len, const char *value,
            size_t len, bool *changed, struct strata_err *err);

/* pax_set for each of the records `changes`; n of them take time n log n. */
int pax_set_all(struct strata_buf *records, const char *changes, size_t len, bool *changed,
                struct strata_err *err);

/* Appends the records sorted by key: of each key the last one, and none without a value. */
int pax_append_sorted(struct strata_buf *out, const char *records, size_t len,
                      struct strata_err *err);

/* Takes out the records whose key begins with `prefix`. */
int pax_drop_prefix(struct strata_buf *records, const char *prefix, bool *changed,
                    struct strata_err *err);

/* ---- write.c: fresh blocks ----------------------------------------- */

/* EINVAL for an id, size or time out of range, and for a name with a NUL. */
int tar_check_values(const struct strata_tar_header *h, struct strata_err *err);

/* Fills `block` as an extension header: x, g, L or K, with len bytes to follow. */
void tar_extension_block(char *block, char typeflag, const char *path, size_t path_len, size_t len);

/* Appends payload and its padding. */
int tar_append_padded(struct strata_buf *out, const char *bytes, size_t len,
                      struct strata_err *err);

#endif
