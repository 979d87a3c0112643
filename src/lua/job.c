/* strata.Job: tasks on threads, polled from Lua. */
#include <stdlib.h>
#include <string.h>

#include "core/job/job.h"
#include "lua/limits.h"
#include "lua/objects.h"

#define JOB_TYPE "strata.Job"

struct lua_job {
	struct strata_job *job; /* NULL when closed */
	bool started;
};

/* A job that lacks a task would do half of its work. */
static int no_memory(lua_State *L)
{
	return luaL_error(L, "not enough memory");
}

/* job() -> Job. Its user value keeps the objects that its tasks work on. */
static int job_new(lua_State *L)
{
	struct lua_job *o = strata_new_object(L, JOB_TYPE, sizeof(*o));
	struct strata_err err;

	lua_newtable(L);
	strata_setuservalue(L, -2);
	o->job = strata_job_new(&err);
	return o->job != NULL ? 1 : no_memory(L);
}

static struct lua_job *check_job(lua_State *L)
{
	struct lua_job *o = strata_check_object(L, 1, JOB_TYPE);

	if (o->job == NULL)
		luaL_error(L, "attempt to use a closed %s", JOB_TYPE);
	return o;
}

static struct lua_job *check_new_job(lua_State *L)
{
	struct lua_job *o = check_job(L);

	if (o->started)
		luaL_error(L, "the job has started");
	return o;
}

/* Keeps the value at `arg` alive as long as the job. */
static void anchor(lua_State *L, int arg)
{
	strata_getuservalue(L, 1);
	lua_pushvalue(L, arg);
	lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
	lua_pop(L, 1);
}

/* The options table at arg 2, read before any task exists. */
struct task_options {
	const char *label;
	struct strata_file *file;
	struct strata_file *to;
	struct strata_lua_index *index;
	struct strata_assemble *compose;
	struct strata_apply *apply;
	int64_t offset;
	int64_t size;
	int64_t to_offset;
	int64_t level;
	enum strata_compression compression;
	enum strata_compression as;
	struct strata_inflate_limits inflate;
	bool plain;
	const char *bytes;
	size_t bytes_len;
	const char *temp_dir;
	const char *digest;
	enum strata_digest_alg algorithm; /* of the digest that names `file` */
	const char *diff_id;
	struct strata_tar_limits limits;
};

static int64_t size_field(lua_State *L, const char *field, int64_t fallback)
{
	int64_t n = fallback;

	lua_getfield(L, 2, field);
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "field '%s' should be a number", field);
		n = strata_check_integer(L, lua_gettop(L));
	}
	lua_pop(L, 1);
	return n;
}

/* The object in a field of arg 2, anchored in the job; NULL when absent. */
static void *object_field(lua_State *L, const char *field, const char *type)
{
	void *object = NULL;

	lua_getfield(L, 2, field);
	if (!lua_isnil(L, -1)) {
		object = strata_check_object(L, lua_gettop(L), type);
		anchor(L, lua_gettop(L));
	}
	lua_pop(L, 1);
	return object;
}

static struct strata_file *file_field(lua_State *L, const char *field)
{
	struct strata_file **f = object_field(L, field, FILE_TYPE);

	if (f != NULL && *f == NULL)
		luaL_error(L, "attempt to use a closed %s", FILE_TYPE);
	return f ? *f : NULL;
}

static struct strata_apply *apply_field(lua_State *L, const char *field)
{
	struct strata_apply **a = object_field(L, field, APPLY_TYPE);

	if (a != NULL && *a == NULL)
		luaL_error(L, "attempt to use a closed %s", APPLY_TYPE);
	return a ? *a : NULL;
}

static enum strata_compression compression_field(lua_State *L, const char *field)
{
	size_t len;

	return strata_check_compression(L, strata_opt_field(L, 2, field, &len));
}

enum strata_compression strata_check_compression(lua_State *L, const char *name)
{
	for (int c = STRATA_NONE; name != NULL && c <= STRATA_LZ4; c++)
		if (strcmp(name, strata_compression_name((enum strata_compression)c)) == 0)
			return (enum strata_compression)c;
	if (name != NULL)
		luaL_error(L, "unknown compression '%s'", name);
	return STRATA_NONE;
}

static const char *digest_field(lua_State *L, const char *field)
{
	size_t len = 0;
	const char *digest = strata_opt_field(L, 2, field, &len);

	if (digest != NULL && len >= STRATA_DIGEST_MAX)
		luaL_error(L, "field '%s' is no digest", field);
	return digest;
}

/* The Assembly in a field of arg 2, whose indexes the job then holds; NULL when absent. */
static struct strata_assemble *assembly_field(lua_State *L, const char *field)
{
	struct strata_assemble *compose = object_field(L, field, ASSEMBLY_TYPE);
	int top = lua_gettop(L);

	if (compose == NULL)
		return NULL;
	lua_getfield(L, 2, field);
	strata_getuservalue(L, top + 1);
	for (uint32_t i = 0; i < compose->source_count; i++) {
		lua_rawgeti(L, top + 2, (int)i + 1);
		strata_check_index(L, top + 3);
		anchor(L, top + 3);
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return compose;
}

static void check_options(lua_State *L, struct task_options *o)
{
	size_t len;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	o->label = strata_opt_field(L, 2, "label", &len);
	o->bytes = strata_opt_field(L, 2, "bytes", &o->bytes_len);
	o->temp_dir = strata_opt_field(L, 2, "temp_dir", &len);
	o->digest = digest_field(L, "digest");
	o->algorithm =
	        o->digest != NULL
	                ? strata_digest_algorithm(o->digest)
	                : strata_check_algorithm(L, strata_opt_field(L, 2, "algorithm", &len));
	o->diff_id = digest_field(L, "diff_id");
	o->offset = size_field(L, "offset", 0);
	o->size = size_field(L, "size", 0);
	o->to_offset = size_field(L, "to_offset", 0);
	o->level = size_field(L, "level", -1);
	o->limits = strata_tar_limit_fields(L, 2);
	o->inflate = strata_inflate_limit_fields(L, 2);
	o->compression = compression_field(L, "compression");
	o->as = compression_field(L, "as");
	lua_getfield(L, 2, "plain");
	o->plain = lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (o->level < -1 || o->level > 1000)
		luaL_error(L, "field 'level' is out of range");
	if (o->offset < 0 || o->size < 0 || o->to_offset < 0)
		luaL_error(L, "offset and size must not be negative");
	o->file = file_field(L, "file");
	o->to = file_field(L, "to");
	o->compose = assembly_field(L, "assembly");
	o->apply = apply_field(L, "apply");
	o->index = object_field(L, "index", ENTRY_INDEX_TYPE);
	if (o->index != NULL && (o->index->closed || o->index->index.busy))
		luaL_error(L, "the layer is closed, or in use by a save that has not ended");
}

/* Copies the options into the task; everything that it owns is freed with it. */
static int fill_task(struct strata_task *task, const struct task_options *o, struct strata_err *err)
{
	bool recodes = task->kind == STRATA_TASK_RECODE;

	task->index = o->index ? &o->index->index : NULL;
	task->limits = o->limits;
	task->inflate = o->inflate;
	task->compression = recodes ? o->as : o->compression;
	task->level = (int)o->level;
	task->plain = o->plain;
	task->to_offset = (uint64_t)o->to_offset;
	if (o->digest != NULL)
		memcpy(task->expect_digest, o->digest, strlen(o->digest) + 1);
	if (o->diff_id != NULL)
		memcpy(task->expect_diff_id, o->diff_id, strlen(o->diff_id) + 1);
	if (o->file != NULL)
		task->blob = (struct strata_blob){strata_file_ref(o->file), (uint64_t)o->offset,
		                                  (uint64_t)o->size, o->compression, o->algorithm};
	if (o->to != NULL)
		task->to = strata_file_ref(o->to);
	if (o->apply != NULL)
		task->apply = strata_apply_ref(o->apply);
	if (o->temp_dir != NULL && (task->temp_dir = strdup(o->temp_dir)) == NULL)
		return strata_fail_nomem(err);
	if (o->compose != NULL) { /* moves: threads must not depend on the collector */
		task->compose = malloc(sizeof(*task->compose));
		if (task->compose == NULL)
			return strata_fail_nomem(err);
		*task->compose = *o->compose;
		*o->compose = (struct strata_assemble){0};
	}
	if (o->bytes == NULL)
		return 0;
	task->bytes = malloc(o->bytes_len > 0 ? o->bytes_len : 1);
	if (task->bytes == NULL)
		return strata_fail_nomem(err);
	memcpy(task->bytes, o->bytes, o->bytes_len);
	task->bytes_len = o->bytes_len;
	return 0;
}

/* Adds a task -> its number, from 1 */
static int add_task(lua_State *L, enum strata_task_kind kind)
{
	struct lua_job *o = check_new_job(L);
	struct task_options options = {0};
	struct strata_task *task;
	struct strata_err err;

	check_options(L, &options);
	if (options.index == NULL &&
	    (kind == STRATA_TASK_SCAN || kind == STRATA_TASK_WRITE || kind == STRATA_TASK_INFLATE))
		luaL_error(L, "field 'index' is missing");
	if (options.file == NULL &&
	    (kind == STRATA_TASK_HASH || kind == STRATA_TASK_RECODE || kind == STRATA_TASK_COPY))
		luaL_error(L, "field 'file' is missing");
	if (options.apply == NULL && kind == STRATA_TASK_APPLY)
		luaL_error(L, "field 'apply' is missing");
	if (options.to == NULL && kind >= STRATA_TASK_WRITE && kind <= STRATA_TASK_BYTES)
		luaL_error(L, "field 'to' is missing");
	if (options.compose == NULL && kind == STRATA_TASK_ASSEMBLE)
		luaL_error(L, "field 'assembly' is missing");
	if (options.bytes == NULL && kind == STRATA_TASK_BYTES)
		luaL_error(L, "field 'bytes' is missing");
	task = strata_job_add(o->job, kind, options.label ? options.label : "task", &err);
	if (task == NULL || fill_task(task, &options, &err) < 0)
		return no_memory(L);
	lua_pushinteger(L, (lua_Integer)strata_job_count(o->job));
	return 1;
}

/*
 * job:scan{label, index, digest, diff_id} and what limits.h lists
 */
static int job_scan(lua_State *L)
{
	return add_task(L, STRATA_TASK_SCAN);
}

/*
 * job:hash{label, file, offset, size, compression, plain, digest, algorithm, diff_id} and the
 * limits of inflating algorithm: "sha256" (default) or "sha512", to know a digest that nothing
 * states.
 */
static int job_hash(lua_State *L)
{
	return add_task(L, STRATA_TASK_HASH);
}

/*
 * job:write{label, index, to, compression, level, temp_dir, digest, diff_id} and the limits of
 * inflating
 * level: 0 to 9 for gzip, 1 to 19 for zstd, -1 (default) for the format's default.
 */
static int job_write(lua_State *L)
{
	return add_task(L, STRATA_TASK_WRITE);
}

/*
 * job:recode{label, file, offset, size, compression, to, as, level, digest, diff_id} and the limits
 * of inflating
 * compression is that of the source, as that of the result; digest and diff_id
 * are what the source must have.
 */
static int job_recode(lua_State *L)
{
	return add_task(L, STRATA_TASK_RECODE);
}

/* job:copy{label, file, offset, size, to, to_offset, digest} */
static int job_copy(lua_State *L)
{
	return add_task(L, STRATA_TASK_COPY);
}

/* job:assemble{label, assembly, to, compression, level, temp_dir}; takes what is in the Assembly */
static int job_assemble(lua_State *L)
{
	return add_task(L, STRATA_TASK_ASSEMBLE);
}

/* job:bytes{label, bytes, to, to_offset} */
static int job_bytes(lua_State *L)
{
	return add_task(L, STRATA_TASK_BYTES);
}

/* job:apply{label, apply}: the layers that have been added to the Apply, in order */
static int job_apply(lua_State *L)
{
	return add_task(L, STRATA_TASK_APPLY);
}

/* job:inflate{label, index, temp_dir, max_bytes, max_ratio, max_zstd_window} */
static int job_inflate(lua_State *L)
{
	return add_task(L, STRATA_TASK_INFLATE);
}

/* job:start([threads]) -> true | nil, message, code */
static int job_start(lua_State *L)
{
	struct lua_job *o = check_new_job(L);
	lua_Integer threads = lua_isnoneornil(L, 2) ? 0 : strata_check_integer(L, 2);
	struct strata_err err;

	luaL_argcheck(L, threads >= 0 && threads <= 1024, 2, "out of range");
	o->started = true;
	if (strata_job_start(o->job, (unsigned)threads, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* job:wait(seconds) -> true when done, false when not yet */
static int job_wait(lua_State *L)
{
	struct lua_job *o = check_job(L);
	lua_Number seconds = luaL_checknumber(L, 2);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e6, 2, "out of range");
	lua_pushboolean(L, !o->started || strata_job_wait(o->job, seconds));
	return 1;
}

/* job:progress() -> bytes done, bytes in all */
static int job_progress(lua_State *L)
{
	uint64_t done, total;

	strata_job_progress(check_job(L)->job, &done, &total);
	strata_push_int64(L, (int64_t)done);
	strata_push_int64(L, (int64_t)total);
	return 2;
}

static int job_cancel(lua_State *L)
{
	strata_job_cancel(check_job(L)->job);
	return 0;
}

/* The threads write to the tasks until then. */
static struct lua_job *check_done_job(lua_State *L)
{
	struct lua_job *o = check_job(L);

	if (o->started && !strata_job_wait(o->job, 0))
		luaL_error(L, "the job has not ended");
	return o;
}

/* job:result() -> true | nil, message, code of the first task that failed. After it is done. */
static int job_result(lua_State *L)
{
	struct lua_job *o = check_done_job(L);
	struct strata_err err;

	if (strata_job_result(o->job, &err) < 0)
		return strata_push_error(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static void push_nonempty(lua_State *L, const char *text, const char *field)
{
	if (text[0] == '\0')
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, field);
}

/* job:task(i) -> {digest, diff_id, size} of a task that is done and did not fail, else nil */
static int job_task(lua_State *L)
{
	struct lua_job *o = check_done_job(L);
	lua_Integer i = strata_check_integer(L, 2);
	const struct strata_task *task;

	luaL_argcheck(L, i >= 1 && i <= (lua_Integer)strata_job_count(o->job), 2, "out of range");
	task = strata_job_task(o->job, (size_t)(i - 1));
	if (!task->done || task->failed)
		return 0;
	lua_newtable(L);
	push_nonempty(L, task->digest, "digest");
	push_nonempty(L, task->diff_id, "diff_id");
	strata_push_int64(L, (int64_t)task->size);
	lua_setfield(L, -2, "size");
	return 1;
}

/* Indexes whose finaliser has run while the job did. */
static void close_abandoned(lua_State *L)
{
	strata_getuservalue(L, 1);
	if (!lua_istable(L, -1)) /* no memory for it when the job was made */
		return;
	for (int i = 1; i <= (int)lua_rawlen(L, -1); i++) {
		struct strata_lua_index *index;

		lua_rawgeti(L, -1, i);
		index = strata_test_object(L, lua_gettop(L), ENTRY_INDEX_TYPE);
		if (index != NULL && index->abandoned)
			strata_close_index(index);
		lua_pop(L, 1);
	}
}

static int job_close(lua_State *L)
{
	struct lua_job *o = strata_check_object(L, 1, JOB_TYPE);
	struct strata_job *job = o->job;

	o->job = NULL;
	strata_job_free(job);
	if (job != NULL)
		close_abandoned(L);
	return 0;
}

void strata_lua_register_job(lua_State *L)
{
	static const luaL_Reg methods[] = {{"scan", job_scan},
	                                   {"hash", job_hash},
	                                   {"write", job_write},
	                                   {"recode", job_recode},
	                                   {"copy", job_copy},
	                                   {"bytes", job_bytes},
	                                   {"assemble", job_assemble},
	                                   {"start", job_start},
	                                   {"wait", job_wait},
	                                   {"cancel", job_cancel},
	                                   {"result", job_result},
	                                   {"progress", job_progress},
	                                   {"task", job_task},
	                                   {"close", job_close},
	                                   {"apply", job_apply},
	                                   {"inflate", job_inflate},
	                                   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"job", job_new}, {NULL, NULL}};

	strata_register_type(L, JOB_TYPE, methods, NULL, job_close);
	strata_set_functions(L, functions);
}
