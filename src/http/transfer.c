/* What libcurl calls while an exchange runs, and how it is judged at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "http/internal.h"

int strata_transfer_fail(struct strata_exchange *x, const struct strata_err *err)
{
	if (!x->failed) {
		x->failed = true;
		x->err = *err;
		strata_err_wrap(&x->err, "%s", x->label);
	}
	return -1;
}

/* ---- the connection ---- */

static void print_address(char *out, size_t size, const struct curl_sockaddr *address)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	strncpy(out, "unknown", size);
	if (address->family == AF_INET && address->addrlen >= sizeof(in4)) {
		memcpy(&in4, &address->addr, sizeof(in4));
		inet_ntop(AF_INET, &in4.sin_addr, out, (socklen_t)size);
	} else if (address->family == AF_INET6 && address->addrlen >= sizeof(in6)) {
		memcpy(&in6, &address->addr, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, out, (socklen_t)size);
	}
}

/* An address that is not allowed gets no packet. libcurl goes on to the next one of the name. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct strata_exchange *x = arg;

	(void)purpose;
	if (!x->proxied && strata_address_classify(&address->addr, address->addrlen) > x->allowed) {
		print_address(x->refused, sizeof(x->refused), address);
		return CURL_SOCKET_BAD;
	}
	x->opened = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int fail_refused(struct strata_exchange *x, const char *address)
{
	struct strata_err err;

	strata_fail(&err, "EREDIRECT", "its address %s is %s, and not allowed", address,
	            strata_address_class_name(strata_address_classify_text(address)));
	return strata_transfer_fail(x, &err);
}

/* Also for a connection that is used once more, for which no socket is opened. */
static int before_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct strata_exchange *x = arg;

	(void)local;
	(void)remote_port;
	(void)local_port;
	if (x->proxied)
		return CURL_PREREQFUNC_OK;
	strncpy(x->address, remote, sizeof(x->address) - 1);
	if (strata_address_classify_text(remote) <= x->allowed)
		return CURL_PREREQFUNC_OK;
	fail_refused(x, remote);
	return CURL_PREREQFUNC_ABORT;
}

/* ---- the head of the answer ---- */

static bool is_wanted(const struct strata_exchange *x)
{
	if (x->in.statuses[0] == 0)
		return x->head.status >= 200 && x->head.status < 300;
	for (size_t i = 0; i < STRATA_HTTP_STATUSES_MAX && x->in.statuses[i] != 0; i++)
		if (x->in.statuses[i] == x->head.status)
			return true;
	return false;
}

/* The size that the head states. False when it states none. */
static bool stated_size(const struct strata_exchange *x, uint64_t *size)
{
	size_t len;
	const char *digits = strata_exchange_header(x, "Content-Length", 0, &len);

	if (digits == NULL || len == 0 || len > 18 ||
	    strata_exchange_header(x, "Transfer-Encoding", 0, &(size_t){0}) != NULL)
		return false;
	*size = 0;
	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		*size = *size * 10 + (uint64_t)(digits[i] - '0');
	}
	return true;
}

/* Fails when `size` bytes of a wanted body are too many. */
static int check_size(struct strata_exchange *x, uint64_t size)
{
	struct strata_err err;
	int rc = 0;

	if (x->in.pipe != NULL)
		return 0; /* it does that itself */
	if (x->in.file.fd >= 0 && size > x->in.file.size)
		rc = strata_fail(&err, "EFORMAT",
		                 "the body is longer than it should be, %llu bytes",
		                 (unsigned long long)x->in.file.size);
	else if (x->in.file.fd < 0 && size > x->in.max_body)
		rc = strata_fail(&err, "ELIMIT", "the body is longer than %llu bytes",
		                 (unsigned long long)x->in.max_body);
	return rc < 0 ? strata_transfer_fail(x, &err) : 0;
}

/* A pipe wants all bytes of its blob, and no other ones. */
static int fail_delivery(struct strata_exchange *x, uint64_t size)
{
	struct strata_err err;

	strata_fail(&err, "EFORMAT", "the body has %llu bytes and should have %llu",
	            (unsigned long long)size, (unsigned long long)strata_pipe_total(x->in.pipe));
	return strata_transfer_fail(x, &err);
}

static bool has_body(const struct strata_exchange *x)
{
	return !x->no_body && x->head.status != 204 && x->head.status != 304;
}

/* Two sizes are how one answer is made to look like two. */
static int check_one_size(struct strata_exchange *x)
{
	struct strata_err err;
	size_t len, other;
	const char *first = strata_exchange_header(x, "Content-Length", 0, &len);
	const char *second = strata_exchange_header(x, "Content-Length", 1, &other);

	if (second == NULL || (len == other && memcmp(first, second, len) == 0))
		return 0;
	strata_fail(&err, "EFORMAT", "the answer states two sizes");
	return strata_transfer_fail(x, &err);
}

/* After the empty line. An answer that is only a step to another one is forgotten. */
static int end_head(struct strata_exchange *x)
{
	uint64_t size;

	if (x->head.status < 200) {
		x->head.status = 0;
		x->head.lines.len = 0;
		return 0;
	}
	x->head.complete = true;
	x->head.wanted = is_wanted(x);
	if (check_one_size(x) < 0)
		return -1;
	if (!x->head.wanted || !has_body(x) || !stated_size(x, &size))
		return 0;
	if (x->in.pipe != NULL && size != strata_pipe_total(x->in.pipe))
		return fail_delivery(x, size);
	return check_size(x, size);
}

/* "HTTP/1.1 200 OK" */
static int status_of(const char *line, size_t len)
{
	const char *at = memchr(line, ' ', len);
	size_t left = at != NULL ? len - (size_t)(at - line) : 0;
	int status = 0;

	for (size_t i = 1; i < 4; i++) {
		if (i >= left || at[i] < '0' || at[i] > '9')
			return 0;
		status = status * 10 + (at[i] - '0');
	}
	return status;
}

/* Keeps a line, without its end; one that begins with a blank goes on with the one before. */
static int keep_line(struct strata_exchange *x, const char *line, size_t len)
{
	struct strata_buf *lines = &x->head.lines;
	struct strata_err err;
	size_t blanks = 0;
	int rc = 0;

	while (blanks < len && (line[blanks] == ' ' || line[blanks] == '\t'))
		blanks++;
	if (lines->len + len > STRATA_HTTP_HEAD_MAX)
		rc = strata_fail(&err, "ELIMIT", "the head of the answer is longer than %zu bytes",
		                 STRATA_HTTP_HEAD_MAX);
	if (rc == 0 && blanks > 0 && lines->len > 0)
		lines->data[lines->len - 1] = ' ';
	if (rc == 0)
		rc = strata_buf_append(lines, line + blanks, len - blanks, &err);
	if (rc == 0)
		rc = strata_buf_fill(lines, 0, 1, &err);
	return rc < 0 ? strata_transfer_fail(x, &err) : 0;
}

static size_t take_head(char *line, size_t size, size_t count, void *arg)
{
	struct strata_exchange *x = arg;
	size_t all = size * count;
	size_t len = all;
	int rc = 0;

	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (x->head.complete) /* what comes behind the body */
		return all;
	if (x->head.status == 0)
		x->head.status = status_of(line, len);
	else if (len > 0)
		rc = keep_line(x, line, len);
	else
		rc = end_head(x);
	return rc == 0 ? all : 0;
}

/* ---- its body ---- */

/* The beginning of a body that is not wanted: it says what went wrong. */
static size_t keep_rest(struct strata_exchange *x, const char *bytes, size_t len)
{
	size_t room = STRATA_HTTP_REST_MAX - x->body.len;
	struct strata_err err;

	if (strata_buf_append(&x->body, bytes, len < room ? len : room, &err) < 0) {
		strata_transfer_fail(x, &err);
		return 0;
	}
	x->enough = len > room;
	return x->enough ? 0 : len;
}

static int write_file(const struct strata_http_range *to, uint64_t at, const char *bytes,
                      size_t len, struct strata_err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(to->fd, bytes, len, (off_t)(to->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strata_fail_errno(err, errno, "write");
		bytes += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* 1: all were taken, 0: none for now, -1. */
static int keep_wanted(struct strata_exchange *x, const char *bytes, size_t len)
{
	struct strata_err err;
	int rc;

	if (check_size(x, x->body_seen + len) < 0)
		return -1;
	if (x->in.pipe != NULL)
		rc = strata_pipe_write(x->in.pipe, bytes, len, &err);
	else if (x->in.file.fd >= 0)
		rc = write_file(&x->in.file, x->body_seen, bytes, len, &err) < 0 ? -1 : 1;
	else
		rc = strata_buf_append(&x->body, bytes, len, &err) < 0 ? -1 : 1;
	if (rc > 0 && x->in.hash != NULL && strata_digest_update(x->in.hash, bytes, len, &err) < 0)
		rc = -1;
	return rc < 0 ? strata_transfer_fail(x, &err) : rc;
}

/* An exchange that waits for a pipe is not one that has stalled. */
static void hold(struct strata_exchange *x)
{
	x->paused = true;
	curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_TIME, 0L);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct strata_exchange *x = arg;
	size_t len = size * count;
	size_t kept;

	if (x->head.wanted) {
		int rc = keep_wanted(x, bytes, len);

		if (rc == 0) {
			hold(x);
			return CURL_WRITEFUNC_PAUSE;
		}
		kept = rc > 0 ? len : 0;
	} else {
		kept = keep_rest(x, bytes, len);
	}
	x->body_seen += kept;
	atomic_store(&x->received, x->body_seen);
	return kept;
}

/* ---- the body that is sent ---- */

static ssize_t read_file(const struct strata_http_outgoing *out, char *bytes, size_t len,
                         struct strata_err *err)
{
	ssize_t n;

	do {
		n = pread(out->file.fd, bytes, len, (off_t)(out->file.offset + out->at));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return strata_fail_errno(err, errno, "read");
	if (n == 0)
		return strata_fail(err, "EFORMAT", "the file ends too early");
	return n;
}

static size_t give_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct strata_exchange *x = arg;
	struct strata_http_outgoing *out = &x->out;
	uint64_t left = out->size - out->at;
	size_t len = size * count < left ? size * count : (size_t)left;
	struct strata_err err;
	ssize_t n = (ssize_t)len;

	if (len == 0)
		return 0;
	if (out->pipe != NULL)
		n = strata_pipe_read(out->pipe, bytes, len, &err);
	else if (out->file.fd >= 0)
		n = read_file(out, bytes, len, &err);
	else
		memcpy(bytes, out->bytes + out->at, len);
	if (n < 0) {
		strata_transfer_fail(x, &err);
		return CURL_READFUNC_ABORT;
	}
	if (n == 0) {
		hold(x);
		return CURL_READFUNC_PAUSE;
	}
	out->at += (uint64_t)n;
	atomic_store(&x->sent, out->at);
	return (size_t)n;
}

/* libcurl sends the body anew when a connection that it used once more turns out to be dead. */
static int rewind_body(void *arg, curl_off_t offset, int origin)
{
	struct strata_exchange *x = arg;
	struct strata_http_outgoing *out = &x->out;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > out->size ||
	    (out->pipe != NULL && (uint64_t)offset != out->at))
		return CURL_SEEKFUNC_FAIL;
	out->at = (uint64_t)offset;
	atomic_store(&x->sent, out->at);
	return CURL_SEEKFUNC_OK;
}

void strata_transfer_prepare(struct strata_exchange *x)
{
	CURL *easy = x->easy; /* none of these needs memory */

	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->text);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, x);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(easy, CURLOPT_READDATA, x);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
}

/* ---- while it runs ---- */

/* Whether something else than the exchange itself stopped it. */
static int check_stopped(struct strata_exchange *x, struct strata_err *err)
{
	if (atomic_load(&x->cancel))
		return strata_fail(err, "ECANCELED", "canceled");
	if (x->in_attached && !strata_pipe_finished(x->in.pipe, STRATA_PIPE_IN) &&
	    strata_pipe_check(x->in.pipe, err) < 0)
		return -1;
	if (x->out_attached && !strata_pipe_finished(x->out.pipe, STRATA_PIPE_OUT) &&
	    strata_pipe_check(x->out.pipe, err) < 0)
		return -1;
	return 0;
}

static int unpause(struct strata_exchange *x)
{
	struct strata_err err;
	CURLcode code;

	if (!x->paused ||
	    ((x->in.pipe == NULL || !strata_pipe_ready(x->in.pipe, STRATA_PIPE_IN)) &&
	     (x->out.pipe == NULL || !strata_pipe_ready(x->out.pipe, STRATA_PIPE_OUT))))
		return 0;
	x->paused = false;
	curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_TIME, x->stall_seconds);
	code = curl_easy_pause(x->easy, CURLPAUSE_CONT);
	if (code == CURLE_OK)
		return 0;
	strata_fail(&err, "ENETWORK", "%s", curl_easy_strerror(code));
	return strata_transfer_fail(x, &err);
}

int strata_transfer_step(struct strata_exchange *x)
{
	struct strata_err err;

	if (!x->failed && check_stopped(x, &err) < 0)
		strata_transfer_fail(x, &err);
	return x->failed ? -1 : unpause(x);
}

/* ---- the end ---- */

static const char *code_of(CURLcode code)
{
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return "ENOMEM";
	case CURLE_OPERATION_TIMEDOUT:
		return "ETIMEDOUT";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_USE_SSL_FAILED:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_SHUTDOWN_FAILED:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		return "ETLS";
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_LOGIN_DENIED: /* it has a user's name */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_HTTP_POST_ERROR:
	case CURLE_BAD_CONTENT_ENCODING:
		return "EFORMAT";
	default:
		return "ENETWORK";
	}
}

static void fail_curl(struct strata_exchange *x, CURLcode code)
{
	const char *text = x->text[0] != '\0' ? x->text : curl_easy_strerror(code);
	struct strata_err err;

	strata_fail(&err, code_of(code), "%s", text);
	for (char *c = err.msg; *c != '\0'; c++) /* it may quote the server */
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	strata_transfer_fail(x, &err);
}

/* Whether the answer is all there, though libcurl may have failed: to send the rest of a body that
 * the server did not want, for one. */
static bool is_complete(const struct strata_exchange *x, CURLcode code)
{
	uint64_t size;

	return x->head.complete && (code == CURLE_OK || x->enough || !has_body(x) ||
	                            (stated_size(x, &size) && size == x->body_seen));
}

static void finish_digest(struct strata_exchange *x)
{
	struct strata_err err;

	if (x->failed || !x->head.wanted)
		return;
	if (x->in.pipe != NULL)
		memcpy(x->digest, strata_pipe_digest(x->in.pipe), sizeof(x->digest));
	else if (x->in.hash != NULL && strata_digest_final(x->in.hash, x->digest, &err) < 0)
		strata_transfer_fail(x, &err);
}

static void detach(struct strata_exchange *x, bool *attached, struct strata_pipe *pipe,
                   enum strata_pipe_end end)
{
	if (*attached)
		strata_pipe_detach(pipe, end, x->failed ? &x->err : NULL);
	*attached = false;
}

void strata_transfer_finish(struct strata_exchange *x, CURLcode code)
{
	if (!x->failed && !is_complete(x, code)) {
		if (x->refused[0] != '\0' && !x->opened)
			fail_refused(x, x->refused);
		else
			fail_curl(x, code);
	}
	if (!x->failed && x->head.wanted && x->in.pipe != NULL &&
	    !strata_pipe_finished(x->in.pipe, STRATA_PIPE_IN))
		fail_delivery(x, x->body_seen);
	detach(x, &x->in_attached, x->in.pipe, STRATA_PIPE_IN);
	detach(x, &x->out_attached, x->out.pipe, STRATA_PIPE_OUT);
	finish_digest(x);
	curl_easy_cleanup(x->easy);
	x->easy = NULL;
}
