#include "core/layer/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"

void strata_assemble_free(struct strata_assemble *c)
{
	for (uint32_t i = 0; i < c->file_count; i++)
		strata_file_unref(c->files[i]);
	for (uint32_t i = 0; i < c->disk_count; i++)
		strata_host_tree_unref(c->disks[i]);
	free(c->files);
	free(c->disks);
	free(c->ranges);
	free(c->sources);
	free(c->items);
	strata_buf_free(&c->text);
	*c = (struct strata_assemble){0};
}

int strata_assemble_index(struct strata_assemble *c, struct strata_index *index, uint32_t *source,
                          struct strata_err *err)
{
	if (strata_grow(c->sources, c->source_count, err) < 0)
		return -1;
	c->sources[c->source_count] = index;
	*source = c->source_count++;
	return 0;
}

static int store(struct strata_assemble *c, const char *text, size_t len, uint32_t *offset,
                 struct strata_err *err)
{
	if (len > UINT32_MAX - c->text.len)
		return strata_fail(err, "ELIMIT", "names of the entries exceed 4 GiB");
	*offset = (uint32_t)c->text.len;
	return strata_buf_append(&c->text, text, len, err);
}

static int add_item(struct strata_assemble *c, struct strata_assemble_item item,
                    struct strata_err *err)
{
	if (strata_grow(c->items, c->count, err) < 0)
		return -1;
	c->items[c->count++] = item;
	return 0;
}

int strata_assemble_add(struct strata_assemble *c, uint32_t source, uint32_t entry,
                        const char *name, size_t name_len, const char *linkpath,
                        size_t linkpath_len, struct strata_err *err)
{
	const struct strata_entry *e = &c->sources[source]->entries[entry];
	struct strata_assemble_item item = {.source = source, .entry = entry};

	if (name_len > UINT16_MAX || linkpath_len > UINT16_MAX)
		return strata_fail(err, "ELIMIT", "a name is longer than 65535 bytes");
	if (name != NULL && store(c, name, name_len, &item.name, err) < 0)
		return -1;
	if (linkpath != NULL && store(c, linkpath, linkpath_len, &item.link, err) < 0)
		return -1;
	item.name_len = name != NULL ? (uint16_t)name_len : 0;
	item.link_len = linkpath != NULL ? (uint16_t)linkpath_len : 0;
	c->size += e->data_offset - e->header_offset + (uint64_t)e->stored;
	return add_item(c, item, err);
}

int strata_assemble_bytes(struct strata_assemble *c, const char *bytes, size_t len,
                          struct strata_err *err)
{
	struct strata_assemble_item item = {.source = STRATA_ASSEMBLE_BYTES,
	                                    .entry = (uint32_t)len};

	if (store(c, bytes, len, &item.name, err) < 0)
		return -1;
	c->size += len;
	return add_item(c, item, err);
}

/* The number of a file among those that the compose holds; it is added when it is new. */
static int hold_file(struct strata_assemble *c, struct strata_file *file, uint32_t *number,
                     struct strata_err *err)
{
	for (*number = 0; *number < c->file_count; ++*number)
		if (c->files[*number] == file)
			return 0;
	if (strata_grow(c->files, c->file_count, err) < 0)
		return -1;
	c->files[c->file_count++] = strata_file_ref(file);
	return 0;
}

static int hold_disk(struct strata_assemble *c, struct strata_host_tree *disk, uint32_t *number,
                     struct strata_err *err)
{
	for (*number = 0; *number < c->disk_count; ++*number)
		if (c->disks[*number] == disk)
			return 0;
	if (strata_grow(c->disks, c->disk_count, err) < 0)
		return -1;
	c->disks[c->disk_count++] = strata_host_tree_ref(disk);
	return 0;
}

int strata_assemble_range(struct strata_assemble *c, struct strata_file *file, uint64_t offset,
                          uint64_t len, struct strata_err *err)
{
	struct strata_assemble_item item = {.source = STRATA_ASSEMBLE_RANGE,
	                                    .entry = c->range_count};
	struct strata_assemble_range range = {.offset = offset, .len = len};

	if (hold_file(c, file, &range.file, err) < 0)
		return -1;
	c->size += len;
	if (c->count > 0 && c->items[c->count - 1].source == STRATA_ASSEMBLE_RANGE) {
		struct strata_assemble_range *last = &c->ranges[c->range_count - 1];

		if (last->file == range.file && last->offset + last->len == offset) {
			last->len += len;
			return 0;
		}
	}
	if (strata_grow(c->ranges, c->range_count, err) < 0)
		return -1;
	c->ranges[c->range_count] = range;
	if (add_item(c, item, err) < 0)
		return -1;
	c->range_count++;
	return 0;
}

int strata_assemble_host_file(struct strata_assemble *c, struct strata_host_tree *disk,
                              uint32_t number, struct strata_err *err)
{
	struct strata_assemble_item item = {.source = STRATA_ASSEMBLE_HOST_FILE, .entry = number};

	if (hold_disk(c, disk, &item.name, err) < 0)
		return -1;
	c->size += (uint64_t)disk->entries[number].size;
	return add_item(c, item, err);
}

/* ---- writing ------------------------------------------------------------------ */

struct composer {
	struct strata_assemble *compose;
	const struct strata_work *work;
	struct strata_blob_writer out;
	char *chunk;
	struct strata_buf raw;
	struct strata_buf header;
};

/* Where bytes come from: one of them is set. */
struct origin {
	const struct strata_index *index;
	const struct strata_file *file;
	const struct strata_host_tree *disk; /* read on from where its descriptor is */
	uint32_t number;
	int fd;
};

static int read_origin(const struct origin *from, uint64_t offset, void *bytes, size_t len,
                       struct strata_err *err)
{
	if (from->index != NULL)
		return strata_index_read(from->index, offset, bytes, len, err);
	if (from->file != NULL)
		return strata_file_read(from->file, offset, bytes, len, err);
	return strata_host_tree_read(from->disk, from->number, from->fd, bytes, len, err);
}

static int write_range(struct composer *w, const struct origin *from, uint64_t offset, uint64_t len,
                       struct strata_err *err)
{
	while (len > 0) {
		size_t n = len < STRATA_CHUNK ? (size_t)len : STRATA_CHUNK;

		if (strata_work_cancelled(w->work, err))
			return -1;
		if (read_origin(from, offset, w->chunk, n, err) < 0 ||
		    strata_blob_writer_write(&w->out, w->chunk, n, err) < 0)
			return -1;
		if (w->work->progress != NULL)
			atomic_fetch_add_explicit(w->work->progress, n, memory_order_relaxed);
		offset += n;
		len -= n;
	}
	return 0;
}

/* The header with its new name and target. */
static int write_patched(struct composer *w, const struct strata_assemble_item *item,
                         struct strata_err *err)
{
	const struct strata_index *index = w->compose->sources[item->source];
	const struct strata_entry *e = &index->entries[item->entry];
	size_t len = (size_t)(e->data_offset - e->header_offset);
	struct strata_tar_changes c = {0};

	if (item->name_len > 0) {
		c.mask |= STRATA_TAR_PATH;
		c.to.path = w->compose->text.data + item->name;
		c.to.path_len = item->name_len;
	}
	if (item->link_len > 0) {
		c.mask |= STRATA_TAR_LINKPATH;
		c.to.linkpath = w->compose->text.data + item->link;
		c.to.linkpath_len = item->link_len;
	}
	w->raw.len = w->header.len = 0;
	if (strata_buf_reserve(&w->raw, len, err) < 0 ||
	    strata_index_read(index, e->header_offset, w->raw.data, len, err) < 0 ||
	    strata_tar_patch(w->raw.data, len, &c, &w->header, err) < 0)
		return -1;
	return strata_blob_writer_write(&w->out, w->header.data, w->header.len, err);
}

static int write_padding(struct composer *w, uint64_t len, struct strata_err *err)
{
	static const char zeros[STRATA_TAR_BLOCK];

	return strata_blob_writer_write(&w->out, zeros, (size_t)strata_tar_padding(len), err);
}

/* The file must be the one that its header tells of, before it is read and after. */
static int write_disk(struct composer *w, const struct strata_assemble_item *item,
                      struct strata_err *err)
{
	const struct strata_host_tree *disk = w->compose->disks[item->name];
	cleanup_fd int fd = strata_host_tree_open(disk, item->entry, err);
	const struct origin from = {.disk = disk, .number = item->entry, .fd = fd};
	uint64_t size = (uint64_t)disk->entries[item->entry].size;

	if (fd < 0 || write_range(w, &from, 0, size, err) < 0 ||
	    strata_host_tree_check(disk, item->entry, fd, err) < 0)
		return -1;
	return write_padding(w, size, err);
}

static int write_entry(struct composer *w, const struct strata_assemble_item *item,
                       struct strata_err *err)
{
	const struct strata_index *index;
	const struct strata_entry *e;
	struct origin origin = {0};
	uint64_t from;

	index = w->compose->sources[item->source];
	e = &index->entries[item->entry];
	from = e->header_offset;
	if (item->name_len > 0 || item->link_len > 0) {
		if (write_patched(w, item, err) < 0)
			return -1;
		from = e->data_offset;
	}
	origin.index = index;
	if (write_range(w, &origin, from, e->data_offset + (uint64_t)e->stored - from, err) < 0)
		return -1;
	return write_padding(w, (uint64_t)e->stored, err);
}

static int write_item(struct composer *w, const struct strata_assemble_item *item,
                      struct strata_err *err)
{
	const struct strata_assemble *c = w->compose;
	const struct strata_assemble_range *range;
	struct origin origin = {0};

	switch (item->source) {
	case STRATA_ASSEMBLE_BYTES:
		return strata_blob_writer_write(&w->out, c->text.data + item->name, item->entry,
		                                err);
	case STRATA_ASSEMBLE_RANGE:
		range = &c->ranges[item->entry];
		origin.file = c->files[range->file];
		return write_range(w, &origin, range->offset, range->len, err);
	case STRATA_ASSEMBLE_HOST_FILE:
		return write_disk(w, item, err);
	default:
		return write_entry(w, item, err);
	}
}

static int run(struct composer *w, const struct strata_plan_options *options,
               struct strata_file *to, struct strata_plan_result *result, struct strata_err *err)
{
	static const char end[2 * STRATA_TAR_BLOCK];
	struct strata_assemble *c = w->compose;

	w->chunk = malloc(STRATA_CHUNK);
	if (w->chunk == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < c->source_count; i++)
		if (strata_index_inflate(c->sources[i], options->temp_dir, w->work, err) < 0)
			return -1;
	if (strata_blob_writer_open(&w->out, to, options->compression, options->level, true,
	                            w->work, err) < 0)
		return -1;
	for (uint32_t i = 0; i < c->count; i++)
		if (write_item(w, &c->items[i], err) < 0)
			return -1;
	if (strata_blob_writer_write(&w->out, end, sizeof(end), err) < 0)
		return -1;
	return strata_blob_writer_close(&w->out, result->digest, result->diff_id, &result->size,
	                                &result->tar_size, err);
}

int strata_assemble_write(struct strata_assemble *c, const struct strata_plan_options *options,
                          struct strata_file *to, struct strata_plan_result *result,
                          struct strata_err *err)
{
	struct composer w = {.compose = c, .work = &options->work};
	int status = run(&w, options, to, result, err);

	if (status < 0)
		strata_blob_writer_abort(&w.out, err);
	strata_blob_writer_free(&w.out);
	free(w.chunk);
	strata_buf_free(&w.raw);
	strata_buf_free(&w.header);
	return status;
}
