/* Owners, modes and times. A change of owner takes set-id bits and capabilities away: it comes
 * first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/apply/internal.h"

#define SET_ID (S_ISUID | S_ISGID)

int apply_note(struct strata_apply *a, const char *what, const char *detail, int errnum,
               struct strata_err *err)
{
	struct strata_apply_result *r = &a->result;
	struct strata_apply_note *grown;
	struct strata_err why;

	strata_fail_errno(&why, errnum, "cannot set %s%s%s", what, detail != NULL ? " " : "",
	                  detail != NULL ? detail : "");
	/* What the file system has no room for is no matter of permission. */
	if (errnum == EIO || (!a->options.unprivileged && errnum != ENOTSUP)) {
		*err = why;
		return -1;
	}
	r->note_count++;
	if (r->notes_kept == STRATA_APPLY_NOTES)
		return 0;
	grown = strata_reallocarray(r->notes, r->notes_kept + 1, sizeof(*grown));
	if (grown == NULL)
		return strata_fail_nomem(err);
	r->notes = grown;
	grown += r->notes_kept;
	*grown = (struct strata_apply_note){.layer = (uint32_t)a->layer + 1, .what = what};
	memcpy(grown->code, why.code, sizeof(why.code));
	grown->path = strdup(a->path.data);
	grown->detail = detail != NULL ? strdup(detail) : NULL;
	if (grown->path == NULL || (detail != NULL && grown->detail == NULL)) {
		free(grown->path);
		free(grown->detail);
		return strata_fail_nomem(err);
	}
	r->notes_kept++;
	return 0;
}

int apply_take_meta(struct strata_apply *a, const struct strata_tar_header *h,
                    struct strata_err *err)
{
	struct apply_meta *m = &a->meta;

	m->uid = (uint32_t)h->uid;
	m->gid = (uint32_t)h->gid;
	m->mode = h->mode & 07777;
	m->mtime = h->mtime;
	m->mtime_nsec = h->mtime_nsec;
	m->pax.len = 0;
	m->has_xattrs = h->pax_len > 0 && memmem(h->pax, h->pax_len, ".xattr.", 7) != NULL;
	return m->has_xattrs ? strata_buf_append(&m->pax, h->pax, h->pax_len, err) : 0;
}

static void fill_times(const struct apply_meta *m, struct timespec times[2])
{
	times[0].tv_sec = times[1].tv_sec = (time_t)m->mtime;
	times[0].tv_nsec = times[1].tv_nsec = (long)m->mtime_nsec;
}

/* True when what is made now belongs to that user and group by itself. */
static bool is_own(const struct strata_apply *a)
{
	/* Of a directory with the set-group-ID bit, or on some mounts, a file takes the group. */
	return a->meta.uid == a->euid && a->meta.gid == a->egid && a->dir.fd >= 0 &&
	       a->dir.st.st_gid == a->egid;
}

static size_t put_varint(unsigned char *out, uint32_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		out[n++] = (unsigned char)(value | 0x80);
	out[n++] = (unsigned char)value;
	return n;
}

/* The message Resource {uint32 uid = 1; uint32 gid = 2} of rootlesscontaine.rs; zeros are left out.
 */
static int record_owner(struct strata_apply *a, int fd, struct strata_err *err)
{
	static const char name[] = "user.rootlesscontainers";
	unsigned char value[12];
	size_t n = 0;

	if (a->meta.uid != 0) {
		value[n++] = 1 << 3;
		n += put_varint(value + n, a->meta.uid);
	}
	if (a->meta.gid != 0) {
		value[n++] = 2 << 3;
		n += put_varint(value + n, a->meta.gid);
	}
	if (n > 0 && fsetxattr(fd, name, value, n, 0) < 0)
		return apply_note(a, "owner", NULL, errno, err);
	return 0;
}

/* The owner could not be set: set-id bits would lend somebody else's rights. */
static int without_owner(struct strata_apply *a, int fd, int errnum, struct strata_err *err)
{
	bool recorded = a->options.rootless && fd >= 0;

	if (errnum == EINVAL) /* an id that the user namespace does not have */
		errnum = EPERM;
	if (recorded && errnum == EPERM ? record_owner(a, fd, err) < 0
	                                : apply_note(a, "owner", NULL, errnum, err) < 0)
		return -1;
	if (a->meta.mode & SET_ID) {
		a->meta.mode &= ~(uint32_t)SET_ID;
		return apply_note(a, "mode", NULL, errnum, err);
	}
	return 0;
}

int apply_meta_fd(struct strata_apply *a, int fd, bool directory, bool existing,
                  struct strata_err *err)
{
	struct apply_meta *m = &a->meta;
	struct timespec times[2];
	mode_t mode;

	if ((existing || !is_own(a)) && fchown(fd, m->uid, m->gid) < 0 &&
	    without_owner(a, fd, errno, err) < 0)
		return -1;
	if (existing && apply_clear_xattrs(a, fd, err) < 0)
		return -1;
	if (m->has_xattrs && apply_xattrs(a, fd, NULL, err) < 0)
		return -1;
	mode = m->mode;
	if (directory && apply_keep_mode(a, fd, &mode, err) < 0)
		return -1;
	if (fchmod(fd, mode) < 0)
		return strata_fail_errno(err, errno, "cannot set the mode");
	fill_times(m, times);
	if (futimens(fd, times) < 0)
		return strata_fail_errno(err, errno, "cannot set the time");
	return 0;
}

/* Changes the mode of what the name stands for, and of nothing behind a link. */
static int change_mode(int dir, const char *name, mode_t mode, struct strata_err *err)
{
	cleanup_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char path[64];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at it");
	if (S_ISLNK(st.st_mode) || (st.st_mode & 07777) == mode)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode) == 0 ? 0 : strata_fail_errno(err, errno, "cannot set the mode");
}

int apply_meta_name(struct strata_apply *a, const char *name, bool symlink, struct strata_err *err)
{
	const struct apply_meta *m = &a->meta;
	struct timespec times[2];
	int dir = a->dir.fd;

	if (!is_own(a) && fchownat(dir, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    without_owner(a, -1, errno, err) < 0)
		return -1;
	if (m->has_xattrs && apply_xattrs(a, -1, name, err) < 0)
		return -1;
	if (!symlink && change_mode(dir, name, m->mode, err) < 0)
		return -1;
	fill_times(m, times);
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot set the time");
	return 0;
}
