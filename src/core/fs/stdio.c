#include "core/fs/stdio.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mem.h"

#define CHUNK ((size_t)256 << 10)

/* Waits after EAGAIN until fd can be used; where poll cannot wait, the caller tries again at once.
 */
static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* ---- in ---------------------------------------------------------------- */

/* fread that goes on after signals and waits for non-blocking pipes. *len is 0 at the end. */
static int read_stream(FILE *from, char *bytes, size_t *len, const char *name,
                       struct strata_err *err)
{
	for (;;) {
		errno = 0;
		*len = fread(bytes, 1, CHUNK, from);
		if (!ferror(from) || errno == 0) /* 0: the error flag was set before */
			return 0;
		if (errno != EINTR && errno != EAGAIN)
			return strata_fail_errno(err, errno, "%s: read", name);
		if (errno == EAGAIN && *len == 0)
			wait_for(fileno(from), POLLIN);
		clearerr(from);
		if (*len > 0)
			return 0;
	}
}

struct strata_file *strata_stdio_read(FILE *from, const char *name, const char *temp_dir,
                                      uint64_t max, struct strata_err *err)
{
	cleanup_file struct strata_file *f = strata_file_temp(temp_dir, name, err);
	cleanup_free char *bytes = malloc(CHUNK);
	uint64_t at = 0;
	size_t len;

	if (f == NULL)
		return NULL;
	if (bytes == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	do {
		if (read_stream(from, bytes, &len, name, err) < 0)
			return NULL;
		if (len > max - at) {
			strata_fail(err, "ELIMIT", "%s: more than limits.spool (%llu) bytes", name,
			            (unsigned long long)max);
			return NULL;
		}
		if (strata_file_write(f, at, bytes, len, err) < 0)
			return NULL;
		at += len;
	} while (len > 0);
	return steal_pointer(&f);
}

/* ---- out --------------------------------------------------------------- */

/* SIGPIPE blocked in this thread. A signal that write() here has caused is taken away again. */
struct hold {
	sigset_t before;
	bool was_pending;
};

static void hold_sigpipe(struct hold *h)
{
	sigset_t pipe_only, pending;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigemptyset(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &h->before);
	sigpending(&pending);
	h->was_pending = sigismember(&pending, SIGPIPE) == 1;
}

static void release_sigpipe(const struct hold *h, bool caused)
{
	const struct timespec now = {0};
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (caused && !h->was_pending)
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &h->before, NULL);
}

/* 0 or an errno. */
static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EAGAIN)
			wait_for(fd, POLLOUT);
		else if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* fflush knows only of the bytes that went through it: tells it where the file is now. */
static void resume_stream(FILE *to, int fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at >= 0)
		fseeko(to, at, SEEK_SET);
}

/* *errnum is that of the stream; of the file, *err tells all. */
static int send_all(const struct strata_file *f, FILE *to, const char *name, int *errnum,
                    struct strata_err *err)
{
	cleanup_free char *bytes = malloc(CHUNK);
	uint64_t size = strata_file_size(f);
	int fd = fileno(to);

	if (bytes == NULL)
		return strata_fail_nomem(err);
	*errnum = fflush(to) != 0 ? errno : 0;
	for (uint64_t at = 0; at < size && *errnum == 0;) {
		size_t len = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		if (strata_file_read(f, at, bytes, len, err) < 0)
			return -1;
		*errnum = write_all(fd, bytes, len);
		at += len;
	}
	resume_stream(to, fd);
	return *errnum != 0 ? strata_fail_errno(err, *errnum, "%s: write", name) : 0;
}

int strata_stdio_write(const struct strata_file *f, FILE *to, const char *name,
                       struct strata_err *err)
{
	struct hold hold;
	int errnum = 0, rc;

	hold_sigpipe(&hold);
	rc = send_all(f, to, name, &errnum, err);
	release_sigpipe(&hold, errnum == EPIPE);
	return rc;
}
