/* Names as a process sees them whose root a directory is: by the kernel, by the walk, and made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/fs/resolve.h"

static char base[] = "/tmp/strata-root-XXXXXX";
static int root = -1;

static const struct {
	const char *path;
	const char *same; /* what it is, below the root; NULL: an error */
} cases[] = {
        {"a/b", "a/b"},       {"/a/b", "a/b"},   {"../a", "a"},     {"a/../../a/b", "a/b"},
        {"abs/b", "a/b"},     {"up/a/b", "a/b"}, {"a/b/out", "a"},  {"abs/../abs/b", "a/b"},
        {".", "."},           {"/", "."},        {"..", "."},       {"loop/x", NULL},
        {"dangling/x", NULL}, {"file/x", NULL},  {"missing", NULL}, {"a/b/out/../abs", "a"},
};

static void make_tree(void)
{
	char name[64];
	int fd;

	CHECK(mkdtemp(base) != NULL);
	root = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0 && mkdirat(root, "a", 0755) == 0 && mkdirat(root, "a/b", 0755) == 0);
	CHECK(symlinkat("/a", root, "abs") == 0 && symlinkat("../../..", root, "up") == 0);
	CHECK(symlinkat("/../../abs", root, "a/b/out") == 0);
	CHECK(symlinkat("loop", root, "loop") == 0 &&
	      symlinkat("/new/deep", root, "dangling") == 0);
	fd = openat(root, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && close(fd) == 0);
	snprintf(name, sizeof(name), "%s/a", base);
	CHECK(access(name, F_OK) == 0);
}

static bool is_same(int fd, const char *path)
{
	struct stat one, two;

	return fstat(fd, &one) == 0 && fstatat(root, path, &two, 0) == 0 &&
	       one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static void check_cases(int (*open_one)(int, const char *, int))
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = open_one(root, cases[i].path, O_RDONLY | O_DIRECTORY);

		if (!CHECK((fd >= 0) == (cases[i].same != NULL)))
			printf("  %s: %d\n", cases[i].path, fd);
		if (fd < 0)
			continue;
		CHECK(cases[i].same != NULL && is_same(fd, cases[i].same));
		close(fd);
	}
}

static void names_stay_in_the_root(void)
{
	check_cases(strata_resolve_in_root);
}

static void names_stay_in_the_root_by_the_walk(void)
{
	check_cases(strata_resolve_in_root_walk);
}

static void plain_names_lead_through_no_links(void)
{
	static const struct {
		const char *path;
		int status;
	} plain[] = {
	        {"a/b", 0},           {".", 0},
	        {"abs", -ELOOP},      {"abs/b", -ELOOP},
	        {"a/b/out", -ELOOP},  {"missing", -ENOENT},
	        {"file/x", -ENOTDIR},
	};

	for (size_t i = 0; i < 2 * sizeof(plain) / sizeof(plain[0]); i++) {
		const char *path = plain[i / 2].path;
		int fd = i % 2 == 0 ? strata_resolve_plain(root, path, O_RDONLY | O_DIRECTORY)
		                    : strata_resolve_plain_walk(root, path, O_RDONLY | O_DIRECTORY);

		if (!CHECK(fd >= 0 ? plain[i / 2].status == 0 : fd == plain[i / 2].status))
			printf("  %s: %d\n", path, fd);
		if (fd >= 0)
			close(fd);
	}
}

/* Links of the root alone are followed; another one becomes a directory. */
static bool is_in_root(void *context, int dir, const char *name)
{
	struct stat one, two;

	(void)context, (void)name;
	return fstat(dir, &one) == 0 && fstat(root, &two) == 0 && one.st_ino == two.st_ino;
}

static int make_one(void *context, int dir, const char *name)
{
	(*(int *)context)++;
	unlinkat(dir, name, 0);
	return mkdirat(dir, name, 0755) == 0 ? 0 : -1;
}

static void what_is_missing_is_made_inside(void)
{
	int made = 0;
	struct strata_maker maker = {.make = make_one, .context = &made};
	int fd = strata_resolve_in_root_make(root, "dangling/x", O_RDONLY, &maker);

	CHECK(fd >= 0 && made == 3 && is_same(fd, "new/deep/x"));
	close(fd);
	fd = strata_resolve_in_root_make(root, "file/y", O_RDONLY, &maker);
	CHECK(fd >= 0 && made == 5 && is_same(fd, "file/y"));
	close(fd);
	fd = strata_resolve_in_root_make(root, "abs/b/../../../z", O_RDONLY, &maker);
	CHECK(fd >= 0 && made == 6 && is_same(fd, "z"));
	close(fd);
	CHECK(strata_resolve_in_root_make(root, "loop/x", O_RDONLY, &maker) < 0 && made == 6);
}

static void links_are_followed_or_replaced(void)
{
	struct strata_buf reached = {0};
	int made = 0, fd;
	struct strata_maker maker = {
	        .make = make_one, .context = &made, .follow = is_in_root, .reached = &reached};

	fd = strata_resolve_in_root_make(root, "abs/b/out/new", O_RDONLY, &maker);
	CHECK(fd >= 0 && made == 2 && is_same(fd, "a/b/out/new"));
	CHECK(reached.len == 11 && memcmp(reached.data, "a/b/out/new", 11) == 0);
	close(fd);
	reached.len = 0;
	fd = strata_resolve_in_root_make(root, "abs/..", O_RDONLY, &maker);
	CHECK(fd >= 0 && is_same(fd, ".") && reached.len == 0);
	close(fd);
	strata_buf_free(&reached);
}

int main(void)
{
	char command[128];

	make_tree();
	RUN(names_stay_in_the_root);
	RUN(names_stay_in_the_root_by_the_walk);
	RUN(plain_names_lead_through_no_links);
	RUN(what_is_missing_is_made_inside);
	RUN(links_are_followed_or_replaced);
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
	return check_sum("resolve_in_root");
}
