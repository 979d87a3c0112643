/*
 * Patching a header span: a new value is written in the place that the entry's
 * own format has for it, all other bytes stay.
 *
 * A value has three places at most: an extension header of GNU tar (L, K), a
 * record of the x header, and a field of the block. The place that readers take
 * the value from is edited. When the field alone can hold the new value, the
 * record or the long name is removed; otherwise the field gets as much of the
 * value as it can hold.
 */
#include "core/base/mem.h"
#include "core/tar/internal.h"

enum long_state { LONG_KEPT, LONG_DROPPED, LONG_SET };

struct patch {
	const char *raw;
	struct tar_span span;
	struct pax_values values;     /* of the old x header */
	struct strata_tar_header old; /* as the span reads now */
	struct strata_tar_header to;  /* as it shall read */
	uint32_t mask;                /* what has to be written */
	bool unsparse;                /* a sparse entry becomes an ordinary one */
	char joined[TAR_JOINED_MAX];

	char block[STRATA_TAR_BLOCK]; /* the new main header */
	struct strata_buf records;    /* the new x header's */
	bool records_changed;
	enum long_state longname; /* LONG_SET: to.path */
	enum long_state longlink; /* LONG_SET: to.linkpath */
};

/* ---- the plan: which fields change ------------------------------------- */

static bool same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool is_link(char typeflag)
{
	return typeflag == '1' || typeflag == '2';
}

/* '0' and NUL both mean a file; set_type writes the one that the name allows. */
static bool is_regular(char typeflag)
{
	return typeflag == '0' || typeflag == 0;
}

/* Takes the named values over into p->to. */
static void take_changes(struct patch *p, const struct strata_tar_header *to, uint32_t mask)
{
	p->to = p->old;
	p->mask = mask;
#define TAKE(bit, field)  \
	if (mask & (bit)) \
	p->to.field = to->field
	TAKE(STRATA_TAR_PATH, path);
	TAKE(STRATA_TAR_PATH, path_len);
	TAKE(STRATA_TAR_LINKPATH, linkpath);
	TAKE(STRATA_TAR_LINKPATH, linkpath_len);
	TAKE(STRATA_TAR_UNAME, uname);
	TAKE(STRATA_TAR_UNAME, uname_len);
	TAKE(STRATA_TAR_GNAME, gname);
	TAKE(STRATA_TAR_GNAME, gname_len);
	TAKE(STRATA_TAR_MODE, mode);
	TAKE(STRATA_TAR_UID, uid);
	TAKE(STRATA_TAR_GID, gid);
	TAKE(STRATA_TAR_MTIME, mtime);
	TAKE(STRATA_TAR_MTIME, mtime_nsec);
	TAKE(STRATA_TAR_ATIME, atime);
	TAKE(STRATA_TAR_CTIME, ctime);
	TAKE(STRATA_TAR_SIZE, size);
	TAKE(STRATA_TAR_TYPE, typeflag);
	TAKE(STRATA_TAR_DEVICE, devmajor);
	TAKE(STRATA_TAR_DEVICE, devminor);
#undef TAKE
}

static int check_changes(const struct patch *p, struct strata_err *err)
{
	if (tar_check_values(&p->to, err) < 0)
		return -1;
	if (strata_tar_header_only(p->to.typeflag) && (p->mask & STRATA_TAR_SIZE) &&
	    p->to.size != 0)
		return strata_fail(err, "EINVAL", "size on an entry that has no content");
	return 0;
}

/* Adds the fields that have to change with the type. */
static int plan_type(struct patch *p, struct strata_err *err)
{
	char from = p->old.typeflag;
	char to = p->to.typeflag;

	if (to == from || (is_regular(to) && is_regular(from)))
		return 0;
	if (tar_is_extension(to) || to == 'g' || to == 'S')
		return strata_fail(err, "EINVAL", "no entry can be made one of type '%c'", to);
	if (p->old.sparse && !(p->mask & STRATA_TAR_SIZE) && !strata_tar_header_only(to))
		return strata_fail(err, "EINVAL",
		                   "a sparse entry keeps its type unless it gets a new size");
	if (is_link(from) && !is_link(to) && !(p->mask & STRATA_TAR_LINKPATH)) {
		p->to.linkpath_len = 0;
		p->mask |= STRATA_TAR_LINKPATH;
	}
	if (strata_tar_header_only(to) || strata_tar_header_only(from)) {
		if (!(p->mask & STRATA_TAR_SIZE))
			p->to.size = 0;
		p->mask |= STRATA_TAR_SIZE;
	}
	if (to == '3' || to == '4')
		p->mask |= STRATA_TAR_DEVICE;
	return 0;
}

/* Takes bits whose value is there already out of the mask. */
static void drop_unchanged(struct patch *p)
{
	const struct strata_tar_header *a = &p->old;
	const struct strata_tar_header *b = &p->to;

	if (same_text(a->path, a->path_len, b->path, b->path_len))
		p->mask &= ~(uint32_t)STRATA_TAR_PATH;
	if (same_text(a->linkpath, a->linkpath_len, b->linkpath, b->linkpath_len))
		p->mask &= ~(uint32_t)STRATA_TAR_LINKPATH;
	if (same_text(a->uname, a->uname_len, b->uname, b->uname_len))
		p->mask &= ~(uint32_t)STRATA_TAR_UNAME;
	if (same_text(a->gname, a->gname_len, b->gname, b->gname_len))
		p->mask &= ~(uint32_t)STRATA_TAR_GNAME;
	if (a->mode == b->mode)
		p->mask &= ~(uint32_t)STRATA_TAR_MODE;
	if (a->uid == b->uid)
		p->mask &= ~(uint32_t)STRATA_TAR_UID;
	if (a->gid == b->gid)
		p->mask &= ~(uint32_t)STRATA_TAR_GID;
	if (a->mtime == b->mtime && a->mtime_nsec == b->mtime_nsec)
		p->mask &= ~(uint32_t)STRATA_TAR_MTIME;
	if (strata_tar_same_time(&a->atime, &b->atime))
		p->mask &= ~(uint32_t)STRATA_TAR_ATIME;
	if (strata_tar_same_time(&a->ctime, &b->ctime))
		p->mask &= ~(uint32_t)STRATA_TAR_CTIME;
	if (a->typeflag == b->typeflag) {
		p->mask &= ~(uint32_t)STRATA_TAR_TYPE;
		if (a->size == b->size)
			p->mask &= ~(uint32_t)STRATA_TAR_SIZE;
		if (a->devmajor == b->devmajor && a->devminor == b->devminor)
			p->mask &= ~(uint32_t)STRATA_TAR_DEVICE;
	}
}

static int plan(struct patch *p, const struct strata_tar_changes *changes, struct strata_err *err)
{
	take_changes(p, &changes->to, changes->mask);
	if (p->old.sparse && (p->mask & STRATA_TAR_SIZE) && p->to.typeflag == 'S')
		p->to.typeflag = '0';
	if (check_changes(p, err) < 0 || plan_type(p, err) < 0)
		return -1;
	p->unsparse = p->old.sparse && (p->mask & STRATA_TAR_SIZE);
	drop_unchanged(p);
	if (p->unsparse) {
		p->mask |= STRATA_TAR_SIZE;
		if (p->values.of[PAX_SPARSE_NAME].len)
			p->mask |= STRATA_TAR_PATH;
	}
	return 0;
}

/* ---- editing the fields ------------------------------------------------ */

static bool has_record(const struct patch *p, enum pax_key key)
{
	return p->values.of[key].len > 0;
}

/* Makes a v7 block a ustar one: v7 has no x headers, owner names and devices. */
static void upgrade_v7(struct patch *p)
{
	if (tar_block_format(p->block) != STRATA_TAR_V7)
		return;
	memset(p->block + TAR_MAGIC.at, 0, (size_t)STRATA_TAR_BLOCK - TAR_MAGIC.at);
	memcpy(p->block + TAR_MAGIC.at, "ustar\00000", TAR_MAGIC.len);
}

static int set_record(struct patch *p, enum pax_key key, const char *value, size_t len,
                      struct strata_err *err)
{
	if (len && !p->span.x.present)
		upgrade_v7(p);
	return pax_set(&p->records, pax_key_names[key].text, pax_key_names[key].len, value, len,
	               &p->records_changed, err);
}

/* False for numbers that this entry has to spell in a record. */
static bool fits_field(const struct patch *p, struct tar_field f, int64_t n)
{
	return tar_fits_octal(f, n) || tar_block_format(p->block) == STRATA_TAR_GNU ||
	       tar_is_base256(p->block, f);
}

static int set_number(struct patch *p, struct tar_field f, enum pax_key key, uint64_t n,
                      struct strata_err *err)
{
	char text[PAX_TEXT_MAX];
	bool recorded = has_record(p, key);

	if (recorded ? tar_fits_octal(f, (int64_t)n) : fits_field(p, f, (int64_t)n)) {
		tar_put_number(p->block, f, (int64_t)n);
		return recorded ? set_record(p, key, NULL, 0, err) : 0;
	}
	if (!recorded)
		tar_put_number(p->block, f, 0);
	return set_record(p, key, text, pax_format_number(text, n), err);
}

static int set_mtime(struct patch *p, struct strata_err *err)
{
	char text[PAX_TEXT_MAX];
	bool recorded = has_record(p, PAX_MTIME);
	bool octal = tar_fits_octal(TAR_MTIME, p->to.mtime);
	bool fits = recorded ? octal : fits_field(p, TAR_MTIME, p->to.mtime);

	tar_put_number(p->block, TAR_MTIME, fits || octal ? p->to.mtime : 0);
	if (fits && p->to.mtime_nsec == 0)
		return recorded ? set_record(p, PAX_MTIME, NULL, 0, err) : 0;
	return set_record(p, PAX_MTIME, text, pax_format_time(text, p->to.mtime, p->to.mtime_nsec),
	                  err);
}

/*
 * The value becomes a record. The field of a GNU or star block is cleared: it
 * holds no fraction, few readers know it, and some take it for part of the path.
 */
static int set_time(struct patch *p, enum pax_key key, const struct strata_tar_time *t,
                    struct strata_err *err)
{
	struct tar_field f = tar_time_field(p->block, key == PAX_CTIME);
	char text[PAX_TEXT_MAX];

	memset(p->block + f.at, 0, f.len);
	return set_record(p, key, text, t->there ? pax_format_time(text, t->seconds, t->nsec) : 0,
	                  err);
}

static int set_owner_name(struct patch *p, struct tar_field f, enum pax_key key, const char *text,
                          size_t len, struct strata_err *err)
{
	bool recorded = has_record(p, key);

	if (len)
		upgrade_v7(p);
	if (tar_block_format(p->block) != STRATA_TAR_V7)
		tar_put_text(p->block, f, text, len < TAR_UNAME_MAX ? len : TAR_UNAME_MAX);
	if (len <= TAR_UNAME_MAX && (!recorded || tar_is_ascii(text, len)))
		return recorded ? set_record(p, key, NULL, 0, err) : 0;
	return set_record(p, key, text, len, err);
}

/* Writes the path into name and prefix. False when they hold only part of it. */
static bool put_path(struct patch *p, const char *path, size_t len)
{
	struct tar_field prefix = tar_prefix_field(tar_block_format(p->block));
	size_t slash;

	/* Such a prefix lies in atime and ctime, which go with it; a sparse map behind them stays.
	 */
	if (p->old.findings & STRATA_TAR_GNU_PREFIX)
		memset(p->block + TAR_PREFIX.at, 0,
		       p->block[TAR_TYPEFLAG_AT] == 'S' ? TAR_GNU_ATIME.len + TAR_GNU_CTIME.len
		                                        : TAR_PREFIX.len);
	memset(p->block + prefix.at, 0, prefix.len);
	if (tar_split_path(path, len, prefix.len, &slash)) {
		tar_put_text(p->block, prefix, path, slash);
		tar_put_text(p->block, TAR_NAME, path + slash + 1, len - slash - 1);
		return true;
	}
	tar_put_text(p->block, TAR_NAME, path, len);
	return len <= TAR_NAME.len;
}

/*
 * The rest of setting a path or linkpath, once the field is written: `fits`
 * says whether it holds all of it.
 */
static int set_long(struct patch *p, enum pax_key key, const struct tar_extension *e,
                    enum long_state *state, bool fits, const char *text, size_t len,
                    struct strata_err *err)
{
	bool in_use = p->span.x.present || p->records.len > 0;
	/* With this record the L header has to stay empty, because readers refuse both. */
	bool refused = key == PAX_PATH && has_record(p, PAX_SPARSE_NAME);

	if (has_record(p, key))
		return fits && tar_is_ascii(text, len) ? set_record(p, key, NULL, 0, err)
		                                       : set_record(p, key, text, len, err);
	if (fits) {
		if (e->present && e->len && p->raw[e->body])
			*state = LONG_DROPPED;
		return 0;
	}
	if ((e->present && !refused) || (tar_block_format(p->block) == STRATA_TAR_GNU && !in_use)) {
		*state = LONG_SET;
		return 0;
	}
	return set_record(p, key, text, len, err);
}

static int set_path(struct patch *p, struct strata_err *err)
{
	const char *path = p->to.path;
	size_t len = p->to.path_len;
	bool sparse_name = has_record(p, PAX_SPARSE_NAME) && p->old.sparse && !p->unsparse &&
	                   p->old.typeflag != 'S';
	bool fits;

	if (sparse_name && len)
		return set_record(p, PAX_SPARSE_NAME, path, len, err);
	if (sparse_name && set_record(p, PAX_SPARSE_NAME, NULL, 0, err) < 0)
		return -1;
	fits = put_path(p, path, len);
	if (!fits && !p->span.longname.present && tar_block_format(p->block) == STRATA_TAR_V7) {
		upgrade_v7(p);
		fits = put_path(p, path, len);
	}
	return set_long(p, PAX_PATH, &p->span.longname, &p->longname, fits, path, len, err);
}

static int set_linkpath(struct patch *p, struct strata_err *err)
{
	tar_put_text(p->block, TAR_LINKNAME, p->to.linkpath, p->to.linkpath_len);
	return set_long(p, PAX_LINKPATH, &p->span.longlink, &p->longlink,
	                p->to.linkpath_len <= TAR_LINKNAME.len, p->to.linkpath, p->to.linkpath_len,
	                err);
}

/*
 * Readers differ in the order in which they apply an x header and GNU's long names: an entry
 * that gets its first record has its long names as records as well.
 */
static int take_long_name(struct patch *p, enum pax_key key, const struct tar_extension *e,
                          enum long_state *state, const char *text, size_t len,
                          struct strata_err *err)
{
	bool kept = *state == LONG_KEPT && e->present && e->len > 0 && p->raw[e->body] != '\0';

	if (!kept && *state != LONG_SET)
		return 0;
	*state = LONG_DROPPED;
	return set_record(p, key, text, len, err);
}

static int take_long_names(struct patch *p, struct strata_err *err)
{
	if (p->span.x.present || p->records.len == 0)
		return 0;
	return take_long_name(p, PAX_PATH, &p->span.longname, &p->longname, p->to.path,
	                      p->to.path_len, err) < 0
	               ? -1
	               : take_long_name(p, PAX_LINKPATH, &p->span.longlink, &p->longlink,
	                                p->to.linkpath, p->to.linkpath_len, err);
}

static int set_device(struct patch *p, struct strata_err *err)
{
	if (p->to.devmajor || p->to.devminor)
		upgrade_v7(p);
	if (tar_block_format(p->block) == STRATA_TAR_V7)
		return 0;
	if (!tar_put_number(p->block, TAR_DEVMAJOR, p->to.devmajor) ||
	    !tar_put_number(p->block, TAR_DEVMINOR, p->to.devminor))
		return strata_fail(err, "EINVAL", "device number out of range");
	return 0;
}

/* A type of NUL means a directory if the name ends in '/', otherwise a file. */
static void set_type(struct patch *p)
{
	bool slash = tar_ends_in_slash(p->to.path, p->to.path_len);
	char now = p->block[TAR_TYPEFLAG_AT];

	if ((now == 0 && slash ? '5' : now) == p->to.typeflag)
		return;
	p->block[TAR_TYPEFLAG_AT] = p->to.typeflag == 0 && slash ? '0' : p->to.typeflag;
}

/* Removes the map, and all GNU.sparse records, which readers might take for a map once there is no
 * other. */
static int remove_map(struct patch *p, struct strata_err *err)
{
	if (p->old.typeflag == 'S')
		memset(p->block + TAR_GNU_SPARSE.at, 0,
		       (size_t)TAR_GNU_REALSIZE.at + TAR_GNU_REALSIZE.len - TAR_GNU_SPARSE.at);
	return pax_drop_prefix(&p->records, "GNU.sparse.", &p->records_changed, err);
}

/* Sets the caller's records. EINVAL for a key that a field of the entry stands for. */
static int set_records(struct patch *p, const char *records, size_t len, struct strata_err *err)
{
	const char *rest = records;
	size_t rest_len = len;
	struct strata_pax_record r;
	int found;

	while ((found = strata_pax_next(&rest, &rest_len, &r, err)) > 0) {
		if (p->span.global)
			continue;
		if (pax_key_of(r.key, r.key_len) != PAX_OTHER)
			return strata_fail(err, "EINVAL",
			                   "PAX record %s is changed by its field only",
			                   pax_key_names[pax_key_of(r.key, r.key_len)].text);
	}
	if (found < 0 || pax_set_all(&p->records, records, len, &p->records_changed, err) < 0)
		return -1;
	if (p->records_changed && p->records.len && !p->span.x.present)
		upgrade_v7(p);
	return 0;
}

static int edit(struct patch *p, struct strata_err *err)
{
	const struct strata_tar_header *to = &p->to;

	if (p->unsparse && remove_map(p, err) < 0)
		return -1;
	if ((p->mask & STRATA_TAR_MODE) && !tar_put_number(p->block, TAR_MODE, to->mode))
		return strata_fail(err, "EINVAL", "mode out of range");
	if (((p->mask & STRATA_TAR_UID) && set_number(p, TAR_UID, PAX_UID, to->uid, err) < 0) ||
	    ((p->mask & STRATA_TAR_GID) && set_number(p, TAR_GID, PAX_GID, to->gid, err) < 0) ||
	    ((p->mask & STRATA_TAR_MTIME) && set_mtime(p, err) < 0) ||
	    ((p->mask & STRATA_TAR_ATIME) && set_time(p, PAX_ATIME, &to->atime, err) < 0) ||
	    ((p->mask & STRATA_TAR_CTIME) && set_time(p, PAX_CTIME, &to->ctime, err) < 0) ||
	    ((p->mask & STRATA_TAR_SIZE) &&
	     set_number(p, TAR_SIZE, PAX_SIZE, (uint64_t)to->size, err) < 0) ||
	    ((p->mask & STRATA_TAR_DEVICE) && set_device(p, err) < 0) ||
	    ((p->mask & STRATA_TAR_UNAME) &&
	     set_owner_name(p, TAR_UNAME, PAX_UNAME, to->uname, to->uname_len, err) < 0) ||
	    ((p->mask & STRATA_TAR_GNAME) &&
	     set_owner_name(p, TAR_GNAME, PAX_GNAME, to->gname, to->gname_len, err) < 0) ||
	    ((p->mask & STRATA_TAR_LINKPATH) && set_linkpath(p, err) < 0) ||
	    ((p->mask & STRATA_TAR_PATH) && set_path(p, err) < 0))
		return -1;
	set_type(p);
	return take_long_names(p, err);
}

/* ---- putting the span together ----------------------------------------- */

/* An extension header with new payload: `old` is the block to go by, or NULL. */
static int append_extension(const struct patch *p, char typeflag, const char *old,
                            const char *payload, size_t len, struct strata_buf *out,
                            struct strata_err *err)
{
	char block[STRATA_TAR_BLOCK];

	if (len > TAR_MAX_EXTENSION)
		return strata_fail(err, "ELIMIT",
		                   "extension header of %zu bytes, more than readers take", len);
	if (old)
		memcpy(block, old, sizeof(block));
	else
		tar_extension_block(block, typeflag, p->to.path, p->to.path_len, len);
	if (old && (p->mask & STRATA_TAR_REPEATED))
		tar_follow(block, &p->old, &p->to);
	tar_put_number(block, TAR_SIZE, (int64_t)len);
	tar_put_checksum(block);
	if (strata_buf_append(out, block, sizeof(block), err) < 0)
		return -1;
	return tar_append_padded(out, payload, len, err);
}

static int append_long(const struct patch *p, char typeflag, const char *old,
                       struct strata_buf *out, struct strata_err *err)
{
	cleanup_buf struct strata_buf text = {0};
	bool name = typeflag == 'L';

	if (strata_buf_append(&text, name ? p->to.path : p->to.linkpath,
	                      name ? p->to.path_len : p->to.linkpath_len, err) < 0 ||
	    strata_buf_fill(&text, 0, 1, err) < 0)
		return -1;
	return append_extension(p, typeflag, old, text.data, text.len, out, err);
}

/* One extension header of the old span, as it stands or edited. */
static int append_old_extension(const struct patch *p, const struct tar_extension *e,
                                struct strata_buf *out, struct strata_err *err)
{
	const char *old = p->raw + e->at;
	char typeflag = old[TAR_TYPEFLAG_AT];
	enum long_state state = typeflag == 'L' ? p->longname : p->longlink;
	bool x = typeflag == 'x' || typeflag == 'g';

	if (x ? !p->records_changed : state == LONG_KEPT) {
		size_t at = out->len;

		if (strata_buf_append(out, old,
		                      STRATA_TAR_BLOCK + e->len +
		                              (size_t)strata_tar_padding(e->len),
		                      err) < 0)
			return -1;
		if (p->mask & STRATA_TAR_REPEATED)
			tar_follow(out->data + at, &p->old, &p->to);
		return 0;
	}
	if (typeflag == 'x' && p->records.len == 0)
		return 0;
	if (x)
		return append_extension(p, typeflag, old, p->records.data, p->records.len, out,
		                        err);
	return state == LONG_SET ? append_long(p, typeflag, old, out, err) : 0;
}

static int append_span(struct patch *p, size_t raw_len, struct strata_buf *out,
                       struct strata_err *err)
{
	/* Of repeated extension headers these are the last of their kind; the others go. */
	const struct tar_extension *old[] = {&p->span.x, &p->span.longname, &p->span.longlink};

	for (;;) {
		const struct tar_extension *next = NULL;

		for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
			if (old[i] && old[i]->present && (!next || old[i]->at < next->at))
				next = old[i];
		if (!next)
			break;
		for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
			if (old[i] == next)
				old[i] = NULL;
		if (append_old_extension(p, next, out, err) < 0)
			return -1;
	}
	if (p->span.global)
		return 0;
	if (!p->span.x.present && p->records.len &&
	    append_extension(p, 'x', NULL, p->records.data, p->records.len, out, err) < 0)
		return -1;
	if (!p->span.longname.present && p->longname == LONG_SET &&
	    append_long(p, 'L', NULL, out, err) < 0)
		return -1;
	if (!p->span.longlink.present && p->longlink == LONG_SET &&
	    append_long(p, 'K', NULL, out, err) < 0)
		return -1;
	if (memcmp(p->block, p->raw + p->span.main, sizeof(p->block)) != 0)
		tar_put_checksum(p->block);
	if (strata_buf_append(out, p->block, sizeof(p->block), err) < 0)
		return -1;
	if (p->unsparse)
		return 0;
	return strata_buf_append(out, p->raw + p->span.main + STRATA_TAR_BLOCK,
	                         raw_len - p->span.main - STRATA_TAR_BLOCK, err);
}

static int run(struct patch *p, size_t raw_len, const struct strata_tar_changes *changes,
               struct strata_buf *out, struct strata_err *err)
{
	if (tar_split_span(p->raw, raw_len, &p->span, err) < 0 ||
	    tar_decode_span(p->raw, &p->span, p->joined, &p->old, err) < 0)
		return -1;
	if (p->span.global && (changes->mask & ~(uint32_t)STRATA_TAR_RECORDS))
		return strata_fail(err, "EINVAL", "a global header has records only");
	if (p->span.x.present && pax_collect(p->old.pax, p->old.pax_len, &p->values, err) < 0)
		return -1;
	if (plan(p, changes, err) < 0)
		return -1;
	if (!p->span.global)
		memcpy(p->block, p->raw + p->span.main, sizeof(p->block));
	if (strata_buf_append(&p->records, p->old.pax, p->old.pax_len, err) < 0)
		return -1;
	if ((p->mask & STRATA_TAR_RECORDS) &&
	    set_records(p, changes->records, changes->records_len, err) < 0)
		return -1;
	if ((p->mask & ~(uint32_t)(STRATA_TAR_RECORDS | STRATA_TAR_REPEATED)) == 0 &&
	    !p->records_changed)
		return strata_buf_append(out, p->raw, raw_len, err);
	if (!p->span.global && edit(p, err) < 0)
		return -1;
	return append_span(p, raw_len, out, err);
}

int strata_tar_patch(const char *raw, size_t raw_len, const struct strata_tar_changes *changes,
                     struct strata_buf *out, struct strata_err *err)
{
	struct patch p = {.raw = raw};
	size_t start = out->len;
	int status = run(&p, raw_len, changes, out, err);

	strata_buf_free(&p.records);
	if (status < 0)
		out->len = start;
	return status;
}

/* A block by itself has no record that could go, and no extension header that repeats anything. */
bool strata_tar_patch_fits(size_t raw_len, const struct strata_tar_changes *changes)
{
	const uint32_t numbers = STRATA_TAR_MODE | STRATA_TAR_UID | STRATA_TAR_GID |
	                         STRATA_TAR_MTIME | STRATA_TAR_REPEATED;
	const struct strata_tar_header *to = &changes->to;
	uint32_t mask = changes->mask;

	return raw_len == STRATA_TAR_BLOCK && !(mask & ~numbers) &&
	       (!(mask & STRATA_TAR_UID) || tar_fits_octal(TAR_UID, (int64_t)to->uid)) &&
	       (!(mask & STRATA_TAR_GID) || tar_fits_octal(TAR_GID, (int64_t)to->gid)) &&
	       (!(mask & STRATA_TAR_MTIME) ||
	        (to->mtime_nsec == 0 && tar_fits_octal(TAR_MTIME, to->mtime)));
}
