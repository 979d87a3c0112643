/*
 * Validates JSON text and finds its values. One pass over the bytes and one
 * token per value; the tokens of the open containers are the stack.
 */
#include "core/base/grow.h"
#include "core/json/internal.h"

enum state {
	VALUE,         /* a value must follow */
	FIRST_ELEMENT, /* a value or ']' */
	FIRST_MEMBER,  /* a name or '}' */
	MEMBER,        /* a name must follow */
	BEHIND,        /* a value has ended: ',' or a bracket, or the end of the text */
};

struct scan {
	const char *text;
	size_t len;
	size_t pos;
	const struct strata_json_limits *limits;
	struct strata_json_tokens *out;
	uint32_t open; /* innermost open container */
	size_t depth;
	uint32_t name_start; /* of the name whose value follows */
	uint32_t name_end;
	struct strata_json_slice *names; /* scratch for one object */
	size_t names_cap;
	struct strata_err *err;
};

static int bad(struct scan *s, const char *what)
{
	return strata_fail(s->err, "EFORMAT", "not valid JSON: %s (offset %zu)", what, s->pos);
}

/* The byte at pos is not the one that the grammar wants. */
static int unexpected(struct scan *s, const char *wanted)
{
	char quoted[16];

	if (s->pos >= s->len)
		return strata_fail(s->err, "EFORMAT",
		                   "not valid JSON: ends where %s must follow (offset %zu)", wanted,
		                   s->pos);
	return strata_fail(
	        s->err, "EFORMAT", "not valid JSON: %s where %s must follow (offset %zu)",
	        strata_quote(quoted, sizeof(quoted), s->text + s->pos, 1), wanted, s->pos);
}

static bool at(const struct scan *s, char c)
{
	return s->pos < s->len && s->text[s->pos] == c;
}

static bool at_digit(const struct scan *s)
{
	return s->pos < s->len && s->text[s->pos] >= '0' && s->text[s->pos] <= '9';
}

static void skip_space(struct scan *s)
{
	while (s->pos < s->len && strata_json_is_space(s->text[s->pos]))
		s->pos++;
}

/* Adds a token that begins at pos as a child of the open container. */
static int add_token(struct scan *s, enum strata_json_type type)
{
	struct strata_json_tokens *out = s->out;
	struct strata_json_token *t;
	uint32_t index = (uint32_t)out->n;

	if (out->n >= s->limits->max_values)
		return strata_fail(
		        s->err, "ELIMIT",
		        "JSON has more than %zu values (limits.json.max_values; offset %zu)",
		        s->limits->max_values, s->pos);
	if (strata_grow(out->at, out->n, s->err) < 0)
		return -1;
	t = &out->at[out->n++];
	memset(t, 0, sizeof(*t));
	t->type = (uint8_t)type;
	t->start = (uint32_t)s->pos;
	t->parent = s->open;
	t->next = STRATA_JSON_NONE;
	t->name_start = s->name_start;
	t->name_end = s->name_end;
	s->name_end = s->name_start = 0;
	if (s->open != STRATA_JSON_NONE) {
		struct strata_json_token *parent = &out->at[s->open];

		/* until it is closed, a container keeps its last child in `end` */
		if (parent->count++)
			out->at[parent->end].next = index;
		parent->end = index;
	}
	return 0;
}

static int hex4(struct scan *s, unsigned *value)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		char c = s->pos < s->len ? s->text[s->pos] : '\0';

		if (c >= '0' && c <= '9')
			v = v * 16 + (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (unsigned)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v * 16 + (unsigned)(c - 'A' + 10);
		else
			return unexpected(s, "a hex digit");
		s->pos++;
	}
	*value = v;
	return 0;
}

/* Behind "\u": four digits, and a second escape when they are a surrogate. */
static int scan_unicode(struct scan *s)
{
	unsigned high = 0, low = 0;

	if (hex4(s, &high))
		return -1;
	if (high < 0xd800 || high > 0xdfff)
		return 0;
	if (high > 0xdbff || !at(s, '\\'))
		return bad(s, "lone surrogate");
	s->pos++;
	if (!at(s, 'u'))
		return bad(s, "lone surrogate");
	s->pos++;
	if (hex4(s, &low))
		return -1;
	if (low < 0xdc00 || low > 0xdfff)
		return bad(s, "lone surrogate");
	return 0;
}

static int scan_string(struct scan *s)
{
	s->pos++;
	while (s->pos < s->len) {
		unsigned char c = (unsigned char)s->text[s->pos];
		size_t n;

		if (c == '"') {
			s->pos++;
			return 0;
		}
		if (c < 0x20)
			return bad(s, "control character in a string");
		if (c == '\\') {
			s->pos++;
			if (s->pos >= s->len || !s->text[s->pos] ||
			    !strchr("\"\\/bfnrtu", s->text[s->pos]))
				return unexpected(s, "an escape");
			if (s->text[s->pos++] == 'u' && scan_unicode(s))
				return -1;
			continue;
		}
		n = c < 0x80 ? 1 : strata_json_utf8(s->text + s->pos, s->len - s->pos);
		if (!n)
			return bad(s, "string is not UTF-8");
		s->pos += n;
	}
	return bad(s, "string without an end");
}

static int scan_digits(struct scan *s)
{
	if (!at_digit(s))
		return unexpected(s, "a digit");
	while (at_digit(s))
		s->pos++;
	return 0;
}

static int scan_number(struct scan *s)
{
	if (at(s, '-'))
		s->pos++;
	if (at(s, '0')) {
		s->pos++;
		if (at_digit(s))
			return bad(s, "number with a leading zero");
	} else if (scan_digits(s)) {
		return -1;
	}
	if (at(s, '.')) {
		s->pos++;
		if (scan_digits(s))
			return -1;
	}
	if (at(s, 'e') || at(s, 'E')) {
		s->pos++;
		if (at(s, '+') || at(s, '-'))
			s->pos++;
		if (scan_digits(s))
			return -1;
	}
	return 0;
}

static int scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->len - s->pos < n || memcmp(s->text + s->pos, word, n) != 0)
		return unexpected(s, "a value");
	s->pos += n;
	return 0;
}

static int scan_scalar(struct scan *s)
{
	enum strata_json_type type;
	size_t token = s->out->n;
	int rc;

	switch (s->text[s->pos]) {
	case '"':
		type = STRATA_JSON_STRING;
		break;
	case 't':
		type = STRATA_JSON_TRUE;
		break;
	case 'f':
		type = STRATA_JSON_FALSE;
		break;
	case 'n':
		type = STRATA_JSON_NULL;
		break;
	default:
		if (!at(s, '-') && !at_digit(s))
			return unexpected(s, "a value");
		type = STRATA_JSON_NUMBER;
	}
	if (add_token(s, type))
		return -1;
	if (type == STRATA_JSON_STRING)
		rc = scan_string(s);
	else if (type == STRATA_JSON_NUMBER)
		rc = scan_number(s);
	else
		rc = scan_word(s, type == STRATA_JSON_TRUE    ? "true"
		                  : type == STRATA_JSON_FALSE ? "false"
		                                              : "null");
	if (!rc)
		s->out->at[token].end = (uint32_t)s->pos;
	return rc;
}

static int compare_names(const void *a, const void *b)
{
	return strata_json_compare(*(const struct strata_json_slice *)a,
	                           *(const struct strata_json_slice *)b);
}

/* EFORMAT when an object has a name twice. Sorts the names, so that equal ones stand side by side.
 */
static int check_names(struct scan *s, const struct strata_json_token *object)
{
	const struct strata_json_token *tokens = s->out->at;
	size_t n = 0;

	if (object->count < 2)
		return 0;
	if (object->count > s->names_cap) {
		struct strata_json_slice *grown =
		        strata_reallocarray(s->names, object->count, sizeof(*grown));

		if (!grown)
			return strata_fail_nomem(s->err);
		s->names = grown;
		s->names_cap = object->count;
	}
	for (const struct strata_json_token *t = object + 1;; t = &tokens[t->next]) {
		s->names[n].p = s->text + t->name_start;
		s->names[n++].len = t->name_end - t->name_start;
		if (t->next == STRATA_JSON_NONE)
			break;
	}
	qsort(s->names, n, sizeof(*s->names), compare_names);
	for (size_t i = 1; i < n; i++) {
		char quoted[128];
		const struct strata_json_slice *a = &s->names[i - 1], *b = &s->names[i];
		const struct strata_json_slice *second = a->p > b->p ? a : b;

		if (strata_json_compare(*a, *b))
			continue;
		return strata_fail(
		        s->err, "EFORMAT", "not valid JSON: duplicate name %s (offset %zu)",
		        strata_quote(quoted, sizeof(quoted), second->p + 1, second->len - 2),
		        (size_t)(second->p - s->text));
	}
	return 0;
}

static int open_container(struct scan *s, enum state *state)
{
	bool array = s->text[s->pos] == '[';

	if (s->depth >= s->limits->max_depth)
		return strata_fail(
		        s->err, "ELIMIT",
		        "JSON is nested deeper than %zu levels (limits.json.max_depth; offset %zu)",
		        s->limits->max_depth, s->pos);
	if (add_token(s, array ? STRATA_JSON_ARRAY : STRATA_JSON_OBJECT))
		return -1;
	s->open = (uint32_t)(s->out->n - 1);
	s->depth++;
	s->pos++;
	*state = array ? FIRST_ELEMENT : FIRST_MEMBER;
	return 0;
}

static int close_container(struct scan *s)
{
	struct strata_json_token *t = &s->out->at[s->open];

	if (t->type == STRATA_JSON_OBJECT && check_names(s, t))
		return -1;
	s->pos++;
	t->end = (uint32_t)s->pos;
	s->open = t->parent;
	s->depth--;
	return 0;
}

static int scan_name(struct scan *s)
{
	size_t start = s->pos;

	if (!at(s, '"'))
		return unexpected(s, "a name");
	if (scan_string(s))
		return -1;
	s->name_start = (uint32_t)start;
	s->name_end = (uint32_t)s->pos;
	skip_space(s);
	if (!at(s, ':'))
		return unexpected(s, "':'");
	s->pos++;
	return 0;
}

/* Behind a value inside a container: a comma or the closing bracket. */
static int scan_behind(struct scan *s, enum state *state)
{
	bool array = s->out->at[s->open].type == STRATA_JSON_ARRAY;

	if (at(s, ',')) {
		s->pos++;
		*state = array ? VALUE : MEMBER;
		return 0;
	}
	if (!at(s, array ? ']' : '}'))
		return unexpected(s, array ? "',' or ']'" : "',' or '}'");
	return close_container(s);
}

static int scan_step(struct scan *s, enum state *state)
{
	if ((*state == FIRST_ELEMENT && at(s, ']')) || (*state == FIRST_MEMBER && at(s, '}'))) {
		*state = BEHIND;
		return close_container(s);
	}
	switch (*state) {
	case FIRST_MEMBER:
	case MEMBER:
		*state = VALUE;
		return scan_name(s);
	case BEHIND:
		return scan_behind(s, state);
	case FIRST_ELEMENT:
	case VALUE:
		break;
	}
	if (at(s, '[') || at(s, '{'))
		return open_container(s, state);
	if (s->pos >= s->len)
		return unexpected(s, "a value");
	*state = BEHIND;
	return scan_scalar(s);
}

static int scan_document(struct scan *s)
{
	enum state state = VALUE;

	if (s->len >= 3 && !memcmp(s->text, "\xef\xbb\xbf", 3))
		return bad(s, "begins with a byte order mark");
	for (;;) {
		skip_space(s);
		if (state == BEHIND && s->open == STRATA_JSON_NONE)
			break;
		if (scan_step(s, &state))
			return -1;
	}
	if (s->pos < s->len)
		return bad(s, "bytes behind the document");
	return 0;
}

int strata_json_scan(const char *text, size_t len, const struct strata_json_limits *limits,
                     struct strata_json_tokens *out, struct strata_err *err)
{
	struct scan s = {
	        .text = text,
	        .len = len,
	        .limits = limits,
	        .out = out,
	        .open = STRATA_JSON_NONE,
	        .err = err,
	};
	int rc;

	/* offsets are 32 bits wide */
	if (len > limits->max_bytes || len >= STRATA_JSON_NONE)
		return strata_fail(err, "ELIMIT",
		                   "JSON of %zu bytes is larger than limits.json.max_bytes (%zu)",
		                   len, limits->max_bytes);
	rc = scan_document(&s);
	free(s.names);
	return rc;
}
