/*
 * Applying layers to a directory. Whatever they hold, nothing outside the
 * target changes: not the canary beside it, which the inputs know by name, nor
 * what else is there. After a failure the target is gone. No whiteout is left
 * in what was applied.
 *
 * Input: layers one behind the other, each with its end blocks; a byte behind
 * the last full block holds the options. Devices that are made cannot be opened.
 */
#include "fuzz.h"

#include <dirent.h>

#include "core/apply/apply.h"
#include "place.h"
#include "tar_mutate.h"

#define LAYERS_MAX 4

static char target[64] = PLACE "/target";
static char canary[64] = PLACE "/canary";
static int place = -1;

/* ---- trees --------------------------------------------------------------- */

/* Calls use for everything in the directory, what is in it first; takes fd. */
static void walk(int fd, void (*use)(int dir, const char *name, const struct stat *st, void *arg),
                 void *arg)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	CHECK(dir != NULL);
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		CHECK(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		if (S_ISDIR(st.st_mode))
			walk(openat(dirfd(dir), e->d_name,
			            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			     use, arg);
		use(dirfd(dir), e->d_name, &st, arg);
	}
	closedir(dir);
}

static void remove_one(int dir, const char *name, const struct stat *st, void *arg)
{
	(void)arg;
	CHECK(unlinkat(dir, name, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0) == 0);
}

static void remove_tree(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	walk(fd, remove_one, NULL);
	CHECK(rmdir(path) == 0);
}

static void fail_on_whiteout(int dir, const char *name, const struct stat *st, void *arg)
{
	(void)dir;
	(void)arg;
	CHECK(S_ISDIR(st->st_mode) || strncmp(name, ".wh.", 4) != 0);
}

/* ---- what must not change ------------------------------------------------ */

struct sum {
	uint64_t hash;
};

static void mix(struct sum *s, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		s->hash = (s->hash ^ p[i]) * 0x100000001b3u;
}

static void mix_stat(struct sum *s, const struct stat *st)
{
	const uint64_t parts[] = {st->st_ino,
	                          st->st_mode,
	                          st->st_nlink,
	                          st->st_uid,
	                          st->st_gid,
	                          (uint64_t)st->st_size,
	                          st->st_rdev,
	                          (uint64_t)st->st_mtim.tv_sec,
	                          (uint64_t)st->st_mtim.tv_nsec,
	                          (uint64_t)st->st_ctim.tv_sec,
	                          (uint64_t)st->st_ctim.tv_nsec};

	mix(s, parts, sizeof(parts));
}

/* Adds up, since directories are read in any order. The change time tells of content, too. */
static void sum_one(int dir, const char *name, const struct stat *st, void *arg)
{
	struct sum *total = arg, one = {0xcbf29ce484222325u};
	char text[64] = "";

	if (S_ISREG(st->st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		CHECK(fd >= 0 && read(fd, text, sizeof(text)) >= 0);
		close(fd);
	} else if (S_ISLNK(st->st_mode)) {
		CHECK(readlinkat(dir, name, text, sizeof(text)) >= 0);
	}
	mix(&one, name, strlen(name));
	mix(&one, text, sizeof(text));
	mix_stat(&one, st);
	total->hash += one.hash;
}

static uint64_t sum_of(const char *path)
{
	struct sum total = {0};
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	walk(fd, sum_one, &total);
	mix_stat(&total, &st);
	return total.hash;
}

/* Names beside the target: only the canary. */
static void check_place(bool with_target)
{
	int copy = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;

	CHECK(dir != NULL);
	while ((e = readdir(dir)) != NULL)
		CHECK(strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		      strcmp(e->d_name, "canary") == 0 ||
		      (with_target && strcmp(e->d_name, "target") == 0));
	closedir(dir);
}

/* ---- the place ----------------------------------------------------------- */

static void remove_place(void)
{
	char path[64];

	remove_tree(target);
	remove_tree(canary);
	snprintf(path, sizeof(path), "%.*s", (int)(strlen(target) - strlen("/target")), target);
	rmdir(path);
}

/* The whole of a private file system; else a directory. */
static void make_place(bool is_private)
{
	char path[64] = PLACE;

	if (!is_private) {
		snprintf(path, sizeof(path), "%s/strata-fuzz.%d", PLACE, (int)getpid());
		CHECK(mkdir(path, 0700) == 0);
		snprintf(target, sizeof(target), "%.40s/target", path);
		snprintf(canary, sizeof(canary), "%.40s/canary", path);
		atexit(remove_place);
	}
	place = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(place >= 0);
}

static void make_canary(void)
{
	int fd;

	CHECK(mkdir(canary, 0755) == 0);
	fd = open(canary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *name = "abcdef"; *name; name++) {
		char text[2] = {*name, 0};
		int file = openat(fd, text, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		CHECK(file >= 0 && write(file, text, 1) == 1);
		close(file);
	}
	CHECK(mkdirat(fd, "dir", 0755) == 0 && symlinkat("dir", fd, "l") == 0 &&
	      linkat(fd, "a", fd, "dir/a", 0) == 0);
	close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	umask(022);
	make_place(place_make(*argc, *argv));
	make_canary();
	return 0;
}

/* ---- applying ------------------------------------------------------------ */

/* Where the layer that begins at `at` ends: behind its zero blocks. */
static size_t layer_end(const struct strata_buf *b, size_t at)
{
	struct member m;
	size_t end = at;

	while (next_member(b, end, &m) && m.at == end)
		end = m.next;
	return next_member(b, end, &m) ? m.at : b->len;
}

static struct strata_apply_options options_of(unsigned bits)
{
	return (struct strata_apply_options){
	        .overlay = bits & 1,
	        .user_xattrs = bits & 2,
	        .merge = bits & 4,
	        .unprivileged = bits & 8,
	        .rootless = bits & 16,
	        .inflate = {.bytes = 8 << 20},
	        .limits = {.max_entries = 2000},
	};
}

static void apply(struct strata_file *f, const struct strata_buf *b,
                  struct strata_apply_options options)
{
	struct strata_err err;
	struct strata_apply *a = strata_apply_new(target, &options, &err);
	size_t at = 0;
	int status = 0;

	CHECK(a != NULL);
	for (int i = 0; i < LAYERS_MAX && (i == 0 || at < b->len); i++) {
		size_t end = i == LAYERS_MAX - 1 ? b->len : layer_end(b, at);
		struct strata_blob blob = {f, at, end - at,
		                           strata_sniff(b->data ? b->data + at : "", end - at),
		                           STRATA_SHA256};

		CHECK(strata_apply_add(a, "layer", &blob, "", "", NULL, &err) == 0);
		at = end;
	}
	status = strata_apply_run(a, NULL, &err);
	CHECK(status == 0 || (err.msg[0] && strcmp(err.code, "EROFS") != 0));
	CHECK(status < 0 || strata_apply_result(a) != NULL);
	strata_apply_unref(a);
	CHECK((status == 0) == (faccessat(place, "target", F_OK, AT_SYMLINK_NOFOLLOW) == 0));
	if (status == 0 && !options.overlay) {
		int fd = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		CHECK(fd >= 0);
		walk(fd, fail_on_whiteout, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole = size - size % 512;
	struct strata_buf b = {0};
	struct strata_err err;
	struct strata_file *f = strata_file_temp(PLACE, NULL, &err);
	uint64_t before = sum_of(canary);

	add(&b, data, whole);
	CHECK(f != NULL && strata_file_write(f, 0, data, whole, &err) == 0);
	apply(f, &b, options_of(size > whole ? data[size - 1] : 0));
	CHECK(sum_of(canary) == before);
	check_place(true);
	remove_tree(target);
	strata_file_unref(f);
	strata_buf_free(&b);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint8_t options = (uint8_t)(seed % 7 == 0 ? seed / 7 : size % 512 ? data[size - 1] : 0);
	size_t max = (max_size - 1) / 512 * 512;

	size = tar_mutate(data, size - size % 512, max, seed) / 512 * 512;
	data[size] = options;
	return size + 1;
}
