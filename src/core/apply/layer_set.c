/*
 * What the layer being applied has made, so that its whiteouts spare it.
 *
 * A directory that it has made, or has cleared of what is from below, is
 * clean: all that is in it, now and later, is the layer's. Names are kept for
 * other directories only. So a layer on an empty directory keeps one number per
 * directory, and a directory is looked through once per layer at most.
 */
#include <string.h>

#include "core/apply/internal.h"

static uint64_t hash_of(const struct strata_apply *a, const struct stat *dir, const char *name)
{
	char key[sizeof(dir->st_dev) + sizeof(dir->st_ino) + 256];
	size_t len = strlen(name), at = 0;
	uint64_t hash;

	memcpy(key, &dir->st_dev, sizeof(dir->st_dev));
	at += sizeof(dir->st_dev);
	memcpy(key + at, &dir->st_ino, sizeof(dir->st_ino));
	at += sizeof(dir->st_ino);
	if (len > 256)
		len = 256;
	memcpy(key + at, name, len);
	hash = strata_hash(a->hash_key, key, at + len);
	return hash != 0 ? hash : 1;
}

static size_t slot_of(const struct apply_set *set, uint64_t hash)
{
	size_t i = (size_t)hash & set->mask;

	while (set->slots[i] != 0 && set->slots[i] != hash)
		i = (i + 1) & set->mask;
	return i;
}

static int grow(struct apply_set *set, struct strata_err *err)
{
	size_t old = set->slots != NULL ? set->mask + 1 : 0;
	size_t size = old != 0 ? old * 2 : 64;
	struct apply_set grown = {strata_reallocarray(NULL, size, sizeof(*set->slots)), size - 1,
	                          set->count};

	if (size > SIZE_MAX / 16 || grown.slots == NULL)
		return strata_fail_nomem(err);
	memset(grown.slots, 0, size * sizeof(*grown.slots));
	for (size_t i = 0; i < old; i++)
		if (set->slots[i] != 0)
			grown.slots[slot_of(&grown, set->slots[i])] = set->slots[i];
	free(set->slots);
	*set = grown;
	return 0;
}

static int add(struct apply_set *set, uint64_t hash, struct strata_err *err)
{
	size_t i;

	if ((set->slots == NULL || set->count >= set->mask / 2) && grow(set, err) < 0)
		return -1;
	i = slot_of(set, hash);
	if (set->slots[i] == 0)
		set->count++;
	set->slots[i] = hash;
	return 0;
}

static bool has(const struct apply_set *set, uint64_t hash)
{
	return set->slots != NULL && set->slots[slot_of(set, hash)] != 0;
}

int apply_mark_clean(struct strata_apply *a, const struct stat *dir, struct strata_err *err)
{
	return add(&a->clean, hash_of(a, dir, ""), err);
}

bool apply_is_clean(const struct strata_apply *a, const struct stat *dir)
{
	return has(&a->clean, hash_of(a, dir, ""));
}

int apply_mark_made(struct strata_apply *a, const struct stat *dir, const char *name,
                    struct strata_err *err)
{
	return add(&a->made, hash_of(a, dir, name), err);
}

bool apply_is_made(const struct strata_apply *a, const struct stat *dir, const char *name)
{
	return has(&a->made, hash_of(a, dir, name));
}

void apply_forget_seen(struct strata_apply *a)
{
	free(steal_pointer(&a->made.slots));
	free(steal_pointer(&a->clean.slots));
	a->made = a->clean = (struct apply_set){0};
}
