/*
 * JSON text edited by spans.
 *
 * A document is its original bytes. Reading finds spans in them; an edit
 * replaces, inserts or deletes spans and leaves every other byte as it was:
 * unknown keys, key order, number and escape spelling, white space. Text that
 * is inserted gets the style of its surroundings (indentation, space behind the colon).
 *
 * Parsing is strict RFC 8259 + I-JSON (image-spec considerations.md): valid
 * UTF-8, no duplicate object names (compared after unescaping), no lone
 * surrogates, no BOM, nothing after the document but white space. Limits on size,
 * depth and number of values are ELIMIT; everything else is EFORMAT and names
 * the byte offset. Never recurses on the C stack.
 *
 * Pointers are JSON Pointers (RFC 6901): "" is the document, "/config/Env/0"
 * an element, "-" the place behind an array's last element. ~0 and ~1 are
 * unescaped. Object names are compared after unescaping the document's text.
 *
 * The document owns its text; spans handed out are valid until the next edit.
 */
#ifndef STRATA_JSON_H
#define STRATA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"

enum strata_json_type {
	STRATA_JSON_NULL,
	STRATA_JSON_FALSE,
	STRATA_JSON_TRUE,
	STRATA_JSON_NUMBER,
	STRATA_JSON_STRING,
	STRATA_JSON_ARRAY,
	STRATA_JSON_OBJECT,
};

struct strata_json_limits {
	size_t max_bytes;  /* default STRATA_JSON_MAX_BYTES */
	size_t max_depth;  /* default STRATA_JSON_MAX_DEPTH */
	size_t max_values; /* default STRATA_JSON_MAX_VALUES */
};

#define STRATA_JSON_MAX_BYTES (4u << 20)
#define STRATA_JSON_MAX_DEPTH 64
#define STRATA_JSON_MAX_VALUES 1000000

struct strata_json;

/* A value inside the document: its type and text[start, end). */
struct strata_json_span {
	enum strata_json_type type;
	size_t start;
	size_t end;
	size_t count; /* members or elements of a container, else 0 */
	size_t place; /* for strata_json_next */
};

/* Another document of the same text and limits, which nothing scans again. */
struct strata_json *strata_json_copy(const struct strata_json *doc, struct strata_err *err);

/* Copies text. limits may be NULL for the defaults; a zero field too. */
struct strata_json *strata_json_parse(const char *text, size_t len,
                                      const struct strata_json_limits *limits,
                                      struct strata_err *err);
void strata_json_free(struct strata_json *doc);

/* The whole text as it stands now, NUL-terminated. */
const char *strata_json_text(const struct strata_json *doc, size_t *len);

/* 1 found, 0 no such value, -1 the pointer is malformed (EINVAL). */
int strata_json_find(const struct strata_json *doc, const char *pointer, size_t len,
                     struct strata_json_span *span, struct strata_err *err);

/*
 * The i-th member (object) or element (array) of the container at pointer,
 * from 0: *name is the span of the key with its quotes (objects), *value that
 * of the value. 1 found, 0 past the end or no container, -1 as above.
 */
int strata_json_child(const struct strata_json *doc, const char *pointer, size_t len, size_t i,
                      struct strata_json_span *name, struct strata_json_span *value,
                      struct strata_err *err);

/*
 * Goes on from a child to the one behind it, in constant time: *value came
 * from strata_json_child or from here. False behind the last one.
 */
bool strata_json_next(const struct strata_json *doc, struct strata_json_span *name,
                      struct strata_json_span *value);

/*
 * Sets the value at pointer to the JSON text value[0..value_len), which is
 * validated on its own first. What is there is replaced; a missing member is
 * inserted behind the last one; missing parents are made as objects; index ==
 * count or "-" appends to an array. ENOENT when a parent is a scalar or the
 * index is beyond the end. A no-op (same text already there) changes nothing.
 * Strings and numbers keep the spelling that value gives them; its white space
 * becomes that of the place, except for the whole document (pointer "").
 * 1 when bytes changed, 0 when none did. On failure the document is as before.
 */
int strata_json_set(struct strata_json *doc, const char *pointer, size_t len, const char *value,
                    size_t value_len, struct strata_err *err);

/*
 * Inserts before element i of an array; pointer's last part is i, or "-" for
 * the end. 1; ENOENT when there is no such array or i is beyond its end.
 */
int strata_json_insert(struct strata_json *doc, const char *pointer, size_t len, const char *value,
                       size_t value_len, struct strata_err *err);

/*
 * Deletes the member or element with its comma. 1 done, 0 was not there. The
 * document itself cannot be removed (EINVAL).
 */
int strata_json_remove(struct strata_json *doc, const char *pointer, size_t len,
                       struct strata_err *err);

/*
 * Renames the member at pointer, keeping its place and value. 1 done, 0 was
 * not there. EEXIST when another member has that name, EINVAL for an element.
 */
int strata_json_rename(struct strata_json *doc, const char *pointer, size_t len, const char *name,
                       size_t name_len, struct strata_err *err);

/* Appends bytes as a JSON string, quoted and escaped as Go's encoding/json
 * does it (\u0026 \u003c \u003e \u2028 \u2029, no \/). EFORMAT: no UTF-8. */
int strata_json_quote(struct strata_buf *out, const char *bytes, size_t len,
                      struct strata_err *err);

/* Appends the bytes that a JSON string token (with quotes) stands for. */
int strata_json_unquote(struct strata_buf *out, const char *token, size_t len,
                        struct strata_err *err);

/* True when a number token is written as an integer and fits. */
bool strata_json_integer(const char *token, size_t len, int64_t *value);

/*
 * The double nearest to a number token that lies in a document's text. Does
 * not depend on the locale; beyond the range it is an infinity.
 */
double strata_json_double(const char *token);

#endif
