/* What callers in the core never ask for, or only a machine without memory: refused all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/apply/apply.h"
#include "core/fs/dir.h"
#include "core/fs/file.h"
#include "core/fs/host_tree.h"
#include "core/tar/tar.h"

#include "check.h"

static char base[64] = "/tmp/strata-misuse.XXXXXX";

static const char *below(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", base, name);
	return path[turn];
}

static bool is_code(const struct strata_err *err, const char *code)
{
	return strcmp(err->code, code) == 0;
}

static void headers_that_no_tar_can_hold_are_not_written(void)
{
	const struct strata_tar_header bad[] = {
	        {.path = "x", .path_len = 1, .typeflag = 'x'},
	        {.path = "x", .path_len = 1, .typeflag = 'S'},
	        {.path = "x/", .path_len = 2, .typeflag = '0'},
	        {.path = "x", .path_len = 1, .uid = UINT64_C(1) << 40},
	        {.path = "x", .path_len = 1, .gid = UINT64_C(1) << 40},
	        {.path = "x", .path_len = 1, .size = -1},
	        {.path = "x", .path_len = 1, .size = INT64_MAX},
	        {.path = "x", .path_len = 1, .mtime_nsec = 1000000000},
	        {.path = "x\0y", .path_len = 3},
	        {.path = "x", .path_len = 1, .linkpath = "a\0b", .linkpath_len = 3},
	        {.path = "x", .path_len = 1, .uname = "a\0b", .uname_len = 3},
	        {.path = "x", .path_len = 1, .gname = "a\0b", .gname_len = 3},
	};
	struct strata_buf out = {0};
	struct strata_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(strata_tar_write(&bad[i], &out, &err) < 0 && is_code(&err, "EINVAL") &&
		      out.len == 0);
	strata_buf_free(&out);
}

static void a_global_header_has_a_name_of_its_own(void)
{
	static const char records[] = "10 path=x\n13 comment=y\n9 atime=\n";
	struct strata_tar_header h = {
	        .typeflag = 'g', .pax = records, .pax_len = sizeof(records) - 1};
	struct strata_buf out = {0};
	struct strata_err err;

	CHECK(strata_tar_write(&h, &out, &err) == 0 && out.len == 1024);
	CHECK(out.len > 512 && strcmp(out.data, "GlobalHead.0.0") == 0);
	strata_buf_free(&out);
}

static void a_type_that_is_not_given_follows_from_the_name(void)
{
	struct strata_tar_header h = {.path = "d/", .path_len = 2};
	struct strata_buf out = {0};
	struct strata_err err;

	CHECK(strata_tar_write(&h, &out, &err) == 0 && out.data[156] == '5');
	h.path_len = 1;
	out.len = 0;
	CHECK(strata_tar_write(&h, &out, &err) == 0 && out.data[156] == '0');
	strata_buf_free(&out);
}

static void offsets_beyond_any_file_are_refused(void)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp(base, NULL, &err);
	char byte = 'x';

	if (!CHECK(f != NULL))
		return;
	CHECK(strata_file_write(f, UINT64_MAX, &byte, 1, &err) < 0 && is_code(&err, "EFBIG"));
	CHECK(strata_file_write(f, INT64_MAX, &byte, 1, &err) < 0 && is_code(&err, "EFBIG"));
	CHECK(strata_file_read(f, UINT64_MAX, &byte, 1, &err) < 0 && is_code(&err, "EFORMAT"));
	CHECK(strata_file_read(f, INT64_MAX, &byte, 1, &err) < 0 && is_code(&err, "EFORMAT"));
	CHECK(strata_file_take(f, f, &err) < 0 && is_code(&err, "EINVAL"));
	CHECK(strata_file_publish(f, &err) < 0 && is_code(&err, "EINVAL"));
	strata_file_unref(f);
}

static void a_file_is_taken_by_an_output_that_can_be_it_only(void)
{
	struct strata_err err;
	struct strata_file *out = strata_file_create(below("taken"), &err);
	struct strata_file *other = strata_file_create(below("other"), &err);
	struct strata_file *temp = strata_file_temp(base, NULL, &err);
	struct strata_file *elsewhere = strata_file_temp("/dev/shm", NULL, &err);

	if (!CHECK(out != NULL && other != NULL && temp != NULL && elsewhere != NULL))
		return;
	CHECK(strata_file_take(out, other, &err) == 0);
	CHECK(strata_file_take(out, elsewhere, &err) == 0 || access("/dev/shm", W_OK) != 0);
	CHECK(strata_file_write(temp, 0, "abc", 3, &err) == 0);
	CHECK(strata_file_take(out, temp, &err) == 1 && strata_file_size(out) == 3);
	CHECK(strata_file_take(out, temp, &err) < 0 && is_code(&err, "EINVAL"));
	CHECK(strata_file_take(other, temp, &err) == 0);
	CHECK(strata_file_publish(out, &err) == 0);
	strata_file_unref(out);
	strata_file_unref(other);
	strata_file_unref(temp);
	strata_file_unref(elsewhere);
}

static void quoting_into_no_room_writes_nothing(void)
{
	char c = 'c';

	CHECK(strata_quote(&c, 0, "x", 1) == &c && c == 'c');
}

static void a_target_is_filled_once(void)
{
	struct strata_work work = {0};
	struct strata_err err;
	struct strata_apply *a = strata_apply_new(below("target"), NULL, &err);

	if (!CHECK(a != NULL))
		return;
	CHECK(strata_apply_run(a, &work, &err) == 0);
	CHECK(strata_apply_run(a, &work, &err) < 0 && is_code(&err, "EINVAL"));
	strata_apply_unref(a);
	CHECK(access(below("target"), F_OK) == 0);
}

static void a_target_is_the_process_s_that_made_it(void)
{
	const struct strata_apply_options options = {0};
	struct strata_err err;
	struct strata_apply *a = strata_apply_new(below("forked"), &options, &err);
	struct stat st;
	pid_t child;

	CHECK(a != NULL);
	child = fork();
	if (child == 0) {
		strata_apply_unref(a);
		_exit(0);
	}
	CHECK(child > 0 && waitpid(child, NULL, 0) == child);
	CHECK(stat(below("forked"), &st) == 0);
	strata_apply_unref(a);
	CHECK(stat(below("forked"), &st) < 0 && errno == ENOENT);
}

static void only_a_directory_that_is_written_to_is_removed_from(void)
{
	struct strata_err err;
	struct strata_dir *made = strata_dir_make(below("made"), &err);
	struct strata_dir *read;
	struct strata_file *f;

	if (!CHECK(made != NULL))
		return;
	f = strata_dir_create(made, "a/b/file", &err);
	CHECK(f != NULL && strata_file_publish(f, &err) < 0 && is_code(&err, "EINVAL"));
	CHECK(strata_dir_publish(made, f, "a/b/file", &err) == 0);
	strata_file_unref(f);
	CHECK(strata_dir_remove(made, "no/such/file", &err) == 0);
	CHECK(strata_dir_remove(made, "a/none", &err) == 0);
	CHECK(strata_dir_remove(made, "a/b", &err) < 0);
	CHECK(strata_dir_remove(made, "a/b/file/x", &err) < 0 && is_code(&err, "ENOTDIR"));
	CHECK(strata_dir_remove(made, "../x", &err) < 0);
	CHECK(strata_dir_remove(made, "a/./b", &err) < 0);
	CHECK(strata_dir_remove(made, "a//b", &err) < 0);
	read = strata_dir_open(below("made"), &err);
	CHECK(read != NULL && strata_dir_same(made, read));
	CHECK(strata_dir_remove(read, "a/b/file", &err) < 0 && is_code(&err, "EINVAL"));
	CHECK(strata_dir_remove(made, "a/b/file", &err) == 0);
	CHECK(access(below("made/a/b/file"), F_OK) < 0);
	strata_dir_free(read);
	strata_dir_free(made);
	CHECK(strata_dir_make(below("no/."), &err) == NULL &&
	      strata_dir_make(below("no/.."), &err) == NULL);
}

/* Messages carry no control characters. */
static void names_with_control_characters_are_quoted_in_messages(void)
{
	struct strata_err err;
	struct strata_dir *dir = strata_dir_open(base, &err);

	CHECK(dir != NULL && strata_dir_file(dir, "a\x01\x1b[m\x7f", &err) == NULL);
	for (const char *p = err.msg; *p != '\0'; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
	strata_dir_free(dir);
}

static void write_text(const char *name, const char *text)
{
	int fd = open(below(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static struct strata_host_tree *list_disk(const char *name)
{
	struct strata_err err;
	struct strata_host_tree *d = strata_host_tree_new(below(name), 100, &err);

	CHECK(d != NULL && strata_host_tree_list(d, STRATA_HOST_TREE_NO_PARENT, &err) == 0 &&
	      strata_host_tree_sort(d, &err) == 0 && d->count == 1);
	return d;
}

static void files_of_two_directories_are_compared(void)
{
	struct strata_err err;
	struct strata_host_tree *one, *other;

	CHECK(mkdir(below("one"), 0755) == 0 && mkdir(below("two"), 0755) == 0);
	write_text("one/f", "text");
	write_text("two/f", "texts");
	one = list_disk("one");
	other = list_disk("two");
	CHECK(strata_host_tree_same(one, 0, other, 0, &err) == 0);
	strata_host_tree_unref(other);
	write_text("two/f", "tent");
	other = list_disk("two");
	CHECK(strata_host_tree_same(one, 0, other, 0, &err) == 0);
	CHECK(strata_host_tree_same(one, 0, one, 0, &err) == 1);
	CHECK(unlink(below("two/f")) == 0);
	CHECK(strata_host_tree_same(one, 0, other, 0, &err) < 0 && is_code(&err, "ENOENT"));
	CHECK(strata_host_tree_same(other, 0, one, 0, &err) < 0 && is_code(&err, "ENOENT"));
	strata_host_tree_unref(one);
	strata_host_tree_unref(other);
}

int main(void)
{
	char command[128];

	if (mkdtemp(base) == NULL)
		return 1;
	RUN(headers_that_no_tar_can_hold_are_not_written);
	RUN(a_global_header_has_a_name_of_its_own);
	RUN(a_type_that_is_not_given_follows_from_the_name);
	RUN(offsets_beyond_any_file_are_refused);
	RUN(a_file_is_taken_by_an_output_that_can_be_it_only);
	RUN(quoting_into_no_room_writes_nothing);
	RUN(a_target_is_filled_once);
	RUN(a_target_is_the_process_s_that_made_it);
	RUN(only_a_directory_that_is_written_to_is_removed_from);
	RUN(names_with_control_characters_are_quoted_in_messages);
	RUN(files_of_two_directories_are_compared);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
	return check_sum("misuse");
}
