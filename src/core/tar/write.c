/*
 * Fresh headers, the way Go's archive/tar writes them: ustar where that holds
 * the entry, otherwise an x header with sorted records in front. Non-ASCII
 * names go into records; the fields behind a record hold what fits of it.
 */
#include "core/tar/internal.h"

/* The ASCII bytes of text, as many as fit. */
static void put_ascii(char *block, struct tar_field f, const char *text, size_t len)
{
	char clean[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < len && n <= f.len; i++)
		if (!(text[i] & 0x80))
			clean[n++] = text[i];
	tar_put_text(block, f, clean, n);
}

static void begin_block(char *block, const char *magic, char typeflag)
{
	memset(block, 0, STRATA_TAR_BLOCK);
	memcpy(block + TAR_MODE.at, "0000000", TAR_MODE.len);
	memcpy(block + TAR_UID.at, "0000000", TAR_UID.len);
	memcpy(block + TAR_GID.at, "0000000", TAR_GID.len);
	memcpy(block + TAR_SIZE.at, "00000000000", TAR_SIZE.len);
	memcpy(block + TAR_MTIME.at, "00000000000", TAR_MTIME.len);
	memcpy(block + TAR_CHECKSUM.at, "000000\0 ", TAR_CHECKSUM.len);
	memcpy(block + TAR_MAGIC.at, magic, TAR_MAGIC.len);
	block[TAR_TYPEFLAG_AT] = typeflag;
}

/* dir/PaxHeaders.0/file, in ASCII and cut to what the field holds. */
static void put_extension_name(char *block, const char *path, size_t len)
{
	static const char middle[] = "PaxHeaders.0/";
	char name[TAR_NAME_LEN] = "";
	size_t dir = len;
	size_t n = 0;

	while (dir > 0 && path[dir - 1] != '/')
		dir--;
	for (size_t i = 0; i < len + sizeof(middle) - 1 && n < sizeof(name); i++) {
		char c;

		if (i < dir)
			c = path[i];
		else if (i < dir + sizeof(middle) - 1)
			c = middle[i - dir];
		else
			c = path[i - (sizeof(middle) - 1)];
		if (!(c & 0x80))
			name[n++] = c;
	}
	while (n > 0 && name[n - 1] == '/')
		n--;
	tar_put_text(block, TAR_NAME, name, n);
}

void tar_extension_block(char *block, char typeflag, const char *path, size_t path_len, size_t len)
{
	bool gnu = typeflag == 'L' || typeflag == 'K';

	begin_block(block, gnu ? "ustar  " : "ustar\00000", typeflag);
	if (gnu)
		tar_put_text(block, TAR_NAME, "././@LongLink", 13);
	else if (typeflag == 'g')
		put_ascii(block, TAR_NAME, path, path_len);
	else
		put_extension_name(block, path, path_len);
	tar_put_number(block, TAR_SIZE, (int64_t)len);
	tar_put_checksum(block);
}

int tar_append_padded(struct strata_buf *out, const char *bytes, size_t len, struct strata_err *err)
{
	if (strata_buf_append(out, bytes, len, err) < 0)
		return -1;
	return strata_buf_fill(out, 0, (size_t)strata_tar_padding(len), err);
}

/* ---- records ----------------------------------------------------------- */

/* Appends the caller's records, except those that a field stands for. */
static int copy_other_records(struct strata_buf *out, const struct strata_tar_header *h,
                              struct strata_err *err)
{
	const char *rest = h->pax;
	size_t len = h->pax_len;
	struct strata_pax_record r;
	int found;

	while ((found = strata_pax_next(&rest, &len, &r, err)) > 0) {
		if (h->typeflag != 'g' && pax_key_of(r.key, r.key_len) != PAX_OTHER)
			continue;
		if (strata_pax_append(out, r.key, r.key_len, r.value, r.value_len, err) < 0)
			return -1;
	}
	return found;
}

/* ---- one header -------------------------------------------------------- */

struct fresh {
	char block[STRATA_TAR_BLOCK];
	struct strata_buf records; /* unsorted */
};

static int add_record(struct fresh *f, enum pax_key key, const char *value, size_t len,
                      struct strata_err *err)
{
	return strata_pax_append(&f->records, pax_key_names[key].text, pax_key_names[key].len,
	                         value, len, err);
}

static int write_text(struct fresh *f, struct tar_field field, size_t max, enum pax_key key,
                      const char *text, size_t len, struct strata_err *err)
{
	put_ascii(f->block, field, text, len);
	if (len <= max && tar_is_ascii(text, len))
		return 0;
	return add_record(f, key, text, len, err);
}

static int write_path(struct fresh *f, const char *path, size_t len, struct strata_err *err)
{
	size_t slash;

	if (tar_is_ascii(path, len) && tar_split_path(path, len, TAR_PREFIX.len, &slash)) {
		tar_put_text(f->block, TAR_PREFIX, path, slash);
		tar_put_text(f->block, TAR_NAME, path + slash + 1, len - slash - 1);
		return 0;
	}
	return write_text(f, TAR_NAME, TAR_NAME.len, PAX_PATH, path, len, err);
}

static int write_number(struct fresh *f, struct tar_field field, enum pax_key key, uint64_t n,
                        struct strata_err *err)
{
	char text[PAX_TEXT_MAX];

	if (tar_fits_octal(field, (int64_t)n)) {
		tar_put_number(f->block, field, (int64_t)n);
		return 0;
	}
	return add_record(f, key, text, pax_format_number(text, n), err);
}

/* An atime or ctime, which a ustar block has no field for. */
static int write_time(struct fresh *f, enum pax_key key, const struct strata_tar_time *t,
                      struct strata_err *err)
{
	char text[PAX_TEXT_MAX];

	return t->there ? add_record(f, key, text, pax_format_time(text, t->seconds, t->nsec), err)
	                : 0;
}

static int write_mtime(struct fresh *f, const struct strata_tar_header *h, struct strata_err *err)
{
	bool fits = tar_fits_octal(TAR_MTIME, h->mtime);
	char text[PAX_TEXT_MAX];

	if (fits)
		tar_put_number(f->block, TAR_MTIME, h->mtime);
	if (fits && h->mtime_nsec == 0)
		return 0;
	return add_record(f, PAX_MTIME, text, pax_format_time(text, h->mtime, h->mtime_nsec), err);
}

int tar_check_values(const struct strata_tar_header *h, struct strata_err *err)
{
	if (h->uid > STRATA_TAR_NO_ID || h->gid > STRATA_TAR_NO_ID)
		return strata_fail(err, "EINVAL", "uid or gid out of range");
	if (h->size < 0 || h->size > TAR_MAX_SIZE)
		return strata_fail(err, "EINVAL", "size out of range");
	if (h->mtime_nsec > 999999999 || h->atime.nsec > 999999999 || h->ctime.nsec > 999999999)
		return strata_fail(err, "EINVAL", "nanoseconds out of range");
	if ((h->path_len && memchr(h->path, 0, h->path_len)) ||
	    (h->linkpath_len && memchr(h->linkpath, 0, h->linkpath_len)) ||
	    (h->uname_len && memchr(h->uname, 0, h->uname_len)) ||
	    (h->gname_len && memchr(h->gname, 0, h->gname_len)))
		return strata_fail(err, "EINVAL", "NUL in a name");
	return 0;
}

static int check_header(const struct strata_tar_header *h, struct strata_err *err)
{
	if (tar_is_extension(h->typeflag) || h->typeflag == 'S')
		return strata_fail(err, "EINVAL", "a header of type '%c' is not written by itself",
		                   h->typeflag);
	if (h->typeflag && strchr("03467", h->typeflag) && tar_ends_in_slash(h->path, h->path_len))
		return strata_fail(err, "EINVAL", "only a directory's name may end in a slash");
	return tar_check_values(h, err);
}

static int fill(struct fresh *f, const struct strata_tar_header *h, struct strata_err *err)
{
	bool slash = tar_ends_in_slash(h->path, h->path_len);
	char typeflag = h->typeflag ? h->typeflag : slash ? '5' : '0';
	uint64_t size = strata_tar_header_only(typeflag) ? 0 : (uint64_t)h->size;

	begin_block(f->block, "ustar\00000", typeflag);
	memcpy(f->block + TAR_DEVMAJOR.at, "0000000", TAR_DEVMAJOR.len);
	memcpy(f->block + TAR_DEVMINOR.at, "0000000", TAR_DEVMINOR.len);
	tar_put_number(f->block, TAR_MODE, h->mode);
	tar_put_number(f->block, TAR_DEVMAJOR, h->devmajor);
	tar_put_number(f->block, TAR_DEVMINOR, h->devminor);
	if (copy_other_records(&f->records, h, err) < 0 ||
	    write_path(f, h->path, h->path_len, err) < 0 ||
	    write_text(f, TAR_LINKNAME, TAR_LINKNAME.len, PAX_LINKPATH, h->linkpath,
	               h->linkpath_len, err) < 0 ||
	    write_text(f, TAR_UNAME, TAR_UNAME_MAX, PAX_UNAME, h->uname, h->uname_len, err) < 0 ||
	    write_text(f, TAR_GNAME, TAR_UNAME_MAX, PAX_GNAME, h->gname, h->gname_len, err) < 0 ||
	    write_number(f, TAR_UID, PAX_UID, h->uid, err) < 0 ||
	    write_number(f, TAR_GID, PAX_GID, h->gid, err) < 0 ||
	    write_number(f, TAR_SIZE, PAX_SIZE, size, err) < 0 || write_mtime(f, h, err) < 0 ||
	    write_time(f, PAX_ATIME, &h->atime, err) < 0 ||
	    write_time(f, PAX_CTIME, &h->ctime, err) < 0)
		return -1;
	tar_put_checksum(f->block);
	return 0;
}

/* Appends an extension or global header with these records, sorted. */
static int append_records(struct strata_buf *out, char typeflag, const struct strata_tar_header *h,
                          const struct strata_buf *records, struct strata_err *err)
{
	cleanup_buf struct strata_buf sorted = {0};
	const char *path = h->path;
	size_t path_len = h->path_len;
	char block[STRATA_TAR_BLOCK];

	if (pax_append_sorted(&sorted, records->data, records->len, err) < 0)
		return -1;
	if (sorted.len > TAR_MAX_EXTENSION)
		return strata_fail(err, "ELIMIT",
		                   "PAX records of %zu bytes, more than readers take", sorted.len);
	if (sorted.len == 0 && typeflag == 'x')
		return 0;
	if (typeflag == 'g' && path_len == 0) {
		path = "GlobalHead.0.0";
		path_len = strlen(path);
	}
	tar_extension_block(block, typeflag, path, path_len, sorted.len);
	if (strata_buf_append(out, block, sizeof(block), err) < 0)
		return -1;
	return tar_append_padded(out, sorted.data, sorted.len, err);
}

int strata_tar_write(const struct strata_tar_header *h, struct strata_buf *out,
                     struct strata_err *err)
{
	struct fresh f = {.block = {0}};
	size_t start = out->len;
	int status = check_header(h, err);

	if (status == 0 && h->typeflag == 'g') {
		status = copy_other_records(&f.records, h, err);
		if (status == 0)
			status = append_records(out, 'g', h, &f.records, err);
	} else if (status == 0) {
		status = fill(&f, h, err);
		if (status == 0)
			status = append_records(out, 'x', h, &f.records, err);
		if (status == 0)
			status = strata_buf_append(out, f.block, sizeof(f.block), err);
	}
	strata_buf_free(&f.records);
	if (status < 0)
		out->len = start;
	return status;
}
