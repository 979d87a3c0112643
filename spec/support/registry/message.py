"""Requests and answers, as the registry sees them."""
import json
from urllib.parse import parse_qsl


class Answer:
    def __init__(self, status, headers=(), body=b""):
        self.status = status
        self.headers = list(headers)
        self.body = body

    def get(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def drop(self, name):
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]

    def set(self, name, value):
        """Takes a string, a list of them for several headers, or False for none."""
        self.drop(name)
        if value is not False and value is not None:
            self.headers += [(name, str(one)) for one in (value if isinstance(value, list) else [value])]
        return self


def answer_json(status, value, headers=()):
    return Answer(status, [("Content-Type", "application/json")] + list(headers), json.dumps(value).encode())


def error(status, code, message="", detail=None, headers=()):
    one = {"code": code, "message": message or code.lower().replace("_", " ")}
    if detail is not None:
        one["detail"] = detail
    return answer_json(status, {"errors": [one]}, headers)


def joined(headers, name):
    """The values of a header, which may come several times, or None."""
    values = headers.get_all(name)
    return ", ".join(values) if values else None


class Request:
    def __init__(self, method, target, headers, origin):
        self.method = method
        self.target = target
        self.path, _, self.raw_query = target.partition("?")
        self.query = parse_qsl(self.raw_query, keep_blank_values=True)
        self.headers = headers
        self.origin = origin  # of the server: "http://127.0.0.1:5000"
        self.body = b""
        self.complete = True  # False: the connection ended within the body
        self.fault = {}

    def parameter(self, name):
        for key, value in self.query:
            if key == name:
                return value
        return None

    def parameters(self, name):
        return [value for key, value in self.query if key == name]

    def header(self, name):
        return joined(self.headers, name)
