/* Streams: signals stay the host's, buffers count, descriptors may be non-blocking. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/fs/stdio.h"

#define SIZE ((size_t)1 << 20)

/* A file of SIZE bytes that repeat after a prime number of them. */
static struct strata_file *make_file(void)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp(NULL, NULL, &err);
	char *bytes = malloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i % 251);
	CHECK(f && strata_file_write(f, 0, bytes, SIZE, &err) == 0);
	free(bytes);
	return f;
}

static bool is_made_file(const struct strata_file *f)
{
	char *bytes = malloc(SIZE);
	struct strata_err err;
	bool same = strata_file_size(f) == SIZE && strata_file_read(f, 0, bytes, SIZE, &err) == 0;

	for (size_t i = 0; same && i < SIZE; i++)
		same = bytes[i] == (char)(i % 251);
	free(bytes);
	return same;
}

/* A stream into a pipe that nobody reads. */
static FILE *broken_pipe(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	close(ends[0]);
	return fdopen(ends[1], "w");
}

/* Sends into a broken pipe and tells whether that was EPIPE. */
static bool send_breaks(const char *buffered)
{
	struct strata_file *f = make_file();
	FILE *to = broken_pipe();
	struct strata_err err = {"", ""};
	int rc;

	fputs(buffered, to);
	rc = strata_stdio_write(f, to, "stream", &err);
	fclose(to);
	strata_file_unref(f);
	return rc == -1 && strcmp(err.code, "EPIPE") == 0 &&
	       strcmp(err.msg, "stream: write: Broken pipe") == 0;
}

static bool is_blocked(int signal)
{
	sigset_t now;

	sigemptyset(&now);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, signal) == 1;
}

static bool is_pending(int signal)
{
	sigset_t now;

	sigemptyset(&now);
	sigpending(&now);
	return sigismember(&now, signal) == 1;
}

static void a_broken_pipe_kills_nobody(void)
{
	struct sigaction action;

	CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	CHECK(send_breaks(""));
	CHECK(send_breaks("in the buffer"));
	CHECK(!is_blocked(SIGPIPE) && !is_pending(SIGPIPE));
	CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
}

static void a_mask_is_left_as_it_was(void)
{
	sigset_t pipe_only, before;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	CHECK(send_breaks(""));
	CHECK(is_blocked(SIGPIPE) && !is_pending(SIGPIPE) && !is_blocked(SIGUSR1));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void a_signal_that_was_pending_stays_so(void)
{
	sigset_t pipe_only, before;
	int got = 0;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	CHECK(raise(SIGPIPE) == 0);
	CHECK(send_breaks(""));
	CHECK(is_pending(SIGPIPE));
	CHECK(sigwait(&pipe_only, &got) == 0 && got == SIGPIPE);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static volatile sig_atomic_t handled;

static void note(int signal)
{
	(void)signal;
	handled++;
}

static void a_handler_of_the_host_does_not_run(void)
{
	struct sigaction action = {.sa_handler = note}, before;

	handled = 0;
	CHECK(sigaction(SIGPIPE, &action, &before) == 0);
	CHECK(send_breaks(""));
	CHECK(handled == 0);
	sigaction(SIGPIPE, &before, NULL);
}

static void what_is_sent_can_be_spooled(void)
{
	struct strata_file *f = make_file(), *copy;
	struct strata_err err;
	FILE *stream = tmpfile();
	char first[8] = "";

	CHECK(fputs("before ", stream) >= 0);
	CHECK(strata_stdio_write(f, stream, "stream", &err) == 0);
	CHECK(ftell(stream) == (long)(7 + SIZE));
	CHECK(fputs("after", stream) >= 0);
	rewind(stream);
	CHECK(fgets(first, 8, stream) && strcmp(first, "before ") == 0);
	copy = strata_stdio_read(stream, "stream", NULL, UINT64_MAX, &err);
	CHECK(copy && strata_file_size(copy) == SIZE + 5);
	CHECK(copy && strata_file_read(copy, SIZE, first, 5, &err) == 0);
	CHECK(memcmp(first, "after", 5) == 0);
	CHECK(copy && strcmp(strata_file_name(copy), "stream") == 0);
	strata_file_unref(copy);
	strata_file_unref(f);
	fclose(stream);
}

static void what_is_read_only_cannot_be_sent_to(void)
{
	struct strata_file *f = make_file();
	FILE *in = fopen("/dev/null", "r"), *out = fopen("/dev/null", "w");
	struct strata_err err = {"", ""};

	CHECK(strata_stdio_write(f, in, "stream", &err) == -1 && strcmp(err.code, "EBADF") == 0);
	CHECK(strata_stdio_read(out, "stream", NULL, UINT64_MAX, &err) == NULL &&
	      strcmp(err.code, "EBADF") == 0);
	fclose(in);
	fclose(out);
	strata_file_unref(f);
}

static void a_full_disk_is_told(void)
{
	struct strata_file *f = make_file();
	FILE *to = fopen("/dev/full", "w");
	struct strata_err err = {"", ""};

	CHECK(strata_stdio_write(f, to, "stream", &err) == -1 && strcmp(err.code, "ENOSPC") == 0);
	fclose(to);
	strata_file_unref(f);
}

static void on_alarm(int signal)
{
	(void)signal;
	handled++;
}

/*
 * A slow peer in a child, signals without SA_RESTART all the while, and a
 * pipe that both ends take for non-blocking. The child sends what it has in
 * pieces, or reads what it gets in pieces.
 */
static void pause_for(int ms)
{
	poll(NULL, 0, ms);
}

/* Faster than valgrind can deliver them, signals would leave no time for anything else. */
static void interrupt_every(long us)
{
	struct itimerval timer = {{0, us}, {0, us}};
	struct sigaction action = {.sa_handler = on_alarm};

	handled = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void feed_slowly(int fd, const struct strata_file *f)
{
	char bytes[SIZE / 16];
	struct strata_err err;

	for (size_t at = 0; at < SIZE; at += sizeof(bytes)) {
		size_t done = 0;

		pause_for(5);
		if (strata_file_read(f, at, bytes, sizeof(bytes), &err) < 0)
			_exit(1);
		while (done < sizeof(bytes)) {
			ssize_t n = write(fd, bytes + done, sizeof(bytes) - done);

			if (n < 0 && errno == EAGAIN)
				pause_for(1);
			else if (n < 0)
				_exit(1);
			done += n > 0 ? (size_t)n : 0;
		}
	}
	_exit(0);
}

static void drain_slowly(int fd)
{
	char bytes[SIZE / 16];
	size_t total = 0;
	ssize_t n;

	do {
		pause_for(2);
		n = read(fd, bytes, sizeof(bytes));
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != (char)(total++ % 251))
				_exit(1);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	_exit(total == SIZE ? 0 : 2);
}

static void end_of_child(pid_t pid)
{
	struct itimerval never = {0};
	int status = -1;

	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(handled > 0);
	signal(SIGALRM, SIG_DFL);
}

static void a_slow_writer_is_waited_for(void)
{
	struct strata_file *f = make_file(), *copy;
	struct strata_err err;
	int ends[2];
	FILE *from;
	pid_t pid;

	CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		feed_slowly(ends[1], f);
	close(ends[1]);
	from = fdopen(ends[0], "r");
	interrupt_every(5000);
	copy = strata_stdio_read(from, "stream", NULL, UINT64_MAX, &err);
	CHECK(copy != NULL && is_made_file(copy));
	end_of_child(pid);
	fclose(from);
	strata_file_unref(copy);
	strata_file_unref(f);
}

static void an_error_of_before_is_none_of_reading(void)
{
	struct strata_err err;
	FILE *from = fopen("/proc/self/exe", "r");
	struct strata_file *copy;

	CHECK(from != NULL && fputc('x', from) == EOF && ferror(from));
	copy = strata_stdio_read(from, "stream", NULL, UINT64_MAX, &err);
	fseek(from, 0, SEEK_END);
	CHECK(copy != NULL && strata_file_size(copy) == (uint64_t)ftell(from));
	fclose(from);
	strata_file_unref(copy);
}

static void a_slow_reader_is_waited_for(void)
{
	struct strata_file *f = make_file();
	struct strata_err err;
	int ends[2];
	FILE *to;
	pid_t pid;

	CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		drain_slowly(ends[0]);
	}
	close(ends[0]);
	to = fdopen(ends[1], "w");
	interrupt_every(5000);
	CHECK(strata_stdio_write(f, to, "stream", &err) == 0);
	fclose(to);
	end_of_child(pid);
	strata_file_unref(f);
}

int main(void)
{
	RUN(a_broken_pipe_kills_nobody);
	RUN(a_mask_is_left_as_it_was);
	RUN(a_signal_that_was_pending_stays_so);
	RUN(a_handler_of_the_host_does_not_run);
	RUN(what_is_sent_can_be_spooled);
	RUN(what_is_read_only_cannot_be_sent_to);
	RUN(a_full_disk_is_told);
	RUN(a_slow_writer_is_waited_for);
	RUN(an_error_of_before_is_none_of_reading);
	RUN(a_slow_reader_is_waited_for);
	return check_sum("stdio");
}
