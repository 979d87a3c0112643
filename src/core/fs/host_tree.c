#include "core/fs/host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/fs/resolve.h"

/* As long as a path can be that the kernel takes. */
#define MAX_PATH 4095

/* The kernel's limit for the names, and for one value. */
#define MAX_XATTR 65536

/* ---- messages ----------------------------------------------------------------- */

/* Puts "directory: 'path'" before the message. */
static int wrap(const struct strata_host_tree *d, const char *path, size_t len,
                struct strata_err *err)
{
	char quoted[512];

	strata_quote(quoted, sizeof(quoted), path, len);
	return strata_err_wrap(err, "%s: %s", d->name, quoted);
}

static int fail_entry(const struct strata_host_tree *d, const struct strata_host_tree_entry *e,
                      int errnum, const char *what, struct strata_err *err)
{
	strata_fail_errno(err, errnum, "%s", what);
	return wrap(d, strata_host_tree_text(d, e->path), e->path_len, err);
}

static int fail_changed(const struct strata_host_tree *d, const struct strata_host_tree_entry *e,
                        struct strata_err *err)
{
	strata_fail(err, "ESTALE", "was changed while it was read");
	return wrap(d, strata_host_tree_text(d, e->path), e->path_len, err);
}

/* ---- the list ----------------------------------------------------------------- */

static void set_stat(struct strata_host_tree_entry *e, const struct stat *st)
{
	e->dev = st->st_dev;
	e->ino = st->st_ino;
	e->size = st->st_size;
	e->mtime = st->st_mtim.tv_sec;
	e->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
	e->ctime = st->st_ctim.tv_sec;
	e->ctime_nsec = (uint32_t)st->st_ctim.tv_nsec;
	e->mode = st->st_mode;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->links = st->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)st->st_nlink;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		e->devmajor = major(st->st_rdev);
		e->devminor = minor(st->st_rdev);
	}
}

/* The file systems that show the state of the machine instead of holding files. */
static bool is_pseudo(int fd)
{
	static const unsigned long types[] = {
	        PROC_SUPER_MAGIC,
	        SYSFS_MAGIC,
	        DEVPTS_SUPER_MAGIC,
	        CGROUP_SUPER_MAGIC,
	        CGROUP2_SUPER_MAGIC,
	        DEBUGFS_MAGIC,
	        TRACEFS_MAGIC,
	        SECURITYFS_MAGIC,
	        SELINUX_MAGIC,
	        BPF_FS_MAGIC,
	        PSTOREFS_MAGIC,
	        EFIVARFS_MAGIC,
	        BINFMTFS_MAGIC,
	        0x19800202 /* mqueue */,
	        0x62656570 /* configfs */,
	        0x65735543 /* fusectl */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((unsigned long)fs.f_type == types[i])
			return true;
	return false;
}

static int store(struct strata_host_tree *d, const void *bytes, size_t len, uint32_t *offset,
                 struct strata_err *err)
{
	if (len > UINT32_MAX - d->text.len)
		return strata_fail(err, "ELIMIT", "%s: names of the entries exceed 4 GiB", d->name);
	*offset = (uint32_t)d->text.len;
	return strata_buf_append(&d->text, bytes, len, err);
}

static struct strata_host_tree_entry *add_entry(struct strata_host_tree *d, struct strata_err *err)
{
	if (d->count == d->max_entries) {
		strata_fail(err, "ELIMIT", "%s: more than %u entries (limits.entries)", d->name,
		            d->max_entries);
		return NULL;
	}
	if (strata_grow(d->entries, d->count, err) < 0)
		return NULL;
	d->entries[d->count] = (struct strata_host_tree_entry){0};
	return &d->entries[d->count++];
}

/* ---- opening ------------------------------------------------------------------ */

struct strata_host_tree *strata_host_tree_new(const char *path, uint32_t max_entries,
                                              struct strata_err *err)
{
	struct strata_host_tree *d = calloc(1, sizeof(*d));
	struct stat st;

	if (d == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&d->refs, 1);
	d->max_entries = max_entries;
	d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->name = strdup(path);
	if (d->root < 0 || fstat(d->root, &st) < 0)
		strata_fail_errno(err, errno, "%s", path);
	else if (d->name == NULL)
		strata_fail_nomem(err);
	else if (is_pseudo(d->root))
		strata_fail(err, "EUNSUPPORTED", "%s: not on a file system that holds files", path);
	else {
		set_stat(&d->self, &st);
		return d;
	}
	strata_host_tree_unref(d);
	return NULL;
}

struct strata_host_tree *strata_host_tree_ref(struct strata_host_tree *d)
{
	atomic_fetch_add(&d->refs, 1);
	return d;
}

void strata_host_tree_unref(struct strata_host_tree *d)
{
	if (atomic_fetch_sub(&d->refs, 1) > 1)
		return;
	if (d->root >= 0)
		close(d->root);
	free(d->name);
	free(d->entries);
	strata_buf_free(&d->text);
	free(d);
}

/* The same file as when it was listed, and not written to since. */
static bool is_same_file(const struct strata_host_tree_entry *e, const struct stat *st)
{
	return e->dev == st->st_dev && e->ino == st->st_ino && e->mode == st->st_mode &&
	       e->size == st->st_size && e->mtime == st->st_mtim.tv_sec &&
	       e->mtime_nsec == st->st_mtim.tv_nsec && e->ctime == st->st_ctim.tv_sec &&
	       e->ctime_nsec == st->st_ctim.tv_nsec;
}

int strata_host_tree_check(const struct strata_host_tree *d, uint32_t number, int fd,
                           struct strata_err *err)
{
	const struct strata_host_tree_entry *e = &d->entries[number];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail_entry(d, e, errno, "stat", err);
	return is_same_file(e, &st) ? 0 : fail_changed(d, e, err);
}

/*
 * Links that somebody has put there meanwhile are followed inside the
 * directory, but what is found then is another file.
 */
static int open_again(const struct strata_host_tree *d, const struct strata_host_tree_entry *e,
                      int flags, struct stat *st, struct strata_err *err)
{
	cleanup_fd int fd = -1;
	char path[MAX_PATH + 1];

	memcpy(path, strata_host_tree_text(d, e->path), e->path_len);
	path[e->path_len] = '\0';
	fd = strata_resolve_beneath(d->root, path, flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -ELOOP || fd == -ENOTDIR || fd == -EXDEV)
		return fail_changed(d, e, err);
	if (fd < 0)
		return fail_entry(d, e, -fd, "open", err);
	if (fstat(fd, st) < 0)
		return fail_entry(d, e, errno, "stat", err);
	if (e->dev != st->st_dev || e->ino != st->st_ino)
		return fail_changed(d, e, err);
	return strata_steal_fd(&fd);
}

int strata_host_tree_open(const struct strata_host_tree *d, uint32_t number, struct strata_err *err)
{
	const struct strata_host_tree_entry *e = &d->entries[number];
	cleanup_fd int fd = -1;
	struct stat st;

	fd = open_again(d, e, 0, &st, err);
	if (fd < 0)
		return -1;
	return is_same_file(e, &st) ? strata_steal_fd(&fd) : fail_changed(d, e, err);
}

int strata_host_tree_read(const struct strata_host_tree *d, uint32_t number, int fd, void *bytes,
                          size_t len, struct strata_err *err)
{
	const struct strata_host_tree_entry *e = &d->entries[number];
	char *p = bytes;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_entry(d, e, errno, "read", err);
		if (n == 0)
			return fail_changed(d, e, err);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int strata_host_tree_same(const struct strata_host_tree *a, uint32_t x,
                          const struct strata_host_tree *b, uint32_t y, struct strata_err *err)
{
	const size_t chunk = 64 << 10;
	cleanup_free char *bytes = NULL;
	cleanup_fd int one = -1;
	cleanup_fd int two = -1;
	int64_t left = a->entries[x].size;

	if (left != b->entries[y].size)
		return 0;
	bytes = malloc(2 * chunk);
	if (bytes == NULL)
		return strata_fail_nomem(err);
	one = strata_host_tree_open(a, x, err);
	two = one < 0 ? -1 : strata_host_tree_open(b, y, err);
	if (two < 0)
		return -1;
	while (left > 0) {
		size_t n = left < (int64_t)chunk ? (size_t)left : chunk;

		if (strata_host_tree_read(a, x, one, bytes, n, err) < 0 ||
		    strata_host_tree_read(b, y, two, bytes + chunk, n, err) < 0)
			return -1;
		if (memcmp(bytes, bytes + chunk, n) != 0)
			return 0;
		left -= (int64_t)n;
	}
	return 1;
}

bool strata_host_tree_xattr(const char **records, size_t *left,
                            struct strata_host_tree_xattr *found)
{
	uint32_t len;

	if (*left == 0)
		return false;
	found->name = *records;
	found->value = *records + strlen(*records) + 1 + sizeof(len);
	memcpy(&len, found->value - sizeof(len), sizeof(len));
	found->len = len;
	*left -= (size_t)(found->value + len - *records);
	*records = found->value + len;
	return true;
}

/* ---- looking at one entry ----------------------------------------------------- */

/* A file's path by its descriptor: for what takes no O_PATH descriptor. */
static void path_of_fd(char out[32], int fd)
{
	snprintf(out, 32, "/proc/self/fd/%d", fd);
}

static int add_xattr(struct strata_buf *records, const char *path, const char *name, char *value,
                     struct strata_err *err)
{
	ssize_t n = getxattr(path, name, value, MAX_XATTR);
	uint32_t len = (uint32_t)n;

	if (n < 0 && errno == ENODATA) /* gone meanwhile */
		return 0;
	if (n < 0)
		return strata_fail_errno(err, errno, "xattr %s", name);
	if (strata_buf_append(records, name, strlen(name) + 1, err) < 0 ||
	    strata_buf_append(records, &len, sizeof(len), err) < 0)
		return -1;
	return strata_buf_append(records, value, len, err);
}

/* The attributes of an O_PATH descriptor, as records. None where there cannot be any. */
static int read_xattrs(int fd, struct strata_buf *records, char *scratch, struct strata_err *err)
{
	char *names = scratch, *value = scratch + MAX_XATTR;
	char path[32];
	ssize_t len;

	path_of_fd(path, fd);
	len = listxattr(path, names, MAX_XATTR);
	if (len < 0 && (errno == ENOTSUP || errno == EPERM))
		return 0;
	if (len < 0)
		return strata_fail_errno(err, errno, "extended attributes");
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1)
		if (add_xattr(records, path, names + i, value, err) < 0)
			return -1;
	return 0;
}

/* What the entries of one directory are looked at with. */
struct reader {
	struct strata_host_tree *disk;
	int fd;
	uint32_t parent;
	uint64_t dev; /* of the parent */
	char prefix[MAX_PATH + 2];
	size_t prefix_len;
	char *scratch;             /* 2 * MAX_XATTR */
	struct strata_buf records; /* xattrs of one entry */
};

static int look(struct reader *r, const char *name, int fd, struct strata_host_tree_entry *e,
                struct strata_err *err)
{
	struct strata_host_tree *d = r->disk;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return strata_fail_errno(err, errno, "stat");
	set_stat(e, &st);
	e->parent = r->parent;
	e->foreign = S_ISDIR(st.st_mode) && e->dev != r->dev && is_pseudo(fd);
	e->path_len = (uint16_t)(r->prefix_len + strlen(name));
	if (store(d, r->prefix, r->prefix_len, &e->path, err) < 0 ||
	    strata_buf_append(&d->text, name, strlen(name), err) < 0)
		return -1;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, "", r->scratch, MAX_XATTR);

		if (n < 0)
			return strata_fail_errno(err, errno, "readlink");
		if (n > UINT16_MAX)
			return strata_fail(err, "ELIMIT", "target of more than 65535 bytes");
		e->linkpath_len = (uint16_t)n;
		if (store(d, r->scratch, (size_t)n, &e->linkpath, err) < 0)
			return -1;
	}
	r->records.len = 0;
	if (read_xattrs(fd, &r->records, r->scratch, err) < 0)
		return -1;
	e->xattrs_len = (uint32_t)r->records.len;
	return store(d, r->records.data, r->records.len, &e->xattrs, err);
}

static int add_name(struct reader *r, const char *name, struct strata_err *err)
{
	cleanup_fd int fd = -1;
	struct strata_host_tree_entry *e;
	int status = -1;

	if (r->prefix_len + strlen(name) > MAX_PATH) {
		strata_fail(err, "ELIMIT", "a path of more than %d bytes", MAX_PATH);
		return wrap(r->disk, r->prefix, r->prefix_len, err);
	}
	fd = openat(r->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		strata_fail_errno(err, errno, "open");
	} else {
		e = add_entry(r->disk, err);
		if (e == NULL)
			return -1;
		status = look(r, name, fd, e, err);
	}
	if (status < 0) {
		memcpy(r->prefix + r->prefix_len, name, strlen(name));
		wrap(r->disk, r->prefix, r->prefix_len + strlen(name), err);
	}
	return status;
}

/* ---- reading directories ------------------------------------------------------- */

/* By the bytes of the path; an explicit text instead of a context that qsort has not. */
struct key {
	const char *text;
	size_t len;
	uint32_t number;
};

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_keys(const void *pa, const void *pb)
{
	const struct key *a = pa;
	const struct key *b = pb;

	return compare(a->text, a->len, b->text, b->len);
}

/* Puts entries [from, count) in order, and tells where each went when `moved` is not NULL. */
static int order(struct strata_host_tree *d, uint32_t from, uint32_t *moved, struct strata_err *err)
{
	uint32_t n = d->count - from;
	cleanup_free struct key *keys = strata_reallocarray(NULL, n, sizeof(*keys));
	cleanup_free struct strata_host_tree_entry *sorted =
	        strata_reallocarray(NULL, n, sizeof(*sorted));

	if (keys == NULL || sorted == NULL)
		return strata_fail_nomem(err);
	for (uint32_t i = 0; i < n; i++) {
		const struct strata_host_tree_entry *e = &d->entries[from + i];

		keys[i] = (struct key){strata_host_tree_text(d, e->path), e->path_len, from + i};
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (uint32_t i = 0; i < n; i++) {
		sorted[i] = d->entries[keys[i].number];
		if (moved != NULL)
			moved[keys[i].number] = from + i;
	}
	if (n > 0)
		memcpy(d->entries + from, sorted, n * sizeof(*sorted));
	return 0;
}

static int read_names(struct reader *r, DIR *dir, struct strata_err *err)
{
	struct dirent *found;

	r->scratch = malloc((size_t)2 * MAX_XATTR);
	if (r->scratch == NULL)
		return strata_fail_nomem(err);
	while (errno = 0, (found = readdir(dir)) != NULL) {
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		if (add_name(r, found->d_name, err) < 0)
			return -1;
	}
	if (errno != 0) {
		strata_fail_errno(err, errno, "readdir");
		return wrap(r->disk, r->prefix, r->prefix_len, err);
	}
	return 0;
}

static int open_directory(struct reader *r, uint32_t number, struct strata_err *err)
{
	struct strata_host_tree *d = r->disk;
	struct stat st;

	r->parent = number;
	if (number == STRATA_HOST_TREE_NO_PARENT) {
		r->dev = d->self.dev;
		r->fd = openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return r->fd >= 0 ? 0 : strata_fail_errno(err, errno, "%s", d->name);
	}
	r->dev = d->entries[number].dev;
	r->prefix_len = d->entries[number].path_len;
	memcpy(r->prefix, strata_host_tree_text(d, d->entries[number].path), r->prefix_len);
	r->prefix[r->prefix_len++] = '/';
	r->fd = open_again(d, &d->entries[number], O_DIRECTORY, &st, err);
	return r->fd >= 0 ? 0 : -1;
}

int strata_host_tree_list(struct strata_host_tree *d, uint32_t number, struct strata_err *err)
{
	struct reader r = {.disk = d};
	uint32_t from = d->count;
	DIR *dir;
	int status;

	if (number != STRATA_HOST_TREE_NO_PARENT && d->entries[number].foreign)
		return 0;
	if (open_directory(&r, number, err) < 0)
		return -1;
	dir = fdopendir(r.fd);
	if (dir == NULL) {
		close(r.fd);
		return strata_fail_nomem(err);
	}
	status = read_names(&r, dir, err);
	closedir(dir);
	free(r.scratch);
	strata_buf_free(&r.records);
	return status < 0 ? -1 : order(d, from, NULL, err);
}

/* Parents stand before what is in them, here still. */
static void drop_below(struct strata_host_tree *d)
{
	for (uint32_t i = 0; i < d->count; i++) {
		uint32_t parent = d->entries[i].parent;

		if (parent != STRATA_HOST_TREE_NO_PARENT && d->entries[parent].dropped)
			d->entries[i].dropped = true;
	}
}

int strata_host_tree_sort(struct strata_host_tree *d, struct strata_err *err)
{
	cleanup_free uint32_t *moved = strata_reallocarray(NULL, d->count, sizeof(*moved));
	uint32_t kept = 0;

	if (moved == NULL)
		return strata_fail_nomem(err);
	drop_below(d);
	for (uint32_t i = 0; i < d->count; i++) {
		struct strata_host_tree_entry e = d->entries[i];

		if (e.dropped)
			continue;
		if (e.parent != STRATA_HOST_TREE_NO_PARENT)
			e.parent = moved[e.parent];
		moved[i] = kept;
		d->entries[kept++] = e;
	}
	d->count = kept;
	if (order(d, 0, moved, err) < 0)
		return -1;
	for (uint32_t i = 0; i < d->count; i++)
		if (d->entries[i].parent != STRATA_HOST_TREE_NO_PARENT)
			d->entries[i].parent = moved[d->entries[i].parent];
	return 0;
}

bool strata_host_tree_find(const struct strata_host_tree *d, const char *path, size_t len,
                           uint32_t *number)
{
	uint32_t low = 0, high = d->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct strata_host_tree_entry *e = &d->entries[middle];
		int how = compare(strata_host_tree_text(d, e->path), e->path_len, path, len);

		if (how == 0) {
			*number = middle;
			return true;
		}
		if (how < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
