"""The endpoints of the distribution specification, without a network."""
import base64
import json
import os
import re

from auth import Auth
from message import Answer, answer_json, error
from store import Store, digest_of, is_digest
from upstream import Upstream
from uploads import Uploads

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile("%s(?:/%s)*" % (COMPONENT, COMPONENT))
TAG = re.compile("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
ROUTE = re.compile("/v2/(.+)/(?:(blobs/uploads)/([^/]*)|(blobs|manifests|referrers)/([^/]+)|(tags)/list)")
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST_MAXIMUM = 4 * 1024 * 1024

# What registry.start takes in Lua, and what it is unless given.
DEFAULTS = {
    "address": "127.0.0.1",  # or "::1", "127.0.0.2" ...
    "tls": False,  # True, "expired", "wrong", "unknown" or {"certificate", "client": "optional" or "required"}
    "latency": 0,  # seconds before each answer
    "quirks": [],  # Q1 to Q17
    "upstream": None,  # "host:port" of a registry to which all requests are passed on
    "body_limit": 1 << 20,  # with Q15
    # Who may do what (auth.py)
    "auth": None,  # or "basic", "token"
    "users": {},  # passwords by name
    "identities": {},  # names by identity token
    "access": None,  # {user, "" for nobody: {pattern of names: "pull,push,delete"}}; without it users may do all
    "anonymous": None,  # "pull": so may everybody
    "service": "strata-fake",
    "lifetime": 300,  # of tokens, seconds
    "jwt": None,  # {"key", "cert", "issuer"}: tokens are signed, for docker-registry
    # Blobs and uploads
    "chunk_min": 0,  # OCI-Chunk-Min-Length
    "single_post": True,  # POST with a digest and a body ends the upload
    "strict": False,  # the query of a Location must come back byte by byte
    "cdn": None,  # origin where GET of a blob is redirected to, such as a listener's URL
    "closed": [],  # projects that Q7 mounts nothing from
    # Manifests and lists
    "oci_tag": True,
    "referrers": True,
    "referrers_page": 0,  # descriptors on a page; 0: all on one
    "pages": "link",  # of tags: by last, "next_page": by something opaque, "none": n is ignored
    "page_size": 0,  # tags on a page when nobody asks for n; 0: all on one
    "links": "path",  # or "absolute"
    "catalog": False,
    "sparse": False,  # manifests may name what is not there
    "if_match": False,  # If-Match of a PUT is obeyed
    "rate": None,  # {"limit", "window"}: how many manifests may be fetched
    "delete": True,
    "delete_tags": True,
}


class Api:
    def __init__(self, settings):
        self.settings = dict(DEFAULTS)
        self.settings.update(settings)
        self.store = Store()
        self.auth = Auth(self.settings)
        self.uploads = Uploads(self.settings, self.store, self.auth)
        self.signed = {}  # signature -> (name, digest), each good for one request (Q14)
        self.rate_used = 0
        self.upstream = Upstream(self.settings["upstream"]) if self.settings["upstream"] else None

    def quirk(self, name):
        return name in self.settings["quirks"]

    def needed(self, request, name, is_upload):
        if request.method == "DELETE" and not is_upload:
            return [(name, {"delete"})]
        if request.method in ("GET", "HEAD") and not is_upload:
            return [(name, {"pull"})]
        needed = [(name, {"pull", "push"})]
        source = request.parameter("from")
        if self.settings["auth"] == "token" and request.parameter("mount") and source and source != name:
            needed.append((source, {"pull"}))  # as distribution does
        return needed

    def refuse(self, request):
        """Why somebody may not, which is known before the body is read; or None."""
        route = ROUTE.fullmatch(request.path)
        if request.path in ("/v2/", "/v2"):
            return self.auth.check(request, [])
        if not route:
            return None
        refused = self.auth.check(request, self.needed(request, route[1], route[2] is not None))
        if refused and self.quirk("Q10"):
            refused.drop("WWW-Authenticate")
        return refused

    def handle(self, request, door=False):
        """door: of a listener, where nobody has to log in."""
        if self.upstream:
            return self.upstream.handle(request)
        if request.path == "/token":
            return self.auth.token(request)
        if request.path.startswith("/signed/"):
            return self.get_signed(request)
        refused = not door and self.refuse(request)
        if refused:
            return refused
        if request.path in ("/v2/", "/v2"):
            return answer_json(200, {}, [("Docker-Distribution-API-Version", "registry/2.0")])
        if request.path == "/v2/_catalog" and (self.settings["catalog"] or self.quirk("Q13")):
            return answer_json(200, {"repositories": sorted(self.store.repositories)})
        route = ROUTE.fullmatch(request.path)
        if not route:
            return Answer(404, [("Content-Type", "text/plain; charset=utf-8")], b"404 page not found\n")
        name = route[1]
        if not NAME.fullmatch(name):
            return error(400 if request.method != "GET" else 404, "NAME_INVALID", detail=name)
        return self.dispatch(request, name, route)

    def dispatch(self, request, name, route):
        if route[2]:
            if route[3]:
                return self.uploads.handle(request, name, route[3])
            return self.uploads.start(request, name) if request.method == "POST" else error(405, "UNSUPPORTED")
        if route[6]:
            return self.tags(request, name) if request.method in ("GET", "HEAD") else error(405, "UNSUPPORTED")
        handler = getattr(self, "%s_%s" % (route[4], request.method.replace("HEAD", "GET").lower()), None)
        return handler(request, name, route[5]) if handler else error(405, "UNSUPPORTED")

    # Blobs

    def unknown(self, request, code, detail):
        if self.quirk("Q9") and request.method == "HEAD":
            return error(403, "DENIED")
        return error(404, code, detail=detail)

    def blobs_get(self, request, name, digest):
        if not is_digest(digest):
            return error(400, "DIGEST_INVALID", detail=digest)
        data = self.store.blob(name, digest)
        if data is None:
            return self.unknown(request, "BLOB_UNKNOWN", digest)
        if request.method == "GET" and (self.quirk("Q14") or self.settings["cdn"]):
            signature = os.urandom(8).hex()
            self.signed[signature] = (name, digest)
            where = self.settings["cdn"] or request.origin
            return Answer(307, [("Location", "%s/signed/%s?X-Signature=%s%%2B" % (where, digest, signature))])
        return self.blob_answer(request, digest, data)

    def get_signed(self, request):
        signature = (request.parameter("X-Signature") or "").rstrip("+")
        name, digest = self.signed.get(signature, (None, None))
        if self.quirk("Q14"):
            self.signed.pop(signature, None)
        if not digest or not request.path.endswith(digest):
            xml = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            return Answer(403, [("Content-Type", "application/xml")], xml)
        return self.blob_answer(request, digest, self.store.blob(name, digest))

    def blob_answer(self, request, digest, data):
        headers = [("Content-Type", "application/octet-stream"), ("Docker-Content-Digest", digest),
                   ("Accept-Ranges", "bytes"), ("ETag", '"%s"' % digest)]
        span = re.fullmatch("bytes=([0-9]*)-([0-9]*)", request.header("Range") or "")
        if request.method != "GET" or not span or span[0] == "bytes=-":
            return Answer(200, headers, data)
        if span[1]:
            first = int(span[1])
            last = min(int(span[2]), len(data) - 1) if span[2] else len(data) - 1
        else:
            first, last = max(0, len(data) - int(span[2])), len(data) - 1
        if first > last:
            answer = error(416, "RANGE_INVALID", headers=[("Content-Range", "bytes */%d" % len(data))])
            if self.quirk("Q13"):
                answer.set("Content-Length", len(data) + len(answer.body))
            return answer
        headers.append(("Content-Range", "bytes %d-%d/%d" % (first, last, len(data))))
        return Answer(206, headers, data[first:last + 1])

    def blobs_delete(self, request, name, digest):
        if not self.settings["delete"]:
            return error(405, "UNSUPPORTED")
        if self.store.blob(name, digest) is None:
            return error(404, "BLOB_UNKNOWN", detail=digest)
        self.store.repository(name).blobs.discard(digest)
        return Answer(202)

    # Manifests

    def rated(self, request):
        """Headers about the rate, and whether it is used up. HEAD costs nothing (Q8)."""
        rate = self.settings["rate"]
        if not rate:
            return [], False
        spent = self.rate_used >= rate["limit"]
        if request.method == "GET" and not spent:
            self.rate_used += 1
        window = ";w=%d" % rate.get("window", 21600)
        headers = [("RateLimit-Limit", "%d%s" % (rate["limit"], window)),
                   ("RateLimit-Remaining", "%d%s" % (rate["limit"] - self.rate_used, window)),
                   ("docker-ratelimit-source", "127.0.0.1")]
        return headers, spent and request.method == "GET"

    def manifests_get(self, request, name, reference):
        rate, spent = self.rated(request)
        if spent:
            return error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", headers=rate)
        if self.quirk("Q12-405") and request.method == "HEAD":
            return error(405, "UNSUPPORTED")
        found = self.store.manifest(name, reference)
        if not found:
            code = "MANIFEST_UNKNOWN" if name in self.store.repositories else "NAME_UNKNOWN"
            return self.unknown(request, code, reference)
        media_type, data, digest = found
        if self.quirk("Q13") and "oci" in media_type and media_type not in (request.header("Accept") or ""):
            return error(404, "MANIFEST_UNKNOWN", "OCI manifest found, but accept header does not support it")
        headers = rate + [("Content-Type", media_type), ("Docker-Content-Digest", digest), ("ETag", '"%s"' % digest)]
        if self.quirk("Q12") and request.method == "HEAD":
            headers = [pair for pair in headers if pair[0] != "Docker-Content-Digest"]
        if request.header("If-None-Match") == '"%s"' % digest:
            return Answer(304, headers)
        return Answer(200, headers, data)

    def manifest_refusal(self, request, name, reference):
        """Why a manifest is not taken, or None."""
        if len(request.body) > MANIFEST_MAXIMUM:
            return error(413, "SIZE_INVALID", "manifest too large")
        media_type = request.header("Content-Type")
        try:
            document = json.loads(request.body)
        except ValueError:
            document = None
        if not media_type or not isinstance(document, dict):
            return error(400, "MANIFEST_INVALID")
        if document.get("mediaType", media_type) != media_type.partition(";")[0].strip():
            return error(400, "MANIFEST_INVALID", "mediaType and Content-Type differ")
        if ":" in reference:
            if not is_digest(reference) or digest_of(request.body, reference.partition(":")[0]) != reference:
                return error(400, "DIGEST_INVALID", detail=reference)
        elif not TAG.fullmatch(reference):
            return error(400, "MANIFEST_INVALID", "bad tag", reference)
        missing = [] if self.settings["sparse"] else self.store.missing_references(name, document)
        if missing:
            errors = [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": {"digest": one}}
                      for one in missing]
            return answer_json(400, {"errors": errors})
        wanted, held = request.header("If-Match"), self.store.manifest(name, reference)
        if self.settings["if_match"] and wanted and wanted != '"%s"' % (held[2] if held else ""):
            return error(412, "DENIED", "the tag has moved")
        return None

    def manifests_put(self, request, name, reference):
        with self.store.lock:
            refusal = self.manifest_refusal(request, name, reference)
            if refusal:
                return refusal
            tags = [] if ":" in reference else [reference]
            more = []
            if ":" in reference and self.settings["oci_tag"] and not self.quirk("Q13"):
                more = [tag for tag in request.parameters("tag") if TAG.fullmatch(tag)]
                more = more[: request.fault.get("tags", len(more))]
            algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
            media_type = request.header("Content-Type").partition(";")[0].strip()
            digest = self.store.put_manifest(name, tags + more, request.body, media_type, algorithm)
        headers = [("Location", "/v2/%s/manifests/%s" % (name, digest)), ("Docker-Content-Digest", digest)]
        if more:
            headers.append(("OCI-Tag", ", ".join(more)))
        subject = json.loads(request.body).get("subject")
        if subject and self.settings["referrers"] and not self.quirk("Q13"):
            headers.append(("OCI-Subject", subject["digest"]))
        return Answer(201, headers)

    def manifests_delete(self, request, name, reference):
        if not self.settings["delete"]:
            return error(405, "UNSUPPORTED")
        is_tag = ":" not in reference
        if is_tag and (self.quirk("Q13") or not self.settings["delete_tags"]):
            return error(400, "DIGEST_INVALID") if self.quirk("Q13") else error(405, "UNSUPPORTED")
        found = self.store.manifest(name, reference)
        if not found:
            return error(404, "MANIFEST_UNKNOWN", detail=reference)
        if is_tag:
            del self.store.repository(name).tags[reference]
        else:
            self.store.delete_manifest(name, reference)
        return Answer(202)

    # Lists

    def link(self, request, query):
        url = "%s?%s" % (request.path, query)
        if self.settings["links"] == "absolute":
            url = request.origin + url
        return '<%s>; rel="next"' % url

    def tags(self, request, name):
        if name not in self.store.repositories:
            return error(404, "NAME_UNKNOWN", "repository name not known to registry", name)
        tags = sorted(self.store.repository(name).tags)
        if self.quirk("Q13") or self.settings["pages"] == "none":
            if self.quirk("Q13"):
                tags.reverse()
            return answer_json(200, {"name": name, "tags": tags})
        opaque = self.settings["pages"] == "next_page" or self.quirk("Q5") or self.quirk("Q6")
        count = request.parameter("n") or str(self.settings["page_size"] or 1000000)
        if not count.isdigit() or self.quirk("Q4") and request.parameter("n") and int(count) > 1000:
            return error(400, "UNSUPPORTED", "invalid n", count)
        last = request.parameter("last")
        if opaque and last is not None:
            return error(400, "UNSUPPORTED", "last is not a parameter of this registry")
        if request.parameter("next_page"):
            last = base64.urlsafe_b64decode(request.parameter("next_page")).decode()
        rest = [tag for tag in tags if last is None or tag > last]
        page = rest[: int(count)]
        answer = answer_json(200, {"name": name, "tags": page})
        if len(page) < len(rest) and page:
            query = "last=%s&n=%s" % (page[-1], count)
            if opaque:
                token = base64.urlsafe_b64encode(page[-1].encode()).decode().replace("=", "%3D")
                query = "n=%s&next_page=%s" % (count, token)
            answer.set("Link", self.link(request, query))
        return answer

    def referrers_get(self, request, name, digest):
        if self.quirk("Q13"):
            return Answer(404, [("Content-Type", "text/plain; charset=utf-8")], b"404 page not found\n")
        if not self.settings["referrers"]:
            return error(404, "UNSUPPORTED")
        if not is_digest(digest):
            return error(400, "DIGEST_INVALID", detail=digest)
        descriptors = self.store.referrers(name, digest)
        kind = request.parameter("artifactType")
        headers = [("Content-Type", INDEX)]
        if kind is not None and not request.fault.get("unfiltered"):
            descriptors = [one for one in descriptors if one.get("artifactType") == kind]
            headers.append(("OCI-Filters-Applied", "artifactType"))
        first, size = int(request.parameter("from") or 0), self.settings["referrers_page"] or len(descriptors)
        if first + size < len(descriptors):
            query = "from=%d" % (first + size)
            if kind is not None:
                query += "&artifactType=" + kind.replace("+", "%2B").replace("/", "%2F")
            headers.append(("Link", self.link(request, query)))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors[first:first + size]}
        return Answer(200, headers, json.dumps(index).encode())
