#include "http/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/internal.h"

#define BUFFER_BYTES 262144L

/* Bodies up to this size are sent without asking first whether the server wants them. */
#define ASK_FIRST_BYTES ((uint64_t)1 << 20)

const struct strata_http_request strata_http_request_default = {
        .body_file = {.fd = -1},
        .to_file = {.fd = -1},
        .max_body = STRATA_HTTP_REST_MAX,
        .addresses = STRATA_ADDRESS_OTHER,
        .proxy = "",
        .connect_timeout = 10,
        .stall_timeout = 60,
};

/* ---- options of libcurl ---- */

/* Goes on to the next option while all is well. */
#define SET(option, value)                                                \
	do {                                                              \
		if (code == CURLE_OK)                                     \
			code = curl_easy_setopt(easy, (option), (value)); \
	} while (0)

/* What holds for every exchange. No netrc, cookies, HSTS, alt-svc, decoding of contents: those are
 * off unless they are asked for. */
static CURLcode set_policy(CURL *easy)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
	SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_NONE);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* to cancel does not wait for a name to be resolved */
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	SET(CURLOPT_EXPECT_100_TIMEOUT_MS, 1000L);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 60L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	return code;
}

static CURLcode set_peer(CURL *easy, const struct strata_http_request *r)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_PROXY, r->proxy); /* and never the environment's, even when it is "" */
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SSL_VERIFYPEER, r->insecure ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, r->insecure ? 0L : 2L);
	if (r->ca != NULL) {
		struct curl_blob blob = {(void *)(uintptr_t)r->ca, strlen(r->ca), CURL_BLOB_COPY};

		SET(CURLOPT_CAINFO_BLOB, &blob);
	}
	if (r->cert != NULL)
		SET(CURLOPT_SSLCERT, r->cert);
	if (r->key != NULL)
		SET(CURLOPT_SSLKEY, r->key);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_timeout * 1000));
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)r->stall_timeout);
	return code;
}

static CURLcode set_request(const struct strata_exchange *x, const struct strata_http_request *r)
{
	CURL *easy = x->easy;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_USERAGENT, strata_http_client_agent(x->client));
	if (x->out.any) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->out.size);
	} else if (x->no_body) {
		SET(CURLOPT_NOBODY, 1L);
	}
	SET(CURLOPT_CUSTOMREQUEST, r->method);
	return code;
}

/* ---- life ---- */

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= 0x20 || *text >= 0x7f)
			return false;
	return true;
}

static int check_request(const struct strata_http_request *r, struct strata_err *err)
{
	int bodies = (r->body != NULL) + (r->body_file.fd >= 0) + (r->body_pipe != NULL);

	if (strncmp(r->url, "http://", 7) != 0 && strncmp(r->url, "https://", 8) != 0)
		return strata_fail(err, "EINVAL", "the URL is not one of http or https");
	if (!is_printable(r->url) || r->method[0] == '\0' || !is_printable(r->method))
		return strata_fail(err, "EINVAL", "the URL or the method has odd characters");
	if (bodies > 1 || (r->to_file.fd >= 0 && r->to_pipe != NULL))
		return strata_fail(err, "EINVAL", "a body has two places");
	return 0;
}

static int copy_range(struct strata_http_range *to, const struct strata_http_range *from,
                      struct strata_err *err)
{
	to->offset = from->offset;
	to->size = from->size;
	if (from->fd < 0)
		return 0;
	if (from->offset > INT64_MAX || from->size > INT64_MAX - from->offset)
		return strata_fail_errno(err, EFBIG, "a file");
	to->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
	return to->fd >= 0 ? 0 : strata_fail_errno(err, errno, "a file");
}

static int copy_outgoing(struct strata_http_outgoing *out, const struct strata_http_request *r,
                         struct strata_err *err)
{
	out->any = r->body != NULL || r->body_file.fd >= 0 || r->body_pipe != NULL;
	if (r->body != NULL) {
		out->bytes = malloc(r->body_len + 1);
		if (out->bytes == NULL)
			return strata_fail_nomem(err);
		memcpy(out->bytes, r->body, r->body_len);
		out->size = r->body_len;
	} else if (r->body_pipe != NULL) {
		out->pipe = strata_pipe_ref(r->body_pipe);
		out->size = strata_pipe_total(r->body_pipe);
	} else {
		out->size = r->body_file.fd >= 0 ? r->body_file.size : 0;
		return copy_range(&out->file, &r->body_file, err);
	}
	return 0;
}

static int copy_incoming(struct strata_http_incoming *in, const struct strata_http_request *r,
                         struct strata_err *err)
{
	in->max_body = r->max_body;
	memcpy(in->statuses, r->statuses, sizeof(in->statuses));
	if (r->to_pipe != NULL)
		in->pipe = strata_pipe_ref(r->to_pipe); /* which hashes by itself */
	else if (r->hashed && (in->hash = strata_digest_new(r->hash, err)) == NULL)
		return -1;
	return copy_range(&in->file, &r->to_file, err);
}

/* What messages begin with. The query is left out: it may be a secret. */
static char *make_label(const struct strata_http_request *r)
{
	int shown = (int)strcspn(r->url, "?#");
	size_t size = strlen(r->method) + (size_t)shown + 2;
	char *label = malloc(size);

	if (label != NULL)
		snprintf(label, size, "%s %.*s", r->method, shown, r->url);
	return label;
}

static int set_up(struct strata_exchange *x, const struct strata_http_request *r,
                  struct strata_err *err)
{
	CURLcode code;

	x->allowed = r->addresses;
	x->proxied = r->proxy[0] != '\0';
	x->stall_seconds = (long)r->stall_timeout;
	x->no_body = strcmp(r->method, "HEAD") == 0;
	if (copy_outgoing(&x->out, r, err) < 0 || copy_incoming(&x->in, r, err) < 0)
		return -1;
	x->label = make_label(r);
	x->easy = curl_easy_init();
	if (x->label == NULL || x->easy == NULL)
		return strata_fail_nomem(err);
	strata_transfer_prepare(x);
	code = set_policy(x->easy);
	if (code == CURLE_OK)
		code = set_peer(x->easy, r);
	if (code == CURLE_OK)
		code = set_request(x, r);
	if (code == CURLE_OUT_OF_MEMORY)
		return strata_fail_nomem(err);
	if (code != CURLE_OK)
		return strata_fail(err, "EUNSUPPORTED", "libcurl: %s", curl_easy_strerror(code));
	if (x->out.any && x->out.size <= ASK_FIRST_BYTES)
		return strata_exchange_add_header(x, "Expect:", 7, err);
	return 0;
}

struct strata_exchange *strata_exchange_new(struct strata_http_client *c,
                                            const struct strata_http_request *r,
                                            struct strata_err *err)
{
	struct strata_exchange *x;

	if (check_request(r, err) < 0)
		return NULL;
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		strata_fail_nomem(err);
		return NULL;
	}
	x->client = strata_http_client_ref(c);
	x->out.file.fd = -1;
	x->in.file.fd = -1;
	atomic_init(&x->cancel, false);
	atomic_init(&x->received, 0);
	atomic_init(&x->sent, 0);
	if (set_up(x, r, err) < 0) {
		strata_exchange_free(x);
		return NULL;
	}
	return x;
}

static int add_text(struct curl_slist **list, const char *text, struct strata_err *err)
{
	struct curl_slist *longer = curl_slist_append(*list, text);

	if (longer == NULL)
		return strata_fail_nomem(err);
	*list = longer;
	return 0;
}

int strata_exchange_add_header(struct strata_exchange *x, const char *line, size_t len,
                               struct strata_err *err)
{
	size_t name = strcspn(line, ":");

	if (strlen(line) != len || strpbrk(line, "\r\n") != NULL || name == 0 || name == len ||
	    strcspn(line, " \t;") < name)
		return strata_fail(err, "EINVAL", "a header is no line \"Name: value\"");
	return add_text(&x->headers, line, err);
}

int strata_exchange_add_address(struct strata_exchange *x, const char *text, struct strata_err *err)
{
	return add_text(&x->addresses, text, err);
}

static void detach_both(struct strata_exchange *x)
{
	if (x->in_attached)
		strata_pipe_detach(x->in.pipe, STRATA_PIPE_IN, NULL);
	if (x->out_attached)
		strata_pipe_detach(x->out.pipe, STRATA_PIPE_OUT, NULL);
	x->in_attached = x->out_attached = false;
}

static int attach_both(struct strata_exchange *x, struct strata_err *err)
{
	if (x->in.pipe != NULL)
		x->in_attached = strata_pipe_attach(x->in.pipe, STRATA_PIPE_IN,
		                                    strata_http_client_wake, x->client, err) == 0;
	if (x->in.pipe != NULL && !x->in_attached)
		return -1;
	if (x->out.pipe != NULL)
		x->out_attached = strata_pipe_attach(x->out.pipe, STRATA_PIPE_OUT,
		                                     strata_http_client_wake, x->client, err) == 0;
	return x->out.pipe == NULL || x->out_attached ? 0 : -1;
}

int strata_exchange_start(struct strata_exchange *x, struct strata_err *err)
{
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(x->easy, CURLOPT_RESOLVE, x->addresses);
	if (attach_both(x, err) < 0 || strata_http_client_submit(x->client, x, err) < 0) {
		detach_both(x);
		return -1;
	}
	x->started = true;
	return 0;
}

void strata_exchange_free(struct strata_exchange *x)
{
	if (x == NULL || strata_http_client_foreign(x->client))
		return;
	if (x->started) {
		strata_exchange_cancel(x);
		while (!strata_exchange_wait(x, 3600))
			;
	}
	if (x->easy != NULL)
		curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->addresses);
	free(x->label);
	free(x->out.bytes);
	if (x->out.file.fd >= 0)
		close(x->out.file.fd);
	if (x->in.file.fd >= 0)
		close(x->in.file.fd);
	strata_pipe_unref(x->out.pipe);
	strata_pipe_unref(x->in.pipe);
	strata_digest_free(x->in.hash);
	strata_buf_free(&x->head.lines);
	strata_buf_free(&x->body);
	strata_http_client_unref(x->client);
	free(x);
}

/* ---- at any time ---- */

bool strata_exchange_wait(struct strata_exchange *x, double seconds)
{
	return strata_http_client_wait_for(x->client, x, seconds);
}

void strata_exchange_cancel(struct strata_exchange *x)
{
	atomic_store(&x->cancel, true);
	strata_http_client_wake(x->client);
}

uint64_t strata_exchange_received(const struct strata_exchange *x)
{
	return atomic_load(&x->received);
}

uint64_t strata_exchange_sent(const struct strata_exchange *x)
{
	return atomic_load(&x->sent);
}

struct strata_http_client *strata_exchange_client(const struct strata_exchange *x)
{
	return x->client;
}

/* ---- after the end ---- */

int strata_exchange_status(const struct strata_exchange *x, struct strata_err *err)
{
	if (x->failed) {
		*err = x->err;
		return -1;
	}
	return x->head.status;
}

int strata_exchange_head_status(const struct strata_exchange *x)
{
	return x->head.complete ? x->head.status : 0;
}

const char *strata_exchange_header(const struct strata_exchange *x, const char *name, size_t n,
                                   size_t *len)
{
	size_t name_len = strlen(name);
	const char *line = x->head.lines.len > 0 ? x->head.lines.data : "";
	const char *end = line + x->head.lines.len;

	for (; line != end; line += strlen(line) + 1) {
		const char *value;

		if (!curl_strnequal(line, name, name_len) || line[name_len] != ':' || n-- > 0)
			continue;
		value = line + name_len + 1;
		value += strspn(value, " \t");
		*len = strlen(value);
		while (*len > 0 && (value[*len - 1] == ' ' || value[*len - 1] == '\t'))
			(*len)--;
		return value;
	}
	return NULL;
}

const char *strata_exchange_body(const struct strata_exchange *x, size_t *len)
{
	*len = x->body.len;
	return x->body.len > 0 ? x->body.data : "";
}

const char *strata_exchange_digest(const struct strata_exchange *x)
{
	return x->digest;
}

const char *strata_exchange_address(const struct strata_exchange *x)
{
	return x->address;
}
