// Takes seconds: not for make check.
/*
 * Lua runs out of memory: its allocator fails at the k-th request of a scenario
 * of spec/support/scenarios.lua, for every k or, unless STRATA_SWEEP is "full",
 * for some. Each time the scenario ends as usual or with an error of memory, and
 * nothing of it is left: no file, no descriptor, and when the state is closed no
 * byte. What the core itself leaks the sanitizers tell.
 *
 * A failure comes in two kinds. When only the first try fails, Lua collects all
 * garbage and tries again: everything goes on, with a full collection at that
 * place. When the second fails, too, it throws.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>

#include <lualib.h>

#include "check.h"
#include "support/place.h"

struct memory {
	size_t used;
	long calls; /* requests for more, while armed */
	long at;    /* which one fails; 0: none */
	int tries;  /* how often: 1, or 2 with the one that comes after the collection */
	int failed;
	size_t last;
	bool armed;
};

static void *allocate(void *ud, void *block, size_t old, size_t size)
{
	struct memory *m = ud;
	void *p;

	if (block == NULL)
		old = 0;
	if (size == 0) {
		free(block);
		m->used -= old;
		return NULL;
	}
	if (size > old && m->armed) {
		bool again = m->failed > 0 && m->failed < m->tries && size == m->last;

		if (again || ++m->calls == m->at) {
			m->failed++;
			m->last = size;
			return NULL;
		}
	}
	p = realloc(block, size);
	if (p != NULL)
		m->used += size - old;
	return p;
}

/* faults.arm(at, tries), faults.disarm() -> requests, failures */
static int arm(lua_State *L)
{
	struct memory *m = lua_touserdata(L, lua_upvalueindex(1));

	m->at = (long)luaL_checknumber(L, 1);
	m->tries = (int)luaL_checknumber(L, 2);
	m->calls = m->failed = 0;
	m->armed = true;
	return 0;
}

static int disarm(lua_State *L)
{
	struct memory *m = lua_touserdata(L, lua_upvalueindex(1));

	m->armed = false;
	lua_pushnumber(L, (lua_Number)m->calls);
	lua_pushnumber(L, (lua_Number)m->failed);
	return 2;
}

/* lua-cjson loses its buffers when Lua throws in it; LeakSanitizer knows it by name if it stays. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:cjson";
}

static int pin(lua_State *L)
{
	lua_pushboolean(L, dlopen(luaL_checkstring(L, 1), RTLD_LAZY | RTLD_NODELETE) != NULL);
	return 1;
}

static const char script[] =
        "local faults, dir, full, seed = ...\n"
        "local build = os.getenv('STRATA_BUILD') or 'build'\n"
        "package.path = './lua/?.lua;./lua/?/init.lua;./?.lua;' .. package.path\n"
        "package.cpath = './' .. build .. '/lua' .. _VERSION:match('%d.%d') .. '/?.so;' .. "
        "package.cpath\n"
        "for place in package.cpath:gmatch('[^;]+') do faults.pin((place:gsub('?', 'cjson'))) end\n"
        "local sweep = require 'spec.support.alloc_sweep'\n"
        "return sweep(faults, dir, full, seed)\n";

/* The number of problems, or -1. */
static int sweep(struct memory *m, const char *dir)
{
	const char *wanted = getenv("STRATA_SWEEP"), *seed = getenv("STRATA_SEED");
	lua_State *L = lua_newstate(allocate, m);
	int problems = -1;

	if (L == NULL)
		return -1;
	luaL_openlibs(L);
	if (luaL_loadstring(L, script) == 0) {
		lua_newtable(L);
		place_register(L);
		lua_pushlightuserdata(L, m);
		lua_pushcclosure(L, arm, 1);
		lua_setfield(L, -2, "arm");
		lua_pushlightuserdata(L, m);
		lua_pushcclosure(L, disarm, 1);
		lua_setfield(L, -2, "disarm");
		lua_pushcfunction(L, pin);
		lua_setfield(L, -2, "pin");
		lua_pushstring(L, dir);
		lua_pushboolean(L, wanted != NULL && strcmp(wanted, "full") == 0);
		lua_pushnumber(L, seed != NULL ? strtod(seed, NULL) : 1);
		if (lua_pcall(L, 4, 1, 0) == 0)
			problems = (int)lua_tonumber(L, -1);
	}
	if (problems < 0)
		printf("  %s\n", lua_tostring(L, -1));
	lua_close(L);
	return problems;
}

static void test_requests_that_fail(void)
{
	bool in_memory = access("/dev/shm", W_OK) == 0;
	char dir[64], temp[80];
	struct memory m = {0};
	int before;

	snprintf(dir, sizeof(dir), "%s/strata-alloc.XXXXXX", in_memory ? "/dev/shm" : "/tmp");
	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	snprintf(temp, sizeof(temp), "%s/tmp", dir);
	CHECK(mkdir(temp, 0700) == 0);
	setenv("TMPDIR", temp, 1);
	before = place_count_fds();
	CHECK(sweep(&m, dir) == 0);
	CHECK(m.used == 0);
	CHECK(place_count_fds() == before);
	nftw(dir, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	RUN(test_requests_that_fail);
	return check_sum("alloc_lua_test");
}
