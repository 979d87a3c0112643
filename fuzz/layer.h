/*
 * Compressed layers for the targets that splice them: a tar around the bytes of the input, through
 * any encoder.
 */
#ifndef STRATA_FUZZ_LAYER_H
#define STRATA_FUZZ_LAYER_H

#include "fuzz.h"

#include "core/layer/plan.h"
#include "layer/splice_support.h"
#include "tar_mutate.h"

static const struct strata_tar_limits layer_limits = {.max_entries = 300};

/* Some files, of which blocks are long enough to stay. */
static inline void add_files(struct strata_buf *tar)
{
	for (unsigned n = random_u32() % 6; n > 0; n--) {
		size_t len = any_size(), at;
		struct strata_err err;
		char name[32];

		snprintf(name, sizeof(name), "%c/f%u", "abc"[random_u32() % 3], random_u32() % 40);
		if (random_u32() % 8 == 0)
			pax(tar, "comment", name);
		at = header(tar, USTAR, '0', name, len);
		append_odd(tar, len);
		must(strata_buf_fill(tar, 0, (size_t)strata_tar_padding(len), &err));
		if (random_u32() % 5 == 0) {
			header(tar, USTAR, '1', "h", 0);
			poke(tar, tar->len - 512, 157, tar->data + at, 100);
		}
	}
}

static inline struct strata_buf any_tar(const uint8_t *bytes, size_t size)
{
	struct strata_buf tar = {0};

	add_files(&tar);
	if (random_u32() % 3)
		append(&tar, bytes, size);
	else
		end(&tar);
	return tar;
}

/* An index of the tar as it is when compressed; nothing has been scanned. */
static inline struct strata_index any_layer(const struct strata_buf *tar, enum strata_compression c)
{
	struct strata_index index = {0};
	struct strata_buf packed = {0};

	if (c == STRATA_GZIP)
		any_gzip(&packed, tar);
	else if (c == STRATA_ZSTD)
		any_frames(&packed, tar);
	else
		append(&packed, tar->data, tar->len);
	index.blob = (struct strata_blob){file_with(packed.data, packed.len), 0, packed.len, c,
	                                  STRATA_SHA256};
	index.inflate.bytes = 16 << 20;
	strata_buf_free(&packed);
	return index;
}

/* All of a file. */
static inline struct strata_buf content_of(const struct strata_file *f, uint64_t size)
{
	struct strata_buf b = {0};
	struct strata_err err;

	CHECK(strata_buf_reserve(&b, (size_t)size + 1, &err) == 0 &&
	      strata_file_read(f, 0, b.data, (size_t)size, &err) == 0);
	b.len = (size_t)size;
	return b;
}

/* What a header cannot say, or what does not fit: that is no matter of splicing. */
static inline bool is_refusal(const struct strata_err *err)
{
	return strcmp(err->code, "EINVAL") == 0 || strcmp(err->code, "ELIMIT") == 0 ||
	       strcmp(err->code, "EFORMAT") == 0 || strcmp(err->code, "EUNSUPPORTED") == 0;
}

#define LAYER_PLAN 8

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (size < LAYER_PLAN || max_size <= LAYER_PLAN || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (seed % 4 == 1) {
		LLVMFuzzerMutate(data, LAYER_PLAN, LAYER_PLAN);
		return size;
	}
	return LAYER_PLAN +
	       tar_mutate(data + LAYER_PLAN, size - LAYER_PLAN, max_size - LAYER_PLAN, seed);
}

#endif
