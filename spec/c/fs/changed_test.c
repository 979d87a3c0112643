/* Files and directories that somebody changes, replaces or removes behind our back. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/fs/file.h"
#include "core/fs/host_tree.h"

#include "check.h"

static char base[64] = "/tmp/strata-changed.XXXXXX";

/* A path in the directory; four of them stay valid. */
static const char *below(const char *name)
{
	static char path[4][384];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", base, name);
	return path[turn];
}

static bool is_code(const struct strata_err *err, const char *code)
{
	return strcmp(err->code, code) == 0;
}

static void write_text(const char *name, const char *text)
{
	int fd = open(below(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void set_time(const char *name, time_t seconds, long nanoseconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {seconds, nanoseconds}};

	CHECK(utimensat(AT_FDCWD, below(name), times, 0) == 0);
}

/* ---- what is read ------------------------------------------------------------- */

static void shorten(void)
{
	CHECK(truncate(below("seen/f"), 2) == 0);
	set_time("seen/f", 1000, 5);
}

static void change_second(void)
{
	set_time("seen/f", 1001, 5);
}

static void change_nanosecond(void)
{
	set_time("seen/f", 1000, 6);
}

static void change_mode(void)
{
	CHECK(chmod(below("seen/f"), 0600) == 0);
}

/* Its number is another one: the first file is there still. */
static void replace(void)
{
	CHECK(rename(below("seen/f"), below("elsewhere")) == 0);
	write_text("seen/f", "text");
	set_time("seen/f", 1000, 5);
}

static void change_back(void)
{
	usleep(20000); /* the clock of files is coarse */
	change_mode();
	CHECK(chmod(below("seen/f"), 0644) == 0);
}

static void (*const changes[])(void) = {shorten,     change_second, change_nanosecond,
                                        change_mode, change_back,   replace};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static void a_file_that_was_listed_is_read_as_it_was_or_not(void)
{
	for (size_t i = 0; i < CHANGES; i++) {
		struct strata_err err = {0};
		struct strata_host_tree *d;
		int fd;

		CHECK(mkdir(below("seen"), 0755) == 0);
		write_text("seen/f", "text");
		set_time("seen/f", 1000, 5);
		d = strata_host_tree_new(below("seen"), 10, &err);
		CHECK(d != NULL && strata_host_tree_list(d, STRATA_HOST_TREE_NO_PARENT, &err) == 0);
		fd = strata_host_tree_open(d, 0, &err);
		CHECK(fd >= 0 && strata_host_tree_check(d, 0, fd, &err) == 0);
		changes[i]();
		CHECK(strata_host_tree_open(d, 0, &err) < 0 && is_code(&err, "ESTALE"));
		/* What is open is a file that was only renamed, in the last case. */
		memset(&err, 0, sizeof(err));
		CHECK(strata_host_tree_check(d, 0, fd, &err) < 0 && is_code(&err, "ESTALE"));
		CHECK(strata_host_tree_check(d, 0, -1, &err) < 0 && is_code(&err, "EBADF"));
		close(fd);
		strata_host_tree_unref(d);
		unlink(below("seen/f"));
		CHECK(rmdir(below("seen")) == 0);
	}
}

static void a_file_that_was_opened_has_not_been_written_to_or_it_is_said(void)
{
	for (size_t i = 0; i < 3; i++) {
		struct strata_err err;
		struct strata_file *f;

		CHECK(mkdir(below("seen"), 0755) == 0);
		write_text("seen/f", "text");
		set_time("seen/f", 1000, 5);
		f = strata_file_open(below("seen/f"), &err);
		CHECK(f != NULL && strata_file_unchanged(f, &err) == 0);
		changes[i]();
		CHECK(strata_file_unchanged(f, &err) < 0 && is_code(&err, "ESTALE"));
		strata_file_unref(f);
		unlink(below("seen/f"));
		CHECK(rmdir(below("seen")) == 0);
	}
}

static void devices_are_listed_with_their_numbers(void)
{
	struct strata_err err;
	struct strata_host_tree *d;

	if (geteuid() != 0)
		return;
	CHECK(mkdir(below("dev"), 0755) == 0);
	CHECK(mknod(below("dev/b"), S_IFBLK | 0600, makedev(7, 3)) == 0);
	CHECK(mknod(below("dev/c"), S_IFCHR | 0600, makedev(1, 5)) == 0);
	d = strata_host_tree_new(below("dev"), 10, &err);
	CHECK(d != NULL && strata_host_tree_list(d, STRATA_HOST_TREE_NO_PARENT, &err) == 0 &&
	      d->count == 2);
	CHECK(d->entries[0].devmajor == 7 && d->entries[0].devminor == 3);
	CHECK(d->entries[1].devmajor == 1 && d->entries[1].devminor == 5);
	strata_host_tree_unref(d);
}

static bool is_text(const char *name, const char *text)
{
	char bytes[64] = "";
	int fd = open(below(name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && strcmp(bytes, text) == 0;
}

static void publish(const char *name, const char *text)
{
	struct strata_err err;
	struct strata_file *f = strata_file_create(below(name), &err);

	CHECK(f != NULL && strata_file_write(f, 0, text, strlen(text), &err) == 0 &&
	      strata_file_publish(f, &err) == 0);
	strata_file_unref(f);
}

static void a_link_to_nowhere_is_replaced_itself(void)
{
	CHECK(symlink("nowhere", below("link")) == 0);
	publish("link", "a file");
	CHECK(is_text("link", "a file") && access(below("nowhere"), F_OK) < 0);
}

/* What is dead goes; for anything else at the second name the file takes another one. */
static void what_a_killed_save_has_left_is_no_hindrance(void)
{
	char name[300];
	int fd;

	write_text("again", "old");
	write_text(".again.strata", "left");
	publish("again", "new");
	CHECK(is_text("again", "new") && access(below(".again.strata"), F_OK) < 0);
	write_text(".fresh.strata", "left");
	publish("fresh", "new");
	CHECK(is_text("fresh", "new") && access(below(".fresh.strata"), F_OK) < 0);
	CHECK(symlink("again", below(".again.strata")) == 0);
	publish("again", "newer");
	CHECK(is_text("again", "newer") && unlink(below(".again.strata")) == 0);
	CHECK(mkdir(below(".again.strata"), 0755) == 0);
	publish("again", "newest");
	CHECK(is_text("again", "newest") && rmdir(below(".again.strata")) == 0);
	write_text(".again.strata", "in use");
	fd = open(below(".again.strata"), O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && flock(fd, LOCK_SH) == 0);
	publish("again", "last");
	CHECK(is_text("again", "last") && is_text(".again.strata", "in use"));
	close(fd);
	memset(name, 'x', 255);
	name[255] = '\0';
	publish(name, "long");
	publish(name, "longer");
	CHECK(is_text(name, "longer"));
}

#define REPLACERS 4
#define TIMES 300

static char contested[128];

static void *replace_many_times(void *context)
{
	const char *text = context;
	struct strata_err err;
	int failed = 0;

	for (int i = 0; i < TIMES; i++) {
		struct strata_file *f = strata_file_create(contested, &err);

		if (f == NULL || strata_file_write(f, 0, text, strlen(text), &err) < 0 ||
		    strata_file_publish(f, &err) < 0)
			failed++;
		strata_file_unref(f);
	}
	return failed == 0 ? context : NULL;
}

static void a_file_that_several_replace_is_one_of_theirs(void)
{
	static char texts[REPLACERS][2] = {"0", "1", "2", "3"};
	pthread_t threads[REPLACERS];
	void *result;

	write_text("contested", "old");
	snprintf(contested, sizeof(contested), "%s/contested", base);
	for (int i = 0; i < REPLACERS; i++)
		CHECK(pthread_create(&threads[i], NULL, replace_many_times, texts[i]) == 0);
	for (int i = 0; i < REPLACERS; i++)
		CHECK(pthread_join(threads[i], &result) == 0 && result != NULL);
	CHECK(is_text("contested", "0") || is_text("contested", "1") || is_text("contested", "2") ||
	      is_text("contested", "3"));
	CHECK(access(below(".contested.strata"), F_OK) < 0);
}

int main(void)
{
	char command[128];

	if (mkdtemp(base) == NULL)
		return 1;
	RUN(a_file_that_was_listed_is_read_as_it_was_or_not);
	RUN(a_file_that_was_opened_has_not_been_written_to_or_it_is_said);
	RUN(devices_are_listed_with_their_numbers);
	RUN(a_link_to_nowhere_is_replaced_itself);
	RUN(what_a_killed_save_has_left_is_no_hindrance);
	RUN(a_file_that_several_replace_is_one_of_theirs);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
	return check_sum("changed");
}
