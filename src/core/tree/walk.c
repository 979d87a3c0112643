/* Paths as a container takes them: through symlinks, inside the root. */
#include <string.h>

#include "core/base/mem.h"
#include "core/tree/internal.h"

struct walker {
	struct strata_tree *tree;
	const struct tree_walk *walk;
	const char *path; /* as asked for, for messages */
	size_t path_len;
	struct strata_buf rest; /* that is still to be walked, from `at` on */
	size_t at;
	uint32_t here;  /* a directory */
	uint32_t links; /* followed so far */
};

static int fail(const struct walker *w, const char *code, const char *why, struct strata_err *err)
{
	char quoted[512];

	return strata_fail(err, code, "%s: %s",
	                   strata_quote(quoted, sizeof(quoted), w->path, w->path_len), why);
}

/* The path goes on with the target of a symlink. */
static int follow(struct walker *w, uint32_t link, struct strata_err *err)
{
	struct strata_inode source = strata_tree_source(w->tree, link);
	const struct strata_index *index = w->tree->layers[source.layer];
	struct strata_path target = index->entries[source.entry].linkpath;
	const char *text = strata_index_text(index, target);

	if (w->links++ == STRATA_MAX_SYMLINKS)
		return fail(w, "ELOOP", "too many levels of symbolic links", err);
	if (target.len == 0)
		return fail(w, "ENOENT", "a symbolic link to nothing", err);
	if (text[0] == '/')
		w->here = STRATA_ROOT_NODE;
	if (strata_buf_splice(&w->rest, 0, w->at, text, target.len, err) < 0)
		return -1;
	w->at = 0;
	return 0;
}

static int make_directory(struct walker *w, const char *name, size_t len, uint32_t *node,
                          struct strata_err *err)
{
	struct strata_tree *tree = w->tree;
	struct tree_name place = {STRATA_NO_ENTRY, (uint32_t)tree->names.len, (uint16_t)len};

	if (len > UINT16_MAX || tree->names.len > UINT32_MAX - UINT16_MAX)
		return strata_fail(err, "ELIMIT", "a name is too long");
	if (strata_buf_append(&tree->names, name, len, err) < 0)
		return -1;
	return tree_add(tree, w->here, place, w->walk->layer, node, err);
}

/* Takes the next component; *found is its node, or STRATA_NO_NODE with err filled. */
static int step(struct walker *w, size_t len, bool last, uint32_t *found, struct strata_err *err)
{
	struct strata_tree *tree = w->tree;
	const char *name = w->rest.data + w->at;
	uint32_t node = strata_tree_child(tree, w->here, name, len);
	char type = node != STRATA_NO_NODE ? strata_tree_type(tree, node) : '\0';

	*found = node;
	if (type == '2' && (!last || w->walk->follow)) {
		w->at += len;
		if (follow(w, node, err) < 0)
			return -1;
		*found = w->here;
		return 0;
	}
	w->at += len;
	if (type == '5' || (last && !w->walk->create && node != STRATA_NO_NODE))
		return 0;
	if (!w->walk->create || (w->walk->spare && node != STRATA_NO_NODE)) {
		*found = STRATA_NO_NODE;
		fail(w, node == STRATA_NO_NODE ? "ENOENT" : "ENOTDIR",
		     node == STRATA_NO_NODE ? "no such file or directory" : "not a directory", err);
		return 0;
	}
	if (node != STRATA_NO_NODE)
		tree_remove(tree, node);
	return make_directory(w, name, len, found, err);
}

static int walk(struct walker *w, uint32_t *node, struct strata_err *err)
{
	for (;;) {
		const char *text = w->rest.data, *slash;
		size_t len;

		while (w->at < w->rest.len && text[w->at] == '/')
			w->at++;
		if (w->at == w->rest.len) {
			*node = w->here;
			return 0;
		}
		if (w->walk->metered && w->links > 0 && ++w->tree->steps > w->tree->max_steps)
			return fail(w, "ELIMIT",
			            "more steps through symbolic links than limits.steps", err);
		slash = memchr(text + w->at, '/', w->rest.len - w->at);
		len = slash ? (size_t)(slash - text) - w->at : w->rest.len - w->at;
		if (len == 1 && text[w->at] == '.') {
			w->at += len;
		} else if (len == 2 && text[w->at] == '.' && text[w->at + 1] == '.') {
			w->here = w->tree->nodes[w->here].parent;
			w->at += len;
		} else {
			if (step(w, len, slash == NULL, node, err) < 0)
				return -1;
			if (*node == STRATA_NO_NODE)
				return 0;
			w->here = *node;
			if (w->at == w->rest.len)
				return 0;
		}
	}
}

int tree_walk(struct strata_tree *tree, const struct tree_walk *how, const char *path, size_t len,
              uint32_t *node, struct strata_err *err)
{
	struct walker w = {
	        .tree = tree, .walk = how, .path = path, .path_len = len, .here = STRATA_ROOT_NODE};
	int status = strata_buf_append(&w.rest, path, len, err);

	if (status == 0)
		status = walk(&w, node, err);
	strata_buf_free(&w.rest);
	return status;
}

int strata_tree_find(const struct strata_tree *tree, const char *path, size_t len, bool follow,
                     uint32_t *node, struct strata_err *err)
{
	const struct tree_walk how = {.follow = follow};

	/* Without `create` nothing of the tree is changed. */
	if (tree_walk((struct strata_tree *)(uintptr_t)tree, &how, path, len, node, err) < 0)
		return -1;
	return *node == STRATA_NO_NODE ? -1 : 0;
}
