/*
 * The edit plan of a tar, and its execution.
 *
 * Edits are recorded in the index and touch no byte: an entry is dropped, or
 * gets new values of some fields, or new content. strata_plan_write then
 * streams the old tar once, front to back, and writes the new one: untouched
 * entries keep their raw bytes, changed ones get a patched header. It hashes
 * what it reads and what it writes.
 *
 * Hardlinks stay names of their file: when the file is dropped its first
 * remaining link takes its header and its content; links whose target was
 * renamed or dropped are pointed at the name that remains.
 */
#ifndef STRATA_PLAN_H
#define STRATA_PLAN_H

#include "core/layer/globs.h"
#include "core/layer/index.h"

void strata_plan_drop(struct strata_index *index, uint32_t entry);

/* Drops the entries that are marked and takes the marks away. Returns how many. */
uint32_t strata_plan_drop_marked(struct strata_index *index);

/*
 * Whether an entry is dropped with the paths that globs match: 1 or 0. A whiteout goes by the path
 * that it hides, which is no use of a glob of its own, and stays without `whiteouts`. used: as for
 * strata_globs_match. scratch: an empty buffer, which may be used again.
 */
int strata_plan_covers(const struct strata_index *index, const struct strata_entry *e,
                       const struct strata_globs *globs, bool whiteouts, bool *used,
                       struct strata_buf *scratch, struct strata_err *err);

/* Marks all such entries. *count: how many. */
int strata_plan_mark_covered(struct strata_index *index, const struct strata_globs *globs,
                             bool whiteouts, bool *used, uint32_t *count, struct strata_err *err);

/* Fields of text. The old name's style ("./", "/", a directory's "/" at the end) is kept. */
int strata_plan_path(struct strata_index *index, uint32_t entry, const char *path, size_t len,
                     struct strata_err *err);

/* STRATA_TAR_LINKPATH, _UNAME or _GNAME. */
int strata_plan_text(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                     const char *text, size_t len, struct strata_err *err);

/* STRATA_TAR_MODE, _UID or _GID. */
void strata_plan_number(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                        uint32_t value);

void strata_plan_mtime(struct strata_index *index, uint32_t entry, int64_t sec, uint32_t nsec);

/* STRATA_TAR_ATIME or _CTIME; a time that is not there removes it. */
int strata_plan_time(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                     const struct strata_tar_time *t, struct strata_err *err);

void strata_plan_device(struct strata_index *index, uint32_t entry, uint32_t devmajor,
                        uint32_t devminor);

/* The PAX records that the entry shall have, whole, as "LEN KEY=VALUE\n"... */
int strata_plan_records(struct strata_index *index, uint32_t entry, const char *records, size_t len,
                        struct strata_err *err);

/* New content of a file; copies data. */
int strata_plan_content(struct strata_index *index, uint32_t entry, const char *data, size_t len,
                        struct strata_err *err);

struct strata_plan_options {
	struct strata_expected expected;     /* of the old blob */
	const char *temp_dir;                /* for the inflated tar; NULL: the default */
	enum strata_compression compression; /* of the result */
	int level;
	/* A plain one has a place in the file, which it must fill: ERANGE when it does not. */
	bool placed;
	uint64_t offset;
	uint64_t size;
	/* If it is that of the old blob: what can stay of the compressed bytes stays (splicer.h).
	 */
	bool splice;
	struct strata_work work; /* its progress counts bytes of the old blob */
};

/* Whether deflate blocks of a layer may stay. An edited one's blob is read then, also where it is
 * inflated already. */
bool strata_plan_splices(const struct strata_index *index, enum strata_compression to, bool splice);

/* Carries the plan out into the file `to`. EDIGEST when the old bytes are not as expected. */
int strata_plan_write(struct strata_index *index, const struct strata_plan_options *options,
                      struct strata_file *to, struct strata_blob_info *result,
                      struct strata_err *err);

/*
 * How many bytes the new tar will have: for a layer whose contents can be read (strata_index_read).
 * Of the old tar it reads the headers that are edited.
 */
int strata_plan_measure(struct strata_index *index, uint64_t *size, struct strata_err *err);

#endif
