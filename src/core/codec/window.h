/* The last 32 KiB of a plain stream, which the next deflate block may refer to. */
#ifndef STRATA_WINDOW_H
#define STRATA_WINDOW_H

#include <string.h>

#define STRATA_WINDOW 32768

struct strata_window {
	size_t len;
	unsigned char bytes[STRATA_WINDOW];
};

static inline void strata_window_add(struct strata_window *w, const unsigned char *bytes,
                                     size_t len)
{
	size_t keep;

	if (len > STRATA_WINDOW) {
		bytes += len - STRATA_WINDOW;
		len = STRATA_WINDOW;
	}
	if (len == 0)
		return;
	keep = STRATA_WINDOW - len < w->len ? STRATA_WINDOW - len : w->len;
	if (keep > 0 && keep < w->len)
		memmove(w->bytes, w->bytes + w->len - keep, keep);
	memcpy(w->bytes + keep, bytes, len);
	w->len = keep + len;
}

#endif
