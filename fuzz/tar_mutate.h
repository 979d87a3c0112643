/*
 * Mutation of tars. Bytes changed at random rarely leave a tar: here members
 * are doubled, moved and dropped, fields get odd values, extension headers are
 * put in front; then all checksums are set right. Sizes lead from one header to
 * the next as they stand, as far as there are bytes.
 */
#ifndef STRATA_FUZZ_TAR_MUTATE_H
#define STRATA_FUZZ_TAR_MUTATE_H

#include "fuzz.h"
#include "tar/tar_support.h"

struct member {
	size_t at;   /* its header block */
	size_t body; /* its payload */
	size_t len;
	size_t next;
};

#define MEMBERS_MAX 256

static inline uint64_t octal_value(const char *text, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len && n < (uint64_t)1 << 50; i++)
		if (text[i] >= '0' && text[i] <= '7')
			n = n * 8 + (uint64_t)(text[i] - '0');
	return n;
}

/* The next header at or behind `at`; zero blocks are passed over. */
static inline bool next_member(const struct strata_buf *b, size_t at, struct member *m)
{
	static const char zeros[512];
	uint64_t size;

	while (at + 512 <= b->len && memcmp(b->data + at, zeros, 512) == 0)
		at += 512;
	if (at + 512 > b->len)
		return false;
	m->at = at;
	m->body = at + 512;
	size = octal_value(b->data + at + 124, 12);
	if (strata_tar_header_only(b->data[at + 156]))
		size = 0;
	m->len = size < b->len - m->body ? (size_t)size : b->len - m->body;
	m->next = m->body + m->len + strata_tar_padding(m->len);
	if (m->next > b->len)
		m->next = b->len;
	return true;
}

static inline size_t list_members(const struct strata_buf *b, struct member *list)
{
	size_t n = 0, at = 0;

	while (n < MEMBERS_MAX && next_member(b, at, &list[n]))
		at = list[n++].next;
	return n;
}

static inline void seal_all(struct strata_buf *b)
{
	struct member m = {0};

	while (next_member(b, m.next, &m))
		seal(b, m.at);
}

/* Replaces the member's payload, its size and padding. */
static inline void set_payload(struct strata_buf *b, const struct member *m, const void *bytes,
                               size_t len)
{
	struct strata_buf padded = {0};
	struct strata_err err;

	if (len)
		add_padded(&padded, bytes, len);
	must(strata_buf_splice(b, m->body, m->next, padded.data, padded.len, &err));
	put_octal(b->data + m->at + 124, 11, len);
	b->data[m->at + 135] = 0;
	seal(b, m->at);
	strata_buf_free(&padded);
}

static inline void insert_bytes(struct strata_buf *b, size_t at, const struct strata_buf *bytes)
{
	struct strata_err err;

	must(strata_buf_splice(b, at, at, bytes->data, bytes->len, &err));
}

/* ---- odd values --------------------------------------------------------- */

static const char *const odd_names[] = {"",
                                        ".",
                                        "..",
                                        "/",
                                        "./",
                                        "a",
                                        "a/",
                                        "a/b",
                                        "a//b/./c",
                                        "../a",
                                        "../../canary/f",
                                        "/etc/passwd",
                                        "a/../..",
                                        "a/.wh.b",
                                        ".wh..wh..opq",
                                        "a/.wh..wh..opq",
                                        ".wh.",
                                        ".wh..",
                                        "a/.wh...",
                                        ".wh.a",
                                        ".wh.a/b",
                                        ".wh..wh.plnk/1",
                                        "manifest.json",
                                        "layer.tar",
                                        "/proc/self/fd/0",
                                        "/dev/shm/canary",
                                        "/dev/shm/canary/f",
                                        "dev/null",
                                        "l",
                                        "l/x",
                                        "l/l/l",
                                        "\xff\xfe",
                                        "a\nb"};
static const char odd_numbers[][12] = {"00000000000",
                                       "00000000001",
                                       "00000000777",
                                       "00000001000",
                                       "00000001001",
                                       "77777777777",
                                       "-0000000001",
                                       "           ",
                                       "\x80\0\0\0\0\0\0\0\0\0\2",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                                       "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff",
                                       "12 4",
                                       "+5",
                                       "9"};
static const char *const odd_keys[] = {"path",
                                       "linkpath",
                                       "size",
                                       "uid",
                                       "gid",
                                       "uname",
                                       "gname",
                                       "mtime",
                                       "atime",
                                       "ctime",
                                       "comment",
                                       "hdrcharset",
                                       "SCHILY.xattr.user.a",
                                       "SCHILY.xattr.security.capability",
                                       "SCHILY.xattr.trusted.overlay.opaque",
                                       "LIBARCHIVE.xattr.user.b",
                                       "LIBARCHIVE.creationtime",
                                       "GNU.sparse.major",
                                       "GNU.sparse.minor",
                                       "GNU.sparse.name",
                                       "GNU.sparse.realsize",
                                       "GNU.sparse.size",
                                       "GNU.sparse.map",
                                       "GNU.sparse.numblocks",
                                       "GNU.sparse.offset",
                                       "GNU.sparse.numbytes",
                                       "SCHILY.acl.access",
                                       ""};
static const char *const odd_values[] = {
        "",        "0",          "1",          "512",
        "1.5",     "-1.25",      "4294967295", "9223372036854775807",
        "0,10",    "0,10,512,1", "a",          "../a",
        "dmFsdWU", "\1\0\0\2",   "+5",         "x=y",
        "1\n2"};
static const struct {
	unsigned short at, len;
} number_fields[] = {{100, 8},  {108, 8},  {116, 8},  {124, 12}, {136, 12}, {329, 8},
                     {337, 8},  {345, 12}, {357, 12}, {476, 12}, {488, 12}, {386, 12},
                     {398, 12}, {410, 12}, {482, 1},  {483, 12}};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define ONE(seed, list) ((list)[chance((seed), COUNT(list))])

/* A name: an odd one, or that of another member, perhaps as a whiteout. */
static inline void any_name(const struct strata_buf *b, const struct member *list, size_t n,
                            uint64_t *seed, char out[101])
{
	const char *base;

	memset(out, 0, 101);
	if (n == 0 || chance(seed, 3) == 0) {
		snprintf(out, 101, "%s", ONE(seed, odd_names));
		return;
	}
	memcpy(out, b->data + list[chance(seed, n)].at, 100);
	if (chance(seed, 4) == 0) {
		char copy[101];

		memcpy(copy, out, sizeof(copy));
		base = strrchr(copy, '/');
		base = base ? base + 1 : copy;
		snprintf(out, 101, "%.*s.wh.%.60s", (int)((base - copy) % 40), copy, base);
	} else if (chance(seed, 4) == 0) {
		size_t len = strlen(out);

		snprintf(out + len, 101 - len, "/%s", ONE(seed, odd_names));
	}
}

static inline void insert_extension(struct strata_buf *b, size_t at, const char *name,
                                    uint64_t *seed)
{
	struct strata_buf records = {0}, made = {0};
	static const char types[] = {'x', 'x', 'x', 'x', 'L', 'K', 'g'};
	char type = ONE(seed, types);

	if (type == 'L' || type == 'K')
		add(&records, name, strlen(name) + (size_t)chance(seed, 2));
	for (uint64_t i = chance(seed, 4); records.len == 0 || i-- > 0;) {
		const char *key = ONE(seed, odd_keys);
		const char *value = chance(seed, 2) ? name : ONE(seed, odd_values);

		record(&records, key, value, strlen(value));
		if (type == 'L' || type == 'K')
			break;
	}
	extension(&made, type, records.data, records.len);
	insert_bytes(b, at, &made);
	strata_buf_free(&records);
	strata_buf_free(&made);
}

/* ---- mutations ---------------------------------------------------------- */

static inline void mutate_payload(struct strata_buf *b, const struct member *m)
{
	size_t room = m->len + 256;
	uint8_t *copy = malloc(room);

	if (copy == NULL)
		must(-1);
	memcpy(copy, b->data + m->body, m->len);
	set_payload(b, m, copy, LLVMFuzzerMutate(copy, m->len, room));
	free(copy);
}

static inline void mutate_block(struct strata_buf *b, const struct member *m, const char *name,
                                uint64_t *seed)
{
	static const char types[] = "0000123456677gxLKSVMDNZ";
	char *block = b->data + m->at;
	size_t field;

	switch (chance(seed, 6)) {
	case 0:
		memcpy(block, name, 100);
		break;
	case 1:
		memcpy(block + 157, name, 100);
		break;
	case 2:
		block[156] = types[chance(seed, sizeof(types))];
		break;
	case 3:
		field = (size_t)chance(seed, COUNT(number_fields));
		memcpy(block + number_fields[field].at, ONE(seed, odd_numbers),
		       number_fields[field].len);
		break;
	case 4:
		memcpy(block + 257, chance(seed, 2) ? USTAR : chance(seed, 2) ? GNU : V7, 8);
		break;
	default:
		LLVMFuzzerMutate((uint8_t *)block, 512, 512);
	}
}

/* One step; the checksums are as they come. */
static inline void mutate_once(struct strata_buf *b, uint64_t *seed)
{
	struct member list[MEMBERS_MAX];
	size_t n = list_members(b, list);
	const struct member *m = n ? &list[chance(seed, n)] : NULL;
	const struct member *other = n ? &list[chance(seed, n)] : NULL;
	struct strata_buf part = {0};
	struct strata_err err;
	char name[101];

	any_name(b, list, n, seed, name);
	switch (m ? chance(seed, 8) : 0) {
	case 0: {
		static const char types[] = "0012355";

		header(&part, chance(seed, 2) ? USTAR : GNU, types[chance(seed, 7)], name, 0);
		insert_bytes(b, m ? m->at : 0, &part);
		break;
	}
	case 1:
		must(strata_buf_splice(b, m->at, m->next, NULL, 0, &err));
		break;
	case 2:
		add(&part, b->data + m->at, m->next - m->at);
		insert_bytes(b, other->at, &part);
		break;
	case 3:
		insert_extension(b, m->at, name, seed);
		break;
	case 4:
		mutate_payload(b, m);
		break;
	default:
		mutate_block(b, m, name, seed);
	}
	strata_buf_free(&part);
}

/* To be called by a target's mutator, for the part of its input that is a tar. */
static inline size_t tar_mutate(uint8_t *data, size_t size, size_t max, unsigned number)
{
	uint64_t seed = (uint64_t)number + 1;
	struct strata_buf b = {0};

	for (int i = 0; i < 4; i++)
		chance(&seed, 2);
	if (chance(&seed, 8) == 0)
		size = LLVMFuzzerMutate(data, size, max);
	add(&b, data, size);
	for (uint64_t i = chance(&seed, 4); i > 0; i--)
		mutate_once(&b, &seed);
	if (chance(&seed, 32))
		seal_all(&b);
	size = b.len < max ? b.len : max;
	if (size)
		memcpy(data, b.data, size);
	strata_buf_free(&b);
	return size;
}

#endif
