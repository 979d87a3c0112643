#include "core/apply/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/layer/blob_reader.h"

struct strata_apply *strata_apply_new(const char *dir, const struct strata_apply_options *options,
                                      struct strata_err *err)
{
	struct strata_apply *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	atomic_init(&a->references, 1);
	if (options != NULL)
		a->options = *options;
	a->by_tree = a->options.overlay;
	if (a->options.max_depth == 0)
		a->options.max_depth = STRATA_APPLY_DEPTH;
	if (a->options.max_removals == 0)
		a->options.max_removals = STRATA_APPLY_REMOVALS;
	a->owner = getpid();
	if (a->options.max_steps == 0)
		a->options.max_steps = STRATA_TREE_STEPS;
	a->euid = geteuid();
	a->egid = getegid();
	a->root = a->dir.fd = a->content.fd = a->target.fd = a->target.parent = -1;
	a->report.unprivileged = a->options.unprivileged;
	apply_removals_init(&a->removals, a->options.max_removals, a->options.max_depth);
	layer_set_init(&a->set);
	if (apply_target_open(&a->target, dir, a->options.merge, err) < 0) {
		char quoted[256];

		strata_err_wrap(err, "%s", strata_quote(quoted, sizeof(quoted), dir, strlen(dir)));
		strata_apply_unref(a);
		return NULL;
	}
	return a;
}

struct strata_apply *strata_apply_ref(struct strata_apply *a)
{
	atomic_fetch_add(&a->references, 1);
	return a;
}

/* Lets go of everything that belongs to one layer. */
static void leave_layer(struct strata_apply *a)
{
	struct strata_err ignored;

	apply_content_close(a);
	apply_leave(a, &ignored);
	layer_set_free(&a->set);
	apply_links_forget(&a->links);
	apply_whiteouts_forget(&a->whiteouts);
	if (a->by_tree)
		apply_overlay_leave(a);
	a->root = -1;
}

void strata_apply_unref(struct strata_apply *a)
{
	if (a == NULL || atomic_fetch_sub(&a->references, 1) > 1)
		return;
	if (!a->ran && a->target.parent >= 0 && a->owner == getpid())
		apply_target_discard(a);
	leave_layer(a);
	for (size_t i = 0; i < a->layer_count; i++) {
		strata_file_unref(a->layers[i].blob.file);
		strata_index_free(&a->layers[i].index);
		free(a->layers[i].label);
	}
	free(a->layers);
	apply_report_free(&a->report);
	apply_modes_free(&a->modes);
	apply_meta_free(&a->meta);
	apply_meta_free(&a->root_entry.meta);
	apply_target_close(&a->target);
	apply_links_free(&a->links);
	apply_whiteouts_free(&a->whiteouts);
	apply_overlay_free(&a->overlay);
	strata_buf_free(&a->dir.path);
	strata_buf_free(&a->dir.plain);
	free(a);
}

int strata_apply_add(struct strata_apply *a, const char *label, const struct strata_blob *blob,
                     const char *digest, const char *diff_id, const struct strata_index *index,
                     struct strata_err *err)
{
	struct apply_layer *layer;

	if (strata_grow(a->layers, a->layer_count, err) < 0)
		return -1;
	layer = &a->layers[a->layer_count];
	memset(layer, 0, sizeof(*layer));
	if (a->options.overlay && index != NULL && strata_index_copy(index, &layer->index, err) < 0)
		return -1;
	layer->label = strdup(label);
	if (layer->label == NULL) {
		strata_index_free(&layer->index);
		return strata_fail_nomem(err);
	}
	layer->blob = *blob;
	strata_file_ref(blob->file);
	strncpy(layer->digest, digest, STRATA_DIGEST_MAX - 1);
	strncpy(layer->diff_id, diff_id, STRATA_DIGEST_MAX - 1);
	a->layer_count++;
	return 0;
}

uint64_t strata_apply_size(const struct strata_apply *a, uint64_t *compressed)
{
	uint64_t size = 0;

	*compressed = 0;
	for (size_t i = 0; i < a->layer_count; i++) {
		const struct strata_blob *blob = &a->layers[i].blob;

		size += blob->size;
		if (blob->compression != STRATA_NONE)
			*compressed += blob->size;
	}
	return size;
}

/* ---- one layer ---------------------------------------------------------- */

static int apply_header(struct strata_apply *a, struct strata_tar_parser *parser,
                        struct strata_err *err)
{
	const struct strata_tar_header *h = strata_tar_entry(parser);
	size_t raw_len;
	const char *raw = strata_tar_raw_header(parser, &raw_len);

	return a->by_tree ? apply_overlay_entry(a, h, raw, raw_len, err)
	                  : apply_entry(a, h, raw, raw_len, err);
}

static int apply_bytes(struct strata_apply *a, struct strata_tar_parser *parser, const char *bytes,
                       size_t len, struct strata_err *err)
{
	enum strata_tar_event event;
	const char *data;
	size_t data_len;

	do {
		int status = 0;

		if (strata_tar_step(parser, &bytes, &len, &event, &data, &data_len, err) < 0)
			return -1;
		if (event == STRATA_TAR_ENTRY)
			status = apply_header(a, parser, err);
		else if (event == STRATA_TAR_DATA)
			status = apply_data(a, data, data_len, err);
		if (status < 0)
			return apply_report_wrap(&a->report, err);
	} while (event != STRATA_TAR_MORE);
	return 0;
}

/* The bytes of a layer; two readers, so that the next layer is read ahead. */
struct reader {
	struct strata_blob_reader stream;
	bool opened;
	int status; /* of opening it; a failure is reported when it is the layer's turn */
	struct strata_err err;
};

static void open_reader(struct strata_apply *a, struct reader *r, size_t layer,
                        const struct strata_work *work)
{
	if (r->opened || layer >= a->layer_count)
		return;
	r->opened = true;
	r->status = strata_blob_reader_open(&r->stream, &a->layers[layer].blob,
	                                    STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN |
	                                            STRATA_READ_AHEAD,
	                                    &a->options.inflate, work, &r->err);
}

static void close_reader(struct reader *r)
{
	strata_blob_reader_close(&r->stream);
	r->opened = false;
}

/* Reads on behind the end of the tar: every byte is hashed. */
static int read_layer(struct strata_apply *a, const struct apply_layer *layer,
                      struct reader readers[2], struct strata_tar_parser *parser,
                      const struct strata_work *work, struct strata_err *err)
{
	struct reader *r = &readers[a->report.layer % 2];
	char digest[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	uint64_t end_offset;
	uint32_t findings;
	const char *bytes;
	size_t len;

	open_reader(a, r, a->report.layer, work);
	if (r->status < 0) {
		*err = r->err;
		return -1;
	}
	do {
		if (strata_blob_reader_next(&r->stream, &bytes, &len, err) < 0)
			return -1;
		if (strata_blob_reader_drained(&r->stream))
			open_reader(a, &readers[(a->report.layer + 1) % 2], a->report.layer + 1,
			            work);
		if (len > 0 && apply_bytes(a, parser, bytes, len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_tar_finish(parser, &findings, &end_offset, err) < 0 ||
	    strata_blob_reader_digests(&r->stream, digest, diff_id, err) < 0 ||
	    strata_digest_expect("digest", layer->digest, digest, err) < 0 ||
	    strata_digest_expect("diff_id", layer->diff_id, diff_id, err) < 0)
		return -1;
	close_reader(r);
	return 0;
}

static int begin_layer(struct strata_apply *a, struct strata_err *err)
{
	layer_set_begin(&a->set, a->by_tree || (a->target.fresh && a->report.layer == 0));
	if (a->by_tree)
		return apply_overlay_begin(a, err);
	a->root = a->target.fd;
	return 0;
}

/* The layer has been verified. */
static int end_layer(struct strata_apply *a, struct strata_err *err)
{
	if (a->by_tree)
		return apply_overlay_end(a, err);
	if (apply_links_end(a, err) < 0 || apply_whiteouts_end(a, err) < 0)
		return apply_report_wrap(&a->report, err);
	return apply_leave(a, err);
}

static int apply_layer(struct strata_apply *a, size_t number, struct reader readers[2],
                       const struct strata_work *work, struct strata_err *err)
{
	const struct apply_layer *layer = &a->layers[number];
	struct strata_tar_parser *parser = strata_tar_parser_new(&a->options.limits, err);
	int status = -1;

	apply_report_layer(&a->report, number);
	if (parser != NULL && begin_layer(a, err) == 0)
		status = read_layer(a, layer, readers, parser, work, err);
	if (status == 0)
		status = end_layer(a, err);
	strata_tar_parser_free(parser);
	leave_layer(a);
	return status < 0 ? strata_err_wrap(err, "%s", layer->label) : 0;
}

/* The target's own attributes come last: until then only its owner looks into a new one. */
static int end(struct strata_apply *a, struct strata_err *err)
{
	int status = 0;

	if (!a->options.overlay && a->root_entry.told)
		status = apply_root_set(a, a->target.fd, err);
	else if (!a->options.overlay && a->target.parent >= 0)
		status = apply_implied(a, a->target.fd, err);
	return status < 0 ? -1 : apply_modes_set(&a->modes, &a->report, a->target.fd, err);
}

static int run(struct strata_apply *a, const struct strata_work *work, struct strata_err *err)
{
	struct reader readers[2] = {{.opened = false}, {.opened = false}};
	int status = a->by_tree ? apply_overlay_scan(a, work, err) : 0;

	for (size_t i = 0; i < a->layer_count && status == 0; i++)
		status = apply_layer(a, i, readers, work, err);
	close_reader(&readers[0]);
	close_reader(&readers[1]);
	return status < 0 ? -1 : end(a, err);
}

/* Takes back what the run has done, to a directory that was empty. */
static int take_back(struct strata_apply *a, const struct timespec times[2], struct strata_err *err)
{
	apply_removals_unlimited(&a->removals);
	if (apply_purge(a, a->target.fd, false, err) < 0)
		return -1;
	if (futimens(a->target.fd, times) < 0)
		return strata_fail_errno(err, errno, "cannot set the time of the directory");
	apply_removals_init(&a->removals, a->options.max_removals, a->options.max_depth);
	apply_report_clear(&a->report);
	apply_modes_free(&a->modes);
	apply_meta_free(&a->root_entry.meta);
	a->root_entry = (struct apply_root){.told = false};
	return 0;
}

/* A layer turns out to be odd at one of its entries; most images have no such layer. */
static int run_by_tree(struct strata_apply *a, const struct strata_work *work,
                       const struct timespec times[2], struct strata_err *err)
{
	if (take_back(a, times, err) < 0)
		return -1;
	a->by_tree = true;
	a->odd = false;
	return run(a, work, err);
}

static int run_any(struct strata_apply *a, const struct strata_work *work, struct strata_err *err)
{
	atomic_ullong *progress = work != NULL ? work->progress : NULL;
	unsigned long long before = progress != NULL ? atomic_load(progress) : 0;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct stat st;
	int status;

	if (fstat(a->target.fd, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at the directory");
	times[1] = st.st_mtim;
	status = run(a, work, err);
	if (status == 0 || !a->odd)
		return status;
	if (progress != NULL)
		atomic_store(progress, before); /* what has been read is read anew */
	return run_by_tree(a, work, times, err);
}

int strata_apply_run(struct strata_apply *a, const struct strata_work *work, struct strata_err *err)
{
	if (a->ran)
		return strata_fail(err, "EINVAL", "the directory has been filled");
	a->ran = true;
	if (run_any(a, work, err) == 0)
		return 0;
	apply_target_discard(a);
	return -1;
}

const struct strata_apply_result *strata_apply_result(const struct strata_apply *a)
{
	return &a->report.result;
}
