--- Random stacks of layers with all that a tar can say, sensible or not.

local stacks = require "spec.support.stacks"

local wild = {}

local NAMES = { "a", "b", "c", "l", "m" }
local MODES = { 420, 493, 448, 511, 0, 1023, 2541, 3565 }

---@class spec.Maker one layer in the making, and what the layers below have
---@field known string[] paths that any layer has
---@field lower string[] paths of files of lower layers
---@field symlinks table<string, boolean> paths of symlinks of any layer
---@field kinds table<string, string> types by path, of this layer
---@field files string[] paths of files of this layer
---@field bound table<string, boolean> paths of hardlinks and of what they are to
local Maker = {}
Maker.__index = Maker

function Maker:path()
	local parts = {}
	for i = 1, self.random(self.random(3)) do
		parts[i] = self.pick(NAMES)
	end
	return table.concat(parts, "/")
end

-- A path that something had once, or any.
function Maker:old_path()
	return #self.known > 0 and self.random(4) > 1 and self.pick(self.known) or self:path()
end

-- True when an entry at a path would be one too many: a hardlink and its file stay as they are in their layer.
function Maker:is_taken(path)
	for at in (path .. "/"):gmatch("()/") do
		if self.bound[path:sub(1, at - 1)] then
			return true
		end
	end
	for other in pairs(self.bound) do
		if other:sub(1, #path + 1) == path .. "/" then
			return true
		end
	end
	return false
end

-- True when the layer has an entry there, or above, or below.
function Maker:is_used(path)
	for other in pairs(self.kinds) do
		if other == path or other:sub(1, #path + 1) == path .. "/" or path:sub(1, #other + 1) == other .. "/" then
			return true
		end
	end
	return false
end

-- True when a file of the layer was not replaced by another entry of it.
function Maker:is_still_there(path)
	for at in path:gmatch("()/") do
		if (self.kinds[path:sub(1, at - 1)] or "dir") ~= "dir" then
			return false
		end
	end
	for other in pairs(self.kinds) do
		if other:sub(1, #path + 1) == path .. "/" then
			return false
		end
	end
	return self.kinds[path] == "file"
end

function Maker:add(path, entry)
	entry.name = self.pick(self.prefixes) .. path .. (entry.type == "dir" and self.random(2) == 1 and "/" or "")
	entry.uid, entry.gid = self.random(3) - 1, self.random(3) - 1
	entry.mtime = 1000000000 + self.random(9)
	if entry.type ~= "hardlink" and self.xattrs and self.random(6) == 1 then
		entry.xattrs = { ["trusted." .. self.pick({ "one", "two" })] = self.pick({ "1", "\0\255", "x=y\n" }) }
	end
	self.entries[#self.entries + 1] = entry
	self.kinds[path] = entry.type or "file"
	if path ~= "." then
		self.known[#self.known + 1] = path
	end
end

local makers = {}

function makers.file(self, path)
	local empty = self.random(4) == 1
	local data = empty and "" or ("%d "):format(self.random(1000)):rep(self.random(3))
	self:add(path, { data = data, mode = self.pick(MODES) })
	self.files[#self.files + 1] = path
end

function makers.dir(self, path)
	self:add(path, { type = "dir", mode = self.pick(MODES) })
end

function makers.symlink(self, path)
	local _, depth = path:gsub("/", "")
	local up = ("../"):rep(depth)
	local target = self.pick({
		up .. self:path(), "/" .. self:old_path(), up .. self:old_path(), self:old_path(), self.pick(NAMES),
		up .. "nowhere", ".", "..", "/", path:match("[^/]+$"), "../../" .. self:path(), "/" .. self:path() .. "/",
		self:path() .. "/../" .. self.pick(NAMES),
	})
	self:add(path, { type = "symlink", linkname = target, mode = 511 })
	self.symlinks[path] = true
end

function makers.hardlink(self, path)
	local target
	if #self.files > 0 and self.random(3) > 1 then
		target = self.pick(self.files)
		target = self:is_still_there(target) and target or nil
	elseif #self.lower > 0 then
		target = self.pick(self.lower)
		target = not self:is_used(target) and target or nil
	end
	if target and target ~= path and path:sub(1, #target + 1) ~= target .. "/" then
		local prefix = self.pick(self.prefixes)
		-- What is reached through it before its file comes is a matter of opinion.
		local early = self.random(3) == 1 and not (path .. target):find("/") and not self:is_used(path)
			and not self.symlinks[target]
		self:add(path, { type = "hardlink", linkname = prefix .. target, mode = 420 })
		self.bound[path], self.bound[target] = true, true
		if early then -- before its file
			table.insert(self.entries, 1, table.remove(self.entries))
		end
	end
end

function makers.special(self, path)
	local kind = self.pick({ "char", "block", "fifo" })
	self:add(path, { type = kind, mode = self.pick(MODES), major = self.random(200), minor = self.random(300) })
end

local function mark(self, name)
	local at = self.random(3) == 1 and self.random(#self.entries + 1) or #self.entries + 1
	table.insert(self.entries, at, { name = self.pick(self.prefixes) .. name, mode = self.pick({ 0, 384 }) })
end

function makers.whiteout(self)
	mark(self, (self:old_path():gsub("[^/]+$", ".wh.%0")))
end

function makers.opaque(self)
	local path = self.random(12) == 1 and "." or self:old_path()
	if self.random(2) == 1 and path ~= "." and not self:is_taken(path) then
		makers.dir(self, path)
	end
	mark(self, path .. "/.wh..wh..opq")
end

function makers.aufs(self)
	mark(self, self.pick({ ".wh..wh.aufs", ".wh..wh.plnk/1.2", self:path() .. "/.wh..wh.orph/x" }))
end

function makers.root(self)
	self:add(".", { type = "dir", mode = self.pick({ 493, 448 }) })
end

local KINDS = {
	"file", "file", "file", "file", "dir", "dir", "dir", "symlink", "symlink", "hardlink", "hardlink", "special",
	"whiteout", "whiteout", "opaque", "aufs", "root",
}

local function new_maker(random, pick, known, lower, symlinks, xattrs)
	return setmetatable({
		random = random, pick = pick, known = known, lower = lower, symlinks = symlinks, xattrs = xattrs,
		entries = {}, kinds = {}, files = {}, bound = {}, prefixes = pick({ { "" }, { "./" }, { "", "./", "/", ".//" } }),
	}, Maker)
end

local function wild_layer(maker)
	for _ = 1, maker.random(10) do
		local kind, path = maker.pick(KINDS), maker:path()
		if not maker:is_taken(path) then
			makers[kind](maker, path)
		end
	end
	for _, path in ipairs(maker.files) do
		maker.lower[#maker.lower + 1] = path
	end
	return maker.entries
end

--- Layers of all that a tar can say.
---@param seed integer
---@param xattrs? boolean attributes that only root can set
---@return table[][] layers lists of entries, the base first
function wild.layers(seed, xattrs)
	local random, pick = stacks.generator(seed)
	local layers, known, lower, symlinks = {}, {}, {}, {}
	for i = 1, random(4) do
		layers[i] = wild_layer(new_maker(random, pick, known, lower, symlinks, xattrs))
	end
	return layers
end

return wild
