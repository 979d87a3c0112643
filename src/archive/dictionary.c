#include "archive/dictionary.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LZMA_HEADER 13
#define XZ_MAGIC "\xfd\x37\x7a\x58\x5a\x00"
#define XZ_MAGIC_LEN 6
#define XZ_FOOTER 12
#define LZMA2 0x21
#define WINDOW 4096

/* ---- the file, byte by byte ---------------------------------------------- */

struct walk {
	int fd;
	int64_t at;
	int64_t end;
	unsigned char window[WINDOW];
	int64_t first; /* where the window begins */
	size_t len;
	int errnum;          /* of a read that failed */
	uint64_t dictionary; /* the largest one so far */
};

/* -1 at the end, and when it cannot be read. */
static int next(struct walk *w)
{
	if (w->at >= w->end)
		return -1;
	if (w->at < w->first || w->at >= w->first + (int64_t)w->len) {
		ssize_t n;

		do {
			n = pread(w->fd, w->window, WINDOW, (off_t)w->at);
		} while (n < 0 && errno == EINTR);
		if (n <= 0) {
			w->errnum = n < 0 ? errno : 0;
			return -1;
		}
		w->first = w->at;
		w->len = (size_t)n;
	}
	return w->window[w->at++ - w->first];
}

static bool skip(struct walk *w, uint64_t n)
{
	if (n > (uint64_t)(w->end - w->at))
		return false;
	w->at += (int64_t)n;
	return true;
}

/* Passes over the zeros that make the bytes from `start` on a multiple of four. */
static bool skip_padding(struct walk *w, int64_t start)
{
	while ((w->at - start) % 4 != 0)
		if (next(w) != 0)
			return false;
	return true;
}

static bool next_number(struct walk *w, int bytes, bool big_endian, uint32_t *n)
{
	*n = 0;
	for (int i = 0; i < bytes; i++) {
		int byte = next(w);

		if (byte < 0)
			return false;
		*n = big_endian ? *n << 8 | (uint32_t)byte : *n | (uint32_t)byte << 8 * i;
	}
	return true;
}

/* An integer of variable length, as xz has them. */
static bool next_varint(struct walk *w, uint64_t *n)
{
	*n = 0;
	for (int shift = 0; shift < 63; shift += 7) {
		int byte = next(w);

		if (byte < 0)
			return false;
		*n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* ---- xz ------------------------------------------------------------------ */

static void take_dictionary(struct walk *w, uint64_t size)
{
	if (size > w->dictionary)
		w->dictionary = size;
}

static bool walk_filter(struct walk *w)
{
	uint64_t id, size;
	int bits;

	if (!next_varint(w, &id) || !next_varint(w, &size))
		return false;
	if (id != LZMA2)
		return skip(w, size);
	bits = next(w);
	if (size != 1 || bits < 0 || bits > 40)
		return false;
	take_dictionary(w, bits == 40 ? UINT32_MAX : (uint64_t)(2 | (bits & 1)) << (bits / 2 + 11));
	return true;
}

/* `size` is the first byte of the header. */
static bool walk_block_header(struct walk *w, int size)
{
	int64_t end = w->at - 1 + ((int64_t)size + 1) * 4;
	int flags = next(w);
	uint64_t ignored;

	if (flags < 0 || (flags & 0x3c) != 0 || ((flags & 0x40) && !next_varint(w, &ignored)) ||
	    ((flags & 0x80) && !next_varint(w, &ignored)))
		return false;
	for (int i = 0; i <= (flags & 3); i++)
		if (!walk_filter(w))
			return false;
	return w->at <= end - 4 && skip(w, (uint64_t)(end - w->at));
}

/* The chunks of LZMA2: each tells its length. */
static bool walk_chunks(struct walk *w)
{
	for (;;) {
		int control = next(w);
		uint32_t size;

		if (control == 0)
			return true;
		if (control < 0 || (control > 2 && control < 0x80) ||
		    (control >= 0x80 && !skip(w, 2)) || !next_number(w, 2, true, &size) ||
		    !skip(w, (uint64_t)size + 1 + (control >= 0xc0)))
			return false;
	}
}

/* The index of the blocks, which begins with a zero byte. */
static bool walk_index(struct walk *w)
{
	int64_t start = w->at - 1;
	uint64_t records, ignored;

	if (!next_varint(w, &records))
		return false;
	for (; records > 0; records--) /* two numbers each */
		for (int i = 0; i < 2; i++)
			if (!next_varint(w, &ignored))
				return false;
	return skip_padding(w, start) && skip(w, 4);
}

static bool walk_stream(struct walk *w)
{
	static const unsigned char check_sizes[] = {0, 4, 8, 16, 32, 64};
	uint32_t flags;
	int size;

	for (size_t i = 0; i < XZ_MAGIC_LEN; i++)
		if (next(w) != (unsigned char)XZ_MAGIC[i])
			return false;
	if (!next_number(w, 2, true, &flags) || flags > 15 || !skip(w, 4))
		return false;
	while ((size = next(w)) > 0) {
		int64_t start;

		if (!walk_block_header(w, size))
			return false;
		start = w->at;
		if (!walk_chunks(w) || !skip_padding(w, start) ||
		    !skip(w, check_sizes[(flags + 2) / 3]))
			return false;
	}
	return size == 0 && walk_index(w) && skip(w, XZ_FOOTER);
}

/* Between streams, and behind the last one, there may be zeros. */
static bool walk_streams(struct walk *w)
{
	while (w->at < w->end) {
		int byte;

		if (!walk_stream(w))
			return false;
		do {
			byte = next(w);
		} while (byte == 0);
		if (byte > 0)
			w->at--;
	}
	return w->errnum == 0;
}

/* ---- the whole ----------------------------------------------------------- */

/* As programs write them: 2^n or 3 * 2^n bytes, or the most that there can be. */
static bool is_usual_size(uint32_t size)
{
	uint32_t odd = size;

	while (odd != 0 && odd % 2 == 0)
		odd /= 2;
	return odd == 1 || odd == 3 || size == UINT32_MAX;
}

static bool walk_lzma(struct walk *w)
{
	int parameters = next(w);
	uint32_t size;

	if (w->end < LZMA_HEADER || parameters < 0 || parameters >= 9 * 5 * 5 ||
	    !next_number(w, 4, false, &size) || !is_usual_size(size))
		return false;
	take_dictionary(w, size);
	return true;
}

int strata_archive_check_dictionary(int fd, int64_t end, bool xz, uint64_t max, const char *name,
                                    struct strata_err *err)
{
	struct walk w = {.fd = fd, .end = end};
	bool whole = xz ? walk_streams(&w) : walk_lzma(&w);

	if (w.errnum != 0)
		return strata_fail_errno(err, w.errnum, "%s: read", name);
	if (w.dictionary > max)
		return strata_fail(err, "ELIMIT",
		                   "%s: wants a dictionary of %llu bytes, more than "
		                   "limits.dictionary (%llu)",
		                   name, (unsigned long long)w.dictionary, (unsigned long long)max);
	if (!whole)
		return strata_fail(err, "EFORMAT", "%s: truncated or damaged near offset 0x%llx",
		                   name, (unsigned long long)w.at);
	return 0;
}
