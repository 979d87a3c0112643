/*
 * JSON strings and numbers: from bytes to tokens and back.
 */
#include <locale.h>

#include "core/json/internal.h"

size_t strata_json_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	if (!len)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* Reads a valid string token byte by byte, unescaped. */
struct cursor {
	const char *p;
	const char *end;
	unsigned char pending[4]; /* the rest of a \u escape */
	unsigned n;
	unsigned i;
};

static struct cursor cursor_at(const char *token, size_t len)
{
	struct cursor c = {.p = token + 1, .end = token + len - 1};

	return c;
}

static unsigned hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)p[i];

		v = v * 16 + (c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u);
	}
	return v;
}

/* c->p stands behind "\u": leaves the character's UTF-8 in `pending`. */
static void read_unicode(struct cursor *c)
{
	unsigned u = hex4(c->p);
	unsigned char *out = c->pending;

	c->p += 4;
	if (u >= 0xd800 && u <= 0xdbff) {
		u = 0x10000 + ((u - 0xd800) << 10) + (hex4(c->p + 2) - 0xdc00);
		c->p += 6;
	}
	c->i = 0;
	if (u < 0x80) {
		c->n = 1;
		out[0] = (unsigned char)u;
		return;
	}
	c->n = u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
	for (unsigned i = c->n - 1; i > 0; i--, u >>= 6)
		out[i] = (unsigned char)(0x80 | (u & 0x3f));
	out[0] = (unsigned char)((c->n == 2 ? 0xc0 : c->n == 3 ? 0xe0 : 0xf0) | u);
}

/* The next byte, -1 at the end. */
static int next_byte(struct cursor *c)
{
	char e;

	if (c->i < c->n)
		return c->pending[c->i++];
	if (c->p >= c->end)
		return -1;
	if (*c->p != '\\')
		return (unsigned char)*c->p++;
	e = c->p[1];
	c->p += 2;
	switch (e) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'u':
		read_unicode(c);
		return c->pending[c->i++];
	default:
		return (unsigned char)e;
	}
}

int strata_json_compare(struct strata_json_slice a, struct strata_json_slice b)
{
	struct cursor x = cursor_at(a.p, a.len), y = cursor_at(b.p, b.len);

	for (;;) {
		int i = next_byte(&x), j = next_byte(&y);

		if (i != j)
			return i < j ? -1 : 1;
		if (i < 0)
			return 0;
	}
}

bool strata_json_is_named(struct strata_json_slice name, struct strata_json_slice part)
{
	struct cursor c = cursor_at(name.p, name.len);
	const char *p = part.p, *end = part.p + part.len;

	while (p < end)
		if (next_byte(&c) != (unsigned char)strata_json_part_byte(&p))
			return false;
	return next_byte(&c) < 0;
}

int strata_json_unquote(struct strata_buf *out, const char *token, size_t len,
                        struct strata_err *err)
{
	struct strata_json_limits limits = {SIZE_MAX, 1, 1};
	struct strata_json_tokens cleanup_tokens tokens = {0};
	struct cursor c;
	int byte;

	if (strata_json_scan(token, len, &limits, &tokens, err))
		return -1;
	if (tokens.at[0].type != STRATA_JSON_STRING)
		return strata_fail(err, "EFORMAT", "not a JSON string");
	c = cursor_at(token + tokens.at[0].start, tokens.at[0].end - tokens.at[0].start);
	/* an escape is never shorter than the bytes that it means */
	if (strata_buf_reserve(out, len, err))
		return -1;
	while ((byte = next_byte(&c)) >= 0)
		out->data[out->len++] = (char)byte;
	return 0;
}

/*
 * Writes the escape that Go's encoding/json gives the UTF-8 sequence p[0..n) to
 * esc; returns its length, 0 when the sequence needs no escape.
 */
static size_t escape(const char *p, size_t n, char esc[6])
{
	static const char hex[] = "0123456789abcdef";
	static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	unsigned char c = (unsigned char)*p;
	const char *found = c ? memchr(special, c, sizeof(special) - 1) : NULL;

	if (found) {
		esc[0] = '\\';
		esc[1] = letters[found - special];
		return 2;
	}
	if (n == 3 && !memcmp(p, "\xe2\x80", 2) && (p[2] == '\xa8' || p[2] == '\xa9')) {
		memcpy(esc, p[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
		return 6;
	}
	if (c >= 0x20 && c != '<' && c != '>' && c != '&')
		return 0;
	memcpy(esc, "\\u00", 4);
	esc[4] = hex[c >> 4];
	esc[5] = hex[c & 15];
	return 6;
}

int strata_json_quote(struct strata_buf *out, const char *bytes, size_t len, struct strata_err *err)
{
	size_t begin = out->len, done = 0, i = 0;

	if (strata_buf_append(out, "\"", 1, err))
		return -1;
	while (i < len) {
		size_t n = strata_json_utf8(bytes + i, len - i), escaped;
		char esc[6];

		if (!n) {
			char quoted[128];

			out->len = begin;
			return strata_fail(err, "EFORMAT", "%s is not UTF-8 (offset %zu)",
			                   strata_quote(quoted, sizeof(quoted), bytes, len), i);
		}
		escaped = escape(bytes + i, n, esc);
		if (escaped && (strata_buf_append(out, bytes + done, i - done, err) ||
		                strata_buf_append(out, esc, escaped, err)))
			return -1;
		i += n;
		if (escaped)
			done = i;
	}
	if (strata_buf_append(out, bytes + done, len - done, err))
		return -1;
	return strata_buf_append(out, "\"", 1, err);
}

bool strata_json_integer(const char *token, size_t len, int64_t *value)
{
	bool negative = len && *token == '-';
	int64_t v = 0;

	for (size_t i = negative; i < len; i++) {
		int digit = token[i] - '0';

		if (digit < 0 || digit > 9 || !strata_mul(v, 10, &v) ||
		    !strata_add(v, negative ? -digit : digit, &v))
			return false;
	}
	*value = v;
	return len > (size_t)negative;
}

double strata_json_double(const char *token)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	double value;

	if (c == (locale_t)0) /* no memory; in glibc and musl "C" needs none */
		return strtod(token, NULL);
	value = strtod_l(token, NULL, c);
	freelocale(c);
	return value;
}
