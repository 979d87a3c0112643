--- Runs a script under build/faults.so, which makes the C library fail on demand.
--
-- It takes one interpreter: what is looked for is in the core and in the Lua that all of them share.

local random = require "spec.support.random"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local faulty = {}

local BUILD = os.getenv("STRATA_BUILD") or "build"
local SECONDS = 900

--- Whether the run that this is part of is the one that does it: sanitizers have an allocator of their own.
---@return boolean
function faulty.is_here()
	return _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
end

--- Every call is made to fail once, instead of some that are chosen at random.
---@return boolean
function faulty.is_thorough()
	return os.getenv("STRATA_SWEEP") == "full"
end

--- The stride of a sweep: every call with STRATA_SWEEP=full, every way to a call with STRATA_SWEEP=ways, which takes
--- minutes, and otherwise a part of the ways of every 18th scenario.
---@return integer
function faulty.stride()
	if faulty.is_thorough() then
		return 1
	end
	return os.getenv("STRATA_SWEEP") == "ways" and -1 or -18
end

--- Words that make whoever runs what follows an ordinary user, when there are such.
---@return string[]|nil
function faulty.as_user()
	local words = { "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups" }
	if shell.run({ words[1], words[2], words[3], words[4], words[5], words[6], "true" }).status == 0 then
		return words
	end
end

local function module()
	return shell.check({ "readlink", "-f", BUILD .. "/faults.so" }):match("^[^\n]+")
end

--- Runs spec/support/NAME.lua with the module, an empty directory in memory where there is one and a seed before
--- its own arguments, in the directory of the project. Returns its last line; a failure throws what it says.
---@param name string
---@param arguments (string|number)[]
---@param wrapper? string[] words before the interpreter's
---@param only? string the scenario, when it is not all of them
---@return string sum
function faulty.run(name, arguments, wrapper, only)
	local dir = tmp.dir(tmp.for_peers())
	shell.check({ "mkdir", dir:file("tmp") })
	shell.sh('chmod 755 "$(dirname "$1")" && chmod -R a+rwx "$1"', dir.path) -- the wrapper may change the user
	local words = {
		env = {
			TMPDIR = dir:file("tmp"),
			LUA_PATH = package.path .. ";./?.lua",
			LUA_CPATH = package.cpath,
			ONLY = only,
		},
	}
	local function add(...)
		for _, word in ipairs({ ... }) do
			words[#words + 1] = word
		end
	end
	add("timeout", SECONDS)
	add((unpack or table.unpack)(wrapper or {}))
	add("env", "LD_PRELOAD=" .. module(), "lua5.4", "spec/support/" .. name .. ".lua")
	add(module(), dir.path, random.first_seed())
	add((unpack or table.unpack)(arguments))
	local done = shell.run(words)
	dir:remove()
	if done.status ~= 0 then
		error(("status %d\n%s%s"):format(done.status, done.stdout, done.stderr:sub(-2000)), 0)
	end
	return done.stdout:match("([^\n]*)\n$")
end

return faulty
