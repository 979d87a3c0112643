"""A server of HTTP/1.1 for specs: what it does is in the path. Prints its port, and ends with its parent.

http_server.py [CERTIFICATE KEY [CLIENTS' CA]]
"""
import ctypes, hashlib, http.server, json, re, signal, socket, ssl, sys, threading, time

ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

PATTERN = bytes(i % 251 for i in range(251 * 4096))
LOCK = threading.Lock()
CONNECTIONS = 0
REQUESTS = []


def pattern(start, size):
    while size > 0:
        at = start % 251
        piece = PATTERN[at : at + size]
        yield piece
        start += len(piece)
        size -= len(piece)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def setup(self):
        global CONNECTIONS
        super().setup()
        self.count = 0
        with LOCK:
            CONNECTIONS += 1
            self.number = CONNECTIONS

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self, upto=None):
        size = int(self.headers.get("Content-Length") or 0)
        digest, left = hashlib.sha256(), size if upto is None else min(size, upto)
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                raise ConnectionError
            digest.update(piece)
            left -= len(piece)
        return {"size": size, "sha256": digest.hexdigest()}

    def handle_expect_100(self):
        return True if self.path.startswith("/early/") else super().handle_expect_100()

    def do(self):
        self.count += 1
        words = self.path.split("?")[0].split("/")
        with LOCK:
            REQUESTS.append({"method": self.command, "path": self.path, "connection": self.number,
                             "headers": {k.lower(): v for k, v in self.headers.items()}})
        try:
            getattr(self, "do_" + words[1].replace("-", "_"))(*words[2:])
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do

    def do_log(self):
        with LOCK:
            log = json.dumps({"connections": CONNECTIONS, "requests": REQUESTS}).encode()
        self.answer(200, log)

    def do_bytes(self, size):  # and ranges of them
        size, start, status, headers = int(size), 0, 200, []
        wanted = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if wanted:
            start, status = int(wanted[1]), 206
            headers = [("Content-Range", "bytes %s-%s/%d" % (wanted[1], wanted[2], size))]
            size = int(wanted[2]) + 1 - start
        self.send_response(status)
        for name, value in headers + [("Content-Length", str(size))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in pattern(start, size):
                self.wfile.write(piece)

    def do_chunked(self, size):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pattern(0, int(size)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\nStatus: behind the body\r\n\r\n")

    def do_take(self):
        self.answer(201, json.dumps(self.read_body()).encode())

    def do_status(self, status, size="0"):
        self.read_body()
        self.answer(int(status), PATTERN[: int(size)], [("WWW-Authenticate", 'Bearer a="1"'), ("www-authenticate", "Basic")])

    def do_early(self, status, read="0"):  # an answer before the body has been read
        self.read_body(int(read))
        self.send_response(int(status))
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"early\n")
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)
        while self.connection.recv(1 << 16):
            pass

    def do_second(self):  # takes the body, and breaks off if the connection was used before
        got = json.dumps(self.read_body()).encode()
        if self.count > 1:
            raise ConnectionError
        self.answer(201, got)

    def do_cut(self, stated, sent):
        self.send_response(200)
        self.send_header("Content-Length", stated)
        self.end_headers()
        self.wfile.write(PATTERN[: int(sent)])
        self.close_connection = True

    def do_stall(self, sent="0"):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(PATTERN[: int(sent)])
        self.connection.recv(1)
        self.close_connection = True

    def do_silent(self):
        self.connection.recv(1)
        self.close_connection = True

    def do_raw(self, name):
        self.wfile.write({
            "folded": b"HTTP/1.1 200 OK\r\nA: one\r\n\ttwo\r\nContent-Length: 0\r\n\r\n",
            "hints": b"HTTP/1.1 103 Early\r\nA: early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "old": b"no head at all\n",
            "long": b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 60000 + b"\r\nB: " + b"x" * 6000 + b"\r\n\r\n",
            "range": b"HTTP/1.1 416 Range\r\nContent-Length: 1000\r\n\r\nshort",
            "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        }[name])
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    if len(sys.argv) > 3:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
sys.stdout.close()
server.serve_forever()
