/* The content of a file: straight from the stream, holes left out. */
#ifndef STRATA_APPLY_CONTENT_H
#define STRATA_APPLY_CONTENT_H

#include "core/base/buf.h"
#include "core/tar/tar.h"

struct strata_apply;

/* The file whose payload is being read. */
struct apply_content {
	int fd;        /* -1: none */
	uint64_t left; /* payload bytes to come */
	uint64_t size;
	bool sparse;
	bool mapped;
	struct strata_buf raw;    /* header span of a sparse file */
	struct strata_buf prefix; /* payload that may be its map */
	struct strata_tar_extent *extents;
	size_t extent_count;
	size_t extent; /* being written */
	uint64_t within;
};

/* Takes fd, a new and empty file, which gets a->meta when its content is complete. */
int apply_content_begin(struct strata_apply *a, int fd, const struct strata_tar_header *h,
                        const char *raw, size_t raw_len, struct strata_err *err);

/* The next bytes of the payload; they are passed over when there is no file. */
int apply_data(struct strata_apply *a, const char *data, size_t len, struct strata_err *err);

void apply_content_close(struct strata_apply *a);

#endif
