/* The kinds of tasks: for each its functions, their table, and the function that adds one to a job.
 */
#include "core/job/task.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/layer/blob_reader.h"
#include "core/layer/blob_writer.h"

/* ---- making and freeing ------------------------------------------------- */

/* What a new task is made of. */
struct contents {
	const void *as; /* the struct of its kind, which is copied */
	size_t size;
	struct strata_index *index;    /* the only one, or: */
	struct strata_index **indexes; /* all of them */
	size_t index_count;
	struct strata_file *from; /* files are referenced, the text is copied; NULL: none */
	struct strata_file *to;
	const char *text;
	size_t len;
};

void strata_task_free(struct strata_task *task)
{
	if (task->ops->free != NULL)
		task->ops->free(task);
	strata_file_unref(task->from);
	strata_file_unref(task->to);
	free(task->text);
	free(task->label);
	free(task);
}

static char *copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy != NULL) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

/* Adds a task to the end of the job's list. */
static int add_task(struct strata_job *job, const struct strata_task_ops *ops, const char *label,
                    const struct contents *c, struct strata_err *err)
{
	struct strata_task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		return strata_fail_nomem(err);
	task->ops = ops;
	task->index = c->index;
	task->indexes = c->index != NULL ? &task->index : c->indexes;
	task->index_count = c->index != NULL ? 1 : c->index_count;
	task->from = c->from != NULL ? strata_file_ref(c->from) : NULL;
	task->to = c->to != NULL ? strata_file_ref(c->to) : NULL;
	task->text = c->text != NULL ? copy_text(c->text, c->len) : NULL;
	task->label = strdup(label);
	if (task->label == NULL || (c->text != NULL && task->text == NULL))
		strata_fail_nomem(err);
	else if (strata_job_append(job, task, err) == 0) {
		memcpy(&task->as, c->as, c->size);
		return 0;
	}
	strata_task_free(task);
	return -1;
}

static int need(const void *value, const char *field, struct strata_err *err)
{
	return value != NULL ? 0 : strata_fail(err, "EINVAL", "field '%s' is missing", field);
}

static int check_place(const struct strata_task_output *to, struct strata_err *err)
{
	if (to->placed && to->compression != STRATA_NONE)
		return strata_fail(err, "EINVAL", "only a plain tar has a size beforehand");
	return 0;
}

static size_t length_of(const char *text)
{
	return text != NULL ? strlen(text) : 0;
}

/* The limits that a task brings stay with its index, for later reads. */
static void set_limits(struct strata_index *index, const struct strata_inflate_limits *limits)
{
	struct strata_inflate_limits *kept = &index->inflate;

	if (limits->bytes != 0)
		kept->bytes = limits->bytes;
	if (limits->ratio != 0)
		kept->ratio = limits->ratio;
	if (limits->zstd_window != 0)
		kept->zstd_window = limits->zstd_window;
	if (limits->members != 0)
		kept->members = limits->members;
	if (limits->empty_blocks != 0)
		kept->empty_blocks = limits->empty_blocks;
}

static struct strata_task_load load_of_blob(const struct strata_blob *blob, bool inflates)
{
	return (struct strata_task_load){.bytes = blob->size,
	                                 .inflates = inflates && blob->compression != STRATA_NONE};
}

/*
 * A stored byte of gzip is 2.5 plain ones, and inflating them takes twice as long as hashing them;
 * deflating takes twice as long as all that.
 */
uint64_t strata_task_cost(const struct strata_task_load *load)
{
	uint64_t cost = load->bytes;

	if (load->inflates)
		cost = strata_mul(cost, 7, &cost) ? cost : UINT64_MAX;
	if (load->deflates)
		cost = strata_mul(cost, 3, &cost) ? cost : UINT64_MAX;
	return cost;
}

/* ---- scan --------------------------------------------------------------- */

static int scan_run(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	const struct strata_scan_task *t = &task->as.scan;
	struct strata_draft_rules draft = t->draft;
	struct strata_index *index = t->index;

	set_limits(index, &t->inflate);
	index->expected = t->expected;
	draft.temp_dir = task->text;
	if ((t->inflates ? strata_index_scan_and_inflate(index, &t->limits, task->text, work, err)
	                 : strata_index_scan_and_draft(index, &t->limits, &draft, work, err)) < 0)
		return -1;
	memcpy(task->info.digest, index->digest, STRATA_DIGEST_MAX);
	memcpy(task->info.diff_id, index->diff_id, STRATA_DIGEST_MAX);
	task->info.size = index->blob.size;
	task->info.tar_size = index->tar_size;
	return strata_blob_expect(&t->expected, index->digest, index->diff_id, err);
}

/* The headers of a plain tar are a small part of it. */
static struct strata_task_load scan_load(const struct strata_task *task)
{
	const struct strata_blob *blob = &task->as.scan.index->blob;

	if (blob->compression == STRATA_NONE)
		return (struct strata_task_load){0};
	return load_of_blob(blob, true);
}

static void scan_free(struct strata_task *task)
{
	strata_globs_unref(task->as.scan.draft.drop);
}

static const struct strata_task_ops scan_ops = {scan_run, scan_load, scan_free, STRATA_NEEDS_BLOB};

int strata_job_add_scan(struct strata_job *job, const char *label, const struct strata_scan_task *t,
                        struct strata_err *err)
{
	const struct contents c = {.as = t,
	                           .size = sizeof(*t),
	                           .index = t->index,
	                           .text = t->temp_dir,
	                           .len = length_of(t->temp_dir)};

	if (need(t->index, "index", err) < 0)
		return -1;
	if (add_task(job, &scan_ops, label, &c, err) < 0)
		return -1;
	if (t->draft.drop != NULL)
		strata_globs_ref(t->draft.drop);
	return 0;
}

/* ---- hash --------------------------------------------------------------- */

static int hash_run(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader reader = {0};
	const struct strata_hash_task *t = &task->as.hash;
	struct strata_blob blob = t->blob;
	unsigned wanted = STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN;
	struct strata_file_stamp stamp;
	const char *bytes;
	size_t len;

	if (!t->plain) {
		blob.compression = STRATA_NONE;
		wanted = STRATA_DIGEST_STORED;
	}
	if (strata_file_stamp(blob.file, &stamp, err) < 0 ||
	    strata_blob_reader_open(&reader, &blob, wanted, &t->inflate, work, err) < 0)
		return -1;
	do {
		if (strata_blob_reader_next(&reader, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(&reader, task->info.digest, task->info.diff_id, err) < 0)
		return -1;
	task->info.size = t->blob.size;
	task->info.tar_size = t->plain ? reader.plain_total : 0;
	if (!t->plain)
		task->info.diff_id[0] = '\0';
	if (strata_blob_expect(&t->expected, task->info.digest, task->info.diff_id, err) < 0)
		return -1;
	if (t->index != NULL)
		strata_index_set_verified(t->index, &stamp);
	return 0;
}

static struct strata_task_load hash_load(const struct strata_task *task)
{
	return load_of_blob(&task->as.hash.blob, task->as.hash.plain);
}

static const struct strata_task_ops hash_ops = {hash_run, hash_load, NULL, STRATA_NEEDS_BLOB};

int strata_job_add_hash(struct strata_job *job, const char *label, const struct strata_hash_task *t,
                        struct strata_err *err)
{
	const struct contents c = {
	        .as = t, .size = sizeof(*t), .from = t->blob.file, .index = t->index};

	if (need(t->blob.file, "file", err) < 0)
		return -1;
	return add_task(job, &hash_ops, label, &c, err);
}

/* ---- write -------------------------------------------------------------- */

static struct strata_plan_options plan_options(const struct strata_task_output *to,
                                               const char *temp_dir, const struct strata_work *work)
{
	return (struct strata_plan_options){
	        .temp_dir = temp_dir,
	        .compression = to->compression,
	        .level = to->level,
	        .placed = to->placed,
	        .offset = to->offset,
	        .size = to->size,
	        .work = *work,
	};
}

static int write_run(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	const struct strata_write_task *t = &task->as.write;
	struct strata_plan_options options = plan_options(&t->to, task->text, work);

	if (task->to == NULL)
		return strata_plan_measure(t->index, &task->info.size, err);
	options.expected = t->expected;
	options.splice = t->splice;
	set_limits(t->index, &t->inflate);
	return strata_plan_write(t->index, &options, task->to, &task->info, err);
}

static struct strata_task_load write_load(const struct strata_task *task)
{
	const struct strata_write_task *t = &task->as.write;
	const struct strata_index *index = t->index;
	struct strata_task_load load = load_of_blob(&index->blob, true);

	if (task->to == NULL)
		return (struct strata_task_load){0};
	if (index->plain != NULL && !strata_plan_splices(index, t->to.compression, t->splice))
		load = (struct strata_task_load){.bytes = index->tar_size};
	load.deflates = t->to.compression != STRATA_NONE;
	return load;
}

static const struct strata_task_ops write_ops = {write_run, write_load, NULL, STRATA_NEEDS_SCANNED};

int strata_job_add_write(struct strata_job *job, const char *label,
                         const struct strata_write_task *t, struct strata_err *err)
{
	const struct contents c = {.as = t,
	                           .size = sizeof(*t),
	                           .index = t->index,
	                           .to = t->to.file,
	                           .text = t->temp_dir,
	                           .len = length_of(t->temp_dir)};

	if (need(t->index, "index", err) < 0 || check_place(&t->to, err) < 0)
		return -1;
	if (t->to.file == NULL && t->index->blob.compression != STRATA_NONE)
		return strata_fail(err, "EINVAL", "only the size of a plain tar can be told");
	return add_task(job, &write_ops, label, &c, err);
}

/* ---- recode ------------------------------------------------------------- */

/* The plain bytes that are read are those that are written, so they are hashed once. */
static int recode(struct strata_task *task, struct strata_blob_reader *in,
                  struct strata_blob_writer *out, const struct strata_work *work,
                  struct strata_err *err)
{
	const struct strata_recode_task *t = &task->as.recode;
	struct strata_blob_info *info = &task->info;
	char digest[STRATA_DIGEST_MAX];
	const char *bytes;
	size_t len;

	if (strata_blob_reader_open(in, &t->blob, STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN,
	                            &t->inflate, work, err) < 0 ||
	    strata_blob_writer_open(out, task->to, t->to.compression, t->to.level, false, work,
	                            err) < 0)
		return -1;
	if (t->to.placed)
		strata_blob_writer_place(out, t->to.offset, t->to.size);
	do {
		if (strata_blob_reader_next(in, &bytes, &len, err) < 0 ||
		    strata_blob_writer_write(out, bytes, len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(in, digest, info->diff_id, err) < 0 ||
	    strata_blob_expect(&t->expected, digest, info->diff_id, err) < 0)
		return -1;
	memcpy(info->digest, info->diff_id, STRATA_DIGEST_MAX); /* unless it is compressed */
	return strata_blob_writer_close(out, info, err);
}

static int recode_run(struct strata_task *task, const struct strata_work *work,
                      struct strata_err *err)
{
	struct strata_blob_reader in = {0};
	struct strata_blob_writer out = {0};
	int status = recode(task, &in, &out, work, err);

	if (status < 0)
		strata_blob_writer_abort(&out, err);
	strata_blob_reader_close(&in);
	strata_blob_writer_free(&out);
	return status;
}

static struct strata_task_load recode_load(const struct strata_task *task)
{
	struct strata_task_load load = load_of_blob(&task->as.recode.blob, true);

	load.deflates = task->as.recode.to.compression != STRATA_NONE;
	return load;
}

static const struct strata_task_ops recode_ops = {recode_run, recode_load, NULL, STRATA_NEEDS_BLOB};

int strata_job_add_recode(struct strata_job *job, const char *label,
                          const struct strata_recode_task *t, struct strata_err *err)
{
	const struct contents c = {
	        .as = t, .size = sizeof(*t), .from = t->blob.file, .to = t->to.file};

	if (need(t->blob.file, "file", err) < 0 || need(t->to.file, "to", err) < 0 ||
	    check_place(&t->to, err) < 0)
		return -1;
	return add_task(job, &recode_ops, label, &c, err);
}

/* ---- copy --------------------------------------------------------------- */

/* So much is copied before the job is looked at: whether it is cancelled. */
#define COPY_WINDOW ((uint64_t)4 << 20)

/* Copies the next part by the kernel, which shares the blocks where it can. Returns its length. */
static int copy_part(const struct strata_copy_task *t, uint64_t at, uint64_t *len,
                     const struct strata_work *work, struct strata_err *err)
{
	*len = t->blob.size - at < COPY_WINDOW ? t->blob.size - at : COPY_WINDOW;
	if (strata_work_cancelled(work, err))
		return -1;
	return strata_file_copy(t->to, t->to_offset + at, t->blob.file, t->blob.offset + at, *len,
	                        err);
}

/* Hashes the bytes of the copy, not those of the source: so a digest that is right says that they
 * are. */
static int copy_hashed(struct strata_task *task, const struct strata_work *work,
                       struct strata_err *err)
{
	cleanup_blob_reader struct strata_blob_reader reader = {0};
	const struct strata_copy_task *t = &task->as.copy;
	const struct strata_blob copy = {t->to, t->to_offset, t->blob.size, STRATA_NONE,
	                                 t->blob.algorithm};
	uint64_t part;
	const char *bytes;
	size_t len;

	if (strata_blob_reader_open(&reader, &copy, STRATA_DIGEST_STORED, NULL, work, err) < 0)
		return -1;
	do {
		if (reader.position % COPY_WINDOW == 0 &&
		    copy_part(t, reader.position, &part, work, err) < 0)
			return -1;
		if (strata_blob_reader_next(&reader, &bytes, &len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_blob_reader_digests(&reader, task->info.digest, task->info.diff_id, err) < 0)
		return -1;
	task->info.diff_id[0] = '\0';
	return strata_digest_expect("digest", t->expected.digest, task->info.digest, err);
}

static int copy_run(struct strata_task *task, const struct strata_work *work,
                    struct strata_err *err)
{
	const struct strata_copy_task *t = &task->as.copy;

	task->info.size = t->blob.size;
	if (t->expected.digest[0] != '\0')
		return copy_hashed(task, work, err);
	for (uint64_t at = 0, len; at < t->blob.size; at += len) {
		if (copy_part(t, at, &len, work, err) < 0)
			return -1;
		strata_work_advance(work, len);
	}
	return 0;
}

static struct strata_task_load copy_load(const struct strata_task *task)
{
	return load_of_blob(&task->as.copy.blob, false);
}

static const struct strata_task_ops copy_ops = {copy_run, copy_load, NULL, STRATA_NEEDS_BLOB};

int strata_job_add_copy(struct strata_job *job, const char *label, const struct strata_copy_task *t,
                        struct strata_err *err)
{
	const struct contents c = {.as = t, .size = sizeof(*t), .from = t->blob.file, .to = t->to};

	if (need(t->blob.file, "file", err) < 0 || need(t->to, "to", err) < 0)
		return -1;
	return add_task(job, &copy_ops, label, &c, err);
}

/* ---- assemble ----------------------------------------------------------- */

static int assemble_run(struct strata_task *task, const struct strata_work *work,
                        struct strata_err *err)
{
	struct strata_plan_options options = plan_options(&task->as.assemble.to, task->text, work);

	options.splice = task->as.assemble.splice;
	return strata_assembly_write(&task->as.assemble.assembly, &options, task->to, &task->info,
	                             err);
}

static struct strata_task_load assemble_load(const struct strata_task *task)
{
	return (struct strata_task_load){
	        .bytes = task->as.assemble.assembly.size,
	        .deflates = task->as.assemble.to.compression != STRATA_NONE,
	};
}

static void assemble_free(struct strata_task *task)
{
	strata_assembly_free(&task->as.assemble.assembly);
}

static const struct strata_task_ops assemble_ops = {assemble_run, assemble_load, assemble_free,
                                                    STRATA_NEEDS_UNEDITED};

int strata_job_add_assemble(struct strata_job *job, const char *label,
                            const struct strata_assemble_task *t, struct strata_err *err)
{
	struct strata_task_assembly as = {.to = t->to, .splice = t->splice};
	struct contents c = {.as = &as, .size = sizeof(as), .to = t->to.file, .text = t->temp_dir};

	if (need(t->assembly, "assembly", err) < 0 || need(t->to.file, "to", err) < 0)
		return -1;
	as.assembly = *t->assembly;
	c.indexes = as.assembly.sources;
	c.index_count = as.assembly.source_count;
	c.len = length_of(t->temp_dir);
	if (add_task(job, &assemble_ops, label, &c, err) < 0)
		return -1;
	*t->assembly = (struct strata_assembly){0};
	return 0;
}

/* ---- bytes -------------------------------------------------------------- */

static int bytes_run(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	const struct strata_bytes_task *t = &task->as.bytes;

	if (strata_file_write(task->to, t->to_offset, task->text, t->len, err) < 0)
		return -1;
	strata_work_advance(work, t->len);
	return 0;
}

static struct strata_task_load bytes_load(const struct strata_task *task)
{
	return (struct strata_task_load){.bytes = task->as.bytes.len};
}

static const struct strata_task_ops bytes_ops = {bytes_run, bytes_load, NULL, STRATA_NEEDS_BLOB};

int strata_job_add_bytes(struct strata_job *job, const char *label,
                         const struct strata_bytes_task *t, struct strata_err *err)
{
	const struct contents c = {
	        .as = t, .size = sizeof(*t), .to = t->to, .text = t->bytes, .len = t->len};

	if (need(t->bytes, "bytes", err) < 0 || need(t->to, "to", err) < 0)
		return -1;
	return add_task(job, &bytes_ops, label, &c, err);
}

/* ---- prepare ------------------------------------------------------------ */

static struct strata_task_load prepare_load(const struct strata_task *task)
{
	const struct strata_index *index = task->as.prepare.index;
	struct strata_err ignored;

	if (strata_index_is_prepared(index, &ignored) == 1)
		return (struct strata_task_load){0};
	return load_of_blob(&index->blob, true);
}

static int prepare_run(struct strata_task *task, const struct strata_work *work,
                       struct strata_err *err)
{
	const struct strata_prepare_task *t = &task->as.prepare;

	set_limits(t->index, &t->inflate);
	return strata_index_prepare(t->index, task->text, work, err);
}

static const struct strata_task_ops prepare_ops = {prepare_run, prepare_load, NULL,
                                                   STRATA_NEEDS_BLOB};

int strata_job_add_prepare(struct strata_job *job, const char *label,
                           const struct strata_prepare_task *t, struct strata_err *err)
{
	const struct contents c = {.as = t,
	                           .size = sizeof(*t),
	                           .index = t->index,
	                           .text = t->temp_dir,
	                           .len = length_of(t->temp_dir)};

	if (need(t->index, "index", err) < 0)
		return -1;
	return add_task(job, &prepare_ops, label, &c, err);
}

/* ---- apply -------------------------------------------------------------- */

static int apply_run(struct strata_task *task, const struct strata_work *work,
                     struct strata_err *err)
{
	return strata_apply_run(task->as.apply, work, err);
}

static struct strata_task_load apply_load(const struct strata_task *task)
{
	uint64_t compressed;
	struct strata_task_load load = {.bytes = strata_apply_size(task->as.apply, &compressed)};

	load.inflates = compressed > 0;
	return load;
}

static void apply_free(struct strata_task *task)
{
	strata_apply_unref(task->as.apply);
}

static const struct strata_task_ops apply_ops = {apply_run, apply_load, apply_free,
                                                 STRATA_NEEDS_BLOB};

int strata_job_add_apply(struct strata_job *job, const char *label, struct strata_apply *apply,
                         struct strata_err *err)
{
	const struct contents c = {.as = &apply, .size = sizeof(struct strata_apply *)};

	if (need(apply, "apply", err) < 0 || add_task(job, &apply_ops, label, &c, err) < 0)
		return -1;
	strata_apply_ref(apply);
	return 0;
}
