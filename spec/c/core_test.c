/* Errors, quoting, buffers and digests. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/core/buf.h"
#include "../../src/core/digest.h"
#include "../../src/core/err.h"
#include "check.h"

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

/* ---- digests ----------------------------------------------------------- */

/* What coreutils say about the bytes, as hex. */
static void coreutils_digest(const char *algorithm, const char *bytes, size_t len, char out[160])
{
	char path[] = "/tmp/strata-core-test.XXXXXX";
	char command[128];
	int fd = mkstemp(path);
	FILE *pipe;

	out[0] = '\0';
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
	snprintf(command, sizeof(command), "%ssum %s", algorithm, path);
	pipe = popen(command, "r");
	if (pipe == NULL || fscanf(pipe, "%159[0-9a-f]", out) != 1)
		out[0] = '\0';
	if (pipe != NULL)
		pclose(pipe);
	unlink(path);
}

static void agrees_with_coreutils(enum strata_digest_alg alg, const char *name)
{
	cleanup_digest struct strata_digest *d = NULL;
	struct strata_err err;
	char text[STRATA_DIGEST_MAX], expected[160], spelled[200];
	char *bytes = malloc(300000);

	for (size_t i = 0; i < 300000; i++)
		bytes[i] = (char)(i * i >> 3);
	d = strata_digest_new(alg, &err);
	CHECK(d != NULL);
	/* One object, several streams, fed in pieces. */
	for (size_t len = 0; len <= 300000; len = len * 7 + 1) {
		for (size_t at = 0; at < len; at += 4097)
			CHECK(strata_digest_update(d, bytes + at, len - at < 4097 ? len - at : 4097,
			                           &err) == 0);
		CHECK(strata_digest_final(d, text, &err) == 0);
		coreutils_digest(name, bytes, len, expected);
		snprintf(spelled, sizeof(spelled), "%s:%s", name, expected);
		CHECK(strcmp(text, spelled) == 0);
		CHECK(strata_digest_valid(text, strlen(text), NULL));
	}
	free(bytes);
}

static void sha256_agrees_with_coreutils(void)
{
	agrees_with_coreutils(STRATA_SHA256, "sha256");
}

static void sha512_agrees_with_coreutils(void)
{
	agrees_with_coreutils(STRATA_SHA512, "sha512");
}

static void one_shot_sha256_gives_the_published_value(void)
{
	struct strata_err err;
	char text[STRATA_DIGEST_MAX];

	CHECK(strata_sha256("abc", 3, text, &err) == 0);
	CHECK(strcmp(text,
	             "sha256:"
	             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
	CHECK(strata_sha256(NULL, 0, text, &err) == 0);
	CHECK(strcmp(text,
	             "sha256:"
	             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == 0);
}

static void digests_are_checked_by_their_grammar(void)
{
	static const char hex[] =
	        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	enum strata_digest_alg alg = STRATA_SHA512;
	char text[300];
	size_t len = (size_t)snprintf(text, sizeof(text), "sha256:%s", hex);

	CHECK(strata_digest_valid(text, len, &alg));
	CHECK(alg == STRATA_SHA256);
	CHECK(!strata_digest_valid(text, len - 1, NULL));
	CHECK(!strata_digest_valid(text, len + 1, NULL));
	CHECK(!strata_digest_valid("", 0, NULL));
	for (size_t i = 0; i < len; i++) {
		char kept = text[i];

		text[i] = kept >= 'a' ? (char)(kept - 32) : 'g'; /* upper case, or no hex */
		CHECK(!strata_digest_valid(text, len, NULL));
		text[i] = kept;
	}
	len = (size_t)snprintf(text, sizeof(text), "sha512:%s%s", hex, hex);
	CHECK(strata_digest_valid(text, len, &alg));
	CHECK(alg == STRATA_SHA512);
	len = (size_t)snprintf(text, sizeof(text), "sha512:%s", hex);
	CHECK(!strata_digest_valid(text, len, NULL));
	len = (size_t)snprintf(text, sizeof(text), "md5:%.32s", hex);
	CHECK(!strata_digest_valid(text, len, NULL));
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
	RUN(sha256_agrees_with_coreutils);
	RUN(sha512_agrees_with_coreutils);
	RUN(one_shot_sha256_gives_the_published_value);
	RUN(digests_are_checked_by_their_grammar);
	return check_sum("core");
}
