--- Temporary directories for specs. What a spec forgets to remove goes at the end of the run.

local once = require "spec.support.once"
local shell = require "spec.support.shell"

local tmp = {}

---@class spec.Dir
---@field path string
local Dir = {}
Dir.__index = Dir

--- The path of something in the directory.
---@param name string
---@return string
function Dir:file(name)
	return self.path .. "/" .. name
end

--- Writes a file in the directory and returns its path.
---@param name string
---@param bytes string
---@return string
function Dir:write(name, bytes)
	local path = self:file(name)
	shell.write(path, bytes)
	return path
end

--- The names in the directory, sorted, hidden ones too.
---@return string[]
function Dir:names()
	local names = {}
	for name in shell.check({ "ls", "-A", self.path, env = { LC_ALL = "C" } }):gmatch("[^\n]+") do
		names[#names + 1] = name
	end
	return names
end

function Dir:remove()
	shell.check({ "rm", "-rf", "--", self.path })
end

--- Where every directory of this run stands. A shell at the end of a pipe removes it: at the end of the
--- run, or when the run dies before.
local function root()
	return once.get("tmp.root", function()
		local parent = os.getenv("TMPDIR") or "/tmp"
		local path = shell.check({ "mktemp", "-d", parent .. "/strata-spec.XXXXXX" }):match("^[^\n]+")
		local script = "trap '' INT HUP TERM; cat >/dev/null; rm -rf -- " .. shell.quote(path)
		return { path = path, pipe = assert(io.popen(script, "w")) }
	end, function(made)
		made.pipe:close()
	end).path
end

--- A new, empty directory.
---@return spec.Dir
function tmp.dir()
	local path = shell.check({ "mktemp", "-d", root() .. "/XXXXXX" }):match("^[^\n]+")
	return setmetatable({ path = path }, Dir)
end

return tmp
