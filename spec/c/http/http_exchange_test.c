/* Exchanges with a server of sockets: what it does is in the path. */
#include "http/exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define SIZE 3000000

static struct strata_err err;
static char *pattern; /* SIZE bytes */
static char digest[STRATA_DIGEST_MAX];

/* ---- the server ---- */

static struct {
	int fd;
	unsigned port;
	atomic_int connections;
	atomic_int open;
} server;

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static bool say(int fd, const char *text)
{
	return send_all(fd, text, strlen(text));
}

/* Reads up to the empty line; what is behind it is the body's. */
static ssize_t read_head(int fd, char *head, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size - 1) {
		ssize_t n = recv(fd, head + *len, size - 1 - *len, 0);
		char *end;

		if (n <= 0)
			return -1;
		*len += (size_t)n;
		head[*len] = '\0';
		end = strstr(head, "\r\n\r\n");
		if (end != NULL)
			return end + 4 - head;
	}
	return -1;
}

/* PUT: takes SIZE bytes and compares them. */
static bool take(int fd, char *head, size_t at, size_t len)
{
	static const char yes[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
	size_t done = len - at;
	bool same = memcmp(head + at, pattern, done) == 0;
	char bytes[16384];

	if (strstr(head, "100-continue") != NULL && !say(fd, "HTTP/1.1 100 Continue\r\n\r\n"))
		return false;
	while (done < SIZE) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n <= 0)
			return false;
		same = same && memcmp(bytes, pattern + done, (size_t)n) == 0;
		done += (size_t)n;
	}
	return say(fd, same ? yes : "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
}

/* Answers one request. False: the connection is to be closed. */
static bool answer(int fd)
{
	const size_t room = 65536;
	static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nA: 1\r\n"
	                            "a:  2 \r\nB: x\r\n y\r\n\r\n";
	char *mine = malloc(room);
	size_t len;
	ssize_t at = read_head(fd, mine, room, &len);
	bool go_on = at > 0;

	if (!go_on)
		;
	else if (strncmp(mine, "GET /whole ", 11) == 0)
		go_on = say(fd, whole) && send_all(fd, pattern, SIZE);
	else if (strncmp(mine, "GET /cut ", 9) == 0)
		go_on = say(fd, whole) && send_all(fd, pattern, 1000000) && false;
	else if (strncmp(mine, "GET /stall ", 11) == 0)
		go_on = say(fd, whole) && send_all(fd, pattern, 10) && recv(fd, mine, 1, 0) > 0;
	else if (strncmp(mine, "PUT /take ", 10) == 0)
		go_on = take(fd, mine, (size_t)at, len);
	else if (strncmp(mine, "PUT /refuse ", 12) == 0)
		go_on = say(fd, "HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nno\n") && false;
	else
		go_on = say(fd, "HTTP/1.1 404 None\r\nContent-Length: 5\r\n\r\nnone\n");
	free(mine);
	return go_on;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (answer(fd))
		;
	close(fd);
	atomic_fetch_sub(&server.open, 1);
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t thread;
	int fd;

	(void)arg;
	while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
		atomic_fetch_add(&server.connections, 1);
		atomic_fetch_add(&server.open, 1);
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
	return NULL;
}

static pthread_t start_server(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(any);
	pthread_t thread;

	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server.fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    listen(server.fd, 16) < 0 ||
	    getsockname(server.fd, (struct sockaddr *)&any, &len) < 0 ||
	    pthread_create(&thread, NULL, accept_all, NULL) != 0)
		exit(2);
	server.port = ntohs(any.sin_port);
	return thread;
}

/* ---- what the tests do ---- */

static struct strata_http_client *new_client(void)
{
	struct strata_http_client *c = strata_http_client_new(4, "test", &err);

	CHECK(c != NULL);
	return c;
}

static void end_client(struct strata_http_client *c)
{
	strata_http_client_close(c);
	strata_http_client_unref(c);
}

static struct strata_http_request request(const char *method, const char *path, char url[64])
{
	struct strata_http_request r = strata_http_request_default;

	snprintf(url, 64, "http://127.0.0.1:%u%s", server.port, path);
	r.method = method;
	r.url = url;
	r.max_body = SIZE;
	return r;
}

static struct strata_exchange *start(struct strata_http_client *c,
                                     const struct strata_http_request *r)
{
	struct strata_exchange *x = strata_exchange_new(c, r, &err);

	if (!CHECK(x != NULL && strata_exchange_start(x, &err) == 0))
		exit(2);
	return x;
}

/* The status of an exchange that ends, or 0 with its error in err. */
static int end(struct strata_exchange *x)
{
	int status;

	CHECK(strata_exchange_wait(x, 30));
	status = strata_exchange_status(x, &err);
	return status < 0 ? 0 : status;
}

static bool failed_with(struct strata_exchange *x, const char *code)
{
	bool ok = end(x) == 0 && strcmp(err.code, code) == 0;

	if (!ok)
		printf("    %s: %s\n", err.code, err.msg);
	return ok;
}

static int memory_file(void)
{
	return memfd_create("test", MFD_CLOEXEC);
}

static bool holds_pattern(int fd, off_t offset)
{
	char *bytes = mmap(NULL, (size_t)offset + SIZE, PROT_READ, MAP_SHARED, fd, 0);
	bool same = bytes != MAP_FAILED && memcmp(bytes + offset, pattern, SIZE) == 0;

	munmap(bytes, (size_t)offset + SIZE);
	return same;
}

/* ---- tests ---- */

static void to_memory_and_to_a_file(void)
{
	struct strata_http_client *c = new_client();
	int fd = memory_file();
	struct strata_http_request r;
	struct strata_exchange *x[2];
	char url[64];
	size_t len;
	const char *value;

	r = request("GET", "/whole", url);
	r.hashed = true;
	x[0] = start(c, &r);
	r.to_file = (struct strata_http_range){fd, 10, SIZE};
	x[1] = start(c, &r);
	for (int i = 0; i < 2; i++) {
		CHECK(end(x[i]) == 200 && strata_exchange_head_status(x[i]) == 200);
		CHECK(strcmp(strata_exchange_digest(x[i]), digest) == 0);
		CHECK(strata_exchange_received(x[i]) == SIZE);
		CHECK(strcmp(strata_exchange_address(x[i]), "127.0.0.1") == 0);
	}
	CHECK(memcmp(strata_exchange_body(x[0], &len), pattern, SIZE) == 0 && len == SIZE);
	strata_exchange_body(x[1], &len);
	CHECK(len == 0 && holds_pattern(fd, 10));
	value = strata_exchange_header(x[0], "a", 1, &len);
	CHECK(value != NULL && len == 1 && value[0] == '2');
	value = strata_exchange_header(x[0], "b", 0, &len);
	CHECK(value != NULL && len == 3 && memcmp(value, "x y", 3) == 0);
	CHECK(strata_exchange_header(x[0], "A", 2, &len) == NULL);
	CHECK(strata_exchange_header(x[0], "HTTP/1.1 200 OK", 0, &len) == NULL);
	strata_exchange_free(x[0]);
	strata_exchange_free(x[1]);
	end_client(c);
	close(fd);
}

static void what_is_too_long(void)
{
	struct strata_http_client *c = new_client();
	int fd = memory_file();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];

	r = request("GET", "/whole", url);
	r.max_body = SIZE - 1;
	x = start(c, &r);
	CHECK(failed_with(x, "ELIMIT") && strata_exchange_received(x) == 0);
	strata_exchange_free(x);
	r.to_file = (struct strata_http_range){fd, 0, SIZE - 1};
	x = start(c, &r);
	CHECK(failed_with(x, "EFORMAT") && strata_exchange_head_status(x) == 200);
	strata_exchange_free(x);
	r.statuses[0] = 206; /* so this one is not wanted */
	x = start(c, &r);
	CHECK(end(x) == 200 && strata_exchange_received(x) <= 65536);
	CHECK(lseek(fd, 0, SEEK_END) == 0);
	strata_exchange_free(x);
	end_client(c);
	close(fd);
}

static void a_broken_answer(void)
{
	struct strata_http_client *c = new_client();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];

	r = request("GET", "/cut", url);
	x = start(c, &r);
	CHECK(failed_with(x, "ENETWORK"));
	CHECK(strata_exchange_head_status(x) == 200 && strata_exchange_received(x) == 1000000);
	strata_exchange_free(x);
	r = request("GET", "/stall", url);
	r.stall_timeout = 1;
	x = start(c, &r);
	CHECK(failed_with(x, "ETIMEDOUT"));
	strata_exchange_free(x);
	end_client(c);
}

static void a_body_from_a_file(void)
{
	struct strata_http_client *c = new_client();
	int fd = memory_file();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];

	CHECK(pwrite(fd, pattern, SIZE, 5) == SIZE);
	r = request("PUT", "/take", url);
	r.body_file = (struct strata_http_range){fd, 5, SIZE};
	x = start(c, &r);
	CHECK(end(x) == 201 && strata_exchange_sent(x) == SIZE);
	strata_exchange_free(x);
	r = request("PUT", "/refuse", url);
	r.body_file = (struct strata_http_range){fd, 5, SIZE};
	x = start(c, &r);
	CHECK(strata_exchange_wait(x, 30) && strata_exchange_head_status(x) == 401);
	strata_exchange_free(x);
	end_client(c);
	close(fd);
}

static void canceled_and_closed(void)
{
	struct strata_http_client *c = new_client();
	struct strata_http_request r;
	struct strata_exchange *x[8];
	char url[64];

	r = request("GET", "/stall", url);
	for (int i = 0; i < 8; i++) /* more than there are connections */
		x[i] = start(c, &r);
	CHECK(!strata_exchange_wait(x[0], 0.05));
	strata_exchange_cancel(x[7]);
	CHECK(failed_with(x[7], "ECANCELED"));
	strata_exchange_cancel(x[0]);
	CHECK(failed_with(x[0], "ECANCELED"));
	CHECK(strata_http_client_wait(c, 0) && !strata_http_client_wait(c, 0));
	strata_exchange_free(x[1]); /* while it runs */
	CHECK(strata_http_client_wait(c, 0));
	strata_http_client_close(c);
	for (int i = 2; i < 7; i++)
		CHECK(failed_with(x[i], "ECANCELED"));
	CHECK(strata_exchange_start(x[2], &err) < 0);
	strata_http_client_unref(c);
	for (int i = 0; i < 8; i++)
		if (i != 1)
			strata_exchange_free(x[i]);
}

/* Connections that were cancelled may wait to be accepted: an answer to a later one says that they
 * were. */
static int connections_so_far(void)
{
	struct strata_http_client *c = new_client();
	char url[64];
	struct strata_http_request r = request("GET", "/none", url);
	struct strata_exchange *x = start(c, &r);

	CHECK(end(x) == 404);
	strata_exchange_free(x);
	end_client(c);
	return atomic_load(&server.connections);
}

static void refused_addresses(void)
{
	struct strata_http_client *c = new_client();
	int before = connections_so_far();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];

	r = request("GET", "/none", url);
	r.addresses = STRATA_ADDRESS_PUBLIC;
	x = start(c, &r);
	CHECK(failed_with(x, "EREDIRECT"));
	strata_exchange_free(x);
	CHECK(atomic_load(&server.connections) == before);
	r.addresses = STRATA_ADDRESS_PRIVATE;
	x = start(c, &r);
	CHECK(end(x) == 404);
	strata_exchange_free(x);
	CHECK(atomic_load(&server.connections) == before + 1);
	r.addresses = STRATA_ADDRESS_PUBLIC; /* there is a connection now */
	x = start(c, &r);
	CHECK(failed_with(x, "EREDIRECT"));
	strata_exchange_free(x);
	CHECK(atomic_load(&server.connections) == before + 1);
	end_client(c);
}

/* One client, or two, between which the pipe goes. */
static void through_a_pipe(struct strata_http_client *from, struct strata_http_client *to)
{
	struct strata_pipe *p = strata_pipe_new(SIZE, digest, 1 << 18, &err);
	struct strata_http_request r;
	struct strata_exchange *get, *put;
	char url[64], other[64];

	r = request("PUT", "/take", url);
	r.body_pipe = p;
	put = start(to, &r);
	r = request("GET", "/missing", other);
	r.to_pipe = p;
	get = start(from, &r);
	CHECK(end(get) == 404); /* and the pipe waits for another one */
	strata_exchange_free(get);
	CHECK(!strata_exchange_wait(put, 0.05));
	r = request("GET", "/whole", other);
	r.to_pipe = p;
	get = start(from, &r);
	CHECK(end(get) == 200 && end(put) == 201);
	CHECK(strcmp(strata_exchange_digest(get), digest) == 0);
	strata_exchange_free(get);
	strata_exchange_free(put);
	strata_pipe_unref(p);
}

static void pipes(void)
{
	struct strata_http_client *one = new_client();
	struct strata_http_client *two = new_client();

	through_a_pipe(one, one);
	through_a_pipe(one, two);
	end_client(one);
	end_client(two);
}

static void check_pipe_failure(const char *source, const char *expected, const char *get_code,
                               const char *put_code)
{
	struct strata_http_client *c = new_client();
	struct strata_pipe *p = strata_pipe_new(SIZE, expected, 1 << 18, &err);
	struct strata_http_request r;
	struct strata_exchange *get, *put;
	char url[64], other[64];

	r = request("PUT", "/take", url);
	r.body_pipe = p;
	put = start(c, &r);
	r = request("GET", source, other);
	r.to_pipe = p;
	get = start(c, &r);
	CHECK(failed_with(get, get_code));
	CHECK(failed_with(put, put_code));
	strata_exchange_free(get);
	strata_exchange_free(put);
	strata_pipe_unref(p);
	end_client(c);
}

static void pipes_that_fail(void)
{
	char wrong[STRATA_DIGEST_MAX];

	CHECK(strata_sha256("x", 1, wrong, &err) == 0);
	check_pipe_failure("/whole", wrong, "EDIGEST", "EDIGEST");
	check_pipe_failure("/cut", digest, "ENETWORK", "ECANCELED");
}

static void a_pipe_that_is_refused(void)
{
	struct strata_http_client *c = new_client();
	struct strata_pipe *p = strata_pipe_new(SIZE, digest, 1 << 18, &err);
	struct strata_http_request r;
	struct strata_exchange *get, *put;
	char url[64], other[64];

	r = request("PUT", "/refuse", url);
	r.body_pipe = p;
	put = start(c, &r);
	CHECK(end(put) == 401); /* before anything was sent, so the pipe is whole */
	CHECK(strata_pipe_check(p, &err) == 0);
	strata_exchange_free(put);
	r = request("GET", "/whole", other);
	r.to_pipe = p;
	get = start(c, &r);
	CHECK(!strata_exchange_wait(get, 0.1));
	strata_pipe_close(p);
	CHECK(failed_with(get, "ECANCELED"));
	strata_exchange_free(get);
	strata_pipe_unref(p);
	end_client(c);
}

static void wrong_requests(void)
{
	static const char *const lines[] = {"",       "a",      ":b", "a b: c", "a: b\r\nc: d",
	                                    "a: b\n", "a\t: c", "a;"};
	struct strata_http_client *c = new_client();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];

	r = request("GET", "/a b", url);
	CHECK(strata_exchange_new(c, &r, &err) == NULL && strcmp(err.code, "EINVAL") == 0);
	r.url = "ftp://host/";
	CHECK(strata_exchange_new(c, &r, &err) == NULL && strcmp(err.code, "EINVAL") == 0);
	r = request("GET\r\n", "/", url);
	CHECK(strata_exchange_new(c, &r, &err) == NULL && strcmp(err.code, "EINVAL") == 0);
	r = request("PUT", "/", url);
	r.body = "x";
	r.body_file.fd = 0;
	CHECK(strata_exchange_new(c, &r, &err) == NULL && strcmp(err.code, "EINVAL") == 0);
	r.body = NULL;
	r.body_file.fd = 1000000;
	CHECK(strata_exchange_new(c, &r, &err) == NULL && strcmp(err.code, "EBADF") == 0);
	r = request("GET", "/", url);
	x = strata_exchange_new(c, &r, &err);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK(strata_exchange_add_header(x, lines[i], strlen(lines[i]), &err) < 0);
	CHECK(strata_exchange_add_header(x, "a: \0", 4, &err) < 0);
	strata_exchange_free(x); /* not started */
	end_client(c);
}

static void a_forked_child(void)
{
	struct strata_http_client *c = new_client();
	struct strata_http_request r;
	struct strata_exchange *x;
	char url[64];
	int status = 1;
	pid_t pid;

	CHECK(!strata_http_client_foreign(c));
	r = request("GET", "/stall", url);
	x = start(c, &r);
	pid = fork();
	if (pid == 0) {
		bool foreign = strata_http_client_foreign(c);

		strata_exchange_free(x); /* neither waits for a thread that is not here */
		end_client(c);
		_exit(foreign ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	strata_exchange_free(x);
	end_client(c);
}

int main(void)
{
	pthread_t thread = start_server();

	pattern = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		pattern[i] = (char)(i % 251);
	if (strata_sha256(pattern, SIZE, digest, &err) < 0)
		return 2;
	RUN(to_memory_and_to_a_file);
	RUN(what_is_too_long);
	RUN(a_broken_answer);
	RUN(a_body_from_a_file);
	RUN(canceled_and_closed);
	RUN(refused_addresses);
	RUN(pipes);
	RUN(pipes_that_fail);
	RUN(a_pipe_that_is_refused);
	RUN(wrong_requests);
	RUN(a_forked_child);
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(server.fd);
	while (atomic_load(&server.open) > 0)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	free(pattern);
	return check_sum("http_exchange_test");
}
