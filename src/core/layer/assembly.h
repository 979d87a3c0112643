/*
 * A new tar made of entries of several others.
 *
 * It is a list, written from front to back. Entries keep their raw headers and content, but for a
 * new name or link target. Between them stand headers that the caller brings (whiteouts,
 * directories), ranges of files, and the content of files of the host. A hardlink must stand behind
 * its file; the caller sees to that.
 *
 * An assembly owns its list and references to files and host trees. It borrows the indexes: they
 * must outlive it and must hold no edits.
 */
#ifndef STRATA_ASSEMBLY_H
#define STRATA_ASSEMBLY_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/fs/host_tree.h"
#include "core/layer/index.h"
#include "core/layer/plan.h"

enum strata_assembly_kind {
	STRATA_ASSEMBLY_ENTRY,
	STRATA_ASSEMBLY_BYTES,
	STRATA_ASSEMBLY_RANGE,
	STRATA_ASSEMBLY_HOST_FILE,
};

struct strata_assembly_item {
	enum strata_assembly_kind kind;
	union {
		struct {
			uint32_t source; /* number of its index */
			uint32_t number; /* in that index */
			uint32_t name;   /* where the new name stands in `text` */
			uint32_t link;
			uint16_t name_len; /* 0: the name stays */
			uint16_t link_len; /* 0: the link's target stays */
			/* The entry whose attributes it gets: itself, or another. */
			uint32_t header_source;
			uint32_t header_number;
		} entry;
		struct strata_text bytes; /* in `text` */
		struct {
			uint64_t offset;
			uint64_t len;
			uint32_t file; /* its number */
		} range;
		struct {
			uint32_t tree; /* its number */
			uint32_t entry;
		} host_file;
	} as;
};

/* All zero bytes: an empty one. */
struct strata_assembly {
	struct strata_index **sources;
	uint32_t source_count;
	struct strata_file **files; /* owns references */
	uint32_t file_count;
	struct strata_host_tree **trees; /* owns references */
	uint32_t tree_count;
	struct strata_assembly_item *items;
	uint32_t count;
	struct strata_buf text;
	uint64_t size;   /* of the tar, about */
	bool open_ended; /* the caller brings the end of the tar */
};

void strata_assembly_free(struct strata_assembly *a);

/* Adds a tar that entries are taken from; its number goes to *source. */
int strata_assembly_add_source(struct strata_assembly *a, struct strata_index *index,
                               uint32_t *source, struct strata_err *err);

/* Adds an entry. name and linkpath may be NULL: as they are. */
int strata_assembly_add_entry(struct strata_assembly *a, uint32_t source, uint32_t number,
                              const char *name, size_t name_len, const char *linkpath,
                              size_t linkpath_len, struct strata_err *err);

/*
 * The entry that was added last gets the mode, owner, time and xattrs of another one, as its file
 * has when that is a later hardlink to it: attributes are added, and the capability is the other's.
 */
void strata_assembly_take_header(struct strata_assembly *a, uint32_t source, uint32_t number);

/* Adds whole blocks. */
int strata_assembly_add_bytes(struct strata_assembly *a, const char *bytes, size_t len,
                              struct strata_err *err);

/*
 * Adds bytes of a file as they are; in all they must be whole blocks. A range that goes on where
 * the one added just before ends is joined with it.
 */
int strata_assembly_add_range(struct strata_assembly *a, struct strata_file *file, uint64_t offset,
                              uint64_t len, struct strata_err *err);

/* Adds the content of a regular file of the host, padded. Its header is added before it. */
int strata_assembly_add_host_file(struct strata_assembly *a, struct strata_host_tree *tree,
                                  uint32_t entry, struct strata_err *err);

/*
 * Writes the tar with its end blocks, unless it is open-ended, into the file `to`. Compressed
 * sources are inflated into temporary files first, which verifies them. Plain ones are read where
 * entries are taken from them, and so are not verified. `expected` of the options is not used. With
 * `splice` the blocks of sources with that compression stay where the bytes around them do
 * (splicer.h).
 */
int strata_assembly_write(struct strata_assembly *a, const struct strata_plan_options *options,
                          struct strata_file *to, struct strata_blob_info *result,
                          struct strata_err *err);

#endif
