#include "core/layer/checkpoint.h"

#include <stdlib.h>

/*
 * An entry as numbers, for which neighbours in a tar have much the same values. Every field of it
 * has to be in both functions below.
 */
#define NUMBERS 16
#define NUMBER_MAX 10 /* bytes of one: seven bits in each */

_Static_assert(sizeof(struct strata_entry) == 128, "numbers_of and entry_of have all fields");

static uint64_t pair(uint32_t low, uint32_t high)
{
	return low | (uint64_t)high << 32;
}

static uint64_t pair_of_path(struct strata_path path)
{
	return pair(path.offset, path.len);
}

static struct strata_path path_of(uint64_t number)
{
	return (struct strata_path){(uint32_t)number, (uint16_t)(number >> 32)};
}

static void numbers_of(const struct strata_entry *e, uint64_t n[NUMBERS])
{
	uint32_t bits = (uint32_t)e->sparse | (uint32_t)e->timed << 1 | (uint32_t)e->dropped << 2 |
	                (uint32_t)e->marked << 3 | (uint32_t)e->retargeted << 4 |
	                (uint32_t)e->renamed << 5 | (uint32_t)e->drafted << 6;

	n[0] = e->header_offset;
	n[1] = e->data_offset;
	n[2] = (uint64_t)e->size;
	n[3] = (uint64_t)e->stored;
	n[4] = (uint64_t)e->mtime;
	n[5] = pair(e->mtime_nsec, e->mode);
	n[6] = pair(e->uid, e->gid);
	n[7] = pair(e->devmajor, e->devminor);
	n[8] = pair(e->pax.offset, e->pax.len);
	n[9] = pair_of_path(e->name);
	n[10] = pair_of_path(e->path);
	n[11] = pair_of_path(e->linkpath);
	n[12] = pair_of_path(e->uname);
	n[13] = pair_of_path(e->gname);
	n[14] = pair((uint32_t)e->changed << 16 | e->findings, e->replaced);
	n[15] = pair((uint32_t)(unsigned char)e->typeflag << 16 | (uint32_t)e->format << 8 | bits,
	             e->times);
}

static struct strata_entry entry_of(const uint64_t n[NUMBERS])
{
	return (struct strata_entry){
	        .header_offset = n[0],
	        .data_offset = n[1],
	        .size = (int64_t)n[2],
	        .stored = (int64_t)n[3],
	        .mtime = (int64_t)n[4],
	        .mtime_nsec = (uint32_t)n[5],
	        .mode = (uint32_t)(n[5] >> 32),
	        .uid = (uint32_t)n[6],
	        .gid = (uint32_t)(n[6] >> 32),
	        .devmajor = (uint32_t)n[7],
	        .devminor = (uint32_t)(n[7] >> 32),
	        .pax = {(uint32_t)n[8], (uint32_t)(n[8] >> 32)},
	        .name = path_of(n[9]),
	        .path = path_of(n[10]),
	        .linkpath = path_of(n[11]),
	        .uname = path_of(n[12]),
	        .gname = path_of(n[13]),
	        .changed = (uint16_t)(n[14] >> 16),
	        .findings = (uint16_t)n[14],
	        .replaced = (uint32_t)(n[14] >> 32),
	        .times = (uint32_t)(n[15] >> 32),
	        .typeflag = (char)(n[15] >> 16 & 0xff),
	        .format = (uint8_t)(n[15] >> 8),
	        .sparse = n[15] & 1,
	        .timed = n[15] >> 1 & 1,
	        .dropped = n[15] >> 2 & 1,
	        .marked = n[15] >> 3 & 1,
	        .retargeted = n[15] >> 4 & 1,
	        .renamed = n[15] >> 5 & 1,
	        .drafted = n[15] >> 6 & 1,
	};
}

/* A difference, small ones of either sign in few bytes. Returns the end. */
static unsigned char *put(unsigned char *to, uint64_t difference)
{
	uint64_t rest = difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);

	for (; rest >= 0x80; rest >>= 7)
		*to++ = (unsigned char)(rest | 0x80);
	*to++ = (unsigned char)rest;
	return to;
}

static const unsigned char *take(const unsigned char *from, uint64_t *difference)
{
	uint64_t value = 0;
	unsigned shift = 0;

	for (; *from & 0x80; shift += 7)
		value |= (uint64_t)(*from++ & 0x7f) << shift;
	value |= (uint64_t)*from++ << shift;
	*difference = value >> 1 ^ (value & 1 ? UINT64_MAX : 0);
	return from;
}

/* Two bytes say which numbers differ from the entry before. */
static int pack(const struct strata_index *index, struct strata_buf *out, struct strata_err *err)
{
	uint64_t before[NUMBERS] = {0}, now[NUMBERS];

	for (uint32_t i = 0; i < index->count; i++) {
		if (strata_buf_reserve(out, 2 + NUMBERS * NUMBER_MAX, err) < 0)
			return -1;
		unsigned char *head = (unsigned char *)out->data + out->len, *to = head + 2;
		unsigned differs = 0;

		numbers_of(&index->entries[i], now);
		for (unsigned k = 0; k < NUMBERS; k++) {
			if (now[k] == before[k])
				continue;
			differs |= 1u << k;
			to = put(to, now[k] - before[k]);
			before[k] = now[k];
		}
		head[0] = (unsigned char)differs;
		head[1] = (unsigned char)(differs >> 8);
		out->len += (size_t)(to - head);
	}
	return 0;
}

static void unpack(const struct strata_buf *packed, struct strata_entry *entries, uint32_t count)
{
	const unsigned char *from = (const unsigned char *)packed->data;
	uint64_t numbers[NUMBERS] = {0}, difference;

	for (uint32_t i = 0; i < count; i++) {
		unsigned differs = from[0] | (unsigned)from[1] << 8;

		from += 2;
		for (unsigned k = 0; k < NUMBERS; k++) {
			if (!(differs >> k & 1))
				continue;
			from = take(from, &difference);
			numbers[k] += difference;
		}
		entries[i] = entry_of(numbers);
	}
}

int strata_checkpoint_take(struct strata_checkpoint *c, struct strata_index *index,
                           struct strata_err *err)
{
	*c = (struct strata_checkpoint){
	        .taken = true,
	        .arena_len = index->arena.len,
	        .count = index->count,
	        .replacement_count = index->replacement_count,
	        .former_count = index->former_count,
	        .revision = index->revision,
	};
	if (pack(index, &c->packed, err) < 0) {
		strata_checkpoint_free(c);
		return -1;
	}
	index->kept_replacements = index->replacement_count; /* they are needed to go back */
	return 0;
}

bool strata_checkpoint_restore(struct strata_checkpoint *c, struct strata_index *index)
{
	if (!c->taken || c->arena_len > index->arena.len ||
	    c->replacement_count > index->replacement_count)
		return false;
	unpack(&c->packed, index->entries, c->count);
	for (uint32_t i = c->replacement_count; i < index->replacement_count; i++)
		free(index->replacements[i].data);
	index->replacement_count = c->replacement_count;
	index->former_count = c->former_count;
	index->arena.len = c->arena_len;
	/* A number that was used means other edits to those who remember it. */
	strata_index_was_edited(index);
	if (c->revision == 0)
		index->revision = 0;
	strata_index_forget_paths(index);
	strata_checkpoint_free(c);
	return true;
}

void strata_checkpoint_free(struct strata_checkpoint *c)
{
	strata_buf_free(&c->packed);
	*c = (struct strata_checkpoint){0};
}
