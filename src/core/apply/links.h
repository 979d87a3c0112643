/*
 * Hardlinks. One whose file is there is made at once. One without a file waits, as a
 * whole entry, for the layer's end. One to a lower layer's file is looked at again
 * then, since its own layer may have brought another file of that name.
 */
#ifndef STRATA_APPLY_LINKS_H
#define STRATA_APPLY_LINKS_H

#include "core/apply/meta.h"
#include "core/base/buf.h"
#include "core/tar/tar.h"

struct strata_apply;

/* A hardlink that waits. Paths are offsets into the text. */
struct apply_link {
	size_t path;
	size_t target;
	uint64_t number; /* of its entry */
	int state;       /* see links.c */
	struct apply_meta meta;
};

struct apply_links {
	struct apply_link *list;
	size_t count;
	struct strata_buf text;
};

/* The normalised path of a hardlink's target, to be freed; NULL: err is filled. */
char *apply_link_target(const struct strata_tar_header *h, struct strata_err *err);

/* Makes the hardlink, or lets it wait. */
int apply_link(struct strata_apply *a, const struct strata_tar_header *h, struct strata_err *err);

/* Makes the hardlinks that wait, at the layer's end. */
int apply_links_end(struct strata_apply *a, struct strata_err *err);

/* Fails for a hardlink whose file is not there. */
int apply_link_fail(const char *target, bool directory, struct strata_err *err);

void apply_links_forget(struct apply_links *links);
void apply_links_free(struct apply_links *links);

#endif
