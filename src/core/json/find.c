/*
 * JSON Pointers (RFC 6901), and the values that they name.
 */
#include "core/json/internal.h"

struct strata_json_slice strata_json_part(struct strata_json_slice *pointer)
{
	const char *begin = pointer->p + 1, *end = pointer->p + pointer->len;
	const char *slash = memchr(begin, '/', (size_t)(end - begin));
	struct strata_json_slice part = {begin, (size_t)((slash ? slash : end) - begin)};

	pointer->p = begin + part.len;
	pointer->len = (size_t)(end - pointer->p);
	return part;
}

int strata_json_unescape(struct strata_buf *out, struct strata_json_slice part,
                         struct strata_err *err)
{
	const char *p = part.p, *end = part.p + part.len;

	if (strata_buf_reserve(out, part.len, err))
		return -1;
	while (p < end)
		out->data[out->len++] = strata_json_part_byte(&p);
	return 0;
}

bool strata_json_index(struct strata_json_slice part, size_t count, size_t *index)
{
	size_t v = 0;

	if (part.len == 1 && *part.p == '-') {
		*index = count;
		return true;
	}
	if (!part.len || (part.len > 1 && *part.p == '0'))
		return false;
	for (size_t i = 0; i < part.len; i++) {
		char c = part.p[i];

		if (c < '0' || c > '9' || !strata_mul(v, 10, &v) ||
		    !strata_add(v, (size_t)(c - '0'), &v))
			return false;
	}
	*index = v;
	return true;
}

static int check_pointer(const char *pointer, size_t len, struct strata_err *err)
{
	char quoted[256];
	bool good = !len || *pointer == '/';

	for (size_t i = 0; good && i < len; i++)
		if (pointer[i] == '~')
			good = i + 1 < len && (pointer[i + 1] == '0' || pointer[i + 1] == '1');
	if (good)
		return 0;
	return strata_fail(err, "EINVAL", "%s is not a JSON pointer",
	                   strata_quote(quoted, sizeof(quoted), pointer, len));
}

uint32_t strata_json_nth(const struct strata_json *doc, uint32_t container, size_t i)
{
	const struct strata_json_token *tokens = doc->tokens.at;
	uint32_t t = container + 1;

	if (!strata_json_is_container(&tokens[container]) || i >= tokens[container].count)
		return STRATA_JSON_NONE;
	if (i > tokens[container].count / 2) { /* the end is nearer */
		t = strata_json_behind(doc, container);
		for (size_t left = tokens[container].count - i; left > 0; left--)
			t = strata_json_before(doc, container, t);
		return t;
	}
	while (i--)
		t = tokens[t].next;
	return t;
}

uint32_t strata_json_before(const struct strata_json *doc, uint32_t container, uint32_t token)
{
	for (token--; doc->tokens.at[token].parent != container;)
		token = doc->tokens.at[token].parent;
	return token;
}

/* The child of a container that a part names. */
static uint32_t find_child(const struct strata_json *doc, uint32_t container,
                           struct strata_json_slice part)
{
	const struct strata_json_token *tokens = doc->tokens.at;
	uint32_t t;
	size_t i;

	if (tokens[container].type == STRATA_JSON_ARRAY) {
		if (!strata_json_index(part, tokens[container].count, &i))
			return STRATA_JSON_NONE;
		return strata_json_nth(doc, container, i);
	}
	t = strata_json_nth(doc, container, 0);
	for (; t != STRATA_JSON_NONE; t = tokens[t].next)
		if (strata_json_is_named(strata_json_name(doc, t), part))
			break;
	return t;
}

int strata_json_walk(const struct strata_json *doc, const char *pointer, size_t len,
                     struct strata_json_path *path, struct strata_err *err)
{
	if (check_pointer(pointer, len, err))
		return -1;
	path->token = 0;
	path->rest.p = pointer;
	path->rest.len = len;
	while (path->rest.len) {
		struct strata_json_slice behind = path->rest;
		struct strata_json_slice part = strata_json_part(&behind);
		uint32_t child = find_child(doc, path->token, part);

		if (child == STRATA_JSON_NONE)
			return 0;
		path->token = child;
		path->rest = behind;
	}
	return 1;
}

static void value_span(const struct strata_json *doc, uint32_t token, struct strata_json_span *span)
{
	const struct strata_json_token *t = &doc->tokens.at[token];

	span->type = (enum strata_json_type)t->type;
	span->start = t->start;
	span->end = t->end;
	span->count = t->count;
	span->place = token;
}

static void child_spans(const struct strata_json *doc, uint32_t token,
                        struct strata_json_span *name, struct strata_json_span *value)
{
	const struct strata_json_token *t = &doc->tokens.at[token];

	value_span(doc, token, value);
	name->type = STRATA_JSON_STRING;
	name->start = t->name_start;
	name->end = t->name_end;
	name->count = 0;
	name->place = token;
}

int strata_json_find(const struct strata_json *doc, const char *pointer, size_t len,
                     struct strata_json_span *span, struct strata_err *err)
{
	struct strata_json_path path;
	int rc = strata_json_walk(doc, pointer, len, &path, err);

	if (rc == 1)
		value_span(doc, path.token, span);
	return rc;
}

int strata_json_child(const struct strata_json *doc, const char *pointer, size_t len, size_t i,
                      struct strata_json_span *name, struct strata_json_span *value,
                      struct strata_err *err)
{
	struct strata_json_path path;
	int rc = strata_json_walk(doc, pointer, len, &path, err);
	uint32_t child;

	if (rc != 1)
		return rc;
	child = strata_json_nth(doc, path.token, i);
	if (child == STRATA_JSON_NONE)
		return 0;
	child_spans(doc, child, name, value);
	return 1;
}

bool strata_json_next(const struct strata_json *doc, struct strata_json_span *name,
                      struct strata_json_span *value)
{
	uint32_t next = doc->tokens.at[value->place].next;

	if (next == STRATA_JSON_NONE)
		return false;
	child_spans(doc, next, name, value);
	return true;
}
