/* Mutation of JSON text: one value becomes another one, is doubled or goes. What is no JSON stays.
 */
#ifndef STRATA_FUZZ_JSON_MUTATE_H
#define STRATA_FUZZ_JSON_MUTATE_H

#include "tar_mutate.h"

struct value {
	size_t start, end;
};

#define VALUES_MAX 512

/* Where the value or name that begins there ends. */
static inline size_t value_end(const struct strata_buf *text, size_t at)
{
	size_t depth = 0;
	bool quoted = false;

	for (; at < text->len; at++) {
		char c = text->data[at];

		if (quoted && c == '\\')
			at++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{'))
			depth++;
		else if (!quoted && (c == ']' || c == '}' || c == ',' || c == ':') && depth == 0)
			break;
		else if (!quoted && (c == ']' || c == '}'))
			depth--;
	}
	return at < text->len ? at : text->len;
}

/* What stands behind a bracket, comma or colon: values, and the names of members. */
static inline size_t list_values(const struct strata_buf *text, struct value *list)
{
	size_t n = 0;
	bool quoted = false;

	for (size_t at = 0; at < text->len && n < VALUES_MAX; at++) {
		char c = text->data[at];

		if (quoted && c == '\\')
			at++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{' || c == ',' || c == ':')) {
			list[n].start = at + 1;
			list[n++].end = value_end(text, at + 1);
		}
	}
	return n;
}

static const char *const odd_json[] = {"null",
                                       "true",
                                       "0",
                                       "-1",
                                       "1.5",
                                       "1e400",
                                       "9223372036854775808",
                                       "\"\"",
                                       "\"a\"",
                                       "[]",
                                       "{}",
                                       "[null]",
                                       "[[]]",
                                       "[{}]",
                                       "{\"a\":null}",
                                       "\"../a\"",
                                       "\"sha256:\"",
                                       "\"\\u0000\"",
                                       "\"linux/amd64\"",
                                       "4294967296",
                                       "[\"\"]",
                                       "\"layer.tar\""};

static inline void json_mutate(struct strata_buf *text, uint64_t *seed)
{
	struct value list[VALUES_MAX];
	size_t n = list_values(text, list);
	const struct value *v = n ? &list[chance(seed, n)] : NULL;
	const struct value *other = n ? &list[chance(seed, n)] : NULL;
	struct strata_buf made = {0};
	struct strata_err err;
	size_t from, to;

	if (!v)
		return;
	from = v->start;
	to = v->end;
	switch (chance(seed, 5)) {
	case 0: /* goes, with the comma behind it */
		to += to < text->len && text->data[to] == ',';
		break;
	case 1: /* doubled */
		to = from;
		add(&made, text->data + v->start, v->end - v->start);
		add(&made, ",", 1);
		break;
	case 2:
		add(&made, text->data + other->start, other->end - other->start);
		break;
	default: {
		const char *odd = ONE(seed, odd_json);

		add(&made, odd, strlen(odd));
	}
	}
	must(strata_buf_splice(text, from, to, made.data, made.len, &err));
	strata_buf_free(&made);
}

#endif
