/*
 * What the tests of the JSON editor share: input that stands directly in front
 * of a page that cannot be read, so that one byte too many is a crash.
 */
#ifndef STRATA_JSON_SUPPORT_H
#define STRATA_JSON_SUPPORT_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "core/json/json.h"

/* CHECK for tables of cases: names the case. */
static inline void check(bool good, const char *what, const char *detail)
{
	if (!check_true(good, what, __FILE__, __LINE__))
		printf("    %s\n", detail);
}

struct guarded {
	char *map;
	size_t size;
	char *bytes;
	size_t len;
};

static inline struct guarded guard(const char *bytes, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t pages = (len + page - 1) / page;
	struct guarded g = {.size = (pages + 1) * page, .len = len};

	g.map = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g.map == MAP_FAILED || mprotect(g.map + pages * page, page, PROT_NONE)) {
		perror("json: guard page");
		exit(2);
	}
	g.bytes = g.map + pages * page - len;
	memcpy(g.bytes, bytes, len);
	return g;
}

static inline struct guarded guard_text(const char *text)
{
	return guard(text, strlen(text));
}

static inline void unguard(struct guarded *g)
{
	munmap(g->map, g->size);
}

static inline struct strata_json *parse_limited(const char *bytes, size_t len,
                                                const struct strata_json_limits *limits,
                                                struct strata_err *err)
{
	struct guarded g = guard(bytes, len);
	struct strata_json *doc = strata_json_parse(g.bytes, g.len, limits, err);

	unguard(&g);
	return doc;
}

#endif
