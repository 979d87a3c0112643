/* What a layer's directory has, and what it hides: found by comparing two trees. */
#include <string.h>

#include "core/apply/internal.h"
#include "core/base/grow.h"

static bool is_dir(const struct strata_tree *tree, uint32_t node)
{
	return strata_tree_type(tree, node) == '5';
}

/* ---- what the layer has ------------------------------------------------- */

/* The directory of that node is needed, and those that it is in. */
static void need_dir(struct apply_overlay *o, uint32_t node)
{
	uint32_t first = o->dir_count;

	for (; !(o->marks[node] & MARK_DIR); node = o->merged.nodes[node].parent) {
		o->marks[node] |= MARK_DIR;
		o->dirs[o->dir_count++] = node;
	}
	for (uint32_t i = first, j = o->dir_count; i + 1 < j; i++) {
		uint32_t swapped = o->dirs[i];

		o->dirs[i] = o->dirs[--j];
		o->dirs[j] = swapped;
	}
}

static int add_link(struct apply_overlay *o, uint32_t node, struct strata_err *err)
{
	if (strata_grow(o->links, o->link_count, err) < 0)
		return -1;
	o->links[o->link_count++] =
	        (struct overlay_link){node, strata_tree_source(&o->merged, node)};
	return 0;
}

/* A file is made at its own name, if that is still there, and its other names are linked. */
static int place_file(struct apply_overlay *o, uint32_t layer, uint32_t node,
                      struct strata_err *err)
{
	struct strata_inode source = strata_tree_source(&o->merged, node);
	uint32_t *place = &o->places[source.entry];
	uint32_t other = node;

	if (source.layer != layer || strata_tree_type(&o->merged, node) == '1')
		return add_link(o, node, err);
	if (*place == STRATA_NO_NODE || o->merged.nodes[node].entry == source.entry) {
		other = *place;
		*place = node;
	}
	return other != STRATA_NO_NODE ? add_link(o, other, err) : 0;
}

/* Finds the place of every entry, and the directories that are needed for them. */
static int find_places(struct apply_overlay *o, uint32_t layer, struct strata_err *err)
{
	for (uint32_t i = 0; i < o->merged.node_count; i++) {
		const struct strata_node *node = &o->merged.nodes[i];

		if (node->free || node->layer != layer)
			continue;
		if (!is_dir(&o->merged, i)) {
			need_dir(o, node->parent);
			if (place_file(o, layer, i, err) < 0)
				return -1;
			continue;
		}
		need_dir(o, i);
		if (node->entry != STRATA_NO_ENTRY)
			o->places[node->entry] = i;
	}
	return 0;
}

/*
 * The same in one directory for all layers, of which the merged tree has what is there in the end.
 * A file is made by the layer that has its content, with all of its names.
 */
static int find_flat_places(struct apply_overlay *o, uint32_t layer, struct strata_err *err)
{
	for (uint32_t i = 0; i < o->merged.node_count; i++) {
		const struct strata_node *node = &o->merged.nodes[i];

		if (node->free)
			continue;
		if (!is_dir(&o->merged, i)) {
			if (strata_tree_source(&o->merged, i).layer == layer &&
			    place_file(o, layer, i, err) < 0)
				return -1;
			continue;
		}
		if (layer == 0)
			need_dir(o, i);
		if (node->layer == layer && node->entry != STRATA_NO_ENTRY)
			o->places[node->entry] = i;
	}
	return 0;
}

/* ---- what the layer hides ----------------------------------------------- */

struct pair {
	uint32_t below;
	uint32_t merged;
};

struct pairs {
	struct pair *list;
	size_t count;
};

static int push_pair(struct pairs *pairs, uint32_t below, uint32_t merged, struct strata_err *err)
{
	if (strata_grow(pairs->list, pairs->count, err) < 0)
		return -1;
	pairs->list[pairs->count++] = (struct pair){below, merged};
	return 0;
}

/* Compares a directory with what it was below. overlayfs ignores an opaque mark on the root. */
static int compare_dir(struct apply_overlay *o, uint32_t layer, struct pair dir,
                       struct pairs *pairs, struct strata_err *err)
{
	const struct strata_node *nodes = o->below.nodes;

	if (nodes[dir.below].first == STRATA_NO_NODE)
		return 0;
	if (dir.merged != STRATA_ROOT_NODE && o->merged.nodes[dir.merged].cleared == layer) {
		need_dir(o, dir.merged);
		o->marks[dir.merged] |= MARK_OPAQUE;
		return 0;
	}
	for (uint32_t i = nodes[dir.below].first; i != STRATA_NO_NODE; i = nodes[i].next) {
		uint32_t now = strata_tree_child(&o->merged, dir.merged,
		                                 strata_tree_name(&o->below, &nodes[i]),
		                                 nodes[i].name_len);

		if (now == STRATA_NO_NODE) {
			need_dir(o, dir.merged);
			if (strata_grow(o->whiteouts, o->whiteout_count, err) < 0)
				return -1;
			o->whiteouts[o->whiteout_count++] =
			        (struct overlay_whiteout){dir.merged, i};
		} else if (is_dir(&o->below, i) && is_dir(&o->merged, now) &&
		           push_pair(pairs, i, now, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int find_hidden(struct apply_overlay *o, uint32_t layer, struct strata_err *err)
{
	struct pairs pairs = {0};
	int status = push_pair(&pairs, STRATA_ROOT_NODE, STRATA_ROOT_NODE, err);

	while (status == 0 && pairs.count > 0)
		status = compare_dir(o, layer, pairs.list[--pairs.count], &pairs, err);
	free(pairs.list);
	return status;
}

/* ---- the plan ----------------------------------------------------------- */

/* Before any directory is made for them. */
static int check_paths(struct strata_apply *a, struct strata_err *err)
{
	const struct strata_index *index = &a->layers[a->report.layer].index;

	for (uint32_t i = 0; i < index->count; i++) {
		const struct strata_entry *e = &index->entries[i];
		const char *path = strata_index_text(index, e->path);

		if (apply_report_next(&a->report, path, e->path.len, err) < 0)
			return -1;
		if (e->typeflag != 'g' && apply_check_path(a, path, e->path.len, err) < 0)
			return apply_report_wrap(&a->report, err);
	}
	apply_report_layer(&a->report, a->report.layer);
	return 0;
}

/* Puts the layer on top of the merged tree. */
static int put_on_top(struct strata_apply *a, struct strata_err *err)
{
	return check_paths(a, err) < 0 ? -1
	                               : strata_tree_apply(&a->overlay.merged,
	                                                   &a->layers[a->report.layer].index, err);
}

int apply_overlay_merge(struct strata_apply *a, struct strata_err *err)
{
	for (size_t i = 0; i < a->layer_count; i++) {
		apply_report_layer(&a->report, i);
		if (put_on_top(a, err) < 0)
			return strata_err_wrap(err, "%s", a->layers[i].label);
	}
	return 0;
}

int apply_overlay_plan(struct strata_apply *a, struct strata_err *err)
{
	struct apply_overlay *o = &a->overlay;
	uint32_t layer = (uint32_t)a->report.layer;
	uint64_t removed = o->merged.removed;
	uint32_t entries = a->layers[a->report.layer].index.count;

	if (a->options.overlay && put_on_top(a, err) < 0)
		return -1;
	o->places = strata_reallocarray(NULL, entries, sizeof(*o->places));
	o->marks = calloc(o->merged.node_count, sizeof(*o->marks));
	o->dirs = strata_reallocarray(NULL, o->merged.node_count, sizeof(*o->dirs));
	if (o->places == NULL || o->marks == NULL || o->dirs == NULL)
		return strata_fail_nomem(err);
	memset(o->places, 0xff, entries * sizeof(*o->places));
	o->marks[STRATA_ROOT_NODE] = MARK_DIR;
	if (!a->options.overlay)
		return find_flat_places(o, layer, err);
	if (find_places(o, layer, err) < 0)
		return -1;
	return o->merged.removed != removed ? find_hidden(o, layer, err) : 0;
}
