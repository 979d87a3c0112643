/*
 * Layers of which entries are dropped while they are scanned, and those that are spliced. Of any
 * tar, through any encoder, and any globs, a draft that is taken has the very bytes of the plan
 * carried out, and these inflate, for ISA-L, zlib and libdeflate or for libzstd, to the tar that
 * is written where nothing is spliced.
 *
 * Input: 8 bytes that choose, then a tar that the layer ends with.
 */
#include "layer.h"

#include "core/layer/draft.h"

static struct strata_globs *any_globs(void)
{
	static const char *const patterns[] = {"a",     "b",  "**/f?",   "**/*[13579]", "c/f*",
	                                       "**",    "*",  "**/b",    "a/*",         "etc",
	                                       "**/*n", "./", "**/a/**", "l/*",         "?"};
	struct strata_err err;
	struct strata_globs *globs = strata_globs_new(&err);

	for (unsigned n = 1 + random_u32() % 3; n > 0; n--) {
		const char *pattern = random_u32() % 4 ? patterns[random_u32() % COUNT(patterns)]
		                                       : odd_names[random_u32() % COUNT(odd_names)];

		CHECK(strata_globs_add(globs, pattern, strlen(pattern), &err) == 0);
	}
	strata_globs_sort(globs);
	return globs;
}

/* Drops what the globs match, and now and then something else, which a draft does not know. */
static void drop(struct strata_index *index, struct strata_globs *globs, bool whiteouts,
                 uint32_t other)
{
	struct strata_err err;
	uint32_t count;

	CHECK(strata_plan_mark_covered(index, globs, whiteouts, NULL, &count, &err) == 0);
	strata_plan_drop_marked(index);
	if (other < index->count)
		strata_plan_drop(index, other);
}

static int write_to(struct strata_index *index, enum strata_compression c, bool splice,
                    struct strata_blob_info *info, struct strata_buf *out, struct strata_err *err)
{
	const struct strata_plan_options options = {
	        .temp_dir = "/dev/shm", .compression = c, .level = -1, .splice = splice};
	struct strata_file *to = file_with("", 0);
	int rc = strata_plan_write(index, &options, to, info, err);

	if (rc == 0)
		*out = content_of(to, info->size);
	strata_file_unref(to);
	return rc;
}

/* drafted: the same layer, of which a draft may have been made. */
static void check(struct strata_index *index, struct strata_index *drafted)
{
	enum strata_compression c = index->blob.compression;
	struct strata_buf out = {0}, expected = {0}, draft = {0};
	struct strata_blob_info plain, info, taken;
	struct strata_file *file = strata_draft_take(drafted, &taken);
	struct strata_err err;

	if (write_to(index, STRATA_NONE, false, &plain, &expected, &err) == 0) {
		CHECK(write_to(index, c, true, &info, &out, &err) == 0);
		CHECK(strcmp(plain.diff_id, info.diff_id) == 0 && info.kept <= out.len);
		CHECK(info.tar_size == expected.len && all_decode_to(&out, &expected));
	} else {
		CHECK(is_refusal(&err));
	}
	if (file != NULL && out.data != NULL) {
		draft = content_of(file, taken.size);
		CHECK(same(&draft, &out) && strcmp(taken.digest, info.digest) == 0);
		CHECK(strcmp(taken.diff_id, info.diff_id) == 0 && taken.kept == info.kept &&
		      taken.tar_size == info.tar_size);
	}
	strata_file_unref(file);
	strata_buf_free(&out);
	strata_buf_free(&expected);
	strata_buf_free(&draft);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan = plan_take(&data, &size, LAYER_PLAN);
	struct strata_index index, drafted = {0};
	struct strata_draft_rules rules = {.temp_dir = "/dev/shm"};
	struct strata_err err;
	struct strata_buf tar;
	uint32_t other;

	random_state = plan_seed(&plan);
	tar = any_tar(data, size);
	index = any_layer(&tar, random_u32() % 3 ? STRATA_GZIP : STRATA_ZSTD);
	drafted.blob = index.blob;
	drafted.inflate = index.inflate;
	strata_file_ref(index.blob.file);
	rules.drop = any_globs();
	rules.whiteouts = random_u32() % 2;
	other = random_u32() % 4 ? UINT32_MAX : random_u32() % 20;
	if (strata_index_scan(&index, &layer_limits, NULL, &err) == 0) {
		CHECK(strata_index_scan_and_draft(&drafted, &layer_limits, &rules, NULL, &err) ==
		      0);
		drop(&index, rules.drop, rules.whiteouts, other);
		drop(&drafted, rules.drop, rules.whiteouts, other);
		check(&index, &drafted);
	} else {
		CHECK(strata_index_scan_and_draft(&drafted, &layer_limits, &rules, NULL, &err) < 0);
	}
	strata_globs_unref(rules.drop);
	strata_index_free(&index);
	strata_index_free(&drafted);
	strata_buf_free(&tar);
	return 0;
}
