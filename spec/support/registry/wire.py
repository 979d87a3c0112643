"""HTTP/1.1 with the standard library's server, and what goes wrong on the wire."""
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import faults
from message import Answer, Request, error

BODY_KEPT = 4096  # bytes of a request's body that the log keeps
STARTED = time.monotonic()
REASONS = BaseHTTPRequestHandler.responses


class Ended(Exception):
    """The connection is to end."""


class Log:
    """Requests in the order in which their heads came."""

    def __init__(self):
        self.changed = threading.Condition()
        self.entries = []
        self.open = 0
        self.peak = 0

    def begin(self, entry):
        with self.changed:
            self.entries.append(entry)
            self.open += 1
            self.peak = max(self.peak, self.open)

    def end(self, entry):
        with self.changed:
            if entry["finished"] is None:
                entry["finished"] = round(time.monotonic() - STARTED, 6)
                self.open -= 1
                self.changed.notify_all()

    def read(self):
        """A client may have its answer a moment before it is known here how much of it was sent."""
        with self.changed:
            self.changed.wait_for(lambda: self.open == 0, 0.25)
            return [dict(entry) for entry in self.entries]

    def forget(self):
        with self.changed:
            self.changed.wait_for(lambda: self.open == 0, 0.25)
            self.entries = [entry for entry in self.entries if entry["finished"] is None]
            self.peak = self.open


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, api, options, door=False):
        self.api = api
        self.options = options
        self.door = door
        self.blank = options.get("blank")
        self.rules = faults.Rules()
        self.log = Log()
        self.connections = 0
        self.tls_failures = 0
        address = options.get("address") or "127.0.0.1"
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        tls = options.get("tls")
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if tls.get("maximum"):
                self.tls.set_ciphers("ALL:@SECLEVEL=0")
                self.tls.minimum_version = ssl.TLSVersion.TLSv1
                self.tls.maximum_version = ssl.TLSVersion[tls["maximum"]]
            if tls.get("alpn"):
                self.tls.set_alpn_protocols(["h2", "http/1.1"])
            self.tls.load_cert_chain(tls["cert"], tls["key"])
            if tls.get("client_ca"):
                self.tls.load_verify_locations(tls["client_ca"])
                self.tls.verify_mode = ssl.CERT_REQUIRED if tls.get("client_required") else ssl.CERT_OPTIONAL
        super().__init__((address, options.get("port") or 0), Handler)
        self.host = ("[%s]:%d" if ":" in address else "%s:%d") % (address, self.server_address[1])

    def server_bind(self):  # without the look-up of a name
        socket.setdefaulttimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        pass

    def start(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 5}, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        self.number = self.server.connections = self.server.connections + 1
        if self.server.options.get("mute"):
            while self.request.recv(1 << 16):
                pass
            raise Ended
        if self.server.tls:
            try:
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            except (ssl.SSLError, OSError):
                self.server.tls_failures += 1
                raise
        super().setup()

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        return True  # when its body is read

    def serve(self):
        entry = {
            "method": self.command, "path": self.path, "status": 0, "received": 0, "sent": 0, "finished": None,
            "headers": {}, "connection": self.number, "time": round(time.monotonic() - STARTED, 6),
        }
        for name, value in self.headers.items():
            name = name.lower()
            entry["headers"][name] = entry["headers"][name] + ", " + value if name in entry["headers"] else value
        certificate = self.server.tls and self.request.getpeercert()
        if certificate:
            entry["client"] = dict(pair[0] for pair in certificate["subject"]).get("commonName")
        if self.server.tls and self.request.selected_alpn_protocol():
            entry["alpn"] = self.request.selected_alpn_protocol()
        self.entry = entry
        self.server.log.begin(entry)
        try:
            self.answer()
        except (Ended, OSError):
            self.close_connection = True
        finally:
            self.server.log.end(entry)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = serve

    def end(self):
        if self.reply.fault.get("reset"):
            connection = getattr(self.connection, "_sock", self.connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        raise Ended

    # The request's body

    def go_on(self):
        if "100-continue" in self.headers.get("Expect", "").lower() and not self.reply.fault.get("silent"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pieces(self):
        """Of the body, as they come; what is missing at the end raises EOFError."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                size = int(self.rfile.readline(64).partition(b";")[0] or b"x", 16)
                if size == 0:
                    while self.rfile.readline(65536).strip():
                        pass
                    return
                yield self.rfile.read(size)
                self.rfile.readline(8)
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read1(min(left, 1 << 18))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece

    def read_body(self):
        limit, hold = self.reply.fault.get("read"), self.reply.fault.get("hold")
        body = bytearray()
        try:
            if limit is None or limit > 0:
                for piece in self.pieces():
                    body += piece
                    self.entry["received"] = len(body)
                    if limit is not None and len(body) >= limit:
                        break
                    if hold is not None and len(body) >= hold:
                        time.sleep(self.reply.fault.get("seconds", 600))
                        hold = None
        except (EOFError, OSError, ValueError):
            self.reply.complete = False
        if limit is not None:
            del body[limit:]
            self.reply.complete = False
        self.reply.body = bytes(body)
        if body and len(body) <= BODY_KEPT:
            self.entry["body"] = body.decode("latin-1")

    # The answer

    def expected_body(self):
        return int(self.headers.get("Content-Length", 0)) > 0 or "Transfer-Encoding" in self.headers

    def before_body(self):
        """An answer that comes before the body is read, or None."""
        fault, api = self.reply.fault, self.server.api
        if fault.get("early"):
            return faults.instead(self.reply) or Answer(413)
        length = int(self.headers.get("Content-Length", 0))
        if "Q15" in api.settings["quirks"] and length > api.settings["body_limit"]:
            html = b"<html><head><title>413 Request Entity Too Large</title></head></html>\r\n"
            return Answer(413, [("Content-Type", "text/html"), ("Server", "nginx")], html)
        if "Expect" in self.headers and not self.server.door:
            refused = api.refuse(self.reply)
            return refused and faults.change(self.reply, refused, None)
        return None

    def answer(self):
        server = self.server
        scheme = "https" if server.tls else "http"
        origin = "%s://%s" % (scheme, self.headers.get("Host", server.host))
        self.reply = request = Request(self.command, self.path, self.headers, origin)
        request.fault = fault = server.rules.take(self.command, self.path, self.headers)
        pause = server.api.settings["latency"] + fault.get("delay", 0)
        if pause:
            time.sleep(pause)
        early = self.before_body() if self.expected_body() else None
        if early:
            self.send(early, True)
            self.drain()
            return
        self.go_on()
        self.read_body()
        answer = None if "read" in fault else faults.instead(request)
        if answer is None or fault.get("applied"):
            done = self.ask(request)
            answer = answer or done
        if not request.complete:
            self.end()
        self.send(faults.change(request, answer, self.whole))

    def ask(self, request):
        if request.fault.get("close") is True and not request.fault.get("applied"):
            return Answer(500)  # nobody gets it
        try:
            if self.server.blank:
                return Answer(404)
            return self.server.api.handle(request, self.server.door)
        except Exception as why:  # a spec is to see what is wrong with this registry
            return error(500, "UNKNOWN", "the fake registry failed: %r" % why)

    def whole(self):
        del self.headers["Range"]
        return self.server.api.handle(self.reply, self.server.door)

    def drain(self):
        """Reads what the client still sends, so that no reset takes the answer away from it."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(2)
            while self.connection.recv(1 << 16):
                pass
        except OSError:
            pass
        raise Ended

    def head(self, answer, closing):
        if answer.status not in (204, 304) and answer.get("Content-Length") is None and \
                self.reply.fault.get("length") is not False:
            if self.reply.fault.get("chunked"):
                answer.set("Transfer-Encoding", "chunked")
            else:
                answer.set("Content-Length", len(answer.body))
        if closing:
            answer.set("Connection", "close")
        reason = REASONS.get(answer.status, ("Unknown",))[0]
        lines = ["HTTP/1.1 %d %s" % (answer.status, reason), "Date: " + self.date_time_string()]
        lines += ["%s: %s" % pair for pair in answer.headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n" + \
            self.reply.fault.get("inject", "").encode("latin-1") + b"\r\n"

    def send(self, answer, closing=False):
        fault = self.reply.fault
        if "raw" in fault:
            self.write(fault["raw"].encode("latin-1"))
            self.end()
        if fault.get("close") is True:
            self.end()
        if fault.get("stall") == "head":
            self.stall()
        self.entry["status"] = answer.status
        closing = closing or fault.get("length") is False
        head = self.head(answer, closing)
        if fault.get("close") == "head":
            self.write(head[: len(head) // 2])
            self.end()
        body = b"" if self.command == "HEAD" or answer.status in (204, 304) else answer.body
        self.send_body(head, body)
        self.server.log.end(self.entry)
        wrong = answer.get("Content-Length") not in (None, str(len(answer.body)))
        if closing or wrong and self.command != "HEAD":
            raise Ended

    def send_body(self, head, body):
        fault = self.reply.fault
        for name in ("stall", "close"):
            if isinstance(fault.get(name), int):
                self.write(head, body[: fault[name]])
                self.stall() if name == "stall" else self.end()
        if fault.get("chunked") and body:
            self.write(head)
            for start in range(0, len(body), 1 << 16):
                piece = body[start:start + (1 << 16)]
                self.write(b"%x\r\n" % len(piece), piece, b"\r\n")
            self.write(b"0\r\n\r\n")
        elif fault.get("trickle"):
            self.write(head)
            step = fault["trickle"]
            for start in range(0, len(body), step["bytes"]):
                self.write(b"", body[start:start + step["bytes"]])
                time.sleep(step["seconds"])
        else:
            self.write(head, body)

    def write(self, head, body=b"", tail=b""):
        """A small answer is one packet; of a large body, what could not be sent is not counted."""
        if len(body) < 1 << 14:
            self.connection.sendall(head + body + tail)
            self.entry["sent"] += len(body)
            return
        self.connection.sendall(head)
        view = memoryview(body)
        while view:
            count = self.connection.send(view[: 1 << 18])
            self.entry["sent"] += count
            view = view[count:]
        self.connection.sendall(tail)

    def stall(self):
        """Sends nothing more until the client goes, which is seen, or the time is over."""
        self.server.log.end(self.entry)
        try:
            self.connection.settimeout(self.reply.fault.get("seconds", 600))
            while self.connection.recv(1 << 16):
                pass
        except OSError:
            pass
        raise Ended
