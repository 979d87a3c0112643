#include "core/layer/globs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"

struct name {
	const char *text;
	size_t len;
};

struct glob {
	char *text; /* its names, each behind the one before, with a "/" between them */
	size_t len;
	struct name *names;
	size_t count;
	size_t number; /* by which it was added */
};

/* Those without a special character are looked up, since there may be many. */
struct strata_globs {
	atomic_uint refs;
	struct glob *plain;
	size_t plain_count;
	struct glob *magic;
	size_t magic_count;
};

struct strata_globs *strata_globs_new(struct strata_err *err)
{
	struct strata_globs *globs = calloc(1, sizeof(*globs));

	if (globs == NULL)
		strata_fail_nomem(err);
	else
		atomic_init(&globs->refs, 1);
	return globs;
}

struct strata_globs *strata_globs_ref(struct strata_globs *globs)
{
	atomic_fetch_add(&globs->refs, 1);
	return globs;
}

static void free_glob(struct glob *g)
{
	free(g->text);
	free(g->names);
}

void strata_globs_unref(struct strata_globs *globs)
{
	if (globs == NULL || atomic_fetch_sub(&globs->refs, 1) > 1)
		return;
	for (size_t i = 0; i < globs->plain_count; i++)
		free_glob(&globs->plain[i]);
	for (size_t i = 0; i < globs->magic_count; i++)
		free_glob(&globs->magic[i]);
	free(globs->plain);
	free(globs->magic);
	free(globs);
}

/* ---- one name ------------------------------------------------------------- */

/* Where a class ends that begins at `p`, with its "["; NULL when nothing closes it. */
static const char *class_end(const char *p, const char *end)
{
	const char *first = p + 1;

	if (first < end && (*first == '!' || *first == '^'))
		first++;
	return first < end ? memchr(first + 1, ']', (size_t)(end - first - 1)) : NULL;
}

/* Whether c is in the class between its "[" and its "]". */
static bool class_has(const char *p, const char *close, unsigned char c)
{
	bool negated = p[1] == '!' || p[1] == '^', found = false;

	p += negated ? 2 : 1;
	while (p < close) {
		bool is_range = close - p > 2 && p[1] == '-';
		unsigned char low = (unsigned char)p[0];
		unsigned char high = is_range ? (unsigned char)p[2] : low;

		found = found || (low <= c && c <= high);
		p += is_range ? 3 : 1;
	}
	return found != negated;
}

/* Whether what *p begins with, which is no star, matches c; *p is moved behind it then. */
static bool one_matches(const char **p, const char *end, char c)
{
	const char *close = **p == '[' ? class_end(*p, end) : NULL;

	if (close != NULL ? !class_has(*p, close, (unsigned char)c) : **p != '?' && **p != c)
		return false;
	*p = close != NULL ? close + 1 : *p + 1;
	return true;
}

bool strata_glob_name(const char *pattern, size_t pattern_len, const char *name, size_t len)
{
	const char *p = pattern, *end = pattern + pattern_len;
	const char *s = name, *name_end = name + len;
	const char *behind_star = NULL, *begun = NULL;

	/* Only the last star need take more: those before it have matched as little as they can. */
	while (p < end || s < name_end) {
		if (p < end && *p == '*') {
			behind_star = ++p;
			begun = s;
		} else if (p < end && s < name_end && one_matches(&p, end, *s)) {
			s++;
		} else if (behind_star != NULL && begun < name_end) {
			p = behind_star;
			s = ++begun;
		} else {
			return false;
		}
	}
	return true;
}

/* "[" is the name of a program in /usr/bin. */
static bool is_magic(const struct name *n)
{
	for (size_t i = 0; i < n->len; i++)
		if (n->text[i] == '*' || n->text[i] == '?' || (n->text[i] == '[' && n->len > 1))
			return true;
	return false;
}

static bool is_any(const struct name *n)
{
	return n->len == 2 && n->text[0] == '*' && n->text[1] == '*';
}

/* ---- adding ---------------------------------------------------------------- */

/* The name that begins at *at, behind slashes; false when none does. *at is moved behind it. */
static bool next_name(const char **at, const char *end, struct name *n)
{
	const char *slash;

	while (*at < end && **at == '/')
		++*at;
	if (*at == end)
		return false;
	slash = memchr(*at, '/', (size_t)(end - *at));
	n->text = *at;
	n->len = (size_t)((slash != NULL ? slash : end) - *at);
	*at += n->len;
	return true;
}

/* Fills *g, which is all zero but for its number. */
static int read_pattern(struct glob *g, const char *pattern, size_t len, struct strata_err *err)
{
	const char *at = pattern, *end = pattern + len;
	struct name n;

	g->text = malloc(len + 1);
	if (g->text == NULL)
		return strata_fail_nomem(err);
	while (next_name(&at, end, &n)) {
		if (n.len == 1 && n.text[0] == '.')
			continue;
		if (strata_grow(g->names, g->count, err) < 0)
			return -1;
		if (g->count > 0)
			g->text[g->len++] = '/';
		memcpy(g->text + g->len, n.text, n.len);
		g->names[g->count++] = (struct name){g->text + g->len, n.len};
		g->len += n.len;
	}
	return 0;
}

/* Whether it matches one path, and what is below that. */
static bool is_plain(const struct glob *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (is_magic(&g->names[i]))
			return false;
	return g->count > 0;
}

int strata_globs_add(struct strata_globs *globs, const char *pattern, size_t len,
                     struct strata_err *err)
{
	struct glob g = {.number = globs->plain_count + globs->magic_count};
	bool read = read_pattern(&g, pattern, len, err) == 0;

	if (read && is_plain(&g) && strata_grow(globs->plain, globs->plain_count, err) == 0) {
		globs->plain[globs->plain_count++] = g;
		return 0;
	}
	if (read && !is_plain(&g) && strata_grow(globs->magic, globs->magic_count, err) == 0) {
		globs->magic[globs->magic_count++] = g;
		return 0;
	}
	free_glob(&g);
	return -1;
}

static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_plain(const void *a, const void *b)
{
	const struct glob *x = a, *y = b;

	return compare_text(x->text, x->len, y->text, y->len);
}

void strata_globs_sort(struct strata_globs *globs)
{
	if (globs->plain_count > 0)
		qsort(globs->plain, globs->plain_count, sizeof(*globs->plain), compare_plain);
}

/* ---- matching -------------------------------------------------------------- */

/* Whether the pattern matches the path, or the first names of it. */
static bool glob_matches(const struct glob *g, const char *at, const char *end)
{
	const char *begun = NULL, *next;
	size_t i = 0, behind_any = 0;
	struct name n;

	while (i < g->count) {
		next = at;
		if (is_any(&g->names[i])) {
			behind_any = ++i;
			begun = at;
		} else if (next_name(&next, end, &n) &&
		           strata_glob_name(g->names[i].text, g->names[i].len, n.text, n.len)) {
			i++;
			at = next;
		} else if (begun != NULL && next_name(&begun, end, &n)) {
			i = behind_any;
			at = begun;
		} else {
			return false;
		}
	}
	return true;
}

/* Whether there are patterns that are this text. */
static bool has_plain(const struct strata_globs *globs, const char *text, size_t len, bool *used)
{
	size_t low = 0, high = globs->plain_count;
	bool found = false;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct glob *g = &globs->plain[middle];

		if (compare_text(g->text, g->len, text, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < globs->plain_count; low++) {
		const struct glob *g = &globs->plain[low];

		if (compare_text(g->text, g->len, text, len) != 0)
			break;
		found = true;
		if (used == NULL)
			break;
		used[g->number] = true;
	}
	return found;
}

/* Looks up the path and the directories that it is in. */
static bool plain_match(const struct strata_globs *globs, const char *path, size_t len, bool *used)
{
	bool found = false;

	if (globs->plain_count == 0)
		return false;
	for (size_t i = 1; i <= len; i++)
		if ((i == len || path[i] == '/') && has_plain(globs, path, i, used)) {
			found = true;
			if (used == NULL)
				break;
		}
	return found;
}

/* Whether names follow each other with one "/" between them. */
static bool is_tidy(const char *path, size_t len)
{
	return len > 0 && path[0] != '/' && path[len - 1] != '/' &&
	       memmem(path, len, "//", 2) == NULL;
}

/* The same for some patterns, one by one. */
static bool each_matches(const struct glob *globs, size_t count, const char *path, size_t len,
                         bool found, bool *used)
{
	for (size_t i = 0; i < count; i++) {
		/* Nobody wants to know of a pattern that has been used. */
		if (found && (used == NULL || used[globs[i].number]))
			continue;
		if (glob_matches(&globs[i], path, path + len)) {
			found = true;
			if (used != NULL)
				used[globs[i].number] = true;
		}
	}
	return found;
}

bool strata_globs_match(const struct strata_globs *globs, const char *path, size_t len, bool *used)
{
	bool found;

	if (len == 1 && path[0] == '.')
		len = 0;
	found = len == 0 || is_tidy(path, len)
	                ? plain_match(globs, path, len, used)
	                : each_matches(globs->plain, globs->plain_count, path, len, false, used);
	if (found && used == NULL)
		return true;
	return each_matches(globs->magic, globs->magic_count, path, len, found, used);
}
