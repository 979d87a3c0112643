/*
 * Inflating what is pushed: the decoder of codec.h with the limits of a whole
 * stream. It calls nothing back and never blocks.
 *
 * The object belongs to its creator and is used by one thread at a time.
 */
#ifndef STRATA_INFLATE_H
#define STRATA_INFLATE_H

#include <stddef.h>

#include "core/codec/codec.h"

struct strata_inflater;

/* limits may be NULL. EUNSUPPORTED for what the core does not decode. */
struct strata_inflater *strata_inflater_new(enum strata_compression c,
                                            const struct strata_inflate_limits *limits,
                                            struct strata_err *err);
void strata_inflater_free(struct strata_inflater *s);

/*
 * Inflates from *in (advancing *in and *in_len) until out is full or the input
 * is used up; *produced is 0 only then. Errors are sticky.
 */
int strata_inflater_step(struct strata_inflater *s, const unsigned char **in, size_t *in_len,
                         unsigned char *out, size_t out_cap, size_t *produced,
                         struct strata_err *err);

/* To be called when the input has ended: EFORMAT when the stream has not. */
int strata_inflater_finish(struct strata_inflater *s, struct strata_err *err);

/*
 * ELIMIT when what the decoder has produced of so much input is more than the limits
 * allow; those that are 0 have their defaults.
 */
int strata_inflate_check(const struct strata_inflate_limits *limits,
                         const struct strata_decoder *decoder, uint64_t consumed, uint64_t produced,
                         struct strata_err *err);

#endif
