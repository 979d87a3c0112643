/*
 * Tar: a push parser that keeps raw spans, and the editing of headers.
 *
 * The parser is fed bytes and returns events; it calls nothing back, never
 * blocks, and can stop at any byte. It copies only headers; payload is handed
 * through as slices of what was fed. A caller that can seek asks how much of
 * the entry is left and skips it.
 *
 * Formats: v7, ustar, GNU (L, K, S, base-256), PAX (x, g), star. Where readers
 * differ it follows Go's archive/tar, which is what Docker, containerd and
 * podman read with; what it lets pass but a stricter reader would not is
 * reported in `findings`.
 *
 * An entry's *header span* is every byte from its first extension header
 * (x, L, K) to the end of its main header (with GNU sparse extension blocks).
 * Span, payload and padding of all entries, and the end blocks, follow each
 * other without gaps: writing them out again gives the same archive. A global
 * header (g) is an entry of its own, with typeflag 'g' and its records as pax;
 * its span goes to the end of its records' padding and it has no payload.
 *
 * Where Go differs from other readers, and where this parser is stricter than Go:
 *  - PAX records beat the main header's fields also when those are zero; they
 *    apply to the entry, not to an L or K header between. An empty record
 *    value counts as no record: the main header's field stays.
 *  - A second x, L or K before the same entry replaces the first as a whole.
 *  - A prefix under GNU magic is joined when atime and ctime hold no numbers.
 *  - An atime or ctime of a star block that is all NUL is none; in Go it is 1970.
 *  - A type of NUL with a name that ends in '/' is a directory, in any format;
 *    a type of '0' stays a file whatever its name.
 *  - A zero block must be followed by another one or by the end of the input.
 *  - EFORMAT here, let pass by Go: a name given by PAX and by L or K both, a
 *    global header or the end behind x, L or K, ids and devices out of range.
 */
#ifndef STRATA_TAR_H
#define STRATA_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"

#define STRATA_TAR_BLOCK 512

enum strata_tar_format {
	STRATA_TAR_V7,
	STRATA_TAR_USTAR,
	STRATA_TAR_GNU,
	STRATA_TAR_PAX, /* ustar magic with local extended records */
	STRATA_TAR_STAR,
};

/* What a lenient reader lets pass: bits of strata_tar_header.findings. */
enum strata_tar_finding {
	STRATA_TAR_GNU_PREFIX = 1 << 0, /* GNU magic with a ustar prefix, joined as Go does */
	STRATA_TAR_SIGNED_CHECKSUM = 1 << 1,
	STRATA_TAR_SIZE_OVERRIDDEN = 1 << 2,  /* PAX size differs from a non-matching ustar size */
	STRATA_TAR_BOGUS_SIZE = 1 << 3,       /* size on a header-only type, ignored */
	STRATA_TAR_DUPLICATE_RECORD = 1 << 4, /* a PAX key twice; the last one counts */
	STRATA_TAR_UNKNOWN_TYPE = 1 << 5,
	STRATA_TAR_GLOBAL_OVERRIDE = 1 << 6,     /* g header with path, linkpath or size, ignored */
	STRATA_TAR_LONE_ZERO_BLOCK = 1 << 7,     /* archive: one zero block, then the input ends */
	STRATA_TAR_NO_END = 1 << 8,              /* archive: no end blocks */
	STRATA_TAR_DATA_AFTER_END = 1 << 9,      /* archive: non-zero bytes behind the end blocks */
	STRATA_TAR_NO_PADDING = 1 << 10,         /* archive: ends inside the last entry's padding */
	STRATA_TAR_REPEATED_EXTENSION = 1 << 11, /* x, L or K twice; the last one counts */
	STRATA_TAR_SPARSE_IGNORED = 1 << 12, /* GNU.sparse records that make no sparse file in Go */
	STRATA_TAR_SLASH_FILE = 1 << 13,     /* a file's name ends in '/': elsewhere a directory */
	STRATA_TAR_NUL_IN_NAME = 1 << 14,    /* more than NULs behind the NUL of an L or K header */
	STRATA_TAR_MIXED_EXTENSIONS = 1 << 15, /* an x header and L or K before one entry */
};

/* The name of a finding, such as "gnu-prefix", by the number of its bit; NULL beyond the last one.
 */
const char *strata_tar_finding_name(unsigned bit);

/* A user or group ID of -1, in either spelling; chown(2) passes over it. */
#define STRATA_TAR_NO_ID ((uint64_t)UINT32_MAX)

/* A time that an entry may lack. */
struct strata_tar_time {
	int64_t seconds; /* may be negative */
	uint32_t nsec;
	bool there;
};

static inline bool strata_tar_same_time(const struct strata_tar_time *a,
                                        const struct strata_tar_time *b)
{
	return a->there == b->there &&
	       (!a->there || (a->seconds == b->seconds && a->nsec == b->nsec));
}

/*
 * One entry, decoded. Strings are byte strings with a length (no NUL inside,
 * not NUL-terminated); they point into the parser and live until the next
 * call. Names are as stored, after PAX and GNU extensions: not normalised.
 */
struct strata_tar_header {
	const char *path;
	size_t path_len;
	const char *linkpath;
	size_t linkpath_len;
	const char *uname;
	size_t uname_len;
	const char *gname;
	size_t gname_len;
	const char *pax; /* the raw records "LEN KEY=VALUE\n"... of the x header that counts */
	size_t pax_len;
	int64_t size;   /* of the content; logical size of a sparse file; 0 for links, dirs */
	int64_t stored; /* payload bytes in the archive, without padding; 0 for links, dirs */
	int64_t mtime;  /* seconds, may be negative */
	uint32_t mtime_nsec;
	struct strata_tar_time atime; /* of a PAX record, or of a GNU or star block */
	struct strata_tar_time ctime;
	uint32_t mode; /* as stored, type bits included if the archive has them */
	uint64_t uid;  /* STRATA_TAR_NO_ID: -1, which leaves the owner as it is */
	uint64_t gid;
	uint32_t devmajor;
	uint32_t devminor;
	char typeflag;  /* as stored; but '\0' with a name that ends in '/' is '5' */
	uint8_t format; /* enum strata_tar_format */
	bool sparse;    /* payload is not the content: see strata_tar_sparse_map */
	uint32_t findings;
	uint64_t header_offset; /* where the header span begins */
	uint64_t data_offset;   /* where the payload begins: end of the header span */
};

struct strata_tar_limits {
	size_t max_extension; /* bytes of one x, g, L or K payload: default 1 MiB */
	size_t max_path;      /* bytes of a path or linkpath: default 4096 */
	uint64_t max_entries; /* default 10 million */
	size_t max_records;   /* PAX records of one entry: default 65536 */
	size_t max_sparse;    /* entries of a sparse map: default 65536 */
	uint64_t max_file;    /* bytes of one entry's content, holes included: default none */
};

struct strata_tar_parser;

enum strata_tar_event {
	STRATA_TAR_MORE,  /* all input is consumed, feed more */
	STRATA_TAR_ENTRY, /* an entry's header span is complete: strata_tar_entry() */
	STRATA_TAR_DATA,  /* a slice of its payload: *data, *data_len, inside the input */
	STRATA_TAR_END,   /* end blocks seen; further input is counted and checked only */
};

/* Without limits, and for each of them that is zero, the default is taken. */
struct strata_tar_parser *strata_tar_parser_new(const struct strata_tar_limits *limits,
                                                struct strata_err *err);
void strata_tar_parser_free(struct strata_tar_parser *p);

/*
 * Consumes from *in (advancing *in and *in_len) until there is an event, which
 * goes to *event. STRATA_TAR_END comes once, then only MORE.
 * Errors are sticky; EFORMAT messages name the entry's number (from 1), its
 * name if known, and the offset.
 */
int strata_tar_step(struct strata_tar_parser *p, const char **in, size_t *in_len,
                    enum strata_tar_event *event, const char **data, size_t *data_len,
                    struct strata_err *err);

/* After STRATA_TAR_ENTRY: the entry, and its raw header span. */
const struct strata_tar_header *strata_tar_entry(const struct strata_tar_parser *p);
const char *strata_tar_raw_header(const struct strata_tar_parser *p, size_t *len);

/* Payload and padding bytes of the current entry not yet fed. */
uint64_t strata_tar_pending(const struct strata_tar_parser *p);

/* Tells the parser that n <= pending bytes were passed over without feeding. */
void strata_tar_skip(struct strata_tar_parser *p, uint64_t n);

/* Offset of the next byte that the parser expects. */
uint64_t strata_tar_offset(const struct strata_tar_parser *p);

/*
 * The input has ended. EFORMAT inside a header or payload, or when extension
 * headers belong to no entry. *findings: archive-wide ones; *end_offset: where
 * the end blocks begin (behind the last entry's padding, as far as it is there).
 */
int strata_tar_finish(struct strata_tar_parser *p, uint32_t *findings, uint64_t *end_offset,
                      struct strata_err *err);

/* ---- PAX records ------------------------------------------------------- */

struct strata_pax_record {
	const char *key;
	size_t key_len;
	const char *value;
	size_t value_len;
};

/*
 * Takes the next record off *records (advancing both). 1 a record, 0 none
 * left, -1 EFORMAT. Lengths are as declared; values may hold any byte.
 */
int strata_pax_next(const char **records, size_t *len, struct strata_pax_record *r,
                    struct strata_err *err);

/* Appends one record with its decimal length in front. */
int strata_pax_append(struct strata_buf *out, const char *key, size_t key_len, const char *value,
                      size_t value_len, struct strata_err *err);

/*
 * Appends the records that turn `old` into `wanted`, as strata_tar_patch takes
 * them: the records that are new or have another value, and an empty one for
 * each key that `wanted` lacks. Of several records of one key the last counts.
 */
int strata_pax_diff(const char *old, size_t old_len, const char *wanted, size_t wanted_len,
                    struct strata_buf *out, struct strata_err *err);

/* ---- editing and writing headers (patch.c) ------------------------- */

enum strata_tar_field {
	STRATA_TAR_PATH = 1 << 0,
	STRATA_TAR_LINKPATH = 1 << 1,
	STRATA_TAR_MODE = 1 << 2,
	STRATA_TAR_UID = 1 << 3,
	STRATA_TAR_GID = 1 << 4,
	STRATA_TAR_UNAME = 1 << 5,
	STRATA_TAR_GNAME = 1 << 6,
	STRATA_TAR_MTIME = 1 << 7,
	STRATA_TAR_SIZE = 1 << 8, /* also makes a sparse entry an ordinary one */
	STRATA_TAR_TYPE = 1 << 9,
	STRATA_TAR_DEVICE = 1 << 10,  /* major and minor */
	STRATA_TAR_RECORDS = 1 << 11, /* PAX records: see `records` below */
	STRATA_TAR_ATIME = 1 << 12,   /* one that is not there is removed */
	STRATA_TAR_CTIME = 1 << 13,
	STRATA_TAR_REPEATED = 1 << 14, /* with others: the blocks of extension headers, too */
};

/*
 * New values of the fields named in `mask`; the rest is not looked at.
 * `records`: raw PAX records to set, each replacing the one of its key or
 * added behind the last; an empty value deletes the key's record. Keys that a
 * field stands for (path, size, mtime, ...) and GNU.sparse ones are EINVAL
 * there, except in a global header, which has records only.
 */
struct strata_tar_changes {
	uint32_t mask;
	struct strata_tar_header to; /* path, linkpath, ..., typeflag as masked */
	const char *records;
	size_t records_len;
};

/*
 * Appends to out the header span `raw` with the changes carried out and
 * nothing else changed: untouched fields keep their bytes, untouched PAX
 * records their place and text, an untouched header its checksum spelling;
 * values that are there already change nothing at all. The result parses to
 * exactly the new values.
 *
 * A number keeps the fill and terminator of its field. What does not fit goes
 * where the entry's own format puts it: base-256 and L/K headers for GNU (PAX
 * records if it has an x header), prefix or PAX records for ustar; a v7 header
 * that needs them becomes ustar. A record, L or K header that exists for the
 * field is edited, or removed when the field alone holds the new value (in
 * ASCII, for a record); an x header without records goes too. Names are raw
 * bytes. Of repeated extension headers only the one that counts is kept, once
 * anything changes.
 *
 * A new atime or ctime is a record, which every reader knows. The field that a
 * GNU or star block has for it is cleared, so that there is one value only.
 *
 * A new type that is no link any more drops the linkpath, one that has no
 * content the size. SIZE makes a sparse entry an ordinary one: map and GNU.sparse
 * records go, 'S' becomes '0'. Without SIZE a sparse entry cannot change
 * its type, except between NUL and '0', which mean the same.
 * A type of NUL with a name that ends in '/' reads as a directory: a file that
 * gets such a name gets the type '0'.
 *
 * EINVAL for values that cannot be (NUL in a name, ids and sizes out of range,
 * a size without content), ELIMIT for an extension header of more than 1 MiB,
 * EFORMAT when raw is no header span. out is then as it was.
 */
int strata_tar_patch(const char *raw, size_t raw_len, const struct strata_tar_changes *changes,
                     struct strata_buf *out, struct strata_err *err);

/* Whether it is certain that a header span of so many bytes stays as long with these changes. */
bool strata_tar_patch_fits(size_t raw_len, const struct strata_tar_changes *changes);

/*
 * Appends a fresh header span for h (path, linkpath, uname, gname, mode, uid,
 * gid, size, mtime, atime, ctime, device, typeflag, pax = further records) as
 * Go's archive/tar writes it: ustar, with an x header of sorted records in front
 * only when something needs it (fractions of seconds, atime, ctime, non-ASCII or
 * long names, big numbers, further records). Records in pax that a field stands
 * for, and empty ones, are left out. A type of NUL becomes '0' or '5'; 'g' writes
 * a global header of the records. EINVAL as for strata_tar_patch, and for types
 * that are not entries (x, L, K, S) and files whose name ends in '/'.
 */
int strata_tar_write(const struct strata_tar_header *h, struct strata_buf *out,
                     struct strata_err *err);

/* Bytes of padding behind a payload of n bytes. */
static inline uint64_t strata_tar_padding(uint64_t n)
{
	return (STRATA_TAR_BLOCK - n % STRATA_TAR_BLOCK) % STRATA_TAR_BLOCK;
}

/* True for types whose payload is always empty (1 to 6). */
static inline bool strata_tar_header_only(char typeflag)
{
	return typeflag >= '1' && typeflag <= '6';
}

/* ---- sparse files (sparse.c) --------------------------------------- */

struct strata_tar_extent {
	uint64_t offset; /* in the content */
	uint64_t len;
};

/*
 * The data extents of a sparse entry, in order; between them are holes. raw is
 * its header span; payload the first bytes of its stored payload, which PAX
 * 1.0 begins with the map (*map_bytes says how many of them are map, 0
 * otherwise). *extents is malloc'ed and the caller's. 1 done, 0 more payload
 * is needed (1.0 only), -1 EFORMAT/ELIMIT. Extents are monotonic, lie inside
 * `size` and sum to the stored size without the map.
 */
int strata_tar_sparse_map(const char *raw, size_t raw_len, const char *payload, size_t payload_len,
                          const struct strata_tar_limits *limits,
                          struct strata_tar_extent **extents, size_t *n, uint64_t *map_bytes,
                          struct strata_err *err);

#endif
