--- Images in the registry of the specs, clients that do not wait between tries, and requests as short lines.

local client = require "strata.registry"
local oci_layout = require "spec.support.oci_layout"
local strata = require "strata"

local remote = {}

---@class spec.RemoteImage
---@field layout spec.OciLayout
---@field descriptor table of the manifest
---@field digest string
---@field config string digest
---@field layers spec.OciLayer[]

--- An image whose layers each have one file, "one", "two" ... unless they are given.
---@param options? table layers, count, size (lines of a file), name, compression; layout, platform, family, manifest
---  as oci_layout has them
---@return spec.RemoteImage
function remote.image(options)
	options = options or {}
	local layout = options.layout or oci_layout.new()
	local layers = options.layers or {}
	for i = 1, options.layers and 0 or options.count or 2 do
		local name = (options.name or "layer") .. i
		layers[i] = layout:layer({ { name = name, data = ("this is %s\n"):format(name):rep(options.size or 1) } },
			{ compression = options.compression or "gzip", family = options.family })
	end
	local image = layout:image({ layers = layers, platform = options.platform, family = options.family,
		name = options.name, manifest = options.manifest })
	return { layout = layout, descriptor = image.descriptor, digest = image.descriptor.digest, config = image.id,
		layers = layers, manifest = image.manifest }
end

--- Bytes that no compression makes smaller, always the same ones.
---@param size integer
---@return string
function remote.noise(size)
	local state, parts = 12345, {}
	for i = 1, size do
		state = (state * 16807) % 2147483647
		parts[i] = string.char(state % 256)
	end
	return table.concat(parts)
end

local function media_type_of(text)
	return text:match('"mediaType":"([^"]*)","schemaVersion"') or text:match('.*"mediaType":"([^"]*)"')
end

--- Puts all blobs and manifests of a layout into a registry, behind its API, and gives one of them a tag.
---@param to spec.Registry
---@param repository string
---@param layout spec.OciLayout
---@param digest string of the manifest or index with the tag
---@param tag? string
function remote.put(to, repository, layout, digest, tag)
	for name, bytes in pairs(layout.blobs) do
		if layout.manifests[name] then
			to:put_manifest(repository, name == digest and tag or nil, bytes, media_type_of(bytes))
		else
			to:put_blob(repository, bytes)
		end
	end
end

--- A client whose tries follow each other at once.
---@param options? table
---@return strata.Registry
function remote.client(options)
	local settings = { system = false, credentials = {} }
	for name, value in pairs(options or {}) do
		settings[name] = value
	end
	local hub = assert(strata.registry(settings))
	client.client_of(hub).random = function()
		return -1.5
	end
	return hub
end

--- Requests as lines: "GET app/manifests/1 200", with names instead of digests where there are names. Of an upload the
--- identifier is left out, and of its query all but digest, mount and from.
---@param server spec.RegistryServer
---@param names? table<string, string> by digest
---@return string[]
function remote.lines(server, names)
	local lines = {}
	for i, request in ipairs(server:log()) do
		local path, query = request.path:match("^/v2/([^?]*)%??(.*)$")
		path, query = path or request.path, query or ""
		path = path:gsub("(blobs/uploads/)[^/]+$", "%1*")
		local kept = {}
		for name, value in query:gmatch("([%w]+)=([^&]*)") do
			if name == "digest" or name == "mount" or name == "from" or name == "n" or name == "last" or name == "tag" then
				kept[#kept + 1] = name .. "=" .. value
			end
		end
		local line = ("%s %s%s %d"):format(request.method, path, #kept > 0 and "?" .. table.concat(kept, "&") or "",
			request.status)
		lines[i] = line:gsub("sha%d+:%x+", names or {})
	end
	return lines
end

--- Names for the digests of an image.
---@param image spec.RemoteImage
---@param into? table
---@return table<string, string>
function remote.names(image, into)
	local names = into or {}
	names[image.digest], names[image.config] = "MANIFEST", "CONFIG"
	for i, layer in ipairs(image.layers) do
		names[layer.descriptor.digest] = ("LAYER%d"):format(i)
	end
	return names
end

--- The same lines in the order of their bytes, for those that come at the same time.
---@param lines string[]
---@return string[]
function remote.sorted(lines)
	table.sort(lines)
	return lines
end

return remote
