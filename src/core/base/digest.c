#include "core/base/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

struct algorithm {
	const char *name;  /* as documents spell it before the colon */
	const char *fetch; /* as OpenSSL spells it */
	size_t size;       /* of the binary digest */
};

static const struct algorithm algorithms[] = {
        [STRATA_SHA256] = {"sha256", "SHA256", 32},
        [STRATA_SHA512] = {"sha512", "SHA512", 64},
};

#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

struct strata_digest {
	const struct algorithm *algorithm;
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

static int fail_openssl(struct strata_err *err, const struct algorithm *a)
{
	return strata_fail(err, "EUNSUPPORTED", "OpenSSL cannot compute %s", a->fetch);
}

/* OpenSSL's per-thread error queue belongs to the host: leave it as it was. */
static int digest_open(struct strata_digest *d, struct strata_err *err)
{
	unsigned long error;
	bool ok;

	ERR_set_mark();
	d->md = EVP_MD_fetch(NULL, d->algorithm->fetch, NULL);
	d->ctx = EVP_MD_CTX_new();
	ok = d->md && d->ctx && EVP_DigestInit_ex2(d->ctx, d->md, NULL) == 1;
	error = ERR_peek_last_error();
	ERR_pop_to_mark();
	if (ok)
		return 0;
	/* Once the algorithm was fetched only memory can be missing; OpenSSL may also fail for
	 * memory without an error. */
	if (d->md || error == 0 || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
		return strata_fail_nomem(err);
	return fail_openssl(err, d->algorithm);
}

struct strata_digest *strata_digest_new(enum strata_digest_alg alg, struct strata_err *err)
{
	struct strata_digest *d = calloc(1, sizeof(*d));

	if (!d) {
		strata_fail_nomem(err);
		return NULL;
	}
	d->algorithm = &algorithms[alg];
	if (digest_open(d, err) < 0) {
		strata_digest_free(d);
		return NULL;
	}
	return d;
}

void strata_digest_free(struct strata_digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
}

struct strata_digest *strata_digest_copy(const struct strata_digest *d, struct strata_err *err)
{
	cleanup_digest struct strata_digest *copy =
	        strata_digest_new((enum strata_digest_alg)(d->algorithm - algorithms), err);

	if (copy != NULL && EVP_MD_CTX_copy_ex(copy->ctx, d->ctx) != 1) {
		strata_fail_nomem(err);
		return NULL;
	}
	return steal_pointer(&copy);
}

int strata_digest_update(struct strata_digest *d, const void *bytes, size_t len,
                         struct strata_err *err)
{
	if (len > 0 && EVP_DigestUpdate(d->ctx, bytes, len) != 1)
		return strata_fail_nomem(err);
	return 0;
}

/* Writes "<name>:<hex>" and a NUL to out. */
static void spell(char *out, const struct algorithm *a, const unsigned char *binary)
{
	static const char hex[] = "0123456789abcdef";
	size_t pos = strlen(a->name);

	memcpy(out, a->name, pos);
	out[pos++] = ':';
	for (size_t i = 0; i < a->size; i++) {
		out[pos++] = hex[binary[i] >> 4];
		out[pos++] = hex[binary[i] & 15];
	}
	out[pos] = '\0';
}

int strata_digest_final(struct strata_digest *d, char out[STRATA_DIGEST_MAX],
                        struct strata_err *err)
{
	unsigned char binary[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(d->ctx, binary, NULL) != 1 ||
	    EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1)
		return strata_fail_nomem(err);
	spell(out, d->algorithm, binary);
	return 0;
}

int strata_digest_bytes(enum strata_digest_alg alg, const void *bytes, size_t len,
                        char out[STRATA_DIGEST_MAX], struct strata_err *err)
{
	cleanup_digest struct strata_digest *d = strata_digest_new(alg, err);

	if (!d || strata_digest_update(d, bytes, len, err) < 0)
		return -1;
	return strata_digest_final(d, out, err);
}

bool strata_digest_valid(const char *text, size_t len, enum strata_digest_alg *alg)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		const struct algorithm *a = &algorithms[i];
		size_t pos = strlen(a->name);

		if (len != pos + 1 + 2 * a->size || memcmp(text, a->name, pos) != 0 ||
		    text[pos] != ':')
			continue;
		for (pos++; pos < len; pos++) {
			char c = text[pos];

			if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
				return false;
		}
		if (alg)
			*alg = (enum strata_digest_alg)i;
		return true;
	}
	return false;
}

enum strata_digest_alg strata_digest_algorithm(const char *text)
{
	enum strata_digest_alg alg = STRATA_SHA256;

	strata_digest_valid(text, strlen(text), &alg);
	return alg;
}

bool strata_digest_named(const char *name, enum strata_digest_alg *alg)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (strcmp(name, algorithms[i].name) == 0) {
			*alg = (enum strata_digest_alg)i;
			return true;
		}
	return false;
}

const char *strata_digest_name(enum strata_digest_alg alg)
{
	return algorithms[alg].name;
}

int strata_digest_expect(const char *what, const char *expected, const char *got,
                         struct strata_err *err)
{
	if (expected[0] == '\0' || got[0] == '\0' || strcmp(expected, got) == 0)
		return 0;
	return strata_fail(err, "EDIGEST", "%s should be %s, but the bytes give %s", what, expected,
	                   got);
}
