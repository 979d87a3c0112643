--- The filter of examples/gate, in a gate of its own on a port of its own, before any registry.

local core = require "strata.core"
local nginx = require "spec.support.nginx"
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local waiting = require "spec.support.waiting"

local filter = {}

-- Those that run.
local running = {}

local HERE = shell.check({ "pwd" }):match("^[^\n]+")

---@class spec.Filter
---@field host string "127.0.0.1:PORT"
---@field url string with /v2/filtered/ behind it
---@field directory string the gate's own
---@field cache string what was made
---@field log string what it said
local Server = {}
Server.__index = Server

-- The words that start `run`.
local function command_of(options, run, port)
	local words = { run, "--port", port, "--backend", options.backend, "--dir", options.directory, "--edits",
		options.directory .. ".edits.lua" }
	for _, word in ipairs(options.more or {}) do
		words[#words + 1] = word
	end
	return words
end

--- Writes the edits that a gate is going to read.
---@param options {directory: string, edits: string}
function filter.write(options)
	shell.write(options.directory .. ".edits.lua", options.edits)
end

--- Starts a gate that is not going to.
---@param options {directory: string, edits: string, backend: string, more?: string[]}
---@return spec.Finished
function filter.refused(options)
	filter.write(options)
	local words = { "timeout", "120" }
	for _, word in ipairs(command_of(options, HERE .. "/examples/gate/run", ports.free())) do
		words[#words + 1] = word
	end
	words.env = { PATH = shell.PATH }
	return shell.run(words)
end

-- setsid: one signal reaches all of its processes.
local SCRIPT = [[
exec 2>/dev/null
trap '' INT
echo >"$LOG"
setsid env %s >"$LOG" 2>&1 </dev/null & pid=$!
echo $pid >"$LOG.pid"
cat >/dev/null
kill $pid
wait $pid
]]

-- A copy of the example in which nginx has more worker processes.
local function with_workers(directory, count)
	local script = [[
mkdir -p "$1/examples" && cp -r "$2/examples/gate" "$1/examples"
ln -s "$2/lua" "$1/lua" && ln -s "$2/build" "$1/build"
sed -i "s/^worker_processes .*/worker_processes $3;/" "$1/examples/gate/nginx.conf.in"
]]
	shell.sh(script, directory .. ".copy", HERE, count)
	return directory .. ".copy/examples/gate/run"
end

-- Words that run others on a file system of so many bytes, which nobody else sees.
local function with_space(directory, bytes)
	shell.check({ "mkdir", "-p", directory })
	local script = 'mount -t tmpfs -o "mode=755,size=$1" tmpfs "$2" && shift 2 && exec "$@"'
	return { "unshare", "-m", "sh", "-c", script, "sh", bytes, directory }
end

local function try(options)
	local port = ports.free()
	local words = { "PATH=" .. shell.PATH }
	for _, word in ipairs(options.space and with_space(options.directory, options.space) or {}) do
		words[#words + 1] = word
	end
	local run = options.workers and with_workers(options.directory, options.workers) or HERE .. "/examples/gate/run"
	for _, word in ipairs(command_of(options, run, port)) do
		words[#words + 1] = word
	end
	local log = options.directory .. ".log"
	shell.write(log, "")
	local script = ("LOG=%s\n"):format(shell.quote(log)) .. SCRIPT:format(shell.join(words):gsub("%%", "%%%%"))
	local self = setmetatable({
		host = "127.0.0.1:" .. port, url = ("http://127.0.0.1:%d/v2/filtered/"):format(port), log = log,
		directory = options.directory, cache = options.directory .. "/filtered", options = options,
		pipe = assert(io.popen(script, "w")),
	}, Server)
	local ok = pcall(waiting.till, "the gate", function()
		local said = shell.read(log)
		if said:find("is in use", 1, true) or said:find("^gate: ") then
			error("it does not start")
		end
		return said:find("listens on", 1, true) and self:get("none/manifests/1").status ~= 0
	end)
	if ok then
		self.pid = tonumber(shell.read(log .. ".pid"):match("%d+"))
		running[self] = true
		return self
	end
	self:stop()
	return nil, shell.read(log)
end

--- Starts one. A directory that has been used before has its cache.
--- `more` are options of `run`.
---@param options {directory: string, edits: string, backend: string, more?: string[], workers?: integer}
---@return spec.Filter
function filter.start(options)
	filter.write(options)
	local message
	for _ = 1, 3 do
		local self
		self, message = try(options)
		if self then
			return self
		end
	end
	error("the gate does not start: " .. tostring(message), 2)
end

function Server:stop()
	running[self] = nil
	if self.pipe then
		self.pipe:close()
		self.pipe = nil
	end
end

--- Stops those that a failed spec has left, but for one.
---@param but? spec.Filter
function filter.stop_others(but)
	for self in pairs(running) do
		if self ~= but then
			self:stop()
		end
	end
end

--- Kills all of its processes at once, as a power cut does.
function Server:kill()
	shell.run({ "kill", "-9", "--", "-" .. self.pid })
	self:stop()
end

--- The worker processes, by number.
---@return integer[]
function Server:workers()
	local pids = {}
	local script = "for n in $(pgrep -P $1 nginx); do pgrep -P $n; done"
	for pid in shell.run({ "sh", "-c", script, "sh", tostring(self.pid) }).stdout:gmatch("%d+") do
		pids[#pids + 1] = tonumber(pid)
	end
	return pids
end

--- Asks for what is below /v2/filtered/.
---@param path string
---@param ... string words for curl
---@return spec.HttpAnswer answer with `headers`, by names in lower case
function Server:get(path, ...)
	local answer = nginx.curl({ self.url .. path, ... })
	answer.headers = {}
	for name, value in answer.head:gmatch("([%w-]+): ([^\r\n]*)") do
		answer.headers[name:lower()] = value
	end
	return answer
end

--- The same many times at once: how often which status came.
---@param path string
---@param count integer
---@return table<string, integer>
function Server:flood(path, count)
	local words = { "curl", "-s", "--max-time", "120", "-Z", "--parallel-immediate", "--parallel-max", count, "-w",
		"%{http_code}\n" }
	for _ = 1, count do
		for _, word in ipairs({ "-o", "/dev/null", self.url .. path }) do
			words[#words + 1] = word
		end
	end
	local found = {}
	for status in shell.run(words).stdout:gmatch("%d+") do
		found[status] = (found[status] or 0) + 1
	end
	return found
end

--- The files of a part of the cache, by name: their sizes.
---@param part "blobs"|"made"|"new"
---@return table<string, integer> sizes
---@return integer total
function Server:files(part)
	local sizes, total = {}, 0
	for name, size in shell.check({ "find", self.cache .. "/" .. part, "-mindepth", "1", "-printf", "%P %s\n" })
		:gmatch("(%S+) (%d+)") do
		sizes[name], total = tonumber(size), total + tonumber(size)
	end
	return sizes, total
end

--- Waits until a function gives something true.
---@param what string
---@param fn fun(): any
function filter.wait(what, fn)
	return waiting.till(what, fn)
end

filter.now = core.monotonic

return filter
