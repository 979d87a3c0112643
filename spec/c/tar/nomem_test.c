/*
 * Headers, records, sparse maps and documents while the k-th request for memory
 * fails, for every k: an error of memory, and what was there stays. (Sanitizers
 * have an allocator of their own, which is left alone: then nothing fails.)
 */
#include "core/json/json.h"
#include "tar/tar_changes.h"

static struct {
	long calls;
	long at; /* which one fails; 0: none */
} memory;

#ifdef __SANITIZE_ADDRESS__
#define REFUSES false
#else
#define REFUSES true

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool is_refused(void)
{
	return memory.at != 0 && ++memory.calls == memory.at;
}

void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(p, size);
}
#endif

/* Tries again with a later request until none is refused; the number of failures. */
static long each_request(int (*run)(void *context, struct strata_err *err), void *context)
{
	struct strata_err err;

	for (long at = 1;; at++) {
		int status;

		memset(&err, 0, sizeof(err));
		memory.calls = 0;
		memory.at = at;
		status = run(context, &err);
		memory.at = 0;
		if (memory.calls < at) {
			if (!CHECK(status >= 0))
				printf("  %s\n", err.msg);
			return at - 1;
		}
		if (!CHECK(status < 0 && strcmp(err.code, "ENOMEM") == 0)) {
			printf("  request %ld: %d %s %s\n", at, status, err.code, err.msg);
			return at;
		}
	}
}

/* ---- headers ----------------------------------------------------------------- */

struct patching {
	const struct entry *entry;
	const struct strata_tar_changes *changes;
	struct strata_buf out;
};

static int patch(void *context, struct strata_err *err)
{
	struct patching *p = context;
	int status = strata_tar_patch(p->entry->raw, p->entry->raw_len, p->changes, &p->out, err);

	CHECK(status == 0 || p->out.len == 0);
	strata_buf_free(&p->out);
	return status;
}

static int write_header(void *context, struct strata_err *err)
{
	struct strata_buf out = {0};
	int status = strata_tar_write(context, &out, err);

	CHECK(status == 0 || out.len == 0);
	strata_buf_free(&out);
	return status;
}

static void headers_are_patched_and_written_whole_or_not(void)
{
	static char room[4][5000];
	struct strata_buf archive = {0};
	uint64_t seed = 4711;
	struct reading r;

	build_formats(&archive);
	r = read_buf(&archive);
	CHECK(r.n > 0);
	for (size_t i = 0; i < r.n; i++)
		for (int k = 0; k < 100; k++) {
			struct strata_tar_changes c = random_changes(&r.entries[i].h, &seed, room);
			struct patching p = {&r.entries[i], &c, {0}};

			each_request(patch, &p);
			if (!strata_tar_header_only(c.to.typeflag) &&
			    (c.to.typeflag == 0 || strchr("xgSLK", c.to.typeflag) == NULL) &&
			    c.to.path_len && c.to.path[c.to.path_len - 1] != '/') {
				c.to.pax = "6 b=2\n6 a=1\n6 b=3\n";
				c.to.pax_len = 18;
				each_request(write_header, &c.to);
			}
		}
	free_reading(&r);
	strata_buf_free(&archive);
}

/* ---- records ------------------------------------------------------------------ */

static int diff(void *context, struct strata_err *err)
{
	const struct strata_buf *two = context;
	struct strata_buf out = {0};
	int status = strata_pax_diff(two[0].data, two[0].len, two[1].data, two[1].len, &out, err);

	strata_buf_free(&out);
	return status;
}

static void records_are_compared(void)
{
	struct strata_buf two[2] = {{0}, {0}};

	for (int i = 0; i < 90; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key%02d", i);
		if (i % 3 != 0)
			record(&two[0], key, "1", 1);
		if (i % 3 != 1)
			record(&two[1], key, i % 2 ? "1" : "2", 1);
	}
	CHECK(each_request(diff, two) > 0 || !REFUSES);
	strata_buf_free(&two[0]);
	strata_buf_free(&two[1]);
}

/* ---- documents ------------------------------------------------------------------ */

struct editing {
	const char *text;
	const char *pointer;
	const char *value; /* NULL: remove */
	char mode;         /* 's'et, 'i'nsert, 'r'ename */
};

static int change(struct strata_json *doc, const struct editing *e, struct strata_err *err)
{
	size_t len = strlen(e->pointer);

	if (e->value == NULL)
		return strata_json_remove(doc, e->pointer, len, err);
	if (e->mode == 'r')
		return strata_json_rename(doc, e->pointer, len, e->value, strlen(e->value), err);
	return e->mode == 'i'
	               ? strata_json_insert(doc, e->pointer, len, e->value, strlen(e->value), err)
	               : strata_json_set(doc, e->pointer, len, e->value, strlen(e->value), err);
}

static int edit(void *context, struct strata_err *err)
{
	const struct editing *e = context;
	struct strata_json *doc = strata_json_parse(e->text, strlen(e->text), NULL, err);
	size_t len;
	int status;

	if (doc == NULL)
		return -1;
	status = change(doc, e, err);
	CHECK(status >= 0 || strcmp(strata_json_text(doc, &len), e->text) == 0);
	strata_json_free(doc);
	return status;
}

static void documents_are_changed_or_stay(void)
{
	static const char flat[] = "{\"a\":1,\"b\":{\"c\":[1,2,{\"d\":\"e\"}]},\"f\":{},\"g\":[]}";
	static const char wide[] =
	        "{\n  \"a\" : 1,\n  \"b\" : {\n    \"c\" : [\n      1,\n      2\n    ]\n  },\n"
	        "  \"f\" : {},\n  \"g\" : []\n}\n";
	static const char *const texts[] = {flat, wide};
	static const struct editing edits[] = {
	        {NULL, "/b/c/-", "{\"x\":[1,{\"y\":null}],\"z\":{}}", 's'},
	        {NULL, "/b/c/0", "[true, false]", 'i'},
	        {NULL, "/f/new/deep", "\"text\"", 's'},
	        {NULL, "/g/-", "{\"h\" : [1, 2]}", 's'},
	        {NULL, "/g/0", "7", 'i'},
	        {NULL, "/a", "{\"i\":{\"j\":{\"k\":[[],{}]}}}", 's'},
	        {NULL, "/z~1~0\x01/\xe2\x80\xa8", "\"n\"", 's'},
	        {NULL, "/a", "a longer name \"quoted\"", 'r'},
	        {NULL, "/b/c", NULL, 0},
	        {NULL, "/b/c/1", NULL, 0},
	};

	for (size_t t = 0; t < 2; t++)
		for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
			struct editing e = edits[i];

			e.text = texts[t];
			each_request(edit, &e);
		}
}

static int requote(void *context, struct strata_err *err)
{
	struct strata_buf quoted = {0}, plain = {0};
	int status = strata_json_quote(&quoted, context, strlen(context), err);

	if (status >= 0)
		status = strata_json_unquote(&plain, quoted.data, quoted.len, err);
	CHECK(status < 0 ||
	      (plain.len == strlen(context) && memcmp(plain.data, context, plain.len) == 0));
	strata_buf_free(&quoted);
	strata_buf_free(&plain);
	return status;
}

static void strings_are_quoted(void)
{
	char text[] = "a\"b\\c\n<&>\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xf0\x9f\x98\x80\x01z";

	CHECK(each_request(requote, text) > 0 || !REFUSES);
}

int main(void)
{
	RUN(headers_are_patched_and_written_whole_or_not);
	RUN(records_are_compared);
	RUN(documents_are_changed_or_stay);
	RUN(strings_are_quoted);
	return check_sum("nomem");
}
