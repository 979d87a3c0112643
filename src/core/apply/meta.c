/*
 * Metadata in the order that keeps it: a change of owner takes set-id bits and
 * capabilities away, so it comes first; times come last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/apply/internal.h"

#define SET_ID (S_ISUID | S_ISGID)

/* Leaves the owner as it is. */
#define NO_ID ((uint32_t)STRATA_TAR_NO_ID)

void apply_meta_free(struct apply_meta *m)
{
	strata_buf_free(&m->pax);
}

static int take_pax(struct apply_meta *m, const char *pax, size_t len, struct strata_err *err)
{
	m->pax.len = 0;
	m->has_xattrs = len > 0 && memmem(pax, len, ".xattr.", 7) != NULL;
	return m->has_xattrs ? strata_buf_append(&m->pax, pax, len, err) : 0;
}

int apply_meta_take(struct apply_meta *m, const struct strata_tar_header *h, struct strata_err *err)
{
	m->uid = (uint32_t)h->uid;
	m->gid = (uint32_t)h->gid;
	m->mode = h->mode & 07777;
	m->mtime = h->mtime;
	m->mtime_nsec = h->mtime_nsec;
	return take_pax(m, h->pax, h->pax_len, err);
}

int apply_meta_take_entry(struct apply_meta *m, const struct strata_index *index, uint32_t entry,
                          struct strata_err *err)
{
	const struct strata_entry *e = &index->entries[entry];

	m->uid = e->uid;
	m->gid = e->gid;
	m->mode = e->mode & 07777;
	m->mtime = e->mtime;
	m->mtime_nsec = e->mtime_nsec;
	return take_pax(m, index->arena.data + e->pax.offset, e->pax.len, err);
}

/* Runtimes set no time before 1970. */
static void fill_times(const struct apply_meta *m, struct timespec times[2])
{
	times[0].tv_sec = times[1].tv_sec = m->mtime < 0 ? 0 : (time_t)m->mtime;
	times[0].tv_nsec = times[1].tv_nsec = m->mtime < 0 ? 0 : (long)m->mtime_nsec;
}

/* True when a new file belongs to that user and group by itself. */
static bool is_own(const struct strata_apply *a)
{
	/* In a directory with the set-group-ID bit, and on some mounts, it takes the group
	 * of the directory. */
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

/* The message Resource {uint32 uid = 1; uint32 gid = 2} of rootlesscontaine.rs, without zeros. */
static int record_owner(struct strata_apply *a, int fd, struct strata_err *err)
{
	static const char name[] = "user.rootlesscontainers";
	unsigned char value[12];
	size_t n = 0;

	if (a->meta.uid != 0 && a->meta.uid != NO_ID) {
		value[n++] = 1 << 3;
		n += put_varint(value + n, a->meta.uid);
	}
	if (a->meta.gid != 0 && a->meta.gid != NO_ID) {
		value[n++] = 2 << 3;
		n += put_varint(value + n, a->meta.gid);
	}
	if (n > 0 && fsetxattr(fd, name, value, n, 0) < 0)
		return apply_note(&a->report, "owner", NULL, errno, err);
	return 0;
}

/* The owner could not be set: set-id bits would lend the rights of another user. */
static int without_owner(struct strata_apply *a, int fd, int errnum, struct strata_err *err)
{
	bool recorded = a->options.rootless && fd >= 0;

	if (errnum == EINVAL) /* an id that the user namespace does not have */
		errnum = EPERM;
	if (recorded && errnum == EPERM ? record_owner(a, fd, err) < 0
	                                : apply_note(&a->report, "owner", NULL, errnum, err) < 0)
		return -1;
	if (a->meta.mode & SET_ID) {
		a->meta.mode &= ~(uint32_t)SET_ID;
		return apply_note(&a->report, "mode", NULL, errnum, err);
	}
	return 0;
}

/*
 * Without an owner, the layer's own file has the one who makes it, also in a directory
 * that hands its group on: that may be a lower layer's.
 */
static void fill_owner(struct strata_apply *a)
{
	if (a->meta.uid == NO_ID)
		a->meta.uid = a->euid;
	if (a->meta.gid == NO_ID)
		a->meta.gid = a->egid;
}

static int set_owner(struct strata_apply *a, int fd, struct strata_err *err)
{
	struct stat st;
	int errnum;

	if (fchown(fd, a->meta.uid, a->meta.gid) == 0)
		return 0;
	errnum = errno;
	/* A directory of somebody else may have the right owner. */
	if (fstat(fd, &st) == 0 && st.st_uid == a->meta.uid && st.st_gid == a->meta.gid)
		return 0;
	return without_owner(a, fd, errnum, err);
}

/* What only the owner may do is noted, for directories of somebody else. */
static int fail_to_set(struct strata_apply *a, const char *what, int errnum, struct strata_err *err)
{
	return errnum == EPERM ? apply_note(&a->report, what, NULL, errnum, err)
	                       : strata_fail_errno(err, errnum, "cannot set the %s", what);
}

/* 1: it is set; 0: that has been noted. */
static int set_mode(struct strata_apply *a, int fd, mode_t mode, struct strata_err *err)
{
	struct stat st;
	int errnum;

	if (fchmod(fd, mode) == 0)
		return 1;
	errnum = errno;
	if (fstat(fd, &st) == 0 && (st.st_mode & 07777) == a->meta.mode)
		return 0;
	return fail_to_set(a, "mode", errnum, err);
}

/* Once for each directory in a layer, however often a name is made in it. */
static int note_time(struct strata_apply *a, const struct stat *dir, const char *path,
                     struct strata_err *err)
{
	int told = layer_set_tell(&a->set, dir, err);

	return told != 0 ? told < 0 ? -1 : 0
	                 : apply_note_at(&a->report, a->report.layer, path, "time", EPERM, err);
}

static int set_times(struct strata_apply *a, int fd, struct strata_err *err)
{
	struct timespec times[2];
	struct stat st;

	fill_times(&a->meta, times);
	if (futimens(fd, times) == 0)
		return 0;
	return errno == EPERM && fstat(fd, &st) == 0
	               ? note_time(a, &st, a->report.path.data, err)
	               : strata_fail_errno(err, errno, "cannot set the time");
}

/* Keeps the mode of a directory that is open to its owner meanwhile. */
static int keep_mode(struct strata_apply *a, int fd, const char *path, struct strata_err *err)
{
	char below[24];
	size_t layer = a->report.layer;

	snprintf(below, sizeof(below), "%zu", layer + 1);
	return apply_modes_keep(&a->modes, fd, layer, a->options.overlay ? below : NULL, path,
	                        a->meta.mode, err);
}

int apply_meta_fd(struct strata_apply *a, int fd, const char *path, bool existing,
                  struct strata_err *err)
{
	const struct apply_meta *m = &a->meta;
	bool later = path != NULL && a->euid != 0;
	int status;

	fill_owner(a);
	if ((existing || !is_own(a)) && set_owner(a, fd, err) < 0)
		return -1;
	if (existing && apply_clear_xattrs(a, fd, err) < 0)
		return -1;
	if (m->has_xattrs && apply_xattrs(a, fd, NULL, err) < 0)
		return -1;
	status = set_mode(a, fd, later ? m->mode | 0700 : m->mode, err);
	if (status > 0 && later)
		status = keep_mode(a, fd, path, err);
	return status < 0 ? -1 : set_times(a, fd, err);
}

/* Changes the mode of a name; a symlink is not followed, and has no mode. */
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

/* The owner of a name, which is not followed. */
static int set_owner_of_name(struct strata_apply *a, int dir, const char *name,
                             struct strata_err *err)
{
	return fchownat(dir, name, a->meta.uid, a->meta.gid, AT_SYMLINK_NOFOLLOW) < 0
	               ? without_owner(a, -1, errno, err)
	               : 0;
}

static int set_times_of_name(struct strata_apply *a, int dir, const char *name,
                             struct strata_err *err)
{
	struct timespec times[2];

	fill_times(&a->meta, times);
	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) == 0
	               ? 0
	               : strata_fail_errno(err, errno, "cannot set the time");
}

int apply_meta_name(struct strata_apply *a, const char *name, bool symlink, struct strata_err *err)
{
	const struct apply_meta *m = &a->meta;
	int dir = a->dir.fd;

	fill_owner(a);
	if (!is_own(a) && set_owner_of_name(a, dir, name, err) < 0)
		return -1;
	if (m->has_xattrs && apply_xattrs(a, dir, name, err) < 0)
		return -1;
	if (!symlink && change_mode(dir, name, m->mode, err) < 0)
		return -1;
	return set_times_of_name(a, dir, name, err);
}

/*
 * Opens a file that has its mode already. It may keep its own user out, whose attributes are
 * then set with a mode that does not.
 */
static int open_again(const struct strata_apply *a, int dir, const char *name,
                      struct strata_err *err)
{
	int fd;

	if (a->euid != 0 && change_mode(dir, name, 0600, err) < 0)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 ? fd : strata_fail_errno(err, errno, "cannot open its file");
}

int apply_meta_link(struct strata_apply *a, int dir, const char *name, struct strata_err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return strata_fail_errno(err, errno, "cannot look at its file");
	if (S_ISREG(st.st_mode)) {
		fd = open_again(a, dir, name, err);
		if (fd < 0 || set_owner(a, fd, err) < 0 ||
		    (a->meta.has_xattrs && apply_xattrs(a, fd, NULL, err) < 0))
			return -1;
		return set_mode(a, fd, a->meta.mode, err) < 0 ? -1 : set_times(a, fd, err);
	}
	if (set_owner_of_name(a, dir, name, err) < 0 ||
	    (a->meta.has_xattrs && apply_xattrs(a, dir, name, err) < 0))
		return -1;
	if (S_ISLNK(st.st_mode))
		return 0;
	return change_mode(dir, name, a->meta.mode, err) < 0 ? -1
	                                                     : set_times_of_name(a, dir, name, err);
}

int apply_implied(struct strata_apply *a, int fd, struct strata_err *err)
{
	const struct timespec times[2] = {{0}, {0}};

	if (a->euid == 0 && fchown(fd, 0, 0) < 0 &&
	    apply_note(&a->report, "owner", NULL, errno, err) < 0)
		return -1;
	if (apply_clear_xattrs(a, fd, err) < 0)
		return -1;
	if (fchmod(fd, 0755) < 0 && fail_to_set(a, "mode", errno, err) < 0)
		return -1;
	if (apply_modes_drop(&a->modes, fd, err) < 0)
		return -1;
	return futimens(fd, times) == 0 ? 0 : fail_to_set(a, "time", errno, err);
}

int apply_restore_time(struct strata_apply *a, int fd, const struct stat *before, const char *path,
                       struct strata_err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, before->st_mtim};

	if (futimens(fd, times) == 0)
		return 0;
	return errno == EPERM ? note_time(a, before, *path != '\0' ? path : ".", err)
	                      : strata_fail_errno(err, errno, "cannot set the time of a directory");
}

/* ---- the root ----------------------------------------------------------- */

static void swap_root(struct strata_apply *a)
{
	struct apply_meta meta = a->meta;

	a->meta = a->root_entry.meta;
	a->root_entry.meta = meta;
}

void apply_root_keep(struct strata_apply *a)
{
	swap_root(a);
	a->root_entry.told = true;
	a->root_entry.layer = a->report.layer;
	a->root_entry.number = a->report.number;
}

int apply_root_set(struct strata_apply *a, int fd, struct strata_err *err)
{
	swap_root(a);
	a->root_entry.told = false;
	apply_report_layer(&a->report, a->root_entry.layer);
	if (apply_report_again(&a->report, a->root_entry.number, ".", 1, err) < 0)
		return -1;
	return apply_meta_fd(a, fd, ".", true, err) < 0 ? apply_report_wrap(&a->report, err) : 0;
}
