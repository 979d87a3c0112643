/*
 * No parser reads a byte that is not its own: every prefix of every input stands
 * once directly in front of a page that cannot be read, and once directly behind
 * one. It must also be read alike in both places.
 */
#include "core/json/json.h"
#include "tar/tar_support.h"

static struct {
	char *map;
	size_t page;
	size_t room; /* between the two pages */
} cage;

static void make_cage(size_t room)
{
	cage.page = (size_t)sysconf(_SC_PAGESIZE);
	cage.room = (room + cage.page - 1) / cage.page * cage.page;
	cage.map = mmap(NULL, cage.room + 2 * cage.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                0);
	if (cage.map == MAP_FAILED ||
	    mprotect(cage.map + cage.page, cage.room, PROT_READ | PROT_WRITE) < 0)
		exit(2);
}

static char *in_front(const char *bytes, size_t len)
{
	char *at = cage.map + cage.page + cage.room - len;

	memcpy(at, bytes, len);
	return at;
}

static char *behind(const char *bytes, size_t len)
{
	char *at = cage.map + cage.page;

	memcpy(at, bytes, len);
	return at;
}

/* Sums up what a reader makes of bytes, so that two readings can be compared. */
typedef uint64_t reader(const char *bytes, size_t len);

/* Of the last reading: below 0 when it was refused. */
static int outcome;

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 1099511628211u;
}

static uint64_t mix_bytes(uint64_t sum, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = mix(sum, (unsigned char)bytes[i]);
	return mix(sum, len);
}

static void check_prefixes(reader *read, const char *bytes, size_t len)
{
	for (size_t n = 0; n <= len; n++) {
		uint64_t one = read(in_front(bytes, n), n);

		if (!CHECK(one == read(behind(bytes, n), n)))
			printf("    the first %zu bytes\n", n);
	}
}

/* ---- JSON ---------------------------------------------------------------- */

static uint64_t read_json(const char *text, size_t len)
{
	struct strata_err err;
	struct strata_json *doc = strata_json_parse(text, len, NULL, &err);
	uint64_t sum = 1;

	outcome = doc != NULL ? 0 : -1;
	if (doc == NULL)
		return mix_bytes(2, err.msg, strlen(err.msg));
	text = strata_json_text(doc, &len);
	sum = mix_bytes(sum, text, len);
	strata_json_free(doc);
	return sum;
}

static const char *const documents[] = {
        "{\"a\":[1,-2.5e+10,true,false,null,{}],\"\\u00e9\\ud83d\\ude00\":\"\\\"\\\\\\/\\n\\r\"}",
        " [ 0 , \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" , [ [ [ ] ] ] , 1E400 , 0.5 ] \n",
        "{\"config\":{\"Env\":[\"A=1\"],\"Labels\":{\"a\":\"b\"}},\"rootfs\":{\"diff_ids\":[]}}",
        "\"\xf0\x9f\x98\"",
        "-12345678901234567890",
        "truefalse",
};

static void test_json_documents(void)
{
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		check_prefixes(read_json, documents[i], strlen(documents[i]));
	check_prefixes(read_json, documents[0], strlen(documents[0]));
	CHECK(outcome == 0);
}

static uint64_t read_pointer(const char *pointer, size_t len)
{
	struct strata_json_span span;
	struct strata_err err;
	struct strata_json *doc = strata_json_parse(documents[2], strlen(documents[2]), NULL, &err);
	uint64_t sum = doc != NULL ? 1 : 0;
	int found = doc != NULL ? strata_json_find(doc, pointer, len, &span, &err) : -1;

	sum = mix(sum, (uint64_t)(found + 1));
	if (found > 0)
		sum = mix(mix(sum, span.start), span.end);
	if (doc != NULL && strata_json_set(doc, pointer, len, "5", 1, &err) > 0) {
		const char *text = strata_json_text(doc, &len);

		sum = mix_bytes(sum, text, len);
	}
	strata_json_free(doc);
	return sum;
}

static void test_json_pointers(void)
{
	const char *const pointers[] = {"/config/Env/0", "/config/Labels/a~1b~0c", "/rootfs/x/-"};

	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		check_prefixes(read_pointer, pointers[i], strlen(pointers[i]));
}

static uint64_t read_quote(const char *bytes, size_t len)
{
	struct strata_buf quoted = {0}, plain = {0};
	struct strata_err err;
	uint64_t sum = 1;

	if (strata_json_quote(&quoted, bytes, len, &err) == 0) {
		char *copy = in_front(quoted.data, quoted.len);

		sum = mix_bytes(sum, quoted.data, quoted.len);
		if (strata_json_unquote(&plain, copy, quoted.len, &err) == 0)
			sum = mix_bytes(sum, plain.data, plain.len);
	}
	strata_buf_free(&quoted);
	strata_buf_free(&plain);
	return sum;
}

static void test_json_strings(void)
{
	const char text[] = "a<b>&\"\\\x01\xe2\x80\xa8\xc3\xa9\xf0\x9f\x98\x80";

	check_prefixes(read_quote, text, sizeof(text) - 1);
}

/* ---- tar ----------------------------------------------------------------- */

static uint64_t read_archive(const char *bytes, size_t len)
{
	struct strata_err err = {.msg = ""};
	struct strata_tar_parser *p = strata_tar_parser_new(NULL, &err);
	enum strata_tar_event event = STRATA_TAR_MORE;
	const char *data;
	size_t data_len;
	uint64_t sum = 1, end_offset;
	uint32_t findings;
	int status;

	while ((status = strata_tar_step(p, &bytes, &len, &event, &data, &data_len, &err)) == 0) {
		sum = mix(sum, event);
		if (event == STRATA_TAR_ENTRY) {
			const struct strata_tar_header *h = strata_tar_entry(p);

			sum = mix_bytes(sum, h->path, h->path_len);
			sum = mix_bytes(sum, h->linkpath, h->linkpath_len);
			sum = mix_bytes(sum, h->pax, h->pax_len);
			sum = mix(mix(sum, (uint64_t)h->size), (uint64_t)h->mtime);
		} else if (event == STRATA_TAR_DATA) {
			sum = mix_bytes(sum, data, data_len);
		} else if (event == STRATA_TAR_MORE) {
			break;
		}
	}
	if (status == 0)
		status = strata_tar_finish(p, &findings, &end_offset, &err);
	if (status < 0)
		sum = mix_bytes(sum, err.msg, strlen(err.msg));
	outcome = status;
	strata_tar_parser_free(p);
	return sum;
}

static const char records[] = "30 mtime=1350244992.023960108\n"
                              "21 path=long/\xc3\xa9/name\n"
                              "29 SCHILY.xattr.user.a=b\0c=d\n"
                              "14 uid=123456\n"
                              "12 size=700\n";

/* One of each kind of header; nothing in it is terminated that need not be. */
static void build(struct strata_buf *b)
{
	char name[101];

	memset(name, 'n', sizeof(name));
	name[100] = '\0';
	header(b, USTAR, '5', "dir/", 0);
	header(b, USTAR, 'x', "PaxHeaders/x", sizeof(records) - 1);
	add_padded(b, records, sizeof(records) - 1);
	header(b, USTAR, '0', name, 700);
	add_padded(b, name, 100);
	add_padded(b, name, 100);
	header(b, GNU, 'L', "././@LongLink", 101);
	add_padded(b, name, 101);
	header(b, GNU, '2', name, 0);
	header(b, USTAR, 'g', "global", 20);
	add_padded(b, "20 comment=01234567\n", 20);
	header(b, V7, '0', "old", 3);
	add_padded(b, "abc", 3);
	add_padded(b, "", 0);
	must(strata_buf_fill(b, 0, 1024, &(struct strata_err){0}));
}

static void test_tar_archives(void)
{
	struct strata_buf b = {0};

	build(&b);
	check_prefixes(read_archive, b.data, b.len);
	CHECK(outcome == 0);
	strata_buf_free(&b);
}

static uint64_t read_records(const char *bytes, size_t len)
{
	struct strata_pax_record r;
	struct strata_err err;
	uint64_t sum = 1;
	int status;

	while ((status = strata_pax_next(&bytes, &len, &r, &err)) > 0)
		sum = mix_bytes(mix_bytes(sum, r.key, r.key_len), r.value, r.value_len);
	outcome = status;
	return mix(sum, status < 0 ? 2 : 3);
}

static void test_pax_records(void)
{
	const char *const odd[] = {"99999999999999999999 a=b\n", "5 a=\n", "6 a=b", "0 \n",
	                           "007 a=b\n"};

	check_prefixes(read_records, records, sizeof(records) - 1);
	CHECK(outcome == 0);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		check_prefixes(read_records, odd[i], strlen(odd[i]));
}

static uint64_t read_patch(const char *raw, size_t len)
{
	struct strata_tar_changes changes = {.mask = STRATA_TAR_UID | STRATA_TAR_PATH};
	struct strata_buf out = {0};
	struct strata_err err;
	uint64_t sum = 1;

	changes.to.uid = 77;
	changes.to.path = "a/new/name";
	changes.to.path_len = strlen(changes.to.path);
	outcome = strata_tar_patch(raw, len, &changes, &out, &err);
	if (outcome == 0)
		sum = mix_bytes(sum, out.data, out.len);
	strata_buf_free(&out);
	return sum;
}

static uint64_t read_map(const char *payload, size_t len)
{
	struct strata_tar_extent *extents = NULL;
	struct strata_buf raw = {0};
	struct strata_err err;
	const char map[] = "22 GNU.sparse.major=1\n"
	                   "22 GNU.sparse.minor=0\n"
	                   "27 GNU.sparse.realsize=900\n";
	uint64_t sum, map_bytes = 0;
	size_t n = 0;
	int status;

	header(&raw, USTAR, 'x', "x", sizeof(map) - 1);
	add_padded(&raw, map, sizeof(map) - 1);
	header(&raw, USTAR, '0', "sparse", 612);
	status = strata_tar_sparse_map(raw.data, raw.len, payload, len, NULL, &extents, &n,
	                               &map_bytes, &err);
	sum = mix(mix(mix(1, (uint64_t)(status + 1)), n), map_bytes);
	outcome = status;
	free(extents);
	strata_buf_free(&raw);
	return sum;
}

static void test_header_spans_and_sparse_maps(void)
{
	struct strata_buf b = {0};

	header(&b, USTAR, 'x', "PaxHeaders/x", sizeof(records) - 1);
	add_padded(&b, records, sizeof(records) - 1);
	header(&b, USTAR, '0', "name", 700);
	check_prefixes(read_patch, b.data, b.len);
	CHECK(outcome == 0);
	b.len = 0;
	add_padded(&b, "2\n0\n60\n800\n40\n", 14);
	check_prefixes(read_map, b.data, b.len);
	CHECK(outcome == 1);
	strata_buf_free(&b);
}

int main(void)
{
	make_cage(32768);
	RUN(test_json_documents);
	RUN(test_json_pointers);
	RUN(test_json_strings);
	RUN(test_tar_archives);
	RUN(test_pax_records);
	RUN(test_header_spans_and_sparse_maps);
	munmap(cage.map, cage.room + 2 * cage.page);
	return check_sum("guard_test");
}
