/* Ranges of several compressed layers, in any order: what stays, and that everybody reads the
 * result.
 */
#include "core/layer/block_list.h"
#include "layer/splice_support.h"

#define CASES 80
#define SOURCES 3
#define TURNS 24

struct source {
	struct strata_buf data;
	struct strata_buf old;
	struct strata_blob blob;
	struct strata_block_list list;
};

static void open_source(struct source *s)
{
	struct strata_blob_reader in = {0};
	struct strata_err err;
	const char *bytes;
	size_t len;

	s->blob = (struct strata_blob){file_with(s->old.data, s->old.len), 0, s->old.len,
	                               strata_sniff(s->old.data, s->old.len), STRATA_SHA256};
	if (strata_blob_reader_open(&in, &s->blob, STRATA_BLOCK_PLACES, NULL, NULL, &err) < 0)
		abort();
	do {
		if (strata_blob_reader_next(&in, &bytes, &len, &err) < 0 ||
		    strata_block_list_add(&s->list, strata_blob_reader_packed(&in), &err) < 0)
			abort();
	} while (len > 0);
	strata_blob_reader_close(&in);
}

static void close_source(struct source *s)
{
	strata_file_unref(s->blob.file);
	strata_block_list_free(&s->list);
	strata_buf_free(&s->data);
	strata_buf_free(&s->old);
	*s = (struct source){0};
}

/* A range of a source; or, without one, of the plan's new bytes. */
struct turn {
	const struct source *source;
	size_t from;
	size_t len;
	bool unlisted;
};

struct turns {
	struct turn list[TURNS];
	size_t count;
	struct strata_buf fresh;
};

static void any_turns(struct turns *t, const struct source *sources)
{
	size_t at[SOURCES] = {0};

	t->fresh.len = 0;
	t->count = 1 + random_u32() % TURNS;
	for (size_t i = 0; i < t->count; i++) {
		unsigned k = random_u32() % (SOURCES + 1);
		struct turn *one = &t->list[i];

		*one = (struct turn){.len = any_size(), .from = t->fresh.len};
		if (k == SOURCES) {
			one->len %= 40000;
			append_mixed(&t->fresh, one->len);
			continue;
		}
		/* On from where it was left, or anywhere; often to the end. */
		one->source = &sources[k];
		one->unlisted = random_u32() % 16 == 0;
		one->from = random_u32() % 2 ? at[k] : random_u32() % (sources[k].data.len + 1);
		if (random_u32() % 3 == 0 || one->len > sources[k].data.len - one->from)
			one->len = sources[k].data.len - one->from;
		at[k] = one->from + one->len;
	}
}

static const char *bytes_of(const struct turns *t, const struct turn *one)
{
	const struct strata_buf *b = one->source != NULL ? &one->source->data : &t->fresh;

	return one->len > 0 ? b->data + one->from : "";
}

/* Kept in pieces, as entries are, whatever these are. */
static int do_turn(struct strata_splicer *s, const struct turns *t, const struct turn *one,
                   size_t piece, struct strata_err *err)
{
	const char *bytes = bytes_of(t, one);

	if (one->source == NULL)
		return strata_splicer_write(s, bytes, one->len, err);
	for (size_t done = 0, n; done < one->len; done += n) {
		n = one->len - done < piece ? one->len - done : piece;
		if (strata_splicer_turn(s, &one->source->blob,
		                        one->unlisted ? NULL : &one->source->list, one->from + done,
		                        err) < 0 ||
		    strata_splicer_keep(s, bytes + done, n, err) < 0)
			return -1;
	}
	return 0;
}

static int carry_out(const struct turns *t, enum strata_compression c, size_t piece,
                     const struct strata_work *work, struct strata_buf *out,
                     struct strata_blob_info *info, struct strata_err *err)
{
	struct strata_file *to = file_with("", 0);
	struct strata_blob_writer writer = {0};
	struct strata_splicer s = {0};
	int rc = -1;

	strata_splicer_init(&s, &writer, true);
	if (strata_blob_writer_open(&writer, to, c, -1, true, work, err) < 0 ||
	    strata_blob_writer_allow_runs(&writer, err) < 0)
		abort();
	for (size_t i = 0; i < t->count; i++)
		if (do_turn(&s, t, &t->list[i], piece, err) < 0)
			goto end;
	if (strata_splicer_finish(&s, err) < 0 || strata_blob_writer_close(&writer, info, err) < 0)
		goto end;
	info->kept = strata_splicer_kept(&s);
	out->len = 0;
	if (strata_buf_reserve(out, (size_t)info->size, err) < 0 ||
	    strata_file_read(to, 0, out->data, (size_t)info->size, err) < 0)
		abort();
	out->len = (size_t)info->size;
	rc = 0;
end:
	strata_splicer_free(&s);
	strata_blob_writer_free(&writer);
	strata_file_unref(to);
	return rc;
}

static void gives_what_the_turns_say(void)
{
	struct strata_buf out = {0}, again = {0}, expected = {0};
	struct source sources[SOURCES] = {0};
	struct turns turns = {0};
	struct strata_blob_info info, second;
	struct strata_err err;
	uint64_t stayed = 0, size = 0;
	struct helper helper;

	helper_begin(&helper);
	for (unsigned long k = 0; k < splice_cases(CASES); k++) {
		enum strata_compression c = k % 4 ? STRATA_GZIP : STRATA_ZSTD;
		size_t piece;

		random_state = k * 0x9e3779b97f4a7c15u + 3;
		for (unsigned i = 0; i < SOURCES; i++) {
			append_odd(&sources[i].data,
			           any_size() + any_size() + (k % 8 ? 0 : 2 * MIB));
			if (c == STRATA_GZIP)
				any_gzip(&sources[i].old, &sources[i].data);
			else
				any_frames(&sources[i].old, &sources[i].data);
			open_source(&sources[i]);
		}
		any_turns(&turns, sources);
		expected.len = 0;
		for (size_t i = 0; i < turns.count; i++)
			append(&expected, bytes_of(&turns, &turns.list[i]), turns.list[i].len);
		piece = random_u32() % 2 ? STRATA_CHUNK : 1 + any_size() % STRATA_CHUNK;
		if (!CHECK(carry_out(&turns, c, piece, NULL, &out, &info, &err) == 0))
			printf("  case %lu: %s\n", k, err.msg);
		if (!CHECK(info.tar_size == expected.len && all_decode_to(&out, &expected)))
			printf("  case %lu\n", k);
		CHECK(carry_out(&turns, c, piece, &helper.work, &again, &second, &err) == 0);
		CHECK(same(&out, &again) && strcmp(info.digest, second.digest) == 0 &&
		      strcmp(info.diff_id, second.diff_id) == 0 && info.kept == second.kept);
		CHECK(info.kept <= out.len);
		stayed += info.kept;
		size += info.size;
		for (unsigned i = 0; i < SOURCES; i++)
			close_source(&sources[i]);
	}
	CHECK(stayed > size / 4);
	helper_end(&helper);
	strata_buf_free(&out);
	strata_buf_free(&again);
	strata_buf_free(&expected);
	strata_buf_free(&turns.fresh);
}

/* All of one layer, behind a piece of another: its blocks are there, one behind the other. */
static void keeps_what_comes_in_one_piece(void)
{
	struct source sources[2] = {0};
	struct strata_buf out = {0};
	struct turns turns = {.count = 2};
	struct strata_blob_info info;
	struct strata_err err;

	for (unsigned i = 0; i < 2; i++) {
		append_mixed(&sources[i].data, 3 * MIB + 777);
		zlib_member(&sources[i].old, sources[i].data.data, sources[i].data.len, 6, false);
		open_source(&sources[i]);
	}
	turns.list[0] = (struct turn){.source = &sources[0], .from = 2 * MIB, .len = 5000};
	turns.list[1] = (struct turn){.source = &sources[1], .len = sources[1].data.len};
	CHECK(carry_out(&turns, STRATA_GZIP, 512, NULL, &out, &info, &err) == 0);
	CHECK(info.kept + 20 >= sources[1].old.len);
	CHECK(memmem(out.data, out.len, sources[1].old.data + 11, sources[1].old.len / 2) != NULL);
	/* The same range twice keeps its blocks twice. */
	turns.list[0] = turns.list[1];
	CHECK(carry_out(&turns, STRATA_GZIP, 70000, NULL, &out, &info, &err) == 0);
	CHECK(info.kept + 40 >= 2 * sources[1].old.len);
	close_source(&sources[0]);
	close_source(&sources[1]);
	strata_buf_free(&out);
}

/* A stream of tiny blocks: the list joins them, as far as it has to, and holds all of them. */
static void lists_any_number_of_blocks(void)
{
	struct strata_block blocks[1000];
	struct strata_packed packed = {.blocks = blocks, .count = 1000};
	struct strata_block_list list = {0};
	struct strata_err err;
	uint64_t bit = 80, from = 0;
	const uint64_t count = 1000000;

	for (uint64_t k = 0; k < count; k += packed.count) {
		for (size_t i = 0; i < packed.count; i++) {
			uint64_t bits = 8 * (1 + random_u32() % 3000), bytes = random_u32() % 9000;

			blocks[i] = (struct strata_block){.bit = bit,
			                                  .bit_end = bit + bits,
			                                  .from = from,
			                                  .to = from + bytes,
			                                  .final = k + i + 1 == count};
			bit += bits;
			from += bytes;
		}
		CHECK(strata_block_list_add(&list, &packed, &err) == 0);
	}
	CHECK(list.count > 1000 && list.count < STRATA_BLOCK_LIST_MAX);
	CHECK(list.blocks[0].from == 0 && list.blocks[list.count - 1].to == from);
	CHECK(list.blocks[list.count - 1].final);
	for (uint32_t i = 0; i + 1 < list.count; i++) {
		const struct strata_block *b = &list.blocks[i];

		CHECK(b->to == b[1].from && b->bit_end == b[1].bit && !b->final);
		CHECK(strata_block_packed(b) <= STRATA_RUN_PACKED);
	}
	CHECK(strata_block_list_find(&list, 0) == 0);
	for (unsigned k = 0; k < 1000; k++) {
		uint64_t at = (uint64_t)random_u32() * random_u32() % from;
		uint32_t n = strata_block_list_find(&list, at);

		CHECK(n == list.count || strata_block_history(&list.blocks[n]) >= at);
		CHECK(n == 0 || strata_block_history(&list.blocks[n - 1]) < at);
	}
	strata_block_list_free(&list);
}

/* Members that are not worth a run, and cannot be joined: those beyond the most are not known. */
static void lists_so_many_and_no_more(void)
{
	struct strata_block b = {.final = true};
	struct strata_packed packed = {.blocks = &b, .count = 1};
	struct strata_block_list list = {0};
	struct strata_err err;

	for (uint32_t i = 0; i < STRATA_BLOCK_LIST_MAX + 10; i++) {
		b.bit = b.bit_end + 144;
		b.bit_end = b.bit + 100;
		b.member = b.from = b.to;
		b.to += 10;
		CHECK(strata_block_list_add(&list, &packed, &err) == 0);
	}
	CHECK(list.count == STRATA_BLOCK_LIST_MAX);
	CHECK(strata_block_list_add(&list, NULL, &err) == 0);
	strata_block_list_free(&list);
}

int main(void)
{
	codec_begin();
	RUN(gives_what_the_turns_say);
	RUN(keeps_what_comes_in_one_piece);
	RUN(lists_any_number_of_blocks);
	RUN(lists_so_many_and_no_more);
	return codec_end("turns");
}
