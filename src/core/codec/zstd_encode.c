/*
 * zstd as frames of one segment each, one behind the other. Every frame states
 * the size of its content and has a checksum, like the frames of the zstd
 * command and of containerd: it takes 4 bytes, and is all that a reader without
 * the layer's digest can check. An empty stream is one empty frame.
 */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/codec/internal.h"

#define DEFAULT_LEVEL 3

/*
 * No match reaches into the frame before, so frames are large: at level 3 those
 * of 2 MiB cost 1.3 % of size and those of 512 KiB 4 %. From level 10 on windows
 * are larger than 2 MiB.
 */
#define SEGMENT ((size_t)2 << 20)
#define LARGE_SEGMENT ((size_t)4 << 20)
#define FIRST_LARGE_LEVEL 10

struct zstd_encoder {
	ZSTD_CCtx *ctx;
	ZSTD_DCtx *checker;   /* NULL until something is checked */
	unsigned char *piece; /* of what it gives */
};

static void zstd_close(const struct strata_segment_codec *p, void *encoder)
{
	struct zstd_encoder *e = encoder;

	(void)p;
	ZSTD_freeCCtx(e->ctx);
	ZSTD_freeDCtx(e->checker);
	free(e->piece);
	free(e);
}

static void *zstd_open(const struct strata_segment_codec *p, struct strata_err *err)
{
	struct zstd_encoder *e = calloc(1, sizeof(*e));

	if (!e) {
		strata_fail_nomem(err);
		return NULL;
	}
	e->ctx = ZSTD_createCCtx();
	if (!e->ctx ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(e->ctx, ZSTD_c_compressionLevel, p->level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(e->ctx, ZSTD_c_checksumFlag, 1))) {
		zstd_close(p, e);
		strata_fail_nomem(err);
		return NULL;
	}
	return e;
}

static int zstd_segment(const struct strata_segment_codec *p, void *encoder,
                        const unsigned char *in, size_t len, unsigned char *out, size_t *out_len,
                        uint32_t *crc, struct strata_err *err)
{
	struct zstd_encoder *e = encoder;
	size_t n = ZSTD_compress2(e->ctx, out, p->room, in, len);

	*crc = 0; /* every frame has its own */
	if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return strata_fail_nomem(err);
	if (ZSTD_isError(n))
		return strata_fail(err, "EIO", "libzstd cannot compress: %s", ZSTD_getErrorName(n));
	*out_len = n;
	return 0;
}

/* Output is compared in pieces. */
#define PIECE ((size_t)128 << 10)

static int prepare_check(struct zstd_encoder *e, struct strata_err *err)
{
	if (!e->piece)
		e->piece = malloc(PIECE);
	if (!e->checker)
		e->checker = ZSTD_createDCtx();
	if (!e->piece || !e->checker)
		return strata_fail_nomem(err);
	ZSTD_DCtx_reset(e->checker, ZSTD_reset_session_only);
	/* The decoder of the old blob has limited the windows of its frames. */
	ZSTD_DCtx_setParameter(e->checker, ZSTD_d_windowLogMax,
	                       ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
	return 0;
}

static int zstd_check(const struct strata_segment_codec *p, void *encoder,
                      const unsigned char *packed, size_t packed_len, const unsigned char *plain,
                      size_t len, struct strata_err *err)
{
	struct zstd_encoder *e = encoder;
	ZSTD_inBuffer in = {packed, packed_len, 0};
	bool same = true, going = true;
	size_t rc = 0;

	(void)p;
	if (prepare_check(e, err) < 0)
		return -1;
	while (same && going) {
		ZSTD_outBuffer out = {e->piece, PIECE, 0};
		size_t taken = in.pos;

		rc = ZSTD_decompressStream(e->checker, &out, &in);
		same = !ZSTD_isError(rc) && out.pos <= len && memcmp(e->piece, plain, out.pos) == 0;
		plain += same ? out.pos : 0;
		len -= same ? out.pos : 0;
		going = (rc != 0 || in.pos < in.size) && (in.pos > taken || out.pos > 0);
	}
	if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
		return strata_fail_nomem(err);
	if (!same || rc != 0 || in.pos < in.size || len > 0)
		return strata_fail(err, "EIO",
		                   "zstd frames do not give the bytes that they stand for");
	return 0;
}

static size_t zstd_head(unsigned char out[STRATA_SEGMENT_ENDS])
{
	(void)out;
	return 0;
}

static size_t zstd_tail(const struct strata_segment_sum *sum,
                        unsigned char out[STRATA_SEGMENT_ENDS])
{
	/* Magic number, descriptor, size 0, an empty last block, the checksum of nothing. */
	static const unsigned char empty[13] = {0x28, 0xb5, 0x2f, 0xfd, 0x24, 0,   0x01,
	                                        0,    0,    0x99, 0xe9, 0xd8, 0x51};

	if (sum->size > 0)
		return 0;
	memcpy(out, empty, sizeof(empty));
	return sizeof(empty);
}

static const struct strata_segment_codec_ops zstd_ops = {
        zstd_open, zstd_close, zstd_segment, NULL, zstd_check, zstd_head, zstd_tail,
};

struct strata_segment_codec strata_zstd_segment_codec(int level)
{
	size_t segment = level < FIRST_LARGE_LEVEL ? SEGMENT : LARGE_SEGMENT;

	return (struct strata_segment_codec){&zstd_ops, NULL, level < 0 ? DEFAULT_LEVEL : level,
	                                     segment, ZSTD_compressBound(segment)};
}
