/*
 * The push parser. Fed whole or in pieces it tells the same events, errors and
 * offsets; spans follow each other without gaps; it takes no more memory than
 * its limits allow, whatever the headers declare. Sparse maps keep what they
 * promise.
 *
 * Input: 16 bytes that say how to cut, then the tar.
 */
#include "fuzz.h"

#include <sanitizer/allocator_interface.h>

#include "tar_mutate.h"

#define PLAN 16

/* Few enough that an input of 64 KiB can exceed each of them. */
static const struct strata_tar_limits tight = {
        .max_extension = 1024, .max_path = 256, .max_entries = 50, .max_sparse = 42};
#define TIGHT_MEMORY ((size_t)40 << 10)

/* ---- the memory in use -------------------------------------------------- */

static size_t memory_now, memory_peak;

static void on_malloc(const volatile void *p, size_t size)
{
	(void)p;
	memory_now += size;
	if (memory_now > memory_peak)
		memory_peak = memory_now;
}

static void on_free(const volatile void *p)
{
	union {
		const volatile void *given;
		const void *plain;
	} u = {p};

	if (p)
		memory_now -= __sanitizer_get_allocated_size(u.plain);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	return 0;
}

/* ---- reading ------------------------------------------------------------ */

static void check_sparse(const struct strata_tar_parser *p)
{
	const struct strata_tar_header *h = strata_tar_entry(p);
	struct strata_tar_extent *extents = NULL;
	uint64_t map_bytes = 0, end = 0, sum = 0;
	struct strata_err err;
	size_t n = 0, raw_len;
	const char *raw = strata_tar_raw_header(p, &raw_len);
	int status =
	        strata_tar_sparse_map(raw, raw_len, "", 0, NULL, &extents, &n, &map_bytes, &err);

	for (size_t i = 0; status == 1 && i < n; i++) {
		CHECK(extents[i].offset >= end);
		end = extents[i].offset + extents[i].len;
		CHECK(end >= extents[i].offset && end <= (uint64_t)h->size);
		sum += extents[i].len;
	}
	CHECK(status != 1 || sum + map_bytes == (uint64_t)h->stored);
	free(extents);
}

static size_t next_cut(struct plan *cuts, size_t left)
{
	static const size_t sizes[] = {1, 2, 3, 7, 100, 511, 512, 513, 1000, 1024, 5000, SIZE_MAX};
	size_t n = cuts->left ? sizes[plan_below(cuts, COUNT(sizes))] : 400;

	return n < left ? n : left;
}

/* Feeds all of it, each piece in memory of its own. */
static struct reading read_pieces(const uint8_t *bytes, size_t len, struct plan *cuts)
{
	struct reading r = {0};
	struct strata_tar_parser *p = strata_tar_parser_new(NULL, &r.err);
	size_t done = 0;
	uint64_t next = 0;
	int status = p ? 0 : -1;

	while (status == 0 && done < len) {
		size_t n = cuts ? next_cut(cuts, len - done) : len - done;
		char *piece = malloc(n);
		const char *in = piece;
		enum strata_tar_event event = STRATA_TAR_ENTRY;

		CHECK(piece != NULL);
		memcpy(piece, bytes + done, n);
		done += n;
		while (status == 0 && event != STRATA_TAR_MORE) {
			const char *data = NULL;
			size_t data_len = 0;

			status = strata_tar_step(p, &in, &n, &event, &data, &data_len, &r.err);
			if (status == 0)
				check_event(&r, p, event, (const char *)bytes, data, data_len,
				            &next);
			if (status == 0 && event == STRATA_TAR_ENTRY && strata_tar_entry(p)->sparse)
				check_sparse(p);
			r.ended |= event == STRATA_TAR_END;
		}
		CHECK(status < 0 || (n == 0 && strata_tar_offset(p) == done));
		free(piece);
	}
	if (status == 0)
		status = strata_tar_finish(p, &r.findings, &r.end_offset, &r.err);
	CHECK((status < 0) == (r.err.code[0] != '\0'));
	CHECK(status < 0 || r.end_offset == next || (r.findings & STRATA_TAR_NO_PADDING));
	strata_tar_parser_free(p);
	return r;
}

static void check_memory(const uint8_t *bytes, size_t len)
{
	size_t before = memory_now;
	struct strata_err err;
	struct strata_tar_parser *p = strata_tar_parser_new(&tight, &err);
	enum strata_tar_event event = STRATA_TAR_ENTRY;
	const char *in = (const char *)bytes;
	const char *data;
	size_t data_len;

	memory_peak = before;
	while (event != STRATA_TAR_MORE &&
	       strata_tar_step(p, &in, &len, &event, &data, &data_len, &err) == 0)
		if (event == STRATA_TAR_ENTRY)
			CHECK(strata_tar_entry(p)->path_len <= tight.max_path &&
			      strata_tar_entry(p)->linkpath_len <= tight.max_path);
	CHECK(memory_peak - before < TIGHT_MEMORY);
	strata_tar_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan cuts = plan_take(&data, &size, PLAN);
	struct reading whole = read_pieces(data, size, NULL);
	struct reading pieces = read_pieces(data, size, &cuts);

	CHECK(same_reading(&whole, &pieces));
	free_reading(&whole);
	free_reading(&pieces);
	check_memory(data, size);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (size < PLAN || max_size <= PLAN || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return PLAN + tar_mutate(data + PLAN, size - PLAN, max_size - PLAN, seed);
}
