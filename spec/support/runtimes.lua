--- What container runtimes make of an image, entry by entry: Docker with overlay2 and with vfs, containerd with
--- overlayfs, podman with overlay and with vfs, umoci. The image is loaded as anybody would do it; its layers are
--- read where the runtimes put them (runtimes.py).
---
--- What is left out of the comparison, since it is no matter of the image:
---
---  * Nothing is run, so that what runtimes put into a container (/etc/hosts, /dev) is never there.
---  * The time of a directory that no entry tells of, and of one that was changed behind its entry, is the one of the
---    unpacking: -1 here.
---  * security.selinux is the host's; trusted.overlay.* are the marks of overlayfs, which it does not show, either.

local cjson = require "cjson"
local docker = require "spec.support.docker"
local once = require "spec.support.once"
local pack = require "spec.support.pack"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local runtimes = {}

--- Those whose view is the merged view.
runtimes.DEFAULT = { "docker overlay2", "containerd overlayfs", "podman overlay" }

--- All of them: the others unpack one layer over the other.
runtimes.ALL = {
	"docker overlay2", "containerd overlayfs", "podman overlay", "docker vfs", "podman vfs", "umoci",
}

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- A file system for all of them, which goes at the end of the run, or when the run dies before.
local function disk()
	return once.get("runtimes.disk", function()
		local dir = shell.check({ "mktemp", "-d", tmp.for_peers() .. "/strata-disk.XXXXXX" }):match("^[^\n]+")
		local fifo = dir .. ".fifo" -- popen gives one end of a pipe, and both are needed
		shell.check({ "mkfifo", fifo })
		local words = { "setsid", "sh", HERE .. "/disk.sh", dir }
		local line = "PATH=" .. shell.quote(shell.PATH) .. "; export PATH; exec " .. shell.join(words)
		local pipe = assert(io.popen(line .. " >" .. shell.quote(fifo), "w"))
		local answer = assert(io.open(fifo, "r"))
		local path = answer:read("*l")
		answer:close()
		os.remove(fifo)
		if path == "" then
			pipe:close()
			error("overlayfs cannot be mounted, neither on a disk nor on an ext4 in a file nor in memory", 0)
		end
		return { path = path, pipe = pipe }
	end, function(made)
		made.pipe:close()
	end).path
end

-- Where it has to look at the merged tree to find differences, Docker also applies layers to it, and is no oracle of
-- what it does elsewhere.
local function demand_native_diff(engine)
	local done = shell.check({
		"docker", "info", "--format", "{{json .DriverStatus}}",
		env = { PATH = shell.PATH, DOCKER_HOST = "unix://" .. engine.path .. "/docker.sock" },
	})
	if not done:find('["Native Overlay Diff","true"]', 1, true) then
		error("this kernel's overlayfs keeps Docker from its native diff", 0)
	end
end

local function start()
	return once.get("runtimes", function()
		local path = disk()
		local state = { disk = path, engines = {}, serial = 0 }
		for _, storage in ipairs({ "overlay2", "vfs" }) do
			state.engines[storage] = docker.engine(path, storage).path
		end
		demand_native_diff({ path = state.engines.overlay2 })
		shell.check({ "mkdir", path .. "/readers" })
		return state
	end)
end

-- One that does not work here refuses everything, which must not look like an opinion.
local function demand_sound_readers()
	return once.get("runtimes.sound", function()
		local dir = tmp.dir(tmp.for_peers())
		pack.image(dir:file("plain.tar"), { { { name = "a", data = "A" } }, { { name = "b", data = "B" } } })
		for reader, answer in pairs(runtimes.look_all({ dir:file("plain.tar") })[1]) do
			if answer.refused then
				error(("%s refuses a plain image: %s"):format(reader, answer.refused), 0)
			end
		end
		return true
	end)
end

--- Why they cannot be asked here, or nil when they can. Starts what has to be started.
---@return string|nil reason
function runtimes.missing()
	local reason = peers.missing("docker", "podman", "umoci")
	if reason then
		return reason
	end
	local ok, why = pcall(demand_sound_readers)
	return not ok and tostring(why) or nil
end

---@class spec.Request
---@field readers? string[] all of them unless given
---@field alone? boolean each archive is loaded as it is, with its tags
---@field doubtful? boolean[] of each image, whether it may be refused: right guesses save time
---@field timed? boolean the time that each reader takes is told on standard error

---@class spec.Answer
---@field rows? table<string, table> as of spec.support.model
---@field refused? string what the runtime said

--- What the runtimes make of docker archives, each of which holds one image.
---@param paths string[]
---@param options? spec.Request
---@return table<string, spec.Answer>[] answers by reader, one for each archive
function runtimes.look_all(paths, options)
	local state = start()
	state.serial = state.serial + 1
	options = options or {}
	local request = {
		images = paths, readers = options.readers or runtimes.ALL, alone = options.alone, timed = options.timed,
		doubtful = options.doubtful, docker = state.engines, scratch = state.disk .. "/readers",
		serial = state.serial,
	}
	local env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }
	local words = { "/usr/bin/python3", "-I", HERE .. "/runtimes.py", input = cjson.encode(request), env = env }
	local output, told = shell.check(words)
	if options.timed then
		io.stderr:write(told)
	end
	return cjson.decode(output)
end

--- What the runtimes make of one docker archive, as it is.
---@param path string
---@param readers? string[] all of them unless given
---@return table<string, spec.Answer> answers
function runtimes.look(path, readers)
	return runtimes.look_all({ path }, { readers = readers, alone = true })[1]
end

return runtimes
