#include "lua/xattr.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/tar/tar.h"

#define SCHILY "SCHILY.xattr."
#define LIBARCHIVE "LIBARCHIVE.xattr."

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Pushes name with %XX decoded; with `some` only %3D and %25. */
static void push_decoded(lua_State *L, const char *name, size_t len, bool some)
{
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len && name[i] == '%' ? hex_digit(name[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
		char c = (char)(high * 16 + low);

		if (low >= 0 && (!some || c == '=' || c == '%')) {
			luaL_addlstring(&b, &c, 1);
			i += 2;
		} else {
			luaL_addlstring(&b, name + i, 1);
		}
	}
	luaL_pushresult(&b);
}

static int base64_value(char c)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Base64 without padding, as libarchive writes it; stops at what is no digit. */
static void push_base64(lua_State *L, const char *text, size_t len)
{
	luaL_Buffer b;
	unsigned bits = 0;
	int count = 0;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < len; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			break;
		bits = (bits << 6) | (unsigned)value;
		count += 6;
		if (count >= 8) {
			char c = (char)(bits >> (count - 8));

			luaL_addlstring(&b, &c, 1);
			count -= 8;
		}
	}
	luaL_pushresult(&b);
}

static bool has_prefix(const struct strata_pax_record *r, const char *prefix)
{
	size_t len = strlen(prefix);

	return r->key_len > len && memcmp(r->key, prefix, len) == 0;
}

/* Pushes the attribute's name and value; false and nothing for other records. */
static bool push_xattr(lua_State *L, const struct strata_pax_record *r, bool *schily)
{
	size_t prefix;

	*schily = has_prefix(r, SCHILY);
	if (!*schily && !has_prefix(r, LIBARCHIVE))
		return false;
	prefix = *schily ? strlen(SCHILY) : strlen(LIBARCHIVE);
	push_decoded(L, r->key + prefix, r->key_len - prefix, *schily);
	if (*schily)
		lua_pushlstring(L, r->value, r->value_len);
	else
		push_base64(L, r->value, r->value_len);
	return true;
}

int strata_push_xattrs(lua_State *L, const char *records, size_t len)
{
	int table = lua_gettop(L) + 1;
	struct strata_pax_record r;
	struct strata_err err;
	bool schily;

	luaL_checkstack(L, 8, "extended attributes");
	lua_newtable(L);
	for (int pass = 0; pass < 2; pass++) {
		const char *p = records;
		size_t left = len;

		/* LIBARCHIVE's first, so that SCHILY's overwrite them. */
		while (strata_pax_next(&p, &left, &r, &err) > 0) {
			if (!push_xattr(L, &r, &schily))
				continue;
			if (schily == (pass == 1))
				lua_rawset(L, table);
			else
				lua_pop(L, 2);
		}
	}
	return 1;
}

/* True when the record may stay: no attribute, or one with the wanted value. */
static bool stays(lua_State *L, int wanted, const struct strata_pax_record *r)
{
	bool schily, same;

	if (!push_xattr(L, r, &schily))
		return true;
	lua_insert(L, -2); /* value, name */
	lua_rawget(L, wanted);
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

/* A name of the table that is being assigned, which keeps it alive. */
struct name {
	const char *text;
	size_t len;
};

/* By bytes: no locale. */
static int compare_names(const void *pa, const void *pb)
{
	const struct name *a = pa;
	const struct name *b = pb;
	int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Pushes an array of the table's keys in order; throws on anything but strings. */
static void push_sorted_names(lua_State *L, int table)
{
	struct name *names;
	int n = 0;

	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "xattrs should map names to values, both strings");
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, ++n);
	}
	names = strata_newuserdata(L, ((size_t)n + 1) * sizeof(*names));
	for (int i = 0; i < n; i++) {
		lua_rawgeti(L, -2, i + 1);
		names[i].text = lua_tolstring(L, -1, &names[i].len);
		lua_pop(L, 1);
	}
	qsort(names, (size_t)n, sizeof(*names), compare_names);
	/* A second array: the first keeps the names alive until they are all in it. */
	lua_newtable(L);
	for (int i = 0; i < n; i++) {
		lua_pushlstring(L, names[i].text, names[i].len);
		lua_rawseti(L, -2, i + 1);
	}
	lua_insert(L, -3);
	lua_pop(L, 2);
}

/* Appends SCHILY.xattr.NAME with '=' and '%' of the name encoded. */
static int append_xattr(struct strata_buf *out, struct strata_buf *key, const char *name,
                        size_t name_len, const char *value, size_t value_len,
                        struct strata_err *err)
{
	key->len = 0;
	if (strata_buf_append(key, SCHILY, strlen(SCHILY), err) < 0)
		return -1;
	for (size_t i = 0; i < name_len; i++) {
		const char *code = name[i] == '=' ? "%3D" : name[i] == '%' ? "%25" : NULL;

		if (strata_buf_append(key, code ? code : name + i, code ? 3 : 1, err) < 0)
			return -1;
	}
	return strata_pax_append(out, key->data, key->len, value, value_len, err);
}

int strata_xattr_records(lua_State *L, int arg, const char *records, size_t len,
                         struct strata_buf *out, struct strata_err *err)
{
	struct strata_buf *key = strata_push_buffer(L);
	struct strata_pax_record r;
	int status, has;

	strata_push_xattrs(L, records, len);
	has = lua_gettop(L);
	while ((status = strata_pax_next(&records, &len, &r, err)) > 0)
		if (stays(L, arg, &r) &&
		    strata_pax_append(out, r.key, r.key_len, r.value, r.value_len, err) < 0)
			return -1;
	if (status < 0)
		return -1;
	push_sorted_names(L, arg);
	for (int i = 1; i <= (int)lua_rawlen(L, -1); i++) {
		size_t name_len, value_len;
		const char *name, *value;
		bool there;

		lua_rawgeti(L, -1, i);
		lua_pushvalue(L, -1);
		lua_rawget(L, arg);
		lua_pushvalue(L, -2);
		lua_rawget(L, has);
		there = lua_rawequal(L, -1, -2);
		name = lua_tolstring(L, -3, &name_len);
		value = lua_tolstring(L, -2, &value_len);
		if (!there && value_len == 0)
			luaL_error(L, "xattrs: a tar cannot hold an empty value");
		if (!there && append_xattr(out, key, name, name_len, value, value_len, err) < 0)
			return -1;
		lua_pop(L, 3);
	}
	return 0;
}
