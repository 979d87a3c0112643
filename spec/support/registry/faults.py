"""What a registry is told to do wrong: rules, each for some requests, and what they make of an answer.

A rule says for which requests it is:
    method, path   regular expression, found anywhere in path and query; without them, all requests
    with           {header: regular expression or False}: only requests with, or without, such headers
    skip, times    so many matching requests pass first; then so many have the fault (default: all)
    rate, burst    so many matching requests a second pass, so many of them at once (default: those of a second); what
                   is more has the fault, as the limit of a registry works
and what to do, in any combination that makes sense. Instead of the answer:
    status, headers, body   verbatim; headers is {name: value, list of values, or False} or a list of whole lines
    redirect                a URL, {path} in it stands for the request's; with status 307 unless status is given
    raw                     these bytes are the whole response; then the connection ends
    applied                 True: the request takes effect although its answer is another, or none
Changes of the answer:
    as_status, set (headers as above), inject (bytes of header lines as they are), retry_after (seconds, a text, or
    {"date": seconds}), body_extra (bytes behind it), truncate (bytes of it, with Content-Length to match),
    flip (offset of a byte that is changed), gzip (True), digest (Docker-Content-Digest or False),
    length (Content-Length or False), chunked (True), challenge (WWW-Authenticate: text, list or False),
    range: "start" (Content-Range begins one too late), "total", "full" (200 with everything), "multipart",
        "416", "416-length" (and a Content-Length that is wrong)
On the wire:
    delay           seconds before the request is answered
    read            bytes of the request's body that are read; then the connection ends
    hold            bytes of the request's body that are read; then no more for `seconds`
    early           True: answered before the request's body is read
    silent          True: no 100 for Expect: 100-continue
    stall           bytes of the body that are sent; then nothing comes for `seconds`; "head": nothing at all
    close           the same, and the connection ends; True: no answer at all; "head": in the middle of the head
    reset           True: it ends with a reset
    trickle         {"bytes", "seconds"}: the body comes slowly
And of the parts of a registry: location (uploads.py), keep, forget, mount = 202 (uploads.py), tags, unfiltered
(api.py), realm, token (auth.py).
"""
import email.utils
import gzip
import re
import threading
import time

from message import Answer, joined


class Rules:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []

    def add(self, rule):
        rule = dict(rule)
        rule["seen"] = 0
        with self.lock:
            self.rules.append(rule)

    def clear(self):
        with self.lock:
            self.rules = []

    def fits(self, rule, method, target, headers):
        if rule.get("method", method) != method or not re.search(rule.get("path", ""), target):
            return False
        for name, pattern in (rule.get("with") or {}).items():
            value = joined(headers, name)
            if (value is None) != (pattern is False) or pattern and not re.search(pattern, value):
                return False
        return True

    def passes(self, rule):
        """Whether the rate of a rule has room for one more request: a bucket that fills with time."""
        if "rate" not in rule:
            return False
        now, burst = time.monotonic(), rule.get("burst", rule["rate"])
        tokens = min(rule.get("tokens", burst) + (now - rule.get("since", now)) * rule["rate"], burst)
        rule["since"], rule["tokens"] = now, tokens - 1 if tokens >= 1 else tokens
        return tokens >= 1

    def take(self, method, target, headers):
        """All that the rules say about a request, later ones over earlier ones."""
        fault = {}
        with self.lock:
            for rule in self.rules:
                if not self.fits(rule, method, target, headers):
                    continue
                rule["seen"] += 1
                over = rule["seen"] - rule.get("skip", 0)
                if over > 0 and over <= rule.get("times", over) and not self.passes(rule):
                    fault.update(rule)
        return fault


def set_headers(answer, headers):
    if isinstance(headers, list):
        answer.headers += [tuple(part.strip() for part in line.split(":", 1)) for line in headers]
        return
    for name, value in (headers or {}).items():
        answer.set(name, value)


def instead(request):
    """The answer of a rule that has one, or None."""
    fault = request.fault
    if "redirect" in fault:
        answer = Answer(fault.get("status", 307))
        answer.set("Location", fault["redirect"].replace("{path}", request.target))
    elif "status" in fault:
        answer = Answer(fault["status"])
        if fault.get("body"):
            answer.set("Content-Type", "text/html" if fault["body"].startswith("<") else "application/json")
    else:
        return None
    answer.body = fault.get("body", "").encode("latin-1")
    set_headers(answer, fault.get("headers"))
    return answer


def change_range(request, answer, whole):
    """whole: the answer to the same request without Range."""
    how = request.fault["range"]
    first, total = re.match(r"bytes ([0-9]+)-[0-9]+/([0-9]+)", answer.get("Content-Range") or "bytes 0-0/0").groups()
    if how == "full":
        return whole()
    if how == "start":
        answer.set("Content-Range", "bytes %d-%d/%s" % (int(first) + 1, int(first) + len(answer.body), total))
    elif how == "total":
        last = int(first) + len(answer.body) - 1
        answer.set("Content-Range", "bytes %s-%d/%d" % (first, last, int(total) + 1))
    elif how == "multipart":
        head = "--frontier\r\nContent-Type: application/octet-stream\r\nContent-Range: %s\r\n\r\n"
        answer.body = (head % answer.get("Content-Range")).encode() + answer.body + b"\r\n--frontier--\r\n"
        answer.drop("Content-Range")
        answer.set("Content-Type", "multipart/byteranges; boundary=frontier")
    elif how in ("416", "416-length"):
        body = b'{"errors":[{"code":"RANGE_INVALID"}]}'
        answer = Answer(416, [("Content-Type", "application/json"), ("Content-Range", "bytes */" + total)], body)
        if how == "416-length":
            answer.set("Content-Length", len(body) + 100)
    return answer


def change(request, answer, whole):
    fault = request.fault
    if "range" in fault and request.header("Range"):
        answer = change_range(request, answer, whole)
    if "as_status" in fault:
        answer.status = fault["as_status"]
    if "digest" in fault:
        answer.set("Docker-Content-Digest", fault["digest"])
    if "challenge" in fault and answer.status == 401:
        answer.set("WWW-Authenticate", fault["challenge"])
    if "retry_after" in fault:
        after = fault["retry_after"]
        if isinstance(after, dict):
            after = email.utils.formatdate(time.time() + after["date"], usegmt=True)
        answer.set("Retry-After", after)
    if fault.get("gzip"):
        answer.body = gzip.compress(answer.body)
        answer.set("Content-Encoding", "gzip")
    if "flip" in fault and answer.body:
        body = bytearray(answer.body)
        body[fault["flip"] % len(body)] ^= 1
        answer.body = bytes(body)
    answer.body += fault.get("body_extra", "").encode("latin-1")
    if "truncate" in fault:
        answer.body = answer.body[: fault["truncate"]]
    set_headers(answer, fault.get("set"))
    if "length" in fault:
        answer.set("Content-Length", fault["length"])
    return answer
