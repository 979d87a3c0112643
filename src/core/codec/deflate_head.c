#include "core/codec/deflate_head.h"

#define LENGTH_CODES 19 /* the alphabet that code lengths are written in */
#define LENGTH_BITS 7   /* of the longest code of that alphabet */
#define END_OF_BLOCK 256
#define LENGTHS_MAX 286
#define DISTANCES_MAX 30

/* The sum over a complete set of codes, where a code of n bits counts 2^(15 - n). */
#define COMPLETE (1u << 15)

struct bits {
	uint64_t low; /* the next bits, the lowest first; behind them zeros */
	int count;    /* of bits in `low`; below 0 when more were taken than there are */
	const unsigned char *in;
	const unsigned char *end;
};

static void refill(struct bits *b)
{
	while (b->count >= 0 && b->count <= 56 && b->in < b->end) {
		b->low |= (uint64_t)*b->in++ << b->count;
		b->count += 8;
	}
}

static unsigned take(struct bits *b, int n)
{
	unsigned value;

	if (b->count < n)
		refill(b);
	value = (unsigned)(b->low & ((1u << n) - 1));
	b->low >>= n;
	b->count -= n;
	return value;
}

/* A mistake is none yet when bits were missing: these were read as zeros. */
static int refuse(const struct bits *b, const char *what, struct strata_err *err)
{
	return b->count < 0 ? 0 : strata_fail(err, "EFORMAT", "%s", what);
}

/* The codes of lengths: for all that the next 7 bits can be, a symbol and its length in bits. */
struct length_code {
	uint8_t symbol[1 << LENGTH_BITS];
	uint8_t bits[1 << LENGTH_BITS];
};

static unsigned reversed(unsigned code, unsigned bits)
{
	unsigned r = 0;

	for (; bits > 0; bits--, code >>= 1)
		r = r << 1 | (code & 1);
	return r;
}

/* False when codes are missing, or there are too many. */
static bool make_length_code(struct length_code *c, const uint8_t lengths[LENGTH_CODES])
{
	unsigned count[LENGTH_BITS + 1] = {0}, next[LENGTH_BITS + 1], code = 0;

	for (unsigned i = 0; i < LENGTH_CODES; i++)
		count[lengths[i]]++;
	for (unsigned n = 1; n <= LENGTH_BITS; n++) {
		next[n] = code;
		code = (code + count[n]) << 1;
	}
	if (code != 2u << LENGTH_BITS)
		return false;
	for (unsigned i = 0; i < LENGTH_CODES; i++) {
		unsigned n = lengths[i];

		if (n == 0)
			continue;
		for (unsigned at = reversed(next[n]++, n); at < 1u << LENGTH_BITS; at += 1u << n) {
			c->symbol[at] = (uint8_t)i;
			c->bits[at] = (uint8_t)n;
		}
	}
	return true;
}

/* A set of codes, as far as its lengths have been read. */
struct code_set {
	unsigned count; /* of codes */
	unsigned sum;
};

static void add_codes(struct code_set *set, unsigned count, unsigned length)
{
	if (length > 0) {
		set->count += count;
		set->sum += count * (COMPLETE >> length);
	}
}

/* zlib takes a single code of one bit, too. */
static bool is_usable(const struct code_set *set)
{
	return set->sum == COMPLETE || (set->count == 1 && set->sum == COMPLETE / 2);
}

/* The code lengths of one block: those of literals and lengths, then those of distances. */
struct lengths {
	unsigned literals; /* how many there are */
	unsigned total;    /* the distances among them */
	unsigned done;
	unsigned last; /* the length before */
	bool ends;     /* there is a code for the end of the block */
	struct code_set literal_set;
	struct code_set distance_set;
};

static void add_lengths(struct lengths *l, unsigned count, unsigned length)
{
	unsigned before = l->done < l->literals ? l->literals - l->done : 0;

	if (before > count)
		before = count;
	add_codes(&l->literal_set, before, length);
	add_codes(&l->distance_set, count - before, length);
	if (length > 0 && l->done <= END_OF_BLOCK && l->done + count > END_OF_BLOCK)
		l->ends = true;
	l->done += count;
	l->last = length;
}

static int read_lengths(struct bits *b, const struct length_code *code, struct lengths *l,
                        struct strata_err *err)
{
	while (l->done < l->total) {
		unsigned at, symbol, count = 1, length = 0;

		if (b->count < 2 * LENGTH_BITS)
			refill(b);
		at = (unsigned)b->low & ((1u << LENGTH_BITS) - 1);
		symbol = code->symbol[at];
		b->low >>= code->bits[at];
		b->count -= code->bits[at];
		if (symbol < 16)
			length = symbol;
		else if (symbol == 16 && l->done == 0)
			return refuse(b, "invalid bit length repeat", err);
		else if (symbol == 16) {
			count = 3 + take(b, 2);
			length = l->last;
		} else {
			count = symbol == 17 ? 3 + take(b, 3) : 11 + take(b, 7);
		}
		if (b->count < 0)
			return 0;
		if (count > l->total - l->done)
			return refuse(b, "invalid bit length repeat", err);
		add_lengths(l, count, length);
	}
	return 1;
}

static int read_dynamic(struct bits *b, struct strata_err *err)
{
	static const uint8_t order[LENGTH_CODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
	                                            11, 4,  12, 3, 13, 2, 14, 1, 15};
	uint8_t lengths[LENGTH_CODES] = {0};
	struct length_code code;
	struct lengths l = {0};
	unsigned distances, count;
	int status;

	l.literals = 257 + take(b, 5);
	distances = 1 + take(b, 5);
	count = 4 + take(b, 4);
	if (l.literals > LENGTHS_MAX || distances > DISTANCES_MAX)
		return refuse(b, "too many length or distance symbols", err);
	for (unsigned i = 0; i < count; i++)
		lengths[order[i]] = (uint8_t)take(b, 3);
	if (b->count < 0)
		return 0;
	if (!make_length_code(&code, lengths))
		return refuse(b, "invalid code lengths set", err);
	l.total = l.literals + distances;
	status = read_lengths(b, &code, &l, err);
	if (status <= 0)
		return status;
	if (!l.ends)
		return refuse(b, "invalid code -- missing end-of-block", err);
	if (!is_usable(&l.literal_set))
		return refuse(b, "invalid literal/lengths set", err);
	if (l.distance_set.count > 0 && !is_usable(&l.distance_set))
		return refuse(b, "invalid distances set", err);
	return 1;
}

static int read_stored(struct bits *b, struct strata_err *err)
{
	unsigned length;

	if (b->count > 0)
		take(b, b->count % 8);
	length = take(b, 16);
	if ((take(b, 16) ^ 0xffff) != length)
		return refuse(b, "invalid stored block lengths", err);
	return b->count >= 0;
}

int strata_deflate_head(uint64_t bits, unsigned held, const unsigned char *in, size_t len,
                        struct strata_deflate_head *head, struct strata_err *err)
{
	struct bits b = {bits, (int)held, in, in + len};
	int status;

	if (held < 64)
		b.low &= ((uint64_t)1 << held) - 1;
	head->final = take(&b, 1);
	switch (take(&b, 2)) {
	case 0:
		status = read_stored(&b, err);
		break;
	case 1:
		status = b.count >= 0;
		break;
	case 2:
		status = read_dynamic(&b, err);
		break;
	default:
		status = refuse(&b, "invalid block type", err);
	}
	head->bits = held + 8 * (size_t)(b.in - in) - (size_t)(b.count > 0 ? b.count : 0);
	return status;
}
