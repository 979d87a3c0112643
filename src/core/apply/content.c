#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/apply/internal.h"

void apply_content_close(struct strata_apply *a)
{
	struct apply_content *c = &a->content;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	strata_buf_free(&c->raw);
	strata_buf_free(&c->prefix);
	free(steal_pointer(&c->extents));
}

static int finish(struct strata_apply *a, struct strata_err *err)
{
	struct apply_content *c = &a->content;

	if (c->sparse && !c->mapped)
		return strata_fail(err, "EFORMAT", "its sparse map is not complete");
	if (c->sparse && ftruncate(c->fd, (off_t)c->size) < 0)
		return strata_fail_errno(err, errno, "cannot set the size");
	if (apply_meta_fd(a, c->fd, NULL, false, err) < 0)
		return -1;
	apply_content_close(a);
	return 0;
}

static int write_at(struct strata_apply *a, const char *data, size_t len, int64_t offset,
                    struct strata_err *err)
{
	while (len > 0) {
		ssize_t n = offset < 0 ? write(a->content.fd, data, len)
		                       : pwrite(a->content.fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strata_fail_errno(err, errno, "cannot write");
		data += n;
		len -= (size_t)n;
		offset += offset < 0 ? 0 : n;
		apply_report_count_bytes(&a->report, (uint64_t)n);
	}
	return 0;
}

static int write_extents(struct strata_apply *a, const char *data, size_t len,
                         struct strata_err *err)
{
	struct apply_content *c = &a->content;

	while (len > 0 && c->extent < c->extent_count) {
		const struct strata_tar_extent *e = &c->extents[c->extent];
		uint64_t left = e->len - c->within;
		size_t n = left < len ? (size_t)left : len;

		if (n > 0 && write_at(a, data, n, (int64_t)(e->offset + c->within), err) < 0)
			return -1;
		data += n;
		len -= n;
		c->within += n;
		if (c->within == e->len) {
			c->extent++;
			c->within = 0;
		}
	}
	return 0;
}

/* Reads the map, which may stand at the beginning of the payload; content follows it. */
static int map_sparse(struct strata_apply *a, struct strata_err *err)
{
	struct apply_content *c = &a->content;
	uint64_t map_bytes;
	int status = strata_tar_sparse_map(c->raw.data, c->raw.len, c->prefix.data, c->prefix.len,
	                                   &a->options.limits, &c->extents, &c->extent_count,
	                                   &map_bytes, err);

	if (status <= 0)
		return status;
	c->mapped = true;
	if (c->prefix.len == 0) /* there is no payload yet */
		return 0;
	return write_extents(a, c->prefix.data + map_bytes, c->prefix.len - (size_t)map_bytes, err);
}

int apply_content_begin(struct strata_apply *a, int fd, const struct strata_tar_header *h,
                        const char *raw, size_t raw_len, struct strata_err *err)
{
	struct apply_content *c = &a->content;

	*c = (struct apply_content){
	        .fd = fd,
	        .left = (uint64_t)h->stored,
	        .size = (uint64_t)h->size,
	        .sparse = h->sparse,
	};
	if (c->sparse &&
	    (strata_buf_append(&c->raw, raw, raw_len, err) < 0 || map_sparse(a, err) < 0))
		return -1;
	return c->left == 0 ? finish(a, err) : 0;
}

int apply_data(struct strata_apply *a, const char *data, size_t len, struct strata_err *err)
{
	struct apply_content *c = &a->content;
	int status;

	if (c->fd < 0)
		return 0;
	if (!c->sparse)
		status = write_at(a, data, len, -1, err);
	else if (c->mapped)
		status = write_extents(a, data, len, err);
	else
		status =
		        strata_buf_append(&c->prefix, data, len, err) < 0 ? -1 : map_sparse(a, err);
	if (status < 0)
		return -1;
	c->left -= len < c->left ? len : c->left;
	return c->left == 0 ? finish(a, err) : 0;
}
