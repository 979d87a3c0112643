/* Recording edits in an index. */
#include "core/layer/plan.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/tar/whiteout.h"

static struct strata_entry *touch(struct strata_index *index, uint32_t entry, uint16_t fields)
{
	struct strata_entry *e = &index->entries[entry];

	strata_index_was_edited(index);
	e->changed |= fields;
	return e;
}

void strata_plan_drop(struct strata_index *index, uint32_t entry)
{
	strata_index_remove_path(index, entry);
	touch(index, entry, 0)->dropped = true;
}

uint32_t strata_plan_drop_marked(struct strata_index *index)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < index->count; i++) {
		if (!index->entries[i].marked)
			continue;
		if (count++ == 0)
			strata_index_forget_paths(index);
		index->entries[i].marked = false;
		strata_plan_drop(index, i);
	}
	return count;
}

/* ---- what paths choose ------------------------------------------------------- */

/* The path that a whiteout of this kind hides; its name begins at `base`. */
static int hidden_path(enum strata_whiteout kind, const char *path, size_t len, size_t base,
                       struct strata_buf *to, struct strata_err *err)
{
	size_t name = base + STRATA_WHITEOUT_PREFIX_LEN;

	to->len = 0;
	if (kind == STRATA_WHITEOUT_OPAQUE)
		return base > 0 ? strata_buf_append(to, path, base - 1, err)
		                : strata_buf_append(to, ".", 1, err);
	if (strata_buf_append(to, path, base, err) < 0)
		return -1;
	return strata_buf_append(to, path + name, len - name, err);
}

int strata_plan_covers(const struct strata_index *index, const struct strata_entry *e,
                       const struct strata_globs *globs, bool whiteouts, bool *used,
                       struct strata_buf *scratch, struct strata_err *err)
{
	const char *path = strata_index_text(index, e->path);
	size_t base;
	enum strata_whiteout kind = strata_whiteout_kind(path, e->path.len, &base);

	if (e->typeflag == 'g')
		return 0;
	if (kind != STRATA_WHITEOUT_FILE && kind != STRATA_WHITEOUT_OPAQUE)
		return strata_globs_match(globs, path, e->path.len, used);
	if (!whiteouts)
		return 0;
	if (hidden_path(kind, path, e->path.len, base, scratch, err) < 0)
		return -1;
	return strata_globs_match(globs, scratch->data, scratch->len, NULL);
}

int strata_plan_mark_covered(struct strata_index *index, const struct strata_globs *globs,
                             bool whiteouts, bool *used, uint32_t *count, struct strata_err *err)
{
	cleanup_buf struct strata_buf scratch = {0};

	*count = 0;
	for (uint32_t i = 0; i < index->count; i++) {
		struct strata_entry *e = &index->entries[i];
		int covered = e->dropped ? 0
		                         : strata_plan_covers(index, e, globs, whiteouts, used,
		                                              &scratch, err);

		if (covered < 0)
			return -1;
		e->marked = e->marked || covered > 0;
		*count += covered > 0;
	}
	return 0;
}

/* ---- fields --------------------------------------------------------------------- */

/* How many bytes of a stored name are its style: "./", "/" or nothing. */
static size_t style_len(const char *name, size_t len)
{
	size_t n = 0;

	while (n < len && (name[n] == '/' || (name[n] == '.' && n + 1 < len && name[n + 1] == '/')))
		n++;
	return n;
}

/* Notes what an entry is called before that is changed for the first time. */
static int note_former_name(struct strata_index *index, uint32_t entry, struct strata_err *err)
{
	struct strata_entry *e = &index->entries[entry];

	if (e->renamed)
		return 0;
	if (strata_grow(index->former_names, index->former_count, err) < 0)
		return -1;
	index->former_names[index->former_count++] =
	        (struct strata_former_name){entry, e->path, e->linkpath};
	e->renamed = true;
	return 0;
}

int strata_plan_path(struct strata_index *index, uint32_t entry, const char *path, size_t len,
                     struct strata_err *err)
{
	cleanup_buf struct strata_buf name = {0};
	struct strata_entry *e = &index->entries[entry];
	const char *old = strata_index_text(index, e->name);
	bool slash = e->name.len > 0 && old[e->name.len - 1] == '/';
	size_t style = style_len(old, e->name.len);
	size_t skip;

	while (len > 0 && path[len - 1] == '/')
		len--;
	skip = style_len(path, len);
	if (skip == len || (len - skip == 1 && path[skip] == '.')) { /* the root */
		path = ".";
		len = 1;
		skip = style = 0;
	}
	if (e->path.len == len - skip &&
	    memcmp(strata_index_text(index, e->path), path + skip, len - skip) == 0)
		return 0;
	if (strata_buf_append(&name, old, style, err) < 0 ||
	    strata_buf_append(&name, path + skip, len - skip, err) < 0 ||
	    (slash && strata_buf_append(&name, "/", 1, err) < 0) ||
	    note_former_name(index, entry, err) < 0)
		return -1;
	strata_index_remove_path(index, entry);
	e = touch(index, entry, STRATA_TAR_PATH);
	if (strata_index_store_name(index, e, name.data, name.len, err) < 0) {
		strata_index_forget_paths(index);
		return -1;
	}
	strata_index_add_path(index, entry);
	return 0;
}

int strata_plan_text(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                     const char *text, size_t len, struct strata_err *err)
{
	struct strata_entry *e = &index->entries[entry];
	struct strata_path *path = field == STRATA_TAR_LINKPATH ? &e->linkpath
	                           : field == STRATA_TAR_UNAME  ? &e->uname
	                                                        : &e->gname;
	uint32_t offset;

	if (path->len == len && memcmp(strata_index_text(index, *path), text, len) == 0)
		return 0;
	if (len > UINT16_MAX)
		return strata_fail(err, "ELIMIT", "a name is longer than 65535 bytes");
	if ((field == STRATA_TAR_LINKPATH && note_former_name(index, entry, err) < 0) ||
	    strata_index_store(index, text, len, &offset, err) < 0)
		return -1;
	*path = (struct strata_path){offset, (uint16_t)len};
	if (field == STRATA_TAR_LINKPATH)
		e->retargeted = false;
	touch(index, entry, (uint16_t)field);
	return 0;
}

void strata_plan_number(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                        uint32_t value)
{
	struct strata_entry *e = &index->entries[entry];
	uint32_t *number = field == STRATA_TAR_MODE  ? &e->mode
	                   : field == STRATA_TAR_UID ? &e->uid
	                                             : &e->gid;

	if (*number == value)
		return;
	*number = value;
	touch(index, entry, (uint16_t)field);
}

void strata_plan_mtime(struct strata_index *index, uint32_t entry, int64_t sec, uint32_t nsec)
{
	struct strata_entry *e = &index->entries[entry];

	if (e->mtime == sec && e->mtime_nsec == nsec)
		return;
	e->mtime = sec;
	e->mtime_nsec = nsec;
	touch(index, entry, STRATA_TAR_MTIME);
}

int strata_plan_time(struct strata_index *index, uint32_t entry, enum strata_tar_field field,
                     const struct strata_tar_time *t, struct strata_err *err)
{
	struct strata_entry *e = &index->entries[entry];
	struct strata_times times = strata_index_times(index, e);
	struct strata_tar_time *old = field == STRATA_TAR_ATIME ? &times.atime : &times.ctime;

	if (strata_tar_same_time(old, t))
		return 0;
	*old = *t;
	if (strata_index_store_times(index, e, &times, err) < 0)
		return -1;
	touch(index, entry, (uint16_t)field);
	return 0;
}

void strata_plan_device(struct strata_index *index, uint32_t entry, uint32_t devmajor,
                        uint32_t devminor)
{
	struct strata_entry *e = &index->entries[entry];

	if (e->devmajor == devmajor && e->devminor == devminor)
		return;
	e->devmajor = devmajor;
	e->devminor = devminor;
	touch(index, entry, STRATA_TAR_DEVICE);
}

int strata_plan_records(struct strata_index *index, uint32_t entry, const char *records, size_t len,
                        struct strata_err *err)
{
	struct strata_entry *e = &index->entries[entry];
	uint32_t offset;

	if (e->pax.len == len && memcmp(index->arena.data + e->pax.offset, records, len) == 0)
		return 0;
	if (strata_index_store(index, records, len, &offset, err) < 0)
		return -1;
	e->pax = (struct strata_text){offset, (uint32_t)len};
	touch(index, entry, STRATA_TAR_RECORDS);
	return 0;
}

/* The number of a place for new content of e, a used one again if it has one. */
static int replacement_of(struct strata_index *index, struct strata_entry *e,
                          struct strata_err *err)
{
	if (e->replaced > index->kept_replacements)
		return 0;
	if (strata_grow(index->replacements, index->replacement_count, err) < 0)
		return -1;
	index->replacements[index->replacement_count] = (struct strata_replacement){NULL, 0};
	e->replaced = ++index->replacement_count;
	return 0;
}

int strata_plan_content(struct strata_index *index, uint32_t entry, const char *data, size_t len,
                        struct strata_err *err)
{
	struct strata_entry *e = &index->entries[entry];
	cleanup_free char *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		return strata_fail_nomem(err);
	memcpy(copy, data, len);
	if (replacement_of(index, e, err) < 0)
		return -1;
	free(index->replacements[e->replaced - 1].data);
	index->replacements[e->replaced - 1] =
	        (struct strata_replacement){steal_pointer(&copy), len};
	e->size = (int64_t)len;
	e->sparse = false;
	touch(index, entry, STRATA_TAR_SIZE);
	return 0;
}
