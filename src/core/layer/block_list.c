#include "core/layer/block_list.h"

#include <stdlib.h>

#include "core/base/grow.h"
#include "core/layer/blob_writer.h"

#define LEAST_FIRST ((size_t)4 << 10)
#define LEAST_MAX (STRATA_RUN_PACKED / 8)
#define PLAIN_PER_PACKED 4

void strata_block_list_free(struct strata_block_list *list)
{
	free(list->blocks);
	*list = (struct strata_block_list){0};
}

/*
 * A member's last block stays alone: where it begins has to be known (splice.h). Frames, which have
 * no history, have none behind those before them either.
 */
static bool joins(const struct strata_block *last, const struct strata_block *b, size_t least)
{
	return !last->final && !b->final && last->to == b->from &&
	       (last->member == b->member || b->member >= last->from) && last->bit_end == b->bit &&
	       (b->bit_end - last->bit) / 8 < least &&
	       b->to - last->from < PLAIN_PER_PACKED * least;
}

/* Joins b with the last one, if it can be. */
static bool join(struct strata_block_list *list, const struct strata_block *b)
{
	struct strata_block *last = list->count > 0 ? &list->blocks[list->count - 1] : NULL;

	if (last == NULL || !joins(last, b, list->least))
		return false;
	last->bit_end = b->bit_end;
	last->to = b->to;
	return true;
}

/* Makes room where the list is full: joins more of them. */
static void thin_out(struct strata_block_list *list)
{
	while (list->count > STRATA_BLOCK_LIST_MAX / 2 && list->least < LEAST_MAX) {
		uint32_t count = list->count;

		list->least *= 2;
		list->count = 0;
		for (uint32_t i = 0; i < count; i++) {
			const struct strata_block b = list->blocks[i];

			if (!join(list, &b))
				list->blocks[list->count++] = b;
		}
	}
}

static int add(struct strata_block_list *list, const struct strata_block *b, struct strata_err *err)
{
	if (join(list, b))
		return 0;
	if (list->count == STRATA_BLOCK_LIST_MAX)
		thin_out(list);
	if (list->count == STRATA_BLOCK_LIST_MAX)
		return 0; /* those behind it are not known */
	if (strata_grow(list->blocks, list->count, err) < 0)
		return -1;
	list->blocks[list->count++] = *b;
	return 0;
}

int strata_block_list_add(struct strata_block_list *list, const struct strata_packed *packed,
                          struct strata_err *err)
{
	if (list->least == 0)
		list->least = LEAST_FIRST;
	for (size_t i = 0; packed != NULL && i < packed->count; i++)
		if (add(list, &packed->blocks[i], err) < 0)
			return -1;
	return 0;
}

uint32_t strata_block_list_find(const struct strata_block_list *list, uint64_t offset)
{
	uint32_t low = 0, high = list->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strata_block_history(&list->blocks[middle]) >= offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
