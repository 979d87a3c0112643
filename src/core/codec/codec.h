/*
 * Compression as streams, both ways, in constant memory.
 *
 * Detection is by magic bytes only: names and media types lie. gzip may have
 * several members and NUL padding behind the last; zstd several frames and
 * skippable ones. Any other trailing bytes are an error, as are truncated
 * streams and checksums that do not match.
 *
 * gzip runs on ISA-L and libdeflate where the build found them (STRATA_WITH_ISAL,
 * STRATA_WITH_LIBDEFLATE), else on zlib; zstd on libzstd. Output of the encoder is deterministic:
 * it depends on the bytes, the level and the library alone, not on how input and output are cut
 * into calls, nor on the number of threads that encode by segment.h. The gzip header has mtime 0,
 * no name, OS 255; zstd frames have content size and checksum.
 *
 * Objects belong to their creator and are used by one thread at a time.
 */
#ifndef STRATA_CODEC_H
#define STRATA_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

enum strata_compression {
	STRATA_NONE,
	STRATA_GZIP,
	STRATA_ZSTD,
	STRATA_XZ,
	STRATA_BZIP2,
	STRATA_LZ4,
};

/* Bytes that strata_sniff looks at; fewer are allowed. */
#define STRATA_SNIFF_BYTES 16

enum strata_compression strata_sniff(const void *bytes, size_t len);

/* "none", "gzip", "zstd", "xz", "bzip2", "lz4". */
const char *strata_compression_name(enum strata_compression c);

/*
 * The limits of one stream; 0 is the default. The message of ELIMIT names the
 * limit as limits.bytes, limits.ratio, limits.zstd_window, limits.members,
 * limits.empty_blocks.
 *
 * bytes: of output; 1 TiB. ratio: of output to input consumed; 2000. gzip
 * reaches 1032 at most, so the default only ever stops zstd, whose zeros reach
 * 32,768. As zeros are common where files are allocated ahead, the first
 * 256 MiB of output are not measured. zstd_window: bytes that a zstd frame may
 * refer back to, rounded down to a power of two from 2^10 to 2^31; 128 MiB.
 * members: of gzip, or frames of zstd; 10 million. empty_blocks: of deflate, those that give no
 * byte; 1 million, and as many more as there are 512 bytes of output. A flush writes one.
 */
struct strata_inflate_limits {
	uint64_t bytes;
	uint64_t ratio;
	uint64_t zstd_window;
	uint64_t members;
	uint64_t empty_blocks;
};

#define STRATA_INFLATE_BYTES ((uint64_t)1 << 40)
#define STRATA_INFLATE_RATIO 2000
#define STRATA_INFLATE_RATIO_FREE ((uint64_t)256 << 20)

#define STRATA_INFLATE_MEMBERS 10000000
#define STRATA_INFLATE_EMPTY_BLOCKS 1000000

/* What zstd windows may have by default: as much as `zstd -d` takes without being asked. */
#define STRATA_ZSTD_WINDOW_DEFAULT ((uint64_t)128 << 20)

struct strata_decoder;

/* limits may be NULL. EUNSUPPORTED for formats that the core does not decode (xz, bzip2, lz4,
 * none). */
struct strata_decoder *strata_decoder_new(enum strata_compression c,
                                          const struct strata_inflate_limits *limits,
                                          struct strata_err *err);
void strata_decoder_free(struct strata_decoder *d);

/*
 * Decodes from *in into out until out is full or the input is used up. Advances
 * *in and *in_len, and sets *produced; the caller calls again until *in_len is 0
 * and *produced < out_cap. Errors are sticky; ELIMIT when the stream goes beyond
 * a limit.
 */
int strata_decoder_step(struct strata_decoder *d, const unsigned char **in, size_t *in_len,
                        unsigned char *out, size_t out_cap, size_t *produced,
                        struct strata_err *err);

/* A deflate block of a gzip stream, or a zstd frame, which is a block that has no history. */
struct strata_block {
	uint64_t bit; /* where it begins in the stream, the lowest bit of a byte being the first */
	uint64_t bit_end;
	uint64_t from; /* its output */
	uint64_t to;
	uint64_t member; /* the output where its member begins: its history goes back no further */
	bool final;      /* the last one of its gzip member */
};

/*
 * Has tell(arg, block) called by the steps, for each block when its output has been handed out.
 * Skippable frames are none. For a decoder that has decoded nothing yet.
 */
void strata_decoder_watch(struct strata_decoder *d,
                          void (*tell)(void *arg, const struct strata_block *block), void *arg);

/* The input has ended: EFORMAT when the stream has not. */
int strata_decoder_finish(struct strata_decoder *d, struct strata_err *err);

struct strata_encoder;

/*
 * level: -1 is the default. zstd has 1 to 19 (default 3). gzip has 0 to 9, all
 * of which compress. 0 to 3 are ISA-L's (default 2), 4 to 9 libdeflate's. In a
 * build without ISA-L libdeflate has all of them, and without libdeflate zlib has
 * the rest; both take 1 for -1 and 0. STRATA_ZLIB_LEVELS + 1 to 9 are zlib's in
 * every build, so that the output does not depend on which libraries it has. A
 * level out of range is EINVAL, another format EUNSUPPORTED.
 */
#define STRATA_ZLIB_LEVELS 100

struct strata_encoder *strata_encoder_new(enum strata_compression c, int level,
                                          struct strata_err *err);
void strata_encoder_free(struct strata_encoder *e);

/*
 * Encodes as strata_decoder_step decodes. With `end` the stream is ended once
 * *in_len is 0: the caller calls again until *done, which is only set with `end`.
 */
int strata_encoder_step(struct strata_encoder *e, const unsigned char **in, size_t *in_len,
                        bool end, unsigned char *out, size_t out_cap, size_t *produced, bool *done,
                        struct strata_err *err);

/* Names and versions of the libraries in use, e.g. "isa-l 2.30, libdeflate 1.14, zlib 1.2.13". */
const char *strata_codec_gzip_library(void);
const char *strata_codec_zstd_library(void);

#endif
