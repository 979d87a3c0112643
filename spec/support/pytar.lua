--- What Python's tarfile finds in the layers of an image archive, or in a tar.

local cjson = require "cjson"
local python = require "spec.support.python"

local pytar = {}

-- Names travel as hexadecimal: they are bytes, and JSON is not.
local SCRIPT = [==[
import gzip, io, json, posixpath, sys, tarfile

TYPES = {b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink", b"3": "char",
         b"4": "block", b"5": "dir", b"6": "fifo", b"S": "file"}

def hexed(text):
    return text.encode("utf-8", "surrogateescape").hex()

def entries(data):
    rows = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for one in tar:
            rows.append({
                "name": hexed(one.name), "type": TYPES.get(one.type, "other"), "mode": one.mode & 0o7777,
                "uid": one.uid, "gid": one.gid, "uname": hexed(one.uname), "gname": hexed(one.gname),
                "size": one.size, "mtime": float(one.mtime), "linkpath": hexed(one.linkname),
                "major": one.devmajor, "minor": one.devminor,
            })
    return rows

def plain(data):
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

def image_layers(path):
    found = []
    with tarfile.open(path, "r:") as tar:
        members = {posixpath.normpath("/" + one.name): one for one in tar}
        def read(name):
            name = posixpath.normpath("/" + name)
            while members[name].issym():
                name = posixpath.normpath(posixpath.dirname(name) + "/" + members[name].linkname)
            return tar.extractfile(members[name]).read()
        for item in json.loads(read("manifest.json")):
            item = {key.lower(): value for key, value in item.items()}
            found.append([entries(plain(read(name))) for name in item["layers"] or []])
    return found

try:
    if sys.argv[1] == "image":
        result = image_layers(sys.argv[2])
    else:
        with open(sys.argv[2], "rb") as file:
            result = entries(plain(file.read()))
    json.dump({"result": result}, sys.stdout)
except Exception as problem:
    json.dump({"refused": type(problem).__name__}, sys.stdout)
]==]

local function call(kind, path)
	return cjson.decode(python.run("pytar", SCRIPT, { kind, path }))
end

local function unhex(text)
	return (text:gsub("%x%x", function(pair)
		return string.char(tonumber(pair, 16))
	end))
end

local function decoded(rows)
	for _, row in ipairs(rows) do
		for _, key in ipairs({ "name", "uname", "gname", "linkpath" }) do
			row[key] = unhex(row[key])
		end
	end
	return rows
end

--- The entries of each layer of each image of an archive.
---@param path string
---@return table[][][]
function pytar.image(path)
	local found = call("image", path)
	for _, layers in ipairs(assert(found.result, found.refused)) do
		for _, rows in ipairs(layers) do
			decoded(rows)
		end
	end
	return found.result
end

--- The entries of a tar; nil when Python refuses it.
---@param path string
---@return table[]?
function pytar.entries(path)
	local found = call("tar", path)
	return found.result and decoded(found.result)
end

return pytar
