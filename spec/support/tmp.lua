--- Temporary directories for specs. What a spec forgets to remove goes at the end of the run.

local lfs = require "lfs"
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
	for name in lfs.dir(self.path) do
		if name ~= "." and name ~= ".." then
			names[#names + 1] = name
		end
	end
	table.sort(names)
	return names
end

--- Makes a directory, and those above it that are not there.
---@param path string
function tmp.make(path)
	if lfs.attributes(path, "mode") ~= "directory" then
		tmp.make(assert(path:match("^(.+)/[^/]*$")))
		assert(path:match("/%.?$") or lfs.mkdir(path))
	end
end

-- Directories that their own user may not look into, too.
local REMOVE = 'rm -rf -- "$@" 2>/dev/null || { chmod -R u+rwX -- "$@" && rm -rf -- "$@"; }'

-- Directories are made and removed so many at a time, since each program that is started takes longer than the work.
local STOCK, BATCH = 64, 16

--- Nobody needs what is in it any more. It goes together with others.
function Dir:remove()
	local unused = once.get("tmp.unused", function()
		return {}
	end)
	unused[#unused + 1] = self.path
	if #unused == BATCH then
		shell.sh(REMOVE, (table.unpack or unpack)(unused))
		for i = 1, BATCH do
			unused[i] = nil
		end
	end
end

--- Where the directories of this run stand. A shell at the end of a pipe removes it: at the end of the
--- run, or when the run dies before.
local function root(parent)
	return once.get("tmp.root " .. parent, function()
		local path = shell.check({ "mktemp", "-d", parent .. "/strata-spec.XXXXXX" }):match("^[^\n]+")
		local script = "trap '' INT HUP TERM; cat >/dev/null; " .. REMOVE:gsub("%$@", path)
		return { path = path, pipe = assert(io.popen(script, "w")) }
	end, function(made)
		made.pipe:close()
	end).path
end

local function on_disk()
	return os.getenv("TMPDIR") or "/tmp"
end

--- A parent directory for what the peers keep: in memory where there is room, since they sync every layer
--- to disk. Its name leaves room for sockets, whose paths are limited to 107 bytes.
---@return string path
function tmp.for_peers()
	return once.get("tmp.for_peers", function()
		local script = '[ -w /dev/shm ] && df -Pk /dev/shm | tail -n 1'
		local free = shell.run({ "sh", "-c", script }).stdout:match("^%S+%s+%d+%s+%d+%s+(%d+)")
		if tonumber(free or 0) >= 1024 * 1024 then
			return "/dev/shm"
		end
		local parent = on_disk()
		return #parent <= 30 and parent or "/tmp"
	end)
end

--- A new, empty directory.
---@param parent? string $TMPDIR or /tmp unless given
---@return spec.Dir
function tmp.dir(parent)
	local top = root(parent or on_disk())
	local stock = once.get("tmp.dir " .. top, function()
		return { made = 0, used = 0 }
	end)
	if stock.used == stock.made then
		local names = { "mkdir", "-m", "700", "--" }
		for i = 1, STOCK do
			names[#names + 1] = ("%s/%06d"):format(top, stock.made + i)
		end
		shell.check(names)
		stock.made = stock.made + STOCK
	end
	stock.used = stock.used + 1
	return setmetatable({ path = ("%s/%06d"):format(top, stock.used) }, Dir)
end

return tmp
