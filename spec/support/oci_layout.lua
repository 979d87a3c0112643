--- OCI image layouts written by hand, as a directory and, through GNU tar, as an archive.
--
-- Documents are tables that a spec may change before they become blobs, or texts as they are. Digests come
-- from sha256sum and openssl, compressed layers from gzip and zstd.

local archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local oci_layout = {}

local OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."

--- Media types, by family.
oci_layout.types = {
	oci = {
		index = OCI .. "index.v1+json",
		manifest = OCI .. "manifest.v1+json",
		config = OCI .. "config.v1+json",
		none = OCI .. "layer.v1.tar",
		gzip = OCI .. "layer.v1.tar+gzip",
		zstd = OCI .. "layer.v1.tar+zstd",
		foreign = OCI .. "layer.nondistributable.v1.tar+gzip",
	},
	docker = {
		index = DOCKER .. "distribution.manifest.list.v2+json",
		manifest = DOCKER .. "distribution.manifest.v2+json",
		config = DOCKER .. "container.image.v1+json",
		none = DOCKER .. "image.rootfs.diff.tar",
		gzip = DOCKER .. "image.rootfs.diff.tar.gzip",
		zstd = DOCKER .. "image.rootfs.diff.tar.zstd",
		foreign = DOCKER .. "image.rootfs.foreign.diff.tar.gzip",
	},
}

local types = oci_layout.types
local MANIFESTS = {
	[types.oci.index] = true,
	[types.oci.manifest] = true,
	[types.docker.index] = true,
	[types.docker.manifest] = true,
}

oci_layout.REF_NAME = "org.opencontainers.image.ref.name"
oci_layout.NAME = "io.containerd.image.name"

-- ---- JSON -------------------------------------------------------------------------------------------

local RAW, LIST = {}, {}

--- JSON text that goes into a document as it is.
---@param text string
function oci_layout.raw(text)
	return setmetatable({ text }, RAW)
end

oci_layout.null = oci_layout.raw("null")

--- An array that may be empty.
function oci_layout.list(items)
	return setmetatable(items or {}, LIST)
end

local function quoted(text)
	return '"' .. text:gsub('[%c"\\]', function(byte) return ("\\u%04x"):format(byte:byte()) end) .. '"'
end

--- Writes a value, names in order; an empty table is an object unless `list` made it.
---@param value any
---@return string
function oci_layout.encode(value)
	if type(value) == "string" then
		return quoted(value)
	elseif type(value) == "number" then
		return ("%d"):format(value)
	elseif type(value) ~= "table" then
		return tostring(value)
	elseif getmetatable(value) == RAW then
		return value[1]
	end
	local parts, names = {}, {}
	if value[1] ~= nil or getmetatable(value) == LIST then
		for i, item in ipairs(value) do
			parts[i] = oci_layout.encode(item)
		end
		return "[" .. table.concat(parts, ",") .. "]"
	end
	for name in pairs(value) do
		names[#names + 1] = name
	end
	table.sort(names)
	for i, name in ipairs(names) do
		parts[i] = quoted(name) .. ":" .. oci_layout.encode(value[name])
	end
	return "{" .. table.concat(parts, ",") .. "}"
end

--- A copy of a table with some fields changed; false takes one away.
---@param fields table
---@param changes? table
---@return table
function oci_layout.with(fields, changes)
	local copy = setmetatable({}, getmetatable(fields))
	for key, value in pairs(fields) do
		copy[key] = value
	end
	for key, value in pairs(changes or {}) do
		copy[key] = value or nil
	end
	return copy
end

-- ---- blobs ------------------------------------------------------------------------------------------

local filtered = {}

--- What a command makes of bytes, always the same. What it made of few is kept: specs build the same layers again.
---@param bytes string
---@param command string for sh
---@return string
function oci_layout.filter(bytes, command)
	local key = #bytes <= 65536 and command .. "\0" .. bytes
	local made = key and filtered[key] or shell.check({ "sh", "-c", command, input = bytes })
	if key then
		filtered[key] = made
	end
	return made
end

---@param bytes string
---@return string digest
function oci_layout.sha256(bytes)
	return "sha256:" .. archive.sha256(bytes)
end

---@param bytes string
---@return string digest
function oci_layout.sha512(bytes)
	return "sha512:" .. oci_layout.filter(bytes, "openssl dgst -sha512 -r"):match("^%x+")
end

---@class spec.OciLayout
---@field blobs table<string, string> by digest
---@field manifests table<string, boolean> which of them are manifests or indexes
---@field root table the document index.json
---@field text? string index.json instead of the document
---@field layout string|false oci-layout
---@field hash? fun(bytes: string): string names blobs; default sha256
---@field extra table<string, string> more files, by name
local Layout = {}
Layout.__index = Layout

--- An empty layout.
---@return spec.OciLayout
function oci_layout.new()
	return setmetatable({
		blobs = {},
		manifests = {},
		root = { schemaVersion = 2, mediaType = types.oci.index, manifests = oci_layout.list() },
		layout = '{"imageLayoutVersion":"1.0.0"}',
		extra = {},
	}, Layout)
end

--- Adds a blob.
---@param bytes string
---@param digest? string when it is not that of the bytes
---@return { digest: string, size: integer } descriptor
function Layout:blob(bytes, digest)
	digest = digest or (self.hash or oci_layout.sha256)(bytes)
	self.blobs[digest] = bytes
	return { digest = digest, size = #bytes }
end

--- Adds a document.
---@param document table|string
---@param media_type? string
---@return table descriptor
function Layout:document(document, media_type)
	local made = self:blob(type(document) == "string" and document or oci_layout.encode(document))
	made.mediaType = media_type
	self.manifests[made.digest] = MANIFESTS[media_type or ""]
	return made
end

local COMMANDS = { gzip = "gzip -nc", zstd = "zstd -qc" }

---@class spec.OciLayer
---@field descriptor table
---@field bytes string as stored
---@field tar string
---@field diff_id string

--- Adds a layer of entries as docker_archive.tar takes them.
---@param entries spec.Member[]
---@param how? { compression?: string, family?: string, bytes?: string, absent?: boolean, descriptor?: table }
---@return spec.OciLayer
function Layout:layer(entries, how)
	how = how or {}
	local compression = how.compression or "gzip"
	local tar = archive.tar(entries)
	local bytes = how.bytes or (COMMANDS[compression] and oci_layout.filter(tar, COMMANDS[compression]) or tar)
	local descriptor = how.absent and { digest = oci_layout.sha256(bytes), size = #bytes } or self:blob(bytes)
	descriptor.mediaType = types[how.family or "oci"][compression]
	return {
		descriptor = oci_layout.with(descriptor, how.descriptor),
		bytes = bytes,
		tar = tar,
		diff_id = oci_layout.sha256(tar),
	}
end

--- Adds a layer of one file that is called as the layer.
---@param name string
---@param how? table
---@return spec.OciLayer
function Layout:file_layer(name, how)
	return self:layer({ { name = name, data = "this is " .. name .. "\n" } }, how)
end

---@class spec.OciImage
---@field descriptor table of the manifest
---@field config string
---@field id string digest of the config
---@field manifest table

--- Adds an image: config and manifest. The last four change fields.
---@param options { layers: spec.OciLayer[], platform?: string, name?: string, family?: string, config?: table,
---  config_descriptor?: table, manifest?: table, descriptor?: table }
---@return spec.OciImage
function Layout:image(options)
	local family = types[options.family or "oci"]
	local os, architecture, variant = (options.platform or "linux/amd64"):match("^(%w+)/(%w+)/?(%w*)$")
	local diff_ids, descriptors = oci_layout.list(), oci_layout.list()
	for i, layer in ipairs(options.layers) do
		diff_ids[i], descriptors[i] = layer.diff_id, layer.descriptor
	end
	local config = oci_layout.encode(oci_layout.with({
		architecture = architecture,
		os = os,
		variant = variant ~= "" and variant or nil,
		config = { Cmd = { "/bin/" .. (options.name or "app") } },
		rootfs = { type = "layers", diff_ids = diff_ids },
	}, options.config))
	local manifest = oci_layout.with({
		schemaVersion = 2,
		mediaType = family.manifest,
		config = oci_layout.with(self:document(config, family.config), options.config_descriptor),
		layers = descriptors,
	}, options.manifest)
	local descriptor = self:document(manifest, family.manifest)
	if options.platform then
		descriptor.platform = { os = os, architecture = architecture, variant = variant ~= "" and variant or nil }
	end
	return {
		descriptor = oci_layout.with(descriptor, options.descriptor),
		config = config,
		id = oci_layout.sha256(config),
		manifest = manifest,
	}
end

--- Adds an index of descriptors as a blob.
---@param descriptors table[]
---@param options? { family?: string, index?: table, descriptor?: table }
---@return table descriptor
function Layout:index(descriptors, options)
	options = options or {}
	local media_type = types[options.family or "oci"].index
	local index = { schemaVersion = 2, mediaType = media_type, manifests = oci_layout.list(descriptors) }
	return oci_layout.with(self:document(oci_layout.with(index, options.index), media_type), options.descriptor)
end

--- Puts a descriptor into index.json, under a name.
---@param descriptor table
---@param name? string|table annotations, or the name of org.opencontainers.image.ref.name
---@return spec.OciLayout self
function Layout:list(descriptor, name)
	local annotations = type(name) == "string" and { [oci_layout.REF_NAME] = name } or name
	descriptor = oci_layout.with(descriptor)
	if annotations then
		descriptor.annotations = oci_layout.with(descriptor.annotations or {}, annotations)
	end
	table.insert(self.root.manifests, descriptor)
	return self
end

function Layout:index_text()
	return self.text or oci_layout.encode(self.root)
end

-- ---- files ------------------------------------------------------------------------------------------

--- Where a blob lies.
---@param digest string
---@return string
function oci_layout.blob_name(digest)
	return "blobs/" .. digest:gsub(":", "/", 1)
end

local function put(path, files)
	tmp.make(path)
	for name, bytes in pairs(files) do
		tmp.make(path .. "/" .. (name:match("^(.*)/") or "."))
		shell.write(path .. "/" .. name, bytes)
	end
end

--- Writes the layout as a directory.
---@param path string which is not there yet
---@return string path
function Layout:directory(path)
	local files = { ["index.json"] = self:index_text() }
	if self.layout then
		files["oci-layout"] = self.layout
	end
	for digest, bytes in pairs(self.blobs) do
		files[oci_layout.blob_name(digest)] = bytes
	end
	for name, bytes in pairs(self.extra) do
		files[name] = bytes
	end
	put(path, files)
	return path
end

--- Writes the layout as an archive of GNU tar's.
---@param path string
---@param options? string[] more for tar
---@return string path
function Layout:archive(path, options)
	local dir = tmp.dir(tmp.for_peers())
	self:directory(dir.path)
	local words = { "tar", "-C", dir.path, "--sort=name", "--mtime=@0", "--owner=0", "--group=0" }
	for _, word in ipairs(options or {}) do
		words[#words + 1] = word
	end
	for _, word in ipairs({ "-cf", path, "." }) do
		words[#words + 1] = word
	end
	shell.check(words)
	dir:remove()
	return path
end

--- Writes the first image of the layout as skopeo's `dir:` has it: manifest and blobs side by side.
---@param path string which is not there yet
---@return string path
function Layout:flat(path)
	local top = self.root.manifests[1].digest
	local files = { version = "Directory Transport Version: 1.1\n", ["manifest.json"] = self.blobs[top] }
	for digest, bytes in pairs(self.blobs) do
		if digest ~= top then
			files[digest:match("[^:]+$") .. (self.manifests[digest] and ".manifest.json" or "")] = bytes
		end
	end
	put(path, files)
	return path
end

return oci_layout
