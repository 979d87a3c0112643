#include "core/apply/apply.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "core/apply/internal.h"
#include "core/apply/overlay.h"
#include "core/layer/blob_reader.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* ---- the target --------------------------------------------------------- */

/* 1: there is something in it. */
static int is_occupied(int fd, struct strata_err *err)
{
	int copy = openat(fd, ".", DIR_FLAGS);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;
	int found = 0;

	if (dir == NULL) {
		strata_fail_errno(err, errno, "cannot read the directory");
		if (copy >= 0)
			close(copy);
		return -1;
	}
	for (errno = 0; !found && (e = readdir(dir)) != NULL; errno = 0)
		found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (!found && errno != 0) /* taken for empty it would be emptied after a failure */
		found = strata_fail_errno(err, errno, "cannot read the directory");
	closedir(dir);
	return found;
}

/* Makes the directory when it is not there; for its removal its parent stays open. */
static int make_target(struct strata_apply *a, const char *dir, struct strata_err *err)
{
	size_t len = strlen(dir), base;
	cleanup_free char *path = strdup(dir);

	if (path == NULL)
		return strata_fail_nomem(err);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	base = len;
	while (base > 0 && path[base - 1] != '/')
		base--;
	a->name = strdup(path + base);
	if (a->name == NULL)
		return strata_fail_nomem(err);
	path[base] = '\0';
	a->parent = open(base > 0 ? path : ".", DIR_FLAGS);
	if (a->parent < 0)
		return strata_fail_errno(err, errno, "cannot open the directory above");
	/* Nobody else looks in before owners and modes are right. */
	if (mkdirat(a->parent, a->name, 0700) < 0) {
		int errnum = errno;

		close(strata_steal_fd(&a->parent));
		return strata_fail_errno(err, errnum, "cannot make the directory");
	}
	a->target = openat(a->parent, a->name, DIR_FLAGS | O_NOFOLLOW);
	if (a->target >= 0)
		return 0;
	strata_fail_errno(err, errno, "cannot open the directory");
	unlinkat(a->parent, a->name, AT_REMOVEDIR);
	return -1;
}

static int open_target(struct strata_apply *a, const char *dir, struct strata_err *err)
{
	int occupied;

	a->target = open(dir, DIR_FLAGS);
	if (a->target < 0 && errno == ENOENT) {
		a->fresh = true;
		return make_target(a, dir, err);
	}
	if (a->target < 0)
		return strata_fail_errno(err, errno, "cannot open the directory");
	occupied = is_occupied(a->target, err);
	if (occupied < 0)
		return -1;
	a->fresh = !occupied;
	if (occupied && !a->options.merge)
		return strata_fail(err, "ENOTEMPTY", "the directory is not empty");
	return 0;
}

/* After a failure: as it was before. */
static void discard(struct strata_apply *a)
{
	struct strata_err ignored;

	if (!a->fresh || a->options.keep_partial || a->target < 0)
		return;
	/* Nothing may keep us from that: there is no more in it than we have made. */
	a->options.max_removals = UINT64_MAX;
	apply_purge(a, a->target, false, &ignored);
	if (a->parent >= 0)
		unlinkat(a->parent, a->name, AT_REMOVEDIR);
}

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
	if (a->options.max_depth == 0)
		a->options.max_depth = STRATA_APPLY_DEPTH;
	if (a->options.max_removals == 0)
		a->options.max_removals = STRATA_APPLY_REMOVALS;
	a->euid = geteuid();
	a->egid = getegid();
	a->parent = a->target = a->root = a->dir.fd = a->content.fd = -1;
	if (getrandom(&a->hash_key, sizeof(a->hash_key), 0) < 0)
		a->hash_key.k0 = (uintptr_t)a; /* still unknown to whoever made the tar */
	if (open_target(a, dir, err) < 0) {
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

static void free_layer_state(struct strata_apply *a)
{
	struct strata_err ignored;

	apply_content_close(a);
	apply_leave(a, &ignored);
	apply_forget_seen(a);
	while (a->borrower_count > 0)
		free(a->borrowers[--a->borrower_count].path);
	if (a->root >= 0 && a->root != a->target)
		close(a->root);
	a->root = -1;
	a->link_count = a->arena.len = 0;
}

void strata_apply_unref(struct strata_apply *a)
{
	if (a == NULL || atomic_fetch_sub(&a->references, 1) > 1)
		return;
	if (!a->ran && a->parent >= 0)
		discard(a);
	free_layer_state(a);
	if (a->target >= 0)
		close(a->target);
	if (a->parent >= 0)
		close(a->parent);
	for (size_t i = 0; i < a->layer_count; i++) {
		strata_file_unref(a->layers[i].blob.file);
		free(a->layers[i].label);
	}
	for (size_t i = 0; i < a->mode_count; i++)
		free(a->modes[i].path);
	for (size_t i = 0; i < a->result.notes_kept; i++) {
		free(a->result.notes[i].path);
		free(a->result.notes[i].detail);
	}
	free(a->result.notes);
	free(a->modes);
	free(a->borrowers);
	free(a->layers);
	free(a->links);
	free(a->name);
	strata_buf_free(&a->path);
	strata_buf_free(&a->dir.path);
	strata_buf_free(&a->meta.pax);
	strata_buf_free(&a->arena);
	free(a);
}

int strata_apply_add(struct strata_apply *a, const char *label, const struct strata_blob *blob,
                     const char *digest, const char *diff_id, struct strata_err *err)
{
	struct apply_layer *grown =
	        strata_reallocarray(a->layers, a->layer_count + 1, sizeof(*grown));

	if (grown == NULL)
		return strata_fail_nomem(err);
	a->layers = grown;
	grown += a->layer_count;
	memset(grown, 0, sizeof(*grown));
	grown->label = strdup(label);
	if (grown->label == NULL)
		return strata_fail_nomem(err);
	grown->blob = *blob;
	strata_file_ref(blob->file);
	strncpy(grown->digest, digest, STRATA_DIGEST_MAX - 1);
	strncpy(grown->diff_id, diff_id, STRATA_DIGEST_MAX - 1);
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

/* Says which entry it was. */
static int wrap_entry(struct strata_apply *a, struct strata_err *err)
{
	char quoted[256];

	if (a->path.data == NULL)
		return -1;
	return strata_err_wrap(err, "entry %llu %s", (unsigned long long)a->number,
	                       strata_quote(quoted, sizeof(quoted), a->path.data, a->path.len));
}

static int apply_bytes(struct strata_apply *a, struct strata_tar_parser *parser, const char *bytes,
                       size_t len, struct strata_err *err)
{
	enum strata_tar_event event;
	const char *data, *raw;
	size_t data_len, raw_len;

	do {
		int status = 0;

		if (strata_tar_step(parser, &bytes, &len, &event, &data, &data_len, err) < 0)
			return -1;
		if (event == STRATA_TAR_ENTRY) {
			raw = strata_tar_raw_header(parser, &raw_len);
			status = apply_entry(a, strata_tar_entry(parser), raw, raw_len, err);
		} else if (event == STRATA_TAR_DATA) {
			status = apply_data(a, data, data_len, err);
		}
		if (status < 0)
			return wrap_entry(a, err);
	} while (event != STRATA_TAR_MORE);
	return 0;
}

/* A layer's bytes, and those of the next one while its last ones are applied. */
struct reader {
	struct strata_blob_reader stream;
	bool opened;
	int status; /* of the opening, which is told when it is the layer's turn */
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

/* To the end, also behind the end of the tar: all of it is hashed. */
static int read_layer(struct strata_apply *a, const struct apply_layer *layer,
                      struct reader readers[2], struct strata_tar_parser *parser,
                      const struct strata_work *work, struct strata_err *err)
{
	struct reader *r = &readers[a->layer % 2];
	char digest[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	uint64_t end_offset;
	uint32_t findings;
	const char *bytes;
	size_t len;

	open_reader(a, r, a->layer, work);
	if (r->status < 0) {
		*err = r->err;
		return -1;
	}
	do {
		if (strata_blob_reader_next(&r->stream, &bytes, &len, err) < 0)
			return -1;
		if (strata_blob_reader_drained(&r->stream))
			open_reader(a, &readers[(a->layer + 1) % 2], a->layer + 1, work);
		if (len > 0 && apply_bytes(a, parser, bytes, len, err) < 0)
			return -1;
	} while (len > 0);
	if (strata_tar_finish(parser, &findings, &end_offset, err) < 0 ||
	    strata_blob_reader_digests(&r->stream, digest, diff_id, err) < 0 ||
	    strata_digest_expect("digest", layer->digest, digest, err) < 0 ||
	    strata_digest_expect("diff_id", layer->diff_id, diff_id, err) < 0)
		return -1;
	close_reader(r);
	return apply_late_links(a, err) < 0 ? wrap_entry(a, err) : 0;
}

/* Makes a->root the directory that the layer goes to. */
static int begin_layer(struct strata_apply *a, struct strata_err *err)
{
	struct stat st;

	a->number = 0;
	a->path.len = 0;
	a->root = a->target;
	if (a->options.overlay && apply_overlay_begin(a, err) < 0)
		return -1;
	if (fstat(a->root, &st) < 0)
		return strata_fail_errno(err, errno, "cannot look at the directory");
	return a->options.overlay || (a->fresh && a->layer == 0) ? apply_mark_clean(a, &st, err)
	                                                         : 0;
}

static int apply_layer(struct strata_apply *a, struct reader readers[2],
                       const struct strata_work *work, struct strata_err *err)
{
	const struct apply_layer *layer = &a->layers[a->layer];
	struct strata_tar_parser *parser = strata_tar_parser_new(&a->options.limits, err);
	int status = -1;

	if (parser != NULL && begin_layer(a, err) == 0)
		status = read_layer(a, layer, readers, parser, work, err);
	if (status == 0)
		status = apply_leave(a, err);
	strata_tar_parser_free(parser);
	if (status == 0 && a->options.overlay)
		status = apply_overlay_end(a, err) < 0 ? -1 : apply_final_modes(a, err);
	free_layer_state(a);
	return status < 0 ? strata_err_wrap(err, "%s", layer->label) : 0;
}

/* A directory of ours has nobody else look in before all owners and modes are right. */
static int begin(struct strata_apply *a, struct strata_err *err)
{
	if (a->parent < 0)
		return 0;
	if (apply_implied(a, a->target, err) < 0)
		return -1;
	return fchmod(a->target, 0700) == 0 ? 0
	                                    : strata_fail_errno(err, errno, "cannot set its mode");
}

static int end(struct strata_apply *a, struct strata_err *err)
{
	a->root = a->target;
	if (apply_final_modes(a, err) < 0)
		return -1;
	if (a->parent < 0 || a->root_told || a->options.overlay)
		return 0;
	return fchmod(a->target, 0755) == 0 ? 0
	                                    : strata_fail_errno(err, errno, "cannot set its mode");
}

static int run(struct strata_apply *a, const struct strata_work *work, struct strata_err *err)
{
	struct reader readers[2] = {{.opened = false}, {.opened = false}};
	int status = 0;

	a->path.len = 0;
	if (strata_buf_append(&a->path, "", 1, err) < 0 || begin(a, err) < 0)
		return -1;
	for (a->layer = 0; a->layer < a->layer_count && status == 0; a->layer++)
		status = apply_layer(a, readers, work, err);
	close_reader(&readers[0]);
	close_reader(&readers[1]);
	return status < 0 ? -1 : end(a, err);
}

int strata_apply_run(struct strata_apply *a, const struct strata_work *work, struct strata_err *err)
{
	if (a->ran)
		return strata_fail(err, "EINVAL", "the directory has been filled");
	a->ran = true;
	if (run(a, work, err) == 0)
		return 0;
	discard(a);
	return -1;
}

const struct strata_apply_result *strata_apply_result(const struct strata_apply *a)
{
	return &a->result;
}
