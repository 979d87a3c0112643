--- Random stacks of layers for the runtimes: what is seldom in images that people build, and what runtimes have been
--- seen to take in different ways. Most stacks are taken by those that they are made for; some are not.

local core = require "strata.core"
local runtime_model = require "spec.support.runtime_model"
local stacks = require "spec.support.stacks"

local runtime_stacks = {}

-- Few names, so that they meet; some of them are symlinks in many layers.
local DIRS = { "d", "d/e", "d/e/g", "x", "usr", "usr/lib", "usr/lib/p", "lib", "l", "d/l", "lib/p", "l/e" }
local NAMES = { "f", "g", "e", "l", "p", "foo" }
local TARGETS = {
	"d", "usr/lib", "/usr/lib", "/d/e", "../d", "e", "nowhere", "/", "..", "l", "/lib", "../../usr", "x", "./d/../x",
}
local MODES = { 420, 493, 2541, 1517, 3529, 384, 0, 932 }
local DIR_MODES = { 493, 493, 448, 511, 1023, 1517, 320 }
local OWNERS = { 0, 0, 0, 1, 1000, 65534, 2097151, 2097152, 3000000000, 4294967294, -1 }
local TIMES = { 0, 1, 1000000000, 1000000007, 1500000000, 4000000000 }
-- Version 2, with one capability.
local CAPABILITY = "\1\0\0\2\0\32\0\0" .. ("\0"):rep(12)

local function quoted(path)
	return (path:gsub("[^/]+$", ".wh.%0"))
end

local Maker = {}
Maker.__index = Maker

function Maker:path()
	local pick = self.pick
	local way = self.random(10)
	if way <= 3 then
		return pick({ "d", "x", "usr", "lib", "l", "f", "g" })
	elseif way <= 5 and #self.known > 0 then
		return pick(self.known)
	end
	return pick(DIRS) .. "/" .. pick(NAMES)
end

function Maker:one_in(n)
	return self.random(n) == 1
end

local kinds = {}

function kinds.file(self)
	local data = self:one_in(8) and "" or ("%d "):format(self.random(1000))
	return { name = self:path(), data = data, mode = self.pick(MODES) }
end

function kinds.dir(self)
	local path = self:one_in(2) and self.pick(DIRS) or self:path()
	return { name = path .. (self:one_in(2) and "/" or ""), type = "dir", mode = self.pick(DIR_MODES) }
end

function kinds.symlink(self)
	local path = self:one_in(2) and self.pick({ "lib", "l", "d/l" }) or self:path()
	return { name = path, type = "symlink", linkname = self.pick(TARGETS), mode = 511 }
end

function kinds.hardlink(self)
	local target = #self.files > 0 and not self:one_in(8) and self.pick(self.files) or self:path()
	if self:one_in(6) then
		target = self.pick({ "/", "./", "../", "d/../" }) .. target
	end
	return { name = self:path(), type = "hardlink", linkname = target, mode = self.pick(MODES) }
end

function kinds.node(self)
	local kind = self.pick({ "fifo", "char", "block", "char" })
	local entry = { name = self:path(), type = kind, mode = self.pick(MODES) }
	if kind ~= "fifo" and not self:one_in(3) then
		entry.major, entry.minor = self.random(300) - 1, self.random(300) - 1
	end
	return entry -- a device 0:0 otherwise
end

function kinds.whiteout(self)
	local path = #self.known > 0 and not self:one_in(4) and self.pick(self.known) or self:path()
	local kind = self:one_in(8) and self.pick({ "dir", "symlink", "hardlink", "fifo" }) or "file"
	local target = (kind == "symlink" or kind == "hardlink") and self.pick(TARGETS) or nil
	local data = kind == "file" and self:one_in(9) and "x" or ""
	return { name = quoted(path), type = kind, linkname = target, data = data, mode = 0 }
end

function kinds.opaque(self)
	local dir = self:one_in(9) and "" or self.pick(DIRS) .. "/"
	return { name = dir .. ".wh..wh..opq", data = "", mode = 0 }
end

-- A whiteout and a directory of one name.
function kinds.replaced(self)
	local path = self.pick(DIRS)
	local two = { { name = quoted(path), data = "", mode = 0 }, { name = path .. "/", type = "dir", mode = 493 } }
	return two[self.random(2)], two
end

function kinds.aufs(self)
	return self.pick({
		{ name = ".wh..wh.plnk/1.2", data = "plnk", mode = 420 },
		{ name = ".wh..wh.plnk/", type = "dir", mode = 448 },
		{ name = ".wh..wh.aufs", data = "", mode = 420 },
		{ name = ".wh..wh.orph/x", data = "orph", mode = 2541 },
		{ name = "d/.wh..wh.x/f", data = "below", mode = 2541 },
		{ name = "d/.wh.y/f", data = "below", mode = 420 },
		{ name = "d/.wh..wh.plnk/1.2", data = "plnk", mode = 420 },
		{ name = "g", type = "hardlink", linkname = ".wh..wh.plnk/1.2", mode = 493 },
		{ name = ".wh..wh..opqX", data = "", mode = 420 },
	})
end

function kinds.root(self)
	return { name = self.pick({ ".", "./", "./", "/" }), type = "dir", mode = self.pick(DIR_MODES) }
end

local WEIGHTS = {
	file = 20, dir = 14, symlink = 8, hardlink = 12, node = 4, whiteout = 10, opaque = 4, replaced = 2, aufs = 2, root = 1,
}

local LOTS = {}
for name, weight in pairs(WEIGHTS) do
	for _ = 1, weight do
		LOTS[#LOTS + 1] = name
	end
end
table.sort(LOTS) -- what pairs gives differs from one Lua to the other

local function xattrs_of(self, entry)
	local kind, found = entry.type or "file", {}
	if self:one_in(6) and (kind == "file" or kind == "dir" or kind == "hardlink" or self:one_in(4)) then
		found["user.k"] = self.pick({ "v", "w", "a\0b", "" })
	end
	if self:one_in(9) and (kind == "file" or kind == "hardlink") then
		found["security.capability"] = CAPABILITY
	end
	if self:one_in(40) then
		found["trusted.t"] = "1"
	end
	if self:one_in(40) and kind == "dir" then
		found["trusted.overlay.opaque"] = "y"
	end
	return next(found) and found or nil
end

local function with_attributes(self, entry)
	entry.uid, entry.gid = self.pick(OWNERS), self.pick(OWNERS)
	entry.mtime = self.pick(TIMES)
	entry.xattrs = xattrs_of(self, entry)
	entry.name = (self:one_in(30) and "/" or self.prefix) .. entry.name
	return entry
end

-- One entry, or two that belong together.
local function some_entries(self)
	local one, more = kinds[self.pick(LOTS)](self)
	local list = more or { one }
	if more and list[1] ~= one then
		list = { more[2], more[1] }
	end
	for i, entry in ipairs(list) do
		list[i] = with_attributes(self, entry)
	end
	return list
end

local function joined(list, more)
	local all = {}
	for _, entries in ipairs({ list, more }) do
		for _, entry in ipairs(entries) do
			all[#all + 1] = entry
		end
	end
	return all
end

local function taken(self, layers, entries)
	for _, reader in ipairs(self.readers) do
		if not runtime_model.look(joined(layers, { entries }), reader) then
			return false
		end
	end
	return true
end

local function note(self, entries)
	for _, entry in ipairs(entries) do
		local path = entry.name:gsub("^%.?/+", ""):gsub("/+$", "")
		if path ~= "" and path ~= "." then
			self.known[#self.known + 1] = path
			if entry.type ~= "dir" and not path:find("%.wh%.") then
				self.files[#self.files + 1] = path
			end
		end
	end
end

local function make_layer(self, layers)
	local entries = {}
	self.prefix = self.pick({ "", "", "./" })
	self.files = self:one_in(10) and self.files or {} -- most refuse links to files of lower layers
	for _ = 1, self.random(12) do
		local more = some_entries(self)
		-- What is refused is left out, mostly: else nothing would be taken.
		if self:one_in(60) or taken(self, layers, joined(entries, more)) then
			entries = joined(entries, more)
			note(self, more)
		end
	end
	return entries
end

--- Layers for spec.support.pack.
---@param seed integer
---@param readers? string[] that are to take most of them; Docker with overlay2 unless given
---@return table[][]
function runtime_stacks.layers(seed, readers)
	local random, pick = stacks.generator(seed)
	local self = setmetatable({
		random = random, pick = pick, known = {}, files = {}, readers = readers or { "docker overlay2" },
	}, Maker)
	local layers = {}
	for i = 1, random(4) do
		layers[i] = make_layer(self, layers)
		layers[i] = #layers[i] > 0 and layers[i] or { with_attributes(self, kinds.file(self)) }
	end
	return layers
end

-- Where a path leads through the symlinks that its layer has had so far.
local function resolved(path, links)
	for _ = 1, 10 do
		local dir, rest = path, ""
		while dir and not links[dir] do
			dir, rest = dir:match("^(.*)/([^/]*)$"), (dir:match("/[^/]*$") or "") .. rest
		end
		if not dir then
			return path
		end
		local target = links[dir]
		local above = target:sub(1, 1) ~= "/" and dir:match("^(.*)/") or ""
		path = core.normalise(above .. "/" .. target .. rest)
	end
	return path
end

local DENSE = { "a", "a/b", "a/b/c", "d", "d/b" }

local dense = {}

function dense.file(pick)
	return { data = pick({ "", "x", "longer" }), mode = pick(MODES) }
end

function dense.dir(pick)
	return { type = "dir", mode = pick(DIR_MODES) }
end

function dense.symlink(pick)
	return { type = "symlink", linkname = pick({ "d", "/a", "b", "nowhere", "../d" }), mode = 511 }
end

function dense.hardlink(pick)
	return { type = "hardlink", linkname = pick(DENSE), mode = pick(MODES) }
end

function dense.char() -- a device 0:0
	return { type = "char", mode = 420 }
end

function dense.block()
	return { type = "block", major = 1, minor = 1, mode = 420 }
end

function dense.whiteout(pick)
	return { name = quoted(pick(DENSE)), data = "", mode = 0 }
end

function dense.opaque(pick)
	return { name = pick({ "a", "d", "a/b" }) .. "/.wh..wh..opq", data = "", mode = 0 }
end

local DENSE_LOTS = { "file", "file", "dir", "dir", "symlink", "hardlink", "char", "block", "whiteout", "opaque" }

--- Layers that have a path several times, go below what is no directory, and link to what comes later, to lower layers
--- and to themselves. Runtimes refuse most of them.
---@param seed integer
---@return table[][]
function runtime_stacks.dense(seed)
	local random, pick = stacks.generator(seed)
	local layers = {}
	for i = 1, 1 + random(3) do
		layers[i] = {}
		for k = 1, random(5) do
			local entry = dense[pick(DENSE_LOTS)](pick)
			entry.name = entry.name or pick(DENSE)
			entry.uid, entry.gid, entry.mtime = pick({ 0, 0, 7 }), pick({ 0, 0, 8 }), random(9)
			entry.xattrs = entry.data and random(5) == 1 and { ["user." .. pick({ "k", "l" })] = pick({ "v", "w" }) } or nil
			layers[i][k] = entry
		end
	end
	return layers
end

--- Whether layers have what the model and strata need not agree on. Where a layer has a path twice, as "a" and "/a" or
--- through a symlink, or puts something in the place of a directory that it has filled, the time of the directory that
--- was there first goes to what its path leads to in the end. A directory by the name of a whiteout with nothing but
--- whiteouts in it cannot be told by a tar. An owner of -1 is that of the directory around it if it has the
--- set-group-ID bit.
---@param layers table[][]
---@return boolean
function runtime_stacks.is_odd(layers)
	local keeps, setgid = false, false
	for _, entries in ipairs(layers) do
		local seen, links = {}, {}
		for _, entry in ipairs(entries) do
			local path = core.normalise(entry.name)
			local above, name = path:match("^(.*)(/[^/]*)$")
			path = above and core.normalise(resolved(above, links) .. name) or path
			links[path] = entry.type == "symlink" and entry.linkname or nil
			if seen[path] or path:find("%.wh%.[^/]*/.*%.wh%.") then
				return true
			end
			for other in pairs(entry.type ~= "dir" and seen or {}) do
				if other:sub(1, #path + 1) == path .. "/" then
					return true
				end
			end
			seen[path] = true
			keeps = keeps or entry.gid == -1 or entry.gid == 4294967295
			setgid = setgid or math.floor((entry.mode or 0) / 1024) % 2 == 1
		end
	end
	return keeps and setgid
end

return runtime_stacks
