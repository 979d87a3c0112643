// Takes seconds: not for make check.
/*
 * Several Lua states of one process, each in a thread of its own, and one state
 * that wanders from thread to thread: each sees what a state alone sees whose
 * jobs have one thread. What they do is in spec/support/states.lua.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lualib.h>

#include "check.h"
#include "support/place.h"

#define STATES 4
#define VISITS 10

struct state {
	lua_State *L;
	pthread_barrier_t *start; /* to load the modules at the same time; may be NULL */
	const char *dir;          /* where the images are */
	char out[80];             /* what it may write to */
	unsigned threads;         /* of its jobs */
	char *seen;
	size_t seen_len;
	FILE *see;
	bool more;
	bool failed;
};

static const char prologue[] =
        "local build = os.getenv('STRATA_BUILD') or 'build'\n"
        "package.path = './lua/?.lua;./lua/?/init.lua;./?.lua;' .. package.path\n"
        "package.cpath = './' .. build .. '/lua' .. _VERSION:match('%d.%d') .. '/?.so;' .. "
        "package.cpath\n"
        "return require 'spec.support.states'\n";

/* A new state with what spec.support.states gives, a table, on its stack. */
static void begin(struct state *s)
{
	s->see = open_memstream(&s->seen, &s->seen_len);
	s->L = luaL_newstate();
	if (s->see == NULL || s->L == NULL)
		abort();
	luaL_openlibs(s->L);
	if (s->start != NULL)
		pthread_barrier_wait(s->start);
	s->failed = luaL_loadstring(s->L, prologue) != 0 || lua_pcall(s->L, 0, 1, 0) != 0;
	s->more = !s->failed;
}

/* In the place of that table: the function that does the next step. */
static void begin_steps(struct state *s)
{
	begin(s);
	if (s->failed)
		return;
	lua_getfield(s->L, -1, "steps");
	lua_remove(s->L, -2);
	lua_newtable(s->L);
	place_register(s->L);
	lua_pushstring(s->L, s->dir);
	lua_pushstring(s->L, s->out);
	lua_pushinteger(s->L, (lua_Integer)s->threads);
	s->failed = lua_pcall(s->L, 4, 1, 0) != 0;
	s->more = !s->failed;
}

static void advance(struct state *s)
{
	lua_pushvalue(s->L, -1);
	s->failed = lua_pcall(s->L, 0, 1, 0) != 0;
	s->more = !s->failed && !lua_isnil(s->L, -1);
	if (s->more)
		fputs(lua_tostring(s->L, -1), s->see);
	if (!s->failed)
		lua_pop(s->L, 1);
}

static void end(struct state *s)
{
	if (s->failed)
		fprintf(s->see, "%s\n", lua_tostring(s->L, -1));
	lua_close(s->L);
	fclose(s->see);
}

/* ---- on threads ----------------------------------------------------------------- */

static void *live(void *arg)
{
	struct state *s = arg;

	begin_steps(s);
	while (s->more)
		advance(s);
	end(s);
	return NULL;
}

static void *visit(void *arg)
{
	struct state s = {.start = arg};
	intptr_t failed = 0;

	for (int i = 0; i < VISITS; i++) {
		begin(&s);
		if (s.failed)
			printf("  %s\n", lua_tostring(s.L, -1));
		failed |= s.failed;
		end(&s);
		free(s.seen);
	}
	return (void *)failed;
}

static void *begin_there(void *arg)
{
	begin_steps(arg);
	return NULL;
}

static void *advance_there(void *arg)
{
	advance(arg);
	return NULL;
}

static void *end_there(void *arg)
{
	end(arg);
	return NULL;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		abort();
	return thread;
}

static void in_a_new_thread(void *(*run)(void *), struct state *s)
{
	pthread_join(start(run, s), NULL);
}

/* ---- the tests -------------------------------------------------------------------- */

static struct {
	char dir[64];
	char temp[80];
	struct state alone;
} fixture;

static struct state state_of(const char *name, unsigned threads)
{
	struct state s = {.dir = fixture.dir, .threads = threads};

	snprintf(s.out, sizeof(s.out), "%s/%s", fixture.dir, name);
	return s;
}

static void prepare(void)
{
	bool in_memory = access("/dev/shm", W_OK) == 0;
	struct state s = {0};

	snprintf(fixture.dir, sizeof(fixture.dir), "%s/strata-states.XXXXXX",
	         in_memory ? "/dev/shm" : "/tmp");
	if (mkdtemp(fixture.dir) == NULL)
		abort();
	snprintf(fixture.temp, sizeof(fixture.temp), "%s/tmp", fixture.dir);
	CHECK(mkdir(fixture.temp, 0700) == 0);
	setenv("TMPDIR", fixture.temp, 1);
	begin(&s);
	if (!s.failed) {
		lua_getfield(s.L, -1, "prepare");
		lua_pushstring(s.L, fixture.dir);
		s.failed = lua_pcall(s.L, 1, 0, 0) != 0;
	}
	end(&s);
	if (!CHECK(!s.failed))
		printf("  %s", s.seen);
	free(s.seen);
}

/* The first line that is another one. */
static void tell_difference(const char *expected, const char *seen)
{
	const char *line = seen;

	for (; *seen != '\0' && *seen == *expected; seen++, expected++)
		if (*seen == '\n')
			line = seen + 1;
	printf("  saw: %.*s\n", (int)strcspn(line, "\n"), line);
}

static void tell_end(const struct state *s)
{
	printf("  %s", s->seen_len < 500 ? s->seen : s->seen + s->seen_len - 500);
}

static void check_seen(struct state *s)
{
	CHECK(!s->failed);
	if (!CHECK(strcmp(s->seen, fixture.alone.seen) == 0))
		tell_difference(fixture.alone.seen, s->seen);
	free(s->seen);
}

static void check_nothing_left(int descriptors)
{
	CHECK(place_count_fds() == descriptors);
	CHECK(rmdir(fixture.temp) == 0 && mkdir(fixture.temp, 0700) == 0);
}

static void states_come_and_go_side_by_side(void)
{
	int before = place_count_fds();
	pthread_barrier_t barrier;
	pthread_t threads[STATES];
	void *failed;

	pthread_barrier_init(&barrier, NULL, STATES);
	for (int i = 0; i < STATES; i++)
		threads[i] = start(visit, &barrier);
	for (int i = 0; i < STATES; i++) {
		pthread_join(threads[i], &failed);
		CHECK(failed == NULL);
	}
	pthread_barrier_destroy(&barrier);
	check_nothing_left(before);
}

static void one_state_alone(void)
{
	int before = place_count_fds();

	fixture.alone = state_of("alone", 1);
	live(&fixture.alone);
	if (!CHECK(!fixture.alone.failed))
		tell_end(&fixture.alone);
	CHECK(strstr(fixture.alone.seen, "leave all to the collector\n") != NULL);
	check_nothing_left(before);
}

static void states_side_by_side_see_what_one_alone_sees(void)
{
	int before = place_count_fds();
	struct state states[STATES];
	pthread_t threads[STATES];
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, STATES);
	for (int i = 0; i < STATES; i++) {
		char name[] = {(char)('a' + i), '\0'};

		states[i] = state_of(name, 3);
		states[i].start = &barrier;
		threads[i] = start(live, &states[i]);
	}
	for (int i = 0; i < STATES; i++) {
		pthread_join(threads[i], NULL);
		check_seen(&states[i]);
	}
	pthread_barrier_destroy(&barrier);
	check_nothing_left(before);
}

/* As nginx does with the states of its thread pool. */
static void a_state_may_wander_from_thread_to_thread(void)
{
	int before = place_count_fds();
	struct state s = state_of("wanderer", 2);

	in_a_new_thread(begin_there, &s);
	while (s.more)
		in_a_new_thread(advance_there, &s);
	in_a_new_thread(end_there, &s);
	check_seen(&s);
	check_nothing_left(before);
}

int main(void)
{
	RUN(prepare);
	if (check_state.failed == 0) {
		RUN(states_come_and_go_side_by_side);
		RUN(one_state_alone);
		RUN(states_side_by_side_see_what_one_alone_sees);
		RUN(a_state_may_wander_from_thread_to_thread);
	}
	free(fixture.alone.seen);
	nftw(fixture.dir, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return check_sum("states_lua_test");
}
