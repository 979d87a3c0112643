/* Extended attributes, from the PAX records that GNU tar, star, Go and libarchive write. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/apply/internal.h"

#define SCHILY "SCHILY.xattr."
#define LIBARCHIVE "LIBARCHIVE.xattr."

/* The kernel's own limit for a name, and for a value. */
#define MAX_NAME 255
#define MAX_VALUE 65536

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

/* Decodes %XX; with `some` only %3D and %25. False when it is too long, or has a NUL. */
static bool decode_name(const char *name, size_t len, bool some, char out[MAX_NAME + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len && name[i] == '%' ? hex_digit(name[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
		char c = low >= 0 ? (char)(high * 16 + low) : name[i];

		if (low >= 0 && some && c != '=' && c != '%')
			c = name[i];
		else if (low >= 0)
			i += 2;
		if (n == MAX_NAME || c == '\0')
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n > 0;
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

/* Without padding, as libarchive writes it; stops at what is no digit. */
static int decode_base64(const char *text, size_t len, struct strata_buf *out,
                         struct strata_err *err)
{
	unsigned bits = 0;
	int count = 0;

	if (strata_buf_reserve(out, len, err) < 0)
		return -1;
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
	return 0;
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Labels of the machine that it came from, and what would speak to an overlay mount. */
static bool is_left_out(const char *name)
{
	return strcmp(name, "security.selinux") == 0 || strcmp(name, "system.nfs4_acl") == 0;
}

static bool is_overlay_mark(const char *name)
{
	return has_prefix(name, "trusted.overlay.") || has_prefix(name, "user.overlay.");
}

static int set_xattr(struct strata_apply *a, int fd, const char *name, const char *key,
                     const void *value, size_t len, struct strata_err *err)
{
	char path[32 + 256];
	int status;

	if (is_left_out(key))
		return 0;
	if (is_overlay_mark(key))
		return apply_note(a, "xattr", key, ENOTSUP, err);
	if (fd >= 0) {
		status = fsetxattr(fd, key, value, len, 0);
	} else {
		int n = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", a->dir.fd, name);

		if (n < 0 || (size_t)n >= sizeof(path))
			return strata_fail_errno(err, ENAMETOOLONG, "cannot set xattr %s", key);
		status = lsetxattr(path, key, value, len, 0);
		/* There are none of user.'s on anything but files and directories. */
		if (status < 0 && errno == EPERM && has_prefix(key, "user."))
			return 0;
	}
	return status < 0 ? apply_note(a, "xattr", key, errno, err) : 0;
}

static bool key_begins(const struct strata_pax_record *r, const char *prefix)
{
	size_t len = strlen(prefix);

	return r->key_len > len && memcmp(r->key, prefix, len) == 0;
}

static int set_record(struct strata_apply *a, int fd, const char *name,
                      const struct strata_pax_record *r, bool schily, struct strata_err *err)
{
	size_t prefix = strlen(schily ? SCHILY : LIBARCHIVE);
	cleanup_buf struct strata_buf value = {0};
	char key[MAX_NAME + 1];

	if (!decode_name(r->key + prefix, r->key_len - prefix, schily, key))
		return strata_fail(err, "EFORMAT", "an extended attribute has no proper name");
	if (r->value_len > (size_t)2 * MAX_VALUE)
		return apply_note(a, "xattr", key, ENOTSUP, err);
	if (schily)
		return set_xattr(a, fd, name, key, r->value, r->value_len, err);
	if (decode_base64(r->value, r->value_len, &value, err) < 0)
		return -1;
	return set_xattr(a, fd, name, key, value.data, value.len, err);
}

int apply_xattrs(struct strata_apply *a, int fd, const char *name, struct strata_err *err)
{
	/* LIBARCHIVE's first, so that SCHILY's overwrite them. */
	for (int pass = 0; pass < 2; pass++) {
		const char *records = a->meta.pax.data;
		size_t left = a->meta.pax.len;
		struct strata_pax_record r;
		int status;

		while ((status = strata_pax_next(&records, &left, &r, err)) > 0) {
			if (key_begins(&r, pass == 1 ? SCHILY : LIBARCHIVE) &&
			    set_record(a, fd, name, &r, pass == 1, err) < 0)
				return -1;
		}
		if (status < 0)
			return -1;
	}
	return 0;
}

int apply_clear_xattrs(struct strata_apply *a, int fd, struct strata_err *err)
{
	cleanup_free char *names = NULL;
	char probe[1024];
	const char *list = probe;
	ssize_t len = flistxattr(fd, probe, sizeof(probe));

	if (len < 0 && errno == ERANGE) {
		list = names = malloc(MAX_VALUE);
		if (names == NULL)
			return strata_fail_nomem(err);
		len = flistxattr(fd, names, MAX_VALUE);
	}
	if (len < 0)
		return errno == ENOTSUP ? 0 : strata_fail_errno(err, errno, "cannot list xattrs");
	for (const char *key = list; key < list + len; key += strlen(key) + 1) {
		if (is_left_out(key) || (a->options.overlay && is_overlay_mark(key)))
			continue;
		if (fremovexattr(fd, key) < 0 && errno != ENODATA &&
		    apply_note(a, "xattr", key, errno, err) < 0)
			return -1;
	}
	return 0;
}
