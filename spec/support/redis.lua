--- Debian's redis-server on a socket of its own, which keeps what it has when it is killed.

local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local redis = {}

---@class spec.Redis
---@field path string of its socket
---@field dir spec.Dir
local Server = {}
Server.__index = Server

--- Why it cannot be started here, or nil.
---@return string|nil
function redis.missing()
	return peers.missing("redis-server")
end

-- The shell at the end of the pipe ends it: at the end of the spec, or when this process dies before.
local SCRIPT = [[
exec >/dev/null 2>&1
trap '' INT
redis-server --port 0 --unixsocket "$1/redis" --dir "$1" --appendonly yes --save '' </dev/null & pid=$!
echo $pid >"$1/pid"
cat >/dev/null
kill -9 $pid
wait $pid
]]

local WAIT = [[
n=0
until [ "$(redis-cli -s "$1/redis" ping 2>/dev/null)" = PONG ]; do
	n=$((n + 1))
	[ $n -lt 500 ] || exit 1
	sleep 0.02
done
]]

-- Starts it in its directory, where it finds what it had.
function Server:start()
	local words = { "env", "PATH=" .. shell.PATH, "sh", "-c", SCRIPT, "sh", self.dir.path }
	self.pipe = assert(io.popen(shell.join(words), "w"))
	shell.sh(WAIT, self.dir.path)
end

--- Starts one.
---@return spec.Redis
function redis.start()
	local dir = tmp.dir(tmp.for_peers())
	local server = setmetatable({ dir = dir, path = dir:file("redis") }, Server)
	server:start()
	return server
end

--- What a command answers, as redis-cli prints it: a line for each value.
---@param ... string
---@return string
function Server:call(...)
	return (shell.check({ "redis-cli", "-s", self.path, ... }):gsub("\n$", ""))
end

--- Its process.
---@return string
function Server:pid()
	return (shell.read(self.dir:file("pid")):match("%d+"))
end

--- Kills it with SIGKILL.
function Server:kill()
	shell.check({ "kill", "-9", self:pid() })
	self.pipe:close()
	self.pipe = nil
	os.remove(self.path)
end

function Server:stop()
	if self.pipe then
		self.pipe:close()
		self.pipe = nil
	end
	self.dir:remove()
end

return redis
