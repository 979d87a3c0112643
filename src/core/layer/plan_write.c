/* Carrying an edit plan out: one pass over the old tar, spans in, spans out. */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"
#include "core/layer/plan.h"
#include "core/layer/splicer.h"

struct writing {
	struct strata_index *index;
	struct strata_blob_reader in;
	uint64_t position; /* of `bytes`, in the old tar */
	const char *bytes; /* read but not used yet */
	size_t left;
	struct strata_blob_writer out;
	uint64_t shared; /* so many first bytes of both tars are hashed once; 0: none are */
	struct strata_splicer splicer; /* all that is written goes through it */
	uint32_t *promoted; /* per entry: the dropped file whose place it takes; or NULL */
	bool measures;      /* only counts what would be written */
	uint64_t measured;
	struct strata_buf raw;
	struct strata_buf header;
};

/* ---- the old tar, in order ---------------------------------------------- */

static int next_bytes(struct writing *w, struct strata_err *err)
{
	if (strata_blob_reader_next(&w->in, &w->bytes, &w->left, err) < 0)
		return -1;
	return strata_splicer_feed(&w->splicer, strata_blob_reader_packed(&w->in), err);
}

/* Passes over the old tar up to `offset`; its bytes go to out, to raw, or nowhere. */
enum destination { TO_OUT, TO_RAW, NOWHERE };

/* The same without reading more than what goes to raw. */
static int leap(struct writing *w, uint64_t offset, enum destination where, struct strata_err *err)
{
	size_t len = (size_t)(offset - w->position);

	if (where == TO_OUT)
		w->measured += offset - w->position;
	if (where == TO_RAW) {
		if (strata_buf_reserve(&w->raw, len, err) < 0 ||
		    strata_index_read(w->index, w->position, w->raw.data, len, err) < 0)
			return -1;
		w->raw.len = len;
	}
	w->position = offset;
	return 0;
}

static int advance(struct writing *w, uint64_t offset, enum destination where,
                   struct strata_err *err)
{
	if (w->measures)
		return leap(w, offset, where, err);
	while (w->position < offset) {
		size_t n;

		if (w->left == 0) {
			if (next_bytes(w, err) < 0)
				return -1;
			if (w->left == 0)
				return strata_fail(err, "EFORMAT", "layer ends at offset 0x%llx",
				                   (unsigned long long)w->position);
		}
		n = offset - w->position < w->left ? (size_t)(offset - w->position) : w->left;
		if (where == TO_OUT && strata_splicer_keep(&w->splicer, w->bytes, n, err) < 0)
			return -1;
		if (where != TO_OUT && strata_splicer_pass(&w->splicer, n, err) < 0)
			return -1;
		if (where == TO_RAW && strata_buf_append(&w->raw, w->bytes, n, err) < 0)
			return -1;
		w->bytes += n;
		w->left -= n;
		w->position += n;
	}
	return 0;
}

/* Everything behind the last entry: end blocks and whatever follows them. */
static int drain(struct writing *w, struct strata_err *err)
{
	if (w->measures)
		return leap(w, w->index->tar_size, TO_OUT, err);
	do {
		if (strata_splicer_keep(&w->splicer, w->bytes, w->left, err) < 0)
			return -1;
		w->position += w->left;
		if (next_bytes(w, err) < 0)
			return -1;
	} while (w->left > 0);
	return strata_splicer_finish(&w->splicer, err);
}

/* New bytes. */
static int put(struct writing *w, const void *bytes, size_t len, struct strata_err *err)
{
	w->measured += len;
	return w->measures ? 0 : strata_splicer_write(&w->splicer, bytes, len, err);
}

/* ---- hardlinks ---------------------------------------------------------- */

static bool user_changed_link(const struct strata_entry *e)
{
	return (e->changed & STRATA_TAR_LINKPATH) && !e->retargeted;
}

/*
 * Points link i at the stored name of entry `to`, whose text both share then.
 * It follows from other edits and is none itself: the revision stays.
 */
static void retarget(struct strata_index *index, uint32_t i, uint32_t to)
{
	struct strata_path name = index->entries[to].name;
	struct strata_entry *e = &index->entries[i];

	if (e->linkpath.len == name.len && memcmp(strata_index_text(index, e->linkpath),
	                                          strata_index_text(index, name), name.len) == 0)
		return;
	e->linkpath = name;
	e->changed |= STRATA_TAR_LINKPATH;
	e->retargeted = true;
}

/*
 * Finds who takes the place of dropped files (promoted), and moves links whose
 * target is dropped, renamed or promoted.
 */
static int resolve_links(struct writing *w, struct strata_err *err)
{
	struct strata_index *index = w->index;
	cleanup_free uint32_t *heir = NULL; /* per dropped file: the link that follows it */

	if (index->links == NULL)
		return 0;
	heir = strata_reallocarray(NULL, index->count, sizeof(*heir));
	w->promoted = strata_reallocarray(NULL, index->count, sizeof(*w->promoted));
	if (heir == NULL || w->promoted == NULL)
		return strata_fail_nomem(err);
	memset(heir, 0xff, index->count * sizeof(*heir));
	memset(w->promoted, 0xff, index->count * sizeof(*w->promoted));

	for (uint32_t i = 0; i < index->count; i++) {
		const struct strata_entry *e = &index->entries[i];
		uint32_t root = index->links[i].root;
		uint32_t target = index->links[i].target;

		if (e->dropped || e->typeflag != '1' || root == STRATA_NO_ENTRY ||
		    user_changed_link(e))
			continue;
		if (index->entries[root].dropped && heir[root] == STRATA_NO_ENTRY) {
			heir[root] = i;
			w->promoted[i] = root;
			continue;
		}
		if (index->entries[root].dropped)
			root = heir[root];
		/* What it names may be gone, or may have become a link to something else. */
		if (index->entries[target].dropped || user_changed_link(&index->entries[target]))
			target = root;
		if (target != index->links[i].target ||
		    (index->entries[target].changed & STRATA_TAR_PATH) || e->retargeted)
			retarget(index, i, target);
	}
	return 0;
}

/* True when content has to be read that the stream passed already, or comes to later. */
static bool needs_random_access(const struct writing *w)
{
	for (uint32_t i = 0; w->promoted != NULL && i < w->index->count; i++)
		if (w->promoted[i] != STRATA_NO_ENTRY)
			return true;
	return false;
}

/* ---- changed entries ---------------------------------------------------- */

/* Takes the current values of the fields in mask over from e. */
static void fill_changes(const struct strata_index *index, const struct strata_entry *e,
                         uint32_t mask, struct strata_tar_changes *c)
{
	struct strata_tar_header *to = &c->to;

	c->mask |= mask;
	if (mask & STRATA_TAR_PATH) {
		to->path = strata_index_text(index, e->name);
		to->path_len = e->name.len;
	}
	if (mask & STRATA_TAR_LINKPATH) {
		to->linkpath = strata_index_text(index, e->linkpath);
		to->linkpath_len = e->linkpath.len;
	}
	if (mask & STRATA_TAR_UNAME) {
		to->uname = strata_index_text(index, e->uname);
		to->uname_len = e->uname.len;
	}
	if (mask & STRATA_TAR_GNAME) {
		to->gname = strata_index_text(index, e->gname);
		to->gname_len = e->gname.len;
	}
	if (mask & STRATA_TAR_MODE)
		to->mode = e->mode;
	if (mask & STRATA_TAR_UID)
		to->uid = e->uid;
	if (mask & STRATA_TAR_GID)
		to->gid = e->gid;
	if (mask & STRATA_TAR_SIZE)
		to->size = to->stored = e->size;
	if (mask & STRATA_TAR_MTIME) {
		to->mtime = e->mtime;
		to->mtime_nsec = e->mtime_nsec;
	}
	if (mask & (STRATA_TAR_ATIME | STRATA_TAR_CTIME)) {
		struct strata_times times = strata_index_times(index, e);

		if (mask & STRATA_TAR_ATIME)
			to->atime = times.atime;
		if (mask & STRATA_TAR_CTIME)
			to->ctime = times.ctime;
	}
	if (mask & STRATA_TAR_DEVICE) {
		to->devmajor = e->devmajor;
		to->devminor = e->devminor;
	}
}

/* The PAX records of a raw header span, as the parser gives them. */
static int raw_records(const struct strata_index *index, const struct strata_buf *raw,
                       struct strata_buf *records, struct strata_err *err)
{
	struct strata_tar_parser *parser = strata_tar_parser_new(&index->limits, err);
	enum strata_tar_event event;
	const char *bytes = raw->data, *data;
	size_t left = raw->len, data_len;
	int status = -1;

	if (parser == NULL)
		return -1;
	if (strata_tar_step(parser, &bytes, &left, &event, &data, &data_len, err) == 0)
		status = event != STRATA_TAR_ENTRY
		                 ? strata_fail(err, "EFORMAT", "header span is not complete")
		                 : strata_buf_append(records, strata_tar_entry(parser)->pax,
		                                     strata_tar_entry(parser)->pax_len, err);
	strata_tar_parser_free(parser);
	return status;
}

/* Adds what was changed of the records of e, whose header span is `raw`. */
static int changed_records(const struct strata_index *index, const struct strata_entry *e,
                           const struct strata_buf *raw, struct strata_buf *out,
                           struct strata_err *err)
{
	cleanup_buf struct strata_buf old = {0};

	if (!(e->changed & STRATA_TAR_RECORDS))
		return 0;
	if (raw_records(index, raw, &old, err) < 0)
		return -1;
	return strata_pax_diff(old.data, old.len, index->arena.data + e->pax.offset, e->pax.len,
	                       out, err);
}

/* Writes w->raw with the changes c and these changes of records. */
static int write_patched(struct writing *w, struct strata_tar_changes *c,
                         const struct strata_buf *records, struct strata_err *err)
{
	if (records->len > 0) {
		c->mask |= STRATA_TAR_RECORDS;
		c->records = records->data;
		c->records_len = records->len;
	}
	w->header.len = 0;
	if (strata_tar_patch(w->raw.data, w->raw.len, c, &w->header, err) < 0)
		return -1;
	return put(w, w->header.data, w->header.len, err);
}

/* Reads the header span of an entry, out of order. */
static int read_header(const struct strata_index *index, const struct strata_entry *e,
                       struct strata_buf *raw, struct strata_err *err)
{
	size_t len = (size_t)(e->data_offset - e->header_offset);

	raw->len = 0;
	if (strata_buf_reserve(raw, len, err) < 0 ||
	    strata_index_read(index, e->header_offset, raw->data, len, err) < 0)
		return -1;
	raw->len = len;
	return 0;
}

static int write_padding(struct writing *w, uint64_t size, struct strata_err *err)
{
	static const char zeros[STRATA_TAR_BLOCK];

	return put(w, zeros, (size_t)strata_tar_padding(size), err);
}

static int write_replacement(struct writing *w, const struct strata_entry *e,
                             struct strata_err *err)
{
	const struct strata_replacement *r = &w->index->replacements[e->replaced - 1];

	if (put(w, r->data, r->len, err) < 0)
		return -1;
	return write_padding(w, r->len, err);
}

/* Writes tar bytes [offset, offset + len), read out of order. */
static int write_range(struct writing *w, uint64_t offset, uint64_t len, struct strata_err *err)
{
	cleanup_free char *bytes = w->measures ? NULL : malloc(STRATA_CHUNK);

	if (w->measures) {
		w->measured += len;
		return 0;
	}
	if (bytes == NULL)
		return strata_fail_nomem(err);
	while (len > 0) {
		size_t n = len < STRATA_CHUNK ? (size_t)len : STRATA_CHUNK;

		if (strata_index_read(w->index, offset, bytes, n, err) < 0 ||
		    put(w, bytes, n, err) < 0)
			return -1;
		offset += n;
		len -= n;
	}
	return 0;
}

/* Entry i, a link, becomes the file `root` that was dropped. */
static int write_promoted(struct writing *w, uint32_t i, uint32_t root, struct strata_err *err)
{
	const struct strata_entry *link = &w->index->entries[i];
	const struct strata_entry *file = &w->index->entries[root];
	struct strata_tar_changes c = {0};
	cleanup_buf struct strata_buf records = {0};
	const uint32_t by_hand = STRATA_TAR_PATH | STRATA_TAR_RECORDS;
	const uint32_t of_link = link->changed & ~(by_hand | STRATA_TAR_LINKPATH);

	/* What the file links to, if it is a symlink, is its own. */
	fill_changes(w->index, file, file->changed & ~by_hand, &c);
	fill_changes(w->index, link, of_link | STRATA_TAR_PATH, &c);
	if (read_header(w->index, file, &w->raw, err) < 0 ||
	    read_header(w->index, link, &w->header, err) < 0 ||
	    changed_records(w->index, file, &w->raw, &records, err) < 0 ||
	    changed_records(w->index, link, &w->header, &records, err) < 0 ||
	    write_patched(w, &c, &records, err) < 0)
		return -1;
	if (file->replaced != 0)
		return write_replacement(w, file, err);
	if (write_range(w, file->data_offset, (uint64_t)file->stored, err) < 0)
		return -1;
	return write_padding(w, (uint64_t)file->stored, err);
}

static int write_changed(struct writing *w, const struct strata_entry *e, struct strata_err *err)
{
	struct strata_tar_changes c = {0};
	cleanup_buf struct strata_buf records = {0};

	w->raw.len = 0;
	fill_changes(w->index, e, e->changed & ~(uint32_t)STRATA_TAR_RECORDS, &c);
	if (w->measures && !(e->changed & STRATA_TAR_RECORDS) &&
	    strata_tar_patch_fits((size_t)(e->data_offset - e->header_offset), &c))
		return advance(w, e->data_offset, TO_OUT, err);
	if (advance(w, e->data_offset, TO_RAW, err) < 0)
		return -1;
	if (changed_records(w->index, e, &w->raw, &records, err) < 0 ||
	    write_patched(w, &c, &records, err) < 0)
		return -1;
	return e->replaced != 0 ? write_replacement(w, e, err) : 0;
}

static bool is_edited(const struct writing *w, uint32_t i)
{
	const struct strata_entry *e = &w->index->entries[i];

	return e->dropped || e->changed != 0 ||
	       (w->promoted != NULL && w->promoted[i] != STRATA_NO_ENTRY);
}

/* To hash fewer bytes twice costs less than to wait for their digest. */
#define SHARED_LEAST ((uint64_t)1 << 20)

/* The bytes before the first edited entry, which are those of the new tar as well. */
static uint64_t shared_bytes(const struct writing *w)
{
	uint32_t i = 0;

	while (i < w->index->count && !is_edited(w, i))
		i++;
	if (i == w->index->count || w->index->entries[i].header_offset < SHARED_LEAST)
		return 0;
	return w->index->entries[i].header_offset;
}

/* Writes them, and has the new tar hashed from there on. */
static int write_shared(struct writing *w, struct strata_err *err)
{
	struct strata_digest *digest;

	if (w->shared == 0)
		return 0;
	if (advance(w, w->shared, TO_OUT, err) < 0)
		return -1;
	digest = strata_blob_reader_forked(&w->in, err);
	if (digest == NULL)
		return -1;
	strata_blob_writer_hash(&w->out, digest);
	return 0;
}

static int write_entries(struct writing *w, struct strata_err *err)
{
	struct strata_index *index = w->index;

	for (uint32_t i = 0; i < index->count; i++) {
		const struct strata_entry *e = &index->entries[i];
		uint32_t root = w->promoted ? w->promoted[i] : STRATA_NO_ENTRY;
		uint64_t end = i + 1 < index->count ? index->entries[i + 1].header_offset
		                                    : index->end_offset;
		bool keep_payload = true;

		if (!is_edited(w, i))
			continue; /* copied with its neighbours */
		if (advance(w, e->header_offset, TO_OUT, err) < 0)
			return -1;
		if (e->dropped)
			keep_payload = false;
		else if (root != STRATA_NO_ENTRY) {
			keep_payload = false;
			if (write_promoted(w, i, root, err) < 0)
				return -1;
		} else {
			keep_payload = e->replaced == 0;
			if (write_changed(w, e, err) < 0)
				return -1;
		}
		if (!keep_payload && advance(w, end, NOWHERE, err) < 0)
			return -1;
	}
	return drain(w, err);
}

/* ---- the whole ---------------------------------------------------------- */

bool strata_plan_splices(const struct strata_index *index, enum strata_compression to, bool splice)
{
	return splice && to != STRATA_NONE && to == index->blob.compression;
}

static int run(struct writing *w, const struct strata_plan_options *options, struct strata_file *to,
               struct strata_blob_info *result, struct strata_err *err)
{
	struct strata_blob plain = w->index->blob;
	char digest[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	unsigned wanted = STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN;
	struct strata_work quiet = options->work;
	bool inflated,
	        splices = strata_plan_splices(w->index, options->compression, options->splice);

	if (resolve_links(w, err) < 0)
		return -1;
	quiet.progress = NULL;
	if (needs_random_access(w) &&
	    strata_index_inflate(w->index, options->temp_dir, &quiet, err) < 0)
		return -1;
	/* The blocks are those of the blob, whether it happens to be inflated already or not. */
	inflated = w->index->plain != NULL && !splices;
	if (inflated) {
		plain = (struct strata_blob){w->index->plain, 0, w->index->tar_size, STRATA_NONE,
		                             STRATA_SHA256};
	} else if (w->index->digest[0] != '\0') {
		/* The scan has hashed both: the same stored bytes inflate to the same diff_id. */
		wanted = STRATA_DIGEST_STORED;
	}
	if ((wanted & STRATA_DIGEST_PLAIN) && !splices)
		w->shared = shared_bytes(w);
	if (splices)
		wanted |= STRATA_BLOCKS;
	strata_splicer_init(&w->splicer, &w->out, splices);
	if (strata_blob_reader_open(&w->in, &plain, wanted, &w->index->inflate, &options->work,
	                            err) < 0)
		return -1;
	strata_blob_reader_fork(&w->in, w->shared);
	if (strata_blob_writer_open(&w->out, to, options->compression, options->level,
	                            w->shared == 0, &options->work, err) < 0)
		return -1;
	if (options->placed)
		strata_blob_writer_place(&w->out, options->offset, options->size);
	if ((splices && strata_blob_writer_allow_runs(&w->out, err) < 0) ||
	    write_shared(w, err) < 0 || write_entries(w, err) < 0 ||
	    strata_blob_reader_digests(&w->in, digest, diff_id, err) < 0)
		return -1;
	if (!(wanted & STRATA_DIGEST_PLAIN)) {
		if (strata_digest_expect("digest", w->index->digest, digest, err) < 0)
			return -1;
		memcpy(diff_id, w->index->diff_id, sizeof(diff_id)); // NOLINT: it is an array
	}
	if (strata_digest_expect("diff_id", options->expected.diff_id, diff_id, err) < 0)
		return -1;
	if (!inflated && strata_digest_expect("digest", options->expected.digest, digest, err) < 0)
		return -1;
	if (w->in.plain_total != w->index->tar_size)
		return strata_fail(err, "EFORMAT", "layer changed while it was read");
	result->kept = strata_splicer_kept(&w->splicer);
	return strata_blob_writer_close(&w->out, result, err);
}

static void close_writing(struct writing *w)
{
	free(w->promoted);
	strata_buf_free(&w->raw);
	strata_buf_free(&w->header);
}

int strata_plan_write(struct strata_index *index, const struct strata_plan_options *options,
                      struct strata_file *to, struct strata_blob_info *result,
                      struct strata_err *err)
{
	struct writing w = {.index = index};
	int status = run(&w, options, to, result, err);

	if (status < 0)
		strata_blob_writer_abort(&w.out, err);
	strata_blob_reader_close(&w.in);
	strata_splicer_free(&w.splicer);
	strata_blob_writer_free(&w.out);
	close_writing(&w);
	return status;
}

int strata_plan_measure(struct strata_index *index, uint64_t *size, struct strata_err *err)
{
	struct writing w = {.index = index, .measures = true};
	int status = resolve_links(&w, err);

	if (status == 0)
		status = write_entries(&w, err);
	close_writing(&w);
	*size = w.measured;
	return status;
}
