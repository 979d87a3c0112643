/* Patching headers: what changes, and what does not. */
#include "core/tar/internal.h"
#include "tar/tar_changes.h"

/* Patches e and checks the result; it is left in out. */
static void check_patch(const struct entry *e, const struct strata_tar_changes *c,
                        struct strata_buf *out)
{
	struct strata_tar_header want = expected_header(&e->h, c);
	struct guarded g = guard(e->raw_len);
	struct strata_err err = {0};
	struct reading r = {0};
	bool ok;

	out->len = 0;
	ok = strata_tar_patch(guarded_copy(&g, e->raw, e->raw_len), e->raw_len, c, out, &err) == 0;
	if (ok) {
		r = read_span(out->data, out->len);
		ok = r.n == 1 && same_header(&want, &r.entries[0].h) &&
		     same_other_records(&e->h, &r.entries[0].h);
	}
	if (!CHECK(ok)) {
		printf("  mask %x: %s %s\n", c->mask, err.msg, r.err.msg);
		show("old", &e->h);
		show("want", &want);
		if (r.n)
			show("got", &r.entries[0].h);
	}
	free_reading(&r);
	unguard(&g);
}

/* ---- the properties ---------------------------------------------------- */

static void check_properties(const struct entry *e, uint64_t seed, unsigned rounds)
{
	static char room[4][5000];
	struct strata_tar_changes same = {.mask = ALL_FIELDS, .to = e->h};
	struct strata_buf once = {0};
	struct strata_buf twice = {0};
	struct strata_buf again = {0};
	struct strata_err err;

	if (e->h.typeflag == 'g')
		return;
	if (e->h.sparse)
		same.mask &= ~(uint32_t)STRATA_TAR_SIZE;
	CHECK(strata_tar_patch(e->raw, e->raw_len, &same, &once, &err) == 0);
	CHECK(once.len == e->raw_len && memcmp(once.data, e->raw, once.len) == 0);
	for (unsigned i = 0; i < rounds; i++) {
		struct strata_tar_changes c = random_changes(&e->h, &seed, room);
		struct strata_tar_changes d;
		struct reading r;

		check_patch(e, &c, &once);
		/* Once more is not another change, and a second patch works as the first. */
		if (!(e->h.sparse && (c.mask & STRATA_TAR_SIZE))) {
			again.len = 0;
			CHECK(strata_tar_patch(once.data, once.len, &c, &again, &err) == 0);
			CHECK(once.len == again.len &&
			      memcmp(once.data, again.data, again.len) == 0);
		}
		r = read_span(once.data, once.len);
		if (CHECK(r.n == 1)) {
			d = random_changes(&r.entries[0].h, &seed, room);
			check_patch(&r.entries[0], &d, &twice);
		}
		free_reading(&r);
	}
	strata_buf_free(&once);
	strata_buf_free(&twice);
	strata_buf_free(&again);
}

static void the_result_reads_as_asked_in_every_format(void)
{
	struct strata_buf b = {0};
	struct reading r;

	build_formats(&b);
	r = read_buf(&b);
	CHECK(r.n > 30 && !r.err.code[0]);
	for (size_t i = 0; i < r.n; i++)
		check_properties(&r.entries[i], 88172645463325252ull + i, 200);
	free_reading(&r);
	strata_buf_free(&b);
}

static size_t corpus_entries;

static void patch_corpus_file(const char *path, const struct strata_buf *bytes)
{
	struct reading r = read_buf(bytes);
	bool failing = check_state.failing;

	check_state.failing = false;
	for (size_t i = 0; i < r.n; i++)
		check_properties(&r.entries[i], bytes->len + i + 1, r.n < 50 ? 20 : 2);
	if (check_state.failing)
		printf("  in %s\n", path);
	check_state.failing |= failing;
	corpus_entries += r.n;
	free_reading(&r);
}

static void entries_of_real_archives_are_patched_as_asked(void)
{
	each_corpus_file(patch_corpus_file);
	if (getenv("STRATA_CORPUS"))
		CHECK(corpus_entries >= 1000);
}

/* ---- which bytes change ------------------------------------------------ */

/* Patches the only span in b. */
static struct strata_buf patched(struct strata_buf *b, struct strata_tar_changes c)
{
	struct strata_buf out = {0};
	struct strata_err err = {0};

	if (!CHECK(strata_tar_patch(b->data, b->len, &c, &out, &err) == 0))
		printf("  %s\n", err.msg);
	return out;
}

/* Bytes that differ outside of [from, to) and the checksum. */
static size_t differ_elsewhere(const char *a, const char *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < 512; i++)
		if ((i < from || i >= to) && (i < 148 || i >= 156))
			n += a[i] != b[i];
	return n;
}

static void a_new_mode_changes_mode_and_checksum_only(void)
{
	struct strata_buf b = {0};
	struct strata_buf out;

	header(&b, GNU, '0', "x", 5);
	poke(&b, 0, 100, "100644 ", 8); /* as Solaris spells it */
	out = patched(&b, (struct strata_tar_changes){.mask = STRATA_TAR_MODE, .to.mode = 0755});
	CHECK(out.len == 512 && memcmp(out.data + 100, "000755 ", 8) == 0);
	CHECK(differ_elsewhere(b.data, out.data, 100, 108) == 0);
	CHECK(out.data[154] == 0 && out.data[155] == b.data[155]);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void a_new_owner_leaves_records_alone(void)
{
	struct strata_buf b = {0};
	struct strata_buf out;

	pax(&b, "mtime", "1.5");
	header(&b, USTAR, '0', "x", 5);
	out = patched(&b, (struct strata_tar_changes){.mask = STRATA_TAR_UID, .to.uid = 7});
	CHECK(out.len == b.len && memcmp(out.data, b.data, 1024) == 0);
	CHECK(differ_elsewhere(b.data + 1024, out.data + 1024, 108, 116) == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void a_record_is_edited_in_its_place(void)
{
	struct strata_buf b = {0};
	struct strata_buf records = {0};
	struct strata_buf out;
	static const char want[] = "11 atime=1\n13 mtime=2.5\n11 ctime=3\n";

	record(&records, "atime", "1", 1);
	record(&records, "mtime", "1.000000001", 11);
	record(&records, "ctime", "3", 1);
	extension(&b, 'x', records.data, records.len);
	strata_buf_free(&records);
	header(&b, USTAR, '0', "x", 5);
	out = patched(&b, (struct strata_tar_changes){
	                          .mask = STRATA_TAR_MTIME,
	                          .to.mtime = 2,
	                          .to.mtime_nsec = 500000000,
	                  });
	CHECK(out.len == b.len && memcmp(out.data + 512, want, sizeof(want)) == 0);
	strata_buf_free(&out);
	/* A whole second needs no record. */
	out = patched(&b, (struct strata_tar_changes){.mask = STRATA_TAR_MTIME, .to.mtime = 2});
	CHECK(memcmp(out.data + 512, "11 atime=1\n11 ctime=3\n", 23) == 0);
	CHECK(memcmp(out.data + 1024 + 136, "00000000002", 12) == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void the_last_record_takes_its_header_along(void)
{
	struct strata_buf b = {0};
	struct strata_buf out;

	pax(&b, "path", "p\xc3\xa4th");
	header(&b, USTAR, '0', "path", 5);
	out = patched(&b, (struct strata_tar_changes){
	                          .mask = STRATA_TAR_PATH, .to.path = "plain", .to.path_len = 5});
	CHECK(out.len == 512 && strcmp(out.data, "plain") == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

static void a_long_name_goes_where_its_format_has_it(void)
{
	static char name[301];
	struct strata_tar_changes c = {.mask = STRATA_TAR_PATH, .to.path = name};
	struct strata_buf b = {0};
	struct strata_buf out;

	memset(name, 'n', 300);
	name[60] = '/';
	c.to.path_len = 150; /* fits name and prefix */
	header(&b, USTAR, '0', "x", 5);
	out = patched(&b, c);
	CHECK(out.len == 512 && memcmp(out.data + 345, name, 60) == 0 && out.data[405] == 0);
	strata_buf_free(&out);
	c.to.path_len = 300;
	out = patched(&b, c);
	CHECK(out.len == 512 * 3 && out.data[156] == 'x');
	strata_buf_free(&out);
	b.len = 0;
	header(&b, GNU, '0', "x", 5);
	out = patched(&b, c);
	CHECK(out.len == 512 * 3 && out.data[156] == 'L' && memcmp(out.data + 257, GNU, 8) == 0 &&
	      strlen(out.data + 512) == 300);
	strata_buf_free(&out);
	b.len = 0;
	header(&b, V7, '0', "x", 5);
	out = patched(&b, c);
	CHECK(out.len == 512 * 3 && out.data[156] == 'x' &&
	      memcmp(out.data + 1024 + 257, USTAR, 8) == 0);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

/* An L header that holds no name gives none, neither before nor after. */
static void an_empty_long_name_makes_no_record(void)
{
	for (size_t len = 0; len < 2; len++) {
		struct strata_buf b = {0}, out;
		struct reading r;

		extension(&b, 'L', "", len);
		header(&b, GNU, '0', "main", 0);
		out = patched(&b, (struct strata_tar_changes){.mask = STRATA_TAR_MTIME,
		                                              .to.mtime_nsec = 500000000});
		r = read_span(out.data, out.len);
		CHECK(r.n == 1 && strcmp(r.entries[0].h.path, "main") == 0 &&
		      r.entries[0].h.mtime_nsec == 500000000);
		CHECK(memmem(out.data, out.len, " path=", 6) == NULL);
		free_reading(&r);
		strata_buf_free(&out);
		strata_buf_free(&b);
	}
}

static void what_repeats_is_left_behind_when_something_changes(void)
{
	struct strata_buf b = {0};
	struct strata_buf out;
	struct reading r;

	pax(&b, "path", "first");
	pax(&b, "linkpath", "second");
	header(&b, USTAR, '2', "main", 0);
	out = patched(&b, (struct strata_tar_changes){.mask = STRATA_TAR_MODE, .to.mode = 1});
	r = read_span(out.data, out.len);
	CHECK(r.n == 1 && strcmp(r.entries[0].h.path, "main") == 0);
	CHECK(r.entries[0].h.findings == 0 && out.len == 512 * 3);
	free_reading(&r);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

/* Records without a map of their own, beside an old GNU map or an L header that is empty. */
static void sparse_records_that_say_nothing_stay_without_effect(void)
{
	static char name[200];
	static const struct {
		const char *key, *value;
		char typeflag;
		bool longname;
		uint32_t mask;
	} cases[] = {
	        {"GNU.sparse.offset", "-1", 'S', false, STRATA_TAR_SIZE},
	        {"GNU.sparse.map", "5", 'S', false, STRATA_TAR_SIZE | STRATA_TAR_TYPE},
	        {"GNU.sparse.name", "other", 'S', false, STRATA_TAR_PATH},
	        {"GNU.sparse.name", "other", '0', true, STRATA_TAR_PATH},
	        {"GNU.sparse.name", "other", 'S', true, STRATA_TAR_PATH | STRATA_TAR_SIZE},
	};

	memset(name, 'n', sizeof(name));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t len = 100; len <= sizeof(name); len += 100) {
			struct strata_tar_changes c = {.mask = cases[i].mask, .to.path = name};
			struct strata_buf b = {0}, out = {0};
			struct reading r;

			c.to.path_len = len;
			c.to.typeflag = '0';
			pax(&b, cases[i].key, cases[i].value);
			if (cases[i].longname)
				extension(&b, 'L', "", 1);
			header(&b, GNU, cases[i].typeflag, "name", 0);
			r = read_buf(&b);
			if (CHECK(r.n == 1))
				check_patch(&r.entries[0], &c, &out);
			free_reading(&r);
			strata_buf_free(&out);
			strata_buf_free(&b);
		}
}

/* ---- records ----------------------------------------------------------- */

static void records_are_set_and_deleted(void)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_RECORDS};
	struct strata_buf b = {0};
	struct strata_buf set = {0};
	struct strata_buf out;

	record(&set, "b", "two", 3);
	record(&set, "c", "", 0);
	record(&set, "d", "four", 4);
	c.records = set.data;
	c.records_len = set.len;
	extension(&b, 'x', "6 a=1\n6 b=2\n6 c=3\n6 b=4\n", 24);
	header(&b, USTAR, '0', "x", 5);
	out = patched(&b, c);
	CHECK(memcmp(out.data + 512, "6 a=1\n8 b=two\n9 d=four\n", 24) == 0);
	CHECK(memcmp(out.data + 1024, b.data + 1024, 512) == 0);
	strata_buf_free(&out);
	b.len = 0;
	header(&b, V7, '0', "x", 5); /* gets an x header and the magic that goes with it */
	out = patched(&b, c);
	CHECK(out.len == 512 * 3 && memcmp(out.data + 512, "8 b=two\n9 d=four\n", 18) == 0);
	CHECK(memcmp(out.data + 1024 + 257, USTAR, 8) == 0);
	strata_buf_free(&out);
	b.len = 0;
	extension(&b, 'x', "6 c=3\n", 6);
	header(&b, USTAR, '0', "x", 5);
	set.len = 0;
	record(&set, "c", "", 0);
	c.records_len = set.len;
	out = patched(&b, c);
	CHECK(out.len == 512);
	strata_buf_free(&out);
	strata_buf_free(&set);
	strata_buf_free(&b);
}

/* A few records of a few keys; with `once` each key at most once. */
static void random_records(struct strata_buf *out, uint64_t *seed, bool once)
{
	size_t n = (size_t)chance(seed, 9);
	unsigned used = 0;

	out->len = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned k = (unsigned)chance(seed, 7);
		char key[] = "key?";
		char value[4] = {0};

		if (once && used >> k & 1)
			continue;
		used |= 1u << k;
		key[3] = (char)('a' + k);
		memset(value, (char)('0' + chance(seed, 3)), (size_t)chance(seed, 3));
		record(out, key, value, strlen(value));
	}
}

static bool same_bytes(const struct strata_buf *a, const struct strata_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void many_records_are_set_as_one_by_one(void)
{
	struct strata_buf old = {0}, changes = {0}, one = {0}, all = {0};
	uint64_t seed = 61;

	for (int round = 0; round < 3000; round++) {
		const char *rest;
		size_t len;
		struct strata_pax_record r;
		struct strata_err err;
		bool one_changed = false, all_changed = false;

		random_records(&old, &seed, false);
		random_records(&changes, &seed, true);
		one.len = all.len = 0;
		add(&one, old.data, old.len);
		add(&all, old.data, old.len);
		rest = changes.data;
		len = changes.len;
		while (strata_pax_next(&rest, &len, &r, &err) > 0)
			CHECK(pax_set(&one, r.key, r.key_len, r.value, r.value_len, &one_changed,
			              &err) == 0);
		CHECK(pax_set_all(&all, changes.data, changes.len, &all_changed, &err) == 0);
		CHECK(same_bytes(&one, &all) && one_changed == all_changed);
	}
	strata_buf_free(&old);
	strata_buf_free(&changes);
	strata_buf_free(&one);
	strata_buf_free(&all);
}

/* What the records say: of each key the last, unless it is empty, in order of the keys. */
static void meaning(const struct strata_buf *records, struct strata_buf *out)
{
	out->len = 0;
	for (char k = 'a'; k < 'h'; k++) {
		const char key[] = {'k', 'e', 'y', k, '\0'};
		const char *rest = records->data;
		size_t len = records->len;
		struct strata_pax_record r, last = {0};
		struct strata_err err;

		while (strata_pax_next(&rest, &len, &r, &err) > 0)
			if (r.key[3] == k)
				last = r;
		if (last.value_len)
			record(out, key, last.value, last.value_len);
	}
}

static void a_difference_of_records_makes_one_of_the_other(void)
{
	struct strata_buf old = {0}, wanted = {0}, diff = {0}, got = {0}, expect = {0};
	uint64_t seed = 67;

	for (int round = 0; round < 3000; round++) {
		struct strata_err err;
		bool changed = false;

		random_records(&old, &seed, false);
		random_records(&wanted, &seed, false);
		meaning(&wanted, &expect);
		diff.len = 0;
		CHECK(strata_pax_diff(old.data, old.len, wanted.data, wanted.len, &diff, &err) ==
		      0);
		CHECK(pax_set_all(&old, diff.data, diff.len, &changed, &err) == 0);
		meaning(&old, &got);
		CHECK(same_bytes(&expect, &got));
	}
	strata_buf_free(&old);
	strata_buf_free(&wanted);
	strata_buf_free(&diff);
	strata_buf_free(&got);
	strata_buf_free(&expect);
}

static void a_global_header_has_records_only(void)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_RECORDS,
	                               .records = "8 path=\n13 comment=x\n",
	                               .records_len = 21};
	struct strata_buf b = {0};
	struct strata_buf out;
	struct strata_err err;

	pax(&b, "path", "evil");
	poke(&b, 0, 156, "g", 1);
	out = patched(&b, c);
	CHECK(out.len == 1024 && out.data[156] == 'g' &&
	      memcmp(out.data + 512, "13 comment=x\n", 14) == 0);
	c.mask = STRATA_TAR_MODE;
	CHECK(strata_tar_patch(b.data, b.len, &c, &out, &err) < 0);
	CHECK(strcmp(err.code, "EINVAL") == 0 && out.len == 1024);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

/* NUL and '0' are one type: which is written hangs on the name. */
static void a_sparse_file_of_type_NUL_may_get_the_name_of_a_directory(void)
{
	struct strata_tar_changes c = {.mask = STRATA_TAR_PATH | STRATA_TAR_TYPE,
	                               .to = {.path = "dir/", .path_len = 4}};
	struct strata_buf b = {0}, records = {0}, once, twice;
	struct reading r;

	record(&records, "GNU.sparse.size", "1000", 4);
	record(&records, "GNU.sparse.numblocks", "1", 1);
	record(&records, "GNU.sparse.map", "0,0", 3);
	extension(&b, 'x', records.data, records.len);
	header(&b, USTAR, '\0', "name", 0);
	once = patched(&b, c);
	r = read_span(once.data, once.len);
	CHECK(r.n == 1 && r.entries[0].h.sparse && r.entries[0].h.typeflag == '0' &&
	      r.entries[0].h.size == 1000);
	twice = patched(&once, c);
	CHECK(same_bytes(&once, &twice));
	free_reading(&r);
	strata_buf_free(&records);
	strata_buf_free(&b);
	strata_buf_free(&once);
	strata_buf_free(&twice);
}

static void a_record_gets_its_length_right(void)
{
	struct strata_buf out = {0};
	struct strata_buf value = {0};
	struct strata_err err;

	must(strata_buf_fill(&value, 'v', 100100, &err));
	for (size_t len = 0; len < 100100; len += len < 1200 || len > 99900 ? 1 : 89) {
		struct strata_buf want = {0};

		out.len = 0;
		CHECK(strata_pax_append(&out, "key", 3, value.data, len, &err) == 0);
		record(&want, "key", value.data, len);
		CHECK(want.len == out.len && memcmp(want.data, out.data, out.len) == 0);
		strata_buf_free(&want);
	}
	CHECK(strata_pax_append(&out, "a=b", 3, "x", 1, &err) < 0);
	CHECK(strata_pax_append(&out, "", 0, "x", 1, &err) < 0);
	CHECK(strata_pax_append(&out, "a\0b", 3, "x", 1, &err) < 0);
	strata_buf_free(&out);
	strata_buf_free(&value);
}

/* ---- what is refused --------------------------------------------------- */

static void misuse_is_refused_and_leaves_the_output_alone(void)
{
	static char huge[(1 << 20) + 10];
	const struct strata_tar_changes bad[] = {
	        {.mask = STRATA_TAR_UID, .to.uid = 4294967296u},
	        {.mask = STRATA_TAR_GID, .to.gid = 4294967296u},
	        {.mask = STRATA_TAR_SIZE, .to.size = -1},
	        {.mask = STRATA_TAR_SIZE, .to.size = INT64_MAX},
	        {.mask = STRATA_TAR_LINKPATH, .to.linkpath = "a\0b", .to.linkpath_len = 3},
	        {.mask = STRATA_TAR_UNAME, .to.uname = "a\0b", .to.uname_len = 3},
	        {.mask = STRATA_TAR_GNAME, .to.gname = "a\0b", .to.gname_len = 3},
	        {.mask = STRATA_TAR_TYPE, .to.typeflag = 'g'},
	        {.mask = STRATA_TAR_MTIME, .to.mtime_nsec = 1000000000},
	        {.mask = STRATA_TAR_ATIME, .to.atime = {0, 1000000000, true}},
	        {.mask = STRATA_TAR_CTIME, .to.ctime = {0, 1000000000, true}},
	        {.mask = STRATA_TAR_PATH, .to.path = "a\0b", .to.path_len = 3},
	        {.mask = STRATA_TAR_PATH, .to.path = huge, .to.path_len = sizeof(huge)},
	        {.mask = STRATA_TAR_TYPE, .to.typeflag = 'x'},
	        {.mask = STRATA_TAR_TYPE, .to.typeflag = 'S'},
	        {.mask = STRATA_TAR_TYPE | STRATA_TAR_SIZE, .to.typeflag = '5', .to.size = 1},
	        {.mask = STRATA_TAR_RECORDS, .records = "10 path=a\n", .records_len = 10},
	        {.mask = STRATA_TAR_RECORDS, .records = "11 atime=1\n", .records_len = 11},
	        {.mask = STRATA_TAR_RECORDS, .records = "broken", .records_len = 6},
	};
	struct strata_buf b = {0};
	struct strata_buf out = {0};
	struct strata_err err;

	memset(huge, 'h', sizeof(huge));
	header(&b, USTAR, '0', "x", 5);
	add(&out, "before", 6);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(strata_tar_patch(b.data, b.len, &bad[i], &out, &err) < 0 && out.len == 6);
	for (size_t len = 0; len < b.len; len++)
		CHECK(strata_tar_patch(b.data, len, &bad[0], &out, &err) < 0 && out.len == 6);
	strata_buf_free(&out);
	strata_buf_free(&b);
}

int main(void)
{
	RUN(the_result_reads_as_asked_in_every_format);
	RUN(entries_of_real_archives_are_patched_as_asked);
	RUN(a_new_mode_changes_mode_and_checksum_only);
	RUN(a_new_owner_leaves_records_alone);
	RUN(a_record_is_edited_in_its_place);
	RUN(the_last_record_takes_its_header_along);
	RUN(a_long_name_goes_where_its_format_has_it);
	RUN(an_empty_long_name_makes_no_record);
	RUN(what_repeats_is_left_behind_when_something_changes);
	RUN(sparse_records_that_say_nothing_stay_without_effect);
	RUN(records_are_set_and_deleted);
	RUN(many_records_are_set_as_one_by_one);
	RUN(a_difference_of_records_makes_one_of_the_other);
	RUN(a_global_header_has_records_only);
	RUN(a_sparse_file_of_type_NUL_may_get_the_name_of_a_directory);
	RUN(a_record_gets_its_length_right);
	RUN(misuse_is_refused_and_leaves_the_output_alone);
	return check_sum("tar_patch");
}
