"""What a registry keeps: blobs, manifests, tags and open uploads, all in memory."""
import base64
import hashlib
import json
import os
import re
import threading

ALGORITHMS = {"sha256": 64, "sha512": 128}


def digest_of(data, algorithm="sha256"):
    return "%s:%s" % (algorithm, hashlib.new(algorithm, data).hexdigest())


def is_digest(text):
    algorithm, _, digits = text.partition(":")
    return len(digits) == ALGORITHMS.get(algorithm) and re.fullmatch("[0-9a-f]+", digits) is not None


class Upload:
    """A session. Each answer about it has another state in its Location, which must come back; in a strict registry
    byte by byte: it holds escapes, so that a client that decodes and encodes it is found out."""

    def __init__(self, algorithm="sha256"):
        self.id = os.urandom(8).hex()
        self.algorithm = algorithm
        self.data = bytearray()
        self.chunks = 0
        self.short = False  # the last chunk was below the minimum: no other may follow
        self.broken = False
        self.states = []
        self.new_state()

    def new_state(self):
        noise = base64.b64encode(os.urandom(6) + b"\xfb\xff").decode()
        self.states.append("_state=" + noise.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D") + "&v=a%20b")
        return self.states[-1]


class Repository:
    def __init__(self):
        self.blobs = set()
        self.manifests = {}  # digest -> (media type, bytes)
        self.tags = {}
        self.uploads = {}


class Store:
    def __init__(self):
        self.lock = threading.RLock()
        self.repositories = {}
        self.contents = {}

    def repository(self, name):
        return self.repositories.setdefault(name, Repository())

    def put_blob(self, name, data, algorithm="sha256"):
        return self.keep(name, digest_of(data, algorithm), bytes(data))

    def keep(self, name, digest, data):
        with self.lock:
            self.contents[digest] = data
            self.repository(name).blobs.add(digest)
        return digest

    def blob(self, name, digest):
        repository = self.repositories.get(name)
        if repository and digest in repository.blobs:
            return self.contents[digest]
        return None

    def any_blob(self, digest):
        return self.contents.get(digest)

    def put_manifest(self, name, tags, data, media_type, algorithm="sha256"):
        digest = digest_of(data, algorithm)
        with self.lock:
            repository = self.repository(name)
            repository.manifests[digest] = (media_type, bytes(data))
            for tag in tags:
                repository.tags[tag] = digest
        return digest

    def manifest(self, name, reference):
        """media type, bytes and digest, or None."""
        repository = self.repositories.get(name)
        if not repository:
            return None
        digest = reference if ":" in reference else repository.tags.get(reference)
        found = repository.manifests.get(digest)
        return found and (found[0], found[1], digest)

    def delete_manifest(self, name, digest):
        with self.lock:
            repository = self.repositories[name]
            del repository.manifests[digest]
            repository.tags = {tag: to for tag, to in repository.tags.items() if to != digest}

    def missing_references(self, name, document):
        """Digests that a manifest or an index names and the repository does not have."""
        repository = self.repository(name)
        missing = []
        for descriptor in document.get("manifests") or []:
            if descriptor.get("digest") not in repository.manifests:
                missing.append(descriptor.get("digest"))
        blobs = list(document.get("layers") or [])
        if document.get("config"):
            blobs.append(document["config"])
        for descriptor in blobs:
            if not descriptor.get("urls") and descriptor.get("digest") not in repository.blobs:
                missing.append(descriptor.get("digest"))
        return missing

    def referrers(self, name, subject):
        repository = self.repositories.get(name)
        descriptors = []
        for digest, (media_type, data) in sorted(repository.manifests.items() if repository else ()):
            document = json.loads(data)
            if (document.get("subject") or {}).get("digest") != subject:
                continue
            descriptor = {"mediaType": media_type, "digest": digest, "size": len(data)}
            kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
            if kind:
                descriptor["artifactType"] = kind
            if document.get("annotations"):
                descriptor["annotations"] = document["annotations"]
            descriptors.append(descriptor)
        return descriptors
