--- Workers of examples/fleet as processes of their own, which specs kill, stop and look at.

local redis = require "spec.support.redis"
local shell = require "spec.support.shell"
local socket_missing = not pcall(require, "socket")
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local fleet = {}

---@class spec.Fleet
---@field redis spec.Redis
---@field scripts spec.Dir
---@field workers spec.Worker[]
local Fleet = {}
Fleet.__index = Fleet

---@class spec.Worker
---@field dir spec.Dir
local Worker = {}
Worker.__index = Worker

--- Why none can be started here, or nil.
---@return string|nil
function fleet.missing()
	return redis.missing() or socket_missing and "LuaSocket is not installed (Debian: lua-socket)" or nil
end

--- A queue without jobs, and no worker.
---@return spec.Fleet
function fleet.start()
	local self = setmetatable({ redis = redis.start(), scripts = tmp.dir(), workers = {} }, Fleet)
	shell.sh('cp examples/fleet/jobs/*.lua "$1"', self.scripts.path)
	return self
end

-- Modules are found from any directory.
local function env()
	local here = shell.check({ "pwd" }):match("[^\n]+")
	local function absolute(path)
		return ((";" .. path):gsub(";%./", ";" .. here:gsub("%%", "%%%%") .. "/"):sub(2))
	end
	return { LUA_PATH = absolute(package.path), LUA_CPATH = absolute(package.cpath), LUA = "lua5.4" }
end

--- The environment of programs that find their modules and this Redis.
---@return table<string, string>
function Fleet:env()
	local variables = env()
	variables.FLEET_REDIS, variables.PATH = self.redis.path, shell.PATH
	return variables
end

--- A script of the workers.
---@param name string
---@param text string
function Fleet:script(name, text)
	self.scripts:write(name .. ".lua", text)
end

--- Runs one of the programs and waits for it.
---@param program string "enqueue", "status", "dead"
---@param words string[]
---@param input? string
---@return spec.Finished
function Fleet:run(program, words, input)
	local command = { "lua5.4", ("examples/fleet/%s.lua"):format(program), "--redis", self.redis.path, env = env(),
		input = input }
	if program == "enqueue" then
		command[#command + 1], command[#command + 2] = "--scripts", self.scripts.path
	end
	for _, word in ipairs(words) do
		command[#command + 1] = word
	end
	return shell.run(command)
end

--- The same, which has to succeed.
---@return string stdout
function Fleet:check(program, words, input)
	local done = self:run(program, words, input)
	if done.status ~= 0 then
		error(done.command .. "\n" .. done.stdout .. done.stderr, 2)
	end
	return done.stdout
end

--- Puts a job into the queue for each reference.
---@param refs string[]
---@param ... string words of enqueue.lua
---@return string stdout
function Fleet:enqueue(refs, ...)
	return self:check("enqueue", { ... }, table.concat(refs, "\n") .. "\n")
end

-- The shell at the end of the pipe ends the worker: at the end of the spec, or when this process dies before.
local SCRIPT = [[
exec >/dev/null
trap '' INT
dir=$1; shift
(
	status=0
	sh -c 'echo $$ >"$0/pid"; exec "$@"' "$dir" "$@" 2>"$dir/log" </dev/null || status=$?
	echo $status >"$dir/status"
) 2>/dev/null &
cat >/dev/null
kill -9 $(cat "$dir/pid") $(sed -n 's/.* worker [^ ]*:\([0-9]*\):[0-9a-f]*$/\1/p' "$dir/log") 2>/dev/null
wait
]]

--- Starts a worker.
---@param ... string its options
---@return spec.Worker
function Fleet:worker(...)
	local dir = tmp.dir()
	local words = { "sh", "-c", SCRIPT, "sh", dir.path, "examples/fleet/worker", "--redis", self.redis.path, "--scripts",
		self.scripts.path }
	for _, word in ipairs({ ... }) do
		words[#words + 1] = word
	end
	local line = { "env" }
	for name, value in pairs(env()) do
		line[#line + 1] = name .. "=" .. value
	end
	for _, word in ipairs(words) do
		line[#line + 1] = word
	end
	local worker = setmetatable({ dir = dir, pipe = assert(io.popen(shell.join(line), "w")) }, Worker)
	self.workers[#self.workers + 1] = worker
	return worker
end

--- How many jobs are not done.
---@return integer
function Fleet:length()
	return math.floor(tonumber(self.redis:call("XLEN", "fleet:jobs")))
end

--- What was counted so often.
---@param what string
---@return integer
function Fleet:count(what)
	return math.floor(tonumber(self.redis:call("HGET", "fleet:count", what)) or 0)
end

--- Waits until no job is left.
function Fleet:finish()
	waiting.till("all jobs are done", function()
		return self:length() == 0
	end)
end

function Fleet:stop()
	for _, worker in ipairs(self.workers) do
		worker:stop()
	end
	self.redis:stop()
	self.scripts:remove()
end

--- What it has said.
---@return string
function Worker:log()
	local file = io.open(self.dir:file("log"), "rb")
	local text = file and file:read("*a") or ""
	if file then
		file:close()
	end
	return text
end

--- Waits until it has said this.
---@param pattern string
---@return string
function Worker:says(pattern)
	return waiting.till(pattern, function()
		return self:log():match(pattern)
	end)
end

--- The process that works.
---@return string
function Worker:process()
	return self:says(" worker [^\n]-:(%d+):%x+\n")
end

--- Sends a signal to the process that works, or to the shell that has started it.
---@param name string
---@param to_shell? boolean
function Worker:signal(name, to_shell)
	local pid = to_shell and shell.read(self.dir:file("pid")):match("%d+") or self:process()
	shell.run({ "kill", "-" .. name, pid })
end

--- Its status, when it has ended.
---@return integer|nil
function Worker:status()
	local file = io.open(self.dir:file("status"), "rb")
	local text = file and file:read("*l")
	if file then
		file:close()
	end
	return tonumber(text)
end

--- Waits for its end.
---@return integer status
function Worker:ended()
	return waiting.till("the worker's end", function()
		return self:status()
	end)
end

--- KiB of its memory.
---@return integer
function Worker:memory()
	return tonumber(shell.read(("/proc/%s/status"):format(self:process())):match("VmRSS:%s*(%d+)"))
end

function Worker:stop()
	if self.pipe then
		local pid = self:log():match(" worker [^\n]-:(%d+):%x+\n")
		if pid then
			shell.run({ "kill", "-CONT", pid })
		end
		self.pipe:close()
		self.pipe = nil
		self.dir:remove()
	end
end

return fleet
