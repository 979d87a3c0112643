/*
 * Names below a directory: the kernel is the oracle of the walk that stands in
 * for it, and a seccomp filter takes the kernel's way out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/fs/dir.h"
#include "core/fs/resolve.h"

static char base[] = "/tmp/strata-beneath.XXXXXX";
static int root = -1;

typedef int open_fn(int root_fd, const char *path, int flags);

static void write_file(const char *path, const char *text)
{
	int fd = openat(root, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void link_to(const char *target, const char *path)
{
	CHECK(symlinkat(target, root, path) == 0);
}

/* A layout beside something that is none of its business. */
static void make_tree(void)
{
	char path[64], outside[80];
	int top;

	CHECK(mkdtemp(base) != NULL);
	top = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(top, "in", 0755) == 0 && mkdirat(top, "out", 0755) == 0);
	snprintf(outside, sizeof(outside), "%s/out", base);
	snprintf(path, sizeof(path), "%s/in", base);
	root = top;
	write_file("out/secret", "secret");
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(top);
	CHECK(root >= 0);
	CHECK(mkdirat(root, "a", 0755) == 0 && mkdirat(root, "a/b", 0755) == 0);
	write_file("f", "f");
	write_file("a/f", "a/f");
	write_file("a/b/f", "a/b/f");
	CHECK(mkfifoat(root, "fifo", 0644) == 0);
	link_to("f", "lf");
	link_to("a", "la");
	link_to("./a/../a/b", "lb");
	link_to("../f", "a/up");
	link_to("../../in/a", "a/far");
	link_to("../out/secret", "out");
	link_to("..", "dotdot");
	link_to(outside, "abs");
	link_to("loop2", "loop1");
	link_to("loop1", "loop2");
	link_to("self/x", "self");
	link_to("missing", "dangling");
	link_to("f/", "slashed");
	link_to("a/", "la_slashed");
	link_to("/", "top");
}

static void remove_tree(void)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
}

/* 0 when it opens what `same` names, else the errno that came instead. */
static int opens(open_fn *open_one, const char *path, int flags, const char *same)
{
	int fd = open_one(root, path, flags);
	struct stat got, want;

	if (fd < 0)
		return -fd;
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(fstat(fd, &got) == 0 && fstatat(root, same, &want, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(got.st_dev == want.st_dev && got.st_ino == want.st_ino);
	close(fd);
	return 0;
}

#define STAYS 0, O_RDONLY

static const struct {
	const char *path;
	int errnum;
	int flags;
	const char *same;
} cases[] = {
        {"f", STAYS, "f"},
        {"a", STAYS, "a"},
        {".", STAYS, "."},
        {"./", STAYS, "."},
        {"a/b/f", STAYS, "a/b/f"},
        {"a//b/./f", STAYS, "a/b/f"},
        {"a/../f", STAYS, "f"},
        {"a/b/../../f", STAYS, "f"},
        {"a/..", STAYS, "."},
        {"a/b/..", STAYS, "a"},
        {"lf", STAYS, "f"},
        {"la/f", STAYS, "a/f"},
        {"la", STAYS, "a"},
        {"la_slashed", STAYS, "a"},
        {"lb/f", STAYS, "a/b/f"},
        {"la/up", STAYS, "f"},
        {"lb/../up", STAYS, "f"},
        {"f", 0, O_PATH, "f"},
        {"fifo", 0, O_PATH, "fifo"},
        {"lf", 0, O_PATH, "f"},
        {"lf", 0, O_PATH | O_NOFOLLOW, "lf"},
        {"la/b", 0, O_PATH | O_DIRECTORY, "a/b"},
        {"f", ENOTDIR, O_RDONLY | O_DIRECTORY, NULL},
        {"f/", ENOTDIR, O_RDONLY, NULL},
        {"lf/", ENOTDIR, O_RDONLY, NULL},
        {"f/.", ENOTDIR, O_RDONLY, NULL},
        {"f/..", ENOTDIR, O_RDONLY, NULL},
        {"slashed", ENOTDIR, O_RDONLY, NULL},
        {"", ENOENT, O_RDONLY, NULL},
        {"missing", ENOENT, O_RDONLY, NULL},
        {"missing/../f", ENOENT, O_RDONLY, NULL},
        {"dangling", ENOENT, O_RDONLY, NULL},
        {"lf", ELOOP, O_RDONLY | O_NOFOLLOW, NULL},
        {"loop1", ELOOP, O_RDONLY, NULL},
        {"loop1/f", ELOOP, O_RDONLY, NULL},
        {"self", ELOOP, O_RDONLY, NULL},
        {"..", EXDEV, O_RDONLY, NULL},
        {"../in/f", EXDEV, O_RDONLY, NULL},
        {"a/../../in/f", EXDEV, O_RDONLY, NULL},
        {"la/../../in/f", EXDEV, O_RDONLY, NULL},
        {"/", EXDEV, O_RDONLY, NULL},
        {"/etc/passwd", EXDEV, O_RDONLY, NULL},
        {"out", EXDEV, O_RDONLY, NULL},
        {"out", EXDEV, O_PATH, NULL},
        {"dotdot", EXDEV, O_RDONLY, NULL},
        {"dotdot/in/f", EXDEV, O_RDONLY, NULL},
        {"a/far/f", EXDEV, O_RDONLY, NULL},
        {"abs", EXDEV, O_RDONLY, NULL},
        {"abs/secret", EXDEV, O_RDONLY, NULL},
        {"top", EXDEV, O_RDONLY, NULL},
};

static void check_cases(open_fn *open_one)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int errnum = opens(open_one, cases[i].path, cases[i].flags, cases[i].same);

		if (!CHECK(errnum == cases[i].errnum))
			printf("  '%s': %s\n", cases[i].path, strerror(errnum));
	}
}

static void names_stay_inside(void)
{
	check_cases(strata_resolve_beneath);
}

static void names_stay_inside_by_the_walk(void)
{
	check_cases(strata_resolve_beneath_walk);
}

static void magic_links_are_refused(void)
{
	static const char *const names[] = {"exe", "cwd", "root/etc", "fd/0"};
	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(proc >= 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(strata_resolve_beneath(proc, names[i], O_PATH) == -ELOOP);
		CHECK(strata_resolve_beneath_walk(proc, names[i], O_PATH) == -ELOOP);
	}
	close(proc);
}

static void long_names_are_refused(void)
{
	char path[5000];

	memset(path, 'x', sizeof(path));
	path[256] = '\0';
	CHECK(strata_resolve_beneath(root, path, O_PATH) == -ENAMETOOLONG);
	CHECK(strata_resolve_beneath_walk(root, path, O_PATH) == -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(path) - 1; i += 2)
		memcpy(path + i, "./", 2);
	path[4096] = '\0';
	CHECK(strata_resolve_beneath(root, path, O_PATH) == -ENAMETOOLONG);
	CHECK(strata_resolve_beneath_walk(root, path, O_PATH) == -ENAMETOOLONG);
	path[4095] = '\0';
	CHECK(opens(strata_resolve_beneath, path, O_PATH, ".") == 0);
	CHECK(opens(strata_resolve_beneath_walk, path, O_PATH, ".") == 0);
}

static void the_walk_follows_as_many_links_as_the_kernel(void)
{
	char name[32], target[32];

	for (int i = 1; i <= 42; i++) {
		snprintf(name, sizeof(name), "chain%d", i);
		snprintf(target, sizeof(target), "chain%d", i - 1);
		link_to(i == 1 ? "f" : target, name);
	}
	for (int i = 38; i <= 42; i++) {
		snprintf(name, sizeof(name), "chain%d", i);
		CHECK(opens(strata_resolve_beneath, name, O_PATH, "f") == (i <= 40 ? 0 : ELOOP));
		CHECK(opens(strata_resolve_beneath_walk, name, O_PATH, "f") ==
		      (i <= 40 ? 0 : ELOOP));
	}
}

/* Up and down as long as links allow: an error or a result, in bounded time. */
static void the_walk_ends(void)
{
	char target[4096] = "", deep[4096] = "";
	int fd;

	for (size_t i = 0; i + 5 < sizeof(target); i += 5)
		strcat(target, "a/../");
	link_to(target, "zigzag");
	for (int i = 0; i < 300; i++)
		strcat(deep, "zigzag/");
	fd = strata_resolve_beneath_walk(root, deep, O_PATH);
	CHECK(fd == -ELOOP);
}

/* A generator of its own, so that every run is the same one. */
static unsigned pick(unsigned n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state % n);
}

static void the_walk_agrees_with_the_kernel(void)
{
	static const char *const parts[] = {
	        "a",   "b",   "f",  "la", "lb",      "lf",      "up",         "far",
	        "out", "abs", "..", "..", "dotdot",  "loop1",   "dangling",   "self",
	        ".",   "",    "a",  "b",  "missing", "slashed", "la_slashed",
	};
	static const int flags[] = {O_RDONLY | O_NONBLOCK, O_PATH, O_PATH | O_DIRECTORY,
	                            O_PATH | O_NOFOLLOW};

	for (int i = 0; i < 20000; i++) {
		char path[128] = "";
		unsigned n = 1 + pick(6);
		int flag = flags[pick(4)], one, other;
		struct stat st, other_st;

		for (unsigned k = 0; k < n; k++) {
			strcat(path, parts[pick(sizeof(parts) / sizeof(parts[0]))]);
			if (k + 1 < n || pick(4) == 0)
				strcat(path, "/");
		}
		one = strata_resolve_beneath(root, path, flag);
		other = strata_resolve_beneath_walk(root, path, flag);
		if (!CHECK((one < 0 ? one : 0) == (other < 0 ? other : 0)))
			printf("  '%s' (%x): %d, %d\n", path, (unsigned)flag, one, other);
		if (one >= 0 && other >= 0) {
			CHECK(fstat(one, &st) == 0 && fstat(other, &other_st) == 0);
			CHECK(st.st_ino == other_st.st_ino);
		}
		if (one >= 0)
			close(one);
		if (other >= 0)
			close(other);
	}
}

static void neither_way_leaks_descriptors(void)
{
	int before = dup(0), after;

	close(before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		opens(strata_resolve_beneath, cases[i].path, cases[i].flags, cases[i].same);
		opens(strata_resolve_beneath_walk, cases[i].path, cases[i].flags, cases[i].same);
	}
	after = dup(0);
	close(after);
	CHECK(before == after);
}

/* ---- without openat2 --------------------------------------------------- */

/* openat2 fails from now on as it does in a sandbox that does not know it. */
static bool forbid_openat2(unsigned errnum)
{
	struct sock_filter code[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void use_directory(void)
{
	struct strata_err err;
	char path[64];
	struct strata_dir *dir;
	struct strata_file *f;
	struct strata_buf names = {0};

	snprintf(path, sizeof(path), "%s/in/new", base);
	dir = strata_dir_make(path, &err);
	if (!CHECK(dir != NULL))
		return;
	f = strata_dir_create(dir, "x/y", &err);
	CHECK(f && strata_file_write(f, 0, "z", 1, &err) == 0 &&
	      strata_dir_publish(dir, f, "x/y", &err) == 0);
	strata_file_unref(f);
	CHECK(strata_dir_exists(dir, "x/y", &err) == 1);
	CHECK(strata_dir_list(dir, "x", &names, &err) == 0 && strcmp(names.data, "y") == 0);
	strata_buf_free(&names);
	CHECK(strata_dir_file(dir, "../f", &err) == NULL && strcmp(err.code, "EXDEV") == 0);
	CHECK(strata_dir_remove(dir, "x/y", &err) == 0 && strata_dir_exists(dir, "x/y", &err) == 0);
	strata_dir_free(dir);
}

/* In a child, since a filter stays. Its status: 0 well, 1 not, 2 no filter to be had. */
static int status_without_openat2(unsigned errnum)
{
	pid_t pid;
	int status = 0;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (!forbid_openat2(errnum) || syscall(SYS_openat2, root, "f", NULL, 0) != -1 ||
		    errno != (int)errnum)
			_exit(2);
		check_cases(strata_resolve_beneath);
		use_directory();
		fflush(stdout);
		_exit(check_state.failing ? 1 : 0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_sandbox_without_openat2_changes_nothing(void)
{
	static const unsigned errnums[] = {ENOSYS, EPERM};

	for (size_t i = 0; i < 2; i++) {
		int status = status_without_openat2(errnums[i]);

		if (status == 2)
			printf("skipped: no seccomp filter can be set\n");
		CHECK(status != 1);
	}
}

int main(void)
{
	make_tree();
	RUN(names_stay_inside);
	RUN(names_stay_inside_by_the_walk);
	RUN(magic_links_are_refused);
	RUN(long_names_are_refused);
	RUN(the_walk_follows_as_many_links_as_the_kernel);
	RUN(the_walk_agrees_with_the_kernel);
	RUN(neither_way_leaks_descriptors);
	RUN(a_sandbox_without_openat2_changes_nothing);
	RUN(the_walk_ends);
	remove_tree();
	close(root);
	return check_sum("resolve");
}
