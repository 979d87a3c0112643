--- One image, stored as each of the programs that write image archives stores it.

local docker_archive = require "spec.support.docker_archive"

local docker_dialects = {}

local list, sha256 = docker_archive.list, docker_archive.sha256

-- ---- what the dialects have in common ----------------------------------------------------------------

local function quoted(text)
	return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function null_or_list(strings)
	return #strings > 0 and list(strings) or "null"
end

local function split(tag)
	return tag:match("^(.*):([^:]*)$")
end

-- {"app":{"1":"..."}} for one or more images.
local function repositories(images, id_of)
	local order, tags = {}, {}
	for _, image in ipairs(images) do
		for _, tag in ipairs(image.tags) do
			local repository, version = split(tag)
			if not tags[repository] then
				tags[repository] = {}
				order[#order + 1] = repository
			end
			table.insert(tags[repository], quoted(version) .. ":" .. quoted(id_of(image)))
		end
	end
	if #order == 0 then
		return nil
	end
	for i, repository in ipairs(order) do
		order[i] = quoted(repository) .. ":{" .. table.concat(tags[repository], ",") .. "}"
	end
	return "{" .. table.concat(order, ",") .. "}\n"
end

-- The directory of a layer in old archives; it follows from the layers below and, on top, the config.
local function v1_id(image, number)
	local parts = { number == #image.layers and image.inner or "" }
	for i = 1, number do
		parts[#parts + 1] = image.layers[i].diff_id
	end
	return sha256("v1 " .. table.concat(parts, " "))
end

local function v1_json(image, number)
	local parent = number > 1 and (',"parent":%s'):format(quoted(v1_id(image, number - 1))) or ""
	local rest = '"container_config":{"Env":null}'
	if number == #image.layers then
		rest = ('"architecture":"amd64","config":%s,"os":"linux"'):format(image.inner)
	end
	return ('{"id":"%s"%s,"created":"2020-01-01T00:00:00Z",%s}'):format(v1_id(image, number), parent, rest)
end

local function manifest(images, config_of, layer_of, more)
	local items = {}
	for i, image in ipairs(images) do
		local names = {}
		for j, layer in ipairs(image.layers) do
			names[j] = layer_of(layer, j, image)
		end
		items[i] = ('{"Config":%s,"RepoTags":%s,"Layers":%s%s}'):format(
			quoted(config_of(image)),
			null_or_list(image.tags),
			list(names),
			more and more(image) or ""
		)
	end
	return "[" .. table.concat(items, ",") .. "]"
end

-- ---- dialects ---------------------------------------------------------------------------------------

--- One function per program: takes images, returns an archive of them.
---@type table<string, fun(...: spec.Image): spec.Archive>
docker_dialects.of = {}

local dialects = docker_dialects.of

--- Docker 1.10 to 24: a directory per layer, a repeated layer is a symlink.
function dialects.docker_1_10(...)
	local images, archive, where = { ... }, docker_archive.new(), {}
	for _, image in ipairs(images) do
		for i, layer in ipairs(image.layers) do
			local dir = v1_id(image, i)
			archive:add(dir .. "/", nil, { type = "dir" })
			archive:add(dir .. "/VERSION", "1.0")
			archive:add(dir .. "/json", v1_json(image, i))
			local other = where[layer.diff_id]
			if other and other ~= dir then
				local target = "../" .. other .. "/layer.tar"
				archive:add(dir .. "/layer.tar", nil, { type = "symlink", linkpath = target })
			else
				where[layer.diff_id] = dir
				archive:add(dir .. "/layer.tar", layer.tar)
			end
		end
		archive:add(image.id .. ".json", image.config)
	end
	archive:add("manifest.json", manifest(images, function(image)
		return image.id .. ".json"
	end, function(_, i, image)
		return v1_id(image, i) .. "/layer.tar"
	end) .. "\n")
	local repositories_text = repositories(images, function(image)
		return v1_id(image, #image.layers)
	end)
	if repositories_text then
		archive:add("repositories", repositories_text)
	end
	return archive
end

local function blob(hex)
	return "blobs/sha256/" .. hex
end

local function descriptor(media_type, bytes, more)
	return ('{"mediaType":"%s","digest":"sha256:%s","size":%d%s}'):format(media_type, sha256(bytes), #bytes, more or "")
end

local OCI = "application/vnd.oci.image."

local function oci_manifest(image, compressed)
	local layers = {}
	for i, layer in ipairs(image.layers) do
		layers[i] = descriptor(
			OCI .. "layer.v1.tar" .. (compressed and "+gzip" or ""),
			compressed and layer.gz or layer.tar
		)
	end
	return ('{"schemaVersion":2,"mediaType":"%smanifest.v1+json","config":%s,"layers":[%s]}'):format(
		OCI,
		descriptor(OCI .. "config.v1+json", image.config),
		table.concat(layers, ",")
	)
end

local function oci_index(descriptors)
	return ('{"schemaVersion":2,"mediaType":"%sindex.v1+json","manifests":[%s]}'):format(
		OCI,
		table.concat(descriptors, ",")
	)
end

local function annotations(tag)
	local _, version = split(tag)
	return (',"annotations":{"io.containerd.image.name":%s,"org.opencontainers.image.ref.name":%s}'):format(
		quoted(tag:find("/") and tag or "docker.io/library/" .. tag),
		quoted(version)
	)
end

-- A descriptor per tag of each image.
local function tagged(images, media_type, document_of)
	local found = {}
	for _, image in ipairs(images) do
		for _, tag in ipairs(image.tags) do
			found[#found + 1] = descriptor(media_type, document_of(image), annotations(tag))
		end
		if #image.tags == 0 then
			found[#found + 1] = descriptor(media_type, document_of(image))
		end
	end
	return found
end

local LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

local function layer_sources(image, key, bytes, media_type)
	local sources, seen = {}, {}
	for _, layer in ipairs(image.layers) do
		if not seen[layer.diff_id] then
			seen[layer.diff_id] = true
			sources[#sources + 1] = ('"sha256:%s":%s'):format(layer[key], descriptor(media_type, layer[bytes]))
		end
	end
	return (',"LayerSources":{%s}'):format(table.concat(sources, ","))
end

--- Docker 25 to 28: blobs by digest, an OCI index, LayerSources, v1 documents that nothing names.
function dialects.docker_25(...)
	local images, archive = { ... }, docker_archive.new()
	archive:add("blobs/", nil, { type = "dir" }):add("blobs/sha256/", nil, { type = "dir" })
	for _, image in ipairs(images) do
		for i, layer in ipairs(image.layers) do
			archive:add(blob(layer.diff_id), layer.tar)
			archive:add(blob(sha256(v1_json(image, i))), v1_json(image, i))
		end
		archive:add(blob(image.id), image.config)
		archive:add(blob(sha256(oci_manifest(image))), oci_manifest(image))
	end
	archive:add("index.json", oci_index(tagged(images, OCI .. "manifest.v1+json", oci_manifest)))
	archive:add("manifest.json", manifest(images, function(image)
		return blob(image.id)
	end, function(layer)
		return blob(layer.diff_id)
	end, function(image)
		return layer_sources(image, "diff_id", "tar", OCI .. "layer.v1.tar")
	end))
	archive:add("oci-layout", LAYOUT)
	local repositories_text = repositories(images, function(image)
		return image.layers[#image.layers].diff_id
	end)
	if repositories_text then
		archive:add("repositories", repositories_text)
	end
	return archive
end

-- The attestation that buildkit puts beside an image: never a layer of it.
local ATTESTED = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
	.. '{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:'
	.. ("0"):rep(64)
	.. '","size":2},"layers":[]}'

--- Docker 29: original blobs, an index below the index with an attestation, no repositories.
function dialects.docker_29(...)
	local images, archive = { ... }, docker_archive.new()
	local function compressed_manifest(image)
		return oci_manifest(image, true)
	end
	local function nested(image)
		return oci_index({
			descriptor(
				OCI .. "manifest.v1+json",
				compressed_manifest(image),
				',"platform":{"architecture":"amd64","os":"linux"}'
			),
			descriptor(
				OCI .. "manifest.v1+json",
				ATTESTED,
				',"platform":{"architecture":"unknown","os":"unknown"}'
			),
		})
	end
	archive:add("blobs/", nil, { type = "dir" }):add("blobs/sha256/", nil, { type = "dir" })
	for _, image in ipairs(images) do
		for _, layer in ipairs(image.layers) do
			archive:add(blob(layer.gz_id), layer.gz)
		end
		archive:add(blob(image.id), image.config)
		archive:add(blob(sha256(compressed_manifest(image))), compressed_manifest(image))
		archive:add(blob(sha256(ATTESTED)), ATTESTED)
		archive:add(blob(sha256(nested(image))), nested(image))
	end
	archive:add("index.json", oci_index(tagged(images, OCI .. "index.v1+json", nested)))
	archive:add("manifest.json", manifest(images, function(image)
		return blob(image.id)
	end, function(layer)
		return blob(layer.gz_id)
	end))
	return archive:add("oci-layout", LAYOUT)
end

--- regctl: the control files first, LayerSources by the digests of the compressed layers.
function dialects.regctl(...)
	local images, archive = { ... }, docker_archive.new()
	local function compressed_manifest(image)
		return oci_manifest(image, true)
	end
	archive:add("oci-layout", LAYOUT)
	archive:add("index.json", oci_index(tagged(images, OCI .. "manifest.v1+json", compressed_manifest)))
	archive:add("manifest.json", manifest(images, function(image)
		return blob(image.id)
	end, function(layer)
		return blob(layer.gz_id)
	end, function(image)
		return layer_sources(image, "gz_id", "gz", OCI .. "layer.v1.tar+gzip")
	end))
	archive:add("blobs/", nil, { type = "dir" }):add("blobs/sha256/", nil, { type = "dir" })
	for _, image in ipairs(images) do
		archive:add(blob(sha256(compressed_manifest(image))), compressed_manifest(image))
		archive:add(blob(image.id), image.config)
		for _, layer in ipairs(image.layers) do
			archive:add(blob(layer.gz_id), layer.gz)
		end
	end
	return archive
end

--- skopeo and podman: layers by diff_id, symlinks for old readers, control files last.
function dialects.podman(...)
	local images, archive = { ... }, docker_archive.new()
	for _, image in ipairs(images) do
		for i, layer in ipairs(image.layers) do
			local dir = v1_id(image, i)
			archive:add(layer.diff_id .. ".tar", layer.tar, { mode = 292 })
			local target = "../" .. layer.diff_id .. ".tar"
			archive:add(dir .. "/layer.tar", nil, { type = "symlink", linkpath = target, mode = 0 })
			archive:add(dir .. "/VERSION", "1.0", { mode = 292 })
			archive:add(dir .. "/json", v1_json(image, i), { mode = 292 })
		end
		archive:add(image.id .. ".json", image.config, { mode = 292 })
	end
	local repositories_text = repositories(images, function(image)
		return v1_id(image, #image.layers)
	end)
	if repositories_text then
		archive:add("repositories", repositories_text, { mode = 292 })
	end
	return archive:add("manifest.json", manifest(images, function(image)
		return image.id .. ".json"
	end, function(layer)
		return layer.diff_id .. ".tar"
	end), { mode = 292 })
end

--- crane, ko, kaniko: a colon in the config's name, gzip layers, manifest.json last.
function dialects.kaniko(...)
	local images, archive = { ... }, docker_archive.new()
	for _, image in ipairs(images) do
		archive:add("sha256:" .. image.id, image.config)
		for _, layer in ipairs(image.layers) do
			archive:add(layer.gz_id .. ".tar.gz", layer.gz)
		end
	end
	return archive:add("manifest.json", manifest(images, function(image)
		return "sha256:" .. image.id
	end, function(layer)
		return layer.gz_id .. ".tar.gz"
	end))
end

--- Bazel's rules_docker: every name begins with "./", a layer stands behind a symlink.
function dialects.rules_docker(...)
	local images, archive = { ... }, docker_archive.new()
	archive:add("./", nil, { type = "dir" })
	for _, image in ipairs(images) do
		for i, layer in ipairs(image.layers) do
			local dir = v1_id(image, i)
			archive:add("./" .. layer.diff_id .. "/layer.tar", layer.tar)
			local target = "../" .. layer.diff_id .. "/layer.tar"
			archive:add("./" .. dir .. "/layer.tar", nil, { type = "symlink", linkpath = target })
		end
		archive:add("./" .. image.id .. ".json", image.config)
	end
	return archive:add("./manifest.json", manifest(images, function(image)
		return image.id .. ".json"
	end, function(_, i, image)
		return v1_id(image, i) .. "/layer.tar"
	end))
end

--- Bazel's rules_oci: blobs with a suffix, and nothing but manifest.json.
function dialects.rules_oci(...)
	local images, archive = { ... }, docker_archive.new()
	for _, image in ipairs(images) do
		archive:add(blob(image.id), image.config, { mode = 493 })
		for _, layer in ipairs(image.layers) do
			archive:add(blob(layer.gz_id) .. ".tar.gz", layer.gz, { mode = 493 })
		end
	end
	return archive:add("manifest.json", manifest(images, function(image)
		return blob(image.id)
	end, function(layer)
		return blob(layer.gz_id) .. ".tar.gz"
	end))
end

--- nix: a directory per layer by its digest, JSON with white space.
function dialects.nix(...)
	local images, archive = { ... }, docker_archive.new()
	for _, image in ipairs(images) do
		for _, layer in ipairs(image.layers) do
			archive:add(layer.diff_id .. "/layer.tar", layer.tar)
		end
		archive:add(image.id .. ".json", image.config)
	end
	local text = manifest(images, function(image)
		return image.id .. ".json"
	end, function(layer)
		return layer.diff_id .. "/layer.tar"
	end)
	return archive:add("manifest.json", (text:gsub('([%[{,:])"', '%1\n    "')))
end

--- Buildpacks: names in manifest.json begin with "/".
function dialects.pack(...)
	local images, archive = { ... }, docker_archive.new()
	for _, image in ipairs(images) do
		for _, layer in ipairs(image.layers) do
			archive:add("/" .. layer.diff_id .. ".tar", layer.tar)
		end
		archive:add(image.id .. ".json", image.config)
	end
	return archive:add("manifest.json", manifest(images, function(image)
		return image.id .. ".json"
	end, function(layer)
		return "/" .. layer.diff_id .. ".tar"
	end))
end

--- jib: lower-case keys, a config whose name tells nothing. Holds one image.
function dialects.jib(image)
	local archive = docker_archive.new()
	for _, layer in ipairs(image.layers) do
		archive:add(layer.gz_id .. ".tar.gz", layer.gz)
	end
	archive:add("config.json", image.config)
	local text = manifest({ image }, function()
		return "config.json"
	end, function(layer)
		return layer.gz_id .. ".tar.gz"
	end)
	text = text:gsub("Config", "config", 1):gsub("RepoTags", "repoTags", 1):gsub("Layers", "layers", 1)
	return archive:add("manifest.json", text)
end

--- The names of the dialects, sorted.
---@return string[]
function docker_dialects.names()
	local names = {}
	for name in pairs(dialects) do
		names[#names + 1] = name
	end
	table.sort(names)
	return names
end

return docker_dialects
