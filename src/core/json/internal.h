/*
 * Shared by the files of the JSON editor; no part of its interface.
 *
 * A document is its text and one token per value, in the order of the text. The
 * first child of a container that has any is the token behind it; siblings are
 * chained by `next`. An edit moves the text and the tokens behind it.
 */
#ifndef STRATA_JSON_INTERNAL_H
#define STRATA_JSON_INTERNAL_H

#include <stdint.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/json/json.h"

#define STRATA_JSON_NONE UINT32_MAX

struct strata_json_token {
	uint32_t start; /* of the value */
	uint32_t end;
	uint32_t name_start; /* of a member's name, with its quotes */
	uint32_t name_end;   /* 0 when the value is no member */
	uint32_t parent;
	uint32_t next; /* sibling */
	uint32_t count;
	uint8_t type; /* enum strata_json_type */
};

struct strata_json_tokens {
	struct strata_json_token *at;
	size_t n;
};

struct strata_json {
	struct strata_buf text; /* NUL behind its end, not counted */
	struct strata_json_tokens tokens;
	struct strata_json_limits limits; /* none zero */
};

/* Bytes of a text that has another owner. */
struct strata_json_slice {
	const char *p;
	size_t len;
};

static inline void strata_json_tokens_free(struct strata_json_tokens *tokens)
{
	free(tokens->at);
	memset(tokens, 0, sizeof(*tokens));
}

#define cleanup_tokens __attribute__((cleanup(strata_json_tokens_free)))

static inline bool strata_json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool strata_json_is_container(const struct strata_json_token *t)
{
	return t->type == STRATA_JSON_ARRAY || t->type == STRATA_JSON_OBJECT;
}

/* Where a member or element begins: its name if it has one. */
static inline uint32_t strata_json_begin(const struct strata_json_token *t)
{
	return t->name_end ? t->name_start : t->start;
}

/* The name of a member, with its quotes. */
static inline struct strata_json_slice strata_json_name(const struct strata_json *doc,
                                                        uint32_t token)
{
	const struct strata_json_token *t = &doc->tokens.at[token];
	struct strata_json_slice name = {doc->text.data + t->name_start,
	                                 t->name_end - t->name_start};

	return name;
}

/* The next byte of a pointer's part; *p is advanced. ~0 and ~1 are one byte. */
static inline char strata_json_part_byte(const char **p)
{
	char c = *(*p)++;

	if (c == '~')
		c = *(*p)++ == '0' ? '~' : '/';
	return c;
}

/* ---- scan.c ---- */

/*
 * Validates text and appends its tokens to *out, which is empty. Reads nothing
 * outside text[0..len).
 */
int strata_json_scan(const char *text, size_t len, const struct strata_json_limits *limits,
                     struct strata_json_tokens *out, struct strata_err *err);

/* ---- string.c ---- */

/* Length of the UTF-8 sequence at p, 0 when it is none. */
size_t strata_json_utf8(const char *p, size_t len);

/* Orders two string tokens (with quotes) by the bytes that they stand for. */
int strata_json_compare(struct strata_json_slice a, struct strata_json_slice b);

/* True when a part of a pointer names this member. */
bool strata_json_is_named(struct strata_json_slice name, struct strata_json_slice part);

/* ---- find.c ---- */

/* How far a pointer leads into a document. */
struct strata_json_path {
	uint32_t token;                /* the last value that was found on the way */
	struct strata_json_slice rest; /* the parts that were not found, "" for none */
};

/* 1 when all of the pointer was followed, 0 when not, -1 when it is malformed (EINVAL). */
int strata_json_walk(const struct strata_json *doc, const char *pointer, size_t len,
                     struct strata_json_path *path, struct strata_err *err);

/* Takes the first part off pointer ("/part/..."); it is still escaped. */
struct strata_json_slice strata_json_part(struct strata_json_slice *pointer);

/* Appends a part, unescaped. */
int strata_json_unescape(struct strata_buf *out, struct strata_json_slice part,
                         struct strata_err *err);

/*
 * The place in an array of `count` elements that part names: count for "-".
 * False when it is no index.
 */
bool strata_json_index(struct strata_json_slice part, size_t count, size_t *index);

/* Token of child i of a container, STRATA_JSON_NONE behind the last. */
uint32_t strata_json_nth(const struct strata_json *doc, uint32_t container, size_t i);

/* The last child of a container whose token is before `token`; it has one. */
uint32_t strata_json_before(const struct strata_json *doc, uint32_t container, uint32_t token);

/* ---- patch.c ---- */

/* The token behind a value and all that is in it; the number of tokens when it is the last. */
uint32_t strata_json_behind(const struct strata_json *doc, uint32_t token);

/*
 * One edit inside a container: the text from start to end becomes `with`, which has a value from
 * value_at on or, when value_len is 0, none.
 */
struct strata_json_change {
	size_t start;
	size_t end;
	const char *with;
	size_t len;
	size_t value_at;
	size_t value_len;
	uint32_t name_start; /* of the value, in the new text, as its token has it */
	uint32_t name_end;
	uint32_t parent; /* the container */
	uint32_t first;  /* where the tokens are that go, or come */
	uint32_t old;    /* how many go */
	uint32_t gone;   /* of them children of the container */
};

/*
 * Carries it out: 1, or 0 when the text is the same as before. What is wrong with the new document
 * has to be that it is over a limit; it is then as it was.
 */
int strata_json_patch(struct strata_json *doc, const struct strata_json_change *c,
                      struct strata_err *err);

/* The same for any text: the new document is scanned. */
int strata_json_rewrite(struct strata_json *doc, size_t start, size_t end, const char *with,
                        size_t len, struct strata_err *err);

/* ---- style.c ---- */

/* The layout of containers at some place of a document. */
struct strata_json_style {
	bool lines;                       /* one child per line */
	struct strata_json_slice newline; /* with lines */
	struct strata_json_slice indent;  /* of the line that the container begins on */
	struct strata_json_slice unit;    /* of indentation, for each level below that */
	struct strata_json_slice colon;   /* with its white space */
	struct strata_json_slice comma;   /* on one line, with its white space */
	struct strata_json_slice pad;     /* on one line, inside the brackets */
};

/*
 * The style for a value that is to stand in the place of `token`, or, when that
 * is STRATA_JSON_NONE, behind the last child of `parent`, which has some.
 */
void strata_json_style_at(const struct strata_json *doc, uint32_t token, uint32_t parent,
                          struct strata_json_style *style);

/* Appends a scanned value in that style. ELIMIT when out gets over max_bytes. */
int strata_json_layout(struct strata_buf *out, const char *text,
                       const struct strata_json_tokens *tokens,
                       const struct strata_json_style *style, size_t max_bytes,
                       struct strata_err *err);

#endif
