#include "core/layer/path.h"

#include <string.h>

/* Drops the last component of out[0..len). */
static size_t parent_of(const char *out, size_t len)
{
	while (len > 0 && out[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

size_t strata_path_normalise(const char *path, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t part = slash ? (size_t)(slash - path) - i : len - i;

		if (part == 2 && path[i] == '.' && path[i + 1] == '.') {
			n = parent_of(out, n);
		} else if (part > 0 && !(part == 1 && path[i] == '.')) {
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, path + i, part);
			n += part;
		}
		i += part + 1;
	}
	if (n == 0)
		out[n++] = '.';
	return n;
}
