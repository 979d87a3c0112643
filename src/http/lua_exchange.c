/* strata.http.Exchange: started by a client, polled from Lua. */
#include "http/exchange.h"

#include <string.h>

#include "http/module.h"

#define BYTES_MAX 9007199254740992.0

/* ---- what a request says: the table at argument 2 ---- */

static const char *text_field(lua_State *L, const char *field)
{
	size_t len = 0;
	const char *text = strata_opt_field(L, 2, field, &len);

	if (text != NULL && strlen(text) != len)
		luaL_error(L, "field '%s' cannot hold a NUL byte", field);
	return text;
}

/* Absent: what is in *range stays. */
static void range_field(lua_State *L, const char *field, struct strata_http_range *range)
{
	static const char *const fields[] = {"fd", "offset", "size", NULL};
	int at = lua_gettop(L) + 1;

	lua_getfield(L, 2, field);
	if (!lua_isnil(L, at)) {
		strata_http_check_fields(L, at, fields);
		range->fd = (int)strata_http_number_field(L, at, "fd", -1, 1e9);
		range->offset = (uint64_t)strata_http_number_field(L, at, "offset", 0, BYTES_MAX);
		range->size = (uint64_t)strata_http_number_field(L, at, "size", -1, BYTES_MAX);
	}
	lua_pop(L, 1);
}

/* The pipe in a field, which the exchange at index 3 keeps alive. */
static struct strata_pipe *pipe_field(lua_State *L, const char *field)
{
	struct strata_pipe *pipe = NULL;

	lua_getfield(L, 2, field);
	if (!lua_isnil(L, -1)) {
		pipe = strata_http_check_pipe(L, lua_gettop(L));
		strata_getuservalue(L, 3);
		lua_pushvalue(L, -2);
		lua_setfield(L, -2, field);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return pipe;
}

static void statuses_field(lua_State *L, long *statuses)
{
	size_t count;

	lua_getfield(L, 2, "statuses");
	if (!lua_isnil(L, -1)) {
		luaL_checktype(L, lua_gettop(L), LUA_TTABLE);
		count = lua_rawlen(L, -1);
		if (count == 0 || count > STRATA_HTTP_STATUSES_MAX)
			luaL_error(L, "field 'statuses' has none or too many");
		for (size_t i = 0; i < count; i++) {
			lua_rawgeti(L, -1, (int)i + 1);
			statuses[i] = (long)lua_tonumber(L, -1);
			if (statuses[i] < 200 || statuses[i] > 999)
				luaL_error(L, "field 'statuses' holds what is no status");
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

static enum strata_address_class addresses_field(lua_State *L)
{
	const char *name = text_field(L, "addresses");

	if (name == NULL || strcmp(name, "any") == 0)
		return STRATA_ADDRESS_OTHER;
	if (strcmp(name, "private") == 0)
		return STRATA_ADDRESS_PRIVATE;
	if (strcmp(name, "public") != 0)
		luaL_error(L, "field 'addresses' should be 'any', 'private' or 'public'");
	return STRATA_ADDRESS_PUBLIC;
}

static const char *needed_field(lua_State *L, const char *field)
{
	const char *text = text_field(L, field);

	if (text == NULL)
		luaL_error(L, "field '%s' is missing", field);
	return text;
}

static void check_known(lua_State *L)
{
	static const char *const fields[] = {
	        "method",    "url",       "headers",         "body",
	        "body_file", "body_pipe", "max_body",        "to_file",
	        "to_pipe",   "hash",      "connect_timeout", "stall_timeout",
	        "statuses",  "resolve",   "addresses",       "ca",
	        "cert",      "key",       "insecure",        "proxy",
	        NULL};

	strata_http_check_fields(L, 2, fields);
}

/* Nothing between these makes a Lua object but for the names of fields, so all texts stay. */
static void read_request(lua_State *L, struct strata_http_request *r)
{
	const char *hash = text_field(L, "hash");

	*r = strata_http_request_default;
	r->method = needed_field(L, "method");
	r->url = needed_field(L, "url");
	r->body = strata_opt_field(L, 2, "body", &r->body_len);
	range_field(L, "body_file", &r->body_file);
	r->body_pipe = pipe_field(L, "body_pipe");
	r->max_body = (uint64_t)strata_http_number_field(L, 2, "max_body", (lua_Number)r->max_body,
	                                                 BYTES_MAX);
	range_field(L, "to_file", &r->to_file);
	r->to_pipe = pipe_field(L, "to_pipe");
	statuses_field(L, r->statuses);
	r->hashed = hash != NULL;
	if (hash != NULL && !strata_digest_named(hash, &r->hash))
		luaL_error(L, "field 'hash' should be 'sha256' or 'sha512'");
	r->addresses = addresses_field(L);
	r->ca = text_field(L, "ca");
	r->cert = text_field(L, "cert");
	r->key = text_field(L, "key");
	r->proxy = text_field(L, "proxy");
	if (r->proxy == NULL)
		r->proxy = "";
	lua_getfield(L, 2, "insecure");
	r->insecure = lua_toboolean(L, -1);
	lua_pop(L, 1);
	r->connect_timeout = strata_http_number_field(L, 2, "connect_timeout", 10, 1e6);
	r->stall_timeout = strata_http_number_field(L, 2, "stall_timeout", 60, 1e6);
}

/* Adds each string of the array in a field. */
static int add_each(lua_State *L, const char *field, struct strata_exchange *x,
                    struct strata_err *err)
{
	bool headers = strcmp(field, "headers") == 0;
	int rc = 0;

	lua_getfield(L, 2, field);
	if (!lua_isnil(L, -1))
		luaL_checktype(L, lua_gettop(L), LUA_TTABLE);
	for (int i = 1; rc == 0 && lua_istable(L, -1) && i <= (int)lua_rawlen(L, -1); i++) {
		const char *text;
		size_t len;

		lua_rawgeti(L, -1, i);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "field '%s' should be an array of strings", field);
		text = lua_tolstring(L, -1, &len);
		rc = headers ? strata_exchange_add_header(x, text, len, err)
		             : strata_exchange_add_address(x, text, err);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return rc;
}

static void release_exchange(void *object)
{
	strata_exchange_free(object);
}

static int push_failure(lua_State *L, const struct strata_err *err)
{
	if (strcmp(err->code, "EINVAL") == 0 || strcmp(err->code, "EBUSY") == 0)
		return strata_throw(L, err);
	return strata_push_error(L, err);
}

int strata_http_start(lua_State *L)
{
	struct strata_http_client *c;
	struct strata_http_request r;
	struct strata_handle *handle;
	struct strata_err err;

	strata_http_check_client(L, 1);
	lua_settop(L, 2);
	check_known(L);
	handle = strata_new_handle(L, HTTP_EXCHANGE_TYPE, release_exchange);
	lua_newtable(L); /* what must not be collected while it runs */
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "client");
	strata_setuservalue(L, 3);
	read_request(L, &r);
	c = strata_http_check_client(L, 1); /* a finaliser may have closed it */
	handle->object = strata_exchange_new(c, &r, &err);
	if (handle->object == NULL || add_each(L, "headers", handle->object, &err) < 0 ||
	    add_each(L, "resolve", handle->object, &err) < 0 ||
	    strata_exchange_start(handle->object, &err) < 0)
		return push_failure(L, &err);
	lua_settop(L, 3);
	return 1;
}

/* ---- methods ---- */

static struct strata_exchange *check_exchange(lua_State *L)
{
	struct strata_exchange *x = strata_check_handle(L, 1, HTTP_EXCHANGE_TYPE);

	strata_http_check_process(L, strata_exchange_client(x));
	return x;
}

static struct strata_exchange *check_ended(lua_State *L)
{
	struct strata_exchange *x = check_exchange(L);

	if (!strata_exchange_wait(x, 0))
		luaL_error(L, "the %s has not ended", HTTP_EXCHANGE_TYPE);
	return x;
}

static int exchange_done(lua_State *L)
{
	lua_pushboolean(L, strata_exchange_wait(check_exchange(L), 0));
	return 1;
}

static int exchange_wait(lua_State *L)
{
	lua_Number seconds = strata_http_check_seconds(L, 2);

	lua_pushboolean(L, strata_exchange_wait(check_exchange(L), seconds));
	return 1;
}

/* exchange:status() -> integer | nil, message, code */
static int exchange_status(lua_State *L)
{
	struct strata_err err;
	int status = strata_exchange_status(check_ended(L), &err);

	if (status < 0)
		return strata_push_error(L, &err);
	lua_pushinteger(L, status);
	return 1;
}

static int exchange_head_status(lua_State *L)
{
	int status = strata_exchange_head_status(check_ended(L));

	if (status == 0)
		return 0;
	lua_pushinteger(L, status);
	return 1;
}

/* Pushes value n of a header, by way of the buffer, or nil: false. */
static bool push_value(lua_State *L, struct strata_buf *b, const char *name, size_t n)
{
	struct strata_err err;
	const char *value;
	size_t len;

	value = strata_exchange_header(check_ended(L), name, n, &len);
	if (value == NULL) {
		lua_pushnil(L);
		return false;
	}
	if (strata_buf_append(b, value, len, &err) < 0)
		strata_throw(L, &err);
	strata_push_contents(L, b);
	return true;
}

/* exchange:header(name) -> the first value | nil */
static int exchange_header(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 2);

	push_value(L, b, luaL_checkstring(L, 2), 0);
	return 1;
}

/* exchange:headers(name) -> array of values */
static int exchange_headers(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 2);
	const char *name = luaL_checkstring(L, 2);
	int n = 0;

	lua_newtable(L);
	for (; push_value(L, b, name, (size_t)n); n++)
		lua_rawseti(L, -2, n + 1);
	lua_pop(L, 1);
	return 1;
}

static int exchange_body(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 1);
	struct strata_err err;
	const char *bytes;
	size_t len;

	bytes = strata_exchange_body(check_ended(L), &len);
	if (strata_buf_append(b, bytes, len, &err) < 0)
		return strata_throw(L, &err);
	return strata_push_contents(L, b);
}

/* exchange:digest() -> "sha256:..." | nil */
static int exchange_digest(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 1);
	const char *digest = strata_exchange_digest(check_ended(L));

	return digest[0] != '\0' ? strata_push_copy(L, b, digest) : 0;
}

static int exchange_received(lua_State *L)
{
	strata_push_int64(L, (int64_t)strata_exchange_received(check_exchange(L)));
	return 1;
}

static int exchange_sent(lua_State *L)
{
	strata_push_int64(L, (int64_t)strata_exchange_sent(check_exchange(L)));
	return 1;
}

/* exchange:address() -> "127.0.0.1" | nil */
static int exchange_address(lua_State *L)
{
	struct strata_buf *b = strata_begin_buffer(L, 1);
	const char *address = strata_exchange_address(check_ended(L));

	return address[0] != '\0' ? strata_push_copy(L, b, address) : 0;
}

/* exchange:address_class() -> "public", "private", "other" | nil */
static int exchange_address_class(lua_State *L)
{
	const char *address = strata_exchange_address(check_ended(L));

	if (address[0] == '\0')
		return 0;
	lua_pushstring(L, strata_address_class_name(strata_address_classify_text(address)));
	return 1;
}

static int exchange_cancel(lua_State *L)
{
	strata_exchange_cancel(check_exchange(L));
	return 0;
}

static int exchange_tostring(lua_State *L)
{
	struct strata_handle *handle = strata_check_object(L, 1, HTTP_EXCHANGE_TYPE);
	const char *state = "closed";

	if (handle->object != NULL)
		state = strata_exchange_wait(check_exchange(L), 0) ? "ended" : "running";
	lua_pushfstring(L, "%s(%s)", HTTP_EXCHANGE_TYPE, state);
	return 1;
}

void strata_http_register_exchange(lua_State *L)
{
	static const luaL_Reg methods[] = {
	        {"done", exchange_done},         {"wait", exchange_wait},
	        {"status", exchange_status},     {"head_status", exchange_head_status},
	        {"header", exchange_header},     {"headers", exchange_headers},
	        {"body", exchange_body},         {"digest", exchange_digest},
	        {"received", exchange_received}, {"sent", exchange_sent},
	        {"address", exchange_address},   {"address_class", exchange_address_class},
	        {"cancel", exchange_cancel},     {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__tostring", exchange_tostring}, {NULL, NULL}};

	strata_register_type(L, HTTP_EXCHANGE_TYPE, methods, meta, strata_close_handle);
}
