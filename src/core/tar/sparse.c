/*
 * Maps of sparse files: old GNU (pairs in the header and its extension
 * blocks), PAX 0.0 and 0.1 (in the records), PAX 1.0 (in front of the payload).
 */
#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tar/internal.h"

/* The map under construction. */
struct map {
	struct strata_tar_extent *extents;
	size_t n;
	size_t max;
	size_t max_bytes; /* of its text in front of a payload */
	uint64_t size;    /* of the content */
	uint64_t end;     /* of the last extent */
	uint64_t stored;  /* sum of the extents */
};

static int add_extent(struct map *m, uint64_t offset, uint64_t len, struct strata_err *err)
{
	uint64_t end;

	if (!strata_add(offset, len, &end) || end > m->size)
		return strata_fail(err, "EFORMAT", "sparse map goes beyond the file's size");
	if (offset < m->end)
		return strata_fail(err, "EFORMAT", "sparse map goes backwards");
	if (m->n >= m->max)
		return strata_fail(err, "ELIMIT",
		                   "sparse map of more than limits.sparse (%zu) extents", m->max);
	if (strata_grow(m->extents, m->n, err) < 0)
		return -1;
	m->extents[m->n].offset = offset;
	m->extents[m->n++].len = len;
	m->end = end;
	m->stored += len; /* extents do not overlap: at most size */
	return 0;
}

/* ---- old GNU ----------------------------------------------------------- */

/* Pairs in one block. Like every reader, stops at one that begins with NUL. */
static int add_pairs(struct map *m, const char *pairs, size_t n, struct strata_err *err)
{
	for (size_t i = 0; i < n && pairs[i * TAR_SPARSE_PAIR]; i++) {
		struct tar_field offset = {(unsigned short)(i * TAR_SPARSE_PAIR), 12};
		struct tar_field len = {(unsigned short)(offset.at + 12), 12};
		int64_t from;
		int64_t count;

		if (!tar_get_number(pairs, offset, &from) || from < 0 ||
		    !tar_get_number(pairs, len, &count) || count < 0)
			return strata_fail(err, "EFORMAT", "sparse map with a bad number");
		if (add_extent(m, (uint64_t)from, (uint64_t)count, err) < 0)
			return -1;
	}
	return 0;
}

static int read_gnu(struct map *m, const char *block, const char *end, struct strata_err *err)
{
	bool more = block[TAR_GNU_EXTENDED_AT];

	if (add_pairs(m, block + TAR_GNU_SPARSE.at, TAR_GNU_SPARSE.len / TAR_SPARSE_PAIR, err) < 0)
		return -1;
	for (block += STRATA_TAR_BLOCK; more; block += STRATA_TAR_BLOCK) {
		if (end - block < STRATA_TAR_BLOCK)
			return strata_fail(err, "EFORMAT", "sparse map is cut short");
		if (add_pairs(m, block, TAR_SPARSE_BLOCK_PAIRS, err) < 0)
			return -1;
		more = block[TAR_SPARSE_EXTENDED_AT];
	}
	return 0;
}

/* ---- PAX 0.0 and 0.1 --------------------------------------------------- */

/* Takes the number up to `stop` (or the end) off *text. */
static bool take_number(const char **text, size_t *len, char stop, uint64_t *n)
{
	const char *end = memchr(*text, stop, *len);
	size_t digits = end ? (size_t)(end - *text) : *len;
	bool ok = pax_number(*text, digits, TAR_MAX_SIZE, n);

	*text += digits + (end != NULL);
	*len -= digits + (end != NULL);
	return ok;
}

/* 0.1: "offset,len,offset,len..." in one record. */
static int read_map_record(struct map *m, const struct pax_values *v, struct strata_err *err)
{
	const char *text = v->of[PAX_SPARSE_MAP].text;
	size_t len = v->of[PAX_SPARSE_MAP].len;
	uint64_t offset;
	uint64_t count;

	while (len > 0) {
		if (!take_number(&text, &len, ',', &offset) ||
		    !take_number(&text, &len, ',', &count))
			return strata_fail(err, "EFORMAT", "sparse map with a bad number");
		if (add_extent(m, offset, count, err) < 0)
			return -1;
	}
	return 0;
}

/* 0.0: offset and numbytes records by turns. */
static int read_pair_records(struct map *m, const char *records, size_t len, struct strata_err *err)
{
	struct strata_pax_record r;
	bool have_offset = false;
	uint64_t offset = 0;
	uint64_t n;
	int found;

	while ((found = strata_pax_next(&records, &len, &r, err)) > 0) {
		enum pax_key key = pax_key_of(r.key, r.key_len);

		if (key != PAX_SPARSE_OFFSET && key != PAX_SPARSE_NUMBYTES)
			continue;
		if ((key == PAX_SPARSE_NUMBYTES) != have_offset ||
		    !pax_number(r.value, r.value_len, TAR_MAX_SIZE, &n))
			return strata_fail(err, "EFORMAT", "sparse map records do not pair up");
		if (have_offset && add_extent(m, offset, n, err) < 0)
			return -1;
		offset = n;
		have_offset = !have_offset;
	}
	if (found == 0 && have_offset)
		return strata_fail(err, "EFORMAT", "sparse map records do not pair up");
	return found;
}

static int read_records(struct map *m, const struct strata_tar_header *h,
                        const struct pax_values *v, struct strata_err *err)
{
	uint64_t n;
	int status;

	/* As in Go, pairs in records of their own beat the map record. */
	if (v->of[PAX_SPARSE_OFFSET].len || v->of[PAX_SPARSE_NUMBYTES].len)
		status = read_pair_records(m, h->pax, h->pax_len, err);
	else
		status = read_map_record(m, v, err);
	if (status < 0)
		return -1;
	if (!pax_number(v->of[PAX_SPARSE_NUMBLOCKS].text, v->of[PAX_SPARSE_NUMBLOCKS].len,
	                UINT32_MAX, &n) ||
	    n != m->n)
		return strata_fail(err, "EFORMAT", "sparse map has another length than it says");
	return 0;
}

/* ---- PAX 1.0 ----------------------------------------------------------- */

/* 1 a line was taken, 0 there is none yet. */
static int take_line(const char **text, size_t *len, uint64_t *n, struct strata_err *err)
{
	/* Longer than any number: no need to wait for its newline. */
	bool too_long = *len > 20 && !memchr(*text, '\n', 21);

	if (*len == 0 || (!too_long && !memchr(*text, '\n', *len)))
		return 0;
	if (too_long || !take_number(text, len, '\n', n))
		return strata_fail(err, "EFORMAT", "sparse map with a bad number");
	return 1;
}

static int read_payload(struct map *m, const char *payload, size_t len, uint64_t *map_bytes,
                        struct strata_err *err)
{
	const char *text = payload;
	size_t rest = len;
	uint64_t n = 0;
	int found = take_line(&text, &rest, &n, err);

	if (found == 1 && n > m->max)
		return strata_fail(err, "ELIMIT",
		                   "sparse map of more than limits.sparse (%zu) extents", m->max);
	for (uint64_t i = 0; found == 1 && i < n; i++) {
		uint64_t offset = 0;
		uint64_t count = 0;

		found = take_line(&text, &rest, &offset, err);
		if (found == 1)
			found = take_line(&text, &rest, &count, err);
		if (found == 1 && add_extent(m, offset, count, err) < 0)
			return -1;
	}
	if (found == 0 && len > m->max_bytes)
		return strata_fail(err, "ELIMIT",
		                   "sparse map of more than limits.extension (%zu) bytes",
		                   m->max_bytes);
	if (found == 1) {
		*map_bytes = (uint64_t)(text - payload);
		*map_bytes += strata_tar_padding(*map_bytes);
	}
	return found;
}

/* ---- all of them ------------------------------------------------------- */

static int read_map(struct map *m, const char *raw, size_t raw_len, const char *payload,
                    size_t payload_len, uint64_t *map_bytes, struct strata_err *err)
{
	struct strata_tar_header h;
	struct tar_span span;
	struct pax_values v;
	char joined[TAR_JOINED_MAX];
	int status = 1;

	if (tar_split_span(raw, raw_len, &span, err) < 0 ||
	    tar_decode_span(raw, &span, joined, &h, err) < 0 ||
	    pax_collect(h.pax, h.pax_len, &v, err) < 0)
		return -1;
	if (!h.sparse)
		return strata_fail(err, "EINVAL", "not a sparse entry");
	m->size = (uint64_t)h.size;
	*map_bytes = 0;
	if (h.typeflag == 'S')
		status = read_gnu(m, raw + span.main, raw + raw_len, err) < 0 ? -1 : 1;
	else if (pax_sparse_kind(&v) == PAX_SPARSE_IN_RECORDS)
		status = read_records(m, &h, &v, err) < 0 ? -1 : 1;
	else
		status = read_payload(m, payload,
		                      payload_len < (uint64_t)h.stored ? payload_len
		                                                       : (size_t)h.stored,
		                      map_bytes, err);
	if (status == 0 && payload_len >= (uint64_t)h.stored)
		return strata_fail(err, "EFORMAT", "sparse map is cut short");
	if (status == 1 && m->stored + *map_bytes != (uint64_t)h.stored)
		return strata_fail(err, "EFORMAT",
		                   "sparse map says %llu bytes of data, the archive has %llu",
		                   (unsigned long long)m->stored,
		                   (unsigned long long)h.stored - (unsigned long long)*map_bytes);
	return status;
}

int strata_tar_sparse_map(const char *raw, size_t raw_len, const char *payload, size_t payload_len,
                          const struct strata_tar_limits *limits,
                          struct strata_tar_extent **extents, size_t *n, uint64_t *map_bytes,
                          struct strata_err *err)
{
	struct map m = {.max = limits && limits->max_sparse ? limits->max_sparse : TAR_MAX_SPARSE,
	                .max_bytes = limits && limits->max_extension ? limits->max_extension
	                                                             : TAR_MAX_EXTENSION};
	int status = read_map(&m, raw, raw_len, payload, payload_len, map_bytes, err);

	if (status != 1) {
		free(m.extents);
		return status;
	}
	*extents = m.extents;
	*n = m.n;
	return 1;
}
