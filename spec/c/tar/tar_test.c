/* The tar parser: what is read, what is refused, what is reported. */
#include "tar/tar_support.h"

/* ---- the table of differentials ---------------------------------------- */

static void pax_size_beats_a_zero_size(void)
{
	struct strata_buf b = {0};
	struct strata_buf inner = {0};
	struct reading r;

	file(&inner, "hidden", "x");
	pax(&b, "size", "1024");
	header(&b, USTAR, '0', "outer", 0);
	add(&b, inner.data, inner.len);
	file(&b, "last", "y");
	end(&b);
	strata_buf_free(&inner);
	r = consume(&b);
	CHECK(r.n == 2 && is_path(&r, 0, "outer") && is_path(&r, 1, "last"));
	CHECK(r.entries[0].h.size == 1024);
	CHECK(r.entries[0].h.findings == STRATA_TAR_SIZE_OVERRIDDEN);
	free_reading(&r);
}

static void pax_size_zero_beats_a_size(void)
{
	struct strata_buf b = {0};
	struct reading r;

	pax(&b, "size", "0");
	header(&b, USTAR, '0', "outer", 1024);
	file(&b, "hidden", "x");
	file(&b, "last", "y");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 3 && is_path(&r, 0, "outer") && is_path(&r, 1, "hidden") &&
	      is_path(&r, 2, "last"));
	CHECK(r.entries[0].h.size == 0);
	free_reading(&r);
}

static void pax_size_is_not_for_a_long_name_between(void)
{
	struct strata_buf b = {0};
	char content[2048] = {0};
	struct reading r;

	pax(&b, "size", "2048");
	extension(&b, 'L', "longname.txt", 13);
	header(&b, GNU, '0', "short", 0);
	add(&b, content, sizeof(content));
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && is_path(&r, 0, "longname.txt") && r.entries[0].h.size == 2048);
	free_reading(&r);
}

static void a_lone_zero_block_ends_only_at_the_end_of_input(void)
{
	struct strata_buf b = {0};
	struct strata_err err;
	struct reading r;

	file(&b, "one", "1");
	must(strata_buf_fill(&b, 0, 512, &err));
	file(&b, "two", "2");
	end(&b);
	CHECK(refused(&b, "EFORMAT"));

	file(&b, "one", "1");
	must(strata_buf_fill(&b, 0, 512, &err));
	r = consume(&b);
	CHECK(r.n == 1 && !r.ended && r.err.code[0] == '\0');
	CHECK(r.findings == STRATA_TAR_LONE_ZERO_BLOCK && r.end_offset == 1024);
	free_reading(&r);

	file(&b, "one", "1");
	must(strata_buf_fill(&b, 0, 512 + 100, &err));
	r = consume(&b);
	CHECK(r.findings == STRATA_TAR_LONE_ZERO_BLOCK && r.end_offset == 1024);
	free_reading(&r);

	file(&b, "one", "1");
	must(strata_buf_fill(&b, 0, 512, &err));
	add(&b, "x", 1);
	CHECK(refused(&b, "EFORMAT"));
}

static void data_after_the_end_is_reported(void)
{
	struct strata_buf b = {0};
	struct reading r;

	file(&b, "one", "1");
	end(&b);
	file(&b, "smuggled", "2");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.ended && r.findings == STRATA_TAR_DATA_AFTER_END);
	CHECK(r.end_offset == 1024);
	free_reading(&r);

	file(&b, "one", "1");
	end(&b);
	for (int i = 0; i < 20; i++)
		end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.ended && r.findings == 0);
	free_reading(&r);
}

static void the_last_of_two_records_counts(void)
{
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	struct reading r;

	record(&records, "path", "first", 5);
	record(&records, "path", "second", 6);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	file(&b, "main", "1");
	end(&b);
	r = consume(&b);
	CHECK(is_path(&r, 0, "second"));
	CHECK(r.entries[0].h.findings == STRATA_TAR_DUPLICATE_RECORD);
	free_reading(&r);
}

static void a_nul_in_names_of_records_is_refused(void)
{
	static const char *const keys[] = {"path", "linkpath", "uname", "gname", "GNU.sparse.name"};
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	struct reading r;

	for (size_t i = 0; i < 5; i++) {
		record(&records, keys[i], "ok\0evil", 7);
		extension(&b, 'x', records.data, records.len);
		strata_buf_free(&records);
		file(&b, "main", "1");
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
	/* A capability has NULs in it. */
	record(&records, "SCHILY.xattr.security.capability", "\1\0\0\2", 4);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	file(&b, "main", "1");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.err.code[0] == '\0');
	free_reading(&r);
}

static void header_only_types_have_no_payload(void)
{
	struct strata_buf b = {0};
	struct reading r;

	for (char type = '1'; type <= '6'; type++)
		header(&b, USTAR, type, "x", 512);
	file(&b, "last", "1");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 7 && is_path(&r, 6, "last"));
	for (size_t i = 0; i + 1 < r.n; i++) {
		CHECK(r.entries[i].h.size == 0 && r.entries[i].h.stored == 0);
		CHECK(r.entries[i].h.findings == STRATA_TAR_BOGUS_SIZE);
	}
	free_reading(&r);
}

static void sizes_that_are_none_are_refused(void)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
	        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}, /* -1 */
	        {"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12},       /* INT64_MAX */
	        {"\x80\0\0\0\x40\0\0\0\0\0\0\0", 12},                     /* INT64_MAX / 2 + 1 */
	        {"\x81\0\0\0\0\0\0\0\0\0\0\0", 12},                       /* beyond 64 bits */
	        {"-3", 3},
	        {"0000000000-", 11},
	        {"1 2", 4},
	        {"8", 2},
	        {"0x10", 5},
	        {"+5", 3},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct strata_buf b = {0};
		size_t at = header(&b, GNU, '0', "x", 0);

		memset(b.data + at + 124, 0, 12);
		poke(&b, at, 124, bad[i].text, bad[i].len);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
}

static void pax_numbers_are_digits_in_range(void)
{
	static const char *const bad[][2] = {
	        {"size", "-1"},
	        {"size", "+5"},
	        {"size", "5 "},
	        {"size", "0x1"},
	        {"size", "1e3"},
	        {"size", "4611686018427387904"},
	        {"size", "99999999999999999999999999"},
	        {"uid", "-2"},
	        {"uid", "+5"},
	        {"uid", "4294967296"},
	        {"gid", "1.0"},
	        {"gid", "4294967296"},
	};
	struct strata_buf b = {0};
	struct reading r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pax(&b, bad[i][0], bad[i][1]);
		header(&b, USTAR, '0', "x", 0);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
	/* Programs that know no owner write -1; chown leaves the owner as it is then. */
	for (size_t i = 0; i < 2; i++) {
		pax(&b, "uid", i == 0 ? "-1" : "4294967295");
		header(&b, USTAR, '0', "x", 0);
		end(&b);
		r = consume(&b);
		CHECK(r.n == 1 && r.entries[0].h.uid == STRATA_TAR_NO_ID);
		free_reading(&r);
	}
	pax(&b, "uid", "4294967294");
	header(&b, USTAR, '0', "x", 0);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.entries[0].h.uid == 4294967294u);
	free_reading(&r);
}

static void a_prefix_under_gnu_magic_is_joined_as_in_go(void)
{
	struct strata_buf b = {0};
	struct reading r;
	size_t at;

	at = header(&b, GNU, '0', "one", 0);
	poke(&b, at, 345, "pre", 3);
	at = header(&b, GNU, '0', "two", 0); /* a time, not a prefix */
	poke(&b, at, 345, "12345670123", 11);
	at = header(&b, V7, '0', "three", 0);
	poke(&b, at, 345, "pre", 3);
	end(&b);
	r = consume(&b);
	CHECK(is_path(&r, 0, "pre/one") && r.entries[0].h.findings == STRATA_TAR_GNU_PREFIX);
	CHECK(is_path(&r, 1, "two") && r.entries[1].h.findings == 0);
	CHECK(is_path(&r, 2, "three") && r.entries[2].h.findings == 0);
	free_reading(&r);
}

static void an_unknown_type_has_its_payload(void)
{
	struct strata_buf b = {0};
	struct reading r;

	header(&b, USTAR, 'Z', "odd", 3);
	add_padded(&b, "abc", 3);
	file(&b, "last", "1");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 2 && r.entries[0].h.typeflag == 'Z' && r.entries[0].h.stored == 3);
	CHECK(r.entries[0].h.findings == STRATA_TAR_UNKNOWN_TYPE && is_path(&r, 1, "last"));
	free_reading(&r);
}

static void no_end_blocks_are_reported(void)
{
	struct strata_buf b = {0};
	struct reading r;

	r = read_tar("", 0, 0, NULL);
	CHECK(r.n == 0 && r.err.code[0] == '\0' && r.findings == STRATA_TAR_NO_END);
	free_reading(&r);
	file(&b, "one", "1");
	r = consume(&b);
	CHECK(r.n == 1 && r.findings == STRATA_TAR_NO_END && r.end_offset == 1024);
	free_reading(&r);
	header(&b, USTAR, '0', "one", 3);
	add(&b, "abc", 3);
	r = consume(&b);
	CHECK(r.n == 1 && r.findings == (STRATA_TAR_NO_END | STRATA_TAR_NO_PADDING));
	free_reading(&r);
}

static void input_that_ends_too_soon_is_refused(void)
{
	struct strata_buf b = {0};

	header(&b, USTAR, '0', "one", 3);
	add(&b, "ab", 2);
	CHECK(refused(&b, "EFORMAT"));
	header(&b, USTAR, '0', "one", 3);
	b.len = 511;
	CHECK(refused(&b, "EFORMAT"));
	pax(&b, "path", "x");
	b.len = 700;
	CHECK(refused(&b, "EFORMAT"));
}

static void a_bad_checksum_is_refused_wherever_it_is(void)
{
	struct strata_buf b = {0};

	file(&b, "one", "1");
	file(&b, "two", "2");
	b.data[0] ^= 1;
	CHECK(refused(&b, "EFORMAT"));
	file(&b, "one", "1");
	file(&b, "two", "2");
	b.data[1024] ^= 1;
	CHECK(refused(&b, "EFORMAT"));
}

static void an_empty_name_is_read(void)
{
	struct strata_buf b = {0};
	struct reading r;

	header(&b, USTAR, '0', "", 0);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.entries[0].h.path_len == 0);
	free_reading(&r);
}

/* ---- fields ------------------------------------------------------------ */

static void numbers_are_read_in_every_spelling(void)
{
	static const struct {
		const char *text;
		int64_t value;
	} mtimes[] = {
	        {"00000000017\0", 15},
	        {"         17 ", 15},
	        {"17 \0        ", 15},
	        {"\0\0\0\00017\0\0\0\0\0\0", 15},
	        {"777777777777", 68719476735},
	        {"\0\0\0\0\0\0\0\0\0\0\0\0", 0},
	        {"            ", 0},
	        {"\x80\0\0\0\0\0\0\0\0\0\1\2", 258},
	        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2},
	        {"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", INT64_MIN},
	        {"17\0garbage\0\0", 15}, /* as in Go: what is behind a NUL is not looked at */
	};

	for (size_t i = 0; i < sizeof(mtimes) / sizeof(mtimes[0]); i++) {
		struct strata_buf b = {0};
		struct reading r;
		size_t at = header(&b, GNU, '0', "x", 0);

		poke(&b, at, 136, mtimes[i].text, 12);
		end(&b);
		r = consume(&b);
		CHECK(r.n == 1 && r.entries[0].h.mtime == mtimes[i].value);
		free_reading(&r);
	}
}

static void ids_and_devices_have_to_be_in_range(void)
{
	struct strata_buf b = {0};
	struct reading r;
	size_t at;

	at = header(&b, GNU, '0', "x", 0);
	poke(&b, at, 108, "\x80\0\0\1\0\0\0\0", 8);
	CHECK(refused(&b, "EFORMAT"));
	at = header(&b, GNU, '0', "x", 0);
	poke(&b, at, 116, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
	CHECK(refused(&b, "EFORMAT"));
	at = header(&b, GNU, '3', "x", 0);
	poke(&b, at, 329, "\x80\0\0\1\0\0\0\0", 8);
	CHECK(refused(&b, "EFORMAT"));
	at = header(&b, GNU, '0', "x", 0); /* nobody looks at the device of a file */
	poke(&b, at, 329, "\x80\0\0\1\0\0\0\0", 8);
	at = header(&b, USTAR, '4', "y", 0);
	poke(&b, at, 329,
	     "0000010\0"
	     "0000021\0",
	     16);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 2 && r.entries[1].h.devmajor == 8 && r.entries[1].h.devminor == 17);
	free_reading(&r);
}

static void a_name_that_ends_in_a_slash_makes_a_directory_of_type_nul(void)
{
	struct strata_buf b = {0};
	struct reading r;

	header(&b, V7, 0, "dir/", 0);
	header(&b, V7, 0, "file", 1);
	add_padded(&b, "1", 1);
	header(&b, V7, 0, "big/", 512); /* as in Go: a directory has no payload */
	header(&b, GNU, 0, "gnu/", 0);
	header(&b, USTAR, '0', "file/", 1);
	add_padded(&b, "1", 1);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 5);
	CHECK(r.entries[0].h.typeflag == '5' && r.entries[1].h.typeflag == 0);
	CHECK(r.entries[2].h.typeflag == '5' && r.entries[3].h.typeflag == '5');
	CHECK(r.entries[4].h.typeflag == '0' && r.entries[4].h.size == 1);
	CHECK(r.entries[4].h.findings == STRATA_TAR_SLASH_FILE);
	free_reading(&r);
}

static void names_fill_their_fields(void)
{
	char name[101];
	char prefix[156];
	char whole[260];
	struct strata_buf b = {0};
	struct reading r;
	size_t at;

	memset(name, 'n', 100);
	memset(prefix, 'p', 155);
	name[100] = prefix[155] = '\0';
	at = header(&b, USTAR, '2', name, 0);
	poke(&b, at, 345, prefix, 155);
	poke(&b, at, 157, name, 100);
	poke(&b, at, 265, prefix, 32);
	poke(&b, at, 297, prefix, 32);
	end(&b);
	r = consume(&b);
	snprintf(whole, sizeof(whole), "%s/%s", prefix, name);
	CHECK(is_path(&r, 0, whole) && r.entries[0].h.linkpath_len == 100);
	CHECK(r.entries[0].h.uname_len == 32 && r.entries[0].h.gname_len == 32);
	free_reading(&r);
}

static void a_sum_of_signed_bytes_is_taken_and_reported(void)
{
	struct strata_buf b = {0};
	struct reading r;
	int sum = 0;

	header(&b, USTAR, '0', "caf\xe9", 0);
	memset(b.data + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (signed char)b.data[i];
	put_octal(b.data + 148, 6, (unsigned)sum);
	b.data[154] = 0;
	end(&b);
	r = consume(&b);
	CHECK(r.n == 1 && r.entries[0].h.findings == STRATA_TAR_SIGNED_CHECKSUM);
	free_reading(&r);
}

/* ---- real archives ----------------------------------------------------- */

static size_t corpus_archives;
static size_t corpus_entries;

static void read_corpus_file(const char *path, const struct strata_buf *bytes)
{
	struct reading whole = read_buf(bytes);

	for (uint64_t seed = 1; seed <= (bytes->len < 100000 ? 6 : 1); seed++) {
		struct reading pieces = read_tar(bytes->data, bytes->len, seed * 104729, NULL);

		if (!CHECK(same_reading(&whole, &pieces)))
			printf("  in %s\n", path);
		free_reading(&pieces);
	}
	if (whole.n && !whole.err.code[0]) {
		corpus_archives++;
		corpus_entries += whole.n;
	}
	free_reading(&whole);
}

/* The file itself, and the layers in it that are plain archives. */
static void read_corpus_tree(const char *path, const struct strata_buf *bytes)
{
	struct reading r = read_buf(bytes);

	read_corpus_file(path, bytes);
	for (size_t i = 0; i < r.n; i++) {
		const struct strata_tar_header *h = &r.entries[i].h;
		struct strata_buf inner = {.data = bytes->data + h->data_offset,
		                           .len = (size_t)h->stored};

		if (h->stored >= 512 && h->data_offset + inner.len <= bytes->len &&
		    memcmp(inner.data + 257, "ustar", 5) == 0)
			read_corpus_file(path, &inner);
	}
	free_reading(&r);
}

static void real_archives_read_the_same_in_any_pieces(void)
{
	each_corpus_file(read_corpus_tree);
	if (getenv("STRATA_CORPUS"))
		if (!CHECK(corpus_archives >= 100 && corpus_entries >= 4000))
			printf("  %zu archives, %zu entries\n", corpus_archives, corpus_entries);
}

int main(void)
{
	RUN(pax_size_beats_a_zero_size);
	RUN(pax_size_zero_beats_a_size);
	RUN(pax_size_is_not_for_a_long_name_between);
	RUN(a_lone_zero_block_ends_only_at_the_end_of_input);
	RUN(data_after_the_end_is_reported);
	RUN(the_last_of_two_records_counts);
	RUN(a_nul_in_names_of_records_is_refused);
	RUN(header_only_types_have_no_payload);
	RUN(sizes_that_are_none_are_refused);
	RUN(pax_numbers_are_digits_in_range);
	RUN(a_prefix_under_gnu_magic_is_joined_as_in_go);
	RUN(an_unknown_type_has_its_payload);
	RUN(no_end_blocks_are_reported);
	RUN(input_that_ends_too_soon_is_refused);
	RUN(a_bad_checksum_is_refused_wherever_it_is);
	RUN(an_empty_name_is_read);
	RUN(numbers_are_read_in_every_spelling);
	RUN(ids_and_devices_have_to_be_in_range);
	RUN(a_name_that_ends_in_a_slash_makes_a_directory_of_type_nul);
	RUN(names_fill_their_fields);
	RUN(a_sum_of_signed_bytes_is_taken_and_reported);
	RUN(real_archives_read_the_same_in_any_pieces);
	return check_sum("tar");
}
