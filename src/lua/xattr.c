#include "lua/xattr.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/tar/xattr.h"

static void check_status(lua_State *L, int status, const struct strata_err *err)
{
	if (status < 0)
		strata_throw(L, err);
}

int strata_push_xattrs(lua_State *L, const struct strata_buf *records)
{
	struct strata_tar_xattrs list = {.records = records->data, .len = records->len};
	struct strata_buf *text = strata_push_buffer(L);
	struct strata_tar_xattr x;
	struct strata_err err;
	int status;

	luaL_checkstack(L, 8, "extended attributes");
	lua_newtable(L);
	while ((status = strata_tar_xattr_next(&list, text, &x, &err)) > 0) {
		lua_pushlstring(L, x.name, x.name_len);
		lua_pushlstring(L, x.value, x.value_len);
		lua_rawset(L, -3);
	}
	strata_buf_free(text);
	check_status(L, status, &err);
	lua_remove(L, -2);
	return 1;
}

/* True when the record may stay: no attribute, or one with the wanted value. */
static bool stays(lua_State *L, int wanted, const struct strata_pax_record *r,
                  struct strata_buf *text)
{
	struct strata_tar_xattr x;
	struct strata_err err;
	int status = strata_tar_xattr(r, text, &x, &err);
	bool same;

	check_status(L, status, &err);
	if (status == 0)
		return true;
	lua_pushlstring(L, x.name, x.name_len);
	lua_rawget(L, wanted);
	lua_pushlstring(L, x.value, x.value_len);
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

/* Appends the record of an attribute; key is room for its key. */
static int append_xattr(struct strata_buf *out, struct strata_buf *key, const char *name,
                        size_t name_len, const char *value, size_t value_len,
                        struct strata_err *err)
{
	key->len = 0;
	if (strata_tar_xattr_key(key, name, name_len, err) < 0)
		return -1;
	return strata_pax_append(out, key->data, key->len, value, value_len, err);
}

int strata_xattr_records(lua_State *L, int arg, const struct strata_buf *records,
                         struct strata_buf *out, struct strata_err *err)
{
	struct strata_buf *key = strata_push_buffer(L);
	const char *next = records->data;
	size_t left = records->len;
	struct strata_pax_record r;
	int status, has;

	strata_push_xattrs(L, records);
	has = lua_gettop(L);
	while ((status = strata_pax_next(&next, &left, &r, err)) > 0)
		if (stays(L, arg, &r, key) &&
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
