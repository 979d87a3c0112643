"""Another registry, to which this one passes all requests on, so that its answers have faults and latency."""
import http.client
import threading

from message import Answer

OURS = ("connection", "transfer-encoding", "content-length", "date", "expect", "keep-alive")


class Upstream:
    def __init__(self, host):
        self.host = host
        self.kept = threading.local()  # a connection for each thread, which is one for each client's

    def connection(self):
        if getattr(self.kept, "connection", None) is None:
            self.kept.connection = http.client.HTTPConnection(self.host)
        return self.kept.connection

    def handle(self, request):
        connection = self.connection()
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in OURS:
                connection.putheader(name, value)  # Host, too: Locations lead back here
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(request.body)))
        try:
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.kept.connection = None
            connection.close()
            raise
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in OURS]
        if request.method == "HEAD" and answer.getheader("Content-Length"):
            kept.append(("Content-Length", answer.getheader("Content-Length")))
        return Answer(answer.status, kept, body)
