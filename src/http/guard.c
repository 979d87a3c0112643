#include "http/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The addresses whose first `bits` bits are those of `start`. */
struct range4 {
	unsigned char start[4];
	unsigned bits;
	enum strata_address_class class;
};

struct range6 {
	unsigned char start[16];
	unsigned bits;
	enum strata_address_class class;
	unsigned ipv4_at; /* 0, or the byte where the address of IPv4 is that it stands for */
};

/* IANA's registry of special-purpose addresses; what is in no range is public. */
static const struct range4 ranges4[] = {
        {{0, 0, 0, 0}, 8, STRATA_ADDRESS_OTHER},
        {{10, 0, 0, 0}, 8, STRATA_ADDRESS_PRIVATE},
        {{100, 64, 0, 0}, 10, STRATA_ADDRESS_PRIVATE}, /* of providers */
        {{127, 0, 0, 0}, 8, STRATA_ADDRESS_PRIVATE},   /* loopback */
        {{169, 254, 0, 0}, 16, STRATA_ADDRESS_OTHER},  /* link-local */
        {{172, 16, 0, 0}, 12, STRATA_ADDRESS_PRIVATE},
        {{192, 0, 0, 0}, 24, STRATA_ADDRESS_OTHER}, /* protocols */
        {{192, 0, 2, 0}, 24, STRATA_ADDRESS_OTHER}, /* documentation */
        {{192, 168, 0, 0}, 16, STRATA_ADDRESS_PRIVATE},
        {{198, 18, 0, 0}, 15, STRATA_ADDRESS_PRIVATE}, /* benchmarks */
        {{198, 51, 100, 0}, 24, STRATA_ADDRESS_OTHER}, /* documentation */
        {{203, 0, 113, 0}, 24, STRATA_ADDRESS_OTHER},  /* documentation */
        {{224, 0, 0, 0}, 3, STRATA_ADDRESS_OTHER},     /* multicast, reserved, broadcast */
};

/* The first that fits counts. */
static const struct range6 ranges6[] = {
        {{[15] = 1}, 128, STRATA_ADDRESS_PRIVATE, 0},                  /* loopback */
        {{0}, 96, STRATA_ADDRESS_PUBLIC, 12},                          /* compatible */
        {{[10] = 0xff, [11] = 0xff}, 96, STRATA_ADDRESS_PUBLIC, 12},   /* mapped */
        {{[8] = 0xff, [9] = 0xff}, 96, STRATA_ADDRESS_PUBLIC, 12},     /* translated */
        {{0, 0x64, 0xff, 0x9b}, 96, STRATA_ADDRESS_PUBLIC, 12},        /* NAT64 */
        {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, STRATA_ADDRESS_PRIVATE, 12}, /* NAT64, local */
        {{0x20, 0x02}, 16, STRATA_ADDRESS_PUBLIC, 2},                  /* 6to4 */
        {{0x20, 0x01}, 23, STRATA_ADDRESS_OTHER, 0},                   /* protocols, Teredo */
        {{0x20, 0x01, 0x0d, 0xb8}, 32, STRATA_ADDRESS_OTHER, 0},       /* documentation */
        {{0xfc}, 7, STRATA_ADDRESS_PRIVATE, 0},
        {{0xfe, 0xc0}, 10, STRATA_ADDRESS_PRIVATE, 0}, /* site-local, of old */
        {{0x20}, 3, STRATA_ADDRESS_PUBLIC, 0},         /* all that has been given out */
        {{0}, 0, STRATA_ADDRESS_OTHER, 0},             /* link-local, multicast, reserved */
};

static bool begins_alike(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	size_t bytes = bits / 8;
	unsigned rest = bits % 8;

	return memcmp(a, b, bytes) == 0 &&
	       (rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0);
}

static enum strata_address_class classify4(const unsigned char *address)
{
	for (size_t i = 0; i < sizeof(ranges4) / sizeof(ranges4[0]); i++)
		if (begins_alike(address, ranges4[i].start, ranges4[i].bits))
			return ranges4[i].class;
	return STRATA_ADDRESS_PUBLIC;
}

static enum strata_address_class classify6(const unsigned char *address)
{
	const struct range6 *r = ranges6;
	enum strata_address_class c;

	while (!begins_alike(address, r->start, r->bits))
		r++; /* the last one has no bits */
	c = r->ipv4_at > 0 ? classify4(address + r->ipv4_at) : r->class;
	return c > r->class ? c : r->class;
}

enum strata_address_class strata_address_classify(const struct sockaddr *address, socklen_t len)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	sa_family_t family;

	if (len < offsetof(struct sockaddr, sa_data))
		return STRATA_ADDRESS_OTHER;
	memcpy(&family, (const char *)address + offsetof(struct sockaddr, sa_family),
	       sizeof(family));
	if (family == AF_INET && len >= sizeof(in4)) {
		memcpy(&in4, address, sizeof(in4));
		return classify4((const unsigned char *)&in4.sin_addr);
	}
	if (family == AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, address, sizeof(in6));
		return classify6(in6.sin6_addr.s6_addr);
	}
	return STRATA_ADDRESS_OTHER;
}

enum strata_address_class strata_address_classify_text(const char *text)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, text, address) == 1)
		return classify4(address);
	if (inet_pton(AF_INET6, text, address) == 1)
		return classify6(address);
	return STRATA_ADDRESS_OTHER;
}

const char *strata_address_class_name(enum strata_address_class c)
{
	static const char *const names[] = {"public", "private", "other"};

	return names[c];
}
