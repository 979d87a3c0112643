/* The userdata that more than one file of the binding works with. */
#ifndef STRATA_OBJECTS_H
#define STRATA_OBJECTS_H

#include "core/apply/apply.h"
#include "core/fs/file.h"
#include "core/fs/host_tree.h"
#include "core/layer/assembly.h"
#include "core/layer/globs.h"
#include "core/layer/index.h"
#include "lua/binding.h"

#define FILE_TYPE "strata.File"
#define GLOBS_TYPE "strata.Globs"
#define ENTRY_INDEX_TYPE "strata.EntryIndex"
#define ENTRY_TYPE "strata.Entry"
#define ASSEMBLY_TYPE \
	"strata.Assembly" /* a struct strata_assembly; its user value lists its indexes */
#define APPLY_TYPE "strata.Apply"
#define HOST_TREE_TYPE "strata.HostTree"

/* strata.File holds a struct strata_file *, NULL when closed. */
struct strata_file *strata_check_file(lua_State *L, int arg);

/* strata.HostTree holds a struct strata_host_tree *, NULL when closed. */
struct strata_host_tree *strata_check_host_tree(lua_State *L, int arg);

/* The number (from 0) at arg of an entry of it. */
uint32_t strata_check_host_tree_number(lua_State *L, int arg, const struct strata_host_tree *tree);

/*
 * The name of a compression as its number; throws when it is unknown. NULL is
 * STRATA_NONE. In job.c.
 */
enum strata_compression strata_check_compression(lua_State *L, const char *name);

/* file:send(target) -> true | nil, message, code; in stdio.c */
int strata_lua_file_send(lua_State *L);

/* strata.Globs */
struct strata_lua_globs {
	struct strata_globs *globs;
	bool *used; /* by number: it has matched something */
	size_t count;
};

struct strata_lua_globs *strata_check_globs(lua_State *L, int arg);

/* strata.EntryIndex is a struct strata_index; its user value keeps nothing else. */
struct strata_lua_index {
	struct strata_index index;
	uint64_t *changes; /* see strata_index_changes */
	uint64_t max_read; /* bytes that reading an entry gives without being told how many */
	bool closed;
	bool abandoned; /* to be closed by the job that works on it */
};

/*
 * Counts how often an index of this Lua state was closed, or a job began to work on some. What was
 * found about indexes holds as long as it stays the same, so that who uses thousands of them need
 * not look at each every time. The state owns it.
 */
uint64_t *strata_index_changes(lua_State *L);

/* Closes it, now or when the job that works on it is closed. */
void strata_close_index(struct strata_lua_index *o);

/* Throws when it is closed, or a job works on it. */
struct strata_lua_index *strata_check_index(lua_State *L, int arg);

/* The same, and scanned. */
struct strata_index *strata_check_scanned(lua_State *L, int arg);

/* Pushes a strata.Entry of the index at `arg`. number from 0. */
void strata_push_entry(lua_State *L, int arg, uint32_t number);

#endif
