#include "core/layer/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"
#include "core/layer/splicer.h"

void strata_assembly_free(struct strata_assembly *a)
{
	for (uint32_t i = 0; i < a->file_count; i++)
		strata_file_unref(a->files[i]);
	for (uint32_t i = 0; i < a->tree_count; i++)
		strata_host_tree_unref(a->trees[i]);
	free(a->files);
	free(a->trees);
	free(a->sources);
	free(a->items);
	strata_buf_free(&a->text);
	*a = (struct strata_assembly){0};
}

/* ---- adding ------------------------------------------------------------- */

int strata_assembly_add_source(struct strata_assembly *a, struct strata_index *index,
                               uint32_t *source, struct strata_err *err)
{
	if (strata_grow(a->sources, a->source_count, err) < 0)
		return -1;
	a->sources[a->source_count] = index;
	*source = a->source_count++;
	return 0;
}

static int store(struct strata_assembly *a, const char *text, size_t len, uint32_t *offset,
                 struct strata_err *err)
{
	if (len > UINT32_MAX - a->text.len)
		return strata_fail(err, "ELIMIT", "names of the entries exceed 4 GiB");
	*offset = (uint32_t)a->text.len;
	return strata_buf_append(&a->text, text, len, err);
}

/* Adds the item, with which the tar gets `size` bytes longer. */
static int add_item(struct strata_assembly *a, struct strata_assembly_item item, uint64_t size,
                    struct strata_err *err)
{
	if (strata_grow(a->items, a->count, err) < 0)
		return -1;
	a->items[a->count++] = item;
	a->size += size;
	return 0;
}

int strata_assembly_add_entry(struct strata_assembly *a, uint32_t source, uint32_t number,
                              const char *name, size_t name_len, const char *linkpath,
                              size_t linkpath_len, struct strata_err *err)
{
	const struct strata_entry *e = &a->sources[source]->entries[number];
	struct strata_assembly_item item = {.kind = STRATA_ASSEMBLY_ENTRY};

	item.as.entry.source = item.as.entry.header_source = source;
	item.as.entry.number = item.as.entry.header_number = number;
	if (name_len > UINT16_MAX || linkpath_len > UINT16_MAX)
		return strata_fail(err, "ELIMIT", "a name is longer than 65535 bytes");
	if (name != NULL && store(a, name, name_len, &item.as.entry.name, err) < 0)
		return -1;
	if (linkpath != NULL && store(a, linkpath, linkpath_len, &item.as.entry.link, err) < 0)
		return -1;
	item.as.entry.name_len = name != NULL ? (uint16_t)name_len : 0;
	item.as.entry.link_len = linkpath != NULL ? (uint16_t)linkpath_len : 0;
	return add_item(a, item, e->data_offset - e->header_offset + (uint64_t)e->stored, err);
}

void strata_assembly_take_header(struct strata_assembly *a, uint32_t source, uint32_t number)
{
	struct strata_assembly_item *item = &a->items[a->count - 1];

	item->as.entry.header_source = source;
	item->as.entry.header_number = number;
}

int strata_assembly_add_bytes(struct strata_assembly *a, const char *bytes, size_t len,
                              struct strata_err *err)
{
	struct strata_assembly_item item = {.kind = STRATA_ASSEMBLY_BYTES};

	if (store(a, bytes, len, &item.as.bytes.offset, err) < 0)
		return -1;
	item.as.bytes.len = (uint32_t)len;
	return add_item(a, item, len, err);
}

/* The number of the file among those that the assembly owns; a new one is added. */
static int own_file(struct strata_assembly *a, struct strata_file *file, uint32_t *number,
                    struct strata_err *err)
{
	for (*number = 0; *number < a->file_count; ++*number)
		if (a->files[*number] == file)
			return 0;
	if (strata_grow(a->files, a->file_count, err) < 0)
		return -1;
	a->files[a->file_count++] = strata_file_ref(file);
	return 0;
}

static int own_tree(struct strata_assembly *a, struct strata_host_tree *tree, uint32_t *number,
                    struct strata_err *err)
{
	for (*number = 0; *number < a->tree_count; ++*number)
		if (a->trees[*number] == tree)
			return 0;
	if (strata_grow(a->trees, a->tree_count, err) < 0)
		return -1;
	a->trees[a->tree_count++] = strata_host_tree_ref(tree);
	return 0;
}

int strata_assembly_add_range(struct strata_assembly *a, struct strata_file *file, uint64_t offset,
                              uint64_t len, struct strata_err *err)
{
	struct strata_assembly_item item = {.kind = STRATA_ASSEMBLY_RANGE};
	struct strata_assembly_item *last = a->count > 0 ? &a->items[a->count - 1] : NULL;

	item.as.range.offset = offset;
	item.as.range.len = len;
	if (own_file(a, file, &item.as.range.file, err) < 0)
		return -1;
	if (last == NULL || last->kind != STRATA_ASSEMBLY_RANGE ||
	    last->as.range.file != item.as.range.file ||
	    last->as.range.offset + last->as.range.len != offset)
		return add_item(a, item, len, err);
	last->as.range.len += len;
	a->size += len;
	return 0;
}

int strata_assembly_add_host_file(struct strata_assembly *a, struct strata_host_tree *tree,
                                  uint32_t entry, struct strata_err *err)
{
	struct strata_assembly_item item = {.kind = STRATA_ASSEMBLY_HOST_FILE};

	item.as.host_file.entry = entry;
	if (own_tree(a, tree, &item.as.host_file.tree, err) < 0)
		return -1;
	return add_item(a, item, (uint64_t)tree->entries[entry].size, err);
}

/* ---- writing ------------------------------------------------------------ */

static const char zeros[2 * STRATA_TAR_BLOCK];

struct writing {
	struct strata_assembly *assembly;
	const struct strata_plan_options *options;
	const struct strata_work *work;
	struct strata_blob_writer out;
	struct strata_splicer splicer; /* all that is written goes through it */
	char *chunk;
	struct strata_buf raw;
	struct strata_buf header;
};

/* Where new content is read: one of the pointers is set. */
struct origin {
	const struct strata_file *file;
	const struct strata_host_tree *tree; /* read from the position of the descriptor on */
	uint32_t entry;
	int fd;
};

static int read_origin(const struct origin *from, uint64_t offset, void *bytes, size_t len,
                       struct strata_err *err)
{
	if (from->file != NULL)
		return strata_file_read(from->file, offset, bytes, len, err);
	return strata_host_tree_read(from->tree, from->entry, from->fd, bytes, len, err);
}

static int write_range(struct writing *w, const struct origin *from, uint64_t offset, uint64_t len,
                       struct strata_err *err)
{
	while (len > 0) {
		size_t n = len < STRATA_CHUNK ? (size_t)len : STRATA_CHUNK;

		if (strata_work_cancelled(w->work, err) ||
		    read_origin(from, offset, w->chunk, n, err) < 0 ||
		    strata_splicer_write(&w->splicer, w->chunk, n, err) < 0)
			return -1;
		strata_work_advance(w->work, n);
		offset += n;
		len -= n;
	}
	return 0;
}

static int write_padding(struct writing *w, uint64_t len, struct strata_err *err)
{
	return strata_splicer_write(&w->splicer, zeros, (size_t)strata_tar_padding(len), err);
}

/* Bytes of the padding behind content: those of the old tar when they are zeros. */
static int keep_padding(struct writing *w, const char *old, size_t n, struct strata_err *err)
{
	if (n == 0 || memcmp(old, zeros, n) == 0)
		return strata_splicer_keep(&w->splicer, old, n, err);
	return strata_splicer_write(&w->splicer, zeros, n, err);
}

/* Whether blocks of a source may stay. */
static bool splices(const struct writing *w, const struct strata_index *index)
{
	return strata_plan_splices(index, w->options->compression, w->options->splice);
}

/* The bytes [offset, offset + len) of an old tar, and the padding behind them, which may end early
 * at the end of the tar. */
static int keep_range(struct writing *w, const struct strata_index *index, uint64_t offset,
                      uint64_t len, struct strata_err *err)
{
	uint64_t padding = strata_tar_padding(len), rest = index->tar_size - offset - len;
	uint64_t there = padding < rest ? padding : rest;
	size_t missing = (size_t)(padding - there);

	if (strata_splicer_turn(&w->splicer, &index->blob,
	                        splices(w, index) ? &index->blocks : NULL, offset, err) < 0)
		return -1;
	while (len + there > 0) {
		size_t n = len + there < STRATA_CHUNK ? (size_t)(len + there) : STRATA_CHUNK;
		size_t data = len < n ? (size_t)len : n;

		if (strata_work_cancelled(w->work, err) ||
		    strata_index_read(index, offset, w->chunk, n, err) < 0 ||
		    strata_splicer_keep(&w->splicer, w->chunk, data, err) < 0 ||
		    keep_padding(w, w->chunk + data, n - data, err) < 0)
			return -1;
		strata_work_advance(w->work, data);
		offset += n;
		len -= data;
		there -= n - data;
	}
	return strata_splicer_write(&w->splicer, zeros, missing, err);
}

static bool has_header(const struct strata_assembly_item *item)
{
	return item->as.entry.header_source == item->as.entry.source &&
	       item->as.entry.header_number == item->as.entry.number;
}

/*
 * Adds the attributes of a header to those of the headers before it, all but their capability. An
 * empty value, which runtimes do not set, would remove one.
 */
static int add_xattrs(const struct strata_index *index, const struct strata_entry *e,
                      struct strata_buf *out, struct strata_err *err)
{
	static const char capability[] = "SCHILY.xattr.security.capability";
	const char *records = index->arena.data + e->pax.offset;
	size_t len = e->pax.len;
	struct strata_pax_record r;
	int status = strata_pax_append(out, capability, strlen(capability), "", 0, err);

	while (status >= 0 && (status = strata_pax_next(&records, &len, &r, err)) > 0)
		if (r.key_len > 13 && r.value_len > 0 && memcmp(r.key, "SCHILY.xattr.", 13) == 0)
			status =
			        strata_pax_append(out, r.key, r.key_len, r.value, r.value_len, err);
	return status;
}

/* Lists the attributes of another header among what is to be changed. */
static int add_header(const struct strata_index *index, const struct strata_entry *e, char typeflag,
                      struct strata_tar_changes *c, struct strata_buf *records,
                      struct strata_err *err)
{
	c->mask |= STRATA_TAR_UNAME | STRATA_TAR_GNAME | STRATA_TAR_RECORDS;
	c->to.uname = strata_index_text(index, e->uname);
	c->to.uname_len = e->uname.len;
	c->to.gname = strata_index_text(index, e->gname);
	c->to.gname_len = e->gname.len;
	/* Runtimes leave the mode and the times of a symlink that a hardlink names. */
	if (typeflag != '2') {
		const struct strata_times times = strata_index_times(index, e);

		c->mask |= STRATA_TAR_MODE | STRATA_TAR_MTIME | STRATA_TAR_ATIME | STRATA_TAR_CTIME;
		c->to.mode = e->mode;
		c->to.mtime = e->mtime;
		c->to.mtime_nsec = e->mtime_nsec;
		c->to.atime = times.atime;
		c->to.ctime = times.ctime;
	}
	if (e->uid != STRATA_TAR_NO_ID) {
		c->mask |= STRATA_TAR_UID;
		c->to.uid = e->uid;
	}
	if (e->gid != STRATA_TAR_NO_ID) {
		c->mask |= STRATA_TAR_GID;
		c->to.gid = e->gid;
	}
	return add_xattrs(index, e, records, err);
}

/* What the headers of all names of the item's file, up to its last one, make of the file's own. */
static int add_headers(const struct strata_index *index, const struct strata_assembly_item *item,
                       char typeflag, struct strata_tar_changes *c, struct strata_buf *records,
                       struct strata_err *err)
{
	uint32_t file = item->as.entry.number, last = item->as.entry.header_number;

	if (item->as.entry.header_source == item->as.entry.source &&
	    index->entries[file].typeflag != '1')
		for (uint32_t i = 0; i < last; i++)
			if (strata_index_file_of(index, i) == file &&
			    add_header(index, &index->entries[i], typeflag, c, records, err) < 0)
				return -1;
	if (add_header(index, &index->entries[last], typeflag, c, records, err) < 0)
		return -1;
	c->records = records->data;
	c->records_len = records->len;
	return 0;
}

/* The header with its new name, target and attributes. */
static int write_patched(struct writing *w, const struct strata_assembly_item *item,
                         const struct strata_index *index, const struct strata_entry *e,
                         struct strata_err *err)
{
	size_t len = (size_t)(e->data_offset - e->header_offset);
	const char *text = w->assembly->text.data;
	struct strata_tar_changes c = {0};
	cleanup_buf struct strata_buf records = {0};

	if (!has_header(item)) {
		const struct strata_index *other =
		        w->assembly->sources[item->as.entry.header_source];

		if (add_headers(other, item, e->typeflag, &c, &records, err) < 0)
			return -1;
	}
	if (item->as.entry.name_len > 0) {
		c.mask |= STRATA_TAR_PATH;
		c.to.path = text + item->as.entry.name;
		c.to.path_len = item->as.entry.name_len;
	}
	if (item->as.entry.link_len > 0) {
		c.mask |= STRATA_TAR_LINKPATH;
		c.to.linkpath = text + item->as.entry.link;
		c.to.linkpath_len = item->as.entry.link_len;
	}
	w->raw.len = w->header.len = 0;
	if (strata_buf_reserve(&w->raw, len, err) < 0 ||
	    strata_index_read(index, e->header_offset, w->raw.data, len, err) < 0 ||
	    strata_tar_patch(w->raw.data, len, &c, &w->header, err) < 0)
		return -1;
	return strata_splicer_write(&w->splicer, w->header.data, w->header.len, err);
}

/* Before and after it is read, the file must be as it was when its header was made. */
static int write_host_file(struct writing *w, const struct strata_assembly_item *item,
                           struct strata_err *err)
{
	const struct strata_host_tree *tree = w->assembly->trees[item->as.host_file.tree];
	uint32_t entry = item->as.host_file.entry;
	cleanup_fd int fd = strata_host_tree_open(tree, entry, err);
	const struct origin from = {.tree = tree, .entry = entry, .fd = fd};
	uint64_t size = (uint64_t)tree->entries[entry].size;

	if (fd < 0 || write_range(w, &from, 0, size, err) < 0 ||
	    strata_host_tree_check(tree, entry, fd, err) < 0)
		return -1;
	return write_padding(w, size, err);
}

static int write_entry(struct writing *w, const struct strata_assembly_item *item,
                       struct strata_err *err)
{
	const struct strata_index *index = w->assembly->sources[item->as.entry.source];
	const struct strata_entry *e = &index->entries[item->as.entry.number];
	uint64_t from = e->header_offset;

	if (item->as.entry.name_len > 0 || item->as.entry.link_len > 0 || !has_header(item)) {
		if (write_patched(w, item, index, e, err) < 0)
			return -1;
		from = e->data_offset;
	}
	return keep_range(w, index, from, e->data_offset + (uint64_t)e->stored - from, err);
}

static int write_item(struct writing *w, const struct strata_assembly_item *item,
                      struct strata_err *err)
{
	const struct strata_assembly *a = w->assembly;
	struct origin origin = {0};

	switch (item->kind) {
	case STRATA_ASSEMBLY_ENTRY:
		return write_entry(w, item, err);
	case STRATA_ASSEMBLY_BYTES:
		return strata_splicer_write(&w->splicer, a->text.data + item->as.bytes.offset,
		                            item->as.bytes.len, err);
	case STRATA_ASSEMBLY_RANGE:
		origin.file = a->files[item->as.range.file];
		return write_range(w, &origin, item->as.range.offset, item->as.range.len, err);
	case STRATA_ASSEMBLY_HOST_FILE:
		break;
	}
	return write_host_file(w, item, err);
}

static bool splices_any(const struct writing *w)
{
	for (uint32_t i = 0; i < w->assembly->source_count; i++)
		if (splices(w, w->assembly->sources[i]))
			return true;
	return false;
}

/* Blocks were read where they had been noted: nobody has written to their files since. */
static int check_unchanged(const struct writing *w, struct strata_err *err)
{
	for (uint32_t i = 0; i < w->assembly->source_count; i++)
		if (splices(w, w->assembly->sources[i]) &&
		    strata_file_unchanged(w->assembly->sources[i]->blob.file, err) < 0)
			return -1;
	return 0;
}

static int run(struct writing *w, struct strata_file *to, struct strata_blob_info *result,
               struct strata_err *err)
{
	const struct strata_plan_options *options = w->options;
	struct strata_assembly *a = w->assembly;
	struct strata_work quiet = *w->work;
	bool active = splices_any(w);

	quiet.progress = NULL;
	w->chunk = malloc(STRATA_CHUNK);
	if (w->chunk == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < a->source_count; i++)
		if (strata_index_inflate(a->sources[i], options->temp_dir, &quiet, err) < 0)
			return -1;
	strata_splicer_init(&w->splicer, &w->out, active);
	if (strata_blob_writer_open(&w->out, to, options->compression, options->level, true,
	                            w->work, err) < 0 ||
	    (active && strata_blob_writer_allow_runs(&w->out, err) < 0))
		return -1;
	for (uint32_t i = 0; i < a->count; i++)
		if (write_item(w, &a->items[i], err) < 0)
			return -1;
	if ((!a->open_ended && strata_splicer_write(&w->splicer, zeros, sizeof(zeros), err) < 0) ||
	    strata_splicer_finish(&w->splicer, err) < 0 || check_unchanged(w, err) < 0)
		return -1;
	result->kept = strata_splicer_kept(&w->splicer);
	return strata_blob_writer_close(&w->out, result, err);
}

int strata_assembly_write(struct strata_assembly *a, const struct strata_plan_options *options,
                          struct strata_file *to, struct strata_blob_info *result,
                          struct strata_err *err)
{
	struct writing w = {.assembly = a, .options = options, .work = &options->work};
	int status = run(&w, to, result, err);

	if (status < 0)
		strata_blob_writer_abort(&w.out, err);
	strata_splicer_free(&w.splicer);
	strata_blob_writer_free(&w.out);
	free(w.chunk);
	strata_buf_free(&w.raw);
	strata_buf_free(&w.header);
	return status;
}
