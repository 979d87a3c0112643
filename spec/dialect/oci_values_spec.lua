-- Takes seconds: not for make check.
-- Documents whose values are replaced one by one by others, all digests right: whatever comes of it, nothing
-- is thrown but strings that say what is wrong.

local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local refusal = require "spec.support.refusal"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local raw, types, with = oci_layout.raw, oci_layout.types, oci_layout.with
local OTHERS = { oci_layout.null, raw("-1.5"), raw('"x"'), raw("{}"), raw("[null]"), raw("[]"), raw("true") }

local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	dir:remove()
end)

-- ---- changing one value -----------------------------------------------------------------------------

-- Every place in a value, as a path of keys, in a fixed order.
local function places(value, at, found)
	local keys = {}
	for key in pairs(value) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	for _, key in ipairs(keys) do
		local path = with(at)
		path[#path + 1] = key
		found[#found + 1] = path
		if type(value[key]) == "table" then
			places(value[key], path, found)
		end
	end
	return found
end

-- A copy with another value at a path.
local function replaced(value, path, depth, other)
	local copy = with(value)
	local key = path[depth]
	if depth == #path then
		copy[key] = other
	else
		copy[key] = replaced(value[key], path, depth + 1, other)
	end
	return copy
end

-- ---- the documents ----------------------------------------------------------------------------------

-- An archive that both manifest.json and index.json are in; `change` gets each document by its name, as a
-- table, and returns what is written. What leads to it follows.
local function build(change)
	local made, names, descriptors, diff_ids = oci_layout.new(), {}, {}, {}
	for i, name in ipairs({ "a", "b" }) do
		local layer = made:file_layer(name, { descriptor = { annotations = { k = "v" }, urls = { "https://example.com" } } })
		names[i], descriptors[i] = oci_layout.blob_name(layer.descriptor.digest), layer.descriptor
		diff_ids[i] = layer.diff_id
	end
	local config = made:document(change("config", {
		architecture = "amd64",
		os = "linux",
		config = { Env = { "A=B" }, Labels = { l = "m" } },
		history = { { created_by = "x", empty_layer = true }, { created_by = "y" }, { created_by = "z" } },
		rootfs = { type = "layers", diff_ids = diff_ids },
	}), types.oci.config)
	local manifest = made:document(change("manifest", {
		schemaVersion = 2,
		mediaType = types.oci.manifest,
		config = config,
		layers = descriptors,
		annotations = { c = "d" },
		subject = { mediaType = types.oci.manifest, digest = config.digest, size = 1 },
	}), types.oci.manifest)
	manifest.platform = { architecture = "amd64", os = "linux" }
	local index = made:document(change("index", {
		schemaVersion = 2,
		mediaType = types.oci.index,
		manifests = { manifest },
		annotations = { e = "f" },
	}), types.oci.index)
	index.annotations = { [oci_layout.REF_NAME] = "1", [oci_layout.NAME] = "docker.io/library/app:1" }
	made.root.manifests = { index }
	made.root = change("index.json", made.root)
	made.layout = oci_layout.encode(change("oci-layout", { imageLayoutVersion = "1.0.0" }))
	local list = { { Config = oci_layout.blob_name(config.digest), RepoTags = { "app:1" }, Layers = names } }
	made.extra["manifest.json"] = oci_layout.encode(change("manifest.json", list))
	return made
end

local function write(made, hybrid)
	local archive = docker_archive.new()
	for digest, bytes in pairs(made.blobs) do
		archive:add(oci_layout.blob_name(digest), bytes)
	end
	archive:add("index.json", made:index_text()):add("oci-layout", made.layout)
	if hybrid then
		archive:add("manifest.json", made.extra["manifest.json"])
	end
	return archive:write(dir:file("image.tar"))
end

-- ---- asking for everything --------------------------------------------------------------------------

-- Returns what a function gives; it may throw a string, or give nil, message, code.
local function try(where, fn, ...)
	local ok, value, message, code = pcall(fn, ...)
	if not ok then
		assert.equal("string", type(value), where)
		assert.is_nil(value:find("attempt to", 1, true) or value:find("bad argument", 1, true), where .. ": " .. value)
		return nil
	elseif value == nil and message ~= nil then
		refusal.expect(value, message, code)
	end
	return value
end

local QUESTIONS = {
	function(img) return img:verify() end,
	function(img) return tostring(img) .. tostring(img.platform) .. img.id end,
	function(img) return img.digest end,
	function(img) return img:files() end,
	function(img) return #img:history() end,
	function(img) return img:inspect() end,
	function(img)
		for _, layer in img:layers() do
			assert(type(layer.media_type) == "string" and type(layer.digest) == "string")
			for key, value in pairs(layer.annotations) do
				assert(type(key) == "string" and type(value) == "string")
			end
		end
	end,
	function(img) return img.config:set_env("A", "1") end,
	function(img) return img:save(dir:file("out")) end,
	function(img) return img:save(dir:file("out"), { format = "docker" }) end,
	function(img) return img:save(dir:file("out"), { format = "oci-archive", compression = "none" }) end,
}

local function exercise(path, where)
	for _, opts in ipairs({ {}, { prefer = "oci", platform = "linux/amd64" }, { prefer = "docker" } }) do
		local img = try(where, strata.open, path, opts)
		if img then
			for _, ask in ipairs(QUESTIONS) do
				try(where, ask, img)
			end
			img:close()
		end
	end
	local index = try(where, strata.open_index, path)
	if index then
		try(where, function() return #index.manifests end)
		local images = try(where, index.images, index)
		if images then
			try(where, function()
				for img in images do
					img.config:set_env("B", "2")
				end
				return true
			end)
		end
		try(where, function() return index:save(dir:file("out")) end)
		index:close()
	end
end

describe("every value of", function()
	for _, name in ipairs({ "index.json", "index", "manifest", "config", "oci-layout", "manifest.json" }) do
		it(name .. " may be any other", function()
			local original
			build(function(of, document)
				original = of == name and document or original
				return document
			end)
			for i, path in ipairs(places(original, {}, {})) do
				-- Four of the seven in turn, so that it does not take forever.
				for turn = 1, 4 do
					local other = OTHERS[(i + 2 * turn) % #OTHERS + 1]
					local where = ("%s: /%s is %s"):format(name, table.concat(path, "/"), other[1])
					local made = build(function(of, document)
						return of == name and replaced(document, path, 1, other) or document
					end)
					exercise(write(made, name == "manifest.json" or turn % 2 == 0), where)
				end
			end
		end)
	end

	it("none of them is fine", function()
		local img = assert(strata.open(write(build(function(_, document) return document end), true)))
		assert.is_true(assert(img:verify()))
		assert.is_string(img.digest)
		assert(img:save(dir:file("out")))
	end)
end)
