/*
 * Edits in place: the text and the tokens behind an edit move, and what is before it stays as it
 * is. Nothing is scanned but the new value, so that an edit costs what is behind it, moved, and
 * not the whole document, read.
 */
#include "core/base/grow.h"
#include "core/json/internal.h"

/* The edit as a new text for the whole document, which says what is wrong with it. */
int strata_json_rewrite(struct strata_json *doc, size_t start, size_t end, const char *with,
                        size_t len, struct strata_err *err)
{
	struct strata_buf cleanup_buf text = {0};
	struct strata_json_tokens cleanup_tokens tokens = {0};
	const char *old = doc->text.data;

	if (strata_buf_append(&text, old, start, err) || strata_buf_append(&text, with, len, err) ||
	    strata_buf_append(&text, old + end, doc->text.len - end + 1, err))
		return -1;
	text.len--; /* the NUL */
	if (strata_json_scan(text.data, text.len, &doc->limits, &tokens, err))
		return -1;
	strata_buf_free(&doc->text);
	strata_json_tokens_free(&doc->tokens);
	doc->text = text;
	doc->tokens = tokens;
	memset(&text, 0, sizeof(text));
	memset(&tokens, 0, sizeof(tokens));
	return 1;
}

uint32_t strata_json_behind(const struct strata_json *doc, uint32_t token)
{
	const struct strata_json_token *tokens = doc->tokens.at;

	for (; token != STRATA_JSON_NONE; token = tokens[token].parent)
		if (tokens[token].next != STRATA_JSON_NONE)
			return tokens[token].next;
	return (uint32_t)doc->tokens.n;
}

/* How many containers are around a token, itself not counted. */
static size_t depth_of(const struct strata_json_token *tokens, uint32_t token)
{
	size_t depth = 0;

	while ((token = tokens[token].parent) != STRATA_JSON_NONE)
		depth++;
	return depth;
}

/* How deep the containers of a value are inside each other. */
static size_t height_of(const struct strata_json_tokens *tokens)
{
	size_t height = 0, depth = 0; /* of the token, itself counted */

	for (uint32_t i = 0; i < tokens->n; i++) {
		uint32_t before = i - 1, parent = tokens->at[i].parent;

		if (i == 0 || parent == before) {
			depth++;
		} else {
			for (; tokens->at[before].parent != parent; depth--)
				before = tokens->at[before].parent;
		}
		if (strata_json_is_container(&tokens->at[i]) && depth > height)
			height = depth;
	}
	return height;
}

/* Whether the document would get over a limit. */
static bool is_too_much(const struct strata_json *doc, const struct strata_json_change *c,
                        const struct strata_json_tokens *fresh)
{
	size_t len = doc->text.len - (c->end - c->start) + c->len;
	size_t values = doc->tokens.n - c->old + fresh->n;

	return len > doc->limits.max_bytes || len >= STRATA_JSON_NONE ||
	       values > doc->limits.max_values ||
	       depth_of(doc->tokens.at, c->parent) + 1 + height_of(fresh) > doc->limits.max_depth;
}

/* Moves the tokens behind an edit, and tells them where they are. */
static void move_behind(struct strata_json *doc, const struct strata_json_change *c, uint32_t fresh)
{
	struct strata_json_token *tokens = doc->tokens.at;
	uint32_t behind = c->first + c->old;
	uint32_t bytes = (uint32_t)(c->len - (c->end - c->start)), places = fresh - c->old;
	size_t n = doc->tokens.n;

	memmove(tokens + c->first + fresh, tokens + behind, (n - behind) * sizeof(*tokens));
	doc->tokens.n = n + fresh - c->old;
	for (size_t i = c->first + fresh; i < doc->tokens.n; i++) {
		struct strata_json_token *t = &tokens[i];

		t->start += bytes;
		t->end += bytes;
		if (t->name_end) {
			t->name_start += bytes;
			t->name_end += bytes;
		}
		if (t->parent >= behind && t->parent != STRATA_JSON_NONE)
			t->parent += places;
		if (t->next != STRATA_JSON_NONE)
			t->next += places;
	}
	for (uint32_t i = c->parent; i != STRATA_JSON_NONE; i = tokens[i].parent) {
		tokens[i].end += bytes;
		if (tokens[i].next != STRATA_JSON_NONE)
			tokens[i].next += places;
	}
}

/* Puts the tokens of the new value where there is room for them now. `next` is the first one's. */
static void put_in(struct strata_json *doc, const struct strata_json_change *c,
                   const struct strata_json_tokens *fresh, uint32_t next)
{
	uint32_t base = (uint32_t)(c->start + c->value_at);

	for (uint32_t i = 0; i < fresh->n; i++) {
		struct strata_json_token *t = &doc->tokens.at[c->first + i];

		*t = fresh->at[i];
		t->start += base;
		t->end += base;
		if (t->name_end) {
			t->name_start += base;
			t->name_end += base;
		}
		if (t->parent != STRATA_JSON_NONE)
			t->parent += c->first;
		if (t->next != STRATA_JSON_NONE)
			t->next += c->first;
	}
	doc->tokens.at[c->first].parent = c->parent;
	doc->tokens.at[c->first].next = next;
	doc->tokens.at[c->first].name_start = c->name_start;
	doc->tokens.at[c->first].name_end = c->name_end;
}

/* Changes the text, and makes room for the tokens: all that may fail. */
static int change_text(struct strata_json *doc, const struct strata_json_change *c, size_t fresh,
                       struct strata_err *err)
{
	int rc;

	for (size_t i = c->old; i < fresh; i++)
		if (strata_grow(doc->tokens.at, doc->tokens.n + (i - c->old), err) < 0)
			return -1;
	doc->text.len++; /* the NUL goes along */
	rc = strata_buf_splice(&doc->text, c->start, c->end, c->with, c->len, err);
	doc->text.len--;
	return rc;
}

int strata_json_patch(struct strata_json *doc, const struct strata_json_change *c,
                      struct strata_err *err)
{
	struct strata_json_tokens cleanup_tokens fresh = {0};
	struct strata_json_token *parent;
	uint32_t before = STRATA_JSON_NONE, next;
	int bad = 0;

	if (c->len == c->end - c->start && !memcmp(doc->text.data + c->start, c->with, c->len))
		return 0;
	if (c->value_len)
		bad = strata_json_scan(c->with + c->value_at, c->value_len, &doc->limits, &fresh,
		                       err);
	if (bad && strcmp(err->code, "ENOMEM") == 0)
		return -1;
	if (bad || is_too_much(doc, c, &fresh))
		return strata_json_rewrite(doc, c->start, c->end, c->with, c->len, err);
	if (change_text(doc, c, fresh.n, err))
		return -1;
	if (c->first > c->parent + 1)
		before = strata_json_before(doc, c->parent, c->first);
	parent = &doc->tokens.at[c->parent];
	next = c->first + c->old < strata_json_behind(doc, c->parent) ? c->first + (uint32_t)fresh.n
	                                                              : STRATA_JSON_NONE;
	parent->count = parent->count - c->gone + (fresh.n > 0);
	move_behind(doc, c, (uint32_t)fresh.n);
	if (fresh.n)
		put_in(doc, c, &fresh, next);
	if (before != STRATA_JSON_NONE)
		doc->tokens.at[before].next = fresh.n ? c->first : next;
	return 1;
}
