--- Image layouts made from nothing but strings, and what an independent look finds in one.
--
-- Documents are written as text, with keys in an odd order and keys that nobody knows, so that a spec can
-- tell what was edited from what was printed anew. Digests come from sha256sum, compressed layers from
-- gzip and zstd.

local cjson = require "cjson"
local archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local blobs = {}

blobs.TYPES = oci_layout.types

local function zstd(bytes)
	local path = os.tmpname()
	shell.write(path, bytes)
	local out = shell.check({ "zstd", "--quiet", "--stdout", path })
	os.remove(path)
	return out
end

--- A blob that descriptors can lead to.
---@class spec.Blob
---@field digest string
---@field size integer
---@field type string media type
---@field text string

---@class spec.Layout
---@field blobs table<string, string> by digest
---@field root string text of index.json
local Layout = {}
Layout.__index = Layout

---@return spec.Layout
function blobs.new()
	return setmetatable({ blobs = {}, order = {} }, Layout)
end

--- Puts a blob into the layout.
---@param text string
---@param media_type? string
---@return spec.Blob
function Layout:put(text, media_type)
	local digest = "sha256:" .. archive.sha256(text)
	if not self.blobs[digest] then
		self.blobs[digest] = text
		self.order[#self.order + 1] = digest
	end
	return { digest = digest, size = #text, type = media_type, text = text }
end

--- The text of a descriptor. `more` is text behind its last member, such as `,"annotations":{}`.
---@param blob spec.Blob
---@param more? string
function blobs.descriptor(blob, more)
	return ('{"size":%d,"digest":"%s","mediaType":"%s"%s}'):format(blob.size, blob.digest, blob.type, more or "")
end

local function annotations(pairs_of)
	local parts = {}
	for i = 1, #pairs_of, 2 do
		parts[#parts + 1] = ("%q:%q"):format(pairs_of[i], pairs_of[i + 1])
	end
	return ',"annotations":{' .. table.concat(parts, ",") .. "}"
end

--- The text of annotations behind the last member of an object: names and values in turns.
---@param ... string
function blobs.annotations(...)
	return annotations({ ... })
end

--- The annotation that names what a descriptor of the root leads to.
---@param ref string
---@param ... string more annotations
function blobs.named(ref, ...)
	return annotations({ "org.opencontainers.image.ref.name", ref, ... })
end

local function compressed(layer, how)
	if how == "gzip" then
		return layer.gz
	end
	return how == "zstd" and zstd(layer.tar) or layer.tar
end

---@class spec.LayoutImage
---@field layers spec.Layer[]
---@field compression? string|string[] gzip unless given
---@field family? "oci"|"docker"
---@field name? string makes configs differ
---@field config? string its text
---@field types? table<integer, string> media types of layers
---@field more_of_layers? table<integer, string> text behind the last member of their descriptors
---@field more? string text behind the last member of the manifest
---@field without? table<integer, boolean> layers whose blobs are not there

local MANIFEST = '{"layers": [\n  %s\n],\n"x-unknown": {"b": 1.50, "a": null}, "config": %s,'
	.. ' "schemaVersion": 2,"mediaType":"%s"%s}'

--- Puts an image: layers, config and manifest. Returns the manifest.
---@param given spec.LayoutImage
---@return spec.Blob
function Layout:image(given)
	local types = blobs.TYPES[given.family or "oci"]
	local config = given.config or archive.image({ layers = given.layers, name = given.name }).config
	local made, parts = self:put(config, types.config), {}
	for i, layer in ipairs(given.layers) do
		local how = type(given.compression) == "table" and given.compression[i] or given.compression or "gzip"
		local text = compressed(layer, how)
		local blob = { digest = "sha256:" .. archive.sha256(text), size = #text }
		if not (given.without and given.without[i]) then
			self:put(text)
		end
		blob.type = given.types and given.types[i] or types[how]
		parts[i] = blobs.descriptor(blob, given.more_of_layers and given.more_of_layers[i])
	end
	local text = MANIFEST:format(
		table.concat(parts, ",\n  "),
		blobs.descriptor(made, ',"x-config":1e3'),
		types.manifest,
		given.more or ""
	)
	return self:put(text, types.manifest)
end

local function index_text(descriptors, media_type, more)
	return ('{ "x-first": [1.0, "\\u00e9"], "manifests":[\n\t%s],\n "schemaVersion":2, "mediaType":"%s"%s }\n'):format(
		table.concat(descriptors, ",\n\t"),
		media_type,
		more or ""
	)
end

--- Puts an index of descriptors below the root.
---@param descriptors string[]
---@param more? string
---@param family? "oci"|"docker"
---@return spec.Blob
function Layout:index(descriptors, more, family)
	local media_type = blobs.TYPES[family or "oci"].index
	return self:put(index_text(descriptors, media_type, more), media_type)
end

--- An attestation of an image, as buildkit makes them. Returns its manifest and the text of its descriptor.
---@param subject spec.Blob
---@return spec.Blob
---@return string
function Layout:attestation(subject)
	local config = self:put('{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":'
		.. '["sha256:' .. ("a"):rep(64) .. '"]}}', blobs.TYPES.oci.config)
	local statement = self:put('{"_type":"https://in-toto.io/Statement/v0.1","subject":"' .. subject.digest .. '"}',
		"application/vnd.in-toto+json")
	local made = self:put(('{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}'):format(
		blobs.TYPES.oci.manifest, blobs.descriptor(config), blobs.descriptor(statement)), blobs.TYPES.oci.manifest)
	local more = annotations({ "vnd.docker.reference.digest", subject.digest, "vnd.docker.reference.type",
		"attestation-manifest" }) .. ',"platform":{"architecture":"unknown","os":"unknown"}'
	return made, blobs.descriptor(made, more)
end

--- Sets index.json.
---@param descriptors string[]
---@param more? string
---@return spec.Layout self
function Layout:set_root(descriptors, more)
	self.root = index_text(descriptors, blobs.TYPES.oci.index, more)
	return self
end

function Layout:remove(digest)
	self.blobs[digest] = nil
	for i, other in ipairs(self.order) do
		if other == digest then
			table.remove(self.order, i)
			return
		end
	end
end

--- Writes the layout as a directory, which may be there and empty.
---@param path string
---@return string path
function Layout:write_dir(path)
	shell.check({ "mkdir", "-p", path .. "/blobs/sha256" })
	shell.write(path .. "/oci-layout", '{ "imageLayoutVersion" : "1.0.0" }\n')
	shell.write(path .. "/index.json", self.root)
	for digest, text in pairs(self.blobs) do
		shell.write(path .. "/blobs/sha256/" .. digest:sub(8), text)
	end
	return path
end

--- Writes the layout as an archive, the blobs in the order in which they were put.
---@param path string
---@param control? spec.Member[] members before those of the layout
---@return string path
function Layout:write_archive(path, control)
	local members = {}
	for i, member in ipairs(control or {}) do
		members[i] = member
	end
	local function add(member)
		members[#members + 1] = member
	end
	add({ name = "blobs/", type = "dir", mtime = 1234567890 })
	add({ name = "blobs/sha256/", type = "dir", mtime = 1234567890 })
	for _, digest in ipairs(self.order) do
		add({ name = "blobs/sha256/" .. digest:sub(8), data = self.blobs[digest], mode = 292, mtime = 1234567890 })
	end
	add({ name = "index.json", data = self.root, mtime = 1234567891 })
	add({ name = "oci-layout", data = '{"imageLayoutVersion": "1.0.0"}', mtime = 1234567892 })
	shell.write(path, archive.tar(members))
	return path
end

-- ---- looking ----------------------------------------------------------------------------------------

---@class spec.FoundLayer
---@field digest string
---@field size integer
---@field type string
---@field annotations table<string, string>
---@field descriptor table
---@field plain? string  its tar; nil when the blob is not there
---@field diff_id? string

---@class spec.FoundImage
---@field digest string
---@field text string of the manifest
---@field manifest table
---@field descriptor table  that leads to it
---@field config_text string
---@field config table
---@field id string
---@field layers spec.FoundLayer[]

---@class spec.Found
---@field root string  text of index.json
---@field index table
---@field images spec.FoundImage[]  in the order of the indexes
---@field by_name table<string, spec.FoundImage>
---@field blobs table<string, boolean>  digests of all blobs that are there
---@field reached table<string, boolean>  digests that something leads to
---@field problems string[]
---@field nested table<string, string>  texts of the indexes below the root
---@field files string[]  all files

local function list_files(path)
	local names = {}
	for name in shell.sh('cd "$1"; find . ! -type d -printf "%P\\n" | LC_ALL=C sort', path):gmatch("[^\n]+") do
		names[#names + 1] = name
	end
	return names
end

local PROGRAMS = { ["\31\139"] = { "gzip", "-dc" }, ["\40\181"] = { "zstd", "-dcq" } }

local function plain_of(path)
	local bytes = shell.read(path)
	local program = PROGRAMS[bytes:sub(1, 2)]
	if not program then
		return bytes
	end
	return (shell.check({ program[1], program[2], input = bytes }))
end

local Look = {}
Look.__index = Look

function Look:problem(format, ...)
	self.found.problems[#self.found.problems + 1] = format:format(...)
end

function Look:path(digest)
	return self.dir .. "/blobs/" .. digest:gsub(":", "/", 1)
end

-- Notes that something leads to a blob; returns its text when it is a document.
function Look:follow(descriptor, what)
	local digest = descriptor.digest
	self.found.reached[digest] = true
	if not self.found.blobs[digest] then
		return nil
	end
	local bytes = shell.read(self:path(digest))
	if #bytes ~= descriptor.size then
		self:problem("%s %s has %d bytes, not %d", what, digest, #bytes, descriptor.size)
	end
	return bytes
end

function Look:image(descriptor, text)
	local manifest = cjson.decode(text)
	if manifest.mediaType and manifest.mediaType ~= descriptor.mediaType then
		self:problem("%s is %s by its descriptor", manifest.mediaType, descriptor.mediaType)
	end
	local config_text = self:follow(manifest.config, "config")
	local image = {
		digest = descriptor.digest,
		text = text,
		manifest = manifest,
		descriptor = descriptor,
		config_text = config_text,
		id = manifest.config.digest,
		layers = {},
		config = config_text and cjson.decode(config_text),
	}
	for i, layer in ipairs(manifest.layers) do
		local bytes = self:follow(layer, "layer")
		local plain = bytes and plain_of(self:path(layer.digest))
		image.layers[i] = {
			digest = layer.digest,
			size = layer.size,
			type = layer.mediaType,
			annotations = layer.annotations or {},
			descriptor = layer,
			plain = plain,
			diff_id = plain and "sha256:" .. archive.sha256(plain),
		}
		local rootfs = image.config and image.config.rootfs
		if rootfs and not layer.mediaType:find("in%-toto") and plain and rootfs.diff_ids[i] ~= image.layers[i].diff_id then
			self:problem("layer %d of %s hashes to %s", i, descriptor.digest, image.layers[i].diff_id)
		end
	end
	if image.config and image.config.rootfs and #image.config.rootfs.diff_ids ~= #image.layers then
		self:problem("%s has %d layers", descriptor.digest, #image.layers)
	end
	return image
end

function Look:index(document)
	for _, descriptor in ipairs(document.manifests) do
		local text = self:follow(descriptor, "manifest")
		local name = (descriptor.annotations or {})["org.opencontainers.image.ref.name"]
		local known = self.images[descriptor.digest]
		if known then
			self.found.by_name[name or ""] = known
		elseif text and descriptor.mediaType:find("index") or text and descriptor.mediaType:find("list") then
			self.found.nested[descriptor.digest] = text
			self.found.by_name[name or ""] = { digest = descriptor.digest, text = text }
			self:index(cjson.decode(text))
		elseif text and descriptor.mediaType:find("manifest") then
			local image = self:image(descriptor, text)
			self.images[descriptor.digest] = image
			self.found.images[#self.found.images + 1] = image
			self.found.by_name[name or ""] = image
		end
	end
end

-- Every blob has to hash to its name.
function Look:hash()
	local script = [[
		cd "$1"; find blobs -type f -o -type l | grep -v ^blobs/sha512/ | LC_ALL=C sort | xargs -r sha256sum
		if [ -d blobs/sha512 ]; then find blobs/sha512 -type f | LC_ALL=C sort | xargs -r sha512sum; fi]]
	for hex, name in shell.sh(script, self.dir):gmatch("(%x+)  ([^\n]+)\n") do
		local algorithm, stated = name:match("^blobs/(sha%d+)/(%x+)$")
		self.found.blobs[(algorithm or "sha256") .. ":" .. (stated or "?")] = true
		if stated ~= hex then
			self:problem("%s hashes to %s", name, hex)
		end
	end
end

--- Looks at a layout with sha256sum, gzip, zstd and cjson. What contradicts itself is in `problems`.
---@param path string a directory, or an archive
---@return spec.Found
function blobs.look(path)
	local dir = path
	if shell.run({ "test", "-d", path }).status ~= 0 then
		dir = tmp.dir(tmp.for_peers()).path
		shell.check({ "tar", "--extract", "--file=" .. path, "--directory=" .. dir })
	end
	local found = {
		images = {}, by_name = {}, blobs = {}, reached = {}, problems = {}, nested = {}, files = list_files(dir),
		root = shell.read(dir .. "/index.json"),
	}
	local self = setmetatable({ dir = dir, found = found, images = {} }, Look)
	self:hash()
	found.index = cjson.decode(found.root)
	self:index(found.index)
	found.layout = cjson.decode(shell.read(dir .. "/oci-layout"))
	if found.layout.imageLayoutVersion ~= "1.0.0" then
		self:problem("oci-layout is %s", tostring(found.layout.imageLayoutVersion))
	end
	if dir ~= path then
		shell.check({ "rm", "-rf", "--", dir })
	end
	return found
end

return blobs
