"""Blob uploads: E4 to E6, E11, E13 and E14."""
import re
from urllib.parse import parse_qsl

from message import Answer, error
from store import ALGORITHMS, Upload, digest_of, is_digest


class Uploads:
    def __init__(self, settings, store, auth):
        self.settings = settings
        self.store = store
        self.auth = auth

    def quirk(self, name):
        return name in self.settings["quirks"]

    def location(self, request, name, upload):
        """Relative to the host, unless a fault wants it in another way."""
        query = upload.states[-1]
        path = "/v2/%s/blobs/uploads/%s" % (name, upload.id)
        how = request.fault.get("location", "http" if self.quirk("Q16") else "path")
        host = request.origin.partition("//")[2]
        if how == "absolute":
            return "%s%s?%s" % (request.origin, path, query)
        if how == "http":
            return "http://%s%s?%s" % (host, path, query)
        if how == "scheme":
            return "//%s%s?%s" % (host, path, query)
        if how == "query":  # only right below a path that ends with the identifier
            return "?" + query
        if how == "name":  # relative to .../blobs/uploads/
            return "%s?%s" % (upload.id, query)
        if how == "fragment":
            return "%s?%s#fragment" % (path, query)
        if how == "bare":  # no query of its own
            return path
        if how == "path":
            return path + "?" + query
        return how.replace("{path}", path + "?" + query)

    def progress(self, request, name, upload, status):
        upload.new_state()
        headers = [("Location", self.location(request, name, upload)), ("Docker-Upload-UUID", upload.id)]
        if upload.data or self.quirk("Q13") or status == 204:
            headers.append(("Range", "0-%d" % max(0, len(upload.data) - 1)))
        return Answer(status, headers)

    def created(self, request, name, digest):
        shown = digest
        if self.quirk("Q13") and not digest.startswith("sha256:"):
            shown = digest_of(self.store.any_blob(digest))
        return Answer(201, [("Location", "/v2/%s/blobs/%s" % (name, digest)), ("Docker-Content-Digest", shown)])

    def mount(self, request, name, digest, source):
        """The answer when the blob was mounted, or refused, else None: an ordinary session follows."""
        if self.quirk("Q6") and not source:
            return error(400, "UNSUPPORTED", "mount needs from")
        if self.quirk("Q7") and source and source.split("/")[0] in self.settings["closed"]:
            return error(401, "UNAUTHORIZED", "project %s not found" % source.split("/")[0])
        if self.quirk("Q8"):
            return error(400, "BLOB_UPLOAD_INVALID", "invalid value for parameter from")
        if not is_digest(digest) or not source:
            return None
        data = self.store.blob(source, digest)
        if data is None or not self.may_mount(request, source):
            return None
        self.store.keep(name, digest, data)
        return self.created(request, name, digest)

    def may_mount(self, request, source):
        if self.settings["auth"] != "basic":
            return True  # what the token does not allow was refused before
        return self.auth.may(self.auth.basic_user(request), source, "pull")

    def start(self, request, name):
        digest = request.parameter("mount")
        if digest is not None and request.fault.get("mount") != 202:
            answer = self.mount(request, name, digest, request.parameter("from"))
            if answer:
                return answer
        algorithm = request.parameter("digest-algorithm") or "sha256"
        if algorithm not in ALGORITHMS:
            return error(400, "UNSUPPORTED", "digest algorithm " + algorithm)
        digest = request.parameter("digest")
        if digest is not None and self.settings["single_post"] and not self.quirk("Q13"):
            return self.finish_with(request, name, request.body, digest)
        upload = Upload(algorithm)
        self.store.repository(name).uploads[upload.id] = upload
        answer = self.progress(request, name, upload, 202)
        if self.settings["chunk_min"]:
            answer.set("OCI-Chunk-Min-Length", self.settings["chunk_min"])
        return answer

    def finish_with(self, request, name, data, digest):
        if not is_digest(digest):
            return error(400, "DIGEST_INVALID", detail=digest)
        algorithm = digest.partition(":")[0]
        if digest_of(data, algorithm) != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content", digest)
        if not request.fault.get("forget"):
            self.store.keep(name, digest, data)
        return self.created(request, name, digest)

    def session(self, request, name, identifier):
        """upload and whether its state is the newest; None when nobody knows it."""
        upload = self.store.repository(name).uploads.get(identifier)
        if not upload:
            return None, False
        if request.fault.get("location") == "bare":
            return upload, True
        if self.settings["strict"]:
            known = [state for state in upload.states if ("&%s&" % state) in "&%s&" % request.raw_query]
        else:  # skopeo sorts and encodes again
            sent = request.parameter("_state")
            known = [state for state in upload.states if parse_qsl(state)[0][1] == sent]
        if not known:
            return None, False
        return upload, upload.states[-1] in known

    def forget(self, name, upload):
        self.store.repository(name).uploads.pop(upload.id, None)

    def handle(self, request, name, identifier):
        with self.store.lock:
            upload, fresh = self.session(request, name, identifier)
            if not upload:
                return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", identifier)
            if self.quirk("Q13") and request.method in ("PATCH", "PUT") and (not fresh or not request.complete):
                self.forget(name, upload)  # distribution 2.8 cancels it
                return error(404, "BLOB_UPLOAD_INVALID")
            if upload.broken:
                return error(416, "BLOB_UPLOAD_INVALID")
            if request.method in ("GET", "HEAD"):
                return self.progress(request, name, upload, 204)
            if request.method == "DELETE":
                self.forget(name, upload)
                return Answer(204)
            if request.method == "PATCH":
                return self.patch(request, name, upload)
            if request.method == "PUT":
                return self.put(request, name, upload)
            return error(405, "UNSUPPORTED")

    def out_of_order(self, request, name, upload):
        """Whether a chunk is not the next one, by its Content-Range."""
        text = request.header("Content-Range")
        if text is None or self.quirk("Q13"):
            return None
        range_ = re.fullmatch("([0-9]+)-([0-9]+)", text)
        if not range_:
            return error(400, "BLOB_UPLOAD_INVALID", "Content-Range must be <start>-<end>", text)
        first, last = int(range_[1]), int(range_[2])
        if first != len(upload.data):
            if self.quirk("Q3") and first == 0:
                upload.broken = True
            answer = self.progress(request, name, upload, 416)
            return error(416, "BLOB_UPLOAD_INVALID", "out of order", headers=answer.headers)
        if request.complete and last - first + 1 != len(request.body):
            return error(400, "SIZE_INVALID", "Content-Range and Content-Length differ")
        return None

    def patch(self, request, name, upload):
        refused = self.out_of_order(request, name, upload)
        if refused:
            return refused
        if upload.short:
            return error(400, "SIZE_INVALID", "the chunk before was below OCI-Chunk-Min-Length")
        upload.short = len(request.body) < (self.settings["chunk_min"] or 0)
        kept = request.body[: request.fault.get("keep", len(request.body))]
        if not self.quirk("Q2") or upload.chunks == 0:
            upload.data += kept
        upload.chunks += 1
        answer = self.progress(request, name, upload, 201 if self.quirk("Q1") else 202)
        if self.quirk("Q2"):  # says that it has what it threw away
            last = (request.header("Content-Range") or "-").partition("-")[2]
            if last.isdigit():
                answer.set("Range", "0-" + last)
        return answer

    def put(self, request, name, upload):
        if not request.complete:
            return error(400, "SIZE_INVALID")
        refused = self.out_of_order(request, name, upload)
        if refused:
            return refused
        answer = self.finish_with(request, name, bytes(upload.data) + request.body, request.parameter("digest") or "")
        if answer.status == 201:
            self.forget(name, upload)
        return answer
