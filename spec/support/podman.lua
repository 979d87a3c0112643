--- podman with a storage of its own, for loading and saving archives.

local cjson = require "cjson"
local once = require "spec.support.once"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local podman = {}

local function directory()
	return once.get("podman", function()
		local dir = tmp.dir(tmp.for_peers())
		-- locks in files of ours: the default is a shared memory object of the whole machine
		dir:write("containers.conf", '[engine]\nlock_type = "file"\n')
		return dir
	end)
end

--- Runs `podman ...`; a failure throws.
---@param arguments string[]
---@return string stdout
function podman.call(arguments)
	local dir = directory()
	local words = {
		"podman",
		"--root=" .. dir:file("root"),
		"--runroot=" .. dir:file("run"),
		"--tmpdir=" .. dir:file("tmp"),
		"--storage-driver=vfs",
		"--events-backend=none",
		"--cgroup-manager=cgroupfs",
	}
	for _, argument in ipairs(arguments) do
		words[#words + 1] = argument
	end
	words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8", CONTAINERS_CONF = dir:file("containers.conf") }
	return (shell.check(words))
end

--- Removes all images. No daemon knows of the files, and podman takes a hundred times as long.
function podman.forget()
	local dir = directory()
	shell.check({ "rm", "-rf", dir:file("root"), dir:file("run") })
end

--- Throws the reason if it cannot unpack a layer here.
function podman.probe()
	local dir = tmp.dir()
	shell.check({ "tar", "-cf", dir:file("probe.tar"), "-C", dir:file(""), "--exclude", "probe.tar", "." })
	local ok = pcall(podman.call, { "import", "--quiet", dir:file("probe.tar"), "localhost/probe:1" })
	if not ok then
		error("podman cannot unpack a layer here", 0)
	end
	podman.forget()
end

--- Loads an archive into an empty storage and returns the IDs by name.
---@param path string
---@return table<string, string> ids
function podman.load(path)
	podman.forget()
	podman.call({ "load", "--quiet", "--input", path })
	local ids = {}
	for _, image in ipairs(cjson.decode(shell.read(directory():file("root/vfs-images/images.json")))) do
		for _, name in ipairs(image.names or { "<none>:<none>" }) do
			ids[name] = "sha256:" .. image.id
		end
	end
	return ids
end

--- Saves an image as a docker archive.
---@param path string
---@param ... string references
function podman.save(path, ...)
	podman.call({ "save", "--quiet", "--format", "docker-archive", "--output", path, ... })
end

return podman
