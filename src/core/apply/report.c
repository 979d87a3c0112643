#include "core/apply/report.h"

#include <errno.h>
#include <string.h>

#include "core/base/grow.h"
#include "core/base/mem.h"
#include "core/layer/path.h"

void apply_report_clear(struct apply_report *r)
{
	for (size_t i = 0; i < r->result.notes_kept; i++) {
		free(r->result.notes[i].path);
		free(r->result.notes[i].detail);
	}
	free(r->result.notes);
	r->result = (struct strata_apply_result){0};
}

void apply_report_free(struct apply_report *r)
{
	apply_report_clear(r);
	strata_buf_free(&r->path);
}

void apply_report_layer(struct apply_report *r, size_t layer)
{
	r->layer = layer;
	r->number = 0;
	r->path.len = 0;
}

int apply_report_again(struct apply_report *r, uint64_t number, const char *path, size_t len,
                       struct strata_err *err)
{
	r->number = number;
	r->path.len = 0;
	if (strata_buf_reserve(&r->path, len + 2, err) < 0)
		return -1;
	r->path.len = strata_path_normalise(path, len, r->path.data);
	r->path.data[r->path.len] = '\0';
	return 0;
}

int apply_report_next(struct apply_report *r, const char *path, size_t len, struct strata_err *err)
{
	return apply_report_again(r, r->number + 1, path, len, err);
}

void apply_report_count_entry(struct apply_report *r)
{
	r->result.entries++;
}

void apply_report_count_bytes(struct apply_report *r, uint64_t bytes)
{
	r->result.bytes += bytes;
}

void apply_report_mute(struct apply_report *r, bool muted)
{
	r->muted = muted;
}

static int keep_note(struct apply_report *r, size_t layer, const char *path, const char *what,
                     const char *detail, const struct strata_err *why, struct strata_err *err)
{
	struct strata_apply_result *result = &r->result;
	struct strata_apply_note *note;

	if (strata_grow(result->notes, result->notes_kept, err) < 0)
		return -1;
	note = &result->notes[result->notes_kept];
	*note = (struct strata_apply_note){.layer = (uint32_t)layer + 1, .what = what};
	memcpy(note->code, why->code, sizeof(why->code));
	note->path = strdup(path);
	note->detail = detail != NULL ? strdup(detail) : NULL;
	if (note->path == NULL || (detail != NULL && note->detail == NULL)) {
		free(note->path);
		free(note->detail);
		return strata_fail_nomem(err);
	}
	result->notes_kept++;
	return 0;
}

static int add_note(struct apply_report *r, size_t layer, const char *path, const char *what,
                    const char *detail, int errnum, struct strata_err *err)
{
	struct strata_err why;

	strata_fail_errno(&why, errnum, "cannot set %s%s%s", what, detail != NULL ? " " : "",
	                  detail != NULL ? detail : "");
	if (errnum == EIO || (!r->unprivileged && errnum != ENOTSUP)) {
		*err = why;
		return -1;
	}
	if (r->muted)
		return 0;
	r->result.note_count++;
	return r->result.notes_kept < STRATA_APPLY_NOTES
	               ? keep_note(r, layer, path, what, detail, &why, err)
	               : 0;
}

int apply_note(struct apply_report *r, const char *what, const char *detail, int errnum,
               struct strata_err *err)
{
	return add_note(r, r->layer, r->path.data, what, detail, errnum, err);
}

int apply_note_at(struct apply_report *r, size_t layer, const char *path, const char *what,
                  int errnum, struct strata_err *err)
{
	return add_note(r, layer, path, what, NULL, errnum, err);
}

int apply_report_wrap(const struct apply_report *r, struct strata_err *err)
{
	char quoted[256];

	return strata_err_wrap(err, "entry %llu %s", (unsigned long long)r->number,
	                       strata_quote(quoted, sizeof(quoted), r->path.data, r->path.len));
}
