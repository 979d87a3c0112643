/*
 * Splicing of layers. Of any gzip or zstd stream that decodes and any plan, what comes out is one
 * member that ISA-L, zlib and libdeflate read, or frames that libzstd reads, and is the plan
 * applied to the plain bytes. Of zstd, every frame whose content is kept is there as it was.
 *
 * Input: 8 bytes that choose, then a stream, or bytes that are to be encoded.
 */
#include "fuzz.h"

#include "layer/splice_support.h"

#define PLAN 8
#define PLAIN_MAX ((size_t)4 << 20)

/* False when it does not decode, or is too long for this. */
static bool decodes(const struct strata_buf *old, struct strata_buf *data)
{
	static unsigned char room[65536];
	const unsigned char *in = (const unsigned char *)old->data;
	size_t left = old->len, n = 0;
	struct strata_err err;
	struct strata_decoder *d =
	        strata_decoder_new(strata_sniff(old->data, old->len), NULL, &err);
	bool ok = d != NULL;

	while (ok && (left > 0 || n == sizeof(room)) && data->len <= PLAIN_MAX) {
		ok = strata_decoder_step(d, &in, &left, room, sizeof(room), &n, &err) == 0;
		append(data, room, ok ? n : 0);
	}
	ok = ok && data->len <= PLAIN_MAX && strata_decoder_finish(d, &err) == 0;
	strata_decoder_free(d);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct plan plan = plan_take(&bytes, &size, PLAN);
	struct strata_buf data = {0}, old = {0}, out = {0}, expected = {0};
	struct splice_plan edits = {0};
	struct strata_blob_info info;
	struct strata_err err;

	random_state = plan_seed(&plan);
	if (random_state % 4 == 0) {
		append(&old, bytes, size);
	} else {
		/* The bytes, and what may be near them. */
		append(&data, bytes, size);
		if (random_u32() % 2)
			append_odd(&data, any_size());
		if (random_u32() % 4 == 0)
			append(&data, bytes, size);
		any_stream(&old, &data);
		data.len = 0;
	}
	if (size > 0 && decodes(&old, &data)) {
		any_plan(&edits, data.len);
		apply_plan(&edits, &data, &expected);
		CHECK(splice(&old, &edits, NULL, &out, &info, &err) == 0);
		CHECK(info.tar_size == expected.len && info.kept <= out.len);
		CHECK(all_decode_to(&out, &expected));
		/* Frames that give nothing may be too many for what a chunk tells. */
		if (strata_sniff(old.data, old.len) == STRATA_ZSTD &&
		    old.len < 9 * STRATA_PACKED_BLOCKS)
			CHECK(frames_stay(&old, &edits, &out, info.kept));
	}
	strata_buf_free(&data);
	strata_buf_free(&old);
	strata_buf_free(&out);
	strata_buf_free(&expected);
	strata_buf_free(&edits.fresh);
	return 0;
}
