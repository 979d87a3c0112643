/*
 * Edit plans. Random edits of a tar's entries are carried out: the result is a
 * tar that reads to its end, says of itself what is true, and has no entry that
 * was dropped; entries that were left alone have their very bytes. Entries that
 * hardlinks share their content with may be touched on account of others.
 *
 * Input: 16 bytes that say what to edit, then the tar, perhaps compressed.
 */
#include "fuzz.h"

#include "core/layer/plan.h"
#include "tar/tar_changes.h"
#include "tar_mutate.h"

#define PLAN 16
#define ENTRIES_MAX 300

static const struct strata_tar_limits limits = {.max_entries = ENTRIES_MAX};

static struct strata_file *temp(void)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp("/dev/shm", NULL, &err);

	CHECK(f != NULL);
	return f;
}

static int scan(struct strata_index *index, struct strata_file *f, uint64_t size,
                enum strata_compression compression, struct strata_err *err)
{
	index->blob = (struct strata_blob){strata_file_ref(f), 0, size, compression, STRATA_SHA256};
	index->inflate.bytes = 4 << 20;
	return strata_index_scan(index, &limits, NULL, err);
}

/* ---- the plan ----------------------------------------------------------- */

/* One edit; refused ones change nothing. */
static void edit(struct strata_index *index, struct plan *plan, bool *touched)
{
	uint32_t i = (uint32_t)plan_below(plan, index->count);
	const struct strata_entry *e = &index->entries[i];
	const char *text = odd_names[plan_below(plan, COUNT(odd_names))];
	struct strata_err err;
	struct strata_buf records = {0};
	struct strata_tar_time t = {0};

	if (e->dropped)
		return;
	touched[i] = true;
	switch (plan_byte(plan) % 11) {
	case 0:
	case 1:
		strata_plan_drop(index, i);
		break;
	case 2:
		if (e->typeflag != 'g')
			(void)strata_plan_path(index, i, text, strlen(text), &err);
		break;
	case 3:
		if (e->typeflag == '1' || e->typeflag == '2')
			(void)strata_plan_text(index, i, STRATA_TAR_LINKPATH, text, strlen(text),
			                       &err);
		break;
	case 4:
		strata_plan_number(index, i, STRATA_TAR_MODE, plan_byte(plan) << 4);
		break;
	case 5:
		strata_plan_number(index, i, STRATA_TAR_UID, plan_byte(plan) << 20);
		break;
	case 6:
		strata_plan_mtime(index, i, plan_byte(plan), plan_byte(plan) % 2 * 500000000u);
		break;
	case 7:
		record(&records, "SCHILY.xattr.user.new", "value", 5);
		(void)strata_plan_records(index, i, records.data, records.len, &err);
		break;
	case 8:
		(void)strata_plan_text(index, i, STRATA_TAR_UNAME, "somebody", 8, &err);
		break;
	case 9:
		t.seconds = plan_byte(plan);
		t.nsec = plan_byte(plan) % 2 * 500000000u;
		t.there = plan_byte(plan) % 2;
		(void)strata_plan_time(
		        index, i, t.seconds % 2 ? STRATA_TAR_ATIME : STRATA_TAR_CTIME, &t, &err);
		break;
	default:
		if (e->typeflag == '0' || e->typeflag == 0 || e->typeflag == 'S')
			(void)strata_plan_content(index, i, text, strlen(text), &err);
	}
	strata_buf_free(&records);
}

/* ---- the result --------------------------------------------------------- */

/* An entry's header span, payload and padding. */
static uint64_t extent_of(const struct strata_index *index, uint32_t i, uint64_t *at)
{
	const struct strata_entry *e = &index->entries[i];
	uint64_t end =
	        e->data_offset + (uint64_t)e->stored + strata_tar_padding((uint64_t)e->stored);

	*at = e->header_offset;
	return (end < index->tar_size ? end : index->tar_size) - e->header_offset;
}

static bool same_bytes(const struct strata_index *a, uint32_t i, const struct strata_index *b,
                       uint32_t k)
{
	uint64_t a_at, b_at, a_len = extent_of(a, i, &a_at), b_len = extent_of(b, k, &b_at);
	const struct strata_entry *e = &a->entries[i];
	uint64_t real = e->data_offset + (uint64_t)e->stored - e->header_offset;
	char *x = malloc(a_len), *y = malloc(b_len);
	struct strata_err err;
	bool same;

	CHECK(x && y && strata_index_read(a, a_at, x, a_len, &err) == 0 &&
	      strata_index_read(b, b_at, y, b_len, &err) == 0);
	/* Where the last padding was missing it is not missing any more. */
	same = (a_len == b_len || i + 1 == a->count) && real <= b_len && memcmp(x, y, real) == 0;
	free(x);
	free(y);
	return same;
}

/* Every entry that is left, in order. With hardlinks, headers and contents may have moved. */
static void check_entries(struct strata_index *old, struct strata_index *now, const bool *touched)
{
	struct strata_err err;
	uint32_t k = 0;

	CHECK(strata_index_inflate(old, "/dev/shm", NULL, &err) == 0);
	CHECK(strata_index_inflate(now, "/dev/shm", NULL, &err) == 0);
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->entries[i].dropped)
			continue;
		CHECK(k < now->count);
		if (!touched[i] && !old->links)
			CHECK(same_bytes(old, i, now, k));
		k++;
	}
	CHECK(k == now->count);
}

static void check_written(struct strata_index *old, const struct strata_plan_options *options,
                          const bool *touched)
{
	struct strata_file *to = temp();
	struct strata_blob_info result;
	struct strata_index now = {0};
	struct strata_err err = {"", ""};

	if (strata_plan_write(old, options, to, &result, &err) == 0) {
		CHECK(strata_file_size(to) == result.size);
		if (scan(&now, to, result.size, options->compression, &err) < 0) {
			fprintf(stderr, "%s %s\n", err.code, err.msg);
			abort();
		}
		CHECK(now.tar_size == result.tar_size);
		CHECK(!now.diff_id[0] || strcmp(now.diff_id, result.diff_id) == 0);
		CHECK(!now.digest[0] || strcmp(now.digest, result.digest) == 0);
		check_entries(old, &now, touched);
	} else {
		/* What cannot be said in a header, or does not fit. */
		CHECK(strcmp(err.code, "EINVAL") == 0 || strcmp(err.code, "ELIMIT") == 0 ||
		      strcmp(err.code, "EFORMAT") == 0 || strcmp(err.code, "EUNSUPPORTED") == 0);
	}
	strata_index_free(&now);
	strata_file_unref(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum strata_compression formats[] = {STRATA_NONE, STRATA_NONE, STRATA_GZIP,
	                                                  STRATA_ZSTD};
	struct plan plan = plan_take(&data, &size, PLAN);
	struct strata_plan_options options = {.temp_dir = "/dev/shm", .level = 1};
	bool touched[ENTRIES_MAX] = {false};
	struct strata_index index = {0};
	struct strata_file *f = temp();
	struct strata_err err;

	options.compression = formats[plan_below(&plan, COUNT(formats))];
	CHECK(strata_file_write(f, 0, data, size, &err) == 0);
	if (scan(&index, f, size, strata_sniff(data, size), &err) == 0) {
		while (plan.left > 0 && index.count > 0)
			edit(&index, &plan, touched);
		check_written(&index, &options, touched);
	}
	strata_index_free(&index);
	strata_file_unref(f);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (size < PLAN || max_size <= PLAN || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return PLAN + tar_mutate(data + PLAN, size - PLAN, max_size - PLAN, seed);
}
