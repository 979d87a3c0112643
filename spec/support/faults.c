/*
 * Preloaded into an interpreter, and a Lua module in it: what strata asks the C
 * library for fails on demand. Calls count only when they come from the modules
 * that are watched, so the interpreter and the test itself go unharmed.
 *
 *   local faults = package.loadlib(path, "luaopen_faults")()
 *   faults.watch("/strata/core.so")
 *   faults.arm{class = "write", at = 7, errno = 5}   -- the 7th fails with EIO
 *   ...
 *   calls, hits = faults.disarm()
 *   faults.arm{class = "write", at = 1, errno = 5, stacks = 1}
 *   -- the first that comes by a way (functions of the modules) on which none has failed yet;
 *   -- with stacks = 4 only one way in four counts, the same in each run
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "place.h"

#define EXPORT __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

enum class {
	CLASS_MALLOC = 1,
	CLASS_READ = 2,
	CLASS_WRITE = 4,
	CLASS_COPY = 8,
	CLASS_SYNC = 16,
	CLASS_NAME = 32,
	CLASS_OPEN = 64,
	CLASS_META = 128,
	CLASS_THREAD = 256,
	CLASS_UNLINK = 512,
	CLASS_LOOK = 1024,
	CLASS_RANDOM = 2048,
	CLASS_TMPFILE = 4096,
	CLASS_OPENAT2 = 8192,
	CLASS_LOCK = 16384,
	CLASS_STATX = 32768,
	CLASS_CHMOD = 65536, /* of a descriptor; it is of CLASS_META as well */
};

/* ---- who calls ------------------------------------------------------------ */

#define MAX_RANGES 16

static struct range {
	uintptr_t from, to;
} ranges[MAX_RANGES];
static int range_count;

/* Where a caller is in a watched module, from 1, wherever that was loaded; 0: in none. */
static uintptr_t place_of(uintptr_t caller)
{
	for (int i = 0; i < range_count; i++)
		if (caller >= ranges[i].from && caller < ranges[i].to)
			return caller - ranges[i].from + 1;
	return 0;
}

static bool is_watched(uintptr_t caller)
{
	return place_of(caller) != 0;
}

static int add_range(struct dl_phdr_info *info, size_t size, void *wanted)
{
	(void)size;
	if (strstr(info->dlpi_name, wanted) == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum && range_count < MAX_RANGES; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
			ranges[range_count++] =
			        (struct range){info->dlpi_addr + p->p_vaddr,
			                       info->dlpi_addr + p->p_vaddr + p->p_memsz};
	}
	return 0;
}

/* ---- what fails ------------------------------------------------------------ */

static struct {
	atomic_uint mask; /* classes; 0 when nothing is armed */
	atomic_long calls;
	atomic_long hits;
	atomic_long first; /* the first call that failed */
	long at;           /* the first call that fails, from 1; with `stacks` that may fail */
	long times;        /* how many do from there on */
	int errnum;      /* 0: fewer bytes than asked for; -1: the process is killed at the call */
	unsigned rng;    /* for short counts */
	unsigned stacks; /* above 0: the first on a way that is new, of one way in so many */
} rule;

/* Ways on which a call has failed, as hashes: a table with open addressing. */
#define WAY_SLOTS (1u << 16)
#define WAY_DEPTH 40

static uint64_t ways[WAY_SLOTS];
static pthread_mutex_t ways_lock = PTHREAD_MUTEX_INITIALIZER;

/* True for a way that counts and has not been gone before with this kind of failure. */
static bool is_new_way(enum class class)
{
	void *frames[WAY_DEPTH];
	uintptr_t place;
	int n = backtrace(frames, WAY_DEPTH);
	uint64_t hash = ((uint64_t) class << 32) ^ (unsigned)rule.errnum;
	unsigned i;
	bool is_new;

	for (int k = 0; k < n; k++)
		if ((place = place_of((uintptr_t)frames[k])) != 0)
			hash = (hash ^ place) * 1099511628211u;
	if ((hash >> 20) % rule.stacks != 0)
		return false;
	pthread_mutex_lock(&ways_lock);
	for (i = (unsigned)(hash >> 40) % WAY_SLOTS; ways[i] != 0 && ways[i] != hash;)
		i = (i + 1) % WAY_SLOTS;
	is_new = ways[i] == 0;
	ways[i] = hash;
	pthread_mutex_unlock(&ways_lock);
	return is_new;
}

/* Whether it is this call's turn, the n-th. */
static bool is_due(enum class class, long n)
{
	long hits = atomic_load(&rule.hits);

	if (rule.stacks > 0)
		return hits > 0 ? hits < rule.times : n >= rule.at && is_new_way(class);
	return n >= rule.at && n - rule.at < rule.times;
}

/* Whether this call is to fail. */
static bool hit(enum class class, uintptr_t caller)
{
	long n;

	if ((atomic_load(&rule.mask) & class) == 0 || !is_watched(caller))
		return false;
	n = atomic_fetch_add(&rule.calls, 1) + 1;
	if (!is_due(class, n))
		return false;
	if (atomic_fetch_add(&rule.hits, 1) == 0)
		atomic_store(&rule.first, n);
	if (rule.errnum < 0) {
		kill(getpid(), SIGKILL);
		pause();
	}
	if (rule.errnum != 0)
		errno = rule.errnum;
	return true;
}

/* A count between 1 and len. */
static size_t shortened(size_t len)
{
	unsigned x = __atomic_load_n(&rule.rng, __ATOMIC_RELAXED);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	__atomic_store_n(&rule.rng, x, __ATOMIC_RELAXED);
	return len > 1 ? 1 + x % (len < 4096 ? len : 4096) : len;
}

/* ---- memory ---------------------------------------------------------------- */

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static atomic_bool resolving;

/* What dlsym itself asks for before the real functions are known. */
static char early[65536];
static size_t early_used;

static void *early_alloc(size_t size)
{
	char *p = early + early_used;

	early_used += (size + 15) & ~(size_t)15;
	if (early_used > sizeof(early))
		abort();
	return p;
}

static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static void *next(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (symbol == NULL)
		abort();
	return symbol;
}

static bool resolved(void)
{
	if (real_free != NULL)
		return true;
	if (atomic_exchange(&resolving, true))
		return false;
	*(void **)&real_malloc = next("malloc");
	*(void **)&real_calloc = next("calloc");
	*(void **)&real_realloc = next("realloc");
	*(void **)&real_free = next("free");
	return true;
}

/* Blocks of watched callers that have not been freed: a table with open addressing. */
#define LIVE_SLOTS (1u << 18)
#define LIVE_PROBES 4096 /* what was in use stays in the way */

static uintptr_t live[LIVE_SLOTS];
static long live_count;
static atomic_bool tracking;
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned live_slot(uintptr_t p)
{
	return (unsigned)((p >> 4) * 2654435761u) & (LIVE_SLOTS - 1);
}

static void *track(void *p, bool wanted)
{
	unsigned i = live_slot((uintptr_t)p);

	if (p == NULL || !wanted || !atomic_load(&tracking))
		return p;
	pthread_mutex_lock(&live_lock);
	while (live[i] > 1)
		i = (i + 1) & (LIVE_SLOTS - 1);
	live_count++;
	live[i] = (uintptr_t)p;
	pthread_mutex_unlock(&live_lock);
	return p;
}

/* True when it was one of them. */
static bool untrack(void *p)
{
	unsigned i = live_slot((uintptr_t)p);
	bool found = false;

	if (p == NULL || !atomic_load(&tracking))
		return false;
	pthread_mutex_lock(&live_lock);
	for (int n = 0; n < LIVE_PROBES && live[i] != 0 && live[i] != (uintptr_t)p; n++)
		i = (i + 1) & (LIVE_SLOTS - 1);
	if (live[i] == (uintptr_t)p) {
		found = true;
		live[i] = 1; /* was one */
		live_count--;
	}
	pthread_mutex_unlock(&live_lock);
	return found;
}

EXPORT void *malloc(size_t size)
{
	if (!resolved())
		return early_alloc(size);
	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	return track(real_malloc(size), is_watched(CALLER));
}

EXPORT void *calloc(size_t n, size_t size)
{
	if (!resolved())
		return early_alloc(n * size);
	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	return track(real_calloc(n, size), is_watched(CALLER));
}

EXPORT void *realloc(void *p, size_t size)
{
	bool was;
	void *q;

	if (!resolved() || is_early(p))
		abort();
	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	was = untrack(p);
	q = real_realloc(p, size);
	if (q == NULL && size > 0)
		track(p, was);
	return track(q, was || is_watched(CALLER));
}

EXPORT void free(void *p)
{
	if (p == NULL || is_early(p) || !resolved())
		return;
	untrack(p);
	real_free(p);
}

#define REAL(name)                     \
	static __typeof__(name) *real; \
	if (real == NULL)              \
	*(void **)&real = next(#name)

EXPORT char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = hit(CLASS_MALLOC, CALLER) ? NULL : real_malloc(size);

	if (copy == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	return track(memcpy(copy, text, size), is_watched(CALLER));
}

EXPORT char *strndup(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	char *copy = hit(CLASS_MALLOC, CALLER) ? NULL : real_malloc(len + 1);

	if (copy == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	return track(copy, is_watched(CALLER));
}

EXPORT int asprintf(char **text, const char *format, ...)
{
	va_list ap;
	int n;

	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return -1;
	}
	va_start(ap, format);
	n = vasprintf(text, format, ap);
	va_end(ap);
	if (n >= 0)
		track(*text, is_watched(CALLER));
	return n;
}

EXPORT char *realpath(const char *path, char *out)
{
	char space[PATH_MAX];

	REAL(realpath);
	if (out != NULL)
		return real(path, out);
	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	if (real(path, space) == NULL)
		return NULL;
	out = real_malloc(strlen(space) + 1);
	return out != NULL ? track(strcpy(out, space), is_watched(CALLER)) : NULL;
}

EXPORT DIR *fdopendir(int fd)
{
	REAL(fdopendir);
	if (hit(CLASS_MALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(fd);
}

/* ---- threads ---------------------------------------------------------------- */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
	REAL(pthread_create);
	if (hit(CLASS_THREAD, CALLER))
		return EAGAIN;
	return real(thread, attributes, start, argument);
}

/* ---- files ------------------------------------------------------------------- */

/* Defines a function that fails with -1. */
#define FAILS(class, type, name, parameters, arguments) \
	EXPORT type name parameters                     \
	{                                               \
		REAL(name);                             \
		if (hit(class, CALLER))                 \
			return -1;                      \
		return real arguments;                  \
	}

/* The same, or it moves fewer bytes. */
#define FAILS_OR_SHORT(class, name, parameters, len, arguments) \
	EXPORT ssize_t name parameters                          \
	{                                                       \
		REAL(name);                                     \
		if (hit(class, CALLER)) {                       \
			if (rule.errnum != 0)                   \
				return -1;                      \
			len = shortened(len);                   \
		}                                               \
		return real arguments;                          \
	}

FAILS_OR_SHORT(CLASS_READ, read, (int fd, void *bytes, size_t len), len, (fd, bytes, len))
FAILS_OR_SHORT(CLASS_READ, pread, (int fd, void *bytes, size_t len, off_t at), len,
               (fd, bytes, len, at))
FAILS_OR_SHORT(CLASS_WRITE, write, (int fd, const void *bytes, size_t len), len, (fd, bytes, len))
FAILS_OR_SHORT(CLASS_WRITE, pwrite, (int fd, const void *bytes, size_t len, off_t at), len,
               (fd, bytes, len, at))
FAILS_OR_SHORT(CLASS_COPY, copy_file_range,
               (int in, off_t *in_at, int out, off_t *out_at, size_t len, unsigned flags), len,
               (in, in_at, out, out_at, len, flags))
FAILS(CLASS_SYNC, int, fsync, (int fd), (fd))
FAILS(CLASS_NAME, int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAILS(CLASS_NAME, int, linkat, (int a, const char *from, int b, const char *to, int flags),
      (a, from, b, to, flags))
FAILS(CLASS_NAME, int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
FAILS(CLASS_NAME, int, symlinkat, (const char *to, int fd, const char *path), (to, fd, path))
FAILS(CLASS_NAME, int, mkfifoat, (int fd, const char *path, mode_t mode), (fd, path, mode))
FAILS(CLASS_NAME, int, mknodat, (int fd, const char *path, mode_t mode, dev_t dev),
      (fd, path, mode, dev))
FAILS(CLASS_UNLINK, int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
FAILS(CLASS_META, int, fstat, (int fd, struct stat *st), (fd, st))
FAILS(CLASS_META, int, fstatat, (int fd, const char *path, struct stat *st, int flags),
      (fd, path, st, flags))
FAILS(CLASS_META | CLASS_CHMOD, int, fchmod, (int fd, mode_t mode), (fd, mode))
FAILS(CLASS_META, int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
FAILS(CLASS_META, int, fchmodat, (int fd, const char *path, mode_t mode, int flags),
      (fd, path, mode, flags))
FAILS(CLASS_META, int, fchownat, (int fd, const char *path, uid_t uid, gid_t gid, int flags),
      (fd, path, uid, gid, flags))
FAILS(CLASS_META, int, utimensat,
      (int fd, const char *path, const struct timespec times[2], int flags),
      (fd, path, times, flags))
FAILS(CLASS_META, int, futimens, (int fd, const struct timespec times[2]), (fd, times))
FAILS(CLASS_META, int, ftruncate, (int fd, off_t size), (fd, size))
FAILS(CLASS_META, int, fsetxattr,
      (int fd, const char *name, const void *value, size_t size, int flags),
      (fd, name, value, size, flags))
FAILS(CLASS_META, int, dup3, (int fd, int to, int flags), (fd, to, flags))
FAILS(CLASS_META, int, chmod, (const char *path, mode_t mode), (path, mode))
FAILS(CLASS_META, int, lsetxattr,
      (const char *path, const char *name, const void *value, size_t size, int flags),
      (path, name, value, size, flags))
FAILS(CLASS_META, int, fremovexattr, (int fd, const char *name), (fd, name))
FAILS(CLASS_LOCK, int, flock, (int fd, int how), (fd, how))
FAILS(CLASS_LOOK, int, fstatfs, (int fd, struct statfs *fs), (fd, fs))
FAILS(CLASS_LOOK, ssize_t, readlinkat, (int fd, const char *path, char *target, size_t size),
      (fd, path, target, size))
FAILS(CLASS_LOOK, ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size),
      (path, name, value, size))
FAILS(CLASS_LOOK, ssize_t, fgetxattr, (int fd, const char *name, void *value, size_t size),
      (fd, name, value, size))
FAILS(CLASS_LOOK, ssize_t, listxattr, (const char *path, char *names, size_t size),
      (path, names, size))
FAILS(CLASS_LOOK, ssize_t, flistxattr, (int fd, char *names, size_t size), (fd, names, size))
FAILS(CLASS_RANDOM, ssize_t, getrandom, (void *bytes, size_t size, unsigned flags),
      (bytes, size, flags))

EXPORT struct dirent *readdir(DIR *dir)
{
	REAL(readdir);
	return hit(CLASS_LOOK, CALLER) ? NULL : real(dir);
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	REAL(open);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return hit(CLASS_OPEN, CALLER) ? -1 : real(path, flags, mode);
}

EXPORT int openat(int fd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	REAL(openat);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && hit(CLASS_TMPFILE, CALLER))
		return -1;
	return hit(CLASS_OPEN, CALLER) ? -1 : real(fd, path, flags, mode);
}

/* openat2 and statx come this way; the others take as many arguments at most. */
EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	REAL(syscall);
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && (hit(CLASS_OPEN, CALLER) || hit(CLASS_OPENAT2, CALLER)))
		return -1;
	if (number == SYS_statx && (hit(CLASS_META, CALLER) || hit(CLASS_STATX, CALLER)))
		return -1;
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- the module --------------------------------------------------------------- */

/* watch(part of a library's path ...): calls from these count */
static int faults_watch(lua_State *L)
{
	range_count = 0;
	for (int i = 1; i <= lua_gettop(L); i++) {
		union {
			const char *in;
			void *out;
		} name = {luaL_checkstring(L, i)};

		dl_iterate_phdr(add_range, name.out);
	}
	lua_pushinteger(L, range_count);
	return 1;
}

static unsigned class_of(lua_State *L, const char *name)
{
	static const struct {
		const char *name;
		unsigned mask;
	} classes[] = {{"malloc", CLASS_MALLOC},
	               {"read", CLASS_READ},
	               {"write", CLASS_WRITE},
	               {"copy", CLASS_COPY},
	               {"sync", CLASS_SYNC},
	               {"name", CLASS_NAME},
	               {"open", CLASS_OPEN},
	               {"meta", CLASS_META},
	               {"thread", CLASS_THREAD},
	               {"unlink", CLASS_UNLINK},
	               {"look", CLASS_LOOK},
	               {"random", CLASS_RANDOM},
	               {"tmpfile", CLASS_TMPFILE},
	               {"openat2", CLASS_OPENAT2},
	               {"lock", CLASS_LOCK},
	               {"statx", CLASS_STATX},
	               {"chmod", CLASS_CHMOD},
	               {"traces", CLASS_WRITE | CLASS_COPY | CLASS_SYNC | CLASS_NAME | CLASS_OPEN |
	                                  CLASS_META | CLASS_UNLINK},
	               {"data", CLASS_READ | CLASS_WRITE | CLASS_COPY},
	               {"files", CLASS_READ | CLASS_WRITE | CLASS_COPY | CLASS_SYNC | CLASS_NAME |
	                                 CLASS_OPEN | CLASS_META}};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(classes[i].name, name) == 0)
			return classes[i].mask;
	return (unsigned)luaL_error(L, "no class %s", name);
}

static long number_field(lua_State *L, const char *field, long fallback)
{
	long n;

	lua_getfield(L, 1, field);
	n = lua_isnil(L, -1) ? fallback : (long)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return n;
}

/* arm{class, at, stacks = 0, times = 1, errno = 0, seed = 1} */
static int faults_arm(lua_State *L)
{
	unsigned mask;
	void *frame;

	backtrace(&frame, 1); /* loads what it needs */

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_getfield(L, 1, "class");
	mask = class_of(L, luaL_checkstring(L, -1));
	atomic_store(&rule.calls, 0);
	atomic_store(&rule.hits, 0);
	rule.at = number_field(L, "at", LONG_MAX);
	rule.times = number_field(L, "times", 1);
	rule.errnum = (int)number_field(L, "errno", 0);
	rule.rng = (unsigned)number_field(L, "seed", 1) | 1;
	rule.stacks = (unsigned)number_field(L, "stacks", 0);
	atomic_store(&rule.mask, mask);
	return 0;
}

/* disarm() -> calls that counted, calls that failed, the number of the first that failed */
static int faults_disarm(lua_State *L)
{
	atomic_store(&rule.mask, 0);
	lua_pushinteger(L, (lua_Integer)atomic_load(&rule.calls));
	lua_pushinteger(L, (lua_Integer)atomic_load(&rule.hits));
	lua_pushinteger(L, (lua_Integer)atomic_load(&rule.first));
	return 3;
}

/* live() -> blocks of watched callers since the first call that nobody has freed */
static int faults_live(lua_State *L)
{
	atomic_store(&tracking, true);
	lua_pushinteger(L, (lua_Integer)live_count);
	return 1;
}

/* descriptor_limit(n): no descriptor from n on; without n as many as at first */
static int faults_descriptor_limit(lua_State *L)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = lua_isnoneornil(L, 1) ? limit.rlim_max : (rlim_t)lua_tonumber(L, 1);
	if (limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return luaL_error(L, "setrlimit: %s", strerror(errno));
	return 0;
}

/* mount(path, bytes): a file system of that size, in memory; unmount(path) */
static int faults_mount(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char options[64];

	snprintf(options, sizeof(options), "mode=755,size=%ld", (long)luaL_checknumber(L, 2));
	if (mount("none", path, "tmpfs", 0, options) < 0)
		return luaL_error(L, "mount: %s", strerror(errno));
	return 0;
}

static int faults_unmount(lua_State *L)
{
	if (umount2(luaL_checkstring(L, 1), 0) < 0)
		return luaL_error(L, "umount: %s", strerror(errno));
	return 0;
}

/* free_space(path) -> bytes */
static int faults_free_space(lua_State *L)
{
	struct statvfs fs;

	if (statvfs(luaL_checkstring(L, 1), &fs) < 0)
		return luaL_error(L, "statvfs: %s", strerror(errno));
	lua_pushinteger(L, (lua_Integer)(fs.f_bfree * fs.f_bsize));
	return 1;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * killed_after(us, fn) -> true when a fork that runs fn was killed on its way,
 * false when it had ended well before; microseconds that it took
 */
static int faults_killed_after(lua_State *L)
{
	long us = (long)luaL_checknumber(L, 1);
	struct timespec t = {us / 1000000, us % 1000000 * 1000};
	int64_t began = now_us();
	int status;
	pid_t pid;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	pid = fork();
	if (pid < 0)
		return luaL_error(L, "fork: %s", strerror(errno));
	if (pid == 0) {
		if (lua_pcall(L, 0, 0, 0) == 0)
			_exit(0);
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		_exit(1);
	}
	if (us >= 0) {
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return luaL_error(L, "the child failed");
	lua_pushboolean(L, WIFSIGNALED(status));
	lua_pushinteger(L, (lua_Integer)(now_us() - began));
	return 2;
}

EXPORT int luaopen_faults(lua_State *L);

int luaopen_faults(lua_State *L)
{
	static const struct luaL_Reg functions[] = {{"watch", faults_watch},
	                                            {"arm", faults_arm},
	                                            {"disarm", faults_disarm},
	                                            {"live", faults_live},
	                                            {"descriptor_limit", faults_descriptor_limit},
	                                            {"mount", faults_mount},
	                                            {"unmount", faults_unmount},
	                                            {"free_space", faults_free_space},
	                                            {"killed_after", faults_killed_after}};

	lua_newtable(L);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		lua_pushcfunction(L, functions[i].func);
		lua_setfield(L, -2, functions[i].name);
	}
	place_register(L);
	return 1;
}

/* The programs that the process starts have nothing to do with it. */
__attribute__((constructor)) static void forget_preload(void)
{
	unsetenv("LD_PRELOAD");
}
