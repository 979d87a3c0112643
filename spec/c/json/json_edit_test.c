/*
 * JSON: pointers, and edits that touch their span alone.
 */
#include "core/json/internal.h"
#include "json/json_support.h"

static bool text_is(const struct strata_json *doc, const char *want)
{
	size_t len;
	const char *text = strata_json_text(doc, &len);

	return len == strlen(want) && !memcmp(text, want, len) && !text[len];
}

/* ---- pointers ---- */

static void finds(const struct strata_json *doc, const char *pointer, const char *want)
{
	struct strata_err err = {"", ""};
	struct guarded g = guard_text(pointer);
	struct strata_json_span span;
	size_t len;
	int rc = strata_json_find(doc, g.bytes, g.len, &span, &err);

	if (!want) {
		check(rc == 0, pointer, "must be absent");
	} else {
		check(rc == 1 && span.end - span.start == strlen(want) &&
		              !memcmp(strata_json_text(doc, &len) + span.start, want, strlen(want)),
		      pointer, err.msg);
	}
	unguard(&g);
}

static void malformed(struct strata_json *doc, const char *pointer)
{
	struct strata_err err = {"", ""};
	struct guarded g = guard_text(pointer);
	struct strata_json_span span;

	check(strata_json_find(doc, g.bytes, g.len, &span, &err) == -1 &&
	              !strcmp(err.code, "EINVAL"),
	      pointer, "must be EINVAL");
	check(strata_json_set(doc, g.bytes, g.len, "1", 1, &err) == -1 &&
	              !strcmp(err.code, "EINVAL"),
	      pointer, "must be EINVAL for set");
	unguard(&g);
}

static void test_find(void)
{
	static const char text[] =
	        "{ \"a\": [1, [2, \"x\"], {}], \"\": 3, \"m~n\": 4, \"a/b\": 5, \"\\u00e4\": 6,"
	        "\"0\": 7, \"-\": 8, \"01\": 9, \"\\\"\": 10, \"~1\": 11, \"n\\u0000\": 12}";
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(text, strlen(text), NULL, &err);

	if (!doc) {
		check(false, text, err.msg);
		return;
	}
	finds(doc, "", text);
	finds(doc, "/a", "[1, [2, \"x\"], {}]");
	finds(doc, "/a/0", "1");
	finds(doc, "/a/1/1", "\"x\"");
	finds(doc, "/a/2", "{}");
	finds(doc, "/a/3", NULL);
	finds(doc, "/a/-", NULL);
	finds(doc, "/a/00", NULL);
	finds(doc, "/a/01", NULL);
	finds(doc, "/a/+1", NULL);
	finds(doc, "/a/ 1", NULL);
	finds(doc, "/a/", NULL);
	finds(doc, "/a/18446744073709551616", NULL);
	finds(doc, "/a/18446744073709551617", NULL);
	finds(doc, "/a/0/0", NULL);
	finds(doc, "/a/2/x", NULL);
	finds(doc, "/", "3");
	finds(doc, "/m~0n", "4");
	finds(doc, "/a~1b", "5");
	finds(doc, "/\xc3\xa4", "6");
	finds(doc, "/\\u00e4", NULL);
	finds(doc, "/0", "7");
	finds(doc, "/-", "8");
	finds(doc, "/01", "9");
	finds(doc, "/\"", "10");
	finds(doc, "/~01", "11");
	finds(doc, "/~1", NULL);
	finds(doc, "/n", NULL);
	finds(doc, "/aa", NULL);
	finds(doc, "//", NULL);
	malformed(doc, "a");
	malformed(doc, "/~");
	malformed(doc, "/~2");
	malformed(doc, "/a~");
	malformed(doc, "/a/~/0");
	strata_json_free(doc);
}

static void test_children(void)
{
	static const char text[] = "{\"a\":[10,[],30],\"b\":{}}";
	struct strata_json_span name, value;
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(text, strlen(text), NULL, &err);

	if (!doc) {
		check(false, text, err.msg);
		return;
	}
	check(strata_json_child(doc, "", 0, 0, &name, &value, &err) == 1 && name.start == 1 &&
	              name.end == 4 && value.type == STRATA_JSON_ARRAY && value.count == 3,
	      text, "first member");
	check(strata_json_next(doc, &name, &value) && value.type == STRATA_JSON_OBJECT &&
	              !memcmp(text + name.start, "\"b\"", 3),
	      text, "second member");
	check(!strata_json_next(doc, &name, &value), text, "no third member");
	check(strata_json_child(doc, "/a", 2, 2, &name, &value, &err) == 1 && value.start == 12 &&
	              value.end == 14,
	      text, "third element");
	check(strata_json_child(doc, "/a", 2, 3, &name, &value, &err) == 0, text, "no fourth");
	check(strata_json_child(doc, "/b", 2, 0, &name, &value, &err) == 0, text, "empty object");
	check(strata_json_child(doc, "/a/0", 4, 0, &name, &value, &err) == 0, text, "a scalar");
	check(strata_json_child(doc, "b", 1, 0, &name, &value, &err) == -1, text, "malformed");
	strata_json_free(doc);
}

/* ---- edits ---- */

enum edit { SET, INSERT, REMOVE, RENAME };

struct edit_case {
	enum edit edit;
	const char *text;
	const char *pointer;
	const char *value;
	const char *want; /* the text after it; or a code, for an edit that fails */
};

static int apply(struct strata_json *doc, const struct edit_case *c, struct strata_err *err)
{
	struct guarded pointer = guard_text(c->pointer);
	struct guarded value = guard_text(c->value ? c->value : "");
	int rc = -1;

	switch (c->edit) {
	case SET:
		rc = strata_json_set(doc, pointer.bytes, pointer.len, value.bytes, value.len, err);
		break;
	case INSERT:
		rc = strata_json_insert(doc, pointer.bytes, pointer.len, value.bytes, value.len,
		                        err);
		break;
	case REMOVE:
		rc = strata_json_remove(doc, pointer.bytes, pointer.len, err);
		break;
	case RENAME:
		rc = strata_json_rename(doc, pointer.bytes, pointer.len, value.bytes, value.len,
		                        err);
		break;
	}
	unguard(&pointer);
	unguard(&value);
	return rc;
}

static void edits(const struct edit_case *c, size_t n)
{
	for (; n--; c++) {
		struct strata_err err = {"", ""};
		struct strata_json *doc = parse_limited(c->text, strlen(c->text), NULL, &err);
		bool fails = c->want[0] == 'E';
		size_t len;
		int rc;

		if (!doc) {
			check(false, c->text, err.msg);
			continue;
		}
		rc = apply(doc, c, &err);
		check(fails ? rc == -1 && !strcmp(err.code, c->want) : rc >= 0, c->text, err.msg);
		check(text_is(doc, fails ? c->text : c->want), c->pointer,
		      strata_json_text(doc, &len));
		if (c->edit == SET && !fails)
			check(rc == (strcmp(c->text, c->want) != 0), c->text,
			      "tells if it changed");
		strata_json_free(doc);
	}
}

#define EDITS(cases) edits(cases, sizeof(cases) / sizeof(*(cases)))

static void test_set(void)
{
	static const struct edit_case cases[] = {
	        {SET, "{\"a\":1,\"b\":2}", "/a", "10", "{\"a\":10,\"b\":2}"},
	        {SET, "{\"a\":1,\"b\":2}", "/b", " 3\n", "{\"a\":1,\"b\":3}"},
	        {SET, "{\"a\": 1.0, \"b\": \"\\u0041\"}", "/a", "1.0",
	         "{\"a\": 1.0, \"b\": \"\\u0041\"}"},
	        {SET, "{\"b\": \"\\u0041\"}", "/b", "\"A\"", "{\"b\": \"A\"}"},
	        {SET, " [1] \n", "", "{}", " {} \n"},
	        {SET, "[1]", "", "{ \"a\" : 1 }", "{ \"a\" : 1 }"},
	        {SET, "[1,2,3]", "/1", "[4,5]", "[1,[4,5],3]"},
	        {SET, "[1, 2, 3]", "/1", "[4,5]", "[1, [4, 5], 3]"},
	        {SET, "{\"a\": {\"x\": 1, \"y\": 2}}", "/a", "{\"z\":[1,2]}",
	         "{\"a\": {\"z\": [1, 2]}}"},
	        {SET, "{\"a\":{\"x\":1}}", "/a", "{ \"z\" : [ 1 , 2 ] }", "{\"a\":{\"z\":[1,2]}}"},
	        {SET, "{\"a\":[1,2]}", "/a", "[1,2]", "{\"a\":[1,2]}"},
	        {SET, "{\"a\":[1,2]}", "/a", " [ 1, 2 ] ", "{\"a\":[1,2]}"},
	        /* new members */
	        {SET, "{}", "/a", "1", "{\"a\":1}"},
	        {SET, "{\"a\":1}", "/b", "2", "{\"a\":1,\"b\":2}"},
	        {SET, "{\"a\": 1}", "/b", "2", "{\"a\": 1, \"b\": 2}"},
	        {SET, "{ \"a\": 1 }", "/b", "2", "{ \"a\": 1, \"b\": 2 }"},
	        {SET, "{\"a\" : 1 , \"b\" : 2}", "/c", "3", "{\"a\" : 1 , \"b\" : 2 , \"c\" : 3}"},
	        {SET, "{\"a\":1,\n \"b\":2}", "/c", "3", "{\"a\":1,\n \"b\":2,\n \"c\":3}"},
	        {SET, "{\n  \"a\": 1\n}\n", "/b", "2", "{\n  \"a\": 1,\n  \"b\": 2\n}\n"},
	        {SET, "{\n\t\"a\": 1\n}", "/b", "{\"x\":[1,2],\"y\":{}}",
	         "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"x\": [\n\t\t\t1,\n\t\t\t2\n\t\t],\n\t\t\"y\": "
	         "{}\n\t}\n}"},
	        {SET, "{\r\n  \"a\": {}\r\n}", "/a/b", "1",
	         "{\r\n  \"a\": {\r\n    \"b\": 1\r\n  }\r\n}"},
	        {SET, "{\n  \"a\": {},\n  \"s\": {\"x\": 1}\n}", "/a/b", "1",
	         "{\n  \"a\": {\"b\": 1},\n  \"s\": {\"x\": 1}\n}"},
	        {SET, "{\n  \"a\": [\"x\", \"y\"],\n  \"b\": 1\n}", "/a", "[\"z\",\"u\"]",
	         "{\n  \"a\": [\"z\", \"u\"],\n  \"b\": 1\n}"},
	        {SET, "{\n  \"a\": null\n}", "/a", "[1,2]", "{\n  \"a\": [\n    1,\n    2\n  ]\n}"},
	        {SET, "{\"a\":{\n  \"b\": {}}}", "/a/b/c", "1",
	         "{\"a\":{\n  \"b\": {\n    \"c\": 1\n  }}}"},
	        {SET, "{ }", "/a", "1", "{\"a\":1}"},
	        {SET, "[ [ 1, 2 ], [] ]", "/1/-", "3", "[ [ 1, 2 ], [ 3 ] ]"},
	        {SET, "{\"a\":1}", "/<&>", "2", "{\"a\":1,\"\\u003c\\u0026\\u003e\":2}"},
	        {SET, "{\"a\":1}", "/x~1y~0z", "2", "{\"a\":1,\"x/y~z\":2}"},
	        {SET, "{\"a\":1}", "/", "2", "{\"a\":1,\"\":2}"},
	        {SET, "{\"a\":1}", "/\xff", "2", "EFORMAT"},
	        /* missing parents */
	        {SET, "{}", "/a/b/c", "1", "{\"a\":{\"b\":{\"c\":1}}}"},
	        {SET, "{\n \"x\": 0\n}", "/a/b", "1",
	         "{\n \"x\": 0,\n \"a\": {\n  \"b\": 1\n }\n}"},
	        {SET, "[]", "/0/a", "1", "[{\"a\":1}]"},
	        {SET, "[]", "/-/-", "1", "[{\"-\":1}]"},
	        /* arrays */
	        {SET, "[]", "/-", "1", "[1]"},
	        {SET, "[]", "/0", "1", "[1]"},
	        {SET, "[1,2]", "/-", "3", "[1,2,3]"},
	        {SET, "[1,2]", "/2", "3", "[1,2,3]"},
	        {SET, "[\n  1\n]", "/-", "2", "[\n  1,\n  2\n]"},
	        {SET, "[1,2]", "/3", "3", "ENOENT"},
	        {SET, "[1,2]", "/00", "3", "ENOENT"},
	        {SET, "[1,2]", "/x", "3", "ENOENT"},
	        {SET, "[1,2]", "/99999999999999999999", "3", "ENOENT"},
	        {SET, "{\"a\":1}", "/a/b", "3", "ENOENT"},
	        {SET, "{\"a\":null}", "/a/b", "3", "ENOENT"},
	        {SET, "{\"a\":\"s\"}", "/a/0", "3", "ENOENT"},
	        {SET, "1", "/a", "3", "ENOENT"},
	        /* values that are none */
	        {SET, "{\"a\":1}", "/a", "", "EFORMAT"},
	        {SET, "{\"a\":1}", "/a", "1,\"b\":2", "EFORMAT"},
	        {SET, "{\"a\":1}", "/b", "1 2", "EFORMAT"},
	        {SET, "{\"a\":1}", "/b", "01", "EFORMAT"},
	        {SET, "{\"a\":1}", "/b", "{\"x\":1,\"x\":2}", "EFORMAT"},
	        {SET, "{\"a\":1}", "/b", "\"\\ud800\"", "EFORMAT"},
	};

	EDITS(cases);
}

static void test_insert(void)
{
	static const struct edit_case cases[] = {
	        {INSERT, "[]", "/0", "1", "[1]"},
	        {INSERT, "[]", "/-", "1", "[1]"},
	        {INSERT, "[1]", "/0", "0", "[0,1]"},
	        {INSERT, "[ 1 ]", "/0", "0", "[ 0,1 ]"},
	        {INSERT, "[1,2]", "/0", "0", "[0,1,2]"},
	        {INSERT, "[1, 2]", "/1", "9", "[1, 9, 2]"},
	        {INSERT, "[1, 2]", "/2", "9", "[1, 2, 9]"},
	        {INSERT, "[1, 2]", "/-", "9", "[1, 2, 9]"},
	        {INSERT, "[\n  1\n]", "/0", "0", "[\n  0,\n  1\n]"},
	        {INSERT, "[\n  1,\n  2\n]", "/1", "{\"a\":1}",
	         "[\n  1,\n  {\n    \"a\": 1\n  },\n  2\n]"},
	        {INSERT, "{\"h\":[{\"a\":1},{\"b\":2}]}", "/h/1", "{\"c\":3}",
	         "{\"h\":[{\"a\":1},{\"c\":3},{\"b\":2}]}"},
	        {INSERT, "[1]", "/2", "0", "ENOENT"},
	        {INSERT, "[1]", "/00", "0", "ENOENT"},
	        {INSERT, "{}", "/0", "0", "ENOENT"},
	        {INSERT, "[1]", "/0/0", "0", "ENOENT"},
	        {INSERT, "[1]", "/5/0", "0", "ENOENT"},
	        {INSERT, "[1]", "", "0", "ENOENT"},
	        {INSERT, "[1]", "x", "0", "EINVAL"},
	        {INSERT, "[1]", "/0", "x", "EFORMAT"},
	};

	EDITS(cases);
}

static void test_remove(void)
{
	static const struct edit_case cases[] = {
	        {REMOVE, "{\"a\":1,\"b\":2,\"c\":3}", "/a", NULL, "{\"b\":2,\"c\":3}"},
	        {REMOVE, "{\"a\":1,\"b\":2,\"c\":3}", "/b", NULL, "{\"a\":1,\"c\":3}"},
	        {REMOVE, "{\"a\":1,\"b\":2,\"c\":3}", "/c", NULL, "{\"a\":1,\"b\":2}"},
	        {REMOVE, "{ \"a\": 1, \"b\": 2 }", "/a", NULL, "{ \"b\": 2 }"},
	        {REMOVE, "{ \"a\": 1, \"b\": 2 }", "/b", NULL, "{ \"a\": 1 }"},
	        {REMOVE, "{ \"a\": 1 }", "/a", NULL, "{}"},
	        {REMOVE, "{\n  \"a\": [1],\n  \"b\": 2\n}", "/a", NULL, "{\n  \"b\": 2\n}"},
	        {REMOVE, "{\n  \"a\": [1],\n  \"b\": 2\n}", "/b", NULL, "{\n  \"a\": [1]\n}"},
	        {REMOVE, "{\n  \"a\": [1]\n}", "/a/0", NULL, "{\n  \"a\": []\n}"},
	        {REMOVE, "[\n  1\n  ,2\n  ,3\n]", "/1", NULL, "[\n  1\n  ,3\n]"},
	        {REMOVE, "[1,[2,3],4]", "/1/1", NULL, "[1,[2],4]"},
	        {REMOVE, "[1,[2,3],4]", "/1", NULL, "[1,4]"},
	        {REMOVE, "[1]", "/1", NULL, "[1]"},
	        {REMOVE, "[1]", "/-", NULL, "[1]"},
	        {REMOVE, "{\"a\":1}", "/b", NULL, "{\"a\":1}"},
	        {REMOVE, "{\"a\":1}", "/a/b", NULL, "{\"a\":1}"},
	        {REMOVE, "{\"a\":1}", "", NULL, "EINVAL"},
	        {REMOVE, "{\"a\":1}", "a", NULL, "EINVAL"},
	};

	EDITS(cases);
}

static void test_rename(void)
{
	static const struct edit_case cases[] = {
	        {RENAME, "{\"a\" : 1,\"b\":2}", "/a", "c", "{\"c\" : 1,\"b\":2}"},
	        {RENAME, "{\"\\u0061\":1}", "/a", "a", "{\"\\u0061\":1}"},
	        {RENAME, "{\"a\":1}", "/a", "<\n", "{\"\\u003c\\n\":1}"},
	        {RENAME, "{\"a\":1}", "/b", "c", "{\"a\":1}"},
	        {RENAME, "{\"x\":{\"a\":1},\"b\":2}", "/x/a", "b", "{\"x\":{\"b\":1},\"b\":2}"},
	        {RENAME, "{\"a\":1,\"\\u0062\":2}", "/a", "b", "EEXIST"},
	        {RENAME, "{\"a\":1}", "/a", "\xff", "EFORMAT"},
	        {RENAME, "[1]", "/0", "b", "EINVAL"},
	        {RENAME, "[1]", "", "b", "EINVAL"},
	};

	EDITS(cases);
}

static void test_remove_and_set(void)
{
	static const char text[] =
	        "{\n  \"a\": 1,\n  \"b\": {\n    \"x\": 1\n  },\n  \"c\": 3\n}\n";
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(text, strlen(text), NULL, &err);

	if (!doc) {
		check(false, text, err.msg);
		return;
	}
	check(strata_json_remove(doc, "/b/x", 4, &err) == 1 &&
	              text_is(doc, "{\n  \"a\": 1,\n  \"b\": {},\n  \"c\": 3\n}\n"),
	      text, "empties b");
	check(strata_json_set(doc, "/b/x", 4, "1", 1, &err) == 1 && text_is(doc, text), text,
	      "fills b as it was");
	check(strata_json_remove(doc, "/c", 2, &err) == 1 &&
	              strata_json_set(doc, "/c", 2, "3", 1, &err) == 1 && text_is(doc, text),
	      text, "removes and sets the last");
	strata_json_free(doc);
}

static void edit_limited(struct strata_json_limits limits, const char *text, const char *pointer,
                         const char *value)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(text, strlen(text), &limits, &err);

	if (!doc) {
		check(false, text, err.msg);
		return;
	}
	check(strata_json_set(doc, pointer, strlen(pointer), value, strlen(value), &err) == -1 &&
	              !strcmp(err.code, "ELIMIT") && text_is(doc, text),
	      text, err.msg);
	strata_json_free(doc);
}

static void test_edit_limits(void)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = strata_json_parse("{}", 2, NULL, &err);
	char pointer[2 * 100 + 1];

	edit_limited((struct strata_json_limits){.max_bytes = 10}, "{\"a\":1}", "/a", "12345");
	edit_limited((struct strata_json_limits){.max_bytes = 10}, "{\"a\":1}", "/b", "1");
	edit_limited((struct strata_json_limits){.max_depth = 2}, "{\"a\":[]}", "/a/-", "[]");
	edit_limited((struct strata_json_limits){.max_depth = 2}, "{}", "/a/b/c", "1");
	edit_limited((struct strata_json_limits){.max_values = 3}, "[1,2]", "/-", "3");
	/* an indentation that would blow the value up */
	edit_limited((struct strata_json_limits){.max_bytes = 64},
	             "[\n                              1\n]", "/0", "[[[1]]]");
	for (size_t i = 0; i < 100; i++)
		memcpy(pointer + 2 * i, "/a", 2);
	check(strata_json_set(doc, pointer, 200, "1", 1, &err) == -1 &&
	              !strcmp(err.code, "ELIMIT") && text_is(doc, "{}"),
	      "pointer of 100 parts", err.msg);
	strata_json_free(doc);
}

/* ---- every value of some documents, in every way ---- */

/* Replaces one value: the bytes before and behind it must stay. */
static void replace_span(const char *text, const char *pointer)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = strata_json_parse(text, strlen(text), NULL, &err);
	struct strata_json_span span;
	size_t len, tail;
	const char *now;

	strata_json_find(doc, pointer, strlen(pointer), &span, &err);
	tail = strlen(text) - span.end;
	check(strata_json_set(doc, pointer, strlen(pointer), "\"#new#\"", 7, &err) == 1, pointer,
	      err.msg);
	now = strata_json_text(doc, &len);
	check(len == span.start + 7 + tail && !memcmp(now, text, span.start) &&
	              !memcmp(now + len - tail, text + span.end, tail),
	      pointer, now);
	strata_json_free(doc);
}

/* Removes one value; then it must be gone, the text valid, others untouched. */
static void remove_span(const char *text, const char *pointer)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = strata_json_parse(text, strlen(text), NULL, &err), *again;
	struct strata_json_span before, after;
	const char *slash = strrchr(pointer, '/'), *now;
	size_t parent = (size_t)(slash - pointer), len;

	strata_json_find(doc, pointer, parent, &before, &err);
	check(strata_json_remove(doc, pointer, strlen(pointer), &err) == 1, pointer, err.msg);
	strata_json_find(doc, pointer, parent, &after, &err);
	check(after.count == before.count - 1, pointer, "one child less");
	now = strata_json_text(doc, &len);
	check(!memcmp(now, text, before.start) &&
	              !memcmp(now + after.end, text + before.end, len - after.end),
	      pointer, now);
	again = strata_json_parse(now, len, NULL, &err);
	check(again != NULL, pointer, err.msg);
	strata_json_free(again);
	strata_json_free(doc);
}

static void test_every_place(void)
{
	static const char *const texts[] = {
	        "{\"a\":[1,{\"b\":[],\"c\":{}},\"x\"],\"d\":{\"e\":null}}",
	        "{ \"a\" : [ 1 , { \"b\" : [ ] , \"c\" : { } } , \"x\" ] , \"d\" : { \"e\" : null "
	        "} }",
	        "{\n  \"a\": [\n    1,\n    {\n      \"b\": [],\n      \"c\": {}\n    },\n    "
	        "\"x\"\n  ],\n"
	        "  \"d\": {\n    \"e\": null\n  }\n}\n",
	        "\r\n{\"a\":[1,{\"b\":[\t],\r\n\"c\":{}}\t,\"x\"],\"d\"\n:{\"e\":null\n}}",
	};
	static const char *const pointers[] = {"/a",     "/a/0", "/a/1", "/a/1/b",
	                                       "/a/1/c", "/a/2", "/d",   "/d/e"};

	for (size_t t = 0; t < sizeof(texts) / sizeof(*texts); t++)
		for (size_t p = 0; p < sizeof(pointers) / sizeof(*pointers); p++) {
			replace_span(texts[t], pointers[p]);
			remove_span(texts[t], pointers[p]);
		}
}

/* ---- many edits of one document ---- */

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

struct dice {
	uint32_t state;
};

static size_t roll(struct dice *dice, size_t sides)
{
	dice->state = dice->state * 1664525u + 1013904223u;
	return (dice->state >> 8) % sides;
}

/* A pointer to somewhere, now and then to where nothing is. */
static void somewhere(const struct strata_json *doc, struct dice *dice, char *pointer, size_t size)
{
	struct strata_err err = {"", ""};
	struct strata_json_span span, name, value;
	size_t len = 0, total;

	pointer[0] = '\0';
	while (strata_json_find(doc, pointer, len, &span, &err) == 1 && len + 16 < size) {
		size_t i = roll(dice, span.count + 2);

		if (len > 0 && roll(dice, 3) == 0)
			return;
		if (strata_json_child(doc, pointer, len, i, &name, &value, &err) == 1 &&
		    span.type == STRATA_JSON_OBJECT)
			len += (size_t)snprintf(pointer + len, size - len, "/%.*s",
			                        (int)(name.end - name.start - 2),
			                        strata_json_text(doc, &total) + name.start + 1);
		else
			len += (size_t)snprintf(pointer + len, size - len,
			                        roll(dice, 2) ? "/%zu" : "/n%zu", i);
	}
}

static void test_many_edits(void)
{
	static const char *const values[] = {"1",
	                                     "\"text\"",
	                                     "[]",
	                                     "{}",
	                                     "[1,[2,[3,4]],{\"a\":[]}]",
	                                     "{\"a\":{\"b\":{}},\"c\":[null,true]}"};
	static const char text[] = "{\n \"a\": [1, {\"b\": []}],\n \"c\": {\"d\": null}\n}";
	const struct strata_json_limits limits = {
	        .max_bytes = 220, .max_depth = 5, .max_values = 30};
	struct dice dice = {1};
	size_t changed = 0, refused = 0;

	for (int round = 0; round < 200; round++) {
		struct strata_err err = {"", ""};
		struct strata_json *doc = strata_json_parse(text, strlen(text), &limits, &err);

		for (int i = 0; i < 60; i++) {
			const char *value = values[roll(&dice, 6)], *now;
			struct strata_json *again;
			char pointer[200];
			size_t len;
			int rc;

			somewhere(doc, &dice, pointer, sizeof(pointer));
			len = strlen(pointer);
			switch (roll(&dice, 5)) {
			case 0:
				rc = strata_json_remove(doc, pointer, len, &err);
				break;
			case 1:
				rc = strata_json_insert(doc, pointer, len, value, strlen(value),
				                        &err);
				break;
			case 2:
				rc = strata_json_rename(doc, pointer, len, "n1", 2, &err);
				break;
			default:
				rc = strata_json_set(doc, pointer, len, value, strlen(value), &err);
			}
			changed += rc > 0;
			refused += rc < 0 && !strcmp(err.code, "ELIMIT");
			now = strata_json_text(doc, &len);
			again = strata_json_parse(now, len, &limits, &err);
			check(again && !now[len] && same_tokens(doc, again), pointer, now);
			strata_json_free(again);
		}
		strata_json_free(doc);
	}
	CHECK(changed > 3000 && refused > 50);
}

int main(void)
{
	RUN(test_find);
	RUN(test_children);
	RUN(test_set);
	RUN(test_insert);
	RUN(test_remove);
	RUN(test_rename);
	RUN(test_remove_and_set);
	RUN(test_edit_limits);
	RUN(test_every_place);
	RUN(test_many_edits);
	return check_sum("json_edit");
}
