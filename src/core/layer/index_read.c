/* Reading what entries hold. */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/index.h"

int strata_index_inflate(struct strata_index *index, const char *dir,
                         const struct strata_work *work, struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader stream = {0};
	cleanup_file struct strata_file *plain = NULL;
	cleanup_block_list struct strata_block_list blocks = {0};
	char stored[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	const char *bytes;
	size_t len;

	if (index->blob.compression == STRATA_NONE || index->plain != NULL)
		return 0;
	plain = strata_file_temp(dir, NULL, err);
	if (plain == NULL ||
	    strata_blob_reader_open(&stream, &index->blob,
	                            STRATA_DIGEST_PLAIN | STRATA_READ_AHEAD | STRATA_BLOCK_PLACES,
	                            &index->inflate, work, err) < 0)
		return -1;
	for (uint64_t at = 0;; at += len) {
		if (strata_blob_reader_next(&stream, &bytes, &len, err) < 0)
			return -1;
		if (len == 0)
			break;
		if (strata_file_write(plain, at, bytes, len, err) < 0 ||
		    strata_block_list_add(&blocks, strata_blob_reader_packed(&stream), err) < 0)
			return -1;
	}
	if (strata_blob_reader_digests(&stream, stored, diff_id, err) < 0)
		return -1;
	if (index->diff_id[0] != '\0' && strcmp(index->diff_id, diff_id) != 0)
		return strata_fail(err, "EDIGEST", "%s: inflates to %s now and to %s before",
		                   strata_file_name(index->blob.file), diff_id, index->diff_id);
	index->plain = steal_pointer(&plain);
	index->blocks = blocks;
	blocks = (struct strata_block_list){0};
	return 0;
}

static bool is_expected(const struct strata_index *index)
{
	return index->expected.digest[0] != '\0' || index->expected.diff_id[0] != '\0';
}

int strata_index_is_prepared(const struct strata_index *index, struct strata_err *err)
{
	struct strata_file_stamp now;

	if (index->blob.compression != STRATA_NONE)
		return index->plain != NULL;
	if (!is_expected(index))
		return 1;
	if (!index->verified)
		return 0;
	if (strata_file_stamp(index->blob.file, &now, err) < 0)
		return -1;
	return strata_file_same_stamp(&now, &index->verified_at);
}

void strata_index_set_verified(struct strata_index *index, const struct strata_file_stamp *stamp)
{
	index->verified = true;
	index->verified_at = *stamp;
}

/* Reads a plain tar to its end and compares its digests. */
static int verify(struct strata_index *index, const struct strata_work *work,
                  struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader reader = {0};
	char digest[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	struct strata_file_stamp stamp;
	const char *bytes;
	size_t len;

	if (strata_file_stamp(index->blob.file, &stamp, err) < 0 ||
	    strata_blob_reader_open(&reader, &index->blob,
	                            STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN, NULL, work,
	                            err) < 0)
		return -1;
	do {
		if (strata_blob_reader_next(&reader, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(&reader, digest, diff_id, err) < 0 ||
	    strata_blob_expect(&index->expected, digest, diff_id, err) < 0)
		return -1;
	strata_index_set_verified(index, &stamp);
	return 0;
}

int strata_index_prepare(struct strata_index *index, const char *dir,
                         const struct strata_work *work, struct strata_err *err)
{
	int prepared = strata_index_is_prepared(index, err);

	if (prepared != 0)
		return prepared < 0 ? -1 : 0;
	return index->blob.compression == STRATA_NONE ? verify(index, work, err)
	                                              : strata_index_inflate(index, dir, work, err);
}

int strata_index_read(const struct strata_index *index, uint64_t offset, void *bytes, size_t len,
                      struct strata_err *err)
{
	uint64_t end;

	if (!strata_add(offset, len, &end) || end > index->tar_size)
		return strata_fail(err, "EFORMAT", "read past the end of the tar");
	if (index->plain != NULL)
		return strata_file_read(index->plain, offset, bytes, len, err);
	return strata_file_read(index->blob.file, index->blob.offset + offset, bytes, len, err);
}

/* Appends tar bytes [offset, offset + len) to out. */
static int append_range(const struct strata_index *index, uint64_t offset, uint64_t len,
                        struct strata_buf *out, struct strata_err *err)
{
	if (len > SIZE_MAX || strata_buf_reserve(out, (size_t)len, err) < 0)
		return len > SIZE_MAX ? strata_fail_nomem(err) : -1;
	if (strata_index_read(index, offset, out->data + out->len, (size_t)len, err) < 0)
		return -1;
	out->len += (size_t)len;
	return 0;
}

/* The sparse map of entry e; PAX 1.0 keeps it in front of the payload. */
static int read_sparse_map(const struct strata_index *index, const struct strata_entry *e,
                           struct strata_tar_extent **extents, size_t *n, uint64_t *map_bytes,
                           struct strata_err *err)
{
	cleanup_buf struct strata_buf raw = {0};
	cleanup_buf struct strata_buf payload = {0};
	int status;

	if (append_range(index, e->header_offset, e->data_offset - e->header_offset, &raw, err) < 0)
		return -1;
	for (;;) {
		status = strata_tar_sparse_map(raw.data, raw.len, payload.data, payload.len,
		                               &index->limits, extents, n, map_bytes, err);
		if (status != 0)
			break;
		if (payload.len >= (uint64_t)e->stored)
			return strata_fail(err, "EFORMAT", "sparse map is longer than its file");
		uint64_t rest = (uint64_t)e->stored - payload.len;

		uint64_t more = payload.len > STRATA_TAR_BLOCK ? payload.len : STRATA_TAR_BLOCK;

		/* Twice as much each time: the map is parsed anew. */
		if (append_range(index, e->data_offset + payload.len, rest < more ? rest : more,
		                 &payload, err) < 0)
			return -1;
	}
	return status < 0 ? -1 : 0;
}

/* Content bytes [from, from + len) of a sparse file: holes are zeros. */
static int sparse_content(const struct strata_index *index, const struct strata_entry *e,
                          uint64_t from, uint64_t len, struct strata_buf *out,
                          struct strata_err *err)
{
	cleanup_free struct strata_tar_extent *extents = NULL;
	uint64_t map_bytes, data, end = from + len;
	size_t n, base = out->len;

	if (read_sparse_map(index, e, &extents, &n, &map_bytes, err) < 0 ||
	    strata_buf_fill(out, 0, (size_t)len, err) < 0)
		return -1;
	data = e->data_offset + map_bytes;
	for (size_t i = 0; i < n; i++) {
		uint64_t first = extents[i].offset > from ? extents[i].offset : from;
		uint64_t last = extents[i].offset + extents[i].len;

		last = last < end ? last : end;
		if (first < last && strata_index_read(index, data + (first - extents[i].offset),
		                                      out->data + base + (first - from),
		                                      (size_t)(last - first), err) < 0)
			return -1;
		data += extents[i].len;
	}
	return 0;
}

/* For a read outside of a job: the layer's name goes before the message. */
static int prepare(struct strata_index *index, struct strata_err *err)
{
	const struct strata_expected *expected = &index->expected;

	if (index->blob.file == NULL)
		return strata_fail(err, "EINVAL", "a copy of an index has no content");
	if (strata_index_prepare(index, NULL, NULL, err) == 0)
		return 0;
	return is_expected(index) ? strata_err_wrap(err, "layer (%.19s…)",
	                                            expected->diff_id[0] != '\0' ? expected->diff_id
	                                                                         : expected->digest)
	                          : -1;
}

int strata_index_content(struct strata_index *index, uint32_t entry, uint64_t from, uint64_t max,
                         struct strata_buf *out, struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[entry];
	uint64_t len = from < (uint64_t)e->size ? (uint64_t)e->size - from : 0;

	len = len < max ? len : max;
	if (len == 0)
		return 0;
	if (e->replaced != 0)
		return strata_buf_append(out, index->replacements[e->replaced - 1].data + from,
		                         (size_t)len, err);
	if (prepare(index, err) < 0)
		return -1;
	if (e->sparse)
		return sparse_content(index, e, from, len, out, err);
	return append_range(index, e->data_offset + from, len, out, err);
}

/* So much of a content is held at a time. */
#define PIECE ((uint64_t)256 << 10)

static int hash_range(const struct strata_index *index, uint64_t offset, uint64_t len,
                      struct strata_digest *digest, struct strata_err *err)
{
	cleanup_buf struct strata_buf bytes = {0};

	while (len > 0) {
		uint64_t n = len < PIECE ? len : PIECE;

		bytes.len = 0;
		if (append_range(index, offset, n, &bytes, err) < 0 ||
		    strata_digest_update(digest, bytes.data, bytes.len, err) < 0)
			return -1;
		offset += n;
		len -= n;
	}
	return 0;
}

static int hash_zeros(uint64_t len, struct strata_digest *digest, struct strata_err *err)
{
	static const char zeros[4096];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (strata_digest_update(digest, zeros, n, err) < 0)
			return -1;
		len -= n;
	}
	return 0;
}

/* Hashing holes takes time, of which a header can ask for any amount. */
static int check_holes(const struct strata_index *index, const struct strata_entry *e,
                       struct strata_err *err)
{
	uint64_t ratio = index->inflate.ratio != 0 ? index->inflate.ratio : STRATA_INFLATE_RATIO;
	uint64_t size = (uint64_t)e->size;

	if (size <= STRATA_INFLATE_RATIO_FREE || size / ratio < (uint64_t)e->stored)
		return 0;
	return strata_fail(err, "ELIMIT",
	                   "content of %llu bytes, more than limits.ratio (%llu) times the %lld "
	                   "that are stored",
	                   (unsigned long long)size, (unsigned long long)ratio,
	                   (long long)e->stored);
}

static int hash_sparse(const struct strata_index *index, const struct strata_entry *e,
                       struct strata_digest *digest, struct strata_err *err)
{
	cleanup_free struct strata_tar_extent *extents = NULL;
	uint64_t map_bytes, data, at = 0;
	size_t n;

	if (check_holes(index, e, err) < 0 ||
	    read_sparse_map(index, e, &extents, &n, &map_bytes, err) < 0)
		return -1;
	data = e->data_offset + map_bytes;
	for (size_t i = 0; i < n; i++) {
		if (hash_zeros(extents[i].offset - at, digest, err) < 0 ||
		    hash_range(index, data, extents[i].len, digest, err) < 0)
			return -1;
		at = extents[i].offset + extents[i].len;
		data += extents[i].len;
	}
	return hash_zeros((uint64_t)e->size - at, digest, err);
}

int strata_index_digest(struct strata_index *index, uint32_t entry, char digest[STRATA_DIGEST_MAX],
                        struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[entry];
	const struct strata_replacement *r;
	cleanup_digest struct strata_digest *d = NULL;

	if (e->replaced != 0) {
		r = &index->replacements[e->replaced - 1];
		return strata_sha256(r->data, r->len, digest, err);
	}
	if (e->size == 0)
		return strata_sha256("", 0, digest, err);
	d = strata_digest_new(STRATA_SHA256, err);
	if (d == NULL || prepare(index, err) < 0)
		return -1;
	if ((e->sparse ? hash_sparse(index, e, d, err)
	               : hash_range(index, e->data_offset, (uint64_t)e->size, d, err)) < 0)
		return -1;
	return strata_digest_final(d, digest, err);
}

int strata_index_same_content(struct strata_index *a, uint32_t entry_a, struct strata_index *b,
                              uint32_t entry_b, uint64_t from, uint64_t max, struct strata_err *err)
{
	cleanup_buf struct strata_buf x = {0};
	cleanup_buf struct strata_buf y = {0};

	while (max > 0) {
		uint64_t piece = max < PIECE ? max : PIECE;

		x.len = y.len = 0;
		if (strata_index_content(a, entry_a, from, piece, &x, err) < 0 ||
		    strata_index_content(b, entry_b, from, piece, &y, err) < 0)
			return -1;
		if (x.len != y.len || (x.len > 0 && memcmp(x.data, y.data, x.len) != 0))
			return 0;
		if (x.len < piece)
			break;
		from += piece;
		max -= piece;
	}
	return 1;
}
