/*
 * A new tar made of entries of several others.
 *
 * It is a list, written from front to back: entries keep their raw headers and
 * content, but for a new name or link target; between them stand headers that
 * the caller brings (whiteouts, directories), ranges of files, and the content of
 * files of the host. Whoever makes the list sees to it that links stand behind
 * their files.
 *
 * A compose owns its list, references to the files and directories, and none of
 * the indexes, which have to outlive it and must hold no edits.
 */
#ifndef STRATA_ASSEMBLE_H
#define STRATA_ASSEMBLE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/fs/host_tree.h"
#include "core/layer/index.h"
#include "core/layer/plan.h"

/* What is no number of an index. */
#define STRATA_ASSEMBLE_BYTES UINT32_MAX
#define STRATA_ASSEMBLE_RANGE (UINT32_MAX - 1)
#define STRATA_ASSEMBLE_HOST_FILE (UINT32_MAX - 2)

struct strata_assemble_item {
	uint32_t source; /* number of its index, or one of the above */
	uint32_t entry;  /* of the index or the directory; length of bytes; number of the range */
	uint32_t name; /* where in the text the new name stands, or the bytes; number of the disk */
	uint32_t link;
	uint16_t name_len; /* 0: the name stays */
	uint16_t link_len; /* 0: the link's target stays */
};

struct strata_assemble_range {
	uint64_t offset;
	uint64_t len;
	uint32_t file;
};

/* All zero bytes: an empty one. */
struct strata_assemble {
	struct strata_index **sources;
	uint32_t source_count;
	struct strata_file **files; /* owns references */
	uint32_t file_count;
	struct strata_host_tree **disks; /* owns references */
	uint32_t disk_count;
	struct strata_assemble_range *ranges;
	uint32_t range_count;
	struct strata_assemble_item *items;
	uint32_t count;
	struct strata_buf text;
	uint64_t size; /* of the tar, about */
};

void strata_assemble_free(struct strata_assemble *c);

/* Adds a tar that entries are taken from; its number goes to *source. */
int strata_assemble_index(struct strata_assemble *c, struct strata_index *index, uint32_t *source,
                          struct strata_err *err);

/* Adds an entry. name and linkpath may be NULL: as they are. */
int strata_assemble_add(struct strata_assemble *c, uint32_t source, uint32_t entry,
                        const char *name, size_t name_len, const char *linkpath,
                        size_t linkpath_len, struct strata_err *err);

/* Adds whole blocks. */
int strata_assemble_bytes(struct strata_assemble *c, const char *bytes, size_t len,
                          struct strata_err *err);

/*
 * Adds bytes of a file as they are. What lies behind the range added last is one
 * range with it. A whole number of blocks is the caller's business.
 */
int strata_assemble_range(struct strata_assemble *c, struct strata_file *file, uint64_t offset,
                          uint64_t len, struct strata_err *err);

/* Adds the content of a regular file of a directory, padded. Its header stands before it. */
int strata_assemble_host_file(struct strata_assemble *c, struct strata_host_tree *disk,
                              uint32_t number, struct strata_err *err);

/*
 * Writes the tar with its end blocks into the file `to`. Compressed sources are
 * spooled, which verifies them; plain ones are read here and there, and are to
 * be verified by who wants that. digest and diff_id of `options` are not used.
 */
int strata_assemble_write(struct strata_assemble *c, const struct strata_plan_options *options,
                          struct strata_file *to, struct strata_plan_result *result,
                          struct strata_err *err);

#endif
