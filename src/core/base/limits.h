/* Limits that several rooms share; they are those of Linux. */
#ifndef STRATA_LIMITS_H
#define STRATA_LIMITS_H

#define STRATA_PATH_MAX 4096         /* bytes of a path or of a symlink's target, with a NUL */
#define STRATA_NAME_MAX 255          /* bytes of one component of a path, without a NUL */
#define STRATA_SYMLINKS_MAX 40       /* symlinks that the lookup of one path may follow */
#define STRATA_XATTR_NAME_MAX 255    /* bytes of an extended attribute's name, without a NUL */
#define STRATA_XATTR_VALUE_MAX 65536 /* bytes of its value; also of the list of a file's names */

#endif
