#include "core/layer/index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/draft.h"
#include "core/layer/path.h"

/* A window over a plain tar: most headers with small payloads fit several times. */
#define SCAN_WINDOW (16 << 10)

/* Back to an index that has its blob and nothing else; others may look at `busy` meanwhile. */
static void forget_scan(struct strata_index *index)
{
	for (uint32_t i = 0; i < index->replacement_count; i++)
		free(index->replacements[i].data);
	free(steal_pointer(&index->replacements));
	free(steal_pointer(&index->former_names));
	free(steal_pointer(&index->entries));
	free(steal_pointer(&index->by_path));
	free(steal_pointer(&index->links));
	strata_buf_free(&index->arena);
	strata_file_unref(steal_pointer(&index->plain));
	strata_block_list_free(&index->blocks);
	strata_file_unref(steal_pointer(&index->draft));
	index->count = index->replacement_count = index->former_count = 0;
	index->tar_size = index->end_offset = 0;
	index->findings = 0;
	index->diff_id[0] = index->digest[0] = '\0';
}

void strata_index_free(struct strata_index *index)
{
	forget_scan(index);
	strata_file_unref(index->blob.file);
	*index = (struct strata_index){0};
}

int strata_index_store(struct strata_index *index, const char *text, size_t len, uint32_t *offset,
                       struct strata_err *err)
{
	if (index->arena.len + len > UINT32_MAX)
		return strata_fail(err, "ELIMIT", "names of the entries exceed 4 GiB");
	*offset = (uint32_t)index->arena.len;
	return strata_buf_append(&index->arena, text, len, err);
}

static int store_path(struct strata_index *index, const char *text, size_t len,
                      struct strata_path *path, struct strata_err *err)
{
	if (len > UINT16_MAX)
		return strata_fail(err, "ELIMIT", "a name is longer than 65535 bytes");
	path->len = (uint16_t)len;
	return strata_index_store(index, text, len, &path->offset, err);
}

/* True when normalising name gives a part of it; *skip and *len say which. */
static bool is_nearly_normal(const char *name, size_t name_len, size_t *skip, size_t *len)
{
	size_t start = 0;
	size_t end = name_len;

	while (start < end && (name[start] == '/' ||
	                       (name[start] == '.' && start + 1 < end && name[start + 1] == '/')))
		start++;
	while (end > start && name[end - 1] == '/')
		end--;
	for (size_t i = start; i < end;) {
		const char *slash = memchr(name + i, '/', end - i);
		size_t part = slash ? (size_t)(slash - name) - i : end - i;

		if (part == 0 || (part == 1 && name[i] == '.') ||
		    (part == 2 && name[i] == '.' && name[i + 1] == '.'))
			return false;
		i += part + 1;
	}
	*skip = start;
	*len = end - start;
	return *len > 0;
}

int strata_index_store_name(struct strata_index *index, struct strata_entry *e, const char *name,
                            size_t len, struct strata_err *err)
{
	size_t skip, path_len;

	if (store_path(index, name, len, &e->name, err) < 0)
		return -1;
	if (is_nearly_normal(name, len, &skip, &path_len)) {
		e->path.offset = e->name.offset + (uint32_t)skip;
		e->path.len = (uint16_t)path_len;
		return 0;
	}
	cleanup_free char *path = malloc(len + 1);

	if (path == NULL)
		return strata_fail_nomem(err);
	path_len = strata_path_normalise(name, len, path);
	return store_path(index, path, path_len, &e->path, err);
}

/* User and group names repeat from entry to entry: store them once. */
static int store_owner(struct strata_index *index, const char *text, size_t len, bool group,
                       struct strata_path *path, struct strata_err *err)
{
	if (index->count > 0 && len > 0) {
		const struct strata_entry *before = &index->entries[index->count - 1];
		struct strata_path last = group ? before->gname : before->uname;

		if (last.len == len && memcmp(strata_index_text(index, last), text, len) == 0) {
			*path = last;
			return 0;
		}
	}
	return store_path(index, text, len, path, err);
}

struct strata_times strata_index_times(const struct strata_index *index,
                                       const struct strata_entry *e)
{
	struct strata_times times = {0};

	if (e->timed)
		memcpy(&times, index->arena.data + e->times, sizeof(times));
	return times;
}

int strata_index_store_times(struct strata_index *index, struct strata_entry *e,
                             const struct strata_times *times, struct strata_err *err)
{
	if (e->timed)
		memcpy(index->arena.data + e->times, times, sizeof(*times));
	else if (strata_index_store(index, (const char *)times, sizeof(*times), &e->times, err) < 0)
		return -1;
	e->timed = true;
	return 0;
}

int strata_index_add(struct strata_index *index, const struct strata_tar_header *h,
                     struct strata_err *err)
{
	const struct strata_times times = {h->atime, h->ctime};
	struct strata_entry *e;

	if (strata_grow(index->entries, index->count, err) < 0)
		return -1;
	e = &index->entries[index->count];
	*e = (struct strata_entry){
	        .header_offset = h->header_offset,
	        .data_offset = h->data_offset,
	        .size = h->size,
	        .stored = h->stored,
	        .mtime = h->mtime,
	        .mtime_nsec = h->mtime_nsec,
	        .mode = h->mode,
	        .uid = (uint32_t)h->uid,
	        .gid = (uint32_t)h->gid,
	        .devmajor = h->devmajor,
	        .devminor = h->devminor,
	        .findings = (uint16_t)h->findings,
	        .typeflag = h->typeflag,
	        .format = h->format,
	        .sparse = h->sparse,
	};
	e->pax.len = (uint32_t)h->pax_len;
	if (strata_index_store(index, h->pax, h->pax_len, &e->pax.offset, err) < 0 ||
	    strata_index_store_name(index, e, h->path, h->path_len, err) < 0 ||
	    store_path(index, h->linkpath, h->linkpath_len, &e->linkpath, err) < 0 ||
	    store_owner(index, h->uname, h->uname_len, false, &e->uname, err) < 0 ||
	    store_owner(index, h->gname, h->gname_len, true, &e->gname, err) < 0 ||
	    ((times.atime.there || times.ctime.there) &&
	     strata_index_store_times(index, e, &times, err) < 0))
		return -1;
	index->count++;
	return 0;
}

/* Feeds bytes to the parser and adds the entries that come out. draft: told of them, or NULL. */
static int scan_bytes(struct strata_index *index, struct strata_tar_parser *parser,
                      struct strata_draft *draft, const char **bytes, size_t *len,
                      bool stop_at_entry, struct strata_err *err)
{
	enum strata_tar_event event;
	const char *data;
	size_t data_len;

	do {
		if (strata_tar_step(parser, bytes, len, &event, &data, &data_len, err) < 0)
			return -1;
		if (event == STRATA_TAR_END && draft != NULL)
			strata_draft_tail(draft);
		if (event != STRATA_TAR_ENTRY)
			continue;
		if (strata_index_add(index, strata_tar_entry(parser), err) < 0)
			return -1;
		if (draft != NULL)
			strata_draft_entry(draft);
		if (stop_at_entry)
			return 0;
	} while (event != STRATA_TAR_MORE);
	return 0;
}

/* A plain tar: reads the headers and passes over the payloads. */
static int scan_plain(struct strata_index *index, struct strata_tar_parser *parser,
                      const struct strata_work *work, struct strata_err *err)
{
	const struct strata_blob *blob = &index->blob;
	cleanup_free char *window = malloc(SCAN_WINDOW);
	uint64_t position = 0; /* of the end of the window, in the blob */
	const char *next = window;
	size_t left = 0;

	if (window == NULL)
		return strata_fail_nomem(err);
	for (;;) {
		uint64_t pending = strata_tar_pending(parser);
		uint64_t skip = pending < left ? pending : left;

		next += skip;
		left -= (size_t)skip;
		if (pending - skip > 0) {
			uint64_t rest = blob->size - position;
			uint64_t seek = pending - skip < rest ? pending - skip : rest;

			position += seek;
			skip += seek;
		}
		strata_tar_skip(parser, skip);
		if (left == 0) {
			uint64_t rest = blob->size - position;

			if (rest == 0)
				return 0;
			if (strata_work_cancelled(work, err))
				return -1;
			left = rest < SCAN_WINDOW ? (size_t)rest : SCAN_WINDOW;
			if (strata_file_read(blob->file, blob->offset + position, window, left,
			                     err) < 0)
				return -1;
			position += left;
			next = window;
		}
		if (scan_bytes(index, parser, NULL, &next, &left, true, err) < 0)
			return -1;
	}
}

/*
 * A compressed tar has to be read whole, and so is hashed whole. spool: a file that it is inflated
 * into, or NULL. draft: or NULL.
 */
static int scan_compressed(struct strata_index *index, struct strata_tar_parser *parser,
                           struct strata_file *spool, struct strata_draft *draft,
                           const struct strata_work *work, struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader stream = {0};
	unsigned wanted = STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN;
	const char *bytes;
	uint64_t at = 0;
	size_t len;

	if (spool != NULL)
		wanted |= STRATA_BLOCK_PLACES;
	if (draft != NULL)
		wanted |= STRATA_BLOCKS;
	if (strata_blob_reader_open(&stream, &index->blob, wanted, &index->inflate, work, err) < 0)
		return -1;
	for (;;) {
		if (strata_blob_reader_next(&stream, &bytes, &len, err) < 0)
			return -1;
		if (len == 0)
			break;
		if (spool != NULL &&
		    (strata_file_write(spool, at, bytes, len, err) < 0 ||
		     strata_block_list_add(&index->blocks, strata_blob_reader_packed(&stream),
		                           err) < 0))
			return -1;
		at += len;
		if (draft != NULL)
			strata_draft_chunk(draft, &stream, bytes, len);
		if (scan_bytes(index, parser, draft, &bytes, &len, false, err) < 0)
			return -1;
		if (draft != NULL)
			strata_draft_parsed(draft);
	}
	return strata_blob_reader_digests(&stream, index->digest, index->diff_id, err);
}

static void free_parser(struct strata_tar_parser **parser)
{
	strata_tar_parser_free(*parser);
}

static int scan(struct strata_index *index, const struct strata_tar_limits *limits,
                struct strata_file *spool, struct strata_draft *draft,
                const struct strata_work *work, struct strata_err *err)
{
	__attribute__((cleanup(free_parser))) struct strata_tar_parser *parser = NULL;
	int status;

	parser = strata_tar_parser_new(limits, err);
	if (parser == NULL)
		return -1;
	if (getrandom(&index->hash_key, sizeof(index->hash_key), 0) < 0)
		index->hash_key.k0 = (uintptr_t)index; /* still unknown to whoever made the tar */
	status = index->blob.compression == STRATA_NONE
	                 ? scan_plain(index, parser, work, err)
	                 : scan_compressed(index, parser, spool, draft, work, err);
	if (status < 0)
		return -1;
	if (strata_tar_finish(parser, &index->findings, &index->end_offset, err) < 0)
		return -1;
	index->tar_size = strata_tar_offset(parser);
	if (strata_index_bind_links(index, err) < 0)
		return -1;
	if (draft != NULL)
		strata_draft_end(draft);
	return 0;
}

/* spool, draft: as for scan_compressed */
static int scan_into(struct strata_index *index, const struct strata_tar_limits *limits,
                     struct strata_file *spool, struct strata_draft *draft,
                     const struct strata_work *work, struct strata_err *err)
{
	if (limits != NULL)
		index->limits = *limits;
	if (scan(index, limits, spool, draft, work, err) < 0) {
		forget_scan(index);
		return -1;
	}
	index->scanned = true;
	return 0;
}

int strata_index_scan(struct strata_index *index, const struct strata_tar_limits *limits,
                      const struct strata_work *work, struct strata_err *err)
{
	return index->scanned ? 0 : scan_into(index, limits, NULL, NULL, work, err);
}

int strata_index_scan_and_inflate(struct strata_index *index,
                                  const struct strata_tar_limits *limits, const char *dir,
                                  const struct strata_work *work, struct strata_err *err)
{
	cleanup_file struct strata_file *spool = NULL;

	if (index->scanned || index->blob.compression == STRATA_NONE)
		return strata_index_scan(index, limits, work, err);
	spool = strata_file_temp(dir, NULL, err);
	if (spool == NULL || scan_into(index, limits, spool, NULL, work, err) < 0)
		return -1;
	index->plain = steal_pointer(&spool);
	return 0;
}

int strata_index_scan_and_draft(struct strata_index *index, const struct strata_tar_limits *limits,
                                const struct strata_draft_rules *rules,
                                const struct strata_work *work, struct strata_err *err)
{
	struct strata_draft *draft = strata_draft_begin(index, rules, work);
	int status = index->scanned ? 0 : scan_into(index, limits, NULL, draft, work, err);

	strata_draft_free(draft);
	return status;
}

/* *copy becomes one of n things; NULL when there are none. */
static int copy_bytes(const void *from, size_t n, size_t size, void **copy, struct strata_err *err)
{
	*copy = NULL;
	if (from == NULL || n == 0)
		return 0;
	*copy = strata_reallocarray(NULL, n, size);
	if (*copy == NULL)
		return strata_fail_nomem(err);
	memcpy(*copy, from, n * size);
	return 0;
}

int strata_index_copy(const struct strata_index *from, struct strata_index *to,
                      struct strata_err *err)
{
	cleanup_free void *entries = NULL;
	cleanup_free void *links = NULL;
	cleanup_free void *former = NULL;

	if (copy_bytes(from->entries, from->count, sizeof(*from->entries), &entries, err) < 0 ||
	    copy_bytes(from->links, from->count, sizeof(*from->links), &links, err) < 0 ||
	    copy_bytes(from->former_names, from->former_count, sizeof(*from->former_names), &former,
	               err) < 0 ||
	    (from->arena.len > 0 &&
	     strata_buf_append(&to->arena, from->arena.data, from->arena.len, err) < 0))
		return -1;
	to->entries = steal_pointer(&entries);
	to->links = steal_pointer(&links);
	to->former_names = steal_pointer(&former);
	to->former_count = from->former_count;
	to->count = from->count;
	for (uint32_t i = 0; i < to->count; i++)
		to->entries[i].replaced = 0;
	to->tar_size = from->tar_size;
	to->end_offset = from->end_offset;
	to->findings = from->findings;
	to->hash_key = from->hash_key;
	to->scanned = true;
	return 0;
}

void strata_index_restore_names(struct strata_index *copy)
{
	for (uint32_t i = 0; i < copy->former_count; i++) {
		const struct strata_former_name *former = &copy->former_names[i];
		struct strata_entry *e = &copy->entries[former->entry];

		e->path = former->path;
		e->linkpath = former->linkpath;
		e->changed &= (uint16_t) ~(STRATA_TAR_PATH | STRATA_TAR_LINKPATH);
	}
	for (uint32_t i = 0; i < copy->count; i++)
		copy->entries[i].dropped = copy->entries[i].marked = false;
	strata_index_forget_paths(copy);
}

bool strata_index_is_dangling(const struct strata_index *index, uint32_t entry)
{
	return index->entries[entry].typeflag == '1' && index->links[entry].root == STRATA_NO_ENTRY;
}
