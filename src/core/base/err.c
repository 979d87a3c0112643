#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

#define ELLIPSIS_LEN (sizeof(ellipsis) - 1)

/*
 * Formats into out[0..size) and returns the length; what does not fit is cut
 * and ends in "...". size must have room for that.
 */
static size_t format_cut(char *out, size_t size, const char *fmt, va_list ap)
        __attribute__((format(printf, 3, 0)));

static size_t format_cut(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0) {
		out[0] = '\0';
		return 0;
	}
	if ((size_t)n < size)
		return (size_t)n;
	memcpy(out + size - sizeof(ellipsis), ellipsis, sizeof(ellipsis));
	return size - 1;
}

static void set_code(struct strata_err *err, const char *code)
{
	size_t len = strlen(code);

	if (len >= sizeof(err->code))
		len = sizeof(err->code) - 1;
	memmove(err->code, code, len);
	err->code[len] = '\0';
}

int(strata_fail)(struct strata_err *err, const char *code, const char *fmt, ...)
{
	va_list ap;

	set_code(err, code);
	va_start(ap, fmt);
	format_cut(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -1;
}

#define ERRNO_NAME(name) \
	case name:       \
		return #name;

/* The errors that file, directory, mount and memory operations give. */
static const char *errno_name(int errnum)
{
	switch (errnum) {
		ERRNO_NAME(E2BIG)
		ERRNO_NAME(EACCES)
		ERRNO_NAME(EAGAIN)
		ERRNO_NAME(EBADF)
		ERRNO_NAME(EBUSY)
		ERRNO_NAME(ECANCELED)
		ERRNO_NAME(ECHILD)
		ERRNO_NAME(EDEADLK)
		ERRNO_NAME(EDOM)
		ERRNO_NAME(EDQUOT)
		ERRNO_NAME(EEXIST)
		ERRNO_NAME(EFAULT)
		ERRNO_NAME(EFBIG)
		ERRNO_NAME(EILSEQ)
		ERRNO_NAME(EINTR)
		ERRNO_NAME(EINVAL)
		ERRNO_NAME(EISDIR)
		ERRNO_NAME(ELOOP)
		ERRNO_NAME(EMFILE)
		ERRNO_NAME(EMLINK)
		ERRNO_NAME(ENAMETOOLONG)
		ERRNO_NAME(ENFILE)
		ERRNO_NAME(ENODATA)
		ERRNO_NAME(ENODEV)
		ERRNO_NAME(ENOENT)
		ERRNO_NAME(ENOLCK)
		ERRNO_NAME(ENOMEM)
		ERRNO_NAME(ENOSPC)
		ERRNO_NAME(ENOSYS)
		ERRNO_NAME(ENOTBLK)
		ERRNO_NAME(ENOTDIR)
		ERRNO_NAME(ENOTEMPTY)
		ERRNO_NAME(ENOTSUP)
		ERRNO_NAME(ENXIO)
		ERRNO_NAME(EOVERFLOW)
		ERRNO_NAME(EPERM)
		ERRNO_NAME(EPIPE)
		ERRNO_NAME(ERANGE)
		ERRNO_NAME(EROFS)
		ERRNO_NAME(ESPIPE)
		ERRNO_NAME(ESRCH)
		ERRNO_NAME(ESTALE)
		ERRNO_NAME(ETIMEDOUT)
		ERRNO_NAME(ETXTBSY)
		ERRNO_NAME(EUSERS)
		ERRNO_NAME(EXDEV)
	default:
		return "EIO";
	}
}

/* glibc's strerror_r returns the text, POSIX's (musl) fills the space and returns 0. */
static const char *text_returned(const char *text, const char *space)
{
	(void)space;
	return text;
}

static const char *text_filled(int failed, const char *space)
{
	return failed ? "unknown error" : space;
}

int(strata_fail_errno)(struct strata_err *err, int errnum, const char *fmt, ...)
{
	char text_space[128];
	const char *text = _Generic(strerror_r(errnum, text_space, sizeof(text_space)),
	        char *: text_returned,
	        int: text_filled)(strerror_r(errnum, text_space, sizeof(text_space)), text_space);
	size_t text_len = strnlen(text, sizeof(text_space) - 1);
	size_t len;
	va_list ap;

	set_code(err, errno_name(errnum));
	va_start(ap, fmt);
	len = format_cut(err->msg, sizeof(err->msg) - text_len - 2, fmt, ap);
	va_end(ap);
	memcpy(err->msg + len, ": ", 2);
	memcpy(err->msg + len + 2, text, text_len);
	err->msg[len + 2 + text_len] = '\0';
	return -1;
}

int(strata_fail_nomem)(struct strata_err *err)
{
	return strata_fail(err, "ENOMEM", "out of memory");
}

int(strata_err_wrap)(struct strata_err *err, const char *fmt, ...)
{
	/* Half of the message at most: the cause must not be pushed out. */
	char context[sizeof(err->msg) / 2];
	size_t context_len, len, room;
	va_list ap;

	va_start(ap, fmt);
	context_len = format_cut(context, sizeof(context) - 2, fmt, ap);
	va_end(ap);
	memcpy(context + context_len, ": ", 2);
	context_len += 2;

	len = strnlen(err->msg, sizeof(err->msg) - 1);
	room = sizeof(err->msg) - 1 - context_len;
	if (len > room) {
		len = room;
		memcpy(err->msg + len - ELLIPSIS_LEN, ellipsis, ELLIPSIS_LEN);
	}
	memmove(err->msg + context_len, err->msg, len);
	memcpy(err->msg, context, context_len);
	err->msg[context_len + len] = '\0';
	return -1;
}

/* Writes the printable form of one byte and returns its length (1, 2 or 4). */
static size_t quote_byte(char out[4], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '\'' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c >= 0x20 && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

/* True when the quoted form of all bytes takes at most `room` characters. */
static bool quote_fits(const char *bytes, size_t len, size_t room)
{
	char form[4];
	size_t total = 2;

	for (size_t i = 0; i < len && total <= room; i++)
		total += quote_byte(form, (unsigned char)bytes[i]);
	return total <= room;
}

char *strata_quote(char *out, size_t out_size, const char *bytes, size_t len)
{
	size_t room, tail, pos = 0;
	bool fits;

	if (out_size == 0)
		return out;
	room = out_size - 1;
	fits = quote_fits(bytes, len, room);
	tail = fits ? 1 : 1 + ELLIPSIS_LEN;
	if (room < 1 + tail) {
		pos = room < ELLIPSIS_LEN ? room : ELLIPSIS_LEN;
		memcpy(out, ellipsis, pos);
		out[pos] = '\0';
		return out;
	}
	out[pos++] = '\'';
	for (size_t i = 0; i < len; i++) {
		char form[4];
		size_t n = quote_byte(form, (unsigned char)bytes[i]);

		if (pos + n + tail > room)
			break;
		memcpy(out + pos, form, n);
		pos += n;
	}
	out[pos++] = '\'';
	if (!fits) {
		memcpy(out + pos, ellipsis, ELLIPSIS_LEN);
		pos += ELLIPSIS_LEN;
	}
	out[pos] = '\0';
	return out;
}
