/*
 * Names by which a layer removes what lower layers have (image-spec, layer.md). They come from
 * AUFS, which also keeps files of its own under such names.
 */
#ifndef STRATA_WHITEOUT_H
#define STRATA_WHITEOUT_H

#include <stdbool.h>
#include <stddef.h>

#define STRATA_WHITEOUT_PREFIX ".wh."
#define STRATA_WHITEOUT_PREFIX_LEN 4
#define STRATA_OPAQUE_NAME ".wh..wh..opq"

enum strata_whiteout {
	STRATA_WHITEOUT_NO,      /* an ordinary name */
	STRATA_WHITEOUT_FILE,    /* ".wh.NAME" removes NAME from its directory */
	STRATA_WHITEOUT_OPAQUE,  /* ".wh..wh..opq" removes all that lower layers have in its
	                            directory */
	STRATA_WHITEOUT_AUFS,    /* ".wh..wh.plnk" and others, in the root, are metadata of AUFS */
	STRATA_WHITEOUT_INVALID, /* ".wh.", ".wh.." and ".wh..." name nothing that could be removed
	                          */
};

/* Which of these the last component of a path is. *name is where that component begins. */
enum strata_whiteout strata_whiteout_kind(const char *path, size_t len, size_t *name);

/*
 * True for a path below a directory of AUFS: one in the root that is called ".wh..wh." and more.
 * Elsewhere such a directory is like any other.
 */
bool strata_whiteout_in_aufs(const char *path, size_t len);

#endif
