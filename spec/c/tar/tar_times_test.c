/* atime and ctime: where they are read, and where they go. */
#include "core/tar/internal.h"
#include "tar/tar_changes.h"

#define ATIME 345 /* in a GNU block */
#define CTIME 357
#define STAR_ATIME 476
#define STAR_CTIME 488

static const struct strata_tar_time none;

static struct strata_tar_time at_second(int64_t seconds, uint32_t nsec)
{
	return (struct strata_tar_time){seconds, nsec, true};
}

/* True when the one entry of the span has these times. */
static bool reads_as(const struct strata_buf *b, struct strata_tar_time atime,
                     struct strata_tar_time ctime)
{
	struct reading r = read_span(b->data, b->len);
	bool ok = r.n == 1 && strata_tar_same_time(&r.entries[0].h.atime, &atime) &&
	          strata_tar_same_time(&r.entries[0].h.ctime, &ctime);

	if (!ok)
		show(r.err.msg, r.n ? &r.entries[0].h : &(struct strata_tar_header){0});
	free_reading(&r);
	return ok;
}

/* The span with a new atime, and nothing else asked. */
static struct strata_buf with_atime(const struct strata_buf *b, struct strata_tar_time atime)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_ATIME, .to.atime = atime};
	struct strata_buf out = {0};
	struct strata_err err = {0};

	if (!CHECK(strata_tar_patch(b->data, b->len, &c, &out, &err) == 0))
		printf("  %s\n", err.msg);
	return out;
}

static bool same_bytes(const struct strata_buf *a, const struct strata_buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Bytes that differ in two blocks, outside [from, to) and the checksum. */
static size_t differ_elsewhere(const char *a, const char *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < 512; i++)
		if (a[i] != b[i] && (i < from || i >= to) && (i < 148 || i >= 156))
			n++;
	return n;
}

static void times_are_read_from_records_and_blocks(void)
{
	struct strata_buf b = {0};
	size_t at;

	header(&b, USTAR, '0', "x", 0);
	CHECK(reads_as(&b, none, none));
	b.len = 0;
	header(&b, GNU, '0', "x", 0);
	CHECK(reads_as(&b, none, none));
	poke(&b, 0, CTIME, "00000000000", 11);
	CHECK(reads_as(&b, none, at_second(0, 0)));
	poke(&b, 0, ATIME, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
	CHECK(reads_as(&b, at_second(-2, 0), at_second(0, 0)));
	b.len = 0;
	pax(&b, "atime", "-1.25");
	at = header(&b, GNU, '0', "x", 0);
	poke(&b, at, ATIME, "00000000007", 11);
	poke(&b, at, CTIME, "00000000007", 11);
	CHECK(reads_as(&b, at_second(-2, 750000000), at_second(7, 0)));
	b.len = 0;
	pax(&b, "ctime", ""); /* no record */
	at = header(&b, USTAR, '0', "x", 0);
	poke(&b, at, STAR_CTIME, "00000000005 ", 12);
	poke(&b, at, 508, "tar", 4);
	CHECK(reads_as(&b, none, at_second(5, 0)));
	poke(&b, at, STAR_ATIME, "\0          1", 12);
	CHECK(reads_as(&b, at_second(1, 0), at_second(5, 0)));
	poke(&b, at, 508, "tat", 4); /* a prefix, of which they are the end */
	CHECK(reads_as(&b, none, none));
	strata_buf_free(&b);
}

/* Where Go takes the two for a prefix, or for nothing, neither is a time. */
static void what_is_no_number_is_no_time(void)
{
	static const char *const fields[] = {"pre", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	                                     "\xc3\xa4", "1 1"};
	struct strata_buf b = {0}, out;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		for (size_t field = ATIME; field <= CTIME; field += 12) {
			b.len = 0;
			header(&b, GNU, '0', "x", 0);
			poke(&b, 0, ATIME, "00000000001\000000000000002", 24);
			if (i == 1) /* beyond 64 bits */
				poke(&b, 0, field, "\x80\1\0\0\0\0\0\0\0\0\0\0", 12);
			else
				poke(&b, 0, field, fields[i], strlen(fields[i]) + 1);
			CHECK(reads_as(&b, none, none));
			/* The record does not turn the field into a time, or out of the path. */
			out = with_atime(&b, at_second(3, 0));
			CHECK(reads_as(&out, at_second(3, 0), none));
			CHECK(memcmp(out.data + 1024, b.data, 512) == 0);
			strata_buf_free(&out);
		}
	strata_buf_free(&b);
}

static void the_longest_times_are_read_and_written(void)
{
	static const char *const refused[] = {"9223372036854775808",
	                                      "-9223372036854775809",
	                                      "-9223372036854775808.5",
	                                      "1.x",
	                                      "-",
	                                      "."};
	static const struct strata_tar_time times[] = {
	        {INT64_MAX, 0, true},         {INT64_MIN, 0, true}, {INT64_MIN, 1, true},
	        {INT64_MAX, 999999999, true}, {-1, 1, true},        {0, 0, true},
	};
	struct strata_buf b = {0}, out;

	header(&b, GNU, '0', "x", 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		out = with_atime(&b, times[i]);
		CHECK(reads_as(&out, times[i], none));
		strata_buf_free(&out);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct reading r;

		b.len = 0;
		pax(&b, "ctime", refused[i]);
		header(&b, USTAR, '0', "x", 0);
		r = read_span(b.data, b.len);
		CHECK(strcmp(r.err.code, "EFORMAT") == 0 &&
		      strstr(r.err.msg, "PAX record ctime is no time"));
		free_reading(&r);
	}
	strata_buf_free(&b);
}

static void a_time_comes_and_goes_with_its_header(void)
{
	static const char *const magics[] = {V7, USTAR, GNU};
	struct strata_buf b = {0}, set, gone;

	for (size_t i = 0; i < 3; i++) {
		b.len = 0;
		header(&b, magics[i], '0', "x", 5);
		set = with_atime(&b, at_second(1700000000, 500000000));
		CHECK(set.len == 1536 && set.data[156] == 'x');
		CHECK(memcmp(set.data + 512, "22 atime=1700000000.5\n", 23) == 0);
		CHECK(i == 0 || memcmp(set.data + 1024, b.data, 512) == 0);
		gone = with_atime(&set, none);
		CHECK(i == 0 ? gone.len == 512 : same_bytes(&gone, &b));
		strata_buf_free(&gone);
		gone = with_atime(&b, none);
		CHECK(same_bytes(&gone, &b));
		strata_buf_free(&gone);
		strata_buf_free(&set);
	}
	strata_buf_free(&b);
}

static void other_records_stay_where_they_are(void)
{
	struct strata_buf b = {0}, records = {0}, out;

	record(&records, "comment", "x", 1);
	record(&records, "atime", "1", 1);
	record(&records, "ctime", "2.000000000000", 14);
	record(&records, "atime", "3", 1);
	record(&records, "mtime", "4.5", 3);
	extension(&b, 'x', records.data, records.len);
	header(&b, USTAR, '0', "x", 5);
	CHECK(reads_as(&b, at_second(3, 0), at_second(2, 0)));
	out = with_atime(&b, at_second(3, 0));
	CHECK(same_bytes(&out, &b));
	strata_buf_free(&out);
	out = with_atime(&b, none);
	CHECK(strcmp(out.data + 512, "13 comment=x\n24 ctime=2.000000000000\n13 mtime=4.5\n") == 0);
	CHECK(memcmp(out.data + 1024, b.data + 1024, 512) == 0);
	strata_buf_free(&out);
	out = with_atime(&b, at_second(12, 0));
	CHECK(strcmp(out.data + 512, "13 comment=x\n24 ctime=2.000000000000\n12 atime=12\n"
	                             "13 mtime=4.5\n") == 0);
	strata_buf_free(&out);
	strata_buf_free(&records);
	strata_buf_free(&b);
}

/* The block has one value of each time at most, and none beside that of a record. */
static void the_field_of_a_block_gives_way_to_the_record(void)
{
	struct strata_buf b = {0}, out, gone;
	size_t at;

	header(&b, GNU, '0', "x", 0);
	poke(&b, 0, ATIME, "12345670123\00012345670124", 24);
	out = with_atime(&b, at_second(077, 0));
	CHECK(reads_as(&out, at_second(077, 0), at_second(012345670124, 0)));
	CHECK(strcmp(out.data + 512, "12 atime=63\n") == 0);
	CHECK(tar_is_zero(out.data + 1024 + ATIME, 12));
	CHECK(differ_elsewhere(out.data + 1024, b.data, ATIME, CTIME) == 0);
	gone = with_atime(&out, none);
	CHECK(gone.len == 512 && memcmp(gone.data, out.data + 1024, 512) == 0);
	CHECK(reads_as(&gone, none, at_second(012345670124, 0)));
	strata_buf_free(&gone);
	gone = with_atime(&b, none);
	CHECK(memcmp(gone.data, out.data + 1024, 512) == 0);
	strata_buf_free(&gone);
	strata_buf_free(&out);
	/* Said twice, both ways: both go. */
	b.len = 0;
	pax(&b, "atime", "5");
	at = header(&b, GNU, '0', "x", 0);
	poke(&b, at, ATIME, "00000000006", 11);
	out = with_atime(&b, none);
	CHECK(out.len == 512 && reads_as(&out, none, none));
	strata_buf_free(&out);
	/* star */
	b.len = 0;
	header(&b, USTAR, '0', "x", 0);
	poke(&b, 0, STAR_ATIME, "12345670123 12345670124 ", 24);
	poke(&b, 0, 508, "tar", 4);
	out = with_atime(&b, at_second(-1, 0));
	CHECK(reads_as(&out, at_second(-1, 0), at_second(012345670124, 0)));
	CHECK(differ_elsewhere(out.data + 1024, b.data, STAR_ATIME, STAR_CTIME) == 0);
	gone = with_atime(&out, none);
	CHECK(gone.len == 512 && reads_as(&gone, none, at_second(012345670124, 0)));
	strata_buf_free(&gone);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

/* The record of another value in a GNU sparse file leaves its map. */
static void a_map_behind_the_times_stays(void)
{
	struct strata_buf b = {0}, out;
	size_t at = header(&b, GNU, 'S', "sparse", 2);

	poke(&b, at, ATIME, "00000000001\00000000000002", 23);
	poke(&b, at, 386, "00000000010\00000000000002", 23);
	poke(&b, at, 483, "00000001000", 11);
	out = with_atime(&b, at_second(9, 0));
	CHECK(differ_elsewhere(out.data + 1024, b.data, ATIME, CTIME) == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void a_global_header_has_no_times(void)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_CTIME, .to.ctime = {1, 0, true}};
	struct strata_buf b = {0}, out = {0};
	struct strata_err err;

	pax(&b, "ctime", "never");
	poke(&b, 0, 156, "g", 1);
	CHECK(reads_as(&b, none, none));
	CHECK(strata_tar_patch(b.data, b.len, &c, &out, &err) < 0);
	CHECK(strcmp(err.code, "EINVAL") == 0 && out.len == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void fresh_headers_have_them_in_records(void)
{
	struct strata_tar_header h = {.path = "x",
	                              .path_len = 1,
	                              .pax = "11 atime=7\n13 comment=x\n",
	                              .pax_len = 24,
	                              .ctime = {5, 250000000, true},
	                              .atime = {-5, 0, true}};
	struct strata_buf out = {0};
	struct strata_err err;

	CHECK(strata_tar_write(&h, &out, &err) == 0);
	CHECK(strcmp(out.data + 512, "12 atime=-5\n13 comment=x\n14 ctime=5.25\n") == 0);
	CHECK(reads_as(&out, h.atime, h.ctime));
	out.len = 0;
	h.pax_len = 11;
	h.atime.there = h.ctime.there = false;
	CHECK(strata_tar_write(&h, &out, &err) == 0 && out.len == 512);
	strata_buf_free(&out);
}

int main(void)
{
	RUN(times_are_read_from_records_and_blocks);
	RUN(what_is_no_number_is_no_time);
	RUN(the_longest_times_are_read_and_written);
	RUN(a_time_comes_and_goes_with_its_header);
	RUN(other_records_stay_where_they_are);
	RUN(the_field_of_a_block_gives_way_to_the_record);
	RUN(a_map_behind_the_times_stays);
	RUN(a_global_header_has_no_times);
	RUN(fresh_headers_have_them_in_records);
	return check_sum("tar_times");
}
