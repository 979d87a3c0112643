/* strata.Job: tasks on threads, polled from Lua. */
#include "core/job/job.h"

#include <string.h>

#include "lua/limits.h"
#include "lua/objects.h"

#define JOB_TYPE "strata.Job"

struct lua_job {
	struct strata_job *job; /* NULL when closed */
	bool started;
};

/* job() -> Job. Its user value keeps the objects that its tasks work on. */
static int job_new(lua_State *L)
{
	struct lua_job *o = strata_new_object(L, JOB_TYPE, sizeof(*o));
	struct strata_err err;

	lua_newtable(L);
	strata_setuservalue(L, -2);
	o->job = strata_job_new(&err);
	return o->job != NULL ? 1 : strata_throw(L, &err);
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

/* ---- fields of a task's table, which is argument 2 ------------------------ */

/*
 * None of these functions allocates a Lua object other than a field's name, so no finaliser runs
 * between them: what they return is still there when the task takes it.
 */

/* Keeps the value at `arg` alive as long as the job. */
static void anchor(lua_State *L, int arg)
{
	strata_getuservalue(L, 1);
	lua_pushvalue(L, arg);
	lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
	lua_pop(L, 1);
}

static uint64_t size_field(lua_State *L, const char *field)
{
	return strata_limit_field(L, 2, field);
}

static const char *text_field(lua_State *L, const char *field)
{
	size_t len;

	return strata_opt_field(L, 2, field, &len);
}

/* Worker threads do not ask the environment: the host may change it meanwhile. */
static const char *temp_dir_field(lua_State *L)
{
	const char *dir = text_field(L, "temp_dir");

	return dir != NULL ? dir : strata_temp_dir();
}

static bool flag_field(lua_State *L, const char *field)
{
	bool flag;

	lua_getfield(L, 2, field);
	flag = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return flag;
}

static bool has_field(lua_State *L, const char *field)
{
	bool there;

	lua_getfield(L, 2, field);
	there = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return there;
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

/* The object in the field, anchored in the job; NULL when absent. */
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

/* The same for classes that are a pointer; throws for a closed object. */
static void *pointer_field(lua_State *L, const char *field, const char *type)
{
	void **object = object_field(L, field, type);

	if (object != NULL && *object == NULL)
		luaL_error(L, "attempt to use a closed %s", type);
	return object != NULL ? *object : NULL;
}

static struct strata_index *index_field(lua_State *L)
{
	struct strata_lua_index *o = object_field(L, "index", ENTRY_INDEX_TYPE);

	if (o != NULL && (o->closed || o->index.busy))
		luaL_error(L, "the layer is closed, or in use by a save that has not ended");
	return o != NULL ? &o->index : NULL;
}

/* The same, and NULL as well when it cannot be used. */
static struct strata_index *idle_index_field(lua_State *L)
{
	struct strata_lua_index *o = object_field(L, "index", ENTRY_INDEX_TYPE);

	return o != NULL && !o->closed && !o->index.busy ? &o->index : NULL;
}

/* The assembly, whose indexes the job then keeps as well; NULL when absent. */
static struct strata_assembly *assembly_field(lua_State *L)
{
	struct strata_assembly *assembly = object_field(L, "assembly", ASSEMBLY_TYPE);
	int top = lua_gettop(L);

	if (assembly == NULL)
		return NULL;
	lua_getfield(L, 2, "assembly");
	strata_getuservalue(L, top + 1);
	for (uint32_t i = 0; i < assembly->source_count; i++) {
		lua_rawgeti(L, top + 2, (int)i + 1);
		strata_check_index(L, top + 3);
		anchor(L, top + 3);
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return assembly;
}

static struct strata_blob blob_fields(lua_State *L)
{
	const char *digest = text_field(L, "digest");
	const char *algorithm = text_field(L, "algorithm");

	return (struct strata_blob){
	        .offset = size_field(L, "offset"),
	        .size = size_field(L, "size"),
	        .compression = strata_check_compression(L, text_field(L, "compression")),
	        .algorithm = digest != NULL ? strata_digest_algorithm(digest)
	                                    : strata_check_algorithm(L, algorithm),
	        .file = pointer_field(L, "file", FILE_TYPE),
	};
}

static void copy_digest(lua_State *L, const char *field, char to[STRATA_DIGEST_MAX])
{
	size_t len = 0;
	const char *digest = strata_opt_field(L, 2, field, &len);

	if (len >= STRATA_DIGEST_MAX)
		luaL_error(L, "field '%s' is no digest", field);
	if (digest != NULL)
		memcpy(to, digest, len + 1);
}

static struct strata_expected expected_fields(lua_State *L)
{
	struct strata_expected expected = {"", ""};

	copy_digest(L, "digest", expected.digest);
	copy_digest(L, "diff_id", expected.diff_id);
	return expected;
}

/*
 * compression: the name of the field that says in which one the output is stored. to_offset and
 * to_size: the place in the file of a plain one, which must fill it; else ERANGE.
 */
static struct strata_task_output output_fields(lua_State *L, const char *compression)
{
	struct strata_task_output to = {.level = -1};

	lua_getfield(L, 2, "level");
	if (!lua_isnil(L, -1)) {
		lua_Integer level = strata_check_integer(L, lua_gettop(L));

		if (level < -1 || level > 1000)
			luaL_error(L, "field 'level' is out of range");
		to.level = (int)level;
	}
	lua_pop(L, 1);
	to.compression = strata_check_compression(L, text_field(L, compression));
	to.file = pointer_field(L, "to", FILE_TYPE);
	to.placed = has_field(L, "to_size");
	to.offset = size_field(L, "to_offset");
	to.size = size_field(L, "to_size");
	return to;
}

static struct strata_draft_rules draft_fields(lua_State *L)
{
	struct strata_lua_globs *o = object_field(L, "drop", GLOBS_TYPE);

	return (struct strata_draft_rules){
	        .drop = o != NULL ? o->globs : NULL,
	        .whiteouts = flag_field(L, "drop_whiteouts"),
	};
}

/* ---- adding tasks ------------------------------------------------------- */

/* The job to add to, before the fields of the task are read; *label is what messages call the task.
 */
static struct strata_job *begin_task(lua_State *L, const char **label)
{
	struct lua_job *o = check_new_job(L);

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	*label = text_field(L, "label");
	if (*label == NULL)
		*label = "task";
	return o->job;
}

/* Pushes the number of the task, from 1; a job that lacks a task would do half of its work: throws.
 */
static int push_added(lua_State *L, struct strata_job *job, int rc, const struct strata_err *err)
{
	if (rc < 0)
		return strata_throw(L, err);
	lua_pushinteger(L, (lua_Integer)strata_job_count(job));
	return 1;
}

/*
 * job:scan{label, index, inflate, drop, drop_whiteouts, temp_dir, digest, diff_id, the limits of
 * limits.h} -> number
 * inflate: the contents of a compressed layer are going to be read, so that job:prepare would read
 * it once more. drop: Globs of the entries that are going to be dropped, so that job:write would;
 * drop_whiteouts: whiteouts of such paths as well.
 */
static int job_scan(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_scan_task t = {
	        .inflates = flag_field(L, "inflate"),
	        .temp_dir = temp_dir_field(L),
	        .limits = strata_tar_limit_fields(L, 2),
	        .inflate = strata_inflate_limit_fields(L, 2),
	        .expected = expected_fields(L),
	        .draft = draft_fields(L),
	        .index = index_field(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_scan(job, label, &t, &err), &err);
}

/*
 * job:hash{label, file, offset, size, compression, plain, digest, algorithm, diff_id, index, the
 * limits of inflating} -> number
 * algorithm: "sha256" (default) or "sha512", when no digest tells it. index: that of the same blob,
 * whose contents are verified by that, unless another job works on it.
 */
static int job_hash(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_hash_task t = {
	        .plain = flag_field(L, "plain"),
	        .inflate = strata_inflate_limit_fields(L, 2),
	        .expected = expected_fields(L),
	        .index = idle_index_field(L),
	        .blob = blob_fields(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_hash(job, label, &t, &err), &err);
}

/*
 * job:write{label, index, to, compression, level, to_offset, to_size, splice, temp_dir, digest,
 * diff_id, the limits of inflating} -> number
 * Without `to` nothing is written, and the task's size is the one that a plain layer will have.
 * level: 0 to 9 for gzip, 1 to 19 for zstd, -1 (default) for the format's default. splice: if
 * the layer has that compression, what can stay of its compressed bytes stays.
 */
static int job_write(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_write_task t = {
	        .temp_dir = temp_dir_field(L),
	        .inflate = strata_inflate_limit_fields(L, 2),
	        .expected = expected_fields(L),
	        .to = output_fields(L, "compression"),
	        .splice = flag_field(L, "splice"),
	        .index = index_field(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_write(job, label, &t, &err), &err);
}

/*
 * job:recode{label, file, offset, size, compression, to, as, level, to_offset, to_size, digest,
 * diff_id, the limits of inflating} -> number
 * compression is the source's, `as` the result's; digest and diff_id are those of the source.
 */
static int job_recode(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_recode_task t = {
	        .inflate = strata_inflate_limit_fields(L, 2),
	        .expected = expected_fields(L),
	        .to = output_fields(L, "as"),
	        .blob = blob_fields(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_recode(job, label, &t, &err), &err);
}

/* job:copy{label, file, offset, size, to, to_offset, digest} -> number */
static int job_copy(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_copy_task t = {
	        .to_offset = size_field(L, "to_offset"),
	        .expected = expected_fields(L),
	        .to = pointer_field(L, "to", FILE_TYPE),
	        .blob = blob_fields(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_copy(job, label, &t, &err), &err);
}

/*
 * job:assemble{label, assembly, to, compression, level, splice, temp_dir} -> number; empties the
 * Assembly. splice: as of write, of each source.
 */
static int job_assemble(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_assemble_task t = {
	        .temp_dir = temp_dir_field(L),
	        .to = output_fields(L, "compression"),
	        .splice = flag_field(L, "splice"),
	        .assembly = assembly_field(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_assemble(job, label, &t, &err), &err);
}

/* job:bytes{label, bytes, to, to_offset} -> number */
static int job_bytes(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_bytes_task t = {.to_offset = size_field(L, "to_offset")};
	struct strata_err err;

	t.bytes = strata_opt_field(L, 2, "bytes", &t.len);
	t.to = pointer_field(L, "to", FILE_TYPE);
	return push_added(L, job, strata_job_add_bytes(job, label, &t, &err), &err);
}

/* job:prepare{label, index, temp_dir, the limits of inflating} -> number */
static int job_prepare(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_prepare_task t = {
	        .temp_dir = temp_dir_field(L),
	        .inflate = strata_inflate_limit_fields(L, 2),
	        .index = index_field(L),
	};
	struct strata_err err;

	return push_added(L, job, strata_job_add_prepare(job, label, &t, &err), &err);
}

/* job:apply{label, apply} -> number; the layers that have been added to the Apply, in order */
static int job_apply(lua_State *L)
{
	const char *label;
	struct strata_job *job = begin_task(L, &label);
	struct strata_apply *apply = pointer_field(L, "apply", APPLY_TYPE);
	struct strata_err err;

	return push_added(L, job, strata_job_add_apply(job, label, apply, &err), &err);
}

/* ---- running ------------------------------------------------------------ */

/* job:start([threads]) -> true | nil, message, code */
static int job_start(lua_State *L)
{
	struct lua_job *o = check_new_job(L);
	lua_Integer threads = lua_isnoneornil(L, 2) ? 0 : strata_check_integer(L, 2);
	struct strata_err err;

	luaL_argcheck(L, threads >= 0 && threads <= 1024, 2, "out of range");
	o->started = true;
	++*strata_index_changes(L);
	return strata_push_ok(L, strata_job_start(o->job, (unsigned)threads, &err), &err);
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

/* A job that has ended: until then its threads write to the tasks. */
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

	return strata_push_ok(L, strata_job_result(o->job, &err), &err);
}

static void push_nonempty(lua_State *L, const char *text, const char *field)
{
	if (text[0] == '\0')
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, field);
}

/* job:task(i) -> {digest, diff_id, size, kept} of a task that is done and did not fail, else nil */
static int job_task(lua_State *L)
{
	struct lua_job *o = check_done_job(L);
	lua_Integer i = strata_check_integer(L, 2);
	const struct strata_blob_info *info;
	struct strata_blob_info copy;

	luaL_argcheck(L, i >= 1 && i <= (lua_Integer)strata_job_count(o->job), 2, "out of range");
	info = strata_job_info(o->job, (size_t)(i - 1));
	if (info == NULL)
		return 0;
	copy = *info; /* a finaliser may close the job while the table is made */
	lua_newtable(L);
	push_nonempty(L, copy.digest, "digest");
	push_nonempty(L, copy.diff_id, "diff_id");
	strata_push_int64(L, (int64_t)copy.size);
	lua_setfield(L, -2, "size");
	strata_push_int64(L, (int64_t)copy.kept);
	lua_setfield(L, -2, "kept");
	return 1;
}

/* Closes the indexes whose finaliser ran while the job did. */
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
	static const luaL_Reg methods[] = {{"scan", job_scan},         {"hash", job_hash},
	                                   {"write", job_write},       {"recode", job_recode},
	                                   {"copy", job_copy},         {"bytes", job_bytes},
	                                   {"assemble", job_assemble}, {"start", job_start},
	                                   {"wait", job_wait},         {"cancel", job_cancel},
	                                   {"result", job_result},     {"progress", job_progress},
	                                   {"task", job_task},         {"apply", job_apply},
	                                   {"prepare", job_prepare},   {NULL, NULL}};
	static const luaL_Reg functions[] = {{"job", job_new}, {NULL, NULL}};

	strata_register_type(L, JOB_TYPE, methods, NULL, job_close);
	strata_set_functions(L, functions);
}
