#include "core/tar/xattr.h"

#include <string.h>

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

/* Appends the name with %XX decoded, of SCHILY's %3D and %25 alone, and a NUL. out has room for it.
 */
static void decode_name(struct strata_buf *out, const char *name, size_t len, bool schily)
{
	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len && name[i] == '%' ? hex_digit(name[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
		char c = (char)(high * 16 + low);

		if (low >= 0 && (!schily || c == '=' || c == '%')) {
			out->data[out->len++] = c;
			i += 2;
		} else {
			out->data[out->len++] = name[i];
		}
	}
	out->data[out->len++] = '\0';
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends the decoded bytes, up to a character that is no digit of base64. out has room for them.
 */
static void decode_base64(struct strata_buf *out, const char *text, size_t len)
{
	unsigned bits = 0;
	int count = 0;

	for (size_t i = 0; i < len; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			break;
		bits = (bits << 6) | (unsigned)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			out->data[out->len++] = (char)(bits >> count);
		}
	}
}

static bool key_begins(const struct strata_pax_record *r, const char *prefix)
{
	size_t len = strlen(prefix);

	return r->key_len > len && memcmp(r->key, prefix, len) == 0;
}

int strata_tar_xattr(const struct strata_pax_record *r, struct strata_buf *text,
                     struct strata_tar_xattr *x, struct strata_err *err)
{
	size_t prefix, encoded;

	x->schily = key_begins(r, SCHILY);
	if (!x->schily && !key_begins(r, LIBARCHIVE))
		return 0;
	prefix = strlen(x->schily ? SCHILY : LIBARCHIVE);
	encoded = x->schily ? 0 : r->value_len;
	text->len = 0;
	if (strata_buf_reserve(text, r->key_len - prefix + 1 + encoded, err) < 0)
		return -1;
	decode_name(text, r->key + prefix, r->key_len - prefix, x->schily);
	x->name = text->data;
	x->name_len = text->len - 1;
	x->value = x->schily ? r->value : text->data + text->len;
	x->value_len = r->value_len;
	if (!x->schily) {
		decode_base64(text, r->value, r->value_len);
		x->value_len = text->len - x->name_len - 1;
	}
	return 1;
}

int strata_tar_xattr_next(struct strata_tar_xattrs *list, struct strata_buf *text,
                          struct strata_tar_xattr *x, struct strata_err *err)
{
	struct strata_pax_record r;
	int status;

	while ((status = strata_pax_next(&list->records, &list->len, &r, err)) > 0)
		if (key_begins(&r, SCHILY))
			return strata_tar_xattr(&r, text, x, err);
	return status;
}

int strata_tar_xattr_key(struct strata_buf *out, const char *name, size_t len,
                         struct strata_err *err)
{
	if (strata_buf_append(out, SCHILY, strlen(SCHILY), err) < 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const char *code = name[i] == '=' ? "%3D" : name[i] == '%' ? "%25" : NULL;

		if (strata_buf_append(out, code ? code : name + i, code ? 3 : 1, err) < 0)
			return -1;
	}
	return 0;
}
