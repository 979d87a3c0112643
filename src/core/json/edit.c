/*
 * The document, and its edits: each replaces one span of the text. A new value is scanned
 * before anything is changed, so that a document is valid and within its limits at any time.
 */
#include "core/base/grow.h"
#include "core/json/internal.h"

static size_t or_default(size_t limit, size_t otherwise)
{
	return limit ? limit : otherwise;
}

struct strata_json *strata_json_parse(const char *text, size_t len,
                                      const struct strata_json_limits *limits,
                                      struct strata_err *err)
{
	static const struct strata_json_limits none = {0};
	struct strata_json *doc = calloc(1, sizeof(*doc));

	if (!doc) {
		strata_fail_nomem(err);
		return NULL;
	}
	limits = limits ? limits : &none;
	doc->limits.max_bytes = or_default(limits->max_bytes, STRATA_JSON_MAX_BYTES);
	doc->limits.max_depth = or_default(limits->max_depth, STRATA_JSON_MAX_DEPTH);
	doc->limits.max_values = or_default(limits->max_values, STRATA_JSON_MAX_VALUES);
	if (strata_json_scan(text, len, &doc->limits, &doc->tokens, err) ||
	    strata_buf_append(&doc->text, text, len, err) ||
	    strata_buf_append(&doc->text, "", 1, err)) {
		strata_json_free(doc);
		return NULL;
	}
	doc->text.len = len;
	return doc;
}

struct strata_json *strata_json_copy(const struct strata_json *doc, struct strata_err *err)
{
	struct strata_json *copy = calloc(1, sizeof(*copy));

	if (!copy) {
		strata_fail_nomem(err);
		return NULL;
	}
	copy->limits = doc->limits;
	for (; copy->tokens.n < doc->tokens.n; copy->tokens.n++)
		if (strata_grow(copy->tokens.at, copy->tokens.n, err) < 0)
			break;
	if (copy->tokens.n < doc->tokens.n ||
	    strata_buf_append(&copy->text, doc->text.data, doc->text.len + 1, err)) {
		strata_json_free(copy);
		return NULL;
	}
	memcpy(copy->tokens.at, doc->tokens.at, doc->tokens.n * sizeof(*doc->tokens.at));
	copy->text.len--; /* the NUL */
	return copy;
}

void strata_json_free(struct strata_json *doc)
{
	if (!doc)
		return;
	strata_buf_free(&doc->text);
	strata_json_tokens_free(&doc->tokens);
	free(doc);
}

const char *strata_json_text(const struct strata_json *doc, size_t *len)
{
	*len = doc->text.len;
	return doc->text.data;
}

static int append_slice(struct strata_buf *out, struct strata_json_slice s, struct strata_err *err)
{
	return strata_buf_append(out, s.p, s.len, err);
}

/* Appends a pointer's part as a name, in quotes. */
static int append_name(struct strata_buf *out, struct strata_json_slice part,
                       struct strata_err *err)
{
	struct strata_buf cleanup_buf name = {0};

	if (strata_json_unescape(&name, part, err))
		return -1;
	return strata_json_quote(out, name.data ? name.data : "", name.len, err);
}

/*
 * Appends value inside one object per part: {"a":{"b":VALUE}}. The parts come
 * from a pointer, so no more of them can be needed than the depth allows.
 */
static int append_wrapped(struct strata_buf *out, const struct strata_json *doc,
                          struct strata_json_slice parts, struct strata_json_slice value,
                          struct strata_err *err)
{
	size_t depth = 0;

	while (parts.len) {
		struct strata_json_slice part = strata_json_part(&parts);

		if (++depth > doc->limits.max_depth)
			return strata_fail(err, "ELIMIT",
			                   "JSON would be nested deeper than %zu levels "
			                   "(limits.json.max_depth)",
			                   doc->limits.max_depth);
		if (strata_buf_append(out, "{", 1, err) || append_name(out, part, err) ||
		    strata_buf_append(out, ":", 1, err))
			return -1;
	}
	if (append_slice(out, value, err))
		return -1;
	return depth ? strata_buf_fill(out, '}', depth, err) : 0;
}

/* Appends value in the style of the place that token and parent name. */
static int append_styled(struct strata_buf *out, const struct strata_json *doc, uint32_t token,
                         uint32_t parent, struct strata_json_slice value, struct strata_err *err)
{
	struct strata_json_tokens cleanup_tokens tokens = {0};
	struct strata_json_style style;

	if (strata_json_scan(value.p, value.len, &doc->limits, &tokens, err))
		return -1;
	strata_json_style_at(doc, token, parent, &style);
	return strata_json_layout(out, value.p, &tokens, &style, doc->limits.max_bytes, err);
}

static int replace(struct strata_json *doc, uint32_t token, struct strata_json_slice value,
                   struct strata_err *err)
{
	const struct strata_json_token *t = &doc->tokens.at[token];
	struct strata_buf cleanup_buf text = {0};

	if (append_styled(&text, doc, token, t->parent, value, err))
		return -1;
	if (token == 0)
		return strata_json_rewrite(doc, t->start, t->end, text.data, text.len, err);
	return strata_json_patch(doc,
	                         &(struct strata_json_change){
	                                 .start = t->start,
	                                 .end = t->end,
	                                 .with = text.data,
	                                 .len = text.len,
	                                 .value_len = text.len,
	                                 .name_start = t->name_start,
	                                 .name_end = t->name_end,
	                                 .parent = t->parent,
	                                 .first = token,
	                                 .old = strata_json_behind(doc, token) - token,
	                                 .gone = 1,
	                         },
	                         err);
}

/*
 * Appends the separator between child i and the one before it: a copy of the
 * separator of two neighbours; with a single child a comma and the white space
 * in front of that child.
 */
static int append_separator(struct strata_buf *out, const struct strata_json *doc,
                            uint32_t container, size_t i, struct strata_err *err)
{
	const struct strata_json_token *tokens = doc->tokens.at;
	uint32_t count = tokens[container].count;
	struct strata_json_style style;
	uint32_t a;

	if (count > 1) {
		a = strata_json_nth(doc, container, i < 2 ? 0 : i - 2 + (i < count));
		return strata_buf_append(out, doc->text.data + tokens[a].end,
		                         strata_json_begin(&tokens[tokens[a].next]) - tokens[a].end,
		                         err);
	}
	a = container + 1;
	if (memchr(doc->text.data + tokens[container].start, '\n',
	           strata_json_begin(&tokens[a]) - tokens[container].start)) {
		size_t start = tokens[container].start + 1;

		if (strata_buf_append(out, ",", 1, err))
			return -1;
		return strata_buf_append(out, doc->text.data + start,
		                         strata_json_begin(&tokens[a]) - start, err);
	}
	strata_json_style_at(doc, container, tokens[container].parent, &style);
	return append_slice(out, style.comma, err);
}

/*
 * Adds a value (with a name, in quotes, for an object) as child i of a
 * container that has some.
 */
static int add_child(struct strata_json *doc, uint32_t container, size_t i,
                     struct strata_json_slice name, struct strata_json_slice value,
                     struct strata_err *err)
{
	const struct strata_json_token *tokens = doc->tokens.at;
	struct strata_buf cleanup_buf text = {0};
	struct strata_json_style style;
	struct strata_json_change change = {.parent = container, .first = container + 1};
	size_t name_at;

	change.start = strata_json_begin(&tokens[container + 1]);
	if (i) {
		uint32_t before = strata_json_nth(doc, container, i - 1);

		change.first = strata_json_behind(doc, before);
		change.start = tokens[before].end;
	}
	change.end = change.start;
	if (i && append_separator(&text, doc, container, i, err))
		return -1;
	strata_json_style_at(doc, STRATA_JSON_NONE, container, &style);
	name_at = change.start + text.len;
	if (name.len && (append_slice(&text, name, err) || append_slice(&text, style.colon, err)))
		return -1;
	change.value_at = text.len;
	if (append_styled(&text, doc, STRATA_JSON_NONE, container, value, err))
		return -1;
	change.value_len = text.len - change.value_at;
	if (!i && append_separator(&text, doc, container, i, err))
		return -1;
	change.with = text.data;
	change.len = text.len;
	if (name.len) {
		change.name_start = (uint32_t)name_at;
		change.name_end = (uint32_t)(name_at + name.len);
	}
	return strata_json_patch(doc, &change, err);
}

/* The only child of an empty container: its brackets are laid out anew. */
static int add_first(struct strata_json *doc, uint32_t container, struct strata_json_slice name,
                     struct strata_json_slice value, struct strata_err *err)
{
	struct strata_buf cleanup_buf text = {0};
	struct strata_json_slice whole;

	if (strata_buf_append(&text, name.len ? "{" : "[", 1, err) ||
	    append_slice(&text, name, err) || (name.len && strata_buf_append(&text, ":", 1, err)) ||
	    append_slice(&text, value, err) ||
	    strata_buf_append(&text, name.len ? "}" : "]", 1, err))
		return -1;
	whole.p = text.data;
	whole.len = text.len;
	return replace(doc, container, whole, err);
}

static int no_place(const char *pointer, size_t len, const char *why, struct strata_err *err)
{
	char quoted[256];

	return strata_fail(err, "ENOENT", "JSON pointer %s: %s",
	                   strata_quote(quoted, sizeof(quoted), pointer, len), why);
}

/* Adds value where path ends; its rest is not empty. */
static int add_at(struct strata_json *doc, struct strata_json_path path,
                  struct strata_json_slice value, const char *pointer, size_t len,
                  struct strata_err *err)
{
	struct strata_buf cleanup_buf name = {0};
	struct strata_buf cleanup_buf wrapped = {0};
	const struct strata_json_token *t = &doc->tokens.at[path.token];
	struct strata_json_slice part = strata_json_part(&path.rest), whole, quoted;
	size_t i = t->count;

	if (!strata_json_is_container(t))
		return no_place(pointer, len, "leads through a value that is no container", err);
	if (t->type == STRATA_JSON_ARRAY &&
	    (!strata_json_index(part, t->count, &i) || i > t->count))
		return no_place(pointer, len, "no such place in the array", err);
	if (t->type == STRATA_JSON_OBJECT && append_name(&name, part, err))
		return -1;
	if (append_wrapped(&wrapped, doc, path.rest, value, err))
		return -1;
	whole.p = wrapped.data;
	whole.len = wrapped.len;
	quoted.p = name.len ? name.data : "";
	quoted.len = name.len;
	if (t->count)
		return add_child(doc, path.token, i, quoted, whole, err);
	return add_first(doc, path.token, quoted, whole, err);
}

/* Validates a value on its own, and cuts off the white space around it. */
static int check_value(const struct strata_json *doc, struct strata_json_slice *value,
                       struct strata_err *err)
{
	struct strata_json_tokens cleanup_tokens tokens = {0};

	if (strata_json_scan(value->p, value->len, &doc->limits, &tokens, err))
		return strata_err_wrap(err, "new value");
	value->p += tokens.at[0].start;
	value->len = tokens.at[0].end - tokens.at[0].start;
	return 0;
}

int strata_json_set(struct strata_json *doc, const char *pointer, size_t len, const char *value,
                    size_t value_len, struct strata_err *err)
{
	struct strata_json_slice v = {value, value_len};
	const struct strata_json_token *t;
	struct strata_json_path path;
	int rc = strata_json_walk(doc, pointer, len, &path, err);

	if (rc < 0 || check_value(doc, &v, err))
		return -1;
	if (!rc)
		return add_at(doc, path, v, pointer, len, err);
	t = &doc->tokens.at[path.token];
	if (v.len == t->end - t->start && !memcmp(v.p, doc->text.data + t->start, v.len))
		return 0;
	if (path.token == 0)
		return strata_json_rewrite(doc, t->start, t->end, v.p, v.len, err);
	return replace(doc, path.token, v, err);
}

int strata_json_insert(struct strata_json *doc, const char *pointer, size_t len, const char *value,
                       size_t value_len, struct strata_err *err)
{
	struct strata_json_slice v = {value, value_len}, none = {"", 0}, last;
	const char *slash = len ? memrchr(pointer, '/', len) : NULL;
	struct strata_json_path path;
	const struct strata_json_token *t;
	size_t i;
	int rc = strata_json_walk(doc, pointer, len, &path, err);

	if (rc < 0 || check_value(doc, &v, err))
		return -1;
	if (!slash)
		return no_place(pointer, len, "is no place in an array", err);
	last.p = slash;
	last.len = (size_t)(pointer + len - slash);
	rc = strata_json_walk(doc, pointer, (size_t)(slash - pointer), &path, err);
	t = &doc->tokens.at[path.token];
	if (rc != 1 || t->type != STRATA_JSON_ARRAY)
		return no_place(pointer, len, "is no place in an array", err);
	if (!strata_json_index(strata_json_part(&last), t->count, &i) || i > t->count)
		return no_place(pointer, len, "no such place in the array", err);
	if (t->count)
		return add_child(doc, path.token, i, none, v, err);
	return add_first(doc, path.token, none, v, err);
}

int strata_json_remove(struct strata_json *doc, const char *pointer, size_t len,
                       struct strata_err *err)
{
	const struct strata_json_token *tokens = doc->tokens.at, *t, *parent;
	struct strata_json_path path;
	struct strata_json_change change = {.with = "", .gone = 1};
	int rc = strata_json_walk(doc, pointer, len, &path, err);

	if (rc != 1)
		return rc;
	if (path.token == 0)
		return strata_fail(err, "EINVAL", "a JSON document cannot be removed from itself");
	t = &tokens[path.token];
	parent = &tokens[t->parent];
	change.parent = t->parent;
	change.first = path.token;
	change.old = strata_json_behind(doc, path.token) - path.token;
	if (parent->count == 1) {
		change.start = parent->start + 1;
		change.end = parent->end - 1;
	} else if (path.token == t->parent + 1) {
		change.start = strata_json_begin(t);
		change.end = strata_json_begin(&tokens[t->next]);
	} else {
		change.start = tokens[strata_json_before(doc, t->parent, path.token)].end;
		change.end = t->end;
	}
	return strata_json_patch(doc, &change, err);
}

int strata_json_rename(struct strata_json *doc, const char *pointer, size_t len, const char *name,
                       size_t name_len, struct strata_err *err)
{
	struct strata_buf cleanup_buf text = {0};
	const struct strata_json_token *tokens = doc->tokens.at, *t;
	struct strata_json_slice quoted;
	struct strata_json_path path;
	int rc = strata_json_walk(doc, pointer, len, &path, err);

	if (rc != 1)
		return rc;
	t = &tokens[path.token];
	if (!t->name_end)
		return strata_fail(err, "EINVAL", "only the member of an object can be renamed");
	if (strata_json_quote(&text, name, name_len, err))
		return -1;
	quoted.p = text.data;
	quoted.len = text.len;
	if (!strata_json_compare(strata_json_name(doc, path.token), quoted))
		return 1;
	for (uint32_t i = t->parent + 1; i != STRATA_JSON_NONE; i = tokens[i].next)
		if (!strata_json_compare(strata_json_name(doc, i), quoted)) {
			char shown[128];

			return strata_fail(err, "EEXIST", "there is a member %s already",
			                   strata_quote(shown, sizeof(shown), name, name_len));
		}
	return strata_json_rewrite(doc, t->name_start, t->name_end, text.data, text.len, err) < 0
	               ? -1
	               : 1;
}
