/* Raw deflate through zlib. */
#define ZLIB_CONST
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/codec/internal.h"

/* zlib counts its buffers in unsigned int. */
#define STEP_MAX ((size_t)1 << 30)

#define RAW_WINDOW_BITS (-15)
#define MEMORY_LEVEL 8

/* What inflate leaves in data_type. */
#define UNUSED_BITS 63
#define LAST_BLOCK 64
#define BLOCK_ENDED 128

static int fail_zlib(const z_stream *z, int rc, struct strata_err *err)
{
	if (rc == Z_MEM_ERROR)
		return strata_fail_nomem(err);
	return strata_fail(err, "EFORMAT", "%s", z->msg ? z->msg : "invalid deflate data");
}

/* ---- inflate ----------------------------------------------------------- */

struct inflater {
	z_stream z;
	uint32_t crc;
};

static void *inflate_open(struct strata_err *err)
{
	struct inflater *s = calloc(1, sizeof(*s));

	if (!s || inflateInit2(&s->z, RAW_WINDOW_BITS) != Z_OK) {
		free(s);
		strata_fail_nomem(err);
		return NULL;
	}
	return s;
}

static void inflate_close(void *state)
{
	struct inflater *s = state;

	inflateEnd(&s->z);
	free(s);
}

static int inflate_reset(void *state, struct strata_err *err)
{
	struct inflater *s = state;
	int rc = inflateReset(&s->z);

	s->crc = 0;
	return rc == Z_OK ? 0 : fail_zlib(&s->z, rc, err);
}

static int inflate_begin_at(void *state, const struct strata_window *before, unsigned bits,
                            unsigned count, struct strata_err *err)
{
	struct inflater *s = state;
	int rc = inflate_reset(state, err);

	if (rc < 0)
		return -1;
	rc = inflateSetDictionary(&s->z, before->bytes, (uInt)before->len);
	if (rc == Z_OK)
		rc = inflatePrime(&s->z, (int)count, (int)bits);
	return rc == Z_OK ? 0 : fail_zlib(&s->z, rc, err);
}

static int inflate_step(void *state, const unsigned char **in, size_t *in_len, unsigned char *out,
                        size_t out_cap, size_t *produced, enum strata_inflate_stop *stop,
                        struct strata_err *err)
{
	struct inflater *s = state;
	uInt avail_in = (uInt)(*in_len < STEP_MAX ? *in_len : STEP_MAX);
	uInt avail_out = (uInt)(out_cap < STEP_MAX ? out_cap : STEP_MAX);
	int rc;

	s->z.next_in = *in;
	s->z.avail_in = avail_in;
	s->z.next_out = out;
	s->z.avail_out = avail_out;
	rc = inflate(&s->z, Z_BLOCK);
	*in += avail_in - s->z.avail_in;
	*in_len -= avail_in - s->z.avail_in;
	*produced = avail_out - s->z.avail_out;
	s->crc = (uint32_t)crc32_z(s->crc, out, *produced);
	/* Z_BUF_ERROR means that there was no input, or no room for output. */
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return fail_zlib(&s->z, rc, err);
	/* One more step would tell the end of the stream, and drop the bits that it is exact by. */
	if (rc == Z_OK && (s->z.data_type & BLOCK_ENDED))
		*stop = s->z.data_type & LAST_BLOCK ? STRATA_INFLATE_END : STRATA_INFLATE_BLOCK_END;
	return 0;
}

static unsigned inflate_unread(const void *state)
{
	return (unsigned)((const struct inflater *)state)->z.data_type & UNUSED_BITS;
}

static uint32_t inflate_crc(const void *state)
{
	return ((const struct inflater *)state)->crc;
}

/* zlib gives whole bytes back by itself. */
static size_t inflate_leftover(void *state, unsigned char out[STRATA_LEFTOVER_MAX])
{
	(void)state;
	(void)out;
	return 0;
}

const struct strata_inflate_library strata_inflate_zlib = {
        inflate_open, inflate_close,  inflate_reset, inflate_begin_at,
        inflate_step, inflate_unread, inflate_crc,   inflate_leftover,
};

/* ---- deflate ----------------------------------------------------------- */

/* Takes the place of ISA-L's levels -1 and 0 in a build without it. */
#define FASTEST_LEVEL 1

static void *deflate_open(int level, struct strata_err *err)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (level < FASTEST_LEVEL)
		level = FASTEST_LEVEL;
	if (!z || deflateInit2(z, level, Z_DEFLATED, RAW_WINDOW_BITS, MEMORY_LEVEL,
	                       Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		strata_fail_nomem(err);
		return NULL;
	}
	return z;
}

static void deflate_close(void *state)
{
	z_stream *z = state;

	deflateEnd(z);
	free(z);
}

static int deflate_segment(void *state, const unsigned char *in, size_t len, unsigned char *out,
                           size_t *out_len, struct strata_err *err)
{
	z_stream *z = state;
	int rc = deflateReset(z);

	z->next_in = in;
	z->avail_in = (uInt)len;
	z->next_out = out;
	z->avail_out = STRATA_GZIP_SEGMENT_ROOM;
	if (rc == Z_OK)
		rc = deflate(z, Z_FULL_FLUSH);
	if (rc != Z_OK)
		return strata_fail(err, "EIO", "zlib cannot deflate (error %d)", rc);
	*out_len =
	        z->avail_in == 0 && z->avail_out > 0 ? STRATA_GZIP_SEGMENT_ROOM - z->avail_out : 0;
	return 0;
}

static uint32_t deflate_crc(uint32_t crc, const unsigned char *bytes, size_t len)
{
	return (uint32_t)crc32_z(crc, bytes, len);
}

const struct strata_deflate_library strata_deflate_zlib = {
        deflate_open,
        deflate_close,
        deflate_segment,
        deflate_crc,
};
