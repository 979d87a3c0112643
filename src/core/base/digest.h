/*
 * Streaming digests through OpenSSL EVP: SHA-256, the algorithm of all new
 * digests, and SHA-512 for blobs whose digest in a document is one. A digest
 * object belongs to its creator and is used by one thread at a time. There is
 * no global state.
 */
#ifndef STRATA_DIGEST_H
#define STRATA_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

enum strata_digest_alg { STRATA_SHA256, STRATA_SHA512 };

/* "sha512:" + 128 hex digits + NUL is the longest. */
#define STRATA_DIGEST_MAX 136

struct strata_digest;

struct strata_digest *strata_digest_new(enum strata_digest_alg alg, struct strata_err *err);
void strata_digest_free(struct strata_digest *d);

/* Another one that has hashed the same bytes. */
struct strata_digest *strata_digest_copy(const struct strata_digest *d, struct strata_err *err);

int strata_digest_update(struct strata_digest *d, const void *bytes, size_t len,
                         struct strata_err *err);

/*
 * Writes "<algorithm>:<hex>" of all bytes so far to out and starts anew, so that
 * one object can serve many streams.
 */
int strata_digest_final(struct strata_digest *d, char out[STRATA_DIGEST_MAX],
                        struct strata_err *err);

/* One-shot "<algorithm>:<hex>" of a buffer. */
int strata_digest_bytes(enum strata_digest_alg alg, const void *bytes, size_t len,
                        char out[STRATA_DIGEST_MAX], struct strata_err *err);

static inline int strata_sha256(const void *bytes, size_t len, char out[STRATA_DIGEST_MAX],
                                struct strata_err *err)
{
	return strata_digest_bytes(STRATA_SHA256, bytes, len, out, err);
}

/*
 * True when text[0..len) is a digest by the grammar of the OCI image-spec
 * (descriptor.md) with the exact length of its algorithm; *alg (may be NULL)
 * says which. Unknown algorithms and upper-case hex give false.
 */
bool strata_digest_valid(const char *text, size_t len, enum strata_digest_alg *alg);

/*
 * The algorithm of a digest, to hash bytes that are to be compared with it.
 * SHA-256 for a text that is no digest, since no bytes will equal it.
 */
enum strata_digest_alg strata_digest_algorithm(const char *text);

/* The algorithm with this name, "sha256" or "sha512"; false for other names. */
bool strata_digest_named(const char *name, enum strata_digest_alg *alg);

/* The name of an algorithm: "sha256" or "sha512". */
const char *strata_digest_name(enum strata_digest_alg alg);

/*
 * EDIGEST unless the digest of `what` is as expected. Nothing is compared when `expected` is
 * "", nor when `got` is "": bytes that have not been hashed.
 */
int strata_digest_expect(const char *what, const char *expected, const char *got,
                         struct strata_err *err);

static inline void strata_cleanup_digest_(struct strata_digest **d)
{
	strata_digest_free(*d);
}
#define cleanup_digest __attribute__((cleanup(strata_cleanup_digest_)))

#endif
