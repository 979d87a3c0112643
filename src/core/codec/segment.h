/*
 * Encoding in segments.
 *
 * A compressed stream is a head, segments, and a tail. A segment holds a fixed
 * number of input bytes (the last one fewer), and its output depends on these
 * bytes, the level and the library alone. So any number of threads can encode
 * the segments of one stream, and the output does not show how many they were:
 *
 *	gzip	header | non-final deflate blocks, ... | final block, CRC-32, size
 *	zstd	       | a frame with its checksum, ... |
 *
 * A strata_segment_codec is a format with a level: a value that threads may
 * share. open() makes an encoder, which one thread at a time may use.
 */
#ifndef STRATA_SEGMENT_H
#define STRATA_SEGMENT_H

#include <stdint.h>

#include "core/codec/codec.h"

struct strata_segment_codec;

/* Room that a head or a tail needs. */
#define STRATA_SEGMENT_ENDS 32

/* Of all segments, for the tail. */
struct strata_segment_sum {
	uint64_t size; /* of the input */
	uint32_t crc;
};

struct strata_segment_codec_ops {
	void *(*open)(const struct strata_segment_codec *p, struct strata_err *err);
	void (*close)(const struct strata_segment_codec *p, void *encoder);

	/* Encodes 0 < len <= segment bytes into out, which has `room` bytes. */
	int (*segment)(const struct strata_segment_codec *p, void *encoder, const unsigned char *in,
	               size_t len, unsigned char *out, size_t *out_len, uint32_t *crc,
	               struct strata_err *err);

	/* The CRC that a segment of these bytes has, without encoding them. NULL: it has none. */
	uint32_t (*crc)(const struct strata_segment_codec *p, const unsigned char *in, size_t len);

	/*
	 * Decodes whole segments, which anybody may have made, by an encoder of open(): EIO when
	 * they do not give these bytes. NULL: they cannot be told without their stream (splice.h).
	 */
	int (*check)(const struct strata_segment_codec *p, void *encoder,
	             const unsigned char *packed, size_t packed_len, const unsigned char *plain,
	             size_t len, struct strata_err *err);

	/* These return the number of bytes written. */
	size_t (*head)(unsigned char out[STRATA_SEGMENT_ENDS]);
	size_t (*tail)(const struct strata_segment_sum *sum,
	               unsigned char out[STRATA_SEGMENT_ENDS]);
};

struct strata_segment_codec {
	const struct strata_segment_codec_ops *ops;
	const void *library; /* for ops */
	int level;
	size_t segment; /* bytes of input */
	size_t room;    /* bytes that its output may take */
};

/* Takes the levels of strata_encoder_new, and has its errors. */
int strata_segment_codec_init(struct strata_segment_codec *p, enum strata_compression c, int level,
                              struct strata_err *err);

/* Adds the next segment, in the order of the stream. */
void strata_segment_sum_add(struct strata_segment_sum *sum, size_t len, uint32_t crc);

#endif
