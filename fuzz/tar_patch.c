/*
 * Patching headers. Random changes of random entries of an archive that the
 * parser takes: the result reads as asked, every other field, record and byte
 * is as before; the same change once more changes nothing; what the parser
 * told is what a fresh header made of it tells.
 *
 * Input: 8 bytes that say what to change, then the tar.
 */
#include "fuzz.h"

#include "tar/tar_changes.h"
#include "tar_mutate.h"

#define PLAN 8

static struct reading read_all(const struct strata_buf *b)
{
	struct strata_tar_parser *p;
	struct reading r = {0};
	enum strata_tar_event event = STRATA_TAR_ENTRY;
	const char *in = b->data, *data;
	size_t len = b->len, data_len;

	p = strata_tar_parser_new(&(struct strata_tar_limits){.max_path = 1 << 20}, &r.err);
	while (event != STRATA_TAR_MORE &&
	       strata_tar_step(p, &in, &len, &event, &data, &data_len, &r.err) == 0)
		if (event == STRATA_TAR_ENTRY)
			keep_entry(&r, p);
	if (r.err.code[0] == '\0')
		strata_tar_finish(p, &r.findings, &r.end_offset, &r.err);
	strata_tar_parser_free(p);
	return r;
}

/* The span is one header that reads as wanted; e is what it came from. */
static struct reading read_as(const struct strata_buf *span, const struct strata_tar_header *want,
                              const struct entry *e)
{
	struct reading now = read_span(span->data, span->len);

	if (now.n != 1 || !same_header(want, &now.entries[0].h)) {
		printf("%s\n", now.err.msg);
		show("old", &e->h);
		show("want", want);
		if (now.n)
			show("got", &now.entries[0].h);
		fflush(stdout);
	}
	CHECK(now.n == 1 && same_header(want, &now.entries[0].h));
	return now;
}

/* The records that the header would have if it were patched with `records`. */
static void check_records(const struct entry *e, uint64_t *seed)
{
	static const char *const keys[] = {"comment", "SCHILY.xattr.user.a", "x", "ctimes"};
	struct strata_tar_changes c = {.mask = STRATA_TAR_RECORDS};
	struct strata_buf set = {0}, out = {0};
	struct strata_err err;
	const char *key = ONE(seed, keys), *value = ONE(seed, odd_values), *at;
	struct strata_pax_record r, found = {0};
	struct reading got;
	size_t left;

	record(&set, key, value, strlen(value));
	c.records = set.data;
	c.records_len = set.len;
	if (strata_tar_patch(e->raw, e->raw_len, &c, &out, &err) == 0) {
		got = read_as(&out, &e->h, e);
		at = got.entries[0].h.pax;
		left = got.entries[0].h.pax_len;
		while (strata_pax_next(&at, &left, &r, &err) > 0)
			if (same_text(r.key, r.key_len, key, strlen(key)))
				found = r;
		CHECK(same_text(found.value_len ? found.value : "", found.value_len, value,
		                strlen(value)));
		free_reading(&got);
	} else {
		CHECK(strcmp(err.code, "ELIMIT") == 0);
	}
	strata_buf_free(&set);
	strata_buf_free(&out);
}

/* Changes the i-th entry; what was changed goes to *tar. */
static void check_patch(struct strata_buf *tar, const struct reading *old, size_t i, uint64_t *seed)
{
	static char room[4][5000];
	const struct entry *e = &old->entries[i];
	struct strata_tar_changes c = random_changes(&e->h, seed, room);
	struct strata_tar_header want = expected_header(&e->h, &c);
	struct strata_buf out = {0}, again = {0};
	struct strata_err err = {0};
	struct reading now;

	if (strata_tar_patch(e->raw, e->raw_len, &c, &out, &err) < 0) {
		CHECK(strcmp(err.code, "ELIMIT") == 0 && out.len == 0);
		return;
	}
	now = read_as(&out, &want, e);
	CHECK(same_other_records(&e->h, &now.entries[0].h));
	free_reading(&now);
	if (!(e->h.sparse && (c.mask & STRATA_TAR_SIZE))) {
		if (strata_tar_patch(out.data, out.len, &c, &again, &err) < 0)
			printf("once more: %s\n", err.msg);
		fflush(stdout);
		CHECK(again.len > 0);
		CHECK(same_text(out.data, out.len, again.data, again.len));
	}
	/* Its payload stays where it is, so the archive is read on only when that is as long. */
	if (want.stored == e->h.stored) {
		must(strata_buf_splice(tar, e->h.header_offset, e->h.data_offset, out.data, out.len,
		                       &err));
		now = read_all(tar);
		CHECK(strcmp(now.err.code, old->err.code) == 0 && now.n == old->n);
		for (size_t k = 0; k < now.n; k++) {
			const struct entry *a = &old->entries[k], *b = &now.entries[k];

			CHECK(k == i || same_text(a->raw, a->raw_len, b->raw, b->raw_len));
		}
		free_reading(&now);
	}
	strata_buf_free(&out);
	strata_buf_free(&again);
}

/* A header with the values that are there already is the same one. */
static void check_same(const struct entry *e)
{
	struct strata_tar_changes c = {.mask = ALL_FIELDS, .to = e->h};
	struct strata_buf out = {0};
	struct strata_err err;

	if (e->h.sparse)
		c.mask &= ~(uint32_t)STRATA_TAR_SIZE;
	CHECK(strata_tar_patch(e->raw, e->raw_len, &c, &out, &err) == 0);
	CHECK(same_text(e->raw, e->raw_len, out.data, out.len));
	strata_buf_free(&out);
}

static void check_fresh(const struct entry *e)
{
	struct strata_tar_header want = e->h;
	struct strata_buf out = {0};
	struct strata_err err;
	struct reading now;

	if (e->h.sparse || e->h.typeflag == 'S' || strata_tar_write(&e->h, &out, &err) < 0) {
		strata_buf_free(&out);
		return;
	}
	if (want.typeflag == 0)
		want.typeflag = '0';
	now = read_as(&out, &want, e);
	CHECK(same_other_records(&want, &now.entries[0].h) || e->h.pax_len);
	free_reading(&now);
	strata_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan = plan_take(&data, &size, PLAN);
	uint64_t seed = plan_seed(&plan);
	struct strata_buf tar = {0};
	struct reading r;

	add(&tar, data, size);
	r = read_all(&tar);
	for (size_t i = 0; i < r.n && i < 8; i++)
		if (r.entries[i].h.typeflag != 'g') {
			check_same(&r.entries[i]);
			check_records(&r.entries[i], &seed);
			check_fresh(&r.entries[i]);
		}
	for (size_t rounds = 3; r.n > 0 && rounds > 0; rounds--) {
		size_t i = (size_t)chance(&seed, r.n);

		if (r.entries[i].h.typeflag == 'g')
			continue;
		check_patch(&tar, &r, i, &seed);
		free_reading(&r);
		r = read_all(&tar);
	}
	free_reading(&r);
	strata_buf_free(&tar);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (size < PLAN || max_size <= PLAN || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return PLAN + tar_mutate(data + PLAN, size - PLAN, max_size - PLAN, seed);
}
