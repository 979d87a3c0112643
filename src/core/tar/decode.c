/*
 * A header span, taken apart and decoded: extension headers over the main
 * header's own fields, in the order of precedence that Go's archive/tar has.
 */
#include "core/tar/internal.h"

int tar_extension_size(const char *block, size_t max, size_t *size, struct strata_err *err)
{
	int64_t n;

	if (!tar_get_number(block, TAR_SIZE, &n) || n < 0)
		return strata_fail(err, "EFORMAT", "extension header with a bad size");
	if ((uint64_t)n > max)
		return strata_fail(
		        err, "ELIMIT",
		        "extension header of %lld bytes, more than limits.extension (%zu)",
		        (long long)n, max);
	*size = (size_t)n;
	return 0;
}

int tar_split_span(const char *raw, size_t len, struct tar_span *s, struct strata_err *err)
{
	size_t at = 0;

	memset(s, 0, sizeof(*s));
	while (len - at >= STRATA_TAR_BLOCK) {
		char typeflag = raw[at + TAR_TYPEFLAG_AT];
		struct tar_extension e = {.at = at, .body = at + STRATA_TAR_BLOCK, .present = true};
		size_t room = len - e.body;
		size_t padding;

		if (!tar_is_extension(typeflag) && typeflag != 'g') {
			s->main = at;
			if (room % STRATA_TAR_BLOCK || (room && typeflag != 'S'))
				break;
			return 0;
		}
		if (tar_extension_size(raw + at, room, &e.len, err) < 0)
			return -1;
		padding = strata_tar_padding(e.len);
		if (room - e.len < padding)
			break;
		at = e.body + e.len + padding;
		if (typeflag == 'L')
			s->longname = e;
		else if (typeflag == 'K')
			s->longlink = e;
		else
			s->x = e;
		s->extensions++;
		if (typeflag == 'g') {
			s->global = true;
			s->main = len;
			if (s->extensions > 1 || at != len)
				break;
			return 0;
		}
	}
	return strata_fail(err, "EFORMAT", "not one whole header span");
}

const char *strata_tar_finding_name(unsigned bit)
{
	static const char *const names[] = {
	        "gnu-prefix",       "signed-checksum", "size-overridden", "bogus-size",
	        "duplicate-record", "unknown-type",    "global-override", "lone-zero-block",
	        "no-end",           "data-after-end",  "no-padding",      "repeated-extension",
	        "sparse-ignored",   "slash-file",      "nul-in-name",     "mixed-extensions",
	};

	return bit < sizeof(names) / sizeof(*names) ? names[bit] : NULL;
}

/* ---- extension headers over the block ---------------------------------- */

/* -1, as a program writes it that knows no owner, is the same in both spellings. */
static bool pax_id(const char *text, size_t len, uint64_t *id)
{
	if (len == 2 && memcmp(text, "-1", 2) == 0) {
		*id = STRATA_TAR_NO_ID;
		return true;
	}
	return pax_number(text, len, STRATA_TAR_NO_ID, id);
}

static int overlay_time(const struct pax_values *v, enum pax_key key, int64_t *seconds,
                        uint32_t *nsec, struct strata_err *err)
{
	if (v->of[key].len && !pax_time(v->of[key].text, v->of[key].len, seconds, nsec))
		return strata_fail(err, "EFORMAT", "PAX record %s is no time",
		                   pax_key_names[key].text);
	return 0;
}

static int overlay_numbers(const struct pax_values *v, struct strata_tar_header *h,
                           struct strata_err *err)
{
	uint64_t n;

	if (v->of[PAX_UID].len && !pax_id(v->of[PAX_UID].text, v->of[PAX_UID].len, &h->uid))
		return strata_fail(err, "EFORMAT", "PAX record uid is no user ID");
	if (v->of[PAX_GID].len && !pax_id(v->of[PAX_GID].text, v->of[PAX_GID].len, &h->gid))
		return strata_fail(err, "EFORMAT", "PAX record gid is no group ID");
	if (overlay_time(v, PAX_MTIME, &h->mtime, &h->mtime_nsec, err) < 0 ||
	    overlay_time(v, PAX_ATIME, &h->atime.seconds, &h->atime.nsec, err) < 0 ||
	    overlay_time(v, PAX_CTIME, &h->ctime.seconds, &h->ctime.nsec, err) < 0)
		return -1;
	h->atime.there |= v->of[PAX_ATIME].len > 0;
	h->ctime.there |= v->of[PAX_CTIME].len > 0;
	if (v->of[PAX_SIZE].len) {
		if (!pax_number(v->of[PAX_SIZE].text, v->of[PAX_SIZE].len, TAR_MAX_SIZE, &n))
			return strata_fail(err, "EFORMAT", "PAX record size is no size");
		/* A size that octal holds needs no record: there the two have to agree. */
		if ((int64_t)n != h->size && (int64_t)n <= TAR_MAX_OCTAL_SIZE)
			h->findings |= STRATA_TAR_SIZE_OVERRIDDEN;
		h->size = (int64_t)n;
	}
	return 0;
}

static void overlay_text(const struct pax_values *v, enum pax_key key, const char **text,
                         size_t *len)
{
	if (v->of[key].len) {
		*text = v->of[key].text;
		*len = v->of[key].len;
	}
}

/* L or K: up to the first NUL; an empty one counts as none. */
static int overlay_long(const char *raw, const struct tar_extension *e, const struct pax_values *v,
                        enum pax_key key, struct strata_tar_header *h, struct strata_err *err)
{
	size_t long_len = e->present ? strnlen(raw + e->body, e->len) : 0;

	if (e->present && !tar_is_zero(raw + e->body + long_len, e->len - long_len))
		h->findings |= STRATA_TAR_NUL_IN_NAME;
	if (long_len == 0)
		return 0;
	if (v->of[key].len || (key == PAX_PATH && v->of[PAX_SPARSE_NAME].len))
		return strata_fail(err, "EFORMAT", "both a GNU long name and the PAX record %s",
		                   pax_key_names[key].text);
	if (key == PAX_PATH) {
		h->path = raw + e->body;
		h->path_len = long_len;
	} else {
		h->linkpath = raw + e->body;
		h->linkpath_len = long_len;
	}
	return 0;
}

/* h->size is the stored size at first; the content of a sparse file has another one. */
static int decode_sparse(const char *block, const struct pax_values *v, struct strata_tar_header *h,
                         struct strata_err *err)
{
	enum pax_key size = v->of[PAX_SPARSE_SIZE].len ? PAX_SPARSE_SIZE : PAX_SPARSE_REALSIZE;
	uint64_t n;

	if (h->typeflag == 'S') {
		if (h->format != STRATA_TAR_GNU)
			return strata_fail(err, "EFORMAT", "GNU sparse entry without GNU magic");
		if (!tar_get_number(block, TAR_GNU_REALSIZE, &h->size) || h->size < 0 ||
		    h->size > TAR_MAX_SIZE)
			return strata_fail(err, "EFORMAT", "sparse file with a bad size");
		h->sparse = true;
		return 0;
	}
	if (!v->sparse)
		return 0;
	if (pax_sparse_kind(v) == PAX_NOT_SPARSE) {
		h->findings |= STRATA_TAR_SPARSE_IGNORED;
		return 0;
	}
	if (strata_tar_header_only(h->typeflag))
		return strata_fail(err, "EFORMAT", "sparse map on an entry without content");
	overlay_text(v, PAX_SPARSE_NAME, &h->path, &h->path_len);
	if (v->of[size].len) {
		if (!pax_number(v->of[size].text, v->of[size].len, TAR_MAX_SIZE, &n))
			return strata_fail(err, "EFORMAT", "sparse file with a bad size");
		h->size = (int64_t)n;
	}
	h->sparse = true;
	return 0;
}

/* ---- the type ---------------------------------------------------------- */

static void decode_type(struct strata_tar_header *h)
{
	/* In Go a type of NUL with a name that ends in '/' is a directory in any format. */
	if (h->typeflag == 0 && tar_ends_in_slash(h->path, h->path_len))
		h->typeflag = '5';
	if (h->typeflag != 0 && (h->typeflag < '0' || h->typeflag > '7') && h->typeflag != 'S')
		h->findings |= STRATA_TAR_UNKNOWN_TYPE;
	if (strata_tar_header_only(h->typeflag) && h->size != 0) {
		h->findings |= STRATA_TAR_BOGUS_SIZE;
		h->findings &= ~(uint32_t)STRATA_TAR_SIZE_OVERRIDDEN;
		h->size = 0;
	}
	h->stored = h->size;
}

static int decode_global(const char *raw, const struct tar_span *s, struct strata_tar_header *h,
                         struct strata_err *err)
{
	struct pax_values v;

	h->size = 0;
	h->pax = raw + s->x.body;
	h->pax_len = s->x.len;
	if (pax_collect(h->pax, h->pax_len, &v, err) < 0)
		return -1;
	if (v.duplicate)
		h->findings |= STRATA_TAR_DUPLICATE_RECORD;
	if (v.of[PAX_PATH].len || v.of[PAX_LINKPATH].len || v.of[PAX_SIZE].len || v.sparse)
		h->findings |= STRATA_TAR_GLOBAL_OVERRIDE;
	return 0;
}

int tar_decode_span(const char *raw, const struct tar_span *s, char *joined,
                    struct strata_tar_header *h, struct strata_err *err)
{
	const char *block = raw + (s->global ? s->x.at : s->main);
	struct pax_values v;

	if (tar_decode_block(block, joined, h, err) < 0)
		return -1;
	if (s->global)
		return decode_global(raw, s, h, err);
	memset(&v, 0, sizeof(v));
	if (s->x.present) {
		h->pax = raw + s->x.body;
		h->pax_len = s->x.len;
		if (h->format == STRATA_TAR_USTAR)
			h->format = STRATA_TAR_PAX;
		if (pax_collect(h->pax, h->pax_len, &v, err) < 0)
			return -1;
		overlay_text(&v, PAX_PATH, &h->path, &h->path_len);
		overlay_text(&v, PAX_LINKPATH, &h->linkpath, &h->linkpath_len);
		overlay_text(&v, PAX_UNAME, &h->uname, &h->uname_len);
		overlay_text(&v, PAX_GNAME, &h->gname, &h->gname_len);
		if (overlay_numbers(&v, h, err) < 0)
			return -1;
		if (v.duplicate)
			h->findings |= STRATA_TAR_DUPLICATE_RECORD;
	}
	if (h->uid > STRATA_TAR_NO_ID || h->gid > STRATA_TAR_NO_ID)
		return strata_fail(err, "EFORMAT", "uid or gid out of range");
	if (overlay_long(raw, &s->longname, &v, PAX_PATH, h, err) < 0 ||
	    overlay_long(raw, &s->longlink, &v, PAX_LINKPATH, h, err) < 0)
		return -1;
	if (s->extensions > (size_t)s->x.present + s->longname.present + s->longlink.present)
		h->findings |= STRATA_TAR_REPEATED_EXTENSION;
	if (s->x.present && (s->longname.present || s->longlink.present))
		h->findings |= STRATA_TAR_MIXED_EXTENSIONS;
	decode_type(h);
	if (decode_sparse(block, &v, h, err) < 0)
		return -1;
	if ((h->typeflag == '0' || h->typeflag == '7') && tar_ends_in_slash(h->path, h->path_len))
		h->findings |= STRATA_TAR_SLASH_FILE;
	return 0;
}
