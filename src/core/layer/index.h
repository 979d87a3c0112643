/*
 * The entry index of one tar: a layer, or an image archive itself.
 *
 * It is built once by strata_index_scan and then knows every entry's decoded
 * fields and spans, in 128 bytes plus names per entry. Edits are recorded
 * in it (see plan.h): dropped entries, new values of fields (the entry holds
 * the current value, `changed` says which fields to patch), replaced content.
 *
 * The index owns all its memory and a reference to its file. It is not locked:
 * while a job works on it nothing else may change it.
 */
#ifndef STRATA_INDEX_H
#define STRATA_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/siphash.h"
#include "core/job/pool.h"
#include "core/layer/blob.h"
#include "core/layer/block_list.h"
#include "core/tar/tar.h"

/* Bytes in the index's arena. */
struct strata_text {
	uint32_t offset;
	uint32_t len;
};

/* The same for texts below 64 KiB: paths, which the parser limits to that. */
struct strata_path {
	uint32_t offset;
	uint16_t len;
};

#define STRATA_NO_ENTRY UINT32_MAX

struct strata_entry {
	uint64_t header_offset;
	uint64_t data_offset;
	int64_t size;   /* of the content */
	int64_t stored; /* payload bytes in the tar */
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t devmajor;
	uint32_t devminor;
	struct strata_text pax;      /* raw records of the x headers */
	struct strata_path name;     /* as stored */
	struct strata_path path;     /* normalised; often a part of name */
	struct strata_path linkpath; /* as stored */
	struct strata_path uname;
	struct strata_path gname;
	uint16_t changed;  /* enum strata_tar_field: what to patch */
	uint16_t findings; /* enum strata_tar_finding */
	uint32_t replaced; /* number of its new content in replacements, from 1; 0: none */
	uint32_t times;    /* where its strata_times are in the arena, if it has any */
	char typeflag;
	uint8_t format; /* enum strata_tar_format */
	bool sparse : 1;
	bool timed : 1;
	bool dropped : 1;
	bool marked : 1; /* by a filter that runs: drop_marked() drops it, unmark() forgives it */
	bool retargeted : 1; /* linkpath was changed by plan_write, because its target moved */
	bool renamed : 1;    /* its path or linkpath was assigned: former_names has the old ones */
	bool drafted : 1;    /* it is not in the draft */
	bool hides : 1;      /* in by_path, it has the place of others of the same path */
};

/* What an entry was called, and what it led to, when it was scanned. */
struct strata_former_name {
	uint32_t entry;
	struct strata_path path;
	struct strata_path linkpath;
};

/* Times that few entries have: they lie in the arena, so that the others need no bytes for them. */
struct strata_times {
	struct strata_tar_time atime;
	struct strata_tar_time ctime;
};

/* The entries that a hardlink leads to, by the names as stored in the tar. */
struct strata_link {
	uint32_t target; /* the entry of the name that it holds, perhaps a link itself */
	uint32_t root;   /* the file behind it; STRATA_NO_ENTRY: not in this tar */
	uint32_t next; /* the next header of the same file, in a circle; itself when it is alone */
};

/* New content of an entry. */
struct strata_replacement {
	char *data;
	size_t len;
};

struct strata_index {
	struct strata_blob blob;              /* owns a reference */
	struct strata_inflate_limits inflate; /* for all reads */
	struct strata_expected expected;      /* the scan sets it; contents are compared with it */
	bool verified;                        /* a plain tar: the bytes are those expected */
	struct strata_file_stamp verified_at; /* of the file, when they were read */
	struct strata_tar_limits limits;      /* of the scan, for later parsing */
	struct strata_file *plain; /* the inflated tar; NULL until strata_index_inflate makes it */
	struct strata_block_list blocks; /* of gzip, since it was inflated */
	struct strata_entry *entries;
	uint32_t count;
	struct strata_buf arena;
	struct strata_replacement *replacements;
	uint32_t replacement_count;
	uint32_t kept_replacements; /* the first ones, which a checkpoint may need: they do not
	                               change */
	struct strata_former_name *former_names; /* of the renamed entries */
	uint32_t former_count;
	uint64_t tar_size;   /* bytes of the whole tar */
	uint64_t end_offset; /* where its end blocks begin */
	uint32_t findings;   /* of the archive as a whole */
	bool scanned;
	uint32_t revision; /* counts edits; 0: as it was read */
	uint64_t *edits;   /* counts the edits of several indexes; NULL: nobody does. Outlives it */
	bool busy;         /* a job works on it */
	char diff_id[STRATA_DIGEST_MAX]; /* of the tar, when the scan had to read it all; else "" */
	char digest[STRATA_DIGEST_MAX];  /* of the blob, likewise */
	uint32_t *by_path; /* hash table of entry numbers, or NULL: strata_index_find */
	uint32_t by_path_mask;
	struct strata_hash_key hash_key;
	struct strata_link *links; /* one per entry, or NULL when the tar has no hardlinks */
	struct strata_file *draft; /* of the edited blob (draft.h), or NULL */
	struct strata_blob_info draft_info;
};

struct strata_draft_rules;

/*
 * Reads the blob's headers: a plain tar by seeking over the payloads, a
 * compressed one whole, which then also gives digest and diff_id. *index is an index of
 * all zero bytes that already has its blob, and is that again after a failure.
 * One that is scanned already stays as it is. work may be NULL; its progress
 * counts the bytes of a compressed blob only.
 */
int strata_index_scan(struct strata_index *index, const struct strata_tar_limits *limits,
                      const struct strata_work *work, struct strata_err *err);

/*
 * The same, and a compressed blob is inflated into an unnamed temporary file in dir meanwhile, as
 * strata_index_inflate does: for what is going to be read, it is inflated and hashed once that way.
 * Of one that is scanned already nothing is inflated.
 */
int strata_index_scan_and_inflate(struct strata_index *index,
                                  const struct strata_tar_limits *limits, const char *dir,
                                  const struct strata_work *work, struct strata_err *err);

/* The same as strata_index_scan, and a draft of the edited blob is made meanwhile (draft.h). */
int strata_index_scan_and_draft(struct strata_index *index, const struct strata_tar_limits *limits,
                                const struct strata_draft_rules *rules,
                                const struct strata_work *work, struct strata_err *err);

void strata_index_free(struct strata_index *index);

/* Adds an entry as the scan does: for callers that have a parser of their own. */
int strata_index_add(struct strata_index *index, const struct strata_tar_header *h,
                     struct strata_err *err);

/* Notes that the plan of an index is another one. */
static inline void strata_index_was_edited(struct strata_index *index)
{
	index->revision++;
	if (index->edits)
		++*index->edits;
}

/*
 * Makes *to a copy of the entries of the scanned index *from, marks included. *to is all zero bytes
 * before, and after a failure. It has no blob: no content can be read through it.
 */
int strata_index_copy(const struct strata_index *from, struct strata_index *to,
                      struct strata_err *err);

/*
 * Gives the entries the names and links that the scan found, the dropped ones too, and takes the
 * marks away. Only for a copy, which nothing is written from.
 */
void strata_index_restore_names(struct strata_index *copy);

/* True for a hardlink to a file that no entry of its tar is by the name in the link. */
bool strata_index_is_dangling(const struct strata_index *index, uint32_t entry);

static inline const char *strata_index_text(const struct strata_index *index,
                                            struct strata_path path)
{
	return index->arena.data + path.offset;
}

/* ---- finding (index_find.c) ---- */

/*
 * The number of the last entry with that normalised path that is not dropped,
 * STRATA_NO_ENTRY when there is none. -1/ENOMEM: no memory for the table.
 */
int strata_index_find(struct strata_index *index, const char *path, size_t len, uint32_t *found,
                      struct strata_err *err);

/*
 * Before an entry's path changes or it is dropped, and after it has another path: the table
 * follows, as far as there is one. When the last entry of several of one path goes, the next search
 * makes a new one.
 */
void strata_index_remove_path(struct strata_index *index, uint32_t entry);
void strata_index_add_path(struct strata_index *index, uint32_t entry);

/* To be called when many paths have changed, or many entries have been dropped. */
void strata_index_forget_paths(struct strata_index *index);

/*
 * Binds every hardlink to the entry that it shares its content with: the
 * latest one of that path before it, else the last behind it. Done by the
 * scan, by the names as stored.
 */
int strata_index_bind_links(struct strata_index *index, struct strata_err *err);

/* ---- storing texts (index.c), for the scan and for edits ---- */

/* Stores an entry's name as it stands in the tar, and its normalised path. */
int strata_index_store_name(struct strata_index *index, struct strata_entry *e, const char *name,
                            size_t len, struct strata_err *err);

/* Copies text into the arena. */
int strata_index_store(struct strata_index *index, const char *text, size_t len, uint32_t *offset,
                       struct strata_err *err);

/*
 * The file of its layer that an entry names as a hardlink, so that the entry's header adds its
 * attributes to the file's; STRATA_NO_ENTRY for what is no hardlink, or a whiteout by its name.
 */
uint32_t strata_index_file_of(const struct strata_index *index, uint32_t entry);

/* An entry's atime and ctime. */
struct strata_times strata_index_times(const struct strata_index *index,
                                       const struct strata_entry *e);

int strata_index_store_times(struct strata_index *index, struct strata_entry *e,
                             const struct strata_times *times, struct strata_err *err);

/* ---- reading content (index_read.c) ---- */

/*
 * Makes sure that the tar can be read at any offset: a compressed one is
 * inflated into an unnamed temporary file in dir, once, and its diff_id
 * compared with index->diff_id. Plain ones need nothing. work may be NULL; its
 * progress counts the bytes of the blob.
 */
int strata_index_inflate(struct strata_index *index, const char *dir,
                         const struct strata_work *work, struct strata_err *err);

/*
 * The same, and a plain tar is read to its end and compared with index->expected, when that was
 * not done before, or the file has been written to since. EDIGEST: its bytes are others.
 */
int strata_index_prepare(struct strata_index *index, const char *dir,
                         const struct strata_work *work, struct strata_err *err);

/* Whether strata_index_prepare has nothing to do: 1 or 0. */
int strata_index_is_prepared(const struct strata_index *index, struct strata_err *err);

/* Notes that the bytes of a plain tar are those expected; stamp: of its file, before they were
 * read. */
void strata_index_set_verified(struct strata_index *index, const struct strata_file_stamp *stamp);

/* Reads tar bytes [offset, offset + len); compressed ones have to be inflated first. */
int strata_index_read(const struct strata_index *index, uint64_t offset, void *bytes, size_t len,
                      struct strata_err *err);

/*
 * Up to max bytes of an entry's content from `from` on, appended to out: holes of sparse files are
 * zeros, replaced content is the new one. Prepares the index first.
 */
int strata_index_content(struct strata_index *index, uint32_t entry, uint64_t from, uint64_t max,
                         struct strata_buf *out, struct strata_err *err);

/*
 * "sha256:<hex>" of all of an entry's content, as strata_index_content gives it. ELIMIT when a
 * sparse file has more holes than limits.ratio lets anything inflate to.
 */
int strata_index_digest(struct strata_index *index, uint32_t entry, char digest[STRATA_DIGEST_MAX],
                        struct strata_err *err);

/*
 * Whether up to max bytes of two entries' contents, from `from` on, are the same
 * and end at the same place: 1 or 0. Reads piece by piece.
 */
int strata_index_same_content(struct strata_index *a, uint32_t entry_a, struct strata_index *b,
                              uint32_t entry_b, uint64_t from, uint64_t max,
                              struct strata_err *err);

#endif
