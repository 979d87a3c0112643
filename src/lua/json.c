/*
 * strata.JSON: a JSON document that is edited by spans (core/json/json.h).
 *
 *   doc = core.json(text [, {max_bytes=, max_depth=, max_values=}])
 *   doc:get(pointer)  -> value, type [, raw]
 *       absent: nil. A scalar: its value ("string", "number", "boolean"), nil
 *       for "null". A container: nil, "array" or "object", and its text.
 *   doc:type(pointer), doc:raw(pointer), doc:count(pointer) -> nil when absent
 *   doc:keys(pointer)  -> names of an object in order, nil when it is none
 *   doc:spans(pointer) -> {first, last, first, last, ...}: where the children
 *       of a container stand in doc:text(); nil when it is none
 *   doc:set(pointer, json), doc:insert(pointer, json) -> true when the text
 *       changed, false when it is the same
 *   doc:remove(pointer), doc:rename(pointer, name) -> false when absent
 *   core.json_quote(bytes) -> JSON string
 *
 * A malformed pointer throws; everything else is nil, message, code.
 */
#include <string.h>

#include "core/json/json.h"
#include "lua/binding.h"

#define JSON "strata.JSON"

struct json_object {
	struct strata_json *doc; /* NULL when closed */
	size_t edits;
};

static struct json_object *check_json(lua_State *L)
{
	struct json_object *o = strata_check_object(L, 1, JSON);

	if (!o->doc)
		luaL_argerror(L, 1, "closed " JSON);
	return o;
}

/* nil, message, code; a misuse throws. */
static int fail(lua_State *L, const struct strata_err *err)
{
	if (!strcmp(err->code, "EINVAL"))
		return luaL_argerror(L, 2, err->msg);
	return strata_push_answer_error(L, err);
}

static size_t limit(lua_State *L, int arg, const char *name)
{
	lua_Number n = 0;

	lua_getfield(L, arg, name);
	if (!lua_isnil(L, -1)) {
		n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
		if (!(n >= 1 && n <= 4294967295.0))
			luaL_error(L, "limit %s must be a positive number below 2^32", name);
	}
	lua_pop(L, 1);
	return (size_t)n;
}

static int json_new(lua_State *L)
{
	struct strata_json_limits limits = {0};
	struct json_object *o;
	struct strata_err err;
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);

	if (!lua_isnoneornil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		limits.max_bytes = limit(L, 2, "max_bytes");
		limits.max_depth = limit(L, 2, "max_depth");
		limits.max_values = limit(L, 2, "max_values");
	}
	o = strata_new_object(L, JSON, sizeof(*o));
	o->doc = strata_json_parse(text, len, &limits, &err);
	return o->doc ? 1 : fail(L, &err);
}

/* doc:copy() -> another document of the same text | nil, message, code */
static int json_copy(lua_State *L)
{
	struct json_object *o;
	struct strata_err err;

	check_json(L);
	o = strata_new_object(L, JSON, sizeof(*o));
	o->doc = strata_json_copy(check_json(L)->doc, &err);
	return o->doc ? 1 : fail(L, &err);
}

static int json_close(lua_State *L)
{
	struct json_object *o = strata_check_object(L, 1, JSON);

	strata_json_free(o->doc);
	o->doc = NULL;
	return 0;
}

static int json_tostring(lua_State *L)
{
	struct json_object *o = strata_check_object(L, 1, JSON);
	size_t len = 0;

	if (!o->doc) {
		lua_pushliteral(L, JSON "(closed)");
		return 1;
	}
	strata_json_text(o->doc, &len);
	lua_pushfstring(L, JSON "(%d bytes)", (int)len);
	return 1;
}

/* Pushes a part of the document by way of the buffer, which is on the stack and empty. */
static int push_text(lua_State *L, struct strata_buf *copy, const char *text, size_t len)
{
	struct strata_err err;

	if (strata_buf_append(copy, text, len, &err) < 0)
		return strata_throw(L, &err);
	return strata_push_contents(L, copy);
}

static int json_text(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 1);
	size_t len;
	const char *text = strata_json_text(check_json(L)->doc, &len);

	return push_text(L, copy, text, len);
}

/* The document, and the value at argument 2 as strata_json_find. */
static int find(lua_State *L, struct json_object **o, struct strata_json_span *span,
                struct strata_err *err)
{
	size_t len;
	const char *pointer = luaL_checklstring(L, 2, &len);

	*o = check_json(L);
	return strata_json_find((*o)->doc, pointer, len, span, err);
}

/* What a method that reads returns when there is nothing to be read. */
static int nothing(lua_State *L, int rc, const struct strata_err *err)
{
	if (rc < 0)
		return fail(L, err);
	lua_pushnil(L);
	return 1;
}

static const char *type_name(enum strata_json_type type)
{
	switch (type) {
	case STRATA_JSON_NULL:
		return "null";
	case STRATA_JSON_FALSE:
	case STRATA_JSON_TRUE:
		return "boolean";
	case STRATA_JSON_NUMBER:
		return "number";
	case STRATA_JSON_STRING:
		return "string";
	case STRATA_JSON_ARRAY:
		return "array";
	case STRATA_JSON_OBJECT:
		break;
	}
	return "object";
}

/* An integer where the text and Lua have one, else the nearest number. */
static void push_number(lua_State *L, const char *token, size_t len)
{
	const double exact = 9007199254740992.0; /* 2^53 */
	int64_t integer;
	double value;

	if (strata_json_integer(token, len, &integer)) {
		strata_push_int64(L, integer);
		return;
	}
	value = strata_json_double(token);
	if (value > -exact && value < exact && value == (double)(int64_t)value)
		strata_push_int64(L, (int64_t)value);
	else
		lua_pushnumber(L, (lua_Number)value);
}

/* Pushes what a string token stands for, by way of the buffer; -1 when there is no memory. */
static int push_string(lua_State *L, struct strata_buf *copy, const char *token, size_t len,
                       struct strata_err *err)
{
	copy->len = 0;
	if (strata_json_unquote(copy, token, len, err))
		return -1;
	lua_pushlstring(L, copy->data, copy->len);
	return 0;
}

static int json_get(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 2);
	struct json_object *o;
	struct strata_json_span span;
	struct strata_err err;
	size_t len;
	int rc = find(L, &o, &span, &err);
	const char *token;

	if (rc != 1)
		return nothing(L, rc, &err);
	token = strata_json_text(o->doc, &len) + span.start;
	len = span.end - span.start;
	switch (span.type) {
	case STRATA_JSON_STRING:
		if (push_string(L, copy, token, len, &err))
			return fail(L, &err);
		break;
	case STRATA_JSON_NUMBER:
		push_number(L, token, len);
		break;
	case STRATA_JSON_TRUE:
	case STRATA_JSON_FALSE:
		lua_pushboolean(L, span.type == STRATA_JSON_TRUE);
		break;
	case STRATA_JSON_NULL:
		lua_pushnil(L);
		break;
	case STRATA_JSON_ARRAY:
	case STRATA_JSON_OBJECT:
		push_text(L, copy, token, len);
		lua_pushnil(L);
		lua_pushstring(L, type_name(span.type));
		lua_pushvalue(L, -3);
		return 3;
	}
	lua_pushstring(L, type_name(span.type));
	return 2;
}

static int json_type(lua_State *L)
{
	struct json_object *o;
	struct strata_json_span span;
	struct strata_err err;
	int rc = find(L, &o, &span, &err);

	if (rc != 1)
		return nothing(L, rc, &err);
	lua_pushstring(L, type_name(span.type));
	return 1;
}

static int json_raw(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 2);
	struct json_object *o;
	struct strata_json_span span;
	struct strata_err err;
	size_t len;
	int rc = find(L, &o, &span, &err);

	if (rc != 1)
		return nothing(L, rc, &err);
	return push_text(L, copy, strata_json_text(o->doc, &len) + span.start,
	                 span.end - span.start);
}

static int json_count(lua_State *L)
{
	struct json_object *o;
	struct strata_json_span span;
	struct strata_err err;
	int rc = find(L, &o, &span, &err);

	if (rc != 1)
		return nothing(L, rc, &err);
	strata_push_int64(L, (int64_t)span.count);
	return 1;
}

/* A finaliser may have closed or edited the document. */
static void check_unchanged(lua_State *L, const struct json_object *o, size_t edits)
{
	if (!o->doc || o->edits != edits)
		luaL_error(L, JSON " was changed while it was read");
}

static int json_keys(lua_State *L)
{
	struct strata_buf *copy = strata_begin_buffer(L, 2);
	size_t len;
	const char *pointer = luaL_checklstring(L, 2, &len);
	struct json_object *o = check_json(L);
	const size_t edits = o->edits;
	struct strata_json_span span, name, value;
	struct strata_err err;
	int rc = strata_json_find(o->doc, pointer, len, &span, &err), n = 0;
	bool more;

	if (rc != 1 || span.type != STRATA_JSON_OBJECT)
		return nothing(L, rc, &err);
	lua_newtable(L);
	check_unchanged(L, o, edits);
	more = strata_json_child(o->doc, pointer, len, 0, &name, &value, &err) == 1;
	while (more) {
		const char *text = strata_json_text(o->doc, &len);

		if (push_string(L, copy, text + name.start, name.end - name.start, &err))
			return fail(L, &err);
		lua_rawseti(L, -2, ++n);
		check_unchanged(L, o, edits);
		more = strata_json_next(o->doc, &name, &value);
	}
	return 1;
}

static int json_spans(lua_State *L)
{
	size_t len;
	const char *pointer = luaL_checklstring(L, 2, &len);
	struct json_object *o = check_json(L);
	const size_t edits = o->edits;
	struct strata_json_span span, name, value;
	struct strata_err err;
	int rc = strata_json_find(o->doc, pointer, len, &span, &err), n = 0;
	bool more;

	if (rc != 1 || (span.type != STRATA_JSON_ARRAY && span.type != STRATA_JSON_OBJECT))
		return nothing(L, rc, &err);
	lua_newtable(L);
	check_unchanged(L, o, edits);
	more = strata_json_child(o->doc, pointer, len, 0, &name, &value, &err) == 1;
	while (more) {
		strata_push_int64(L, (int64_t)value.start + 1);
		lua_rawseti(L, -2, ++n);
		strata_push_int64(L, (int64_t)value.end);
		lua_rawseti(L, -2, ++n);
		check_unchanged(L, o, edits);
		more = strata_json_next(o->doc, &name, &value);
	}
	return 1;
}

/* Edits by a pointer and a text; -> whether the document was changed. */
static int edit(lua_State *L,
                int (*change)(struct strata_json *doc, const char *pointer, size_t len,
                              const char *text, size_t text_len, struct strata_err *err))
{
	size_t len, text_len;
	const char *pointer = luaL_checklstring(L, 2, &len);
	const char *text = luaL_checklstring(L, 3, &text_len);
	struct json_object *o = check_json(L);
	struct strata_err err;
	int rc = change(o->doc, pointer, len, text, text_len, &err);

	if (rc < 0)
		return fail(L, &err);
	o->edits += rc > 0;
	lua_pushboolean(L, rc);
	return 1;
}

static int json_set(lua_State *L)
{
	return edit(L, strata_json_set);
}

static int json_insert(lua_State *L)
{
	return edit(L, strata_json_insert);
}

static int json_rename(lua_State *L)
{
	return edit(L, strata_json_rename);
}

static int remove_value(struct strata_json *doc, const char *pointer, size_t len, const char *text,
                        size_t text_len, struct strata_err *err)
{
	(void)text;
	(void)text_len;
	return strata_json_remove(doc, pointer, len, err);
}

static int json_remove(lua_State *L)
{
	lua_settop(L, 2);
	lua_pushliteral(L, "");
	return edit(L, remove_value);
}

/* doc:revision() -> how often it was changed */
static int json_revision(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_json(L)->edits);
	return 1;
}

static int json_quote(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 1);
	struct strata_err err;
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);

	if (strata_json_quote(b, bytes, len, &err))
		return fail(L, &err);
	return strata_push_contents(L, b);
}

/* before(a, b) -> whether a comes first in the order of bytes: `<` of Lua follows the locale */
static int module_before(lua_State *L)
{
	size_t a_len, b_len;
	const char *a = luaL_checklstring(L, 1, &a_len);
	const char *b = luaL_checklstring(L, 2, &b_len);
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	lua_pushboolean(L, order != 0 ? order < 0 : a_len < b_len);
	return 1;
}

void strata_lua_register_json(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"get", json_get},       {"type", json_type},
	        {"raw", json_raw},       {"count", json_count},
	        {"keys", json_keys},     {"spans", json_spans},
	        {"text", json_text},     {"set", json_set},
	        {"insert", json_insert}, {"remove", json_remove},
	        {"rename", json_rename}, {"revision", json_revision},
	        {"copy", json_copy},     {NULL, NULL},
	};
	static const luaL_Reg meta[] = {{"__tostring", json_tostring}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
	        {"json", json_new},
	        {"json_quote", json_quote},
	        {"before", module_before},
	        {NULL, NULL},
	};

	strata_register_type(L, JSON, methods, meta, json_close);
	strata_set_functions(L, functions);
}
