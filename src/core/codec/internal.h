/*
 * Shared by the files of the codec; no part of the core's interface. The tests
 * include it to run all gzip libraries in one build.
 *
 * gzip's framing (RFC 1952: members, checksums, padding) is ours and lives in
 * gzip_decode.c and gzip_encode.c. A library contributes raw
 * deflate (RFC 1951) only, through one or both of the tables below.
 */
#ifndef STRATA_CODEC_INTERNAL_H
#define STRATA_CODEC_INTERNAL_H

#include <stdint.h>

#include "core/codec/codec.h"
#include "core/codec/segment.h"
#include "core/codec/window.h"

/* ---- decoders and encoders, embedded as the first member ---------------- */

struct strata_decoder_ops {
	int (*step)(struct strata_decoder *d, const unsigned char **in, size_t *in_len,
	            unsigned char *out, size_t out_cap, size_t *produced, struct strata_err *err);
	int (*finish)(struct strata_decoder *d, struct strata_err *err);
	void (*free)(struct strata_decoder *d);
};

struct strata_decoder {
	const struct strata_decoder_ops *ops;
	struct strata_inflate_limits limits; /* 0: the default */
	uint64_t consumed;
	uint64_t produced;
	uint64_t members; /* gzip members or zstd frames that have begun */
	uint64_t empty_blocks;
	void (*tell)(void *arg, const struct strata_block *block); /* or NULL */
	void *tell_arg;
	bool failed; /* errors are sticky */
	struct strata_err failure;
};

/* ELIMIT when the decoder has gone beyond one of its limits. */
int strata_decoder_check(const struct strata_decoder *d, struct strata_err *err);

struct strata_encoder_ops {
	int (*step)(struct strata_encoder *e, const unsigned char **in, size_t *in_len, bool end,
	            unsigned char *out, size_t out_cap, size_t *produced, bool *done,
	            struct strata_err *err);
	void (*free)(struct strata_encoder *e);
};

struct strata_encoder {
	const struct strata_encoder_ops *ops;
	bool failed;
	struct strata_err failure;
};

/* ---- raw deflate ------------------------------------------------------- */

/* Bytes that a library reads beyond the end of a deflate stream at most. */
#define STRATA_LEFTOVER_MAX 8

/* Why a step has ended before it used its input up, or filled the output. */
enum strata_inflate_stop { STRATA_INFLATE_ON, STRATA_INFLATE_BLOCK_END, STRATA_INFLATE_END };

/*
 * Inflates a raw stream block by block. Both libraries stop at the end of every block, at the same
 * bit, with all of its output handed out.
 */
struct strata_inflate_library {
	void *(*open)(struct strata_err *err);
	void (*close)(void *state);

	/* Prepares for the next stream. */
	int (*reset)(void *state, struct strata_err *err);

	/*
	 * Prepares for the rest of a stream, from the beginning of a block on: `before` is the
	 * output before it, `bits` the `count` highest bits of the byte that it begins in; 0 when
	 * it begins with a byte.
	 */
	int (*begin_at)(void *state, const struct strata_window *before, unsigned bits,
	                unsigned count, struct strata_err *err);

	/* As strata_decoder_step. *stop: a block has ended, or the last one. */
	int (*step)(void *state, const unsigned char **in, size_t *in_len, unsigned char *out,
	            size_t out_cap, size_t *produced, enum strata_inflate_stop *stop,
	            struct strata_err *err);

	/* At the end of a block: bits of the input taken that lie behind it. */
	unsigned (*unread)(const void *state);

	/* CRC-32 of everything produced since reset. */
	uint32_t (*crc)(const void *state);

	/* Once ended: writes out the consumed bytes that lie behind the stream; returns how many.
	 */
	size_t (*leftover)(void *state, unsigned char out[STRATA_LEFTOVER_MAX]);
};

/*
 * The encoder compresses its input in segments of this size, each by itself
 * (no matches into the one before). So its output is a function of input and
 * level alone, however the input is cut into calls, and segments can be made
 * by any number of threads. It costs less than 0.1 % of size.
 */
#define STRATA_GZIP_SEGMENT ((size_t)512 << 10)

/* Bytes that a compressed segment takes at most, also of incompressible data. */
#define STRATA_GZIP_SEGMENT_ROOM (2 * STRATA_GZIP_SEGMENT + 1024)

struct strata_deflate_library {
	void *(*open)(int level, struct strata_err *err);
	void (*close)(void *state);

	/*
	 * Compresses a segment to whole bytes of non-final blocks that depend on
	 * no earlier bytes. 0 < len <= STRATA_GZIP_SEGMENT; out has
	 * STRATA_GZIP_SEGMENT_ROOM bytes. *out_len 0 means that the output did not fit: store the
	 * segment.
	 */
	int (*segment)(void *state, const unsigned char *in, size_t len, unsigned char *out,
	               size_t *out_len, struct strata_err *err);

	uint32_t (*crc)(uint32_t crc, const unsigned char *bytes, size_t len);
};

extern const struct strata_inflate_library strata_inflate_zlib;
extern const struct strata_deflate_library strata_deflate_zlib;

#ifdef STRATA_WITH_ISAL
extern const struct strata_inflate_library strata_inflate_isal;
extern const struct strata_deflate_library strata_deflate_isal;
#define STRATA_INFLATE (&strata_inflate_isal)
#else
#define STRATA_INFLATE (&strata_inflate_zlib)
#endif

#ifdef STRATA_WITH_LIBDEFLATE
extern const struct strata_deflate_library strata_deflate_libdeflate;
#endif

struct strata_decoder *strata_gzip_decoder_new(const struct strata_inflate_library *library,
                                               struct strata_err *err);
/* window: see struct strata_inflate_limits. */
struct strata_decoder *strata_zstd_decoder_new(uint64_t window, struct strata_err *err);

struct strata_segment_codec strata_gzip_segment_codec(const struct strata_deflate_library *library,
                                                      int level);
struct strata_segment_codec strata_zstd_segment_codec(int level);

struct strata_encoder *strata_segment_encoder_new(const struct strata_segment_codec *codec,
                                                  struct strata_err *err);

#endif
