/*
 * What the tar tests share: archives built by hand, independent of the code
 * under test, and a reader that checks what every archive must satisfy.
 */
#ifndef STRATA_TAR_SUPPORT_H
#define STRATA_TAR_SUPPORT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "core/tar/tar.h"

#define V7 "\0\0\0\0\0\0\0"
#define USTAR "ustar\00000"
#define GNU "ustar  "

/* ---- building ---------------------------------------------------------- */

static inline void must(int status)
{
	if (status < 0) {
		printf("the test itself failed\n");
		exit(2);
	}
}

static inline void add(struct strata_buf *b, const void *bytes, size_t len)
{
	struct strata_err err;

	must(strata_buf_append(b, bytes, len, &err));
}

static inline void add_padded(struct strata_buf *b, const void *bytes, size_t len)
{
	struct strata_err err;

	add(b, bytes, len);
	must(strata_buf_fill(b, 0, (512 - len % 512) % 512, &err));
}

/* n in that many octal digits, without a terminator. */
static inline void put_octal(char *out, size_t digits, unsigned long long n)
{
	for (; digits-- > 0; n /= 8)
		out[digits] = (char)('0' + n % 8);
}

/* Sets the checksum of the block at that offset. */
static inline void seal(struct strata_buf *b, size_t at)
{
	unsigned char *block = (unsigned char *)b->data + at;
	unsigned sum = 0;

	memset(block + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += block[i];
	put_octal(b->data + at + 148, 6, sum);
	block[154] = 0;
}

/* Appends a header block; returns its offset. */
static inline size_t header(struct strata_buf *b, const char *magic, char typeflag,
                            const char *name, unsigned long long size)
{
	char block[512] = {0};
	size_t at = b->len;

	memcpy(block, name, strnlen(name, 100));
	memcpy(block + 100, "0000644", 8);
	memcpy(block + 108, "0001750", 8);
	memcpy(block + 116, "0000144", 8);
	put_octal(block + 124, 11, size);
	memcpy(block + 136, "12345670123", 12);
	block[156] = typeflag;
	memcpy(block + 257, magic, 8);
	add(b, block, sizeof(block));
	seal(b, at);
	return at;
}

/* Writes bytes into the block at `at` and seals it again. */
static inline void poke(struct strata_buf *b, size_t at, size_t field, const void *bytes,
                        size_t len)
{
	memcpy(b->data + at + field, bytes, len);
	seal(b, at);
}

static inline void record(struct strata_buf *records, const char *key, const char *value,
                          size_t len)
{
	char head[64];
	size_t bare = strlen(key) + len + 3;
	size_t total = bare + 1;

	while (total != bare + (size_t)snprintf(head, sizeof(head), "%zu", total))
		total++;
	add(records, head, strlen(head));
	add(records, " ", 1);
	add(records, key, strlen(key));
	add(records, "=", 1);
	add(records, value, len);
	add(records, "\n", 1);
}

/* An extension header with this payload. */
static inline void extension(struct strata_buf *b, char typeflag, const void *payload, size_t len)
{
	header(b, typeflag == 'L' || typeflag == 'K' ? GNU : USTAR, typeflag, "ext", len);
	add_padded(b, payload, len);
}

static inline void pax(struct strata_buf *b, const char *key, const char *value)
{
	struct strata_buf records = {0};

	record(&records, key, value, strlen(value));
	extension(b, 'x', records.data, records.len);
	strata_buf_free(&records);
}

static inline void file(struct strata_buf *b, const char *name, const char *content)
{
	header(b, USTAR, '0', name, strlen(content));
	add_padded(b, content, strlen(content));
}

static inline void end(struct strata_buf *b)
{
	struct strata_err err;

	must(strata_buf_fill(b, 0, 1024, &err));
}

/* ---- input that cannot be read beyond ---------------------------------- */

struct guarded {
	char *map;
	size_t size; /* of the readable part */
	size_t page;
};

static inline struct guarded guard(size_t max)
{
	struct guarded g = {.page = (size_t)sysconf(_SC_PAGESIZE)};

	g.size = (max / g.page + 1) * g.page;
	g.map = mmap(NULL, g.size + g.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	             0);
	if (g.map == MAP_FAILED || mprotect(g.map + g.size, g.page, PROT_NONE) < 0)
		must(-1);
	return g;
}

/* The bytes, at the very end of what can be read. */
static inline const char *guarded_copy(const struct guarded *g, const char *bytes, size_t len)
{
	char *at = g->map + g->size - len;

	if (len)
		memcpy(at, bytes, len);
	return at;
}

static inline void unguard(struct guarded *g)
{
	munmap(g->map, g->size + g->page);
}

/* ---- chance that repeats ----------------------------------------------- */

static inline uint64_t chance(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % n;
}

/* ---- reading ----------------------------------------------------------- */

struct entry {
	struct strata_tar_header h; /* its strings are in `text` */
	char *text;
	char *raw;
	size_t raw_len;
};

struct reading {
	struct entry *entries;
	size_t n;
	bool ended; /* STRATA_TAR_END was told */
	uint32_t findings;
	uint64_t end_offset;
	struct strata_err err; /* code "" when all went well */
};

static inline void own_text(char **at, const char **text, size_t len)
{
	memcpy(*at, *text, len);
	*text = *at;
	(*at)[len] = '\0';
	*at += len + 1;
}

static inline void keep_entry(struct reading *r, const struct strata_tar_parser *p)
{
	struct entry e = {.h = *strata_tar_entry(p)};
	const char *raw = strata_tar_raw_header(p, &e.raw_len);
	char *at;

	e.raw = malloc(e.raw_len + 1);
	at = e.text = malloc(e.h.path_len + e.h.linkpath_len + e.h.uname_len + e.h.gname_len +
	                     e.h.pax_len + 5);
	r->entries = realloc(r->entries, (r->n + 1) * sizeof(e));
	if (!e.raw || !e.text || !r->entries)
		must(-1);
	memcpy(e.raw, raw, e.raw_len);
	own_text(&at, &e.h.path, e.h.path_len);
	own_text(&at, &e.h.linkpath, e.h.linkpath_len);
	own_text(&at, &e.h.uname, e.h.uname_len);
	own_text(&at, &e.h.gname, e.h.gname_len);
	own_text(&at, &e.h.pax, e.h.pax_len);
	r->entries[r->n++] = e;
}

static inline void free_reading(struct reading *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->entries[i].text);
		free(r->entries[i].raw);
	}
	free(r->entries);
	*r = (struct reading){0};
}

/* One event against the input and the one before: no gap, nothing altered. */
static inline void check_event(struct reading *r, const struct strata_tar_parser *p,
                               enum strata_tar_event event, const char *bytes, const char *data,
                               size_t data_len, uint64_t *next)
{
	uint64_t at = strata_tar_offset(p);
	const struct entry *e;

	if (event == STRATA_TAR_DATA) {
		CHECK(memcmp(bytes + at - data_len, data, data_len) == 0);
		return;
	}
	if (event != STRATA_TAR_ENTRY)
		return;
	keep_entry(r, p);
	e = &r->entries[r->n - 1];
	CHECK(e->h.header_offset == *next);
	CHECK(e->h.data_offset == at && at == *next + e->raw_len);
	CHECK(memcmp(bytes + *next, e->raw, e->raw_len) == 0);
	CHECK(strata_tar_pending(p) ==
	      (uint64_t)e->h.stored + strata_tar_padding((uint64_t)e->h.stored));
	*next = at + strata_tar_pending(p);
}

/* Reads all of it, in one piece, or in random ones when `seed` is not 0. */
static inline struct reading read_tar(const char *bytes, size_t len, uint64_t seed,
                                      const struct strata_tar_limits *limits)
{
	struct reading r = {0};
	size_t max_chunk = seed % 3 == 1 ? 600 : 9000;
	struct guarded g = guard(seed && len > max_chunk ? max_chunk : len);
	struct strata_tar_parser *p = strata_tar_parser_new(limits, &r.err);
	size_t done = 0;
	uint64_t next = 0;
	int status = p ? 0 : -1;

	while (status == 0 && done < len) {
		size_t chunk = seed ? 1 + (size_t)chance(&seed, max_chunk) : len;
		const char *in;
		enum strata_tar_event event = STRATA_TAR_ENTRY;

		if (chunk > len - done)
			chunk = len - done;
		in = guarded_copy(&g, bytes + done, chunk);
		done += chunk;
		while (status == 0 && event != STRATA_TAR_MORE) {
			const char *data = NULL;
			size_t data_len = 0;

			status = strata_tar_step(p, &in, &chunk, &event, &data, &data_len, &r.err);
			if (status == 0)
				check_event(&r, p, event, bytes, data, data_len, &next);
			r.ended |= event == STRATA_TAR_END;
		}
		if (status == 0)
			CHECK(chunk == 0 && strata_tar_offset(p) == done);
	}
	if (status == 0)
		status = strata_tar_finish(p, &r.findings, &r.end_offset, &r.err);
	if (status == 0)
		CHECK(r.end_offset == next || (r.findings & STRATA_TAR_NO_PADDING));
	strata_tar_parser_free(p);
	unguard(&g);
	return r;
}

static inline struct reading read_buf(const struct strata_buf *b)
{
	return read_tar(b->data, b->len, 0, NULL);
}

static inline bool same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Everything but where the entry lies, what was found, and its records. */
static inline bool same_header(const struct strata_tar_header *a, const struct strata_tar_header *b)
{
	return same_text(a->path, a->path_len, b->path, b->path_len) &&
	       same_text(a->linkpath, a->linkpath_len, b->linkpath, b->linkpath_len) &&
	       same_text(a->uname, a->uname_len, b->uname, b->uname_len) &&
	       same_text(a->gname, a->gname_len, b->gname, b->gname_len) && a->size == b->size &&
	       a->stored == b->stored && a->mtime == b->mtime && a->mtime_nsec == b->mtime_nsec &&
	       strata_tar_same_time(&a->atime, &b->atime) &&
	       strata_tar_same_time(&a->ctime, &b->ctime) && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid && a->devmajor == b->devmajor &&
	       a->devminor == b->devminor && a->typeflag == b->typeflag && a->sparse == b->sparse;
}

static inline bool same_reading(const struct reading *a, const struct reading *b)
{
	if (a->n != b->n || a->ended != b->ended || a->findings != b->findings ||
	    a->end_offset != b->end_offset || strcmp(a->err.code, b->err.code) != 0 ||
	    strcmp(a->err.msg, b->err.msg) != 0)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct strata_tar_header *x = &a->entries[i].h;
		const struct strata_tar_header *y = &b->entries[i].h;

		if (!same_header(x, y) || x->findings != y->findings || x->format != y->format ||
		    x->header_offset != y->header_offset || x->data_offset != y->data_offset ||
		    !same_text(x->pax, x->pax_len, y->pax, y->pax_len))
			return false;
	}
	return true;
}

/* ---- what a test asks -------------------------------------------------- */

static inline bool is_path(const struct reading *r, size_t i, const char *path)
{
	return i < r->n &&
	       same_text(r->entries[i].h.path, r->entries[i].h.path_len, path, strlen(path));
}

/* Reads and frees b; also in pieces, which must tell the same. */
static inline struct reading consume(struct strata_buf *b)
{
	struct reading all = read_buf(b);

	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct reading pieces = read_tar(b->data, b->len, seed * 7919, NULL);

		CHECK(same_reading(&all, &pieces));
		free_reading(&pieces);
	}
	strata_buf_free(b);
	return all;
}

static inline bool refused(struct strata_buf *b, const char *code)
{
	struct reading r = consume(b);
	bool ok = strcmp(r.err.code, code) == 0;

	if (!ok)
		printf("  got '%s' %s\n", r.err.code, r.err.msg);
	free_reading(&r);
	return ok;
}

/* ---- files and peers --------------------------------------------------- */

static inline void read_stream(FILE *f, struct strata_buf *out)
{
	char bytes[65536];
	size_t n;

	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		add(out, bytes, n);
}

/* What a shell command prints. False when it fails. */
static inline bool output_of(const char *command, struct strata_buf *out)
{
	FILE *f = popen(command, "r");

	if (!f)
		return false;
	read_stream(f, out);
	return pclose(f) == 0;
}

static inline bool have_tool(const char *name)
{
	char command[128];
	struct strata_buf unused = {0};
	bool have;

	snprintf(command, sizeof(command), "command -v %s >/dev/null", name);
	have = output_of(command, &unused);
	strata_buf_free(&unused);
	if (!have)
		printf("skipped: %s is not installed\n", name);
	return have;
}

/* Calls use(path, bytes) for every file in the corpus; gzip is unpacked. */
static inline void each_corpus_file(void (*use)(const char *path, const struct strata_buf *bytes))
{
	const char *corpus = getenv("STRATA_CORPUS");
	char line[4096];
	FILE *list;

	if (!corpus) {
		printf("skipped: STRATA_CORPUS is not set\n");
		return;
	}
	list = popen("find \"$STRATA_CORPUS\" -type f -size -65536k | LC_ALL=C sort", "r");
	while (list && fgets(line, sizeof(line), list)) {
		struct strata_buf bytes = {0};
		char command[4200];

		line[strcspn(line, "\n")] = '\0';
		snprintf(command, sizeof(command), "gzip -qdcf -- '%s' 2>/dev/null", line);
		output_of(command, &bytes);
		use(line, &bytes);
		strata_buf_free(&bytes);
	}
	if (list)
		pclose(list);
}

#endif
