/* Reporting: which entry is being applied, and what could not be done as the layers say. */
#ifndef STRATA_APPLY_REPORT_H
#define STRATA_APPLY_REPORT_H

#include "core/apply/apply.h"
#include "core/base/buf.h"

struct apply_report {
	struct strata_apply_result result;
	bool unprivileged;      /* what only root may do is noted instead of failing */
	bool muted;             /* notes are passed over: they have been made before */
	size_t layer;           /* from 0 */
	uint64_t number;        /* of the entry in its layer, from 1 */
	struct strata_buf path; /* of the entry, normalised, NUL-terminated */
};

void apply_report_free(struct apply_report *r);

/* Forgets what was done. */
void apply_report_clear(struct apply_report *r);

void apply_report_layer(struct apply_report *r, size_t layer);

/* The next entry of the layer; its path is normalised here. */
int apply_report_next(struct apply_report *r, const char *path, size_t len, struct strata_err *err);

/* Goes back to an entry. */
int apply_report_again(struct apply_report *r, uint64_t number, const char *path, size_t len,
                       struct strata_err *err);

void apply_report_count_entry(struct apply_report *r);
void apply_report_count_bytes(struct apply_report *r, uint64_t bytes);
void apply_report_mute(struct apply_report *r, bool muted);

/*
 * Notes that something cannot be set or made; fails when it is to be exact.
 * errnum: why. EIO always fails; ENOTSUP (the file system has no such attribute) is
 * always only noted; any other error fails unless unprivileged.
 */
int apply_note(struct apply_report *r, const char *what, const char *detail, int errnum,
               struct strata_err *err);

/* The same of something else than the current entry. */
int apply_note_at(struct apply_report *r, size_t layer, const char *path, const char *what,
                  int errnum, struct strata_err *err);

/* Puts the number and the path of the entry before the message; returns -1. */
int apply_report_wrap(const struct apply_report *r, struct strata_err *err);

#endif
