/*
 * The layout of JSON text: learned from a place in a document, and applied to
 * a new value in that place.
 *
 * The nearest container that has children is the model: the replaced value
 * itself, else a sibling, else the container around them, and so on outwards.
 */
#include "core/json/internal.h"

static struct strata_json_slice slice(const char *text)
{
	struct strata_json_slice s = {text, strlen(text)};

	return s;
}

/* The white space in front of offset `end`. */
static struct strata_json_slice space_before(const struct strata_json *doc, size_t end)
{
	const char *text = doc->text.data;
	struct strata_json_slice s;
	size_t start = end;

	while (start && strata_json_is_space(text[start - 1]))
		start--;
	s.p = text + start;
	s.len = end - start;
	return s;
}

static struct strata_json_slice lead(const struct strata_json *doc, uint32_t token)
{
	return space_before(doc, strata_json_begin(&doc->tokens.at[token]));
}

static bool has_newline(struct strata_json_slice s)
{
	return memchr(s.p, '\n', s.len) != NULL;
}

static struct strata_json_slice behind_newline(struct strata_json_slice s)
{
	const char *newline = memrchr(s.p, '\n', s.len);

	if (newline) {
		s.len -= (size_t)(newline + 1 - s.p);
		s.p = newline + 1;
	}
	return s;
}

/* The text between a child and the next one. */
static struct strata_json_slice gap_behind(const struct strata_json *doc, uint32_t token)
{
	const struct strata_json_token *t = &doc->tokens.at[token];
	struct strata_json_slice gap = {doc->text.data + t->end,
	                                strata_json_begin(&doc->tokens.at[t->next]) - t->end};

	return gap;
}

static uint32_t last_child(const struct strata_json *doc, uint32_t container)
{
	return strata_json_before(doc, container, strata_json_behind(doc, container));
}

static bool has_children(const struct strata_json *doc, uint32_t token)
{
	return doc->tokens.at[token].count > 0;
}

static bool on_lines(const struct strata_json *doc, uint32_t container)
{
	return has_newline(lead(doc, container + 1));
}

/* The indentation of the line that a value or its name stands on. */
static struct strata_json_slice line_indent(const struct strata_json *doc, uint32_t token)
{
	for (; doc->tokens.at[token].parent != STRATA_JSON_NONE;
	     token = doc->tokens.at[token].parent) {
		struct strata_json_slice s = lead(doc, token);

		if (has_newline(s))
			return behind_newline(s);
	}
	return slice("");
}

/* The indentation that a container on lines adds to that of its own line. */
static struct strata_json_slice unit_of(const struct strata_json *doc, uint32_t container)
{
	struct strata_json_slice outer = line_indent(doc, container);
	struct strata_json_slice inner = behind_newline(lead(doc, container + 1));

	if (outer.len <= inner.len && !memcmp(outer.p, inner.p, outer.len)) {
		inner.p += outer.len;
		inner.len -= outer.len;
	}
	return inner;
}

/* STRATA_JSON_NONE when no container around here has children. */
static uint32_t find_model(const struct strata_json *doc, uint32_t token, uint32_t parent)
{
	const struct strata_json_token *tokens = doc->tokens.at;

	if (token != STRATA_JSON_NONE && has_children(doc, token))
		return token;
	for (; parent != STRATA_JSON_NONE; parent = tokens[parent].parent) {
		uint32_t t = strata_json_nth(doc, parent, 0);

		for (; t != STRATA_JSON_NONE; t = tokens[t].next)
			if (has_children(doc, t))
				return t;
		if (has_children(doc, parent))
			return parent;
	}
	return STRATA_JSON_NONE;
}

/* The colon between a member's name and its value, with its white space. */
static struct strata_json_slice colon_of(const struct strata_json *doc, uint32_t member)
{
	const struct strata_json_token *t = &doc->tokens.at[member];
	struct strata_json_slice colon = {doc->text.data + t->name_end, t->start - t->name_end};

	return colon;
}

/* The colon of the nearest object around, else of any object, else `otherwise`. */
static struct strata_json_slice find_colon(const struct strata_json *doc, uint32_t token,
                                           const char *otherwise)
{
	const struct strata_json_token *tokens = doc->tokens.at;

	for (; token != STRATA_JSON_NONE; token = tokens[token].parent)
		if (tokens[token].type == STRATA_JSON_OBJECT && has_children(doc, token))
			return colon_of(doc, last_child(doc, token));
	for (size_t i = 1; i < doc->tokens.n; i++)
		if (tokens[i].name_end)
			return colon_of(doc, (uint32_t)i);
	return slice(otherwise);
}

/* The comma of a container on one line: the model's, else that of any container. */
static struct strata_json_slice find_comma(const struct strata_json *doc, uint32_t model,
                                           struct strata_json_slice colon)
{
	const struct strata_json_token *tokens = doc->tokens.at;
	struct strata_json_slice gap;

	if (model != STRATA_JSON_NONE && tokens[model].count > 1) {
		gap = gap_behind(doc, model + 1);
		if (!has_newline(gap))
			return gap;
	}
	for (size_t i = 1; i < doc->tokens.n; i++) {
		if (tokens[i].next == STRATA_JSON_NONE)
			continue;
		gap = gap_behind(doc, (uint32_t)i);
		if (!has_newline(gap))
			return gap;
	}
	return slice(colon.len && strata_json_is_space(colon.p[colon.len - 1]) ? ", " : ",");
}

void strata_json_style_at(const struct strata_json *doc, uint32_t token, uint32_t parent,
                          struct strata_json_style *style)
{
	uint32_t model = find_model(doc, token, parent);
	bool lines = model != STRATA_JSON_NONE && on_lines(doc, model);
	struct strata_json_slice space = slice("");

	memset(style, 0, sizeof(*style));
	style->newline = style->indent = style->unit = style->pad = slice("");
	style->colon =
	        find_colon(doc, token != STRATA_JSON_NONE ? token : parent, lines ? ": " : ":");
	style->comma = find_comma(doc, model, style->colon);
	if (model == STRATA_JSON_NONE)
		return;
	if (!lines) {
		style->pad = lead(doc, model + 1);
		return;
	}
	/* a container that stands on one line gets no lines inside */
	if (token == STRATA_JSON_NONE)
		space = lead(doc, last_child(doc, parent));
	else if (parent != STRATA_JSON_NONE)
		space = lead(doc, token);
	if (model != token && !has_newline(space))
		return;
	style->lines = true;
	space = lead(doc, model + 1);
	style->newline = slice(memmem(space.p, space.len, "\r\n", 2) ? "\r\n" : "\n");
	style->unit = unit_of(doc, model);
	style->indent = token != STRATA_JSON_NONE
	                        ? line_indent(doc, token)
	                        : behind_newline(lead(doc, last_child(doc, parent)));
}

struct layout {
	struct strata_buf *out;
	const char *text;
	const struct strata_json_style *style;
	size_t max_bytes;
	struct strata_err *err;
};

static int put(struct layout *l, struct strata_json_slice s)
{
	size_t total;

	if (!strata_add(l->out->len, s.len, &total) || total > l->max_bytes)
		return strata_fail(l->err, "ELIMIT",
		                   "JSON would get larger than limits.json.max_bytes (%zu)",
		                   l->max_bytes);
	return strata_buf_append(l->out, s.p, s.len, l->err);
}

static int put_span(struct layout *l, size_t start, size_t end)
{
	struct strata_json_slice s = {l->text + start, end - start};

	return put(l, s);
}

/* Behind an opening and before a closing bracket: a new line at `depth`, or the pad. */
static int put_break(struct layout *l, size_t depth)
{
	if (!l->style->lines)
		return put(l, l->style->pad);
	if (put(l, l->style->newline) || put(l, l->style->indent))
		return -1;
	while (depth--)
		if (put(l, l->style->unit))
			return -1;
	return 0;
}

static int put_comma(struct layout *l, size_t depth)
{
	if (!l->style->lines)
		return put(l, l->style->comma);
	return put(l, slice(",")) || put_break(l, depth) ? -1 : 0;
}

/* The name, and the value or its opening bracket. */
static int put_value(struct layout *l, const struct strata_json_token *t)
{
	if (t->name_end && (put_span(l, t->name_start, t->name_end) || put(l, l->style->colon)))
		return -1;
	if (!strata_json_is_container(t))
		return put_span(l, t->start, t->end);
	if (t->count)
		return put_span(l, t->start, t->start + 1);
	return put(l, slice(t->type == STRATA_JSON_ARRAY ? "[]" : "{}"));
}

int strata_json_layout(struct strata_buf *out, const char *text,
                       const struct strata_json_tokens *tokens,
                       const struct strata_json_style *style, size_t max_bytes,
                       struct strata_err *err)
{
	struct layout l = {out, text, style, max_bytes, err};
	const struct strata_json_token *first = tokens->at, *t = first;
	size_t depth = 0;

	for (;;) {
		if (put_value(&l, t))
			return -1;
		if (t->count) {
			if (put_break(&l, ++depth))
				return -1;
			t++;
			continue;
		}
		while (t != first && t->next == STRATA_JSON_NONE) {
			t = &first[t->parent];
			if (put_break(&l, --depth) || put_span(&l, t->end - 1, t->end))
				return -1;
		}
		if (t == first)
			return 0;
		t = &first[t->next];
		if (put_comma(&l, depth))
			return -1;
	}
}
