--- A large image that is there at once: its layer is mostly zeros, a hole in the file.

local cjson = require "cjson"
local docker_archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"

local zeros = {}

local PARTS = 4

--- Writes an archive zeros:1 with etc/motd and data/zeros1 to data/zeros4.
---@param path string
---@param bytes number of content
function zeros.write(path, bytes)
	local part = math.floor(bytes / PARTS / 512) * 512
	local motd = "zeros\n"
	local first = docker_archive.header({ name = "etc/motd", data = motd }) .. motd .. docker_archive.padding(#motd)
	local size = #first + PARTS * (512 + part) + 1024
	local file = assert(io.open(path, "wb"))
	file:write(docker_archive.header({ name = "layer.tar", size = size }), first)
	for i = 1, PARTS do
		file:write(docker_archive.header({ name = "data/zeros" .. i, size = part }))
		file:seek("cur", part)
	end
	file:close()
	shell.check({ "truncate", "-s", ("%d"):format(512 + size), path })
	local digest = shell.sh('tail -c +513 "$1" | openssl dgst -sha256 -r', path):match("%x+")
	local config = cjson.encode({
		architecture = "amd64",
		os = "linux",
		config = { Env = { "PATH=/bin" } },
		rootfs = { type = "layers", diff_ids = { "sha256:" .. digest } },
	})
	local manifest = cjson.encode({ { Config = "config.json", RepoTags = { "zeros:1" }, Layers = { "layer.tar" } } })
	file = assert(io.open(path, "ab"))
	file:write(docker_archive.tar({
		{ name = "config.json", data = config },
		{ name = "manifest.json", data = manifest },
	}))
	file:close()
end

return zeros
