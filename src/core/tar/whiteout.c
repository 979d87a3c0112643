#include "core/tar/whiteout.h"

#include <string.h>

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

enum strata_whiteout strata_whiteout_kind(const char *path, size_t len, size_t *name)
{
	const char *slash = memrchr(path, '/', len);
	const char *rest = slash != NULL ? slash + 1 : path;

	*name = (size_t)(rest - path);
	len -= *name;
	if (!begins(rest, len, STRATA_WHITEOUT_PREFIX))
		return STRATA_WHITEOUT_NO;
	if (len == strlen(STRATA_OPAQUE_NAME) && memcmp(rest, STRATA_OPAQUE_NAME, len) == 0)
		return STRATA_WHITEOUT_OPAQUE;
	rest += STRATA_WHITEOUT_PREFIX_LEN;
	len -= STRATA_WHITEOUT_PREFIX_LEN;
	if (slash == NULL && begins(rest, len, STRATA_WHITEOUT_PREFIX))
		return STRATA_WHITEOUT_AUFS;
	if (len <= 2 && memcmp(rest, "..", len) == 0)
		return STRATA_WHITEOUT_INVALID;
	return STRATA_WHITEOUT_FILE;
}

bool strata_whiteout_in_aufs(const char *path, size_t len)
{
	return memchr(path, '/', len) != NULL &&
	       begins(path, len, STRATA_WHITEOUT_PREFIX STRATA_WHITEOUT_PREFIX);
}
