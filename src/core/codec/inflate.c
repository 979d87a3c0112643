#include "core/codec/inflate.h"

#include <stdlib.h>

struct strata_inflater {
	struct strata_decoder *decoder;
	struct strata_inflate_limits limits;
	uint64_t consumed;
	uint64_t produced;
	bool failed;
	struct strata_err failure;
};

struct strata_inflater *strata_inflater_new(enum strata_compression c,
                                            const struct strata_inflate_limits *limits,
                                            struct strata_err *err)
{
	struct strata_inflater *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	if (limits != NULL)
		s->limits = *limits;
	s->decoder = strata_decoder_new(c, err);
	if (s->decoder == NULL) {
		free(s);
		return NULL;
	}
	if (s->limits.zstd_window != 0)
		strata_decoder_limit_window(s->decoder, s->limits.zstd_window);
	return s;
}

void strata_inflater_free(struct strata_inflater *s)
{
	if (s == NULL)
		return;
	strata_decoder_free(s->decoder);
	free(s);
}

int strata_inflate_check(const struct strata_inflate_limits *limits,
                         const struct strata_decoder *decoder, uint64_t consumed, uint64_t produced,
                         struct strata_err *err)
{
	uint64_t bytes = limits->bytes != 0 ? limits->bytes : STRATA_INFLATE_BYTES;
	uint64_t ratio = limits->ratio != 0 ? limits->ratio : STRATA_INFLATE_RATIO;
	uint64_t members = limits->members != 0 ? limits->members : STRATA_INFLATE_MEMBERS;

	if (produced > bytes)
		return strata_fail(err, "ELIMIT", "inflates to more than limits.bytes (%llu)",
		                   (unsigned long long)bytes);
	if (produced > STRATA_INFLATE_RATIO_FREE && produced / ratio >= consumed)
		return strata_fail(err, "ELIMIT",
		                   "inflates to more than limits.ratio (%llu) times its size: "
		                   "%llu bytes from %llu",
		                   (unsigned long long)ratio, (unsigned long long)produced,
		                   (unsigned long long)consumed);
	if (strata_decoder_members(decoder) > members)
		return strata_fail(err, "ELIMIT",
		                   "more than limits.members (%llu) gzip members or zstd frames",
		                   (unsigned long long)members);
	return 0;
}

int strata_inflater_step(struct strata_inflater *s, const unsigned char **in, size_t *in_len,
                         unsigned char *out, size_t out_cap, size_t *produced,
                         struct strata_err *err)
{
	size_t before, n;

	*produced = 0;
	while (!s->failed && *produced < out_cap) {
		before = *in_len;
		s->failed = strata_decoder_step(s->decoder, in, in_len, out + *produced,
		                                out_cap - *produced, &n, &s->failure) < 0;
		if (s->failed)
			break;
		*produced += n;
		s->consumed += before - *in_len;
		s->produced += n;
		s->failed = strata_inflate_check(&s->limits, s->decoder, s->consumed, s->produced,
		                                 &s->failure) < 0;
		if (*in_len == 0 && n == 0)
			break;
	}
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	return 0;
}

int strata_inflater_finish(struct strata_inflater *s, struct strata_err *err)
{
	if (s->failed) {
		*err = s->failure;
		return -1;
	}
	return strata_decoder_finish(s->decoder, err);
}
