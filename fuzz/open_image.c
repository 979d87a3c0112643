/*
 * Opening image archives, through Lua. Whatever the file holds, every question
 * is answered, refused with a message and a code, or throws such a message
 * where that is documented (open_image.lua); what could be saved opens again
 * and has right digests. Lines of Lua count as coverage.
 *
 * Input: an archive; a byte behind the last full block says what else is done.
 * The mutator changes members and then has digests, in names and documents,
 * follow what they are the digests of.
 */
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>
#include <sys/mman.h>

#include "core/base/digest.h"
#include "json_mutate.h"
#include "place.h"
#include "tar_mutate.h"

/* As often the state is made anew: what it keeps for ever is found then. */
#define STATE_INPUTS 500
#define LINES (1 << 16)

int luaopen_strata_core(lua_State *L);
int luaopen_strata_archive(lua_State *L);

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t lines[LINES];

static lua_State *L;
static int input = -1;
static char input_path[64], output_path[64];

/* ---- Lua ----------------------------------------------------------------- */

static void count_line(lua_State *state, lua_Debug *d)
{
	uint32_t hash = 2166136261u;

	lua_getinfo(state, "Sl", d);
	for (const char *c = d->short_src; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	hash = (hash ^ (uint32_t)d->currentline) * 16777619u;
	lines[(hash ^ hash >> 16) % LINES]++;
}

static int explain(lua_State *state)
{
	luaL_traceback(state, state, lua_tostring(state, 1), 1);
	return 1;
}

static void check_lua(int status)
{
	if (status != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		abort();
	}
}

/* A state with the traceback handler at 1 and the function of open_image.lua at 2. */
static void open_state(void)
{
	L = luaL_newstate();
	CHECK(L != NULL);
	luaL_openlibs(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_pushcfunction(L, luaopen_strata_core);
	lua_setfield(L, -2, "strata.core");
	lua_pushcfunction(L, luaopen_strata_archive);
	lua_setfield(L, -2, "strata.archive");
	lua_settop(L, 0);
	lua_pushcfunction(L, explain);
	check_lua(luaL_dostring(L, "package.path = './lua/?.lua;./lua/?/init.lua'"));
	check_lua(luaL_loadfile(L, "fuzz/open_image.lua") || lua_pcall(L, 0, 1, 1));
	lua_sethook(L, count_line, LUA_MASKLINE, 0);
}

static void remove_output(void)
{
	unlink(output_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	place_make(*argc, *argv);
	input = memfd_create("input", MFD_CLOEXEC);
	CHECK(input >= 0);
	snprintf(input_path, sizeof(input_path), "/proc/self/fd/%d", input);
	snprintf(output_path, sizeof(output_path), "%s/strata-fuzz.%d", PLACE, (int)getpid());
	atexit(remove_output);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned inputs;
	size_t whole = size - size % 512;

	if (inputs++ % STATE_INPUTS == 0) {
		if (L)
			lua_close(L);
		open_state();
	}
	CHECK(ftruncate(input, 0) == 0 && pwrite(input, data, whole, 0) == (ssize_t)whole);
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_pushstring(L, input_path);
	lua_pushstring(L, output_path);
	lua_pushinteger(L, size > whole ? data[size - 1] : 0);
	check_lua(lua_pcall(L, 3, 0, 1));
	lua_gc(L, LUA_GCCOLLECT, 0);
	unlink(output_path);
	return 0;
}

/* ---- mutation ------------------------------------------------------------ */

#define HEX 64
#define FOLLOW_MAX 40

/* A payload that has got another digest, and perhaps another size. */
struct moved {
	char old_hex[HEX + 1], new_hex[HEX + 1];
	size_t old_size, new_size;
};

struct moves {
	struct moved list[FOLLOW_MAX];
	size_t n;
};

static void hex_of(const void *bytes, size_t len, char hex[HEX + 1])
{
	char digest[STRATA_DIGEST_MAX];
	struct strata_err err;

	must(strata_sha256(bytes, len, digest, &err));
	memcpy(hex, digest + strlen("sha256:"), HEX + 1);
}

/* Sets a member's payload and remembers what that changes. */
static void change_payload(struct strata_buf *b, const struct member *m, const void *bytes,
                           size_t len, struct moves *moves)
{
	struct moved *moved = &moves->list[moves->n];

	if (moves->n < FOLLOW_MAX && m->len > 0) {
		hex_of(b->data + m->body, m->len, moved->old_hex);
		hex_of(bytes, len, moved->new_hex);
		moved->old_size = m->len;
		moved->new_size = len;
		moves->n++;
	}
	set_payload(b, m, bytes, len);
}

static bool find(const struct strata_buf *b, size_t from, const char *text, size_t *at)
{
	const char *found =
	        from < b->len ? memmem(b->data + from, b->len - from, text, strlen(text)) : NULL;

	if (found)
		*at = (size_t)(found - b->data);
	return found != NULL;
}

/* Replaces `"size":OLD` near the digest. */
static void follow_size(struct strata_buf *doc, size_t digest_at, const struct moved *moved)
{
	char old_text[40], new_text[40];
	struct strata_err err;
	size_t from = digest_at > 200 ? digest_at - 200 : 0, at;

	snprintf(old_text, sizeof(old_text), "\"size\":%zu", moved->old_size);
	snprintf(new_text, sizeof(new_text), "\"size\":%zu", moved->new_size);
	if (moved->old_size != moved->new_size && find(doc, from, old_text, &at) &&
	    at < digest_at + 200)
		must(strata_buf_splice(doc, at, at + strlen(old_text), new_text, strlen(new_text),
		                       &err));
}

static bool follow_in(struct strata_buf *doc, const struct moved *moved)
{
	bool changed = false;
	size_t at = 0;

	while (find(doc, at, moved->old_hex, &at)) {
		memcpy(doc->data + at, moved->new_hex, HEX);
		follow_size(doc, at, moved);
		changed = true;
		at += HEX;
	}
	return changed;
}

/* Names and documents follow; a document that does is itself something to be followed. */
static void follow_all(struct strata_buf *b, struct moves *moves)
{
	for (size_t i = 0; i < moves->n; i++) {
		const struct moved moved = moves->list[i];
		struct member m = {0};

		if (strcmp(moved.old_hex, moved.new_hex) == 0)
			continue;
		while (next_member(b, m.next, &m)) {
			struct strata_buf doc = {0};
			char *name = memmem(b->data + m.at, 100, moved.old_hex, HEX);

			if (name)
				memcpy(name, moved.new_hex, HEX);
			name = memmem(b->data + m.at + 157, 100, moved.old_hex, HEX);
			if (name)
				memcpy(name, moved.new_hex, HEX);
			seal(b, m.at);
			add(&doc, b->data + m.body, m.len);
			if (doc.len > 0 && follow_in(&doc, &moved)) {
				change_payload(b, &m, doc.data, doc.len, moves);
				next_member(b, m.at, &m);
			}
			strata_buf_free(&doc);
		}
	}
}

/* Changes a tar as a tar, a document as a document, anything else and at times these as bytes. */
static void mutate_content(struct strata_buf *content, uint64_t *seed)
{
	size_t len = content->len, room = len + 4096;
	bool tar = len >= 512 && memcmp(content->data + 257, "ustar", 5) == 0;
	struct strata_err err;

	if (!tar && (content->data[0] == '{' || content->data[0] == '[') && chance(seed, 4)) {
		json_mutate(content, seed);
		return;
	}
	must(strata_buf_reserve(content, room - len, &err));
	content->len = tar ? tar_mutate((uint8_t *)content->data, len, room,
	                                (unsigned)chance(seed, 1 << 30))
	                   : LLVMFuzzerMutate((uint8_t *)content->data, len, room);
}

static void mutate_member(struct strata_buf *b, uint64_t *seed)
{
	struct member list[MEMBERS_MAX];
	size_t n = list_members(b, list);
	const struct member *m = n ? &list[chance(seed, n)] : NULL;
	struct strata_buf content = {0};
	struct moves moves = {.n = 0};

	if (!m || m->len == 0)
		return;
	add(&content, b->data + m->body, m->len);
	mutate_content(&content, seed);
	change_payload(b, m, content.data, content.len, &moves);
	if (chance(seed, 16))
		follow_all(b, &moves);
	strata_buf_free(&content);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned number)
{
	uint8_t choice = (uint8_t)(number % 7 == 0 ? number / 7 : size % 512 ? data[size - 1] : 0);
	size_t max = (max_size - 1) / 512 * 512;
	uint64_t seed = (uint64_t)number + 1;
	struct strata_buf b = {0};

	for (int i = 0; i < 4; i++)
		chance(&seed, 2);
	size -= size % 512;
	if (chance(&seed, 5) == 0) {
		size = tar_mutate(data, size, max, number) / 512 * 512;
	} else {
		add(&b, data, size);
		mutate_member(&b, &seed);
		size = (b.len < max ? b.len : max) / 512 * 512;
		if (size)
			memcpy(data, b.data, size);
		strata_buf_free(&b);
	}
	data[size] = choice;
	return size + 1;
}
