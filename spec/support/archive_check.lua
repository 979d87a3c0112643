--- What Python finds in an image archive: an oracle that shares no code with strata.

local cjson = require "cjson"
local python = require "spec.support.python"

local archive_check = {}

-- Prints what the archive holds, and all that contradicts itself in it.
local SCRIPT = [==[
import gzip, hashlib, json, posixpath, sys, tarfile

problems = []
tar = tarfile.open(sys.argv[1], "r:")
members, contents = {}, {}

def normal(name):
    return posixpath.normpath("/" + name).lstrip("/")

def sha256(data):
    return hashlib.sha256(data).hexdigest()

names = []
for member in tar:
    name = normal(member.name)
    names.append(name)
    if name in members:
        problems.append("twice in the archive: " + name)
    members[name] = member

def read(name):
    name = normal(name)
    if name not in contents:
        member, where = members.get(name), name
        for hop in range(9):
            if member is None:
                problems.append("not in the archive: " + where)
                return None
            if not (member.issym() or member.islnk()):
                break
            base = posixpath.dirname(normal(member.name)) if member.issym() else ""
            where = normal(base + "/" + member.linkname)
            member = members.get(where)
        contents[name] = tar.extractfile(member).read()
    return contents[name]

def plain(data):
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

def key(item, name):
    return item[name] if name in item else item.get(name[0].lower() + name[1:])

for name in members:
    if name.startswith("blobs/sha256/") and members[name].isreg():
        hexdigest = name[13:].split(".")[0]
        if sha256(read(name)) != hexdigest:
            problems.append("name is not the digest: " + name)

def same_tag(tag):
    for prefix in ("docker.io/library/", "docker.io/"):
        if tag.startswith(prefix):
            return tag[len(prefix):]
    return tag

images, all_tags, layered_tags = [], set(), set()
for item in json.loads(read("manifest.json")):
    config_name = key(item, "Config")
    text = read(config_name) or b"{}"
    stem = config_name.split("/")[-1].replace("sha256:", "").replace(".json", "")
    if len(stem) == 64 and stem != sha256(text):
        problems.append("name is not the digest: " + config_name)
    diff_ids, layers = json.loads(text)["rootfs"]["diff_ids"], []
    for name in key(item, "Layers") or []:
        data = read(name) or b""
        layers.append({"name": name, "stored": sha256(data), "diff_id": "sha256:" + sha256(plain(data))})
        for stem in name.split("/"):
            stem = stem.split(".")[0]
            known = (sha256(data), layers[-1]["diff_id"][7:])
            if name.endswith(".gz") and len(stem) == 64 and stem not in known:
                problems.append("name is not the digest: " + name)
    if [layer["diff_id"] for layer in layers] != diff_ids:
        problems.append("diff_ids are not those of the layers")
    for diff_id in item.get("LayerSources") or {}:
        source = item["LayerSources"][diff_id]
        for layer in layers:
            if diff_id in (layer["diff_id"], "sha256:" + layer["stored"]):
                if source["digest"] != "sha256:" + layer["stored"]:
                    problems.append("LayerSources with another digest: " + source["digest"])
                break
        else:
            problems.append("LayerSources of another layer: " + diff_id)
    if item.get("LayerSources"):
        for layer in layers:
            if not {layer["diff_id"], "sha256:" + layer["stored"]} & set(item["LayerSources"]):
                problems.append("not in LayerSources: " + layer["name"])
    tags = key(item, "RepoTags") or []
    all_tags.update(map(same_tag, tags))
    if layers:
        layered_tags.update(map(same_tag, tags))
    images.append({"id": "sha256:" + sha256(text), "config": json.loads(text), "layers": layers,
                   "tags": tags, "config_text": text.decode("utf-8")})

def check_descriptor(of, config_ids, seen):
    if (of.get("platform") or {}).get("os") == "unknown":
        return # an attestation
    blob = normal("blobs/sha256/" + of["digest"][7:])
    if blob not in members:
        return
    data = read(blob)
    if len(data) != of["size"]:
        problems.append("size of %s is %d, not %d" % (blob, len(data), of["size"]))
    document = json.loads(data)
    for inner in document.get("manifests") or []:
        check_descriptor(inner, config_ids, seen)
    if "config" in document and normal("blobs/sha256/" + document["config"]["digest"][7:]) in members:
        config_ids.add(document["config"]["digest"])
        seen.append(document)
        for inner in [document["config"]] + document["layers"]:
            name = normal("blobs/sha256/" + inner["digest"][7:])
            if name not in members:
                problems.append("an OCI manifest names what is not there: " + name)
            elif len(read(name)) != inner["size"]:
                problems.append("size of %s is %d, not %d" % (name, len(read(name)), inner["size"]))

if "index.json" in members:
    index_tags, config_ids, manifests = set(), set(), []
    for one in json.loads(read("index.json"))["manifests"] or []:
        check_descriptor(one, config_ids, manifests)
        name = (one.get("annotations") or {}).get("io.containerd.image.name")
        if name:
            index_tags.add(same_tag(name))
            if "." not in name.split("/")[0]:
                problems.append("the index has a short name: " + name)
            version = one["annotations"].get("org.opencontainers.image.ref.name")
            if name.rpartition(":")[2] != version:
                problems.append("the index calls %s %s" % (name, version))
    if index_tags != all_tags:
        problems.append("tags of index.json are %s, not %s" % (sorted(index_tags), sorted(all_tags)))
    if config_ids != {image["id"] for image in images}:
        problems.append("index.json leads to other configs: %s" % sorted(config_ids))
    for document in manifests:
        for image in images:
            if image["id"] == document["config"]["digest"]:
                digests = [layer["digest"][7:] for layer in document["layers"]]
                if digests != [layer["stored"] for layer in image["layers"]]:
                    problems.append("layers of the OCI manifest are others")

if "repositories" in members:
    tags = set()
    for repository, versions in json.loads(read("repositories")).items():
        for version, identity in versions.items():
            tags.add(same_tag(repository + ":" + version))
            if identity + "/layer.tar" not in members and "blobs/sha256/" + identity not in members:
                problems.append("repositories names what is not there: " + identity)
    if tags != layered_tags:
        problems.append("tags of repositories are %s, not %s" % (sorted(tags), sorted(all_tags)))

v1 = {}
for name in members:
    if name.endswith("/json") or name.startswith("blobs/sha256/"):
        data = read(name)
        if data[:1] == b"{":
            document = json.loads(data)
            if "id" in document:
                v1[document["id"]] = document

json.dump({"problems": problems, "images": images, "names": names, "v1": v1}, sys.stdout)
]==]

---@class spec.CheckedImage
---@field id string
---@field config table
---@field config_text string
---@field tags string[]
---@field layers { name: string, stored: string, diff_id: string }[]

---@class spec.Checked
---@field problems string[]
---@field images spec.CheckedImage[]
---@field names string[] of the members, normalised
---@field v1 table<string, table> the old documents by their id

--- What an archive holds, and what contradicts itself in it.
---@param path string
---@return spec.Checked
function archive_check.read(path)
	return cjson.decode(python.run("archive_check", SCRIPT, { path }))
end

return archive_check
