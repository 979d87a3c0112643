#include "core/fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/fs/file_internal.h"

struct strata_file *strata_file_wrap(int fd, const char *name, struct strata_err *err)
{
	struct strata_file *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->name = strdup(name)) == NULL) {
		free(f);
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&f->refs, 1);
	atomic_init(&f->written, 0);
	pthread_mutex_init(&f->turn, NULL);
	f->fd = fd;
	return f;
}

struct strata_file *strata_file_ref(struct strata_file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void strata_file_unref(struct strata_file *f)
{
	if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	strata_output_free(f->output);
	if (f->fd >= 0)
		close(f->fd);
	pthread_mutex_destroy(&f->turn);
	free(f->name);
	free(f);
}

const char *strata_file_name(const struct strata_file *f)
{
	return f->name;
}

uint64_t strata_file_size(const struct strata_file *f)
{
	return f->writable ? atomic_load(&f->written) : (uint64_t)f->opened.size;
}

int strata_check_regular(const struct stat *st, const char *name, struct strata_err *err)
{
	if (S_ISREG(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		return strata_fail_errno(err, EISDIR, "%s", name);
	return strata_fail(err, "EUNSUPPORTED", "%s: not a regular file", name);
}

struct strata_file *strata_file_adopt(int fd, const char *name, struct strata_err *err)
{
	struct strata_file *f;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		strata_fail_errno(err, errno, "%s", name);
		return NULL;
	}
	if (strata_check_regular(&st, name, err) < 0)
		return NULL;
	f = strata_file_wrap(fd, name, err);
	if (f != NULL)
		f->opened = (struct strata_file_stamp){st.st_size, st.st_mtim};
	return f;
}

struct strata_file *strata_file_open(const char *path, struct strata_err *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct strata_file *f;

	if (fd < 0 && errno == ENXIO) { /* a socket */
		strata_fail(err, "EUNSUPPORTED", "%s: not a regular file", path);
		return NULL;
	}
	if (fd < 0) {
		strata_fail_errno(err, errno, "%s", path);
		return NULL;
	}
	f = strata_file_adopt(fd, path, err);
	if (f != NULL)
		strata_steal_fd(&fd);
	return f;
}

int strata_file_fd(const struct strata_file *f)
{
	return f->fd;
}

static bool past_end(uint64_t offset, size_t len)
{
	uint64_t end;

	return !strata_add(offset, len, &end) || end > INT64_MAX;
}

int strata_file_read(const struct strata_file *f, uint64_t offset, void *bytes, size_t len,
                     struct strata_err *err)
{
	char *p = bytes;

	if (past_end(offset, len))
		return strata_fail(err, "EFORMAT", "%s: offset out of range", f->name);
	while (len > 0) {
		ssize_t n = pread(f->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strata_fail_errno(err, errno, "%s: read at offset 0x%llx", f->name,
			                         (unsigned long long)offset);
		if (n == 0)
			return strata_fail(err, "EFORMAT", "%s: ends at offset 0x%llx, too early",
			                   f->name, (unsigned long long)offset);
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* The size of a file that is written by several threads is its furthest end. */
static void note_written(struct strata_file *f, uint64_t end)
{
	unsigned long long seen = atomic_load(&f->written);

	while (seen < end && !atomic_compare_exchange_weak(&f->written, &seen, end))
		;
}

int strata_file_write(struct strata_file *f, uint64_t offset, const void *bytes, size_t len,
                      struct strata_err *err)
{
	const char *p = bytes;

	if (past_end(offset, len))
		return strata_fail_errno(err, EFBIG, "%s", f->name);
	while (len > 0) {
		ssize_t n;

		pthread_mutex_lock(&f->turn);
		n = pwrite(f->fd, p, len, (off_t)offset);
		pthread_mutex_unlock(&f->turn);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strata_fail_errno(err, errno, "%s: write", f->name);
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	note_written(f, offset);
	return 0;
}

int strata_file_grow(struct strata_file *f, uint64_t size, struct strata_err *err)
{
	struct stat st;

	if (!f->writable || f->output != NULL || f->taken)
		return strata_fail_errno(err, EINVAL, "%s: not a temporary file", f->name);
	if (fstat(f->fd, &st) < 0)
		return strata_fail_errno(err, errno, "%s", f->name);
	if (size > (uint64_t)st.st_size)
		return strata_fail(err, "EFORMAT", "%s: has %lld bytes, fewer than %llu", f->name,
		                   (long long)st.st_size, (unsigned long long)size);
	note_written(f, size);
	return 0;
}

/* For file systems between which the kernel does not copy. */
static int copy_by_hand(struct strata_file *to, uint64_t to_offset, const struct strata_file *from,
                        uint64_t from_offset, uint64_t len, struct strata_err *err)
{
	const size_t chunk = 256 << 10;
	cleanup_free char *bytes = malloc(chunk);

	if (bytes == NULL)
		return strata_fail_nomem(err);
	while (len > 0) {
		size_t n = len < chunk ? (size_t)len : chunk;

		if (strata_file_read(from, from_offset, bytes, n, err) < 0 ||
		    strata_file_write(to, to_offset, bytes, n, err) < 0)
			return -1;
		from_offset += n;
		to_offset += n;
		len -= n;
	}
	return 0;
}

int strata_file_copy(struct strata_file *to, uint64_t to_offset, const struct strata_file *from,
                     uint64_t from_offset, uint64_t len, struct strata_err *err)
{
	while (len > 0) {
		off_t in = (off_t)from_offset;
		off_t out = (off_t)to_offset;
		ssize_t n;

		pthread_mutex_lock(&to->turn);
		n = copy_file_range(from->fd, &in, to->fd, &out,
		                    len < (1u << 30) ? (size_t)len : 1u << 30, 0);
		pthread_mutex_unlock(&to->turn);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
			return strata_fail_errno(err, errno, "%s: write", to->name);
		/* 0 is the end of the file, or a file system that cannot and does not say so. */
		if (n <= 0)
			return copy_by_hand(to, to_offset, from, from_offset, len, err);
		from_offset += (uint64_t)n;
		to_offset += (uint64_t)n;
		len -= (uint64_t)n;
		note_written(to, to_offset);
	}
	return 0;
}

int strata_file_stamp(const struct strata_file *f, struct strata_file_stamp *stamp,
                      struct strata_err *err)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return strata_fail_errno(err, errno, "%s", f->name);
	*stamp = (struct strata_file_stamp){st.st_size, st.st_mtim};
	return 0;
}

bool strata_file_private(const struct strata_file *f)
{
	return f->writable && !f->taken;
}

int strata_file_unchanged(const struct strata_file *f, struct strata_err *err)
{
	struct strata_file_stamp now;

	if (f->writable)
		return 0;
	if (strata_file_stamp(f, &now, err) < 0)
		return -1;
	if (!strata_file_same_stamp(&now, &f->opened))
		return strata_fail(err, "ESTALE", "%s: was changed after it had been opened",
		                   f->name);
	return 0;
}
