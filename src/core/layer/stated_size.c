#include "core/layer/stated_size.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/mem.h"

#define GZIP_LEAST 18 /* bytes of the header and the trailer */

/* What is inflated to what is stored, at most: a claim of more would make holes in an output. */
#define MOST_TIMES 100

/* So many stored bytes there are for each block, on average, or the walk is given up. */
#define BYTES_PER_BLOCK 1024

static uint64_t little_endian(const unsigned char *bytes, size_t n)
{
	uint64_t value = 0;

	while (n > 0)
		value = value << 8 | bytes[--n];
	return value;
}

/* Reads n bytes at `at`; 0 when the blob ends before. */
static int read_at(const struct strata_blob *blob, uint64_t at, unsigned char *bytes, size_t n,
                   struct strata_err *err)
{
	if (at > blob->size || n > blob->size - at)
		return 0;
	return strata_file_read(blob->file, blob->offset + at, bytes, n, err) < 0 ? -1 : 1;
}

static int gzip_size(const struct strata_blob *blob, uint64_t *size, struct strata_err *err)
{
	unsigned char field[4];
	int status;

	if (blob->size < GZIP_LEAST)
		return 0;
	status = read_at(blob, blob->size - sizeof(field), field, sizeof(field), err);
	if (status <= 0)
		return status;
	*size = little_endian(field, sizeof(field));
	return 1;
}

/* ---- zstd (RFC 8878) ------------------------------------------------------ */

/* A walk over the frames of a blob, from header to header. */
struct walk {
	const struct strata_blob *blob;
	uint64_t at;
	uint64_t blocks; /* that may still come */
};

/* Passes over the blocks of a frame. 1, 0 when they are not as they should be. */
static int pass_blocks(struct walk *w, struct strata_err *err)
{
	unsigned char field[3];
	bool last = false;

	while (!last) {
		uint64_t header, size, type;
		int status = read_at(w->blob, w->at, field, sizeof(field), err);

		if (status <= 0 || w->blocks-- == 0)
			return status < 0 ? -1 : 0;
		header = little_endian(field, sizeof(field));
		last = header & 1;
		type = header >> 1 & 3;
		size = type == 1 ? 1 : header >> 3; /* 1: a byte that is repeated */
		w->at += sizeof(field) + size;
	}
	return 1;
}

/* Passes over a frame and adds its size. 1, 0 when it states none. */
static int pass_frame(struct walk *w, uint64_t *total, struct strata_err *err)
{
	static const unsigned char id_sizes[] = {0, 1, 2, 4};
	static const unsigned char content_sizes[] = {0, 2, 4, 8};
	unsigned char head[5], field[8];
	size_t n;
	bool single;
	int status = read_at(w->blob, w->at, head, sizeof(head), err);

	if (status <= 0)
		return status;
	if ((little_endian(head, 4) & 0xfffffff0) == 0x184d2a50) { /* one to be skipped */
		status = read_at(w->blob, w->at + 4, field, 4, err);
		w->at += 8 + (status > 0 ? little_endian(field, 4) : 0);
		return status;
	}
	if (little_endian(head, 4) != 0xfd2fb528)
		return 0;
	single = head[4] & 0x20;
	n = single && head[4] >> 6 == 0 ? 1 : content_sizes[head[4] >> 6];
	w->at += sizeof(head) + !single + id_sizes[head[4] & 3];
	status = n > 0 ? read_at(w->blob, w->at, field, n, err) : 0;
	if (status <= 0)
		return status;
	w->at += n;
	if (!strata_add(*total, little_endian(field, n) + (n == 2 ? 256 : 0), total))
		return 0;
	status = pass_blocks(w, err);
	w->at += head[4] & 4; /* a checksum of 4 bytes */
	return status;
}

static int zstd_size(const struct strata_blob *blob, uint64_t *size, struct strata_err *err)
{
	struct walk w = {.blob = blob, .blocks = blob->size / BYTES_PER_BLOCK + 64};
	int status = 1;

	*size = 0;
	while (status > 0 && w.at < blob->size)
		status = pass_frame(&w, size, err);
	return status > 0 && w.at != blob->size ? 0 : status;
}

int strata_stated_size(const struct strata_blob *blob, uint64_t *size, struct strata_err *err)
{
	int status = 0;

	if (blob->compression == STRATA_GZIP)
		status = gzip_size(blob, size, err);
	else if (blob->compression == STRATA_ZSTD)
		status = zstd_size(blob, size, err);
	if (status <= 0)
		return status;
	/* What cannot be compressed gets longer by less than a hundredth. */
	return *size / MOST_TIMES < blob->size && *size + *size / 100 + 64 >= blob->size;
}
