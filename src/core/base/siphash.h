/*
 * SipHash-1-3 for tables whose keys come from input: with a random key nobody
 * can choose names that collide.
 */
#ifndef STRATA_SIPHASH_H
#define STRATA_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct strata_hash_key {
	uint64_t k0;
	uint64_t k1;
};

static inline uint64_t strata_rotl(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline void strata_sipround(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = strata_rotl(v[1], 13) ^ v[0];
	v[3] = strata_rotl(v[3], 16) ^ v[2];
	v[0] = strata_rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = strata_rotl(v[1], 17) ^ v[2];
	v[3] = strata_rotl(v[3], 21) ^ v[0];
	v[2] = strata_rotl(v[2], 32);
}

static inline uint64_t strata_hash(struct strata_hash_key key, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
	                 key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
	uint64_t last = (uint64_t)len << 56;
	uint64_t word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		strata_sipround(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	strata_sipround(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		strata_sipround(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
