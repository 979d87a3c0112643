/*
 * Raw deflate through libdeflate, which compresses whole buffers: a call makes
 * one stream, whose last block has the final bit. A segment must have no final
 * block and end with a byte. So the stream is inflated again, to find where its
 * last block begins: the final bit is cleared there, and an empty stored block
 * goes behind, which ends with a byte as zlib's flush does. The inflated bytes
 * are compared with the input: a segment that is handed out is one that can be
 * read.
 */
#ifdef STRATA_WITH_LIBDEFLATE

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/internal.h"

/* Takes the place of ISA-L's levels -1 and 0: libdeflate's level 0 does not compress. */
#define FASTEST_LEVEL 1

/* Bytes that the end of a segment takes at most: a header of 3 bits, padding, and twice the length.
 */
#define END_MAX 5

/* Room behind the output, so that a decoder is never held up before the end of a block. */
#define SLACK 512

struct deflater {
	struct libdeflate_compressor *compressor;
	void *inflater;       /* inflates what the compressor has made */
	unsigned char *plain; /* and this is what it inflates to */
};

static void deflate_close(void *state)
{
	struct deflater *d = state;

	libdeflate_free_compressor(d->compressor);
	if (d->inflater)
		STRATA_INFLATE->close(d->inflater);
	free(d->plain);
	free(d);
}

static void *deflate_open(int level, struct strata_err *err)
{
	struct deflater *d = calloc(1, sizeof(*d));

	if (!d) {
		strata_fail_nomem(err);
		return NULL;
	}
	d->compressor = libdeflate_alloc_compressor(level < FASTEST_LEVEL ? FASTEST_LEVEL : level);
	d->plain = malloc(STRATA_GZIP_SEGMENT + SLACK);
	d->inflater = STRATA_INFLATE->open(err);
	if (!d->compressor || !d->plain || !d->inflater) {
		deflate_close(d);
		strata_fail_nomem(err);
		return NULL;
	}
	return d;
}

/*
 * Inflates the stream of a segment into d->plain. Sets the bit where its last
 * block begins, and how many bits of the last byte lie behind this block.
 */
static int find_last_block(struct deflater *d, const unsigned char *stream, size_t len,
                           size_t *last_block, unsigned *unused, size_t *plain_len,
                           struct strata_err *err)
{
	const unsigned char *in = stream;
	size_t left = len, behind = 0, produced = 0;
	enum strata_inflate_stop stop = STRATA_INFLATE_BLOCK_END;

	if (STRATA_INFLATE->reset(d->inflater, err) < 0)
		return -1;
	*last_block = *plain_len = 0;
	while (stop == STRATA_INFLATE_BLOCK_END || (stop == STRATA_INFLATE_ON && produced > 0)) {
		if (stop == STRATA_INFLATE_BLOCK_END)
			*last_block = behind;
		stop = STRATA_INFLATE_ON;
		produced = 0; /* a step that waits for input leaves it alone */
		if (STRATA_INFLATE->step(d->inflater, &in, &left, d->plain + *plain_len,
		                         STRATA_GZIP_SEGMENT + SLACK - *plain_len, &produced, &stop,
		                         err) < 0)
			return -1;
		*plain_len += produced;
		behind = (len - left) * 8 - STRATA_INFLATE->unread(d->inflater);
	}
	if (stop != STRATA_INFLATE_END || len * 8 - behind > 7)
		return strata_fail(err, "EIO", "libdeflate's stream does not end where it should");
	*unused = (unsigned)(len * 8 - behind);
	return 0;
}

/* Ends the segment with an empty stored block; returns its new length. */
static size_t end_segment(unsigned char *out, size_t len, unsigned unused)
{
	static const unsigned char empty[4] = {0, 0, 0xff, 0xff};

	out[len - 1] &= (unsigned char)(0xff >> unused);
	if (unused < 3)
		out[len++] = 0;
	memcpy(out + len, empty, sizeof(empty));
	return len + sizeof(empty);
}

static int deflate_segment(void *state, const unsigned char *in, size_t len, unsigned char *out,
                           size_t *out_len, struct strata_err *err)
{
	struct deflater *d = state;
	size_t n = libdeflate_deflate_compress(d->compressor, in, len, out,
	                                       STRATA_GZIP_SEGMENT_ROOM - END_MAX);
	size_t last_block, plain_len;
	unsigned unused = 0;

	*out_len = 0;
	if (n == 0)
		return 0;
	if (find_last_block(d, out, n, &last_block, &unused, &plain_len, err) < 0)
		return -1;
	if (plain_len != len || memcmp(d->plain, in, len) != 0)
		return strata_fail(err, "EIO", "libdeflate has changed what it compressed");
	out[last_block / 8] &= (unsigned char)~(1u << last_block % 8);
	*out_len = end_segment(out, n, unused);
	return 0;
}

static uint32_t deflate_crc(uint32_t crc, const unsigned char *bytes, size_t len)
{
	return libdeflate_crc32(crc, bytes, len);
}

const struct strata_deflate_library strata_deflate_libdeflate = {
        deflate_open,
        deflate_close,
        deflate_segment,
        deflate_crc,
};

#else

/* ISO C forbids an empty translation unit. */
typedef int strata_codec_without_libdeflate;

#endif
