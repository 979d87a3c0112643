/*
 * The push parser: cuts the input into header spans, payload and padding.
 * What a span says is decoded once it is whole (decode.c).
 */
#include "core/base/limits.h"
#include "core/base/mem.h"
#include "core/tar/internal.h"

#define DEFAULT_MAX_ENTRIES 10000000
#define DEFAULT_MAX_RECORDS 65536
#define DEFAULT_MAX_FILE UINT64_MAX
/* All extension headers before one entry, in units of max_extension. */
#define SPAN_EXTENSIONS 4

enum part {
	PART_HEADER, /* a block that begins an entry or goes on with it */
	PART_BODY,   /* payload and padding of an extension or global header */
	PART_SPARSE, /* an extension block of an old GNU sparse header */
	PART_DATA,   /* payload and padding of the entry */
	PART_ENDED,
	PART_FAILED,
};

struct strata_tar_parser {
	struct strata_tar_limits limits;
	enum part part;
	bool told;       /* the entry in `span` was reported: the next block begins a new span */
	bool zero_block; /* one zero block was seen */
	struct strata_buf span; /* the span so far, its last part incomplete */
	size_t block;           /* where in `span` the present block begins */
	size_t need;            /* length of `span` when the present part is complete */
	size_t sparse_pairs;
	uint64_t offset;  /* bytes consumed or skipped */
	uint64_t payload; /* bytes of the entry's payload to come */
	uint64_t padding; /* and of its padding */
	uint64_t entries;
	uint64_t end_offset;
	uint32_t findings; /* of the archive */
	bool signed_checksum;
	struct strata_tar_header entry;
	char joined[TAR_JOINED_MAX];
	struct strata_err error; /* the sticky one */
};

struct strata_tar_parser *strata_tar_parser_new(const struct strata_tar_limits *limits,
                                                struct strata_err *err)
{
	struct strata_tar_parser *p = calloc(1, sizeof(*p));

	if (!p) {
		strata_fail_nomem(err);
		return NULL;
	}
	if (limits)
		p->limits = *limits;
	if (!p->limits.max_extension)
		p->limits.max_extension = TAR_MAX_EXTENSION;
	if (!p->limits.max_path)
		p->limits.max_path = STRATA_PATH_MAX;
	if (!p->limits.max_entries)
		p->limits.max_entries = DEFAULT_MAX_ENTRIES;
	if (!p->limits.max_records)
		p->limits.max_records = DEFAULT_MAX_RECORDS;
	if (!p->limits.max_sparse)
		p->limits.max_sparse = TAR_MAX_SPARSE;
	if (!p->limits.max_file)
		p->limits.max_file = DEFAULT_MAX_FILE;
	p->need = STRATA_TAR_BLOCK;
	return p;
}

void strata_tar_parser_free(struct strata_tar_parser *p)
{
	if (!p)
		return;
	strata_buf_free(&p->span);
	free(p);
}

/* ---- errors ------------------------------------------------------------ */

/* Makes err sticky, and says where in the archive it happened. */
static int fail_entry(struct strata_tar_parser *p, uint64_t number, struct strata_err *err)
{
	char name[256] = "";
	uint64_t at = p->told ? p->entry.header_offset : p->offset - p->span.len;

	if (p->entry.path_len)
		strata_quote(name, sizeof(name), p->entry.path, p->entry.path_len);
	strata_err_wrap(err, "tar entry %llu%s%s (header at 0x%llx, read to 0x%llx)",
	                (unsigned long long)number, name[0] ? " " : "", name,
	                (unsigned long long)at, (unsigned long long)p->offset);
	p->error = *err;
	p->part = PART_FAILED;
	return -1;
}

/* A failure in the entry whose span is being read. */
static int fail_span(struct strata_tar_parser *p, struct strata_err *err)
{
	return fail_entry(p, p->entries + 1, err);
}

/* ---- spans ------------------------------------------------------------- */

static void begin_span(struct strata_tar_parser *p)
{
	p->span.len = 0;
	p->block = 0;
	p->need = STRATA_TAR_BLOCK;
	p->part = PART_HEADER;
	p->told = false;
	p->sparse_pairs = 0;
	p->entry.path_len = 0;
}

/* Makes the span n bytes longer, by a part of this kind. Extension headers are limited together. */
static int grow_span(struct strata_tar_parser *p, enum part part, size_t n, struct strata_err *err)
{
	size_t max;

	if (!strata_mul(p->limits.max_extension, (size_t)SPAN_EXTENSIONS, &max))
		max = SIZE_MAX / 2;
	p->block = p->need;
	if (part != PART_SPARSE && p->need > max)
		return strata_fail(err, "ELIMIT",
		                   "extension headers of more than %zu bytes (%d times "
		                   "limits.extension) before one entry",
		                   max, SPAN_EXTENSIONS);
	if (!strata_add(p->need, n, &p->need))
		return strata_fail_nomem(err);
	p->part = part;
	return 0;
}

static int check_records(const struct strata_tar_parser *p, const char *records, size_t len,
                         struct strata_err *err)
{
	struct strata_pax_record r;

	for (size_t n = 0; strata_pax_next(&records, &len, &r, err) > 0; n++)
		if (n == p->limits.max_records)
			return strata_fail(err, "ELIMIT",
			                   "more than limits.records (%zu) PAX records before one "
			                   "entry",
			                   p->limits.max_records);
	return 0; /* a malformed record is an error of the decoding */
}

/* A map that is in the span is checked at once, as Go does. */
static int check_sparse(const struct strata_tar_parser *p, struct strata_err *err)
{
	struct strata_tar_extent *extents = NULL;
	uint64_t map_bytes;
	size_t n;
	int status = strata_tar_sparse_map(p->span.data, p->span.len, "", 0, &p->limits, &extents,
	                                   &n, &map_bytes, err);

	free(extents);
	return status < 0 ? -1 : 0;
}

/* Decodes the span, which is complete. */
static int complete_entry(struct strata_tar_parser *p, struct strata_err *err)
{
	struct strata_tar_header *h = &p->entry;
	struct tar_span s;

	if (p->entries >= p->limits.max_entries)
		return strata_fail(err, "ELIMIT", "more than limits.entries (%llu) entries",
		                   (unsigned long long)p->limits.max_entries);
	if (tar_split_span(p->span.data, p->span.len, &s, err) < 0 ||
	    tar_decode_span(p->span.data, &s, p->joined, h, err) < 0)
		return -1;
	if (h->path_len > p->limits.max_path || h->linkpath_len > p->limits.max_path)
		return strata_fail(err, "ELIMIT", "path of %zu bytes, more than limits.path (%zu)",
		                   h->path_len > h->linkpath_len ? h->path_len : h->linkpath_len,
		                   p->limits.max_path);
	if (check_records(p, h->pax, h->pax_len, err) < 0)
		return -1;
	if ((uint64_t)h->size > p->limits.max_file)
		return strata_fail(err, "ELIMIT",
		                   "content of %lld bytes, more than limits.file (%llu)",
		                   (long long)h->size, (unsigned long long)p->limits.max_file);
	if (h->sparse && check_sparse(p, err) < 0)
		return -1;
	if (p->signed_checksum)
		h->findings |= STRATA_TAR_SIGNED_CHECKSUM;
	p->signed_checksum = false;
	h->header_offset = p->offset - p->span.len;
	h->data_offset = p->offset;
	p->payload = (uint64_t)h->stored;
	p->padding = strata_tar_padding(p->payload);
	p->entries++;
	p->told = true;
	p->part = PART_DATA;
	return 0;
}

static int complete_zero_block(struct strata_tar_parser *p, struct strata_err *err)
{
	if (p->block > 0)
		return strata_fail(err, "EFORMAT", "extension headers that belong to no entry");
	if (p->zero_block) {
		p->part = PART_ENDED;
		p->span.len = 0;
		return 0;
	}
	p->zero_block = true;
	p->end_offset = p->offset - STRATA_TAR_BLOCK;
	begin_span(p);
	return 0;
}

/* A header block is complete: it ends the archive, an entry, or goes on with an extension. */
static int complete_block(struct strata_tar_parser *p, struct strata_err *err)
{
	const char *block = p->span.data + p->block;
	char typeflag = block[TAR_TYPEFLAG_AT];
	bool is_signed;
	size_t size;

	if (block[0] == 0 && tar_is_zero(block, STRATA_TAR_BLOCK))
		return complete_zero_block(p, err);
	if (p->zero_block)
		return strata_fail(err, "EFORMAT", "a zero block, then more data");
	if (!tar_checksum_ok(block, &is_signed))
		return strata_fail(err, "EFORMAT", "bad header checksum");
	p->signed_checksum |= is_signed;
	if (typeflag == 'g' && p->block > 0)
		return strata_fail(err, "EFORMAT", "extension headers before a global header");
	if (tar_is_extension(typeflag) || typeflag == 'g') {
		struct strata_tar_header unused;

		if (tar_extension_size(block, p->limits.max_extension, &size, err) < 0)
			return -1;
		/* Go decodes its other fields, too, and stops at what is no number. */
		if (tar_decode_block(block, p->joined, &unused, err) < 0)
			return -1;
		return grow_span(p, PART_BODY, size + strata_tar_padding(size), err);
	}
	if (typeflag == 'S' && tar_block_format(block) == STRATA_TAR_GNU &&
	    block[TAR_GNU_EXTENDED_AT])
		return grow_span(p, PART_SPARSE, STRATA_TAR_BLOCK, err);
	return complete_entry(p, err);
}

static int complete_body(struct strata_tar_parser *p, struct strata_err *err)
{
	if (p->span.data[p->block - STRATA_TAR_BLOCK + TAR_TYPEFLAG_AT] == 'g')
		return complete_entry(p, err);
	return grow_span(p, PART_HEADER, STRATA_TAR_BLOCK, err);
}

static int complete_sparse(struct strata_tar_parser *p, struct strata_err *err)
{
	p->sparse_pairs += TAR_SPARSE_BLOCK_PAIRS;
	if (!p->span.data[p->block + TAR_SPARSE_EXTENDED_AT])
		return complete_entry(p, err);
	if (p->sparse_pairs > p->limits.max_sparse)
		return strata_fail(err, "ELIMIT",
		                   "sparse map of more than limits.sparse (%zu) extents",
		                   p->limits.max_sparse);
	return grow_span(p, PART_SPARSE, STRATA_TAR_BLOCK, err);
}

static int complete_part(struct strata_tar_parser *p, struct strata_err *err)
{
	int status;

	if (p->part == PART_HEADER)
		status = complete_block(p, err);
	else if (p->part == PART_BODY)
		status = complete_body(p, err);
	else
		status = complete_sparse(p, err);
	return status < 0 ? fail_span(p, err) : 0;
}

/* ---- stepping ---------------------------------------------------------- */

static size_t at_most(size_t n, uint64_t max)
{
	return n < max ? n : (size_t)max;
}

static void consume(struct strata_tar_parser *p, const char **in, size_t *in_len, size_t n)
{
	if (n == 0) /* there may be no input at all: NULL */
		return;
	*in += n;
	*in_len -= n;
	p->offset += n;
}

/* 1 when the part is complete, 0 when the input is used up before. */
static int collect(struct strata_tar_parser *p, const char **in, size_t *in_len,
                   struct strata_err *err)
{
	size_t n = at_most(*in_len, p->need - p->span.len);

	if (strata_buf_append(&p->span, *in, n, err) < 0)
		return fail_span(p, err);
	consume(p, in, in_len, n);
	return p->span.len == p->need;
}

/* Bytes behind the end blocks: zeros, as a rule, that fill up a block of 10 KiB. */
static void pass_tail(struct strata_tar_parser *p, const char **in, size_t *in_len)
{
	if (!(p->findings & STRATA_TAR_DATA_AFTER_END) && !tar_is_zero(*in, *in_len))
		p->findings |= STRATA_TAR_DATA_AFTER_END;
	consume(p, in, in_len, *in_len);
}

int strata_tar_step(struct strata_tar_parser *p, const char **in, size_t *in_len,
                    enum strata_tar_event *event, const char **data, size_t *data_len,
                    struct strata_err *err)
{
	int status;

	*event = STRATA_TAR_MORE;
	if (p->part == PART_FAILED) {
		*err = p->error;
		return -1;
	}
	/* An entry stays readable until there is input behind it. */
	while (p->part < PART_DATA || *in_len) {
		if (p->part == PART_ENDED) {
			pass_tail(p, in, in_len);
			return 0;
		}
		if (p->part == PART_DATA && p->payload) {
			*event = STRATA_TAR_DATA;
			*data = *in;
			*data_len = at_most(*in_len, p->payload);
			p->payload -= *data_len;
			consume(p, in, in_len, *data_len);
			return 0;
		}
		if (p->part == PART_DATA && p->padding) {
			size_t n = at_most(*in_len, p->padding);

			p->padding -= n;
			consume(p, in, in_len, n);
			continue;
		}
		if (p->part == PART_DATA)
			begin_span(p);
		status = collect(p, in, in_len, err);
		if (status <= 0)
			return status;
		if (complete_part(p, err) < 0)
			return -1;
		if (p->told || p->part == PART_ENDED) {
			*event = p->told ? STRATA_TAR_ENTRY : STRATA_TAR_END;
			return 0;
		}
	}
	return 0;
}

const struct strata_tar_header *strata_tar_entry(const struct strata_tar_parser *p)
{
	return &p->entry;
}

const char *strata_tar_raw_header(const struct strata_tar_parser *p, size_t *len)
{
	*len = p->span.len;
	return p->span.data;
}

uint64_t strata_tar_pending(const struct strata_tar_parser *p)
{
	return p->payload + p->padding;
}

void strata_tar_skip(struct strata_tar_parser *p, uint64_t n)
{
	uint64_t of_payload = n < p->payload ? n : p->payload;
	uint64_t rest = n - of_payload;

	if (rest > p->padding)
		rest = p->padding;
	p->payload -= of_payload;
	p->padding -= rest;
	p->offset += of_payload + rest;
}

uint64_t strata_tar_offset(const struct strata_tar_parser *p)
{
	return p->offset;
}

/* The input ended within a span. */
static int finish_span(struct strata_tar_parser *p, struct strata_err *err)
{
	/* An incomplete second end block ends the archive all the same. */
	if (p->zero_block && tar_is_zero(p->span.data, p->span.len))
		return 0;
	if (p->part == PART_HEADER && p->block == p->span.len)
		strata_fail(err, "EFORMAT", "extension headers that belong to no entry");
	else
		strata_fail(err, "EFORMAT", "the input ends inside a header");
	return fail_span(p, err);
}

int strata_tar_finish(struct strata_tar_parser *p, uint32_t *findings, uint64_t *end_offset,
                      struct strata_err *err)
{
	if (p->part == PART_FAILED) {
		*err = p->error;
		return -1;
	}
	if (p->part == PART_DATA && p->payload) {
		strata_fail(err, "EFORMAT", "the input ends %llu bytes before the payload does",
		            (unsigned long long)p->payload);
		return fail_entry(p, p->entries, err);
	}
	if (p->part < PART_DATA && p->span.len > 0 && finish_span(p, err) < 0)
		return -1;
	*findings = p->findings;
	if (p->part == PART_DATA && p->padding)
		*findings |= STRATA_TAR_NO_PADDING;
	if (p->part != PART_ENDED)
		*findings |= p->zero_block ? STRATA_TAR_LONE_ZERO_BLOCK : STRATA_TAR_NO_END;
	*end_offset = p->zero_block ? p->end_offset : p->offset;
	return 0;
}
