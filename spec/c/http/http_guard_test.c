/* Every class of addresses, at both ends of each range, in figures and as socket addresses. */
#include "http/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "check.h"

static const struct {
	const char *class;
	const char *addresses; /* with a blank behind each */
} table[] = {
        {"public", "1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 "
                   "126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 "
                   "172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 "
                   "198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255 "},
        {"private", "10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.0 127.0.0.1 "
                    "127.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 "
                    "198.18.0.0 198.19.255.255 "},
        {"other", "0.0.0.0 0.255.255.255 169.254.0.0 169.254.169.254 169.254.255.255 192.0.0.0 "
                  "192.0.0.255 192.0.2.1 198.51.100.1 203.0.113.1 224.0.0.0 239.255.255.255 "
                  "240.0.0.0 255.255.255.255 "},
        {"public", "2000:: 2001:200:: 2606:4700::1111 2a00:1450::1 3fff:ffff::1 "},
        {"private", "::1 fc00:: fd00:ec2::254 fdff::1 fec0::1 "},
        {"other", ":: fe80:: fe80::1 febf:ffff::1 ff00:: ff02::1 ffff::1 100::1 2001::1 "
                  "2001:1ff::1 2001:db8::1 1::1 4000::1 5f00::1 "},
        /* An address of IPv4 in one of IPv6. */
        {"public", "::ffff:8.8.8.8 ::8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808:: "},
        {"private", "::ffff:127.0.0.1 ::ffff:10.1.2.3 ::127.0.0.1 ::ffff:0:192.168.1.1 "
                    "64:ff9b::7f00:1 64:ff9b::172.16.0.1 2002:7f00:1:: 2002:c0a8:101::1 "
                    "2002:6440:1:: 64:ff9b:1::8.8.8.8 "},
        {"other", "::ffff:169.254.169.254 ::ffff:0.0.0.0 ::2 ::169.254.169.254 "
                  "::ffff:0:224.0.0.1 64:ff9b::169.254.169.254 64:ff9b::255.255.255.255 "
                  "2002:a9fe:a9fe:: 2002:0:: 2002:e000:1:: 64:ff9b:1::169.254.169.254 "},
};

static enum strata_address_class classify_socket(const char *text)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = 80};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = 80};

	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
		return strata_address_classify((struct sockaddr *)&in4, sizeof(in4));
	CHECK(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
	return strata_address_classify((struct sockaddr *)&in6, sizeof(in6));
}

static void check_address(const char *text, const char *class)
{
	const char *got = strata_address_class_name(strata_address_classify_text(text));

	if (!CHECK(strcmp(got, class) == 0))
		printf("    %s is %s, not %s\n", text, class, got);
	CHECK(classify_socket(text) == strata_address_classify_text(text));
}

static void every_class(void)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *at = table[i].addresses;

		while (*at != '\0') {
			size_t len = strcspn(at, " ");
			char text[64] = "";

			memcpy(text, at, len);
			check_address(text, table[i].class);
			at += len + 1;
		}
	}
}

static void what_is_no_address(void)
{
	static const char *const texts[] = {"",
	                                    "localhost",
	                                    "127.1",
	                                    "0x7f.1",
	                                    "8.8.8.8 ",
	                                    "fe80::1%1",
	                                    "2606:4700::1111%eth0",
	                                    "[::1]"};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr = {htonl(0x08080808)}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK(strata_address_classify_text(texts[i]) == STRATA_ADDRESS_OTHER);
	CHECK(strata_address_classify((struct sockaddr *)&local, sizeof(local)) ==
	      STRATA_ADDRESS_OTHER);
	CHECK(strata_address_classify((struct sockaddr *)&in4, sizeof(in4)) ==
	      STRATA_ADDRESS_PUBLIC);
	for (socklen_t len = 0; len < sizeof(in4); len++)
		CHECK(strata_address_classify((struct sockaddr *)&in4, len) ==
		      STRATA_ADDRESS_OTHER);
	in6.sin6_addr.s6_addr[0] = 0x20;
	for (socklen_t len = 0; len < sizeof(in6); len++)
		CHECK(strata_address_classify((struct sockaddr *)&in6, len) ==
		      STRATA_ADDRESS_OTHER);
}

int main(void)
{
	RUN(every_class);
	RUN(what_is_no_address);
	return check_sum("http_guard_test");
}
