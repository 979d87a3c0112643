#include "core/apply/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"
#include "core/fs/resolve.h"
#include "core/layer/path.h"
#include "core/tar/whiteout.h"

static const struct strata_index *index_of(const struct strata_apply *a)
{
	return &a->layers[a->report.layer].index;
}

/* Writes a node's path to o->path; the root's is empty. */
static int take_path(struct apply_overlay *o, const struct strata_tree *tree, uint32_t node,
                     struct strata_err *err)
{
	o->path.len = 0;
	if ((node != STRATA_ROOT_NODE && strata_tree_path(tree, node, &o->path, err) < 0) ||
	    strata_buf_append(&o->path, "", 1, err) < 0)
		return -1;
	o->path.len--;
	return 0;
}

/* Opens the directory of a node's parent as a->dir; *name is the node's name in it. */
static int enter_parent(struct strata_apply *a, uint32_t node, const char **name,
                        struct strata_err *err)
{
	struct apply_overlay *o = &a->overlay;
	size_t base;
	int status;

	if (take_path(o, &o->merged, node, err) < 0)
		return -1;
	base = apply_base(&o->path);
	status = apply_enter(a, o->path.data, base > 0 ? base - 1 : 0, APPLY_LOOK, err);
	if (status > 0)
		return strata_fail_errno(err, ENOENT, "cannot open its directory");
	*name = o->path.data + base;
	return status;
}

/* ---- directories, marks and whiteouts ----------------------------------- */

static int make_dirs(struct strata_apply *a, struct strata_err *err)
{
	const struct apply_overlay *o = &a->overlay;

	for (uint32_t i = 0; i < o->dir_count; i++) {
		const char *name;

		if (enter_parent(a, o->dirs[i], &name, err) < 0)
			return -1;
		if (mkdirat(a->dir.fd, name, 0700) < 0)
			return strata_fail_errno(err, errno, "cannot make the directory");
		apply_dir_changed(a);
	}
	return 0;
}

static int make_whiteouts(struct strata_apply *a, struct strata_err *err)
{
	const struct timespec zero[2] = {{0}, {0}};
	struct apply_overlay *o = &a->overlay;

	for (size_t i = 0; i < o->whiteout_count; i++) {
		const struct strata_node *below = &o->below.nodes[o->whiteouts[i].below];

		if (take_path(o, &o->merged, o->whiteouts[i].dir, err) < 0 ||
		    apply_enter(a, o->path.data, o->path.len, APPLY_LOOK, err) < 0)
			return -1;
		o->path.len = 0;
		if (strata_buf_append(&o->path, strata_tree_name(&o->below, below), below->name_len,
		                      err) < 0 ||
		    strata_buf_append(&o->path, "", 1, err) < 0)
			return -1;
		if (mknodat(a->dir.fd, o->path.data, S_IFCHR, makedev(0, 0)) < 0 ||
		    utimensat(a->dir.fd, o->path.data, zero, AT_SYMLINK_NOFOLLOW) < 0)
			return strata_fail_errno(err, errno, "cannot make a whiteout");
	}
	return 0;
}

static int set_opaque(struct strata_apply *a, int fd, struct strata_err *err)
{
	const char *name = a->options.user_xattrs ? APPLY_OVERLAY_USER "opaque"
	                                          : APPLY_OVERLAY_TRUSTED "opaque";

	return fsetxattr(fd, name, "y", 1, 0) == 0
	               ? 0
	               : strata_fail_errno(err, errno, "cannot set %s", name);
}

/* Gives a directory, which is in a->dir, the attributes that it has in the merged tree. */
static int set_merged(struct strata_apply *a, int fd, uint32_t node, const char *path,
                      struct strata_err *err)
{
	const struct apply_overlay *o = &a->overlay;
	const struct strata_node *n = &o->merged.nodes[node];
	int status;

	/* What cannot be set has been noted when the directory's own layer was applied. */
	apply_report_mute(&a->report, n->layer != a->report.layer);
	if (n->entry == STRATA_NO_ENTRY)
		status = apply_implied(a, fd, err);
	else if (apply_meta_take_entry(&a->meta, o->merged.layers[n->layer], n->entry, err) < 0)
		status = -1;
	else
		status = apply_meta_fd(a, fd, path, false, err);
	apply_report_mute(&a->report, false);
	return status;
}

/* True for a directory that an entry of the layer is going to set. */
static bool is_told(const struct strata_apply *a, uint32_t node)
{
	const struct strata_node *n = &a->overlay.merged.nodes[node];

	return (n->layer == a->report.layer || !a->options.overlay) && n->entry != STRATA_NO_ENTRY;
}

static int settle_dir(struct strata_apply *a, uint32_t node, struct strata_err *err)
{
	const struct apply_overlay *o = &a->overlay;
	bool opaque = o->marks[node] & MARK_OPAQUE;
	cleanup_fd int fd = -1;
	const char *name;

	if (is_told(a, node) && !opaque)
		return 0;
	if (enter_parent(a, node, &name, err) < 0)
		return -1;
	fd = openat(a->dir.fd, name, APPLY_DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open a directory");
	if (!is_told(a, node) && set_merged(a, fd, node, o->path.data, err) < 0)
		return -1;
	return opaque ? set_opaque(a, fd, err) : 0;
}

/* ---- a layer ------------------------------------------------------------ */

int apply_overlay_scan(struct strata_apply *a, const struct strata_work *work,
                       struct strata_err *err)
{
	struct strata_work quiet = work != NULL ? *work : (struct strata_work){0};

	quiet.progress = NULL;
	for (size_t i = 0; i < a->layer_count; i++) {
		struct apply_layer *layer = &a->layers[i];

		if (layer->index.scanned)
			continue;
		layer->index.blob = layer->blob;
		layer->index.inflate = a->options.inflate;
		strata_file_ref(layer->blob.file);
		if (strata_index_scan(&layer->index, &a->options.limits, &quiet, err) < 0)
			return strata_err_wrap(err, "%s", layer->label);
	}
	if (strata_tree_init(&a->overlay.below, err) < 0 ||
	    strata_tree_init(&a->overlay.merged, err) < 0)
		return -1;
	a->overlay.below.view = a->overlay.merged.view = a->options.view;
	a->overlay.below.max_steps = a->overlay.merged.max_steps = a->options.max_steps;
	return a->options.overlay ? 0 : apply_overlay_merge(a, err);
}

/* The directory of a layer. */
static int open_layer(const struct strata_apply *a, size_t layer)
{
	char name[24];

	if (!a->options.overlay)
		return openat(a->target.fd, ".", APPLY_DIR_FLAGS);
	snprintf(name, sizeof(name), "%zu", layer + 1);
	return openat(a->target.fd, name, APPLY_DIR_FLAGS | O_NOFOLLOW);
}

static int make_layer_dir(struct strata_apply *a, struct strata_err *err)
{
	char name[24];

	snprintf(name, sizeof(name), "%zu", a->report.layer + 1);
	if (a->options.overlay && mkdirat(a->target.fd, name, 0700) < 0)
		return strata_fail_errno(err, errno, "cannot make its directory");
	a->root = open_layer(a, a->report.layer);
	if (a->root >= 0)
		return 0;
	strata_fail_errno(err, errno, "cannot open its directory");
	if (a->options.overlay)
		unlinkat(a->target.fd, name, AT_REMOVEDIR);
	return -1;
}

int apply_overlay_begin(struct strata_apply *a, struct strata_err *err)
{
	const struct apply_overlay *o = &a->overlay;

	if (apply_overlay_plan(a, err) < 0 || make_layer_dir(a, err) < 0 || make_dirs(a, err) < 0 ||
	    make_whiteouts(a, err) < 0)
		return -1;
	for (uint32_t i = 0; i < o->dir_count; i++)
		if (settle_dir(a, o->dirs[i], err) < 0)
			return -1;
	return 0;
}

/* The entry is the one that the index has under its number: the file has not changed since. */
static bool is_scanned(const struct strata_apply *a, const struct strata_tar_header *h)
{
	const struct strata_index *index = index_of(a);
	const struct strata_buf *path = &a->report.path;
	const struct strata_entry *e;

	if (a->report.number > index->count)
		return false;
	e = &index->entries[a->report.number - 1];
	return e->typeflag == h->typeflag && e->path.len == path->len &&
	       memcmp(strata_index_text(index, e->path), path->data, path->len) == 0;
}

static int set_told_dir(struct strata_apply *a, const char *name, struct strata_err *err)
{
	cleanup_fd int fd = openat(a->dir.fd, name, APPLY_DIR_FLAGS | O_NOFOLLOW);

	if (fd < 0)
		return strata_fail_errno(err, errno, "cannot open the directory");
	return apply_meta_fd(a, fd, a->overlay.path.data, false, err);
}

/* Makes an entry at a node. */
static int make_entry(struct strata_apply *a, uint32_t node, const struct strata_tar_header *h,
                      const char *raw, size_t raw_len, struct strata_err *err)
{
	const char *name;

	if (apply_meta_take(&a->meta, h, err) < 0)
		return -1;
	if (node == STRATA_ROOT_NODE) {
		apply_root_keep(a);
		return 0;
	}
	/* overlayfs takes such a device for a whiteout. */
	if (apply_is_hiding(h))
		return apply_note(&a->report, "device", NULL, ENOTSUP, err);
	if (enter_parent(a, node, &name, err) < 0)
		return -1;
	return h->typeflag == '5' ? set_told_dir(a, name, err)
	                          : apply_make_file(a, h, raw, raw_len, name, err);
}

/* True for whiteouts, which the plan has carried out, and for files of AUFS. */
static bool is_no_file(const struct strata_apply *a)
{
	const struct strata_buf *path = &a->report.path;
	bool by_spec = a->options.view == STRATA_VIEW_SPEC;
	size_t base;

	return (by_spec && strata_whiteout_in_aufs(path->data, path->len)) ||
	       strata_whiteout_kind(path->data, path->len, &base) != STRATA_WHITEOUT_NO;
}

int apply_overlay_entry(struct strata_apply *a, const struct strata_tar_header *h, const char *raw,
                        size_t raw_len, struct strata_err *err)
{
	int status = apply_entry_begin(a, h, err);
	uint32_t node;

	if (status <= 0)
		return status;
	if (!is_scanned(a, h))
		return strata_fail(err, "EDIGEST", "the layer has changed since it was scanned");
	node = a->overlay.places[a->report.number - 1];
	/* A file of AUFS has a place when the layer has hardlinks to it. */
	if (node == STRATA_NO_NODE && is_no_file(a))
		return 0;
	status = apply_entry_check(a, h, err);
	if (status <= 0)
		return status;
	if (h->typeflag == '1') {
		cleanup_free char *target = apply_link_target(h, err);

		return target != NULL ? 0 : -1;
	}
	return node != STRATA_NO_NODE ? make_entry(a, node, h, raw, raw_len, err) : 0;
}

/* ---- hardlinks ---------------------------------------------------------- */

static int compare_sources(const struct strata_inode *x, const struct strata_inode *y)
{
	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* By file; the names of one in the order of their nodes. */
static int compare_links(const void *a, const void *b)
{
	const struct overlay_link *x = a, *y = b;
	int order = compare_sources(&x->source, &y->source);

	return order != 0 ? order : x->node < y->node ? -1 : x->node > y->node;
}

/* The first of the sorted links to a file, or link_count. */
static size_t first_link(const struct apply_overlay *o, struct strata_inode source)
{
	size_t low = 0, high = o->link_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_sources(&o->links[middle].source, &source) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < o->link_count && compare_sources(&o->links[low].source, &source) == 0
	               ? low
	               : o->link_count;
}

/* A name in the tree below for each file of a lower layer that is linked; indexed as the links. */
static uint32_t *find_names(const struct apply_overlay *o, struct strata_err *err)
{
	uint32_t *names = strata_reallocarray(NULL, o->link_count, sizeof(*names));

	if (names == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	memset(names, 0xff, o->link_count * sizeof(*names));
	for (uint32_t i = 0; i < o->below.node_count; i++) {
		size_t link = o->below.nodes[i].free
		                      ? o->link_count
		                      : first_link(o, strata_tree_source(&o->below, i));

		if (link < o->link_count)
			names[link] = i;
	}
	return names;
}

/* Opens the directory that has the file of a name: *name in the directory of a layer. */
static int open_source(struct strata_apply *a, const struct strata_tree *tree, uint32_t node,
                       const char **name, struct strata_err *err)
{
	struct apply_overlay *o = &a->overlay;
	cleanup_fd int layer = open_layer(a, tree->nodes[node].layer);
	size_t base;
	int fd;

	if (layer < 0 || take_path(o, tree, node, err) < 0)
		return layer < 0 ? strata_fail_errno(err, errno, "cannot open the layer below")
		                 : -1;
	base = apply_base(&o->path);
	if (base > 0)
		o->path.data[base - 1] = '\0';
	*name = o->path.data + base;
	fd = strata_resolve_beneath(layer, base > 0 ? o->path.data : ".", O_PATH | O_DIRECTORY);
	return fd < 0 ? strata_fail_errno(err, -fd, "cannot open the directory of its target") : fd;
}

/* Fails for a hardlink without a file. */
static int fail_link(const struct strata_apply *a, const struct strata_index *index,
                     const struct strata_entry *e, struct strata_err *err)
{
	const struct strata_tree *tree = &a->overlay.merged;
	cleanup_free char *target = malloc((size_t)e->linkpath.len + 2);
	struct strata_err ignored;
	uint32_t node;
	size_t len;
	bool directory;

	if (target == NULL)
		return strata_fail_nomem(err);
	len = strata_path_normalise(strata_index_text(index, e->linkpath), e->linkpath.len, target);
	target[len] = '\0';
	directory = strata_tree_find(tree, target, len, false, &node, &ignored) == 0 &&
	            strata_tree_type(tree, node) == '5';
	return apply_link_fail(target, directory, err);
}

/* Links a name; from: a name of its file, in the tree that it was found in. */
static int make_link(struct strata_apply *a, uint32_t node, const struct strata_tree *tree,
                     uint32_t from, struct strata_err *err)
{
	const struct strata_node *n = &a->overlay.merged.nodes[node];
	const struct strata_index *index = a->overlay.merged.layers[n->layer];
	uint32_t entry = n->entry;
	const struct strata_entry *e = &index->entries[entry];
	cleanup_free char *source = NULL;
	cleanup_fd int dir = -1;
	const char *name;

	if (apply_report_again(&a->report, (uint64_t)entry + 1, strata_index_text(index, e->path),
	                       e->path.len, err) < 0)
		return -1;
	if (from == STRATA_NO_NODE)
		return fail_link(a, index, e, err);
	dir = open_source(a, tree, from, &name, err);
	if (dir < 0)
		return -1;
	source = strdup(name);
	if (source == NULL)
		return strata_fail_nomem(err);
	if (enter_parent(a, node, &name, err) < 0)
		return -1;
	if (linkat(dir, source, a->dir.fd, name, 0) == 0)
		return apply_created(a, name, err);
	/* A device that could not be made has no names either. */
	return errno == ENOENT ? fail_link(a, index, e, err)
	                       : strata_fail_errno(err, errno, "cannot link");
}

static int make_links(struct strata_apply *a, struct strata_err *err)
{
	struct apply_overlay *o = &a->overlay;
	cleanup_free uint32_t *names = NULL;

	if (o->link_count == 0)
		return 0;
	qsort(o->links, o->link_count, sizeof(*o->links), compare_links);
	names = find_names(o, err);
	if (names == NULL)
		return -1;
	for (size_t i = 0; i < o->link_count; i++) {
		const struct overlay_link *link = &o->links[i];
		bool ours = link->source.layer == a->report.layer;

		if (make_link(a, link->node, ours ? &o->merged : &o->below,
		              ours ? o->places[link->source.entry]
		                   : names[first_link(o, link->source)],
		              err) < 0)
			return apply_report_wrap(&a->report, err);
	}
	return 0;
}

/* ---- headers of hardlinks ------------------------------------------------ */

/* Adds the header of one of the layer's hardlinks to its file, of which node is a name. */
static int add_header(struct strata_apply *a, uint32_t node, uint32_t entry, struct strata_err *err)
{
	const struct strata_index *index = index_of(a);
	struct strata_path path = index->entries[entry].path;
	cleanup_fd int dir = -1;
	const char *name;

	if (apply_report_again(&a->report, (uint64_t)entry + 1, strata_index_text(index, path),
	                       path.len, err) < 0)
		return -1;
	dir = open_source(a, &a->overlay.merged, node, &name, err);
	if (dir < 0 || apply_meta_take_entry(&a->meta, index, entry, err) < 0 ||
	    apply_meta_link(a, dir, name, err) < 0)
		return apply_report_wrap(&a->report, err);
	return 0;
}

/* What the layer's hardlinks do to a file: the last header that names it, and its name in the
 * layer. */
struct linked_file {
	uint32_t header;
	uint32_t node;
};

/* Headers of the layer's own files, but the last one of each, in the order of the hardlinks. */
static int add_own_headers(struct strata_apply *a, const struct linked_file *files,
                           struct strata_err *err)
{
	const struct strata_index *index = index_of(a);

	for (uint32_t i = 0; index->links != NULL && i < index->count; i++) {
		uint32_t file = strata_index_file_of(index, i);

		if (file == STRATA_NO_ENTRY || i >= files[file].header ||
		    files[file].node == STRATA_NO_NODE)
			continue;
		if (add_header(a, files[file].node, i, err) < 0)
			return -1;
	}
	return 0;
}

/* A name of each inode. */
static uint32_t *name_inodes(const struct strata_apply *a, struct strata_err *err)
{
	const struct strata_tree *merged = &a->overlay.merged;
	uint32_t *names = strata_reallocarray(NULL, merged->inode_count, sizeof(*names));

	if (names == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	memset(names, 0xff, merged->inode_count * sizeof(*names));
	for (uint32_t i = 0; i < merged->node_count; i++) {
		const struct strata_node *node = &merged->nodes[i];

		if (!node->free && node->inode != STRATA_NO_NODE)
			names[node->inode] = i;
	}
	return names;
}

static int add_headers(struct strata_apply *a, struct strata_err *err)
{
	const struct strata_tree *merged = &a->overlay.merged;
	uint32_t count = index_of(a)->count;
	cleanup_free uint32_t *names = NULL;
	cleanup_free struct linked_file *files = NULL;

	if (merged->inode_count == 0)
		return 0;
	names = name_inodes(a, err);
	files = strata_reallocarray(NULL, count, sizeof(*files));
	if (names == NULL || files == NULL)
		return names == NULL ? -1 : strata_fail_nomem(err);
	memset(files, 0xff, count * sizeof(*files));
	for (uint32_t i = 0; i < merged->inode_count; i++)
		if (merged->inodes[i].layer == a->report.layer)
			files[merged->inodes[i].entry] = (struct linked_file){
			        merged->inodes[i].header_layer == a->report.layer
			                ? merged->inodes[i].header_entry
			                : STRATA_NO_ENTRY,
			        names[i]};
	if (add_own_headers(a, files, err) < 0)
		return -1;
	for (uint32_t i = 0; i < merged->inode_count; i++) {
		const struct strata_inode *inode = &merged->inodes[i];

		if (inode->header_layer == a->report.layer && names[i] != STRATA_NO_NODE &&
		    add_header(a, names[i], inode->header_entry, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the end of a layer ------------------------------------------------- */

int apply_overlay_end(struct strata_apply *a, struct strata_err *err)
{
	struct apply_overlay *o = &a->overlay;
	size_t layer = a->report.layer;

	if (make_links(a, err) < 0 || add_headers(a, err) < 0 || apply_leave(a, err) < 0)
		return -1;
	if (!a->options.overlay)
		return 0;
	if (a->root_entry.told ? apply_root_set(a, a->root, err) < 0
	                       : set_merged(a, a->root, STRATA_ROOT_NODE, ".", err) < 0)
		return -1;
	return layer + 1 < a->layer_count
	               ? strata_tree_apply(&o->below, &a->layers[layer].index, err)
	               : 0;
}

void apply_overlay_leave(struct strata_apply *a)
{
	struct apply_overlay *o = &a->overlay;

	free(steal_pointer(&o->places));
	free(steal_pointer(&o->marks));
	free(steal_pointer(&o->dirs));
	free(steal_pointer(&o->links));
	free(steal_pointer(&o->whiteouts));
	o->dir_count = 0;
	o->link_count = o->whiteout_count = 0;
	if (a->root >= 0)
		close(strata_steal_fd(&a->root));
}

void apply_overlay_free(struct apply_overlay *o)
{
	strata_tree_free(&o->below);
	strata_tree_free(&o->merged);
	strata_buf_free(&o->path);
}
