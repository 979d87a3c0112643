#include "core/layer/draft.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/plan.h"
#include "core/layer/splicer.h"

struct strata_draft {
	struct strata_index *index;
	struct strata_draft_rules rules;
	struct strata_work work;
	bool over;                /* nothing comes of it */
	struct strata_buf hidden; /* the path that a whiteout hides */

	/* The chunk that is being parsed. */
	const char *bytes;
	uint64_t from; /* in the tar */
	uint64_t end;
	const struct strata_packed *packed;
	bool fed; /* the splicer knows what it was inflated from */

	/* What lies before has been kept or dropped, and so is what follows, up to part_end. */
	uint64_t position;
	uint64_t part_end;
	bool dropping;
	struct strata_buf held; /* the bytes of a header that the chunk before begins */

	struct strata_file *file; /* NULL until an entry is dropped */
	struct strata_blob_writer out;
	struct strata_splicer splicer;
};

struct strata_draft *strata_draft_begin(struct strata_index *index,
                                        const struct strata_draft_rules *rules,
                                        const struct strata_work *work)
{
	struct strata_draft *draft;

	if (rules->drop == NULL || index->scanned ||
	    !strata_plan_splices(index, index->blob.compression, true))
		return NULL;
	draft = calloc(1, sizeof(*draft));
	if (draft == NULL)
		return NULL;
	draft->index = index;
	draft->rules = *rules;
	if (work != NULL)
		draft->work = *work;
	return draft;
}

/* Lets go of all that writing needs. */
static void stop(struct strata_draft *draft)
{
	draft->over = true;
	strata_splicer_free(&draft->splicer);
	strata_blob_writer_free(&draft->out);
	strata_file_unref(steal_pointer(&draft->file));
	strata_buf_free(&draft->held);
}

void strata_draft_free(struct strata_draft *draft)
{
	if (draft == NULL)
		return;
	stop(draft);
	strata_buf_free(&draft->hidden);
	free(draft);
}

/* ---- writing ------------------------------------------------------------------ */

static int put(struct strata_draft *draft, const char *bytes, size_t len, struct strata_err *err)
{
	return draft->dropping ? strata_splicer_pass(&draft->splicer, len, err)
	                       : strata_splicer_keep(&draft->splicer, bytes, len, err);
}

/* Tells the splicer what the chunk was inflated from, when all before it has gone there. */
static int feed(struct strata_draft *draft, struct strata_err *err)
{
	if (draft->fed || draft->position < draft->from)
		return 0;
	draft->fed = true;
	return strata_splicer_feed(&draft->splicer, draft->packed, err);
}

/* Keeps or drops all up to an offset, which is in the chunk. */
static int advance(struct strata_draft *draft, uint64_t to, struct strata_err *err)
{
	if (to <= draft->position)
		return 0;
	if (draft->file != NULL) {
		if (draft->position < draft->from) {
			/* Of what is dropped nothing is held. */
			if (put(draft, draft->held.data, (size_t)(draft->from - draft->position),
			        err) < 0)
				return -1;
			draft->held.len = 0;
			draft->position = draft->from;
		}
		if (feed(draft, err) < 0 ||
		    put(draft, draft->bytes + (draft->position - draft->from),
		        (size_t)(to - draft->position), err) < 0)
			return -1;
	}
	draft->position = to;
	return 0;
}

/* Holds the rest of the chunk, which begins a header, until it is known whether that is dropped. */
static int hold(struct strata_draft *draft, struct strata_err *err)
{
	if (draft->file == NULL || draft->position == draft->end)
		return 0;
	return strata_buf_append(&draft->held, draft->bytes + (draft->position - draft->from),
	                         (size_t)(draft->end - draft->position), err);
}

/* Keeps the tar up to an offset, which is read for it once more. */
static int keep_front(struct strata_draft *draft, uint64_t to, struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader in = {0};
	struct strata_work quiet = draft->work;
	const char *bytes;
	size_t len, n;

	quiet.progress = NULL;
	if (strata_blob_reader_open(&in, &draft->index->blob, STRATA_BLOCKS, &draft->index->inflate,
	                            &quiet, err) < 0)
		return -1;
	for (uint64_t at = 0; at < to; at += n) {
		if (strata_blob_reader_next(&in, &bytes, &len, err) < 0)
			return -1;
		if (len == 0)
			return strata_fail(err, "EFORMAT", "layer changed while it was read");
		n = to - at < len ? (size_t)(to - at) : len;
		if (strata_splicer_feed(&draft->splicer, strata_blob_reader_packed(&in), err) < 0 ||
		    strata_splicer_keep(&draft->splicer, bytes, n, err) < 0)
			return -1;
	}
	return 0;
}

/* Opens the blob, in which all up to an offset stays. */
static int begin_file(struct strata_draft *draft, uint64_t to, struct strata_err *err)
{
	draft->file = strata_file_temp(draft->rules.temp_dir, NULL, err);
	if (draft->file == NULL ||
	    strata_blob_writer_open(&draft->out, draft->file, draft->index->blob.compression, -1,
	                            true, &draft->work, err) < 0 ||
	    strata_blob_writer_allow_runs(&draft->out, err) < 0)
		return -1;
	strata_splicer_init(&draft->splicer, &draft->out, true);
	draft->fed = to > draft->from;
	return keep_front(draft, to, err);
}

/* ---- the calls ---------------------------------------------------------------- */

void strata_draft_chunk(struct strata_draft *draft, const struct strata_blob_reader *in,
                        const char *bytes, size_t len)
{
	draft->bytes = bytes;
	draft->from = draft->end;
	draft->end += len;
	draft->packed = strata_blob_reader_packed(in);
	draft->fed = false;
}

void strata_draft_entry(struct strata_draft *draft)
{
	struct strata_index *index = draft->index;
	struct strata_entry *e = &index->entries[index->count - 1];
	uint64_t stored = (uint64_t)e->stored;
	struct strata_err err;
	int drops = -1;

	if (draft->over)
		return;
	if (advance(draft, e->header_offset, &err) == 0)
		drops = strata_plan_covers(index, e, draft->rules.drop, draft->rules.whiteouts,
		                           NULL, &draft->hidden, &err);
	if (drops < 0 ||
	    (drops > 0 && draft->file == NULL && begin_file(draft, e->header_offset, &err) < 0))
		stop(draft);
	e->drafted = drops > 0;
	draft->dropping = drops > 0;
	draft->part_end = e->data_offset + stored + strata_tar_padding(stored);
}

void strata_draft_tail(struct strata_draft *draft)
{
	struct strata_err err;

	if (!draft->over &&
	    advance(draft, draft->part_end < draft->end ? draft->part_end : draft->end, &err) < 0)
		stop(draft);
	draft->dropping = false;
	draft->part_end = UINT64_MAX;
}

void strata_draft_parsed(struct strata_draft *draft)
{
	bool is_payload = draft->part_end > draft->from;
	uint64_t to = draft->part_end < draft->end ? draft->part_end : draft->end;
	struct strata_err err;

	if (draft->over)
		return;
	/* What is held goes to the splicer before this chunk, so it cannot be two of them. */
	if ((!is_payload && draft->held.len > 0) || advance(draft, to, &err) < 0 ||
	    (draft->file != NULL && feed(draft, &err) < 0) || hold(draft, &err) < 0)
		stop(draft);
}

static int finish(struct strata_draft *draft, struct strata_blob_info *info, struct strata_err *err)
{
	if (put(draft, draft->held.data, draft->held.len, err) < 0 ||
	    strata_splicer_finish(&draft->splicer, err) < 0 ||
	    strata_blob_writer_close(&draft->out, info, err) < 0)
		return -1;
	info->kept = strata_splicer_kept(&draft->splicer);
	return 0;
}

void strata_draft_end(struct strata_draft *draft)
{
	struct strata_err err;

	draft->dropping = false;
	if (!draft->over && draft->file != NULL &&
	    finish(draft, &draft->index->draft_info, &err) == 0)
		draft->index->draft = steal_pointer(&draft->file);
	stop(draft);
}

/* ---- whether it is right --------------------------------------------------------- */

/* Whether a hardlink is kept whose file, or the name that it holds, is not: it is written anew. */
static bool is_stranded(const struct strata_index *index, uint32_t i)
{
	const struct strata_link *link = &index->links[i];

	return index->entries[i].typeflag == '1' && link->root != STRATA_NO_ENTRY &&
	       (index->entries[link->root].dropped || index->entries[link->target].dropped);
}

static bool is_right(const struct strata_index *index)
{
	for (uint32_t i = 0; i < index->count; i++) {
		const struct strata_entry *e = &index->entries[i];

		if (e->dropped != e->drafted)
			return false;
		if (!e->dropped &&
		    (e->changed != 0 || (index->links != NULL && is_stranded(index, i))))
			return false;
	}
	return true;
}

struct strata_file *strata_draft_take(struct strata_index *index, struct strata_blob_info *info)
{
	struct strata_file *file = steal_pointer(&index->draft);

	*info = index->draft_info;
	if (file != NULL && !is_right(index))
		strata_file_unref(steal_pointer(&file));
	return file;
}
