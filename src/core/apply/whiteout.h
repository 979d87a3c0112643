/* Whiteouts and opaque markers: files of lower layers go, those of this layer stay. */
#ifndef STRATA_APPLY_WHITEOUT_H
#define STRATA_APPLY_WHITEOUT_H

#include "core/base/err.h"

struct strata_apply;

/* 0: the entry is no whiteout; 1: it was one, and has been carried out. */
int apply_whiteout(struct strata_apply *a, struct strata_err *err);

#endif
