/*
 * The editor of JSON text. A text is taken exactly when lua-cjson takes it and
 * it keeps to what is stricter here (json_edit.lua tells that apart). An edit
 * of a random value leads to what the same edit of lua-cjson's table leads to,
 * to text that is taken again, and touches no byte outside the container.
 *
 * Input: 16 bytes that say what to edit, then the text.
 */
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

#include "core/json/internal.h"

#define PLAN 16
#define EDITS 4
#define POINTER_MAX 4096

static lua_State *L;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	L = luaL_newstate();
	luaL_openlibs(L);
	if (luaL_dofile(L, "fuzz/json_edit.lua") != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		exit(1);
	}
	return 0; /* the table of functions stays at index 1 */
}

/* Pushes a function of the script. */
static void oracle(const char *name)
{
	lua_settop(L, 1);
	lua_getfield(L, 1, name);
}

/* Its answer is whether all is well; what is not goes to the console. */
static void ask(int arguments)
{
	if (lua_pcall(L, arguments, 2, 0) != LUA_OK || !lua_toboolean(L, -2)) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		abort();
	}
	lua_settop(L, 1);
}

static struct strata_json *parse(const char *text, size_t len, struct strata_err *err)
{
	char *copy = malloc(len ? len : 1); /* nothing behind it can be read */
	struct strata_json *doc;

	CHECK(copy != NULL);
	memcpy(copy, text, len);
	doc = strata_json_parse(copy, len, NULL, err);
	free(copy);
	return doc;
}

/* ---- which value -------------------------------------------------------- */

struct place {
	struct strata_buf pointer;
	struct strata_json_span span;
	struct strata_json_span parent; /* type of what it is in; the document: null */
};

/* Adds the name of a member to a pointer. */
static void add_name(struct strata_buf *pointer, const char *token, size_t len)
{
	struct strata_buf name = {0};
	struct strata_err err;

	CHECK(strata_json_unquote(&name, token, len, &err) == 0);
	CHECK(strata_buf_append(pointer, "/", 1, &err) == 0);
	for (size_t i = 0; i < name.len; i++) {
		const char *escaped = name.data[i] == '~'   ? "~0"
		                      : name.data[i] == '/' ? "~1"
		                                            : NULL;

		CHECK(strata_buf_append(pointer, escaped ? escaped : &name.data[i], escaped ? 2 : 1,
		                        &err) == 0);
	}
	strata_buf_free(&name);
}

static void add_number(struct strata_buf *pointer, size_t i)
{
	char text[32];
	struct strata_err err;
	int n = snprintf(text, sizeof(text), "/%zu", i);

	CHECK(strata_buf_append(pointer, text, (size_t)n, &err) == 0);
}

/* Goes down from the document's value as the plan says. */
static struct place choose(const struct strata_json *doc, struct plan *plan)
{
	struct place p = {.parent.type = STRATA_JSON_NULL};
	struct strata_err err;
	size_t len;
	const char *text = strata_json_text(doc, &len);

	CHECK(strata_json_find(doc, "", 0, &p.span, &err) == 1);
	while (p.span.count > 0 && p.pointer.len < POINTER_MAX) {
		struct strata_json_span name, value;
		size_t step = plan_byte(plan), i;

		if (step % 8 == 7 && p.pointer.len > 0)
			break;
		i = step % p.span.count;
		p.parent = p.span;
		CHECK(strata_json_child(doc, p.pointer.data ? p.pointer.data : "", p.pointer.len, i,
		                        &name, &value, &err) == 1);
		if (p.parent.type == STRATA_JSON_OBJECT)
			add_name(&p.pointer, text + name.start, name.end - name.start);
		else
			add_number(&p.pointer, i);
		CHECK(strata_json_find(doc, p.pointer.data, p.pointer.len, &p.span, &err) == 1);
		CHECK(p.span.start == value.start && p.span.end == value.end);
	}
	CHECK(strata_buf_append(&p.pointer, "", 1, &err) == 0);
	p.pointer.len--;
	return p;
}

/* ---- edits -------------------------------------------------------------- */

static const char *const values[] = {"null",
                                     "true",
                                     "0",
                                     "-1.5e3",
                                     "\"\"",
                                     "\"a\\u00e9\\n\"",
                                     "[]",
                                     "{}",
                                     "[1,2]",
                                     "{\"a\":{\"b\":[]}}",
                                     " [ 1 , { \"x\" : null } ] ",
                                     "9007199254740993",
                                     "\"\\ud83d\\ude00\"",
                                     "\"</>&\"",
                                     "[[[]]]"};
static const char *const bad_values[] = {"",    "nul",         "[1,]", "{\"a\":1,\"a\":2}",
                                         "1 2", "\"\\ud800\"", "01"};
static const char *const names[] = {"a", "", "new", "~", "/", "0", "-", "\xc3\xa9", "Env"};

enum edit { SET, SET_NEW, INSERT, APPEND, REMOVE, RENAME, BAD, EDIT_KINDS };
static const char *const edit_names[] = {"set",    "set",    "insert", "insert",
                                         "remove", "rename", "bad"};

static int carry_out(struct strata_json *doc, enum edit edit, const struct strata_buf *pointer,
                     const char *value, struct strata_err *err)
{
	const char *at = pointer->data;

	switch (edit) {
	case INSERT:
	case APPEND:
		return strata_json_insert(doc, at, pointer->len, value, strlen(value), err);
	case REMOVE:
		return strata_json_remove(doc, at, pointer->len, err);
	case RENAME:
		return strata_json_rename(doc, at, pointer->len, value, strlen(value), err);
	default:
		return strata_json_set(doc, at, pointer->len, value, strlen(value), err);
	}
}

/* Only the container's bytes have changed; a value that is set, only its own. */
static void check_bytes(const struct strata_buf *before, const char *now, size_t len,
                        const struct strata_json_span *changed)
{
	size_t tail = before->len - changed->end;

	CHECK(len >= changed->start + tail);
	CHECK(memcmp(before->data, now, changed->start) == 0);
	CHECK(memcmp(before->data + changed->end, now + len - tail, tail) == 0);
}

static bool expected_failure(enum edit edit, const char *code)
{
	if (edit == BAD)
		return strcmp(code, "EFORMAT") == 0;
	if (strcmp(code, "ELIMIT") == 0)
		return true;
	if (edit == RENAME)
		return strcmp(code, "EEXIST") == 0 || strcmp(code, "EINVAL") == 0;
	return strcmp(code, edit == REMOVE ? "EINVAL" : "ENOENT") == 0;
}

/* Text before and after, pointer, kind, value: lua-cjson's model has to agree. */
static void ask_model(enum edit edit, const struct strata_buf *before, const char *now, size_t len,
                      const struct strata_buf *pointer, const char *value, int status)
{
	oracle("edited");
	lua_pushstring(L, edit_names[edit]);
	lua_pushlstring(L, before->data, before->len);
	lua_pushlstring(L, now, len);
	lua_pushlstring(L, pointer->data, pointer->len);
	lua_pushstring(L, value);
	lua_pushinteger(L, status);
	ask(6);
}

/* An edit has moved the tokens: they are those that a scan of the text gives. */
static bool same_tokens(const struct strata_json *a, const struct strata_json *b)
{
	bool same = a->tokens.n == b->tokens.n;

	for (size_t i = 0; same && i < a->tokens.n; i++) {
		const struct strata_json_token *x = &a->tokens.at[i], *y = &b->tokens.at[i];

		same = x->start == y->start && x->end == y->end && x->name_start == y->name_start &&
		       x->name_end == y->name_end && x->parent == y->parent && x->next == y->next &&
		       x->count == y->count && x->type == y->type;
	}
	return same;
}

static void edit_once(struct strata_json *doc, struct plan *plan)
{
	enum edit edit = (enum edit)plan_below(plan, EDIT_KINDS);
	struct place p = choose(doc, plan);
	struct strata_buf before = {0};
	struct strata_err err = {"", ""};
	struct strata_json_span changed = p.parent.type == STRATA_JSON_NULL ? p.span : p.parent;
	struct strata_json *again;
	const char *value =
	        edit == BAD ? bad_values[plan_below(plan, sizeof(bad_values) / sizeof(*bad_values))]
	        : edit == RENAME ? names[plan_below(plan, sizeof(names) / sizeof(*names))]
	                         : values[plan_below(plan, sizeof(values) / sizeof(*values))];
	const char *now;
	size_t len;
	int status;

	now = strata_json_text(doc, &len);
	CHECK(strata_buf_append(&before, now, len, &err) == 0);
	if (edit == APPEND || edit == SET_NEW) {
		const char *name = names[plan_below(plan, sizeof(names) / sizeof(*names))];
		char token[32];

		changed = p.span;
		snprintf(token, sizeof(token), "\"%s\"", edit == APPEND ? "-" : name);
		add_name(&p.pointer, token, strlen(token));
	} else if (edit == SET || edit == BAD) {
		changed = p.span;
	}
	status = carry_out(doc, edit, &p.pointer, value, &err);
	now = strata_json_text(doc, &len);
	if (status < 0)
		CHECK(expected_failure(edit, err.code));
	if (status <= 0)
		CHECK(len == before.len && memcmp(now, before.data, len) == 0);
	if (p.parent.type != STRATA_JSON_NULL || edit == SET_NEW || edit == APPEND)
		check_bytes(&before, now, len, &changed);
	again = parse(now, len, &err);
	CHECK(again != NULL && same_tokens(doc, again));
	strata_json_free(again);
	if (edit != BAD)
		ask_model(edit, &before, now, len, &p.pointer, value, status);
	strata_buf_free(&before);
	strata_buf_free(&p.pointer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan = plan_take(&data, &size, PLAN);
	const char *text = (const char *)data;
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse(text, size, &err);

	oracle("taken");
	lua_pushlstring(L, text, size);
	lua_pushboolean(L, doc != NULL);
	lua_pushstring(L, doc ? "" : err.code);
	lua_pushstring(L, doc ? "" : err.msg);
	ask(4);
	for (int i = 0; doc && i < EDITS; i++)
		edit_once(doc, &plan);
	strata_json_free(doc);
	lua_gc(L, LUA_GCCOLLECT, 0); /* what is left would be looked at as a leak each time */
	return 0;
}
