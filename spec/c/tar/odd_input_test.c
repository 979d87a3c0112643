/* Sparse maps and JSON texts at the edges of what is allowed. */
#include "core/json/json.h"
#include "tar/tar_support.h"

/* ---- sparse maps ---------------------------------------------------------------- */

/* The map of the only entry behind these records. */
static int map_of(const struct strata_buf *records, const char *payload, struct strata_err *err)
{
	struct strata_tar_extent *extents = NULL;
	struct strata_buf b = {0};
	uint64_t map_bytes;
	struct reading r;
	int status = -1;
	size_t n = 0;

	extension(&b, 'x', records->data, records->len);
	header(&b, USTAR, '0', "x", strlen(payload));
	add_padded(&b, payload, strlen(payload));
	end(&b);
	r = read_buf(&b);
	*err = r.err;
	if (r.n == 1 && r.err.code[0] == '\0')
		status =
		        strata_tar_sparse_map(r.entries[0].raw, r.entries[0].raw_len, payload,
		                              strlen(payload), NULL, &extents, &n, &map_bytes, err);
	free(extents);
	free_reading(&r);
	strata_buf_free(&b);
	return status;
}

struct pair {
	const char *key;
	const char *value;
};

static bool is_refused(const struct pair *pairs, const char *payload, const char *code)
{
	struct strata_buf records = {0};
	struct strata_err err;
	int status;

	for (; pairs->key != NULL; pairs++)
		record(&records, pairs->key, pairs->value, strlen(pairs->value));
	memset(&err, 0, sizeof(err));
	status = map_of(&records, payload, &err);
	if (status >= 0 || strcmp(err.code, code) != 0)
		printf("  %d %s %s\n", status, err.code, err.msg);
	strata_buf_free(&records);
	return status < 0 && strcmp(err.code, code) == 0;
}

#define REFUSED(payload, ...) \
	CHECK(is_refused((const struct pair[]){__VA_ARGS__, {NULL, NULL}}, payload, "EFORMAT"))

static void records_of_a_map_come_in_pairs(void)
{
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.numbytes", "3"}, {"GNU.sparse.offset", "0"});
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.offset", "0"}, {"GNU.sparse.offset", "3"});
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.offset", "0"});
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.offset", "0"}, {"GNU.sparse.numbytes", "three"});
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.offset", "9"}, {"GNU.sparse.numbytes", "3"});
	REFUSED("abc", {"GNU.sparse.size", "10"}, {"GNU.sparse.numblocks", "1"},
	        {"GNU.sparse.offset", "9223372036854775807"}, {"GNU.sparse.numbytes", "3"});
}

static void an_old_sparse_header_with_a_bad_size_is_refused(void)
{
	static const char negative[12] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
	static const char huge[12] = "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff";
	static const char wide[12] = "\x80\x01";
	static const char words[12] = "many bytes";
	static const char top_bit[12] = "\x80\0\0\0\xff";
	static const char *const sizes[] = {negative, huge, wide, words, top_bit};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct strata_buf b = {0};
		size_t at = header(&b, GNU, 'S', "x", 0);

		poke(&b, at, 483, sizes[i], 12);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
}

static void a_sparse_size_in_records_is_a_number(void)
{
	REFUSED("abc", {"GNU.sparse.map", "0,3"}, {"GNU.sparse.size", "many"});
	REFUSED("abc", {"GNU.sparse.map", "0,3"}, {"GNU.sparse.size", "-3"});
	REFUSED("abc", {"GNU.sparse.map", "0,3"}, {"GNU.sparse.realsize", "9223372036854775807"});
}

static void extents_of_an_old_sparse_header_are_numbers(void)
{
	static const char bad[2][24] = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	                                "00000000001",
	                                "00000000000\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	                                "\xff"};
	static const char letters[2][24] = {"letters     00000000001", "00000000000\0letters"};

	for (int i = 0; i < 4; i++) {
		struct strata_buf b = {0};
		struct strata_tar_extent *extents = NULL;
		struct strata_err err = {0};
		uint64_t map_bytes;
		struct reading r;
		size_t n, at = header(&b, GNU, 'S', "x", 1);

		poke(&b, at, 386, i < 2 ? bad[i] : letters[i - 2], 24);
		poke(&b, at, 483, "00000000010", 12);
		add_padded(&b, "y", 1);
		end(&b);
		r = read_buf(&b);
		if (r.n == 1)
			CHECK(strata_tar_sparse_map(r.entries[0].raw, r.entries[0].raw_len, "y", 1,
			                            NULL, &extents, &n, &map_bytes, &err) < 0);
		else
			CHECK(r.err.code[0] != '\0');
		free(extents);
		free_reading(&r);
		strata_buf_free(&b);
	}
}

static void what_is_not_sparse_has_no_map(void)
{
	struct strata_tar_extent *extents = NULL;
	struct strata_buf b = {0};
	struct strata_err err;
	uint64_t map_bytes;
	size_t n;

	header(&b, USTAR, '0', "x", 0);
	CHECK(strata_tar_sparse_map(b.data, b.len, "", 0, NULL, &extents, &n, &map_bytes, &err) <
	              0 &&
	      strcmp(err.code, "EINVAL") == 0);
	CHECK(strata_tar_sparse_map(b.data, 100, "", 0, NULL, &extents, &n, &map_bytes, &err) < 0);
	strata_buf_free(&b);
}

/* Versions that nobody has written are none. */
static void only_known_versions_have_a_map(void)
{
	static const char *const versions[][2] = {
	        {"0", "2"}, {"1", "1"}, {"2", "0"}, {"00", "1"}, {"", "1"}};

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const struct pair pairs[] = {{"GNU.sparse.major", versions[i][0]},
		                             {"GNU.sparse.minor", versions[i][1]},
		                             {NULL, NULL}};

		CHECK(is_refused(pairs, "abc", "EINVAL"));
	}
}

static void a_map_of_too_many_bytes_is_a_limit(void)
{
	static char digits[1500]; /* of a map of 500 extents */
	struct strata_tar_limits limits = {.max_extension = 1000};
	struct strata_tar_extent *extents = NULL;
	struct strata_buf b = {0}, records = {0};
	struct strata_err err = {0};
	uint64_t map_bytes;
	size_t n;

	memcpy(digits, "500\n", 4);
	for (size_t i = 4; i < sizeof(digits); i++)
		digits[i] = i % 2 == 0 ? '0' : '\n';
	record(&records, "GNU.sparse.major", "1", 1);
	record(&records, "GNU.sparse.minor", "0", 1);
	record(&records, "GNU.sparse.realsize", "100", 3);
	extension(&b, 'x', records.data, records.len);
	header(&b, USTAR, '0', "x", sizeof(digits));
	CHECK(strata_tar_sparse_map(b.data, b.len, digits, sizeof(digits), &limits, &extents, &n,
	                            &map_bytes, &err) < 0 &&
	      strcmp(err.code, "ELIMIT") == 0);
	/* By default it is none. */
	limits = (struct strata_tar_limits){.max_sparse = 500};
	CHECK(strata_tar_sparse_map(b.data, b.len, digits, sizeof(digits), &limits, &extents, &n,
	                            &map_bytes, &err) < 0 &&
	      strcmp(err.code, "EFORMAT") == 0);
	free(extents);
	strata_buf_free(&records);
	strata_buf_free(&b);
}

static void a_sparse_file_becomes_another_type_with_a_size_only(void)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_TYPE, .to.typeflag = '0'};
	struct strata_buf b = {0}, out = {0};
	struct strata_err err;
	size_t at = header(&b, GNU, 'S', "x", 0);

	poke(&b, at, 483, "00000000010", 12);
	CHECK(strata_tar_patch(b.data, b.len, &c, &out, &err) < 0 &&
	      strcmp(err.code, "EINVAL") == 0 && out.len == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void times_of_star_are_numbers(void)
{
	for (size_t field = 476; field <= 488; field += 12) {
		struct strata_buf b = {0};
		size_t at = header(&b, USTAR, '0', "x", 0);

		poke(&b, at, 476, "00000000001 00000000002 ", 24);
		poke(&b, at, 508, "tar", 4);
		poke(&b, at, field, "no number", 9);
		end(&b);
		CHECK(refused(&b, "EFORMAT"));
	}
}

/* ---- JSON ----------------------------------------------------------------------- */

static bool is_json(const char *text, size_t len)
{
	struct strata_err err;
	struct strata_json *doc = strata_json_parse(text, len, NULL, &err);
	bool ok = doc != NULL;

	strata_json_free(doc);
	return ok;
}

static void surrogates_and_bytes_at_the_edges(void)
{
	static const char *const good[] = {"\"\\uffff\"",          "\"\\ue000\"",
	                                   "\"\\ud800\\udc00\"",   "\"\\udbff\\udfff\"",
	                                   "\"\xe0\xa0\x80\"",     "\"\xed\x9f\xbf\"",
	                                   "\"\xef\xbf\xbf\"",     "\"\xf0\x90\x80\x80\"",
	                                   "\"\xf4\x8f\xbf\xbf\"", "\"\xe1\x80\x80\""};
	static const char *const bad[] = {"\"\xe0\x9f\xbf\"",
	                                  "\"\xed\xa0\x80\"",
	                                  "\"\xf0\x8f\xbf\xbf\"",
	                                  "\"\xf4\x90\x80\x80\"",
	                                  "\"\xc1\x80\"",
	                                  "\"\xe1\x80\"",
	                                  "tru",
	                                  "nul",
	                                  "falsy",
	                                  "t",
	                                  "",
	                                  "\"\\u12g4\""};
	static const char strange[] = "[\"\\ud800\\ue000\", \"\\ud800\\u0041\", \"\\udc00\"]";

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(is_json(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!is_json(bad[i], strlen(bad[i])));
	/* Both readings of lone surrogates end, and are the same each time. */
	CHECK(is_json(strange, strlen(strange)) == is_json(strange, strlen(strange)));
}

static void numbers_of_no_digits_are_no_integers(void)
{
	int64_t value;

	CHECK(!strata_json_integer("", 0, &value) && !strata_json_integer("-", 1, &value));
	CHECK(strata_json_integer("-7", 2, &value) && value == -7);
}

static void line_separators_are_escaped_and_their_neighbours_not(void)
{
	struct strata_buf out = {0};
	struct strata_err err;

	CHECK(strata_json_quote(&out, "\xe2\x80\xa7\xe2\x80\xa8\xe2\x81\xa8", 9, &err) >= 0);
	CHECK(out.len == 14 && memcmp(out.data, "\"\xe2\x80\xa7\\u2028\xe2\x81\xa8\"", 14) == 0);
	strata_buf_free(&out);
	CHECK(strata_json_quote(&out, "ab\xff", 3, &err) < 0 && strcmp(err.code, "EFORMAT") == 0);
	strata_buf_free(&out);
}

static void a_value_looks_like_its_neighbours(void)
{
	static const char text[] = "[1,{\"a\" : 1}]";
	struct strata_err err;
	struct strata_json *doc = strata_json_parse(text, strlen(text), NULL, &err);
	size_t len;

	CHECK(doc != NULL && strata_json_set(doc, "/0", 2, "{\"b\":2}", 7, &err) == 1);
	CHECK(strcmp(strata_json_text(doc, &len), "[{\"b\" : 2},{\"a\" : 1}]") == 0);
	strata_json_free(doc);
}

static void what_its_lay_out_makes_too_long_is_a_limit(void)
{
	static const char text[] = "{\n    \"a\": {\n        \"b\": 1\n    }\n}\n";
	static const char value[] = "{\"i\":{\"j\":{\"k\":[1,2]}}}";
	struct strata_json_limits limits = {.max_bytes = sizeof(text) + sizeof(value)};
	struct strata_err err;
	struct strata_json *doc = strata_json_parse(text, strlen(text), &limits, &err);
	size_t len;

	CHECK(doc != NULL && strata_json_set(doc, "/a/b", 4, value, strlen(value), &err) < 0 &&
	      strcmp(err.code, "ELIMIT") == 0);
	CHECK(strcmp(strata_json_text(doc, &len), text) == 0);
	strata_json_free(doc);
}

int main(void)
{
	RUN(only_known_versions_have_a_map);
	RUN(a_map_of_too_many_bytes_is_a_limit);
	RUN(a_sparse_file_becomes_another_type_with_a_size_only);
	RUN(times_of_star_are_numbers);
	RUN(a_value_looks_like_its_neighbours);
	RUN(what_its_lay_out_makes_too_long_is_a_limit);
	RUN(records_of_a_map_come_in_pairs);
	RUN(an_old_sparse_header_with_a_bad_size_is_refused);
	RUN(a_sparse_size_in_records_is_a_number);
	RUN(extents_of_an_old_sparse_header_are_numbers);
	RUN(what_is_not_sparse_has_no_map);
	RUN(surrogates_and_bytes_at_the_edges);
	RUN(numbers_of_no_digits_are_no_integers);
	RUN(line_separators_are_escaped_and_their_neighbours_not);
	return check_sum("odd_input");
}
