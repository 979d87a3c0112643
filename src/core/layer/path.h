/* Paths of a tar, as text: nothing here looks at a file system. */
#ifndef STRATA_PATH_H
#define STRATA_PATH_H

#include <stddef.h>

/*
 * Normalises a path: no leading "/" or "./", no "//", no trailing "/", and each ".." takes the
 * component before it away but stays inside the root, which is ".". out has room for len + 1
 * bytes. Returns the length.
 */
size_t strata_path_normalise(const char *path, size_t len, char *out);

#endif
