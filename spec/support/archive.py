"""An independent writer and reader of docker-save archives, for the specs: Python's tarfile does the work.

    archive.py build   builds what the request on standard input describes
    archive.py look    prints what is in an archive
    archive.py list    prints what is in a plain tar

Requests and answers are JSON in which each character stands for a byte.
"""
import gzip
import hashlib
import io
import json
import sys
import tarfile

TYPES = {
    "file": tarfile.REGTYPE,
    "hardlink": tarfile.LNKTYPE,
    "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "dir": tarfile.DIRTYPE,
    "fifo": tarfile.FIFOTYPE,
}
NAMES = {value: name for name, value in TYPES.items()}
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}
CODING = {"encoding": "utf-8", "errors": "surrogateescape"}


def to_text(chars):
    """From characters that stand for bytes to what tarfile takes for them."""
    return chars.encode("latin-1").decode("utf-8", "surrogateescape")


def to_chars(text):
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_info(entry):
    info = tarfile.TarInfo(to_text(entry["name"]))
    info.type = TYPES[entry.get("type", "file")]
    info.mode = entry.get("mode", 0o755 if info.isdir() else 0o644)
    info.mtime = entry.get("mtime", 1000000000)
    info.uid, info.gid = entry.get("uid", 0), entry.get("gid", 0)
    info.uname, info.gname = to_text(entry.get("uname", "")), to_text(entry.get("gname", ""))
    info.linkname = to_text(entry.get("linkname", ""))
    info.devmajor, info.devminor = entry.get("major", 0), entry.get("minor", 0)
    info.pax_headers = {to_text(k): to_text(v) for k, v in dict(entry.get("pax") or {}).items()}
    return info


def layer_tar(layer):
    if "raw" in layer:
        return layer["raw"].encode("latin-1")
    if "file" in layer:
        with open(layer["file"], "rb") as file:
            return file.read()
    out = io.BytesIO()
    format = FORMATS[layer.get("format", "pax")]
    with tarfile.open(fileobj=out, mode="w", format=format, **CODING) as tar:
        for entry in layer["entries"]:
            info, data = tar_info(entry), entry.get("data", "").encode("latin-1")
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put_plain(path, number, tar):
    """Puts a layer beside its archive, for those who want its bytes."""
    with open("%s.layer%d" % (path, number + 1), "wb") as file:
        file.write(tar)


def build(request):
    members, names, diff_ids = {}, [], []
    for number, layer in enumerate(request["layers"]):
        tar = layer_tar(layer)
        diff_ids.append(sha256(tar))
        put_plain(request["out"], number, tar)
        names.append("%d-%s/layer.tar" % (number, hashlib.sha256(tar).hexdigest()[:12]))
        members[names[-1]] = gzip.compress(tar, mtime=0) if layer.get("gzip") else tar
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-02-02T02:02:02Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    history = [{"created": "2020-02-02T02:02:02Z", "created_by": "step %d" % (n + 1)} for n in range(len(names))]
    config["history"] = history
    config.update(request.get("config") or {})
    config["history"] = config["history"] or []
    text = json.dumps(config).encode()
    config_name = hashlib.sha256(text).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": request.get("tags") or None, "Layers": names}]
    with tarfile.open(request["out"], "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in {config_name: text, **members, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return {"id": sha256(text), "diff_ids": diff_ids}


def describe(tar, info, most):
    entry = {
        "name": to_chars(info.name),
        "type": NAMES.get(info.type, "file" if info.isreg() else "other"),
        "mode": info.mode & 0o7777,
        "uid": info.uid,
        "gid": info.gid,
        "uname": to_chars(info.uname),
        "gname": to_chars(info.gname),
        "mtime": info.mtime,
        "size": info.size if info.isreg() else 0,
        "linkname": to_chars(info.linkname),
        "major": info.devmajor,
        "minor": info.devminor,
        "pax": {to_chars(k): to_chars(v) for k, v in info.pax_headers.items()},
    }
    if info.isreg():
        data = tar.extractfile(info).read()
        entry["sha256"] = sha256(data)
        if len(data) <= most:
            entry["data"] = data.decode("latin-1")
    return entry


def entries_of(data, most):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", **CODING) as tar:
        return [describe(tar, info, most) for info in tar]


def normal(name):
    parts = []
    for part in name.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def merge(layers):
    """What a container sees: path -> type and content, directories left out."""
    root = {}

    def remove(path):
        for found in [p for p in root if p == path or p.startswith(path + "/") or path == ""]:
            del root[found]

    for entries in layers:
        here = {}
        for entry in entries:
            directory, _, base = normal(entry["name"]).rpartition("/")
            if base == ".wh..wh..opq":
                for path in [p for p in root if p.startswith(directory + "/") or directory == ""]:
                    del root[path]
            elif base.startswith(".wh."):
                remove((directory + "/" if directory else "") + base[4:])
        links = []
        for entry in entries:
            path = normal(entry["name"])
            if path.rpartition("/")[2].startswith(".wh."):
                continue
            if entry["type"] == "hardlink":
                links.append((path, normal(entry["linkname"])))
                here[path] = here.get(links[-1][1])
            elif entry["type"] == "file":
                here[path] = ["file", entry["sha256"], entry["mode"], entry["uid"]]
            elif entry["type"] != "dir":
                here[path] = [entry["type"], entry["linkname"]]
        for _ in links:
            for path, target in links:
                here[path] = here.get(path) or here.get(target)
        for path, what in here.items():
            for found in [p for p in root if p.startswith(path + "/")]:
                del root[found]
            root[path] = what or ["dangling"]
    return root


def look(request):
    answer, most, stored = {"layers": []}, request.get("data", 4096), {}
    with tarfile.open(request["path"]) as outer:
        answer["members"] = outer.getnames()
        for info in outer:
            if info.isreg() or info.issym():
                stored[info.name] = outer.extractfile(info).read()
    item = {key.lower(): value for key, value in json.loads(stored["manifest.json"])[0].items()}
    config = stored[item["config"]]
    document = json.loads(config)
    answer.update(id=sha256(config), config=config.decode("latin-1"), config_name=item["config"])
    answer["tags"] = item["repotags"] or []
    answer["history"] = document.get("history") or []
    answer["diff_ids"] = document["rootfs"]["diff_ids"]
    for number, name in enumerate(item["layers"]):
        tar = stored[name]
        row = {"name": name, "digest": sha256(tar), "size": len(tar)}
        if tar[:2] == b"\x1f\x8b":
            tar = gzip.decompress(tar)
        if request.get("plain"):
            put_plain(request["path"], number, tar)
        row.update(diff_id=sha256(tar), entries=entries_of(tar, most))
        answer["layers"].append(row)
    answer["merged"] = merge([row["entries"] for row in answer["layers"]])
    return answer


def list_tar(request):
    with open(request["path"], "rb") as file:
        return {"entries": entries_of(file.read(), request.get("data", 4096))}


if __name__ == "__main__":
    command = {"build": build, "look": look, "list": list_tar}[sys.argv[1]]
    answer = command(json.loads(sys.stdin.buffer.read().decode("latin-1")))
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("latin-1"))
