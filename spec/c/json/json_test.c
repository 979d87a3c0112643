/*
 * JSON: what is valid and what is not, limits, strings and numbers.
 */
#include "json/json_support.h"

static void accepts_bytes(const char *bytes, size_t len)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(bytes, len, NULL, &err);
	size_t kept = 0;

	check(doc != NULL, bytes, err.msg);
	if (doc)
		check(!memcmp(strata_json_text(doc, &kept), bytes, len) && kept == len, bytes,
		      "text is kept");
	strata_json_free(doc);
}

static void accepts(const char *text)
{
	accepts_bytes(text, strlen(text));
}

static void rejects_bytes(const char *bytes, size_t len, const char *offset)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(bytes, len, NULL, &err);

	check(!doc && !strcmp(err.code, "EFORMAT"), bytes, "must be EFORMAT");
	check(strstr(err.msg, offset) != NULL, bytes, err.msg);
	strata_json_free(doc);
}

static void rejects(const char *text, size_t offset)
{
	char where[32];

	snprintf(where, sizeof(where), "(offset %zu)", offset);
	rejects_bytes(text, strlen(text), where);
}

static void test_grammar(void)
{
	static const char *const good[] = {
	        "null",
	        "true",
	        "false",
	        "0",
	        "-0",
	        "-1",
	        "10",
	        "1.5",
	        "1e400",
	        "1E+2",
	        "-0.0e-0",
	        "12345678901234567890",
	        "\"\"",
	        "\"\\u0000\"",
	        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	        "\"\\ud83d\\ude00\"",
	        "\"\xf0\x9f\x98\x80 \xc3\xa4 \xef\xbf\xbf \x7f\"",
	        "[]",
	        "{}",
	        " \t\r\n[ ] \t\r\n",
	        "{\"\":1}",
	        "[[],{}]",
	        "{\"a\":{\"a\":1},\"b\":[{\"a\":2}]}",
	        "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
	};
	static const struct {
		const char *text;
		size_t offset;
	} bad[] = {
	        {"", 0},
	        {" ", 1},
	        {"\xef\xbb\xbf{}", 0},
	        {"{} x", 3},
	        {"{}{}", 2},
	        {"[] ,", 3},
	        {"01", 1},
	        {"-", 1},
	        {"-01", 2},
	        {"+1", 0},
	        {".5", 0},
	        {"1.", 2},
	        {"1.e5", 2},
	        {"1e", 2},
	        {"1e+", 3},
	        {"0x10", 1},
	        {"NaN", 0},
	        {"Infinity", 0},
	        {"nul", 0},
	        {"True", 0},
	        {"nulll", 4},
	        {"'a'", 0},
	        {"\"", 1},
	        {"\"a", 2},
	        {"\"\\", 2},
	        {"\"\\x\"", 2},
	        {"\"\\u12\"", 5},
	        {"\"\\u123", 6},
	        {"\"\\u12g4\"", 5},
	        {"\"\t\"", 1},
	        {"\"\n\"", 1},
	        {"\"\\ud800\"", 7},
	        {"\"\\udc00\"", 7},
	        {"\"\\ud800\\n\"", 8},
	        {"\"\\ud800\\ud800\"", 13},
	        {"\"\\ud800x\"", 7},
	        {"\"\xc0\x80\"", 1},
	        {"\"\xc1\xbf\"", 1},
	        {"\"\xe0\x9f\xbf\"", 1},
	        {"\"\xf0\x8f\xbf\xbf\"", 1},
	        {"\"\xed\xa0\x80\"", 1},
	        {"\"\xf4\x90\x80\x80\"", 1},
	        {"\"\xf5\x80\x80\x80\"", 1},
	        {"\"\x80\"", 1},
	        {"\"\xe2\x82", 1},
	        {"\"\xff\"", 1},
	        {"[", 1},
	        {"[1", 2},
	        {"[1,", 3},
	        {"[1,]", 3},
	        {"[,1]", 1},
	        {"[1 2]", 3},
	        {"[1}", 2},
	        {"[1:2]", 2},
	        {"{", 1},
	        {"{\"a\"", 4},
	        {"{\"a\":", 5},
	        {"{\"a\":1", 6},
	        {"{\"a\":1,", 7},
	        {"{\"a\":1,}", 7},
	        {"{,}", 1},
	        {"{a:1}", 1},
	        {"{1:1}", 1},
	        {"{\"a\" 1}", 5},
	        {"{\"a\":1 \"b\":2}", 7},
	        {"{\"a\":1]", 6},
	        {"]", 0},
	        {"/* */ 1", 0},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		accepts(good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		rejects(bad[i].text, bad[i].offset);
	rejects_bytes("\"a\0b\"", 5, "(offset 2)");
	rejects_bytes("{}\0", 3, "(offset 2)");
	rejects_bytes("\"\\\0\"", 4, "(offset 2)");
	rejects_bytes("\0", 1, "(offset 0)");
}

static void test_duplicates(void)
{
	rejects("{\"a\":1,\"a\":2}", 7);
	rejects("{\"a\":1,\"\\u0061\":2}", 7);
	rejects("{\"\\u0061\":1,\"b\":0,\"a\":2}", 18);
	rejects("{\"/\":1,\"\\/\":2}", 7);
	rejects("{\"\":1,\"\":2}", 6);
	rejects("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", 18);
	rejects("[{\"x\":{\"b\":1,\"a\":2,\"b\":3}}]", 19);
	accepts("{\"a\":1,\"A\":2,\"a\\u0000\":3,\"\":4}");
	accepts("[{\"a\":1},{\"a\":1}]");
}

/* {"k0":0,"k1":0,...} of n members, `last` for the name of the last one. */
static char *many_members(size_t n, const char *last)
{
	char *text = malloc(n * 24 + 64), *p = text;

	if (!text)
		exit(2);
	*p++ = '{';
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "\"k%zu\":0,", i);
	sprintf(p, "\"%s\":0}", last);
	return text;
}

/* Would take minutes in quadratic time. */
static void test_many_names(void)
{
	struct strata_json_limits limits = {.max_bytes = 64u << 20};
	struct strata_err err = {"", ""};
	char *text = many_members(900000, "last");
	struct strata_json *doc = parse_limited(text, strlen(text), &limits, &err);

	check(doc != NULL, "900001 names", err.msg);
	strata_json_free(doc);
	free(text);
	text = many_members(900000, "k\\u0031");
	doc = parse_limited(text, strlen(text), &limits, &err);
	check(!doc && strstr(err.msg, "duplicate name"), "900001 names, one twice", err.msg);
	strata_json_free(doc);
	free(text);
}

static void limited(const char *text, struct strata_json_limits limits, const char *code)
{
	struct strata_err err = {"", ""};
	struct strata_json *doc = parse_limited(text, strlen(text), &limits, &err);

	check((doc != NULL) == !*code && !strcmp(err.code, code), text, err.msg);
	strata_json_free(doc);
}

static void test_limits(void)
{
	char deep[2 * STRATA_JSON_MAX_DEPTH + 3];
	const size_t n = STRATA_JSON_MAX_DEPTH;
	struct strata_json_limits defaults = {0};

	limited("[1,2]", (struct strata_json_limits){.max_bytes = 5}, "");
	limited("[1,2]", (struct strata_json_limits){.max_bytes = 4}, "ELIMIT");
	limited("[1,2]", (struct strata_json_limits){.max_values = 3}, "");
	limited("[1,2]", (struct strata_json_limits){.max_values = 2}, "ELIMIT");
	limited("[{\"a\":[]}]", (struct strata_json_limits){.max_depth = 3}, "");
	limited("[{\"a\":[]}]", (struct strata_json_limits){.max_depth = 2}, "ELIMIT");
	limited("[[],[],[]]", (struct strata_json_limits){.max_depth = 2}, "");
	memset(deep, '[', n);
	memset(deep + n, ']', n);
	deep[2 * n] = '\0';
	limited(deep, defaults, "");
	memset(deep, '[', n + 1);
	memset(deep + n + 1, ']', n + 1);
	deep[2 * n + 2] = '\0';
	limited(deep, defaults, "ELIMIT");
}

/* Cut anywhere, a document is no document. */
static void test_every_prefix(void)
{
	static const char text[] = "{\"a\":[1.5e3,true,null,\"\\ud83d\\ude00\xc3\xa4\"],\"b\":{}}";

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct strata_err err = {"", ""};
		struct strata_json *doc = parse_limited(text, n, NULL, &err);

		check(!doc && !strcmp(err.code, "EFORMAT"), text, "prefix");
		strata_json_free(doc);
	}
}

/* ---- strings and numbers ---- */

static void quotes(const char *bytes, size_t len, const char *want)
{
	struct strata_buf quoted = {0}, back = {0};
	struct strata_err err = {"", ""};
	struct guarded g = guard(bytes, len), token;
	int rc = strata_json_quote(&quoted, g.bytes, g.len, &err);

	unguard(&g);
	check(rc == 0 && quoted.len == strlen(want) && !memcmp(quoted.data, want, quoted.len), want,
	      err.msg);
	token = guard_text(want);
	rc = strata_json_unquote(&back, token.bytes, token.len, &err);
	unguard(&token);
	check(rc == 0 && back.len == len && (!len || !memcmp(back.data, bytes, len)), want,
	      "unquotes to the same");
	strata_buf_free(&quoted);
	strata_buf_free(&back);
}

static void test_strings(void)
{
	static const char *const bad[] = {"\x80", "a\xc3", "\xed\xa0\x80", "\xc0\x80",
	                                  "\xf4\x90\x80\x80"};
	struct strata_buf b = {0};
	struct strata_err err;

	quotes("", 0, "\"\"");
	quotes("a/b", 3, "\"a/b\"");
	quotes("\"\\", 2, "\"\\\"\\\\\"");
	quotes("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
	quotes("\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\"");
	quotes("<a && b>", 8, "\"\\u003ca \\u0026\\u0026 b\\u003e\"");
	quotes("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9, "\"\\u2028\\u2029\xe2\x80\xaa\"");
	quotes("\xc3\xa4\xf0\x9f\x98\x80", 6, "\"\xc3\xa4\xf0\x9f\x98\x80\"");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct guarded g = guard_text(bad[i]);

		check(strata_json_quote(&b, g.bytes, g.len, &err) == -1 &&
		              !strcmp(err.code, "EFORMAT") && b.len == 0,
		      bad[i], "no UTF-8");
		unguard(&g);
	}
	check(!strata_json_unquote(&b, "\"\\u00e4\\ud83d\\ude00\\u20AC\\/\"", 28, &err) &&
	              b.len == 10 && !memcmp(b.data, "\xc3\xa4\xf0\x9f\x98\x80\xe2\x82\xac/", 10),
	      "unquote", err.msg);
	check(strata_json_unquote(&b, "1", 1, &err) == -1, "unquote", "a number is no string");
	check(strata_json_unquote(&b, "\"a", 2, &err) == -1, "unquote", "no end");
	strata_buf_free(&b);
}

static void integer(const char *token, bool fits, int64_t want)
{
	struct guarded g = guard_text(token);
	int64_t value = 0;

	check(strata_json_integer(g.bytes, g.len, &value) == fits && (!fits || value == want),
	      token, "integer");
	unguard(&g);
}

static void test_numbers(void)
{
	integer("0", true, 0);
	integer("-0", true, 0);
	integer("-17", true, -17);
	integer("9223372036854775807", true, INT64_MAX);
	integer("-9223372036854775808", true, INT64_MIN);
	integer("9223372036854775808", false, 0);
	integer("-9223372036854775809", false, 0);
	integer("12345678901234567890123", false, 0);
	integer("1.0", false, 0);
	integer("1e2", false, 0);
	check(strata_json_double("0.1") == 0.1, "0.1", "double");
	check(strata_json_double("-1.5e3") == -1500.0, "-1.5e3", "double");
	check(strata_json_double("1e400") > 1.7976931348623157e308, "1e400", "double");
}

int main(void)
{
	RUN(test_grammar);
	RUN(test_duplicates);
	RUN(test_many_names);
	RUN(test_limits);
	RUN(test_every_prefix);
	RUN(test_strings);
	RUN(test_numbers);
	return check_sum("json");
}
