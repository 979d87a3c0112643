--- skopeo and umoci on local files.

local shell = require "spec.support.shell"

local skopeo = {}

local function call(words)
	words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }
	return (shell.check(words))
end

--- The config document of an image, decoded.
---@param source string such as "docker-archive:app.tar"
---@return table
function skopeo.config(source)
	return require("cjson").decode(call({ "skopeo", "--insecure-policy", "inspect", "--config", source }))
end

--- What `skopeo inspect` says of an image, decoded: Layers, Labels, Env and more.
---@param source string
---@return table
function skopeo.inspect(source)
	return require("cjson").decode(call({ "skopeo", "--insecure-policy", "inspect", source }))
end

--- Copies an image; skopeo verifies every digest on the way.
---@param source string
---@param target string
---@param option? string
function skopeo.copy(source, target, option)
	local words = { "skopeo", "--insecure-policy", "copy", "--quiet", source, target }
	if option then table.insert(words, 5, option) end
	call(words)
end

--- Unpacks a docker archive through an OCI layout with umoci below a directory.
---@param archive string
---@param dir spec.Dir
---@return string rootfs
function skopeo.unpack(archive, dir)
	skopeo.copy("docker-archive:" .. archive, "oci:" .. dir:file("oci") .. ":image")
	call({ "umoci", "unpack", "--image", dir:file("oci") .. ":image", dir:file("bundle") })
	return dir:file("bundle") .. "/rootfs"
end

return skopeo
