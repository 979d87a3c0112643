--- Runs a script in a process of its own, with the interpreter and the modules of this one.

local shell = require "spec.support.shell"

local child = {}

local function interpreter()
	local told = os.getenv("STRATA_LUA")
	if told then
		return told
	end
	local file = assert(io.open("/proc/self/stat", "r"))
	local pid = file:read("*l"):match("^%d+")
	file:close()
	return (shell.check({ "readlink", "-f", "/proc/" .. pid .. "/exe" }):match("^[^\n]+"))
end

-- "./lua/?.lua" must be found from any working directory.
local function absolute(path, here)
	return ((";" .. path):gsub(";%./", ";" .. here:gsub("%%", "%%%%") .. "/"):sub(2))
end

---@class spec.Script
---@field script string
---@field arguments? string[]
---@field cwd? string
---@field env? table<string, string>
---@field wrapper? string[] words before the interpreter's, such as setpriv's

--- Runs it and waits for it, under the sanitizers that this process runs under. It finds its arguments in `arg`.
---@param given spec.Script
---@return spec.Finished
function child.run(given)
	local here = shell.check({ "pwd" }):match("^[^\n]+")
	local path = os.tmpname()
	shell.write(path, given.script)
	shell.check({ "chmod", "a+r", path }) -- the wrapper may change the user
	local env = { LUA_PATH = absolute(package.path, here), LUA_CPATH = absolute(package.cpath, here) }
	for name, value in pairs(given.env or {}) do
		env[name] = value
	end
	local words = { cwd = given.cwd, env = env }
	for _, word in ipairs(given.wrapper or {}) do
		words[#words + 1] = word
	end
	local preload = os.getenv("STRATA_PRELOAD")
	if preload then
		words[#words + 1] = "env"
		words[#words + 1] = "LD_PRELOAD=" .. preload:gsub(":%./", ":" .. here:gsub("%%", "%%%%") .. "/")
	end
	words[#words + 1] = interpreter()
	words[#words + 1] = path
	for _, word in ipairs(given.arguments or {}) do
		words[#words + 1] = word
	end
	local finished = shell.run(words)
	os.remove(path)
	return finished
end

return child
