#include "core/apply/layer_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/mem.h"

static uint64_t hash_of_bytes(const struct layer_set *set, const char *bytes, size_t len)
{
	uint64_t hash = strata_hash(set->key, bytes, len);

	return hash != 0 ? hash : 1;
}

static uint64_t hash_of(const struct layer_set *set, const struct stat *dir, const char *name)
{
	char key[sizeof(dir->st_dev) + sizeof(dir->st_ino) + 256];
	size_t len = strlen(name), at = 0;

	memcpy(key, &dir->st_dev, sizeof(dir->st_dev));
	at += sizeof(dir->st_dev);
	memcpy(key + at, &dir->st_ino, sizeof(dir->st_ino));
	at += sizeof(dir->st_ino);
	if (len > 256)
		len = 256;
	memcpy(key + at, name, len);
	return hash_of_bytes(set, key, at + len);
}

static size_t slot_of(const struct hash_set *set, uint64_t hash)
{
	size_t i = (size_t)hash & set->mask;

	while (set->slots[i] != 0 && set->slots[i] != hash)
		i = (i + 1) & set->mask;
	return i;
}

static int grow(struct hash_set *set, struct strata_err *err)
{
	size_t old = set->slots != NULL ? set->mask + 1 : 0;
	size_t size = old != 0 ? old * 2 : 64;
	struct hash_set grown = {strata_reallocarray(NULL, size, sizeof(*set->slots)), size - 1,
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

static int add(struct hash_set *set, uint64_t hash, struct strata_err *err)
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

static bool has(const struct hash_set *set, uint64_t hash)
{
	return set->slots != NULL && set->slots[slot_of(set, hash)] != 0;
}

void layer_set_init(struct layer_set *set)
{
	/* An address is unknown to the maker of the tar as well. */
	if (getrandom(&set->key, sizeof(set->key), 0) < 0)
		set->key.k0 = (uintptr_t)set;
}

void layer_set_free(struct layer_set *set)
{
	free(steal_pointer(&set->created.slots));
	free(steal_pointer(&set->wholly_ours.slots));
	free(steal_pointer(&set->lower_files.slots));
	free(steal_pointer(&set->entered.slots));
	free(steal_pointer(&set->hidden.slots));
	free(steal_pointer(&set->told.slots));
	set->created = set->wholly_ours = set->lower_files = (struct hash_set){0};
	set->entered = set->hidden = set->told = (struct hash_set){0};
}

void layer_set_begin(struct layer_set *set, bool everything)
{
	layer_set_free(set);
	set->everything = everything;
}

int layer_set_own(struct layer_set *set, const struct stat *dir, struct strata_err *err)
{
	return set->everything ? 0 : add(&set->wholly_ours, hash_of(set, dir, ""), err);
}

bool layer_set_is_wholly_ours(const struct layer_set *set, const struct stat *dir)
{
	return set->everything || has(&set->wholly_ours, hash_of(set, dir, ""));
}

int layer_set_add(struct layer_set *set, const struct stat *dir, const char *name,
                  struct strata_err *err)
{
	return layer_set_is_wholly_ours(set, dir)
	               ? 0
	               : add(&set->created, hash_of(set, dir, name), err);
}

bool layer_set_has(const struct layer_set *set, const struct stat *dir, const char *name)
{
	return layer_set_is_wholly_ours(set, dir) || has(&set->created, hash_of(set, dir, name));
}

int layer_set_enter(struct layer_set *set, const struct stat *dir, const char *path,
                    struct strata_err *err)
{
	size_t len = strlen(path);

	if (add(&set->entered, hash_of(set, dir, ""), err) < 0)
		return -1;
	/* The directories that a known one is in are known as well. */
	while (len > 0 && !layer_set_has_path(set, path, len)) {
		if (add(&set->entered, hash_of_bytes(set, path, len), err) < 0)
			return -1;
		while (len > 0 && path[len - 1] != '/')
			len--;
		len -= len > 0;
	}
	return 0;
}

bool layer_set_has_entered(const struct layer_set *set, const struct stat *dir)
{
	return has(&set->entered, hash_of(set, dir, ""));
}

bool layer_set_has_path(const struct layer_set *set, const char *path, size_t len)
{
	return has(&set->entered, hash_of_bytes(set, path, len));
}

int layer_set_hide(struct layer_set *set, const struct stat *dir, const char *name,
                   const char *path, struct strata_err *err)
{
	return add(&set->hidden, hash_of(set, dir, name), err) < 0
	               ? -1
	               : add(&set->hidden, hash_of_bytes(set, path, strlen(path)), err);
}

bool layer_set_hides(const struct layer_set *set, const struct stat *dir, const char *name)
{
	return has(&set->hidden, hash_of(set, dir, name));
}

bool layer_set_hides_path(const struct layer_set *set, const char *path, size_t len)
{
	return has(&set->hidden, hash_of_bytes(set, path, len));
}

int layer_set_tell(struct layer_set *set, const struct stat *dir, struct strata_err *err)
{
	uint64_t hash = hash_of(set, dir, "");

	return has(&set->told, hash) ? 1 : add(&set->told, hash, err);
}

int layer_set_add_lower(struct layer_set *set, const struct stat *file, struct strata_err *err)
{
	return add(&set->lower_files, hash_of(set, file, ""), err);
}

bool layer_set_has_lower(const struct layer_set *set, const struct stat *file)
{
	return has(&set->lower_files, hash_of(set, file, ""));
}
