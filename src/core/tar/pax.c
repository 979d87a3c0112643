/*
 * PAX records: "LENGTH KEY=VALUE\n", parsed by their declared length.
 */
#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tar/internal.h"

#define SPARSE_PREFIX "GNU.sparse."

const struct pax_key_name pax_key_names[PAX_OTHER] = {
#define KEY(text)                      \
	{                              \
		text, sizeof(text) - 1 \
	}
        [PAX_PATH] = KEY("path"),
        [PAX_LINKPATH] = KEY("linkpath"),
        [PAX_UNAME] = KEY("uname"),
        [PAX_GNAME] = KEY("gname"),
        [PAX_UID] = KEY("uid"),
        [PAX_GID] = KEY("gid"),
        [PAX_SIZE] = KEY("size"),
        [PAX_MTIME] = KEY("mtime"),
        [PAX_ATIME] = KEY("atime"),
        [PAX_CTIME] = KEY("ctime"),
        [PAX_SPARSE_MAJOR] = KEY(SPARSE_PREFIX "major"),
        [PAX_SPARSE_MINOR] = KEY(SPARSE_PREFIX "minor"),
        [PAX_SPARSE_NAME] = KEY(SPARSE_PREFIX "name"),
        [PAX_SPARSE_SIZE] = KEY(SPARSE_PREFIX "size"),
        [PAX_SPARSE_REALSIZE] = KEY(SPARSE_PREFIX "realsize"),
        [PAX_SPARSE_MAP] = KEY(SPARSE_PREFIX "map"),
        [PAX_SPARSE_NUMBLOCKS] = KEY(SPARSE_PREFIX "numblocks"),
        [PAX_SPARSE_OFFSET] = KEY(SPARSE_PREFIX "offset"),
        [PAX_SPARSE_NUMBYTES] = KEY(SPARSE_PREFIX "numbytes"),
#undef KEY
};

enum pax_key pax_key_of(const char *key, size_t len)
{
	for (int i = 0; i < PAX_OTHER; i++)
		if (pax_key_names[i].len == len && memcmp(pax_key_names[i].text, key, len) == 0)
			return (enum pax_key)i;
	return PAX_OTHER;
}

/* ---- numbers and times ------------------------------------------------- */

bool pax_number(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (digit > 9 || !strata_mul(n, 10u, &n) || !strata_add(n, digit, &n) || n > max)
			return false;
	}
	*out = n;
	return true;
}

bool pax_time(const char *text, size_t len, int64_t *seconds, uint32_t *nsec)
{
	bool negative = len > 0 && text[0] == '-';
	const char *dot = memchr(text, '.', len);
	size_t whole = dot ? (size_t)(dot - text) : len;
	uint32_t fraction = 0;
	uint32_t unit = 100000000;
	uint64_t n;

	if (!pax_number(text + negative, whole - negative, (uint64_t)INT64_MAX + negative, &n))
		return false;
	for (size_t i = whole + 1; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		fraction += (uint32_t)(text[i] - '0') * unit;
		unit /= 10; /* digits behind the ninth count for nothing */
	}
	*seconds = (int64_t)(negative ? 0 - n : n);
	if (negative && fraction) {
		if (*seconds == INT64_MIN)
			return false;
		*seconds -= 1;
		fraction = 1000000000 - fraction;
	}
	*nsec = fraction;
	return true;
}

size_t pax_format_number(char *out, uint64_t n)
{
	char digits[20];
	size_t len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	for (size_t i = 0; i < len; i++)
		out[i] = digits[len - 1 - i];
	return len;
}

size_t pax_format_time(char *out, int64_t seconds, uint32_t nsec)
{
	uint64_t whole = (uint64_t)seconds;
	size_t len = 0;

	if (seconds < 0) {
		whole = 0 - (uint64_t)seconds;
		out[len++] = '-';
		if (nsec) {
			whole -= 1;
			nsec = 1000000000 - nsec;
		}
	}
	len += pax_format_number(out + len, whole);
	if (nsec) {
		out[len++] = '.';
		for (uint32_t unit = 100000000; nsec; unit /= 10) {
			out[len++] = (char)('0' + nsec / unit);
			nsec %= unit;
		}
	}
	return len;
}

/* ---- reading ----------------------------------------------------------- */

static int check_record(const struct strata_pax_record *r, struct strata_err *err)
{
	enum pax_key key = pax_key_of(r->key, r->key_len);

	if (r->key_len == 0)
		return strata_fail(err, "EFORMAT", "PAX record without a key");
	if (memchr(r->key, 0, r->key_len))
		return strata_fail(err, "EFORMAT", "NUL in the key of a PAX record");
	if ((key <= PAX_GNAME || key == PAX_SPARSE_NAME) && memchr(r->value, 0, r->value_len))
		return strata_fail(err, "EFORMAT", "NUL in the PAX record %s",
		                   pax_key_names[key].text);
	return 0;
}

int strata_pax_next(const char **records, size_t *len, struct strata_pax_record *r,
                    struct strata_err *err)
{
	const char *p = *records;
	const char *space;
	const char *equals;
	const char *end;
	uint64_t n;

	if (*len == 0)
		return 0;
	/* No length that fits has more than 20 digits. */
	space = memchr(p, ' ', *len < 21 ? *len : 21);
	if (!space || !pax_number(p, (size_t)(space - p), *len, &n))
		return strata_fail(err, "EFORMAT", "PAX record with a bad length");
	if (n < (size_t)(space - p) + 2 || p[n - 1] != '\n')
		return strata_fail(err, "EFORMAT", "PAX record does not end where it says");
	end = p + n - 1;
	equals = memchr(space + 1, '=', (size_t)(end - (space + 1)));
	if (!equals)
		return strata_fail(err, "EFORMAT", "PAX record without '='");
	r->key = space + 1;
	r->key_len = (size_t)(equals - r->key);
	r->value = equals + 1;
	r->value_len = (size_t)(end - r->value);
	if (check_record(r, err) < 0)
		return -1;
	*records += n;
	*len -= n;
	return 1;
}

static int compare_keys(const void *pa, const void *pb)
{
	const struct strata_pax_record *a = pa;
	const struct strata_pax_record *b = pb;
	int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	if (order)
		return order;
	return (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

/*
 * Sets *duplicate when one of at most n - 1 unknown keys occurs twice. They are sorted, so that the
 * time does not grow with the square of their number.
 */
static int has_duplicate(const char *records, size_t len, size_t n, bool *duplicate,
                         struct strata_err *err)
{
	struct strata_pax_record few[16];
	cleanup_free struct strata_pax_record *many = NULL;
	struct strata_pax_record *r = few;

	if (n > sizeof(few) / sizeof(few[0])) {
		r = many = strata_reallocarray(NULL, n, sizeof(*many));
		if (!many)
			return strata_fail_nomem(err);
	}
	n = 0;
	while (strata_pax_next(&records, &len, &r[n], err) > 0)
		if (pax_key_of(r[n].key, r[n].key_len) == PAX_OTHER)
			n++;
	if (n > 1)
		qsort(r, n, sizeof(*r), compare_keys);
	for (size_t i = 1; i < n; i++)
		if (compare_keys(&r[i - 1], &r[i]) == 0)
			*duplicate = true;
	return 0;
}

int pax_collect(const char *records, size_t len, struct pax_values *v, struct strata_err *err)
{
	const char *rest = records;
	size_t rest_len = len;
	struct strata_pax_record r;
	size_t others = 0;
	uint32_t seen = 0;
	int found;

	memset(v, 0, sizeof(*v));
	while ((found = strata_pax_next(&rest, &rest_len, &r, err)) > 0) {
		enum pax_key key = pax_key_of(r.key, r.key_len);

		if (key == PAX_OTHER) {
			others++;
			continue;
		}
		if (key != PAX_SPARSE_OFFSET && key != PAX_SPARSE_NUMBYTES && (seen & 1u << key))
			v->duplicate = true;
		seen |= 1u << key;
		v->sparse |= key >= PAX_SPARSE_MAJOR;
		v->of[key].text = r.value;
		v->of[key].len = r.value_len;
	}
	if (found < 0)
		return -1;
	if (others > 1)
		return has_duplicate(records, len, others + 1, &v->duplicate, err);
	return 0;
}

enum pax_sparse_kind pax_sparse_kind(const struct pax_values *v)
{
	const char *major = v->of[PAX_SPARSE_MAJOR].text;
	const char *minor = v->of[PAX_SPARSE_MINOR].text;
	bool versioned = v->of[PAX_SPARSE_MAJOR].len == 1 && v->of[PAX_SPARSE_MINOR].len == 1;

	if (versioned && *major == '0' && (*minor == '0' || *minor == '1'))
		return PAX_SPARSE_IN_RECORDS;
	if (versioned && *major == '1' && *minor == '0')
		return PAX_SPARSE_IN_PAYLOAD;
	if (v->of[PAX_SPARSE_MAJOR].len || v->of[PAX_SPARSE_MINOR].len)
		return PAX_NOT_SPARSE; /* an unknown version of the format */
	if (v->of[PAX_SPARSE_MAP].len || v->of[PAX_SPARSE_OFFSET].len)
		return PAX_SPARSE_IN_RECORDS;
	return PAX_NOT_SPARSE;
}

/* ---- tables: the last record of each key, in order of the keys --------- */

struct table {
	struct strata_pax_record *records;
	size_t n;
};

static void free_table(struct table *t)
{
	free(t->records);
}

#define cleanup_table __attribute__((cleanup(free_table)))

/* By key; records of one key in the order of the buffer that they lie in. */
static int compare_records(const void *pa, const void *pb)
{
	const struct strata_pax_record *a = pa;
	const struct strata_pax_record *b = pb;
	int order = compare_keys(a, b);

	return order ? order : (a->key > b->key) - (a->key < b->key);
}

static int make_table(struct table *t, const char *records, size_t len, struct strata_err *err)
{
	struct strata_pax_record r;
	size_t n = 0;
	int found;

	while ((found = strata_pax_next(&records, &len, &r, err)) > 0) {
		if (strata_grow(t->records, n, err) < 0)
			return -1;
		t->records[n++] = r;
	}
	if (found < 0)
		return -1;
	if (n > 1)
		qsort(t->records, n, sizeof(*t->records), compare_records);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || compare_keys(&t->records[i], &t->records[i + 1]) != 0)
			t->records[t->n++] = t->records[i];
	return 0;
}

/* NULL when there is none. */
static const struct strata_pax_record *look_up(const struct table *t,
                                               const struct strata_pax_record *like)
{
	return t->n ? bsearch(like, t->records, t->n, sizeof(*t->records), compare_keys) : NULL;
}

/* True when r, one of the records that t was made of, is the last one of its key. */
static bool is_last(const struct table *t, const struct strata_pax_record *r)
{
	return look_up(t, r)->value == r->value;
}

static bool same_value(const struct strata_pax_record *a, const struct strata_pax_record *b)
{
	return a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0;
}

/* ---- writing ----------------------------------------------------------- */

static size_t decimal_width(size_t n)
{
	char text[PAX_TEXT_MAX];

	return pax_format_number(text, n);
}

int strata_pax_append(struct strata_buf *out, const char *key, size_t key_len, const char *value,
                      size_t value_len, struct strata_err *err)
{
	char head[PAX_TEXT_MAX];
	size_t start = out->len;
	size_t bare; /* without the length */
	size_t total;
	size_t head_len;

	if (key_len == 0 || memchr(key, '=', key_len) || memchr(key, 0, key_len))
		return strata_fail(err, "EINVAL", "not a key of a PAX record");
	if (!strata_add(key_len, value_len, &bare) || !strata_add(bare, (size_t)3, &bare) ||
	    bare > SIZE_MAX / 2)
		return strata_fail_nomem(err);
	total = bare + decimal_width(bare);
	if (bare + decimal_width(total) != total)
		total = bare + decimal_width(total);
	head_len = pax_format_number(head, total);
	head[head_len++] = ' ';
	if (strata_buf_append(out, head, head_len, err) < 0 ||
	    strata_buf_append(out, key, key_len, err) < 0 ||
	    strata_buf_append(out, "=", 1, err) < 0 ||
	    strata_buf_append(out, value, value_len, err) < 0 ||
	    strata_buf_append(out, "\n", 1, err) < 0) {
		out->len = start;
		return -1;
	}
	return 0;
}

/* True when setting c changes the records; old is the record of its key, or NULL. */
static bool matters(const struct strata_pax_record *c, const struct strata_pax_record *old)
{
	return old ? c->value_len == 0 || !same_value(c, old) : c->value_len > 0;
}

static bool any_matters(const struct table *changes, const struct table *old)
{
	for (size_t i = 0; i < changes->n; i++)
		if (matters(&changes->records[i], look_up(old, &changes->records[i])))
			return true;
	return false;
}

static int append_record(struct strata_buf *out, const struct strata_pax_record *r,
                         struct strata_err *err)
{
	return strata_pax_append(out, r->key, r->key_len, r->value, r->value_len, err);
}

int pax_set_all(struct strata_buf *records, const char *changes, size_t len, bool *changed,
                struct strata_err *err)
{
	cleanup_buf struct strata_buf out = {0};
	cleanup_table struct table wanted = {0};
	cleanup_table struct table old = {0};
	const char *rest = records->data;
	size_t rest_len = records->len;
	struct strata_pax_record r;

	if (make_table(&wanted, changes, len, err) < 0 ||
	    make_table(&old, records->data, records->len, err) < 0)
		return -1;
	if (!any_matters(&wanted, &old))
		return 0;
	for (const char *at = rest; strata_pax_next(&rest, &rest_len, &r, err) > 0; at = rest) {
		const struct strata_pax_record *c = look_up(&wanted, &r);
		int status = 0;

		if (!c || !matters(c, look_up(&old, &r)))
			status = strata_buf_append(&out, at, (size_t)(rest - at), err);
		else if (is_last(&old, &r) && c->value_len)
			status = append_record(&out, c, err);
		if (status < 0)
			return -1;
	}
	while (strata_pax_next(&changes, &len, &r, err) > 0)
		if (r.value_len && is_last(&wanted, &r) && !look_up(&old, &r) &&
		    append_record(&out, &r, err) < 0)
			return -1;
	strata_buf_free(records);
	*records = out;
	out = (struct strata_buf){0};
	*changed = true;
	return 0;
}

int pax_set(struct strata_buf *records, const char *key, size_t key_len, const char *value,
            size_t len, bool *changed, struct strata_err *err)
{
	cleanup_buf struct strata_buf record = {0};

	if (strata_pax_append(&record, key, key_len, value, len, err) < 0)
		return -1;
	return pax_set_all(records, record.data, record.len, changed, err);
}

int pax_append_sorted(struct strata_buf *out, const char *records, size_t len,
                      struct strata_err *err)
{
	cleanup_table struct table all = {0};

	if (make_table(&all, records, len, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		if (all.records[i].value_len > 0 && append_record(out, &all.records[i], err) < 0)
			return -1;
	return 0;
}

int strata_pax_diff(const char *old, size_t old_len, const char *wanted, size_t wanted_len,
                    struct strata_buf *out, struct strata_err *err)
{
	cleanup_table struct table before = {0};
	cleanup_table struct table after = {0};
	struct strata_pax_record r;

	if (make_table(&before, old, old_len, err) < 0 ||
	    make_table(&after, wanted, wanted_len, err) < 0)
		return -1;
	while (strata_pax_next(&wanted, &wanted_len, &r, err) > 0) {
		const struct strata_pax_record *b = look_up(&before, &r);

		if (is_last(&after, &r) && !(b && same_value(b, &r)) &&
		    append_record(out, &r, err) < 0)
			return -1;
	}
	while (strata_pax_next(&old, &old_len, &r, err) > 0)
		if (is_last(&before, &r) && !look_up(&after, &r) &&
		    strata_pax_append(out, r.key, r.key_len, "", 0, err) < 0)
			return -1;
	return 0;
}

int pax_drop_prefix(struct strata_buf *records, const char *prefix, bool *changed,
                    struct strata_err *err)
{
	size_t prefix_len = strlen(prefix);
	const char *rest = records->data;
	size_t rest_len = records->len;
	struct strata_pax_record r;
	size_t kept = 0;
	int found;

	for (;;) {
		const char *at = rest;
		size_t len;

		found = strata_pax_next(&rest, &rest_len, &r, err);
		if (found <= 0)
			break;
		if (r.key_len >= prefix_len && memcmp(r.key, prefix, prefix_len) == 0) {
			*changed = true;
			continue;
		}
		len = (size_t)(rest - at);
		memmove(records->data + kept, at, len);
		kept += len;
	}
	if (found == 0)
		records->len = kept;
	return found;
}
