/* Limits of the tar parser, errors that stay, and skipping. */
#include "tar/tar_support.h"

static bool limited(struct strata_buf *b, const struct strata_tar_limits *limits)
{
	struct reading r = read_tar(b->data, b->len, 0, limits);
	bool ok = strcmp(r.err.code, "ELIMIT") == 0;

	if (!ok)
		printf("  got '%s' %s\n", r.err.code, r.err.msg);
	free_reading(&r);
	strata_buf_free(b);
	return ok;
}

static void limits_have_an_error_of_their_own(void)
{
	static char big[5000];
	struct strata_buf b = {0};

	header(&b, USTAR, 'x', "huge", 0777777777777ull / 8);
	CHECK(limited(&b, NULL));
	header(&b, GNU, 'L', "huge", (1 << 20) + 1);
	CHECK(limited(&b, NULL));
	memset(big, 'x', sizeof(big));
	extension(&b, 'L', big, sizeof(big));
	header(&b, GNU, '0', "x", 0);
	CHECK(limited(&b, NULL));
	extension(&b, 'K', big, 101);
	header(&b, GNU, '2', "x", 0);
	CHECK(limited(&b, &(struct strata_tar_limits){.max_path = 100}));
	file(&b, "one", "1");
	file(&b, "two", "2");
	CHECK(limited(&b, &(struct strata_tar_limits){.max_entries = 1}));
	for (int i = 0; i < 20; i++)
		extension(&b, 'x', "6 a=b\n", 6);
	header(&b, GNU, '0', "x", 0);
	CHECK(limited(&b, &(struct strata_tar_limits){.max_extension = 1024}));
	extension(&b, 'x', "6 a=b\n6 c=d\n6 e=f\n", 18);
	header(&b, GNU, '0', "x", 0);
	CHECK(limited(&b, &(struct strata_tar_limits){.max_records = 2}));
	header(&b, GNU, '0', "x", 101);
	CHECK(limited(&b, &(struct strata_tar_limits){.max_file = 100}));
}

static void an_error_stays(void)
{
	struct strata_buf b = {0};
	struct strata_err err = {0};
	struct strata_err again = {0};
	struct strata_tar_parser *p = strata_tar_parser_new(NULL, &err);
	enum strata_tar_event event;
	const char *data;
	const char *in;
	size_t data_len;
	uint32_t findings;
	uint64_t at;

	file(&b, "one", "1");
	header(&b, USTAR, '0', "tw\33o", 0);
	poke(&b, 1024, 124, "zzz", 3);
	in = b.data;
	while (strata_tar_step(p, &in, &b.len, &event, &data, &data_len, &err) == 0)
		;
	CHECK(strcmp(err.code, "EFORMAT") == 0);
	CHECK(strstr(err.msg, "entry 2") && strstr(err.msg, "'tw\\x1bo'") &&
	      strstr(err.msg, "0x400"));
	CHECK(strata_tar_step(p, &in, &b.len, &event, &data, &data_len, &again) < 0);
	CHECK(strcmp(err.msg, again.msg) == 0);
	CHECK(strata_tar_finish(p, &findings, &at, &again) < 0);
	strata_tar_parser_free(p);
	strata_tar_parser_free(NULL);
	strata_buf_free(&b);
}

static void payload_can_be_skipped(void)
{
	struct strata_buf b = {0};
	struct strata_err err = {0};
	struct strata_tar_parser *p = strata_tar_parser_new(NULL, &err);
	enum strata_tar_event event = STRATA_TAR_MORE;
	const char *data;
	size_t data_len;
	size_t count = 0;
	uint32_t findings;
	uint64_t at = 0;

	file(&b, "one", "1");
	header(&b, USTAR, '0', "empty", 0);
	header(&b, USTAR, '0', "big", 077777777777);
	while (at < b.len) {
		const char *in = b.data + at;
		size_t len = b.len - (size_t)at < 100 ? b.len - (size_t)at : 100;

		while (strata_tar_step(p, &in, &len, &event, &data, &data_len, &err) == 0 &&
		       event == STRATA_TAR_ENTRY) {
			count++;
			strata_tar_skip(p, strata_tar_pending(p));
			CHECK(strata_tar_pending(p) == 0);
			len = 0;
		}
		at = strata_tar_offset(p);
	}
	CHECK(count == 3);
	CHECK(strata_tar_finish(p, &findings, &at, &err) == 0);
	CHECK(at == b.len + 077777777777 + 1);
	strata_tar_parser_free(p);
	strata_buf_free(&b);
}

int main(void)
{
	RUN(limits_have_an_error_of_their_own);
	RUN(an_error_stays);
	RUN(payload_can_be_skipped);
	return check_sum("tar_limits");
}
