#include "core/layer/splicer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/codec/window.h"

#define FORGET_MIN ((size_t)128 << 10)

void strata_splicer_init(struct strata_splicer *s, struct strata_blob_writer *out, bool active)
{
	s->out = out;
	s->active = active;
}

void strata_splicer_free(struct strata_splicer *s)
{
	strata_buf_free(&s->plain);
	strata_buf_free(&s->packed);
	free(s->blocks);
	*s = (struct strata_splicer){0};
}

static void drop_front(struct strata_buf *b, size_t n)
{
	if (n > 0)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

/* ---- handing over to the writer ---------------------------------------------- */

/* Hands the run over. ends: nothing behind it belongs to it. */
static int put_run(struct strata_splicer *s, bool ends, struct strata_err *err)
{
	struct strata_run run = {
	        .bit = (unsigned)(s->run_bit % 8),
	        .bits = s->run_bit_end - s->run_bit,
	        .final = s->run_final,
	        .joins = s->joins,
	};
	size_t len;

	if (!s->in_run)
		return 0;
	run.packed = (const unsigned char *)s->packed.data + (s->run_bit / 8 - s->packed_from);
	len = (size_t)(s->run_to - s->plain_from);
	if (strata_blob_writer_copy(s->out, &run, ends || !s->joins, s->plain.data, len, err) < 0)
		return -1;
	drop_front(&s->plain, len);
	s->plain_from = s->run_to;
	s->stayed += run.bits;
	s->in_run = false;
	return 0;
}

/* Hands kept bytes over, to be compressed: those up to an offset of the old tar. */
static int put_plain(struct strata_splicer *s, uint64_t to, struct strata_err *err)
{
	size_t len;

	if (to == s->plain_from)
		return 0;
	if (put_run(s, true, err) < 0)
		return -1;
	len = (size_t)(to - s->plain_from);
	if (strata_blob_writer_write(s->out, s->plain.data, len, err) < 0)
		return -1;
	drop_front(&s->plain, len);
	s->plain_from = to;
	return 0;
}

/* ---- which blocks stay ----------------------------------------------------------- */

static size_t packed_bytes(uint64_t bit, uint64_t bit_end)
{
	return (size_t)((bit_end + 7) / 8 - bit / 8);
}

/* Whether a block may stay, wherever it is put. */
static bool can_stay(const struct strata_splicer *s, const struct strata_block *b)
{
	const struct strata_run_limits *max = &s->out->runs;

	/* The empty block that ends a member is of no use. */
	return s->keeping && s->kept_from <= strata_block_history(b) && s->plain_from <= b->from &&
	       !(b->final && b->from == b->to) && b->to - b->from <= max->block_plain &&
	       b->bit / 8 >= s->packed_from &&
	       (b->bit_end + 7) / 8 <= s->packed_from + s->packed.len &&
	       strata_block_packed(b) <= max->block_packed;
}

/* It is a run of its own. */
static bool is_large(const struct strata_splicer *s, const struct strata_block *b)
{
	return b->to - b->from > s->out->runs.plain ||
	       packed_bytes(b->bit, b->bit_end) > s->out->runs.packed;
}

static void begin_run(struct strata_splicer *s, const struct strata_block *b, bool joins)
{
	s->in_run = true;
	s->joins = joins;
	s->run_bit = b->bit;
	s->closed = false;
}

static void add_block(struct strata_splicer *s, const struct strata_block *b)
{
	s->run_bit_end = b->bit_end;
	s->run_to = b->to;
	s->run_final = (b->final ? b->bit : b->bit_end) - s->run_bit;
	s->closed = b->final;
}

/* A block that has ended, and whose output is kept to its end. */
static int take_block(struct strata_splicer *s, const struct strata_block *b,
                      struct strata_err *err)
{
	const struct strata_run_limits *max = &s->out->runs;
	bool follows = s->in_run && !s->closed && s->run_bit_end == b->bit && s->run_to == b->from;

	if (!can_stay(s, b))
		return 0;
	if (follows && b->to - s->plain_from <= max->plain &&
	    packed_bytes(s->run_bit, b->bit_end) <= max->packed) {
		add_block(s, b);
		return 0;
	}
	if (b->from == b->to)
		return 0;
	if (follows) {
		if (put_run(s, false, err) < 0)
			return -1;
	} else {
		if (strata_block_packed(b) < max->first)
			return 0;
		if (put_run(s, true, err) < 0 || put_plain(s, b->from, err) < 0)
			return -1;
	}
	begin_run(s, b, follows);
	add_block(s, b);
	/* One of these at a time. */
	return is_large(s, b) ? put_run(s, true, err) : 0;
}

/* Forgets blocks that have been passed, and stored bytes that nothing needs: seldom, as it moves
 * the others. */
static void forget(struct strata_splicer *s, size_t blocks)
{
	uint64_t bit, n;

	s->block_count -= blocks;
	if (blocks > 0)
		memmove(s->blocks, s->blocks + blocks, s->block_count * sizeof(*s->blocks));
	bit = s->in_run ? s->run_bit : s->block_count > 0 ? s->blocks[0].bit : s->next_bit;
	if (bit / 8 <= s->packed_from)
		return;
	n = bit / 8 - s->packed_from;
	n = n < s->packed.len ? n : s->packed.len;
	if (n < FORGET_MIN || n < s->packed.len / 2)
		return;
	drop_front(&s->packed, (size_t)n);
	s->packed_from += n;
}

/* Decides about all blocks that end before the position. */
static int settle(struct strata_splicer *s, struct strata_err *err)
{
	uint64_t undecided;
	size_t i = 0;

	for (; i < s->block_count && s->blocks[i].to <= s->position; i++)
		if (take_block(s, &s->blocks[i], err) < 0)
			return -1;
	forget(s, i);
	/* The rest belongs to a block whose end is to come, if that can stay. */
	undecided = s->block_count > 0 ? s->blocks[0].from : s->next_from;
	if (undecided > s->position || s->position - undecided > s->out->runs.block_plain)
		undecided = s->position;
	if (s->in_run && undecided < s->run_to)
		undecided = s->run_to;
	if (undecided > s->plain_from && !(s->in_run && undecided == s->run_to))
		return put_plain(s, undecided, err);
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------- */

static int add_blocks(struct strata_splicer *s, const struct strata_block *blocks, size_t count,
                      struct strata_err *err)
{
	if (s->block_cap - s->block_count < count) {
		size_t cap = s->block_count + count + STRATA_PACKED_BLOCKS;
		struct strata_block *grown = strata_reallocarray(s->blocks, cap, sizeof(*grown));

		if (grown == NULL)
			return strata_fail_nomem(err);
		s->blocks = grown;
		s->block_cap = cap;
	}
	if (count > 0) {
		memcpy(s->blocks + s->block_count, blocks, count * sizeof(*blocks));
		s->block_count += count;
		s->next_from = blocks[count - 1].to;
		s->next_bit = blocks[count - 1].bit_end;
	}
	return 0;
}

/* Stored bytes that are held at most: of a run, of a block behind it, and what was read. */
static size_t packed_max(const struct strata_splicer *s)
{
	return s->out->runs.packed + s->out->runs.block_packed + STRATA_PACKED_MAX;
}

static uint64_t packed_end(const struct strata_splicer *s)
{
	return s->packed_from + s->packed.len;
}

/* Forgets all stored bytes: those that come next are at that offset. The run needs them. */
static int restart_packed(struct strata_splicer *s, uint64_t offset, struct strata_err *err)
{
	if (put_run(s, true, err) < 0)
		return -1;
	s->packed_from = offset;
	s->packed.len = 0;
	return 0;
}

int strata_splicer_feed(struct strata_splicer *s, const struct strata_packed *packed,
                        struct strata_err *err)
{
	uint64_t offset;

	if (!s->active || packed == NULL)
		return 0;
	offset = packed->bytes.len > 0 ? packed->offset : packed_end(s);
	if ((offset != packed_end(s) || packed->over || s->packed.len > packed_max(s)) &&
	    restart_packed(s, offset, err) < 0)
		return -1;
	if (strata_buf_append(&s->packed, packed->bytes.data, packed->bytes.len, err) < 0)
		return -1;
	return add_blocks(s, packed->blocks, packed->count, err);
}

/* Reads the stored bytes of blocks of the list, and feeds them. */
static int feed_listed(struct strata_splicer *s, const struct strata_block *blocks, size_t count,
                       struct strata_err *err)
{
	uint64_t first = blocks[0].bit / 8, end = (blocks[count - 1].bit_end + 7) / 8;
	size_t len;

	if (end - first > packed_max(s))
		return 0;
	if ((first > packed_end(s) || s->packed.len > packed_max(s)) &&
	    restart_packed(s, first, err) < 0)
		return -1;
	/* Blocks that follow each other may share a byte. */
	first = packed_end(s);
	len = end > first ? (size_t)(end - first) : 0;
	if (strata_buf_reserve(&s->packed, len, err) < 0 ||
	    strata_file_read(s->blob->file, s->blob->offset + first, s->packed.data + s->packed.len,
	                     len, err) < 0)
		return -1;
	s->packed.len += len;
	return add_blocks(s, blocks, count, err);
}

/* Feeds the blocks of the list that end with the next bytes, up to an offset of the old tar. */
static int advance_listed(struct strata_splicer *s, uint64_t to, struct strata_err *err)
{
	const struct strata_block *blocks = s->list->blocks;
	uint32_t first = s->listed, count = s->list->count;

	while (s->listed < count && blocks[s->listed].to <= to)
		s->listed++;
	if (s->listed > first && feed_listed(s, blocks + first, s->listed - first, err) < 0)
		return -1;
	/* Bytes that no block of the list will hold do not wait. */
	s->next_from = s->listed < count ? blocks[s->listed].from : UINT64_MAX;
	return 0;
}

int strata_splicer_keep(struct strata_splicer *s, const void *bytes, size_t len,
                        struct strata_err *err)
{
	if (len == 0)
		return 0;
	if (!s->active)
		return strata_blob_writer_write(s->out, bytes, len, err);
	if (s->list != NULL && advance_listed(s, s->position + len, err) < 0)
		return -1;
	if (!s->keeping) {
		s->keeping = true;
		s->kept_from = s->plain_from = s->position;
	}
	if (strata_buf_append(&s->plain, bytes, len, err) < 0)
		return -1;
	s->position += len;
	return settle(s, err);
}

/* Ends the range of kept bytes. */
static int end_kept(struct strata_splicer *s, struct strata_err *err)
{
	if (!s->keeping)
		return 0;
	if (put_run(s, true, err) < 0 || put_plain(s, s->position, err) < 0)
		return -1;
	s->keeping = false;
	return 0;
}

int strata_splicer_pass(struct strata_splicer *s, uint64_t len, struct strata_err *err)
{
	if (len == 0 || !s->active)
		return 0;
	if (end_kept(s, err) < 0)
		return -1;
	s->position += len;
	s->plain_from = s->position;
	return settle(s, err);
}

int strata_splicer_turn(struct strata_splicer *s, const struct strata_blob *blob,
                        const struct strata_block_list *list, uint64_t offset,
                        struct strata_err *err)
{
	if (!s->active || (s->keeping && s->list == list && s->position == offset))
		return 0;
	if (end_kept(s, err) < 0)
		return -1;
	s->blob = blob;
	s->list = list;
	s->listed = list != NULL ? strata_block_list_find(list, offset) : 0;
	s->next_from = UINT64_MAX;
	s->position = s->plain_from = offset;
	s->block_count = 0;
	return restart_packed(s, 0, err);
}

int strata_splicer_write(struct strata_splicer *s, const void *bytes, size_t len,
                         struct strata_err *err)
{
	if (len == 0)
		return 0;
	if (end_kept(s, err) < 0)
		return -1;
	return strata_blob_writer_write(s->out, bytes, len, err);
}

int strata_splicer_finish(struct strata_splicer *s, struct strata_err *err)
{
	/* The end of the last block may have given no byte. */
	if (s->active && settle(s, err) < 0)
		return -1;
	return end_kept(s, err);
}
