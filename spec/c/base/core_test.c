/* Errors, quoting and buffers. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/base/buf.h"
#include "core/base/err.h"

/* ---- errors ------------------------------------------------------------ */

static void fail_fills_code_and_message(void)
{
	struct strata_err err = {"old", "old"};

	CHECK(strata_fail(&err, "EFORMAT", "entry %d of %s", 3, "x") == -1);
	CHECK(strcmp(err.code, "EFORMAT") == 0);
	CHECK(strcmp(err.msg, "entry 3 of x") == 0);
	CHECK(strata_fail_nomem(&err) == -1);
	CHECK(strcmp(err.code, "ENOMEM") == 0);
	CHECK(err.msg[0] != '\0');
}

static void a_code_that_is_too_long_is_cut(void)
{
	struct strata_err err;

	strata_fail(&err, "EABCDEFGHIJKLMNOPQRSTUVWXYZ", "m");
	CHECK(strcmp(err.code, "EABCDEFGHIJKLMN") == 0);
	strata_fail(&err, err.code, "kept");
	CHECK(strcmp(err.code, "EABCDEFGHIJKLMN") == 0);
}

static void a_long_message_is_cut_with_dots(void)
{
	struct strata_err err;
	char text[3000];

	memset(text, 'a', sizeof(text));
	text[sizeof(err.msg) - 1] = '\0'; /* just fits */
	strata_fail(&err, "E", "%s", text);
	CHECK(strcmp(err.msg, text) == 0);
	text[sizeof(err.msg) - 1] = 'a';
	text[sizeof(err.msg)] = '\0'; /* one too many */
	strata_fail(&err, "E", "%s", text);
	CHECK(strlen(err.msg) == sizeof(err.msg) - 1);
	CHECK(strcmp(err.msg + sizeof(err.msg) - 5, "a...") == 0);
}

#define KNOWN(name)         \
	{                   \
		name, #name \
	}

static void every_errno_that_files_give_has_its_name(void)
{
	static const struct {
		int errnum;
		const char *name;
	} known[] = {
	        KNOWN(E2BIG),        KNOWN(EACCES),    KNOWN(EAGAIN),    KNOWN(EBADF),
	        KNOWN(EBUSY),        KNOWN(ECANCELED), KNOWN(ECHILD),    KNOWN(EDEADLK),
	        KNOWN(EDOM),         KNOWN(EDQUOT),    KNOWN(EEXIST),    KNOWN(EFAULT),
	        KNOWN(EFBIG),        KNOWN(EILSEQ),    KNOWN(EINTR),     KNOWN(EINVAL),
	        KNOWN(EISDIR),       KNOWN(ELOOP),     KNOWN(EMFILE),    KNOWN(EMLINK),
	        KNOWN(ENAMETOOLONG), KNOWN(ENFILE),    KNOWN(ENODATA),   KNOWN(ENODEV),
	        KNOWN(ENOENT),       KNOWN(ENOLCK),    KNOWN(ENOMEM),    KNOWN(ENOSPC),
	        KNOWN(ENOSYS),       KNOWN(ENOTBLK),   KNOWN(ENOTDIR),   KNOWN(ENOTEMPTY),
	        KNOWN(ENOTSUP),      KNOWN(ENXIO),     KNOWN(EOVERFLOW), KNOWN(EPERM),
	        KNOWN(EPIPE),        KNOWN(ERANGE),    KNOWN(EROFS),     KNOWN(ESPIPE),
	        KNOWN(ESRCH),        KNOWN(ESTALE),    KNOWN(ETIMEDOUT), KNOWN(ETXTBSY),
	        KNOWN(EUSERS),       KNOWN(EXDEV),
	};
	struct strata_err err;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		strata_fail_errno(&err, known[i].errnum, "x");
		CHECK(strcmp(err.code, known[i].name) == 0);
	}
}

static void errno_gives_name_and_text(void)
{
	static const struct {
		int errnum;
		const char *name;
	} known[] = {
	        {ENOENT, "ENOENT"},   {EACCES, "EACCES"},       {ENOSPC, "ENOSPC"},
	        {EXDEV, "EXDEV"},     {EDQUOT, "EDQUOT"},       {ENAMETOOLONG, "ENAMETOOLONG"},
	        {ENOTSUP, "ENOTSUP"}, {ENOTEMPTY, "ENOTEMPTY"}, {EIO, "EIO"},
	        {EL2HLT, "EIO"},      {123456, "EIO"},
	};
	struct strata_err err;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		CHECK(strata_fail_errno(&err, known[i].errnum, "open %s", "f") == -1);
		CHECK(strcmp(err.code, known[i].name) == 0);
		CHECK(strncmp(err.msg, "open f: ", 8) == 0);
	}
	strata_fail_errno(&err, ENOENT, "open %s", "f");
	CHECK(strcmp(err.msg, "open f: No such file or directory") == 0);
}

static void errno_text_survives_a_long_message(void)
{
	struct strata_err err;
	char text[3000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	strata_fail_errno(&err, ENOENT, "%s", text);
	CHECK(strlen(err.msg) < sizeof(err.msg));
	CHECK(strstr(err.msg, "aaa...: No such file or directory") != NULL);
}

static void wrap_puts_context_in_front(void)
{
	struct strata_err err;

	strata_fail(&err, "EFORMAT", "bad header");
	CHECK(strata_err_wrap(&err, "layer %d", 3) == -1);
	CHECK(strata_err_wrap(&err, "x.tar") == -1);
	CHECK(strcmp(err.msg, "x.tar: layer 3: bad header") == 0);
	CHECK(strcmp(err.code, "EFORMAT") == 0);
}

static void wrap_copes_with_full_buffers(void)
{
	struct strata_err err;
	char text[3000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	strata_fail(&err, "E", "cause %s", text);
	strata_err_wrap(&err, "context");
	CHECK(strlen(err.msg) == sizeof(err.msg) - 1);
	CHECK(strncmp(err.msg, "context: cause aaa", 18) == 0);
	CHECK(strcmp(err.msg + sizeof(err.msg) - 5, "a...") == 0);

	/* A context that is too long leaves room for the cause. */
	strata_fail(&err, "E", "the cause");
	strata_err_wrap(&err, "%s", text);
	CHECK(strstr(err.msg, "aaa...: the cause") != NULL);
	for (int i = 0; i < 50; i++)
		strata_err_wrap(&err, "%s", text);
	CHECK(strlen(err.msg) == sizeof(err.msg) - 1);
}

/* ---- quoting ----------------------------------------------------------- */

static bool quotes_to(const char *bytes, size_t len, size_t out_size, const char *expected)
{
	char *out = malloc(out_size + 1);
	bool same;

	out[out_size] = '~';
	same = strata_quote(out, out_size, bytes, len) == out && strcmp(out, expected) == 0 &&
	       out[out_size] == '~';
	if (!same)
		printf("  got %s\n", out);
	free(out);
	return same;
}

static void quote_escapes_what_is_not_printable(void)
{
	CHECK(quotes_to("", 0, 64, "''"));
	CHECK(quotes_to("etc/passwd", 10, 64, "'etc/passwd'"));
	CHECK(quotes_to("a\x1b[2J", 5, 64, "'a\\x1b[2J'"));
	CHECK(quotes_to("a\0b", 3, 64, "'a\\x00b'"));
	CHECK(quotes_to("it's \\", 6, 64, "'it\\'s \\\\'"));
	CHECK(quotes_to("\xc2\x9b\x7f\xff", 4, 64, "'\\xc2\\x9b\\x7f\\xff'"));
}

static void quote_cuts_what_does_not_fit(void)
{
	CHECK(quotes_to("abcdef", 6, 9, "'abcdef'")); /* exactly */
	CHECK(quotes_to("abcdef", 6, 8, "'ab'..."));
	CHECK(quotes_to("abcdef", 6, 6, "''..."));
	CHECK(quotes_to("abcdef", 6, 5, "..."));
	CHECK(quotes_to("abcdef", 6, 3, ".."));
	CHECK(quotes_to("abcdef", 6, 1, ""));
	CHECK(quotes_to("a\x1b\x1b", 3, 11, "'a\\x1b'...")); /* no half escape */
	CHECK(quotes_to("a\x1b\x1b", 3, 10, "'a'..."));
}

static void quote_never_writes_past_any_size(void)
{
	char bytes[64];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37);
	for (size_t size = 1; size < 300; size++) {
		char *out = malloc(size); /* exact: a sanitizer sees one byte too many */

		strata_quote(out, size, bytes, sizeof(bytes));
		CHECK(strlen(out) < size);
		free(out);
	}
}

/* ---- buffers ----------------------------------------------------------- */

static void a_buffer_grows_by_appending(void)
{
	cleanup_buf struct strata_buf b = {0};
	struct strata_err err;

	CHECK(strata_buf_append(&b, NULL, 0, &err) == 0);
	CHECK(b.len == 0);
	for (int i = 0; i < 10000; i++)
		strata_buf_append(&b, "ab", 2, &err);
	CHECK(strata_buf_fill(&b, 'z', 5, &err) == 0);
	CHECK(b.len == 20005);
	CHECK(b.cap >= b.len);
	CHECK(memcmp(b.data + 19998, "abzzzzz", 7) == 0);
	strata_buf_free(&b);
	CHECK(b.data == NULL && b.len == 0 && b.cap == 0);
}

static void a_buffer_refuses_impossible_sizes(void)
{
	cleanup_buf struct strata_buf b = {0};
	struct strata_err err = {"", ""};

	strata_buf_append(&b, "x", 1, &err);
	CHECK(strata_buf_reserve(&b, SIZE_MAX, &err) == -1);
	CHECK(strcmp(err.code, "ENOMEM") == 0);
	CHECK(strata_buf_reserve(&b, SIZE_MAX / 2, &err) == -1);
	CHECK(b.len == 1 && b.data[0] == 'x');
}

static bool splices_to(size_t start, size_t end, const char *bytes, const char *expected)
{
	cleanup_buf struct strata_buf b = {0};
	struct strata_err err;

	strata_buf_append(&b, "0123456789", 10, &err);
	return strata_buf_splice(&b, start, end, bytes, strlen(bytes), &err) == 0 &&
	       b.len == strlen(expected) && memcmp(b.data, expected, b.len) == 0;
}

static void splice_replaces_inserts_and_deletes(void)
{
	CHECK(splices_to(2, 4, "ab", "01ab456789"));
	CHECK(splices_to(2, 4, "a", "01a456789"));
	CHECK(splices_to(2, 4, "a long replacement", "01a long replacement456789"));
	CHECK(splices_to(0, 0, "ab", "ab0123456789"));
	CHECK(splices_to(10, 10, "ab", "0123456789ab"));
	CHECK(splices_to(0, 10, "", ""));
	CHECK(splices_to(3, 3, "", "0123456789"));
}

static void splice_refuses_what_lies_outside(void)
{
	cleanup_buf struct strata_buf b = {0};
	struct strata_err err;

	strata_buf_append(&b, "0123456789", 10, &err);
	CHECK(strata_buf_splice(&b, 5, 11, "x", 1, &err) == -1);
	CHECK(strcmp(err.code, "EINVAL") == 0);
	CHECK(strata_buf_splice(&b, 6, 5, "x", 1, &err) == -1);
	CHECK(b.len == 10);
}

int main(void)
{
	RUN(fail_fills_code_and_message);
	RUN(a_code_that_is_too_long_is_cut);
	RUN(a_long_message_is_cut_with_dots);
	RUN(errno_gives_name_and_text);
	RUN(every_errno_that_files_give_has_its_name);
	RUN(errno_text_survives_a_long_message);
	RUN(wrap_puts_context_in_front);
	RUN(wrap_copes_with_full_buffers);
	RUN(quote_escapes_what_is_not_printable);
	RUN(quote_cuts_what_does_not_fit);
	RUN(quote_never_writes_past_any_size);
	RUN(a_buffer_grows_by_appending);
	RUN(a_buffer_refuses_impossible_sizes);
	RUN(splice_replaces_inserts_and_deletes);
	RUN(splice_refuses_what_lies_outside);
	return check_sum("core");
}
