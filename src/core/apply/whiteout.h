/*
 * Whiteouts and opaque markers: files of lower layers go, those of this layer stay. By the
 * letter of the specification they are carried out where they stand (whiteout.c), by default
 * as runtimes do (whiteout_late.c).
 */
#ifndef STRATA_APPLY_WHITEOUT_H
#define STRATA_APPLY_WHITEOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct strata_apply;

/* A name that the layer hides. Texts are offsets. */
struct apply_hidden {
	size_t dir; /* a path without links */
	size_t name;
	uint64_t number; /* of its entry */
};

struct apply_whiteouts {
	struct apply_hidden *list;
	size_t count;
	struct strata_buf text;
	struct strata_buf path; /* of the one that is looked at or carried out */
};

/* 0: the entry is no whiteout; 1: it was one. */
int apply_whiteout(struct strata_apply *a, struct strata_err *err);

/* Removes everything of lower layers from a directory, which may be a->dir. */
int apply_clear_lower(struct strata_apply *a, int fd, struct strata_err *err);

/* ---- as runtimes do ------------------------------------------------------ */

int apply_whiteout_late(struct strata_apply *a, struct strata_err *err);

/*
 * Hides `name` in a->dir at the layer's end, unless the layer has it then. What it has there
 * now goes; `spare`: it stays, and nothing is hidden. path is the name's.
 */
int apply_hide(struct strata_apply *a, const char *path, const char *name, bool spare,
               struct strata_err *err);

/* Makes the directory fd opaque; the root cannot be. */
int apply_opaque(struct strata_apply *a, int fd, const struct stat *dir, struct strata_err *err);

/* Carries out the whiteouts, at the layer's end. */
int apply_whiteouts_end(struct strata_apply *a, struct strata_err *err);

void apply_whiteouts_forget(struct apply_whiteouts *w);
void apply_whiteouts_free(struct apply_whiteouts *w);

#endif
