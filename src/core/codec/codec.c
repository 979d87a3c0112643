#include "core/codec/codec.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#ifdef STRATA_WITH_ISAL
#include <isa-l.h>
#endif

#ifdef STRATA_WITH_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "core/codec/internal.h"

/* ---- detection --------------------------------------------------------- */

static bool starts_with(const unsigned char *p, size_t len, const char *magic, size_t magic_len)
{
	return len >= magic_len && memcmp(p, magic, magic_len) == 0;
}

#define STARTS_WITH(p, len, magic) starts_with((p), (len), (magic), sizeof(magic) - 1)

/* A zstd file may begin with skippable frames: 0x184D2A50 to 5F, little-endian. */
static bool is_zstd(const unsigned char *p, size_t len)
{
	if (STARTS_WITH(p, len, "\x28\xb5\x2f\xfd"))
		return true;
	return len >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0;
}

/*
 * "BZh9" could as well begin the name of a tar's first entry, so the magic of
 * the first block, or of the end of an empty stream, is asked for too.
 */
static bool is_bzip2(const unsigned char *p, size_t len)
{
	if (!STARTS_WITH(p, len, "BZh") || len < 4 || p[3] < '1' || p[3] > '9')
		return false;
	return len < 10 || memcmp(p + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
	       memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0;
}

enum strata_compression strata_sniff(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	if (STARTS_WITH(p, len, "\x1f\x8b\x08"))
		return STRATA_GZIP;
	if (is_zstd(p, len))
		return STRATA_ZSTD;
	if (STARTS_WITH(p, len, "\xfd\x37\x7a\x58\x5a\x00"))
		return STRATA_XZ;
	if (is_bzip2(p, len))
		return STRATA_BZIP2;
	if (STARTS_WITH(p, len, "\x04\x22\x4d\x18"))
		return STRATA_LZ4;
	return STRATA_NONE;
}

const char *strata_compression_name(enum strata_compression c)
{
	switch (c) {
	case STRATA_NONE:
		break;
	case STRATA_GZIP:
		return "gzip";
	case STRATA_ZSTD:
		return "zstd";
	case STRATA_XZ:
		return "xz";
	case STRATA_BZIP2:
		return "bzip2";
	case STRATA_LZ4:
		return "lz4";
	}
	return "none";
}

/* Takes the place of a NULL, which callers may pass with a length of 0. */
static const unsigned char nothing[1];

/* ---- decoding ---------------------------------------------------------- */

static struct strata_decoder *new_decoder(enum strata_compression c, uint64_t window,
                                          struct strata_err *err)
{
	switch (c) {
	case STRATA_GZIP:
		return strata_gzip_decoder_new(STRATA_INFLATE, err);
	case STRATA_ZSTD:
		return strata_zstd_decoder_new(window, err);
	default:
		strata_fail(err, "EUNSUPPORTED", "there is no decoder for %s",
		            strata_compression_name(c));
		return NULL;
	}
}

struct strata_decoder *strata_decoder_new(enum strata_compression c,
                                          const struct strata_inflate_limits *limits,
                                          struct strata_err *err)
{
	struct strata_decoder *d = new_decoder(c, limits != NULL ? limits->zstd_window : 0, err);

	if (d != NULL && limits != NULL)
		d->limits = *limits;
	return d;
}

void strata_decoder_free(struct strata_decoder *d)
{
	if (d)
		d->ops->free(d);
}

int strata_decoder_check(const struct strata_decoder *d, struct strata_err *err)
{
	uint64_t bytes = d->limits.bytes != 0 ? d->limits.bytes : STRATA_INFLATE_BYTES;
	uint64_t ratio = d->limits.ratio != 0 ? d->limits.ratio : STRATA_INFLATE_RATIO;
	uint64_t members = d->limits.members != 0 ? d->limits.members : STRATA_INFLATE_MEMBERS;
	uint64_t empty =
	        d->limits.empty_blocks != 0 ? d->limits.empty_blocks : STRATA_INFLATE_EMPTY_BLOCKS;

	if (d->produced > bytes)
		return strata_fail(err, "ELIMIT", "inflates to more than limits.bytes (%llu)",
		                   (unsigned long long)bytes);
	if (d->produced > STRATA_INFLATE_RATIO_FREE && d->produced / ratio >= d->consumed)
		return strata_fail(err, "ELIMIT",
		                   "inflates to more than limits.ratio (%llu) times its size: "
		                   "%llu bytes from %llu",
		                   (unsigned long long)ratio, (unsigned long long)d->produced,
		                   (unsigned long long)d->consumed);
	if (d->members > members)
		return strata_fail(err, "ELIMIT",
		                   "more than limits.members (%llu) gzip members or zstd frames",
		                   (unsigned long long)members);
	if (d->empty_blocks > empty && d->empty_blocks - empty > d->produced / 512)
		return strata_fail(err, "ELIMIT",
		                   "more than limits.empty_blocks (%llu) deflate blocks that give "
		                   "no byte",
		                   (unsigned long long)empty);
	return 0;
}

void strata_decoder_watch(struct strata_decoder *d,
                          void (*tell)(void *arg, const struct strata_block *block), void *arg)
{
	d->tell = tell;
	d->tell_arg = arg;
}

int strata_decoder_step(struct strata_decoder *d, const unsigned char **in, size_t *in_len,
                        unsigned char *out, size_t out_cap, size_t *produced,
                        struct strata_err *err)
{
	const unsigned char *p = *in ? *in : nothing;
	size_t before = *in_len;

	*produced = 0;
	if (!d->failed) {
		d->failed = d->ops->step(d, &p, in_len, out, out_cap, produced, &d->failure) < 0;
		d->consumed += before - *in_len;
		d->produced += *produced;
		d->failed = d->failed || strata_decoder_check(d, &d->failure) < 0;
	}
	if (*in)
		*in = p;
	if (d->failed) {
		*err = d->failure;
		return -1;
	}
	return 0;
}

int strata_decoder_finish(struct strata_decoder *d, struct strata_err *err)
{
	if (d->failed) {
		*err = d->failure;
		return -1;
	}
	return d->ops->finish(d, err);
}

/* ---- encoding ---------------------------------------------------------- */

#define FIRST_LIBDEFLATE_LEVEL 4
#define LAST_GZIP_LEVEL 9

#define LAST_ZSTD_LEVEL 19

static struct strata_segment_codec gzip_codec(int level)
{
	if (level > STRATA_ZLIB_LEVELS)
		return strata_gzip_segment_codec(&strata_deflate_zlib, level - STRATA_ZLIB_LEVELS);
#ifdef STRATA_WITH_ISAL
	if (level < FIRST_LIBDEFLATE_LEVEL)
		return strata_gzip_segment_codec(&strata_deflate_isal, level);
#endif
#ifdef STRATA_WITH_LIBDEFLATE
	return strata_gzip_segment_codec(&strata_deflate_libdeflate, level);
#else
	return strata_gzip_segment_codec(&strata_deflate_zlib, level);
#endif
}

static int check_level(enum strata_compression c, int level, int first, int last,
                       struct strata_err *err)
{
	if (level == -1 || (level >= first && level <= last))
		return 0;
	return strata_fail(err, "EINVAL", "%s has levels %d to %d, not %d",
	                   strata_compression_name(c), first, last, level);
}

int strata_segment_codec_init(struct strata_segment_codec *p, enum strata_compression c, int level,
                              struct strata_err *err)
{
	switch (c) {
	case STRATA_GZIP:
		if (check_level(c, level > STRATA_ZLIB_LEVELS ? level - STRATA_ZLIB_LEVELS : level,
		                0, LAST_GZIP_LEVEL, err) < 0)
			return -1;
		*p = gzip_codec(level);
		return 0;
	case STRATA_ZSTD:
		if (check_level(c, level, 1, LAST_ZSTD_LEVEL, err) < 0)
			return -1;
		*p = strata_zstd_segment_codec(level);
		return 0;
	default:
		return strata_fail(err, "EUNSUPPORTED", "there is no encoder for %s",
		                   strata_compression_name(c));
	}
}

struct strata_encoder *strata_encoder_new(enum strata_compression c, int level,
                                          struct strata_err *err)
{
	struct strata_segment_codec codec;

	if (strata_segment_codec_init(&codec, c, level, err) < 0)
		return NULL;
	return strata_segment_encoder_new(&codec, err);
}

void strata_encoder_free(struct strata_encoder *e)
{
	if (e)
		e->ops->free(e);
}

int strata_encoder_step(struct strata_encoder *e, const unsigned char **in, size_t *in_len,
                        bool end, unsigned char *out, size_t out_cap, size_t *produced, bool *done,
                        struct strata_err *err)
{
	const unsigned char *p = *in ? *in : nothing;

	*produced = 0;
	*done = false;
	if (!e->failed &&
	    e->ops->step(e, &p, in_len, end, out, out_cap, produced, done, &e->failure) < 0)
		e->failed = true;
	if (*in)
		*in = p;
	if (e->failed) {
		*err = e->failure;
		return -1;
	}
	return 0;
}

/* ---- versions ---------------------------------------------------------- */

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

#ifdef STRATA_WITH_ISAL
#define ISAL "isa-l " TEXT(ISAL_MAJOR_VERSION) "." TEXT(ISAL_MINOR_VERSION) ", "
#else
#define ISAL ""
#endif

#ifdef STRATA_WITH_LIBDEFLATE
#define LIBDEFLATE "libdeflate " LIBDEFLATE_VERSION_STRING ", "
#else
#define LIBDEFLATE ""
#endif

const char *strata_codec_gzip_library(void)
{
	return ISAL LIBDEFLATE "zlib " ZLIB_VERSION;
}

const char *strata_codec_zstd_library(void)
{
	return "zstd " ZSTD_VERSION_STRING;
}
