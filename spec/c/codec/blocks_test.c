/*
 * Deflate blocks: both libraries stop at the ends of all of them, at the same bits, and take the
 * same ones. The oracle for what is valid is zlib.
 */
#include "codec/codec_support.h"

struct found {
	struct strata_block *blocks;
	size_t count;
};

static void note(void *arg, const struct strata_block *block)
{
	struct found *f = arg;

	f->blocks = realloc(f->blocks, (f->count + 1) * sizeof(*f->blocks));
	if (f->blocks == NULL)
		abort();
	f->blocks[f->count++] = *block;
}

static int find(const struct library *l, const struct strata_buf *stream, struct pieces pieces,
                struct found *found, struct strata_buf *out)
{
	struct strata_err err;
	struct strata_decoder *d = strata_gzip_decoder_new(l->inflate, &err);
	int rc;

	if (d == NULL)
		abort();
	found->count = 0;
	strata_decoder_watch(d, note, found);
	rc = decode_with(d, stream, pieces, out, &err);
	strata_decoder_free(d);
	return rc;
}

static unsigned bit_at(const struct strata_buf *b, uint64_t bit)
{
	return (unsigned)(unsigned char)b->data[bit / 8] >> bit % 8 & 1;
}

/* Every byte of output belongs to one block, and a header stands where each begins. */
static void check_blocks(const struct found *f, const struct strata_buf *stream,
                         const struct strata_buf *data)
{
	uint64_t at = 0, member = 0, bit = 0;
	bool first = true;

	for (size_t i = 0; i < f->count; i++) {
		const struct strata_block *b = &f->blocks[i];

		CHECK(b->from == at && b->to >= b->from && b->bit_end > b->bit + 2);
		CHECK(first ? b->bit >= bit + 80 : b->bit == bit);
		if (first)
			member = b->from;
		CHECK(b->member == member);
		CHECK(bit_at(stream, b->bit) == b->final);
		first = b->final;
		at = b->to;
		bit = b->bit_end;
	}
	CHECK(at == data->len && first && bit + 64 <= 8 * stream->len);
}

static bool same_blocks(const struct found *a, const struct found *b)
{
	bool equal = a->count == b->count;

	for (size_t i = 0; equal && i < a->count; i++)
		equal = a->blocks[i].bit == b->blocks[i].bit &&
		        a->blocks[i].bit_end == b->blocks[i].bit_end &&
		        a->blocks[i].from == b->blocks[i].from &&
		        a->blocks[i].to == b->blocks[i].to &&
		        a->blocks[i].member == b->blocks[i].member &&
		        a->blocks[i].final == b->blocks[i].final;
	return equal;
}

/* A member with all that zlib's encoder can do to blocks. */
static void odd_member(struct strata_buf *out, const char *bytes, size_t len)
{
	static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE,
	                                 Z_FIXED};
	static const int flushes[] = {Z_NO_FLUSH,   Z_NO_FLUSH,      Z_SYNC_FLUSH,
	                              Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_BLOCK};
	z_stream z = {.next_in = (const Bytef *)bytes};
	struct strata_err err;
	int rc;

	if (deflateInit2(&z, (int)(random_u32() % 10), Z_DEFLATED, 31, 1 + (int)(random_u32() % 9),
	                 strategies[random_u32() % 5]) != Z_OK ||
	    strata_buf_reserve(out, 2 * len + 100000, &err) < 0)
		abort();
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	do {
		size_t n = random_u32() % 3 ? len : random_u32() % 5000;

		z.avail_in = (uInt)(n < len ? n : len);
		len -= z.avail_in;
		rc = deflate(&z, len == 0 ? Z_FINISH : flushes[random_u32() % 6]);
	} while (rc == Z_OK || rc == Z_BUF_ERROR);
	if (rc != Z_STREAM_END)
		abort();
	out->len = out->cap - z.avail_out;
	deflateEnd(&z);
}

static void are_found_by_both_libraries_in_any_pieces(void)
{
	static const struct pieces cuts[] = {{0, 0, 0}, {1, 0, 0},   {7, 0, 100},
	                                     {0, 0, 1}, {29, 3, 17}, {4096, 1, 0}};
	struct strata_buf data = {0}, stream = {0}, out = {0};
	struct found first = {0}, other = {0};

	for (int k = 0; k < 200; k++) {
		size_t at = 0;

		data.len = stream.len = 0;
		append_mixed(&data, random_u32() % 60000);
		if (k % 4 == 0)
			append_noise(&data, random_u32() % 60000);
		do {
			size_t n = k % 3 ? data.len - at : random_u32() % (data.len - at + 1);

			odd_member(&stream, data.data + at, n);
			at += n;
		} while (at < data.len);
		if (k % 5 == 0)
			append(&stream, "\0\0\0", 3);
		CHECK(find(&libraries[0], &stream, whole, &first, &out) == 0 && same(&out, &data));
		check_blocks(&first, &stream, &data);
		for (size_t l = 0; l < INFLATERS; l++) {
			struct pieces cut = cuts[random_u32() % 6];

			CHECK(find(&libraries[l], &stream, cut, &other, &out) == 0);
			CHECK(same(&out, &data) && same_blocks(&first, &other));
		}
	}
	free(first.blocks);
	free(other.blocks);
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
}

/* Bits at the heads of dynamic blocks are flipped: what one library takes all take. */
static void are_taken_or_refused_by_both_libraries(void)
{
	struct strata_buf data = {0}, stream = {0}, out = {0}, damaged = {0}, other = {0};
	struct strata_err err;

	for (int k = 0; k < 40000; k++) {
		int rc[2] = {0};
		struct pieces cut = {k % 4 ? 0 : 1 + random_u32() % 20, 0, 0};

		if (k % 500 == 0) {
			data.len = stream.len = 0;
			append_mixed(&data, 10 + random_u32() % 400);
			zlib_member(&stream, data.data, data.len, 9, false);
		}
		damaged.len = 0;
		append(&damaged, stream.data, stream.len);
		for (unsigned i = 0; i <= random_u32() % 4; i++)
			damaged.data[10 + random_u32() % 70 % (stream.len - 10)] ^=
			        (char)(1 << random_u32() % 8);
		for (size_t l = 0; l < INFLATERS; l++)
			rc[l] = gunzip(&libraries[l], &damaged, cut, l == 0 ? &out : &other, &err);
		if (INFLATERS > 1)
			CHECK(rc[0] == rc[1] && (rc[0] < 0 || same(&out, &other)));
	}
	strata_buf_free(&data);
	strata_buf_free(&stream);
	strata_buf_free(&out);
	strata_buf_free(&damaged);
	strata_buf_free(&other);
}

/* A fuzzer's: the lengths of the distance codes leave codes unused, which ISA-L does not mind. */
static void are_refused_when_codes_are_missing(void)
{
	static const unsigned char bytes[] = {
	        0x1f, 0x8b, 0x08, 0x00, 0x18, 0x4d, 0x0c, 0x6b, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01,
	        0x00, 0x00, 0x00, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d, 0x0f, 0xb0, 0x00, 0x00, 0x00,
	        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
	struct strata_buf stream = {0};

	append(&stream, bytes, sizeof(bytes));
	for (size_t l = 0; l < INFLATERS; l++) {
		struct strata_err err = gunzip_error(&libraries[l], &stream, whole);

		CHECK(strcmp(err.code, "EFORMAT") == 0);
		CHECK(strstr(err.msg, "invalid distances set") != NULL);
	}
	strata_buf_free(&stream);
}

/* Fields of a head: a value and its bits; no bits end it. */
struct field {
	unsigned value;
	unsigned bits;
};

static void append_fields(struct strata_buf *out, const struct field *fields)
{
	unsigned at = 0;

	for (; fields->bits > 0; fields++)
		for (unsigned i = 0; i < fields->bits; i++, at++) {
			if (at % 8 == 0)
				append_byte(out, 0);
			if (i < 32)
				out->data[out->len - 1] |=
				        (char)((fields->value >> i & 1) << at % 8);
		}
}

/* The last block, dynamic; numbers of codes; and one bit for two codes of lengths. */
#define DYNAMIC(lengths, distances, codes)            \
	{1, 1}, {2, 2}, {lengths, 5}, {distances, 5}, \
	{                                             \
		codes, 4                              \
	}
#define ZEROS(n)            \
	{1, 1},             \
	{                   \
		(n) - 11, 7 \
	}

/* What every library says of heads that are wrong, in zlib's words. */
static void are_refused_for_each_mistake_of_a_head(void)
{
	static const struct {
		const char *what;
		struct field fields[40];
	} heads[] = {
	        {"invalid block type", {{1, 1}, {3, 2}}},
	        {"invalid stored block lengths", {{1, 1}, {0, 7}, {5, 16}, {0, 16}}},
	        {"too many length or distance symbols", {DYNAMIC(30, 0, 0)}},
	        {"too many length or distance symbols", {DYNAMIC(0, 30, 0)}},
	        {"invalid code lengths set", {DYNAMIC(0, 0, 0), {1, 3}, {1, 3}, {1, 3}, {0, 3}}},
	        /* Codes 0 and 16: a repetition of nothing. */
	        {"invalid bit length repeat",
	         {DYNAMIC(0, 0, 0), {1, 3}, {0, 3}, {0, 3}, {1, 3}, {1, 1}}},
	        /* 0 and 18: more zeros than there are codes. */
	        {"invalid bit length repeat",
	         {DYNAMIC(0, 0, 0), {0, 3}, {0, 3}, {1, 3}, {1, 3}, ZEROS(138), ZEROS(138)}},
	        /* 1 and 18. */
	        {"invalid code -- missing end-of-block",
	         {DYNAMIC(0, 0, 14),
	          {0, 6},
	          {1, 3},
	          {0, 42},
	          {1, 3},
	          {0, 2},
	          ZEROS(138),
	          ZEROS(117),
	          {0, 1}}},
	        /* 2 and 18. */
	        {"invalid literal/lengths set",
	         {DYNAMIC(0, 0, 12),
	          {0, 6},
	          {1, 3},
	          {0, 36},
	          {1, 3},
	          ZEROS(138),
	          ZEROS(118),
	          {0, 2}}},
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct strata_buf stream = {0};

		append(&stream, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
		append_fields(&stream, heads[i].fields);
		for (unsigned k = 0; k < 40; k++)
			append_byte(&stream, 0);
		for (size_t l = 0; l < INFLATERS; l++) {
			struct strata_err err = gunzip_error(&libraries[l], &stream, whole);

			if (!CHECK(strcmp(err.code, "EFORMAT") == 0 &&
			           strstr(err.msg, heads[i].what) != NULL))
				printf("  %s: %s\n", heads[i].what, err.msg);
		}
		strata_buf_free(&stream);
	}
}

/* A code for the end, of one bit, and none for distances: 0, 1 and 18 say so. */
static void need_no_distances(void)
{
	static const struct field fields[] = {
	        DYNAMIC(0, 0, 14), {0, 6}, {2, 3},        {2, 3}, {0, 39}, {1, 3}, {3, 2},
	        {138 - 11, 7},     {3, 2}, {118 - 11, 7}, {0, 1}, {1, 2},  {0, 1}, {0, 0}};
	struct strata_buf stream = {0}, nothing = {0};

	append(&stream, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	append_fields(&stream, fields);
	append(&stream, "\0\0\0\0\0\0\0\0", 8);
	CHECK(zlib_decodes_to(&stream, &nothing));
	for (size_t l = 0; l < INFLATERS; l++)
		CHECK(gunzips_to(&libraries[l], &stream, whole, &nothing));
	strata_buf_free(&stream);
}

/* Ten bits each: 5 bytes are four of them. */
static void are_counted_when_they_give_nothing(void)
{
	static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
	static const unsigned char four[] = {2, 8, 32, 128, 0};
	struct strata_buf stream = {0};

	append(&stream, head, sizeof(head));
	for (size_t i = 0; i < STRATA_INFLATE_EMPTY_BLOCKS / 4; i++)
		append(&stream, four, sizeof(four));
	append(&stream, "\3\0\0\0\0\0\0\0\0\0", 10);
	for (size_t l = 0; l < INFLATERS; l++) {
		struct strata_decoder *d;
		struct strata_err err = {"", ""};
		struct strata_buf out = {0};
		struct strata_inflate_limits limits = {.empty_blocks =
		                                               STRATA_INFLATE_EMPTY_BLOCKS + 1};

		d = strata_gzip_decoder_new(libraries[l].inflate, &err);
		CHECK(d != NULL && decode_with(d, &stream, whole, &out, &err) < 0);
		CHECK(strcmp(err.code, "ELIMIT") == 0 &&
		      strstr(err.msg, "limits.empty_blocks") != NULL);
		strata_decoder_free(d);
		d = strata_gzip_decoder_new(libraries[l].inflate, &err);
		d->limits = limits;
		CHECK(decode_with(d, &stream, whole, &out, &err) == 0 && out.len == 0);
		strata_decoder_free(d);
		strata_buf_free(&out);
	}
	strata_buf_free(&stream);
}

int main(void)
{
	codec_begin();
	RUN(are_found_by_both_libraries_in_any_pieces);
	RUN(are_taken_or_refused_by_both_libraries);
	RUN(are_refused_when_codes_are_missing);
	RUN(are_refused_for_each_mistake_of_a_head);
	RUN(need_no_distances);
	RUN(are_counted_when_they_give_nothing);
	return codec_end("blocks");
}
