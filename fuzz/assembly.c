/*
 * Layers that are made of several. Of any tars, through any encoders, and any list of their
 * entries, what is spliced is one member that ISA-L, zlib and libdeflate read, or frames that
 * libzstd reads, and inflates to the tar that is written where nothing is spliced.
 *
 * Input: 8 bytes that choose, then a tar that layers end with.
 */
#include "layer.h"

#include "core/layer/assembly.h"

#define SOURCES 3
#define ITEMS 30

static const char *any_odd_name(void)
{
	return odd_names[random_u32() % COUNT(odd_names)];
}

/* Entries that follow each other, as they are or with other names and headers. */
static int add_entries(struct strata_assembly *a, struct strata_err *err)
{
	uint32_t k = random_u32() % a->source_count, count = a->sources[k]->count, i, n;
	unsigned odd = random_u32() % 2 ? 12 : 1000;

	if (count == 0)
		return 0;
	i = random_u32() % 3 ? random_u32() % count : 0;
	n = random_u32() % 2 ? count : random_u32() % 8;
	for (; n > 0 && i < count; i++, n--) {
		const char *name = random_u32() % odd == 0 ? any_odd_name() : NULL;
		const char *link = random_u32() % odd == 0 ? any_odd_name() : NULL;

		if (strata_assembly_add_entry(a, k, i, name, name ? strlen(name) : 0, link,
		                              link ? strlen(link) : 0, err) < 0)
			return -1;
		if (random_u32() % odd == 0) {
			k = random_u32() % a->source_count;
			if (a->sources[k]->count > 0)
				strata_assembly_take_header(a, k,
				                            random_u32() % a->sources[k]->count);
			return 0;
		}
	}
	return 0;
}

/* Blocks of a stored layer, whatever they are. */
static int add_range(struct strata_assembly *a, struct strata_err *err)
{
	const struct strata_blob *blob = &a->sources[random_u32() % a->source_count]->blob;
	uint64_t blocks = blob->size / 512, from, n;

	if (blocks == 0)
		return 0;
	from = random_u32() % blocks;
	n = random_u32() % (blocks - from + 1);
	return strata_assembly_add_range(a, blob->file, 512 * from, 512 * n, err);
}

static int add_item(struct strata_assembly *a, struct strata_err *err)
{
	struct strata_buf made = {0};
	int rc;

	switch (random_u32() % 6) {
	case 0:
		header(&made, USTAR, '5', any_odd_name(), 0);
		rc = strata_assembly_add_bytes(a, made.data, made.len, err);
		strata_buf_free(&made);
		return rc;
	case 1:
		return add_range(a, err);
	default:
		return add_entries(a, err);
	}
}

static int write_to(struct strata_assembly *a, enum strata_compression c, bool splice,
                    struct strata_blob_info *info, struct strata_buf *out, struct strata_err *err)
{
	const struct strata_plan_options options = {
	        .temp_dir = "/dev/shm", .compression = c, .level = -1, .splice = splice};
	struct strata_file *to = file_with("", 0);
	int rc = strata_assembly_write(a, &options, to, info, err);

	if (rc == 0)
		*out = content_of(to, info->size);
	strata_file_unref(to);
	return rc;
}

static void check(struct strata_assembly *a, enum strata_compression c)
{
	struct strata_buf out = {0}, expected = {0};
	struct strata_blob_info plain, info;
	struct strata_err err;

	if (write_to(a, STRATA_NONE, false, &plain, &expected, &err) < 0) {
		CHECK(is_refusal(&err));
		return;
	}
	CHECK(write_to(a, c, true, &info, &out, &err) == 0);
	CHECK(strcmp(plain.diff_id, info.diff_id) == 0 && info.tar_size == expected.len);
	CHECK(info.kept <= out.len);
	CHECK(all_decode_to(&out, &expected));
	strata_buf_free(&out);
	strata_buf_free(&expected);
}

/* Inflated meanwhile, or by the assembly. */
static int scan(struct strata_index *index, struct strata_err *err)
{
	if (random_u32() % 2)
		return strata_index_scan(index, &layer_limits, NULL, err);
	return strata_index_scan_and_inflate(index, &layer_limits, "/dev/shm", NULL, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan = plan_take(&data, &size, LAYER_PLAN);
	struct strata_index layers[SOURCES] = {0};
	struct strata_assembly a = {0};
	enum strata_compression c;
	struct strata_err err;
	bool ok = true;
	uint32_t number;

	random_state = plan_seed(&plan);
	c = random_u32() % 3 ? STRATA_GZIP : STRATA_ZSTD;
	for (unsigned i = 0; ok && i < SOURCES; i++) {
		struct strata_buf tar = any_tar(data, size);

		layers[i] = any_layer(&tar, random_u32() % 8 ? c : STRATA_NONE);
		ok = scan(&layers[i], &err) == 0 &&
		     strata_assembly_add_source(&a, &layers[i], &number, &err) == 0;
		strata_buf_free(&tar);
	}
	for (unsigned n = 1 + random_u32() % ITEMS; ok && n > 0; n--)
		ok = add_item(&a, &err) == 0;
	a.open_ended = a.count > 0 && random_u32() % 2;
	if (ok)
		check(&a, c);
	strata_assembly_free(&a);
	for (unsigned i = 0; i < SOURCES; i++)
		strata_index_free(&layers[i]);
	return 0;
}
