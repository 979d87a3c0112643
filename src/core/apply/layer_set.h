/*
 * The files and directories that the layer being applied has made, so that its
 * whiteouts spare them, and its whiteouts.
 *
 * A directory that the layer has made, or has cleared of everything from lower
 * layers, is wholly ours: whatever is in it, now and later, is the layer's. Names
 * are kept for other directories only. So a directory is looked through once per
 * layer at most; a layer on an empty directory owns everything, and keeps nothing.
 *
 * A directory of a lower layer is entered when the layer's paths lead through it: by
 * default runtimes the layer then has a directory of that path, too.
 */
#ifndef STRATA_APPLY_LAYER_SET_H
#define STRATA_APPLY_LAYER_SET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/siphash.h"

/* Hashes; 0 is an empty slot. */
struct hash_set {
	uint64_t *slots;
	size_t mask;
	size_t count;
};

struct layer_set {
	bool everything;             /* there is nothing of lower layers */
	struct hash_set created;     /* names in directories that are not wholly ours */
	struct hash_set wholly_ours; /* directories */
	struct hash_set lower_files; /* files of lower layers that the layer has given names */
	struct hash_set entered;     /* directories, and their paths */
	struct hash_set hidden;      /* names that whiteouts hide, and their paths */
	struct hash_set told;        /* directories that a note is about */
	struct strata_hash_key key;
};

void layer_set_init(struct layer_set *set);

/* For a new layer; `everything`: it comes on an empty directory. */
void layer_set_begin(struct layer_set *set, bool everything);
void layer_set_free(struct layer_set *set);

int layer_set_own(struct layer_set *set, const struct stat *dir, struct strata_err *err);
bool layer_set_is_wholly_ours(const struct layer_set *set, const struct stat *dir);

int layer_set_add(struct layer_set *set, const struct stat *dir, const char *name,
                  struct strata_err *err);

/* True for a name that the layer has made, in whichever directory. */
bool layer_set_has(const struct layer_set *set, const struct stat *dir, const char *name);

/* The layer has a directory at a path that leads through no symlinks. Not with `everything`. */
int layer_set_enter(struct layer_set *set, const struct stat *dir, const char *path,
                    struct strata_err *err);
bool layer_set_has_entered(const struct layer_set *set, const struct stat *dir);
bool layer_set_has_path(const struct layer_set *set, const char *path, size_t len);

/* The layer has a whiteout of a name in a directory; path is that of its entry. */
int layer_set_hide(struct layer_set *set, const struct stat *dir, const char *name,
                   const char *path, struct strata_err *err);
bool layer_set_hides(const struct layer_set *set, const struct stat *dir, const char *name);
bool layer_set_hides_path(const struct layer_set *set, const char *path, size_t len);

/* 1 when it has been called for that directory before, else 0. */
int layer_set_tell(struct layer_set *set, const struct stat *dir, struct strata_err *err);

int layer_set_add_lower(struct layer_set *set, const struct stat *file, struct strata_err *err);
bool layer_set_has_lower(const struct layer_set *set, const struct stat *file);

#endif
