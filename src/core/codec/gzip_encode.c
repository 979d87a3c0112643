/*
 * The framing of gzip (RFC 1952) around a raw deflater that compresses one
 * segment at a time. The stream is
 *
 *	header, compressed segments, an empty final block, trailer
 *
 * and depends on nothing but the input, the level and the library.
 */
#include <string.h>

#include "core/codec/internal.h"

/* gzip, deflate, no flags, mtime 0, no extra flags, OS unknown. */
static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

/* A block of type 1 with nothing but its end, and the final bit. */
static const unsigned char final_block[2] = {0x03, 0x00};

#define STORED_MAX 65535
#define STORED_HEADER 5

static size_t stored_size(size_t len)
{
	return len + STORED_HEADER * ((len + STORED_MAX - 1) / STORED_MAX);
}

/* Writes len bytes as stored blocks and returns the number of bytes written. */
static size_t store(unsigned char *out, const unsigned char *in, size_t len)
{
	unsigned char *start = out;

	while (len > 0) {
		size_t n = len < STORED_MAX ? len : STORED_MAX;

		*out++ = 0;
		*out++ = (unsigned char)n;
		*out++ = (unsigned char)(n >> 8);
		*out++ = (unsigned char)~n;
		*out++ = (unsigned char)(~n >> 8);
		memcpy(out, in, n);
		out += n;
		in += n;
		len -= n;
	}
	return (size_t)(out - start);
}

static const struct strata_deflate_library *library_of(const struct strata_segment_codec *p)
{
	return p->library;
}

static void *gzip_open(const struct strata_segment_codec *p, struct strata_err *err)
{
	return library_of(p)->open(p->level, err);
}

static void gzip_close(const struct strata_segment_codec *p, void *encoder)
{
	library_of(p)->close(encoder);
}

static int gzip_segment(const struct strata_segment_codec *p, void *encoder,
                        const unsigned char *in, size_t len, unsigned char *out, size_t *out_len,
                        uint32_t *crc, struct strata_err *err)
{
	size_t n = 0;

	if (library_of(p)->segment(encoder, in, len, out, &n, err) < 0)
		return -1;
	*out_len = n == 0 || n > stored_size(len) ? store(out, in, len) : n;
	*crc = library_of(p)->crc(0, in, len);
	return 0;
}

static uint32_t gzip_crc(const struct strata_segment_codec *p, const unsigned char *in, size_t len)
{
	return library_of(p)->crc(0, in, len);
}

static size_t gzip_head(unsigned char out[STRATA_SEGMENT_ENDS])
{
	memcpy(out, header, sizeof(header));
	return sizeof(header);
}

static void store_le32(unsigned char *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char)(v >> 8 * i);
}

static size_t gzip_tail(const struct strata_segment_sum *sum,
                        unsigned char out[STRATA_SEGMENT_ENDS])
{
	memcpy(out, final_block, sizeof(final_block));
	store_le32(out + sizeof(final_block), sum->crc);
	store_le32(out + sizeof(final_block) + 4, (uint32_t)sum->size); /* modulo 2^32: ISIZE */
	return sizeof(final_block) + 8;
}

static const struct strata_segment_codec_ops gzip_ops = {
        gzip_open, gzip_close, gzip_segment, gzip_crc, NULL, gzip_head, gzip_tail};

struct strata_segment_codec strata_gzip_segment_codec(const struct strata_deflate_library *library,
                                                      int level)
{
	return (struct strata_segment_codec){&gzip_ops, library, level, STRATA_GZIP_SEGMENT,
	                                     STRATA_GZIP_SEGMENT_ROOM};
}
