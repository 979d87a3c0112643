/*
 * Encoding in segments.
 *
 * A compressed stream is a head, segments, and a tail. A segment holds a fixed
 * number of input bytes (the last one fewer) and depends on nothing but these,
 * the level and the library. So the segments of one stream can be packed on any
 * number of threads, and their number never shows in the output:
 *
 *	gzip	header | non-final deflate blocks, ... | final block, CRC-32, size
 *	zstd	       | a frame with its checksum, ... |
 *
 * A strata_segment_codec says how; it is a plain value that threads may share. A
 * encoder does the work; it is used by one thread at a time.
 */
#ifndef STRATA_SEGMENT_H
#define STRATA_SEGMENT_H

#include <stdint.h>

#include "core/codec/codec.h"

struct strata_deflate;
struct strata_segment_codec;

/* Room that a head or a tail needs. */
#define STRATA_SEGMENT_ENDS 32

/* What the tail tells of all segments. */
struct strata_segment_sum {
	uint64_t size; /* of the input */
	uint32_t crc;
};

struct strata_segment_codec_ops {
	void *(*open)(const struct strata_segment_codec *p, struct strata_err *err);
	void (*close)(const struct strata_segment_codec *p, void *encoder);

	/* Packs 0 < len <= segment bytes into out, which has `room` bytes. */
	int (*segment)(const struct strata_segment_codec *p, void *encoder, const unsigned char *in,
	               size_t len, unsigned char *out, size_t *out_len, uint32_t *crc,
	               struct strata_err *err);

	/* These return the number of bytes written. */
	size_t (*head)(unsigned char out[STRATA_SEGMENT_ENDS]);
	size_t (*tail)(const struct strata_segment_sum *sum,
	               unsigned char out[STRATA_SEGMENT_ENDS]);
};

struct strata_segment_codec {
	const struct strata_segment_codec_ops *ops;
	const struct strata_deflate *deflate; /* gzip: the library */
	int level;
	size_t segment; /* bytes of input */
	size_t room;    /* for a packed one */
};

/* Levels as strata_encoder_new has them; its errors, too. */
int strata_segment_codec_init(struct strata_segment_codec *p, enum strata_compression c, int level,
                              struct strata_err *err);

/* Adds the next segment, in the order of the stream. */
void strata_segment_sum_add(struct strata_segment_sum *sum, size_t len, uint32_t crc);

#endif
