/*
 * The state of one application, in parts. Each part is declared in the header of
 * the file that owns it, and changed by the functions of that file alone; the
 * others read it. In this order, and each file uses only those above it:
 *
 *   report      the entry being applied, and notes
 *   layer_set   what the layer has made
 *   modes       modes that wait for the end
 *   meta        owners, attributes, modes and times (and xattr.c)
 *   remove      removing trees
 *   target      the directory that the caller names
 *   dir         the directory that entries go to
 *   content     the file whose payload is being read
 *   own         looking for what the layer has
 *   whiteout    whiteouts and opaque markers (and whiteout_late.c)
 *   links       hardlinks, and those that wait
 *   entry       one entry
 *   overlay     by the merged tree: a directory for each layer (and overlay_plan.c)
 *   apply       all of it
 */
#ifndef STRATA_APPLY_INTERNAL_H
#define STRATA_APPLY_INTERNAL_H

#include <sys/stat.h>
#include <sys/types.h>

#include "core/apply/apply.h"
#include "core/apply/content.h"
#include "core/apply/dir.h"
#include "core/apply/entry.h"
#include "core/apply/layer_set.h"
#include "core/apply/links.h"
#include "core/apply/meta.h"
#include "core/apply/modes.h"
#include "core/apply/overlay.h"
#include "core/apply/own.h"
#include "core/apply/remove.h"
#include "core/apply/report.h"
#include "core/apply/target.h"
#include "core/apply/whiteout.h"
#include "core/base/mem.h"
#include "core/layer/index.h"

#define APPLY_DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* Namespaces of the attributes of overlayfs. */
#define APPLY_OVERLAY_TRUSTED "trusted.overlay."
#define APPLY_OVERLAY_USER "user.overlay."

struct apply_layer {
	char *label;
	struct strata_blob blob; /* owns a reference */
	char digest[STRATA_DIGEST_MAX];
	char diff_id[STRATA_DIGEST_MAX];
	struct strata_index index; /* overlay: its entries */
};

struct strata_apply {
	atomic_uint references;
	struct strata_apply_options options;
	struct apply_layer *layers;
	size_t layer_count;
	bool ran;
	pid_t owner;  /* the process that may remove the target */
	bool by_tree; /* entries go where the merged tree has them: overlay.h */
	bool odd;     /* they have to: dir.h */
	uid_t euid;
	gid_t egid;
	int root; /* where the layer goes: the target; overlay: the layer's directory in it */

	struct apply_report report;
	struct layer_set set;
	struct apply_modes modes;
	struct apply_meta meta; /* of the entry */
	struct apply_root root_entry;
	struct apply_removals removals;
	struct apply_target target;
	struct apply_dir dir;
	struct apply_content content;
	struct apply_whiteouts whiteouts;
	struct apply_links links;
	struct apply_overlay overlay;
};

#endif
