/*
 * Patterns of paths, as removing takes them: which of them match a path, or a directory that it is
 * in.
 *
 * A pattern is names with "/" between them. In a name "*" is any characters, "?" is one, "[a-z]"
 * and "[!a-z]" are one of those and one of the others; a class that nothing closes stands for
 * itself, and so does the name "[". The name "**" is any names, also none. Names that are "." do
 * not count.
 *
 * Not changed by matching: several threads may do so at the same time.
 */
#ifndef STRATA_GLOBS_H
#define STRATA_GLOBS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

struct strata_globs;

struct strata_globs *strata_globs_new(struct strata_err *err);
struct strata_globs *strata_globs_ref(struct strata_globs *globs);
void strata_globs_unref(struct strata_globs *globs); /* NULL is allowed */

int strata_globs_add(struct strata_globs *globs, const char *pattern, size_t len,
                     struct strata_err *err);

/* To be called when all have been added. */
void strata_globs_sort(struct strata_globs *globs);

/*
 * Whether one of the patterns matches. The path "." is the root. used: by the number in which a
 * pattern was added, set for those that match; or NULL.
 */
bool strata_globs_match(const struct strata_globs *globs, const char *path, size_t len, bool *used);

/* Whether a name is matched by one name of a pattern, which is not "**". */
bool strata_glob_name(const char *pattern, size_t pattern_len, const char *name, size_t len);

#endif
