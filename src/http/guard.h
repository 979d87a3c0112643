/*
 * Which part of the Internet an address belongs to. What a registry answers names hosts that
 * strata then connects to: the class of their addresses tells whether such a host may be one of
 * the network that strata runs in. Pure functions, no system call.
 */
#ifndef STRATA_HTTP_GUARD_H
#define STRATA_HTTP_GUARD_H

#include <stdbool.h>
#include <sys/socket.h>

/* In order: who may connect to a class may connect to those before it. */
enum strata_address_class {
	STRATA_ADDRESS_PUBLIC,
	STRATA_ADDRESS_PRIVATE, /* loopback, RFC 1918, 100.64.0.0/10, fc00::/7 and their like */
	STRATA_ADDRESS_OTHER, /* no host of anybody: unspecified, link-local (the metadata services
	                         of clouds), multicast, broadcast, reserved */
};

/*
 * The class of an address. An IPv6 address that stands for one of IPv4 (mapped, compatible,
 * translated, NAT64, 6to4) has the class of that. OTHER for anything that is not an Internet
 * address of the full length.
 */
enum strata_address_class strata_address_classify(const struct sockaddr *address, socklen_t len);

/* The same of an address in figures; OTHER for any other text. */
enum strata_address_class strata_address_classify_text(const char *text);

/* "public", "private" or "other". */
const char *strata_address_class_name(enum strata_address_class c);

#endif
