/*
 * One header block: numbers in octal and base-256, checksum, magic, and the
 * decoding of its fields.
 */
#include "core/tar/internal.h"

/* ---- numbers ----------------------------------------------------------- */

static bool get_base256(const unsigned char *p, size_t n, int64_t *out)
{
	unsigned char invert = (p[0] & 0x40) ? 0xff : 0;
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = p[i] ^ invert;

		if (i == 0)
			c &= 0x7f;
		if (x >> 56)
			return false;
		x = x << 8 | c;
	}
	if (x >> 63)
		return false;
	*out = invert ? -1 - (int64_t)x : (int64_t)x;
	return true;
}

/* Like Go, takes spaces and NULs around the digits, and any bytes behind a NUL. */
static bool get_octal(const unsigned char *p, size_t n, int64_t *out)
{
	uint64_t x = 0;
	size_t i = 0;

	while (i < n && (p[i] == ' ' || p[i] == 0))
		i++;
	if (i < n && (p[i] < '0' || p[i] > '7'))
		return false;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		x = x << 3 | (p[i] & 7);
	if (i < n && p[i] != 0) {
		for (; i < n; i++)
			if (p[i] != ' ' && p[i] != 0)
				return false;
	}
	*out = (int64_t)x; /* at most 12 digits, 36 bits */
	return true;
}

bool tar_is_base256(const char *block, struct tar_field f)
{
	return block[f.at] & 0x80;
}

bool tar_get_number(const char *block, struct tar_field f, int64_t *out)
{
	const unsigned char *p = (const unsigned char *)block + f.at;

	return (p[0] & 0x80) ? get_base256(p, f.len, out) : get_octal(p, f.len, out);
}

static bool put_base256(unsigned char *p, size_t n, int64_t value)
{
	unsigned bits = (unsigned)(n - 1) * 8;

	if (bits < 63) {
		int64_t bound = (int64_t)1 << bits;

		if (value < -bound || value >= bound)
			return false;
	}
	for (size_t i = n; i-- > 0;) {
		p[i] = (unsigned char)((uint64_t)value & 0xff);
		value = value < 0 ? -1 - ((-1 - value) >> 8) : value >> 8;
	}
	p[0] |= 0x80;
	return true;
}

/* Digits of n, right to left, into the first `width` bytes. False: too narrow. */
static bool put_octal_digits(unsigned char *p, size_t width, uint64_t n, unsigned char fill)
{
	size_t i = width;

	do {
		if (i == 0)
			return false;
		p[--i] = (unsigned char)('0' + (n & 7));
		n >>= 3;
	} while (n);
	memset(p, fill, i);
	return true;
}

/* Octal, with the fill and the terminator that the field has now. */
static bool put_octal(unsigned char *p, size_t n, uint64_t value)
{
	unsigned char copy[16];
	unsigned char fill = p[0] == ' ' ? ' ' : '0';
	size_t tail = 0;

	while (tail < n && (p[n - 1 - tail] == ' ' || p[n - 1 - tail] == 0))
		tail++;
	memcpy(copy, p, n);
	if (tail >= 1 && tail <= 2 && !(p[0] & 0x80) &&
	    put_octal_digits(copy, n - tail, value, fill)) {
		memcpy(p, copy, n);
		return true;
	}
	if (!put_octal_digits(copy, n - 1, value, '0'))
		return false;
	copy[n - 1] = 0;
	memcpy(p, copy, n);
	return true;
}

bool tar_fits_octal(struct tar_field f, int64_t n)
{
	return n >= 0 && (uint64_t)n >> (3 * (f.len - 1)) == 0;
}

bool tar_put_number(char *block, struct tar_field f, int64_t n)
{
	unsigned char *p = (unsigned char *)block + f.at;
	int64_t now;

	if (tar_get_number(block, f, &now) && now == n)
		return true;
	if (n >= 0 && put_octal(p, f.len, (uint64_t)n))
		return true;
	return put_base256(p, f.len, n);
}

/* ---- text -------------------------------------------------------------- */

size_t tar_text_len(const char *block, struct tar_field f)
{
	return strnlen(block + f.at, f.len);
}

void tar_put_text(char *block, struct tar_field f, const char *text, size_t len)
{
	bool cut = len > f.len;

	if (cut) {
		/* GNU tar takes a name that ends in a slash for a directory. */
		len = f.len;
		while (len > 0 && text[len - 1] == '/')
			len--;
	}
	if (len)
		memcpy(block + f.at, text, len);
	memset(block + f.at + len, 0, f.len - len);
}

bool tar_is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] & 0x80)
			return false;
	return true;
}

/* The same for one of the fields. */
static void follow_number(char *block, struct tar_field f, int64_t old, int64_t now)
{
	int64_t here;

	if (old != 0 && tar_fits_octal(f, now) && tar_get_number(block, f, &here) && here == old)
		tar_put_number(block, f, now);
}

static void follow_text(char *block, struct tar_field f, const char *old, size_t old_len,
                        const char *now, size_t now_len)
{
	bool same = old_len > 0 && tar_text_len(block, f) == old_len &&
	            memcmp(block + f.at, old, old_len) == 0;

	if (same && now_len <= TAR_UNAME_MAX)
		tar_put_text(block, f, now, now_len);
}

bool tar_follow(char *block, const struct strata_tar_header *old,
                const struct strata_tar_header *now)
{
	char before[STRATA_TAR_BLOCK];

	memcpy(before, block, sizeof(before));
	follow_number(block, TAR_UID, (int64_t)old->uid, (int64_t)now->uid);
	follow_number(block, TAR_GID, (int64_t)old->gid, (int64_t)now->gid);
	follow_number(block, TAR_MTIME, old->mtime, now->mtime);
	if (tar_block_format(block) != STRATA_TAR_V7) {
		follow_text(block, TAR_UNAME, old->uname, old->uname_len, now->uname,
		            now->uname_len);
		follow_text(block, TAR_GNAME, old->gname, old->gname_len, now->gname,
		            now->gname_len);
	}
	if (memcmp(before, block, sizeof(before)) == 0)
		return false;
	tar_put_checksum(block);
	return true;
}

bool tar_split_path(const char *path, size_t len, size_t prefix_max, size_t *at)
{
	size_t i = len - (len > 0 && path[len - 1] == '/'); /* the name is not empty */

	if (len <= TAR_NAME.len || prefix_max == 0)
		return false;
	if (i > prefix_max + 1)
		i = prefix_max + 1;
	while (i > 0 && path[i - 1] != '/')
		i--;
	if (i < 2 || len - i > TAR_NAME.len)
		return false;
	*at = i - 1;
	return true;
}

bool tar_is_zero(const char *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* ---- checksum ---------------------------------------------------------- */

/* The sum of all bytes, the checksum field taken as spaces. */
static int64_t unsigned_sum(const char *block)
{
	const uint64_t lanes = UINT64_C(0x00ff00ff00ff00ff);
	uint64_t sum = 0; /* four lanes of 16 bits; each holds the sum of 128 bytes */
	int64_t total;

	for (size_t i = 0; i < STRATA_TAR_BLOCK; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, block + i, sizeof(word));
		sum += (word & lanes) + (word >> 8 & lanes);
	}
	total = (int64_t)((sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff) +
	                  (sum >> 48));
	for (size_t i = 0; i < TAR_CHECKSUM.len; i++)
		total += ' ' - (unsigned char)block[TAR_CHECKSUM.at + i];
	return total;
}

static int64_t signed_sum(const char *block)
{
	int64_t total = unsigned_sum(block);

	for (size_t i = 0; i < STRATA_TAR_BLOCK; i++)
		if ((i < TAR_CHECKSUM.at || i >= (size_t)TAR_CHECKSUM.at + TAR_CHECKSUM.len) &&
		    (block[i] & 0x80))
			total -= 256;
	return total;
}

bool tar_checksum_ok(const char *block, bool *is_signed)
{
	int64_t given;

	*is_signed = false;
	if (!get_octal((const unsigned char *)block + TAR_CHECKSUM.at, TAR_CHECKSUM.len, &given))
		return false;
	if (given == unsigned_sum(block))
		return true;
	*is_signed = given == signed_sum(block);
	return *is_signed;
}

void tar_put_checksum(char *block)
{
	int64_t sum = unsigned_sum(block);
	bool is_signed;

	if (tar_checksum_ok(block, &is_signed) && !is_signed)
		return;
	if (tar_is_zero(block + TAR_CHECKSUM.at, TAR_CHECKSUM.len))
		memcpy(block + TAR_CHECKSUM.at, "000000\0 ", TAR_CHECKSUM.len);
	tar_put_number(block, TAR_CHECKSUM, sum); /* at most 18 bits: fits */
}

/* ---- the block --------------------------------------------------------- */

enum strata_tar_format tar_block_format(const char *block)
{
	const char *magic = block + TAR_MAGIC.at;

	if (memcmp(magic, "ustar\0", 6) == 0) {
		if (memcmp(block + TAR_STAR_TRAILER.at, "tar\0", 4) == 0)
			return STRATA_TAR_STAR;
		return STRATA_TAR_USTAR;
	}
	if (memcmp(magic, "ustar  \0", 8) == 0)
		return STRATA_TAR_GNU;
	return STRATA_TAR_V7;
}

struct tar_field tar_prefix_field(enum strata_tar_format format)
{
	if (format == STRATA_TAR_STAR)
		return TAR_STAR_PREFIX;
	if (format == STRATA_TAR_USTAR || format == STRATA_TAR_PAX)
		return TAR_PREFIX;
	return (struct tar_field){TAR_PREFIX.at, 0};
}

/* False when an atime or ctime of a GNU block is no number; then Go takes neither for a time. */
static bool has_gnu_times(const char *block)
{
	int64_t unused;

	return (block[TAR_GNU_ATIME.at] == 0 || tar_get_number(block, TAR_GNU_ATIME, &unused)) &&
	       (block[TAR_GNU_CTIME.at] == 0 || tar_get_number(block, TAR_GNU_CTIME, &unused));
}

struct tar_field tar_time_field(const char *block, bool changed)
{
	enum strata_tar_format format = tar_block_format(block);
	struct tar_field f = changed ? TAR_GNU_CTIME : TAR_GNU_ATIME;

	if (format == STRATA_TAR_GNU && has_gnu_times(block) && block[f.at] != 0)
		return f;
	f = changed ? TAR_STAR_CTIME : TAR_STAR_ATIME;
	if (format != STRATA_TAR_STAR || tar_is_zero(block + f.at, f.len))
		f.len = 0;
	return f;
}

/*
 * Go before 1.8 wrote ustar prefixes under GNU magic, where atime and ctime
 * lie. Its reader still joins them when those fields hold no numbers.
 */
static size_t gnu_prefix_len(const char *block)
{
	size_t len;

	if (has_gnu_times(block))
		return 0;
	len = tar_text_len(block, TAR_PREFIX);
	return tar_is_ascii(block + TAR_PREFIX.at, len) ? len : 0;
}

static void decode_path(const char *block, char *joined, struct strata_tar_header *h)
{
	size_t prefix = 0;

	h->path = block + TAR_NAME.at;
	h->path_len = tar_text_len(block, TAR_NAME);
	if (h->format == STRATA_TAR_GNU) {
		prefix = gnu_prefix_len(block);
		if (prefix)
			h->findings |= STRATA_TAR_GNU_PREFIX;
	} else if (h->format != STRATA_TAR_V7 && block[TAR_PREFIX.at]) {
		prefix = tar_text_len(block, tar_prefix_field(h->format));
	}
	if (prefix) {
		memcpy(joined, block + TAR_PREFIX.at, prefix);
		joined[prefix] = '/';
		memcpy(joined + prefix + 1, h->path, h->path_len);
		h->path = joined;
		h->path_len += prefix + 1;
	}
}

/* A number out of range is an error for a device; for other types it reads as 0. */
static int decode_device(const char *block, struct strata_tar_header *h, struct strata_err *err)
{
	int64_t major;
	int64_t minor;

	if (!tar_get_number(block, TAR_DEVMAJOR, &major) ||
	    !tar_get_number(block, TAR_DEVMINOR, &minor))
		return strata_fail(err, "EFORMAT", "device number is not a number");
	if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX) {
		if (h->typeflag == '3' || h->typeflag == '4')
			return strata_fail(err, "EFORMAT", "device number out of range");
		major = minor = 0;
	}
	h->devmajor = (uint32_t)major;
	h->devminor = (uint32_t)minor;
	return 0;
}

static int decode_time(const char *block, bool changed, struct strata_tar_time *t,
                       struct strata_err *err)
{
	struct tar_field f = tar_time_field(block, changed);

	t->there = f.len > 0;
	if (t->there && !tar_get_number(block, f, &t->seconds))
		return strata_fail(err, "EFORMAT", "atime or ctime is not a number");
	return 0;
}

int tar_decode_block(const char *block, char *joined, struct strata_tar_header *h,
                     struct strata_err *err)
{
	int64_t mode;
	int64_t uid;
	int64_t gid;

	memset(h, 0, sizeof(*h));
	h->format = (uint8_t)tar_block_format(block);
	h->typeflag = block[TAR_TYPEFLAG_AT];
	decode_path(block, joined, h);
	h->linkpath = block + TAR_LINKNAME.at;
	h->linkpath_len = tar_text_len(block, TAR_LINKNAME);
	h->uname = h->gname = h->pax = "";
	if (!tar_get_number(block, TAR_SIZE, &h->size))
		return strata_fail(err, "EFORMAT", "size is not a number");
	if (h->size < 0 || h->size > TAR_MAX_SIZE)
		return strata_fail(err, "EFORMAT", "size out of range");
	if (!tar_get_number(block, TAR_MODE, &mode) || mode < 0 || mode > UINT32_MAX)
		return strata_fail(err, "EFORMAT", "mode is not a number, or out of range");
	if (!tar_get_number(block, TAR_UID, &uid) || !tar_get_number(block, TAR_GID, &gid))
		return strata_fail(err, "EFORMAT", "uid or gid is not a number");
	if (!tar_get_number(block, TAR_MTIME, &h->mtime))
		return strata_fail(err, "EFORMAT", "mtime is not a number");
	if (decode_time(block, false, &h->atime, err) < 0 ||
	    decode_time(block, true, &h->ctime, err) < 0)
		return -1;
	h->mode = (uint32_t)mode;
	/* Other negative ones end up out of range. */
	h->uid = uid == -1 ? STRATA_TAR_NO_ID : (uint64_t)uid;
	h->gid = gid == -1 ? STRATA_TAR_NO_ID : (uint64_t)gid;
	if (h->format != STRATA_TAR_V7) {
		h->uname = block + TAR_UNAME.at;
		h->uname_len = tar_text_len(block, TAR_UNAME);
		h->gname = block + TAR_GNAME.at;
		h->gname_len = tar_text_len(block, TAR_GNAME);
		return decode_device(block, h, err);
	}
	return 0;
}
