/*
 * What the tests of the codec share: inputs, oracles in this process and as
 * commands, and a way to run a decoder or encoder in pieces of any size.
 * Inputs and outputs touch a page that faults, so that one byte read or
 * written too far is seen. All gzip libraries are tested in one build.
 */
#ifndef STRATA_CODEC_SUPPORT_H
#define STRATA_CODEC_SUPPORT_H

#define ZLIB_CONST
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "check.h"
#include "core/base/buf.h"
#include "core/codec/internal.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* ---- libraries under test ---------------------------------------------- */

struct library {
	const char *name;
	const struct strata_inflate_library *inflate;
	const struct strata_deflate_library *deflate;
};

static const struct library libraries[] = {
#ifdef STRATA_WITH_ISAL
        {"isa-l", &strata_inflate_isal, &strata_deflate_isal},
#endif
        {"zlib", &strata_inflate_zlib, &strata_deflate_zlib},
#ifdef STRATA_WITH_LIBDEFLATE
        {"libdeflate", &strata_inflate_zlib, &strata_deflate_libdeflate},
#endif
};

/* Libraries that deflate. INFLATERS of them, the first, have an inflater of their own. */
#define LIBRARIES (sizeof(libraries) / sizeof(libraries[0]))
#ifdef STRATA_WITH_LIBDEFLATE
#define INFLATERS (LIBRARIES - 1)
#else
#define INFLATERS LIBRARIES
#endif

/* ---- memory that ends at a page that faults ----------------------------- */

#define ROOM_MAX (2 * MIB)

struct room {
	unsigned char *map;
	unsigned char *end;
};

static struct room in_room, out_room;

static inline void room_make(struct room *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	r->map = mmap(NULL, ROOM_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0);
	if (r->map == MAP_FAILED || mprotect(r->map + ROOM_MAX, page, PROT_NONE) != 0)
		abort();
	r->end = r->map + ROOM_MAX;
}

/* ---- data -------------------------------------------------------------- */

static uint64_t random_state = 1;

static inline uint32_t random_u32(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33);
}

static inline void append(struct strata_buf *b, const void *bytes, size_t len)
{
	struct strata_err err;

	if (strata_buf_append(b, bytes, len, &err) < 0)
		abort();
}

static inline void append_byte(struct strata_buf *b, unsigned c)
{
	unsigned char byte = (unsigned char)c;

	append(b, &byte, 1);
}

/* Words from a small vocabulary, runs, and stretches of noise, as layers have. */
static inline void append_mixed(struct strata_buf *b, size_t len)
{
	static const char *const words[] = {"usr/", "share/",  "lib",   "root",    "0000644",
	                                    "\n",   "python3", ".so.6", "\0\0\0\0"};
	size_t end = b->len + len;

	while (b->len < end) {
		uint32_t r = random_u32();
		size_t left = end - b->len;
		const char *word = words[r % 9];
		size_t n = r % 9 == 8 ? 4 : strlen(word);

		if (r % 1000 == 1) {
			for (size_t i = r >> 20; i > 0 && b->len < end; i--)
				append_byte(b, random_u32());
		} else if (r % 1000 == 2) {
			struct strata_err err;

			n = (r >> 18) < left ? r >> 18 : left;
			strata_buf_fill(b, 0, n, &err);
		} else {
			append(b, word, n < left ? n : left);
		}
	}
}

static inline void append_noise(struct strata_buf *b, size_t len)
{
	while (len-- > 0)
		append_byte(b, random_u32() >> 5);
}

static inline bool same(const struct strata_buf *a, const struct strata_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- oracles in this process ------------------------------------------- */

/* Appends one gzip member made by zlib, with every optional field if `full`. */
static inline void zlib_member(struct strata_buf *out, const void *bytes, size_t len, int level,
                               bool full)
{
	static Bytef name[] = "a name", comment[] = "a comment", extra[] = "extra";
	gz_header header = {.extra = extra,
	                    .extra_len = 5,
	                    .name = name,
	                    .comment = comment,
	                    .hcrc = 1,
	                    .os = 3,
	                    .time = 77};
	z_stream z = {0};
	struct strata_err err;

	if (deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	if (full)
		deflateSetHeader(&z, &header);
	if (strata_buf_reserve(out, deflateBound(&z, len) + 100, &err) < 0)
		abort();
	z.next_in = bytes;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	out->len = out->cap - z.avail_out;
	deflateEnd(&z);
}

/* Decodes exactly one member; false if zlib does not like it or bytes are left. */
static inline bool zlib_decodes_to(const struct strata_buf *stream,
                                   const struct strata_buf *expected)
{
	struct strata_buf out = {0};
	struct strata_err err;
	z_stream z = {0};
	bool ok;

	if (inflateInit2(&z, 31) != Z_OK || strata_buf_reserve(&out, expected->len + 1, &err) < 0)
		abort();
	z.next_in = (const Bytef *)stream->data;
	z.avail_in = (uInt)stream->len;
	z.next_out = (Bytef *)out.data;
	z.avail_out = (uInt)expected->len + 1;
	ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0;
	out.len = z.total_out;
	inflateEnd(&z);
	ok = ok && same(&out, expected);
	strata_buf_free(&out);
	return ok;
}

/* ---- running a decoder ------------------------------------------------- */

struct pieces {
	size_t in;  /* bytes per call; 0: all; at most ROOM_MAX */
	size_t cut; /* if not 0: the first call gets this many bytes instead */
	size_t out; /* bytes of room per call; 0: 64 KiB */
};

/*
 * Feeds the stream in pieces. Returns 0 and the output in *out, or -1 and the
 * error. Aborts the process when the decoder makes no progress.
 */
static inline int decode_with(struct strata_decoder *d, const struct strata_buf *stream,
                              struct pieces pieces, struct strata_buf *out, struct strata_err *err)
{
	size_t room = pieces.out ? pieces.out : 64 * KIB, at = 0, produced, len;
	unsigned char *to = out_room.end - room;

	out->len = 0;
	do {
		const unsigned char *in;

		len = at == 0 && pieces.cut ? pieces.cut : pieces.in ? pieces.in : ROOM_MAX;
		if (len > stream->len - at)
			len = stream->len - at;
		in = in_room.end - len;
		if (len > 0)
			memcpy(in_room.end - len, stream->data + at, len);
		at += len;
		do {
			size_t before = len;

			if (strata_decoder_step(d, &in, &len, to, room, &produced, err) < 0)
				return -1;
			if (in + len != in_room.end || produced > room ||
			    (before > 0 && len == before && produced == 0))
				abort();
			append(out, to, produced);
		} while (len > 0 || produced == room);
	} while (at < stream->len);
	return strata_decoder_finish(d, err);
}

static inline int gunzip(const struct library *l, const struct strata_buf *stream,
                         struct pieces pieces, struct strata_buf *out, struct strata_err *err)
{
	struct strata_decoder *d = strata_gzip_decoder_new(l->inflate, err);
	int rc;

	if (d == NULL)
		abort();
	rc = decode_with(d, stream, pieces, out, err);
	strata_decoder_free(d);
	return rc;
}

static const struct pieces whole = {0, 0, 0};

static inline bool gunzips_to(const struct library *l, const struct strata_buf *stream,
                              struct pieces pieces, const struct strata_buf *expected)
{
	struct strata_buf out = {0};
	struct strata_err err = {"", ""};
	bool ok = gunzip(l, stream, pieces, &out, &err) == 0 && same(&out, expected);

	if (!ok)
		printf("  %s, pieces of %zu/%zu/%zu: %s\n", l->name, pieces.in, pieces.cut,
		       pieces.out, err.msg);
	strata_buf_free(&out);
	return ok;
}

/* The error that decoding ends with: its code, or "" when there is none. */
static inline struct strata_err gunzip_error(const struct library *l,
                                             const struct strata_buf *stream, struct pieces pieces)
{
	struct strata_buf out = {0};
	struct strata_err err = {"", ""};

	if (gunzip(l, stream, pieces, &out, &err) == 0)
		err.code[0] = '\0';
	strata_buf_free(&out);
	return err;
}

static inline bool fails_as_format(const struct library *l, const struct strata_buf *stream)
{
	struct strata_err err = gunzip_error(l, stream, whole);
	bool ok = strcmp(err.code, "EFORMAT") == 0 && strstr(err.msg, "gzip member") != NULL;

	if (!ok)
		printf("  %s: %s %s\n", l->name, err.code, err.msg);
	return ok;
}

/* ---- running an encoder ------------------------------------------------ */

/* Appends the encoding of `data`, fed in pieces; 0 means random sizes. */
static inline void encode_with(struct strata_encoder *e, const struct strata_buf *data,
                               struct pieces pieces, struct strata_buf *out)
{
	size_t at = 0, produced, len;
	struct strata_err err;
	bool done = false;

	if (e == NULL)
		abort();
	do {
		size_t room = pieces.out ? pieces.out : 1 + random_u32() % (64 * KIB);
		const unsigned char *in;

		len = pieces.in ? pieces.in : random_u32() % (400 * KIB);
		if (len > data->len - at)
			len = data->len - at;
		in = in_room.end - len;
		if (len > 0)
			memcpy(in_room.end - len, data->data + at, len);
		at += len;
		do {
			if (strata_encoder_step(e, &in, &len, at == data->len, out_room.end - room,
			                        room, &produced, &done, &err) < 0)
				abort();
			append(out, out_room.end - room, produced);
		} while (len > 0 || (at == data->len && !done));
	} while (!done);
	strata_encoder_free(e);
}

/* ---- commands as oracles ----------------------------------------------- */

static char directory[] = "/tmp/strata-codec-test.XXXXXX";

#define PYTHON_GZIP(function)            \
	"python3 -c 'import gzip, sys; " \
	"sys.stdout.buffer.write(gzip." function "(sys.stdin.buffer.read()))'"

/* True when the command runs; says that it is skipped when it does not. */
static inline bool have_command(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "%s </dev/null >/dev/null 2>&1", command);
	if (system(line) == 0)
		return true;
	printf("skipped: %.*s is not installed\n", (int)strcspn(command, " "), command);
	return false;
}

/* Pipes `in` through a command into *out; false when it fails. */
static inline bool pipe_through(const char *command, const struct strata_buf *in,
                                struct strata_buf *out)
{
	char path[2][80], line[400], chunk[4096];
	size_t n;
	FILE *f;
	int rc;

	snprintf(path[0], sizeof(path[0]), "%s/in", directory);
	snprintf(path[1], sizeof(path[1]), "%s/out", directory);
	f = fopen(path[0], "wb");
	if (f == NULL || fwrite(in->data, 1, in->len, f) != in->len || fclose(f) != 0)
		abort();
	snprintf(line, sizeof(line), "%s <%s >%s", command, path[0], path[1]);
	rc = system(line);
	f = fopen(path[1], "rb");
	if (f == NULL)
		abort();
	out->len = 0;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		append(out, chunk, n);
	fclose(f);
	unlink(path[0]);
	unlink(path[1]);
	return rc == 0;
}

/* To be called before and after the tests. */
static inline void codec_begin(void)
{
	room_make(&in_room);
	room_make(&out_room);
	if (mkdtemp(directory) == NULL)
		abort();
}

static inline int codec_end(const char *program)
{
	rmdir(directory);
	return check_sum(program);
}

#endif
