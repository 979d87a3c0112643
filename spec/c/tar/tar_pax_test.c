/* Extension headers and sparse maps: PAX and GNU, good and bad. */
#include "core/tar/xattr.h"
#include "tar/tar_support.h"

/* ---- extension headers ------------------------------------------------- */

static void records_that_are_none_are_refused(void)
{
	static const char *const bad[] = {
	        "5 a=b\n",
	        "7 a=b\n",
	        "0 a=b\n",
	        "00 a=b\n",
	        "6 a=b ",
	        "6 ab\n\n",
	        "5 =b\n",
	        "+6 a=b\n",
	        "-6 a=b\n",
	        " 6 a=b\n",
	        "6a=b\n",
	        "a=b\n",
	        "99999999999999999999999999 a=b\n",
	        "6 a=b\n6 ",
	        "6 a=b\n\n",
	        "18446744073709551617 a=b\n",
	        "2 a=b\n",
	        "1 a=b\n",
	};
	struct strata_buf b = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		extension(&b, 'x', bad[i], strlen(bad[i]));
		file(&b, "main", "1");
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
	extension(&b, 'x', "6 a=b\n\0\0", 8); /* NULs behind the records */
	file(&b, "main", "1");
	CHECK(refused(&b, "EFORMAT"));
	extension(&b, 'x', "6 \0=b\n", 6); /* NUL in a key */
	file(&b, "main", "1");
	CHECK(refused(&b, "EFORMAT"));
}

static void times_have_fractions_and_signs(void)
{
	static const struct {
		const char *text;
		int64_t seconds;
		uint32_t nsec;
	} good[] = {
	        {"0", 0, 0},
	        {"1.5", 1, 500000000},
	        {"-1.5", -2, 500000000},
	        {"-0.5", -1, 500000000},
	        {"1.", 1, 0},
	        {"-3", -3, 0},
	        {"1.0000000019", 1, 1},
	        {"12.000000001", 12, 1},
	        {"-1.000000001", -2, 999999999},
	        {"9223372036854775807", INT64_MAX, 0},
	};
	static const char *const bad[] = {
	        ".5",  "-", "-.5", "+1", "1.5x", "1,5", "1.-5", "abc", "9223372036854775808",
	        "1e9", " 1"};
	struct strata_buf b = {0};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct reading r;

		pax(&b, "mtime", good[i].text);
		header(&b, USTAR, '0', "x", 0);
		end(&b);
		r = consume(&b);
		CHECK(r.n == 1 && r.entries[0].h.mtime == good[i].seconds &&
		      r.entries[0].h.mtime_nsec == good[i].nsec);
		free_reading(&r);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pax(&b, "mtime", bad[i]);
		header(&b, USTAR, '0', "x", 0);
		CHECK(refused(&b, "EFORMAT"));
	}
}

static void an_empty_record_gives_way_to_the_field(void)
{
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	struct reading r;

	record(&records, "path", "gone", 4);
	record(&records, "path", "", 0);
	record(&records, "uid", "", 0);
	record(&records, "size", "", 0);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	file(&b, "main", "1");
	end(&b);
	r = consume(&b);
	CHECK(is_path(&r, 0, "main") && r.entries[0].h.uid == 01750 && r.entries[0].h.size == 1);
	free_reading(&r);
}

static void repeated_extension_headers_replace_each_other(void)
{
	struct strata_buf b = {0};
	struct reading r;

	pax(&b, "path", "first");
	pax(&b, "linkpath", "second");
	header(&b, USTAR, '2', "main", 0);
	extension(&b, 'L', "one", 4);
	extension(&b, 'L', "two", 4);
	header(&b, GNU, '0', "main", 0);
	extension(&b, 'L', "cut\0off", 8);
	header(&b, GNU, '0', "main", 0);
	extension(&b, 'L', "", 1); /* no name: the field's */
	header(&b, GNU, '0', "main", 0);
	extension(&b, 'L', NULL, 0);
	header(&b, GNU, '0', "main", 0);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 5);
	CHECK(is_path(&r, 0, "main") && strcmp(r.entries[0].h.linkpath, "second") == 0);
	CHECK(r.entries[0].h.findings == STRATA_TAR_REPEATED_EXTENSION);
	CHECK(is_path(&r, 1, "two") && r.entries[1].h.findings == STRATA_TAR_REPEATED_EXTENSION);
	CHECK(is_path(&r, 2, "cut") && is_path(&r, 3, "main") && is_path(&r, 4, "main"));
	free_reading(&r);
}

static void a_name_from_both_worlds_is_refused(void)
{
	struct strata_buf b = {0};
	struct reading r;

	pax(&b, "path", "p");
	extension(&b, 'L', "l", 2);
	header(&b, GNU, '0', "main", 0);
	CHECK(refused(&b, "EFORMAT"));
	pax(&b, "GNU.sparse.name", "p");
	extension(&b, 'L', "l", 2);
	header(&b, GNU, '0', "main", 0);
	CHECK(refused(&b, "EFORMAT"));
	extension(&b, 'K', "l", 2);
	pax(&b, "linkpath", "p");
	header(&b, GNU, '2', "main", 0);
	CHECK(refused(&b, "EFORMAT"));
	extension(&b, 'K', "l", 2);
	pax(&b, "path", "p");
	header(&b, GNU, '2', "main", 0);
	end(&b);
	r = consume(&b);
	CHECK(is_path(&r, 0, "p") && strcmp(r.entries[0].h.linkpath, "l") == 0);
	free_reading(&r);
}

static void extension_headers_of_no_entry_are_refused(void)
{
	static const char types[] = "xLK";
	struct strata_buf b = {0};

	for (size_t i = 0; i < 3; i++) {
		extension(&b, types[i], "6 a=b\n", 6);
		CHECK(refused(&b, "EFORMAT"));
		extension(&b, types[i], "6 a=b\n", 6);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
		extension(&b, types[i], "6 a=b\n", 6);
		extension(&b, 'g', "6 a=b\n", 6);
		file(&b, "main", "1");
		CHECK(refused(&b, "EFORMAT"));
	}
}

static void a_global_header_is_an_entry_and_changes_no_other(void)
{
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	struct reading r;

	extension(&b, 'g', "13 comment=x\n", 13);
	record(&records, "path", "evil", 4);
	record(&records, "size", "512", 3);
	extension(&b, 'g', records.data, records.len);
	strata_buf_free(&records);
	file(&b, "main", "1");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 3 && r.entries[0].h.typeflag == 'g' && r.entries[0].h.findings == 0);
	CHECK(strcmp(r.entries[0].h.pax, "13 comment=x\n") == 0 && r.entries[0].raw_len == 1024);
	CHECK(r.entries[1].h.findings == STRATA_TAR_GLOBAL_OVERRIDE);
	CHECK(is_path(&r, 2, "main") && r.entries[2].h.size == 1 && r.entries[2].h.findings == 0);
	free_reading(&r);
}

/* ---- sparse files ------------------------------------------------------ */

static void check_map(const struct entry *e, const char *payload, size_t len, const char *expected)
{
	struct strata_tar_extent *extents = NULL;
	struct strata_err err;
	uint64_t map_bytes = 0;
	size_t n = 0;
	char text[256] = "";

	CHECK(strata_tar_sparse_map(e->raw, e->raw_len, payload, len, NULL, &extents, &n,
	                            &map_bytes, &err) == 1);
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%llu+%llu ",
		         (unsigned long long)extents[i].offset, (unsigned long long)extents[i].len);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "map %llu",
	         (unsigned long long)map_bytes);
	if (!CHECK(strcmp(text, expected) == 0))
		printf("  %s, not %s\n", text, expected);
	free(extents);
}

/* An old GNU sparse header: n extents of 2 bytes, 1000 apart. */
static void gnu_sparse(struct strata_buf *b, unsigned n)
{
	size_t main = header(b, GNU, 'S', "sparse", 2ull * n);
	size_t at = main + 386;

	put_octal(b->data + main + 483, 11, 1000 * n);
	for (unsigned i = 0; i < n; i++) {
		if (i == 4 || (i > 4 && (i - 4) % 21 == 0)) {
			struct strata_err err;

			b->data[i == 4 ? main + 482 : b->len - 512 + 504] = 1;
			must(strata_buf_fill(b, 0, 512, &err));
			at = b->len - 512;
		}
		put_octal(b->data + at, 11, 1000 * i);
		memcpy(b->data + at + 12, "00000000002", 12);
		at += 24;
	}
	seal(b, main);
}

static void old_gnu_maps_go_on_in_extension_blocks(void)
{
	struct strata_buf b = {0};
	char payload[512] = {0};
	struct reading r;

	gnu_sparse(&b, 3);
	add(&b, payload, 512);
	gnu_sparse(&b, 60);
	add(&b, payload, 512);
	file(&b, "last", "1");
	end(&b);
	r = consume(&b);
	CHECK(r.n == 3 && r.entries[0].h.sparse && r.entries[0].h.size == 3000);
	CHECK(r.entries[0].h.stored == 6 && r.entries[1].raw_len == 512 * 4);
	CHECK(is_path(&r, 2, "last"));
	check_map(&r.entries[0], "", 0, "0+2 1000+2 2000+2 map 0");
	free_reading(&r);
}

static void pax_maps_are_read_in_all_versions(void)
{
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	char payload[1024] = "2\n0\n2\n9000\n3\n";
	struct reading r;

	record(&records, "GNU.sparse.size", "10000", 5); /* 0.0 */
	record(&records, "GNU.sparse.numblocks", "2", 1);
	record(&records, "GNU.sparse.offset", "0", 1);
	record(&records, "GNU.sparse.numbytes", "2", 1);
	record(&records, "GNU.sparse.offset", "9000", 4);
	record(&records, "GNU.sparse.numbytes", "3", 1);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	header(&b, USTAR, '0', "zero", 5);
	add_padded(&b, "abcde", 5);
	record(&records, "GNU.sparse.size", "10000", 5); /* 0.1 */
	record(&records, "GNU.sparse.numblocks", "2", 1);
	record(&records, "GNU.sparse.name", "real", 4);
	record(&records, "GNU.sparse.map", "0,2,9000,3", 10);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	header(&b, USTAR, '0', "GNUSparseFile.1/real", 5);
	add_padded(&b, "abcde", 5);
	record(&records, "GNU.sparse.major", "1", 1);
	record(&records, "GNU.sparse.minor", "0", 1);
	record(&records, "GNU.sparse.name", "one", 3);
	record(&records, "GNU.sparse.realsize", "10000", 5);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	header(&b, USTAR, '0', "GNUSparseFile.1/one", 512 + 5);
	memcpy(payload + 512, "abcde", 5);
	add(&b, payload, 1024);
	end(&b);
	r = consume(&b);
	CHECK(r.n == 3 && is_path(&r, 0, "zero") && is_path(&r, 1, "real") &&
	      is_path(&r, 2, "one"));
	for (size_t i = 0; i < r.n; i++)
		CHECK(r.entries[i].h.sparse && r.entries[i].h.size == 10000 &&
		      r.entries[i].h.findings == 0);
	check_map(&r.entries[0], "", 0, "0+2 9000+3 map 0");
	check_map(&r.entries[1], "", 0, "0+2 9000+3 map 0");
	check_map(&r.entries[2], payload, 512, "0+2 9000+3 map 512");
	for (size_t len = 0; len < 12; len++) { /* up to the last newline but one */
		struct strata_tar_extent *extents;
		struct strata_err err;
		uint64_t map_bytes;
		size_t n;

		CHECK(strata_tar_sparse_map(r.entries[2].raw, r.entries[2].raw_len, payload, len,
		                            NULL, &extents, &n, &map_bytes, &err) == 0);
	}
	free_reading(&r);
}

static void maps_that_lie_are_refused(void)
{
	static const char *const bad[] = {
	        "0,2,1,3",    /* overlap */
	        "9000,3,0,2", /* backwards */
	        "0,2,9998,3", /* beyond the size */
	        "0,2,9000,4", /* more than is stored */
	        "0,2,9000",   /* half a pair */
	        "0,2,9000,-3", "0,2,,3", "0,2", "0,2,18446744073709551615,3",
	};
	struct strata_buf b = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct strata_buf records = {0};

		record(&records, "GNU.sparse.size", "10000", 5);
		record(&records, "GNU.sparse.numblocks", "2", 1);
		record(&records, "GNU.sparse.map", bad[i], strlen(bad[i]));
		extension(&b, 'x', records.data, records.len);
		strata_buf_free(&records);
		header(&b, USTAR, '0', "x", 5);
		add_padded(&b, "abcde", 5);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
	gnu_sparse(&b, 4);
	b.data[482] = 1; /* an extension block that does not come */
	seal(&b, 0);
	CHECK(refused(&b, "EFORMAT"));
	gnu_sparse(&b, 5);
	memcpy(b.data + 512, "letters     ", 12); /* in the extension block */
	CHECK(refused(&b, "EFORMAT"));
	header(&b, USTAR, 'S', "x", 0); /* star's own sparse format */
	CHECK(refused(&b, "EFORMAT"));
}

static void sparse_records_that_make_none_are_reported(void)
{
	struct strata_buf b = {0};
	struct reading r;

	pax(&b, "GNU.sparse.name", "other");
	file(&b, "main", "1");
	end(&b);
	r = consume(&b);
	CHECK(is_path(&r, 0, "main") && !r.entries[0].h.sparse);
	CHECK(r.entries[0].h.findings == STRATA_TAR_SPARSE_IGNORED);
	free_reading(&r);
}

static bool over_limit(struct strata_buf *b, size_t max)
{
	const struct strata_tar_limits limits = {.max_sparse = max};
	struct reading r = read_tar(b->data, b->len, 0, &limits);
	bool ok = strcmp(r.err.code, "ELIMIT") == 0;

	free_reading(&r);
	strata_buf_free(b);
	return ok;
}

static void maps_have_a_limit(void)
{
	struct strata_buf b = {0};

	gnu_sparse(&b, 100);
	CHECK(over_limit(&b, 50));
	gnu_sparse(&b, 3);
	CHECK(over_limit(&b, 2));
}

/* Expands the content of a sparse entry; `payload` is all that is stored. */
static void expand(const struct entry *e, const char *payload, struct strata_buf *out)
{
	struct strata_tar_extent *extents = NULL;
	struct strata_err err;
	uint64_t at = 0;
	size_t n = 0;

	must(strata_buf_fill(out, 0, (size_t)e->h.size, &err));
	if (!CHECK(strata_tar_sparse_map(e->raw, e->raw_len, payload, (size_t)e->h.stored, NULL,
	                                 &extents, &n, &at, &err) == 1))
		return;
	for (size_t i = 0; i < n; i++) {
		memcpy(out->data + extents[i].offset, payload + at, extents[i].len);
		at += extents[i].len;
	}
	CHECK(at == (uint64_t)e->h.stored);
	free(extents);
}

static void sparse_files_of_gnu_tar_have_their_content(void)
{
	static const char *const formats[] = {
	        "--format=gnu",
	        "--format=posix --sparse-version=0.0",
	        "--format=posix --sparse-version=0.1",
	        "--format=posix --sparse-version=1.0",
	};
	/* 70 extents, holes at both ends. */
	static const char make[] =
	        "d=$(mktemp -d) && cd $d && truncate -s 40000000 f && for i in $(seq 1 70); do "
	        "seq $i $((i + 2000)) | dd of=f bs=4096 seek=$((i * 100)) conv=notrunc 2>/dev/null;"
	        "done && ";
	struct strata_buf content = {0};
	char command[600];

	if (!have_tool("tar"))
		return;
	snprintf(command, sizeof(command), "%s cat f && rm -r $d", make);
	CHECK(output_of(command, &content));
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct strata_buf archive = {0};
		struct strata_buf expanded = {0};
		struct reading r;

		snprintf(command, sizeof(command), "%s tar --sparse %s -cf - f && rm -r $d", make,
		         formats[i]);
		CHECK(output_of(command, &archive));
		r = read_buf(&archive);
		if (CHECK(r.n == 1 && is_path(&r, 0, "f") && r.entries[0].h.sparse)) {
			expand(&r.entries[0], archive.data + r.entries[0].h.data_offset, &expanded);
			CHECK(expanded.len == content.len &&
			      memcmp(expanded.data, content.data, content.len) == 0);
		}
		free_reading(&r);
		strata_buf_free(&archive);
		strata_buf_free(&expanded);
	}
	strata_buf_free(&content);
}

static size_t corpus_sparse;

static void expand_corpus_file(const char *path, const struct strata_buf *bytes)
{
	struct reading r = read_buf(bytes);

	for (size_t i = 0; i < r.n && !r.err.code[0]; i++) {
		const struct entry *e = &r.entries[i];
		struct strata_buf expanded = {0};
		struct strata_buf want = {0};
		char command[4600];

		if (!e->h.sparse || e->h.size > 64 << 20)
			continue;
		expand(e, bytes->data + e->h.data_offset, &expanded);
		/* It ends with 1 for a name, of whichever entry, that is not of its locale. */
		snprintf(command, sizeof(command), "bsdtar -xOf '%s' '%s' || [ $? -eq 1 ]", path,
		         e->h.path);
		if (CHECK(output_of(command, &want)) &&
		    !CHECK(want.len == expanded.len &&
		           memcmp(want.data, expanded.data, want.len) == 0))
			printf("  %s in %s\n", e->h.path, path);
		corpus_sparse++;
		strata_buf_free(&expanded);
		strata_buf_free(&want);
	}
	free_reading(&r);
}

static void sparse_files_of_real_archives_read_as_in_bsdtar(void)
{
	if (!have_tool("bsdtar"))
		return;
	each_corpus_file(expand_corpus_file);
	if (getenv("STRATA_CORPUS"))
		CHECK(corpus_sparse >= 10);
}

/* A record as an attribute: its name and value, or NULL when it is none. */
static void names_and_values_of_attributes_are_decoded(void)
{
	static const struct {
		const char *key, *value, *name, *decoded;
	} cases[] = {
	        {"SCHILY.xattr.user.a%3Db%25c%2Fd%3d", "v+/=", "user.a=b%c%2Fd=", "v+/="},
	        {"LIBARCHIVE.xattr.user.%7e%7E%2f%4A%4a", "AZaz09+/", "user.~~/JJ",
	         "\x01\x96\xb3\xd3\xdf\xbf"},
	        {"LIBARCHIVE.xattr.%g0%0g%/0%:0%@0%`0%4", "QUI", "%g0%0g%/0%:0%@0%`0%4", "AB"},
	        {"LIBARCHIVE.xattr.n", "QUI=QUI", "n", "AB"},
	        {"LIBARCHIVE.xattr.n", "QU-", "n", "A"},
	        {"LIBARCHIVE.xattr.n", "QU{I", "n", "A"},
	        {"LIBARCHIVE.xattr.", "QUI", NULL, NULL},
	        {"SCHILY.xattr.", "v", NULL, NULL},
	        {"SCHILY.acl", "v", NULL, NULL},
	};
	struct strata_buf text = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct strata_pax_record r = {cases[i].key, strlen(cases[i].key),
		                                    cases[i].value, strlen(cases[i].value)};
		struct strata_tar_xattr x;
		struct strata_err err;
		int status = strata_tar_xattr(&r, &text, &x, &err);

		CHECK(status == (cases[i].name != NULL));
		if (status == 1)
			CHECK(strcmp(x.name, cases[i].name) == 0 &&
			      x.name_len == strlen(cases[i].name) &&
			      same_text(x.value, x.value_len, cases[i].decoded,
			                strlen(cases[i].decoded)));
	}
	strata_buf_free(&text);
}

int main(void)
{
	RUN(records_that_are_none_are_refused);
	RUN(times_have_fractions_and_signs);
	RUN(an_empty_record_gives_way_to_the_field);
	RUN(repeated_extension_headers_replace_each_other);
	RUN(a_name_from_both_worlds_is_refused);
	RUN(extension_headers_of_no_entry_are_refused);
	RUN(a_global_header_is_an_entry_and_changes_no_other);
	RUN(old_gnu_maps_go_on_in_extension_blocks);
	RUN(pax_maps_are_read_in_all_versions);
	RUN(maps_that_lie_are_refused);
	RUN(sparse_records_that_make_none_are_reported);
	RUN(maps_have_a_limit);
	RUN(sparse_files_of_gnu_tar_have_their_content);
	RUN(sparse_files_of_real_archives_read_as_in_bsdtar);
	RUN(names_and_values_of_attributes_are_decoded);
	return check_sum("tar_pax");
}
