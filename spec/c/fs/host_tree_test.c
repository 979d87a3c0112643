/* Directories as lists: what is listed, in which order, and what is noticed when a file changes. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/fs/host_tree.h"
#include "core/layer/assembly.h"

static char base[] = "/tmp/strata-disk-XXXXXX";
static int root = -1;
static struct strata_err err;

static void put(const char *name, const char *text)
{
	int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void make_tree(void)
{
	CHECK(mkdtemp(base) != NULL);
	root = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0 && mkdirat(root, "d", 0755) == 0 && mkdirat(root, "d/e", 0700) == 0);
	CHECK(mkdirat(root, "gone", 0755) == 0);
	put("d/file", "content");
	put("d/other", "content");
	put("d-e", "");
	put("gone/file", "");
	CHECK(symlinkat("d/file", root, "link") == 0);
}

/* All of it; whatever is in "gone" has been dropped. */
static struct strata_host_tree *list(void)
{
	struct strata_host_tree *d = strata_host_tree_new(base, 100, &err);

	CHECK(d != NULL && strata_host_tree_list(d, STRATA_HOST_TREE_NO_PARENT, &err) == 0);
	for (uint32_t i = 0; i < d->count; i++) {
		struct strata_host_tree_entry *e = &d->entries[i];

		if (e->path_len == 4 && memcmp(strata_host_tree_text(d, e->path), "gone", 4) == 0)
			e->dropped = true;
		if (S_ISDIR(e->mode))
			CHECK(strata_host_tree_list(d, i, &err) == 0);
	}
	CHECK(strata_host_tree_sort(d, &err) == 0);
	return d;
}

static uint32_t number_of(const struct strata_host_tree *d, const char *path)
{
	uint32_t number = 0;

	CHECK(strata_host_tree_find(d, path, strlen(path), &number));
	return number;
}

static void lists_in_order(void)
{
	static const char *const paths[] = {"d", "d-e", "d/e", "d/file", "d/other", "link"};
	struct strata_host_tree *d = list();
	uint32_t number;

	CHECK(d->count == 6);
	for (uint32_t i = 0; i < d->count && i < 6; i++) {
		const struct strata_host_tree_entry *e = &d->entries[i];

		CHECK(e->path_len == strlen(paths[i]));
		CHECK(memcmp(strata_host_tree_text(d, e->path), paths[i], e->path_len) == 0);
		CHECK(number_of(d, paths[i]) == i);
	}
	CHECK(d->entries[0].parent == STRATA_HOST_TREE_NO_PARENT && d->entries[3].parent == 0);
	CHECK(S_ISLNK(d->entries[5].mode) && d->entries[5].linkpath_len == 6);
	CHECK(!strata_host_tree_find(d, "gone/file", 9, &number));
	CHECK(!strata_host_tree_find(d, "", 0, &number));
	CHECK(strata_host_tree_same(d, 3, d, 4, &err) == 1);
	strata_host_tree_unref(d);
}

static void keeps_to_the_limit(void)
{
	struct strata_host_tree *d = strata_host_tree_new(base, 2, &err);

	CHECK(d != NULL && strata_host_tree_list(d, STRATA_HOST_TREE_NO_PARENT, &err) < 0);
	CHECK(strcmp(err.code, "ELIMIT") == 0);
	strata_host_tree_unref(d);
}

/* The size is that of the listing; what is not there any more names the file. */
static void notices_a_file_that_shrinks(void)
{
	struct strata_host_tree *d = list();
	uint32_t number = number_of(d, "d/file");
	int fd = strata_host_tree_open(d, number, &err);
	char bytes[7];

	CHECK(fd >= 0);
	put("d/file", "con");
	CHECK(strata_host_tree_read(d, number, fd, bytes, sizeof(bytes), &err) < 0);
	CHECK(strcmp(err.code, "ESTALE") == 0 && strstr(err.msg, "'d/file'") != NULL);
	CHECK(strata_host_tree_check(d, number, fd, &err) < 0);
	CHECK(close(fd) == 0);
	CHECK(strata_host_tree_open(d, number, &err) < 0 && strcmp(err.code, "ESTALE") == 0);
	put("d/file", "content");
	strata_host_tree_unref(d);
}

/* An assembly has references to all that it reads from. */
static void writes_content_and_padding(void)
{
	struct strata_host_tree *d = list();
	struct strata_file *to = strata_file_temp(NULL, NULL, &err);
	struct strata_file *heads = strata_file_temp(NULL, NULL, &err);
	struct strata_assembly c = {0};
	const struct strata_plan_options options = {.compression = STRATA_NONE};
	struct strata_blob_info result;
	char block[512] = {'h'}, got[2048];

	CHECK(to != NULL && heads != NULL);
	CHECK(strata_file_write(heads, 0, block, sizeof(block), &err) == 0);
	CHECK(strata_assembly_add_range(&c, heads, 0, 256, &err) == 0);
	CHECK(strata_assembly_add_range(&c, heads, 256, 256, &err) == 0);
	CHECK(c.count == 1);
	CHECK(strata_assembly_add_host_file(&c, d, number_of(d, "d/file"), &err) == 0);
	strata_host_tree_unref(d);
	strata_file_unref(heads);
	CHECK(strata_assembly_write(&c, &options, to, &result, &err) == 0);
	CHECK(result.size == sizeof(got));
	CHECK(strata_file_read(to, 0, got, sizeof(got), &err) == 0);
	CHECK(got[0] == 'h' && memcmp(got + 512, "content\0", 8) == 0 && got[1023] == 0);
	strata_assembly_free(&c);
	strata_file_unref(to);
}

static void removes_the_tree(void)
{
	static const char *const names[] = {"d/file", "d/other", "d-e", "gone/file", "link"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(unlinkat(root, names[i], 0) == 0);
	CHECK(unlinkat(root, "d/e", AT_REMOVEDIR) == 0);
	CHECK(unlinkat(root, "d", AT_REMOVEDIR) == 0);
	CHECK(unlinkat(root, "gone", AT_REMOVEDIR) == 0);
	CHECK(close(root) == 0 && rmdir(base) == 0);
}

int main(void)
{
	RUN(make_tree);
	RUN(lists_in_order);
	RUN(keeps_to_the_limit);
	RUN(notices_a_file_that_shrinks);
	RUN(writes_content_and_padding);
	RUN(removes_the_tree);
	return check_sum("host_tree");
}
