/*
 * For Lua scripts of the fault tests: looks at a directory and clears it away
 * without starting a program. Functions of a Lua module, for its table on top
 * of the stack.
 */
#ifndef STRATA_PLACE_H
#define STRATA_PLACE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

static inline int place_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", "..", and the one that looks */

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}

/* FNV-1a of a file's content. */
static inline uint64_t place_hash(const char *path)
{
	uint64_t hash = 14695981039346656037u;
	unsigned char bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ bytes[i]) * 1099511628211u;
	if (fd >= 0)
		close(fd);
	return hash;
}

static inline int place_remove_one(const char *path, const struct stat *st, int type,
                                   struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path) < 0 ? -1 : 0;
}

/* Stops at a directory that its own user cannot read, and makes it one that can be. */
static inline int place_unlock_one(const char *path, const struct stat *st, int type,
                                   struct FTW *where)
{
	(void)st;
	(void)where;
	return type == FTW_DNR && chmod(path, 0700) == 0;
}

/* remove(path): with all that is below it */
static inline int place_remove(lua_State *L)
{
	while (nftw(luaL_checkstring(L, 1), place_unlock_one, 16, FTW_PHYS) > 0) {
	}
	nftw(luaL_checkstring(L, 1), place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* make(path): a directory, unless it is there */
static inline int place_make(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	return mkdir(path, 0755) < 0 && errno != EEXIST ? luaL_error(L, "%s: mkdir failed", path)
	                                                : 0;
}

/* look(path) -> a line on what is there: mode, size, content, where a link leads;
 * whether it is a directory | nil */
static inline int place_look(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char line[128], link[256] = "";
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (S_ISLNK(st.st_mode) && readlink(path, link, sizeof(link) - 1) < 0)
		return 0;
	snprintf(line, sizeof(line), "%06o %lld %016llx ", (unsigned)st.st_mode,
	         S_ISREG(st.st_mode) ? (long long)st.st_size : 0LL,
	         S_ISREG(st.st_mode) ? (unsigned long long)place_hash(path) : 0ULL);
	lua_pushfstring(L, "%s%s", line, link);
	lua_pushboolean(L, S_ISDIR(st.st_mode));
	return 2;
}

/* names(path) -> array of what is in a directory, in no order */
static inline int place_names(lua_State *L)
{
	DIR *dir = opendir(luaL_checkstring(L, 1));
	const struct dirent *entry;
	int n = 0;

	lua_newtable(L);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		lua_pushstring(L, entry->d_name);
		lua_rawseti(L, -2, ++n);
	}
	if (dir != NULL)
		closedir(dir);
	return 1;
}

/* descriptors() -> how many are open */
static inline int place_descriptors(lua_State *L)
{
	lua_pushinteger(L, place_count_fds());
	return 1;
}

static inline void place_register(lua_State *L)
{
	lua_pushcfunction(L, place_remove);
	lua_setfield(L, -2, "remove");
	lua_pushcfunction(L, place_make);
	lua_setfield(L, -2, "make");
	lua_pushcfunction(L, place_look);
	lua_setfield(L, -2, "look");
	lua_pushcfunction(L, place_names);
	lua_setfield(L, -2, "names");
	lua_pushcfunction(L, place_descriptors);
	lua_setfield(L, -2, "descriptors");
}

#endif
