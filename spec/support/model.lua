--- What a container sees of some layers: a second opinion for the specs, a small file system of tables that takes
--- the entries one by one, as a process would do it whose root it is.
---
--- Nothing of the library is used to merge. What is a matter of opinion is taken as unpackers take it that read a
--- tar once: whiteouts and paths are looked up where they stand. A whiteout spares all that its layer has put there,
--- before or behind it. A hardlink without a file stands at the layer's end.

local model = {}

local MAX_LINKS = 40
local PASSES = 40

---@class spec.Node
---@field type string
---@field children? table<string, { node: spec.Node, layer: integer }>
---@field parent? spec.Node

local Tree = {}
Tree.__index = Tree

local function fail(code)
	error({ refused = code }, 0)
end

local function implied(parent)
	return { type = "dir", mode = 493, uid = 0, gid = 0, mtime = 0, xattrs = {}, children = {}, parent = parent }
end

local function become_implied(node)
	node.mode, node.uid, node.gid, node.mtime, node.xattrs = 493, 0, 0, 0, {}
end

--- The components of a name in a tar: "." and ".." are none of them.
local function components(name)
	local parts = {}
	for part in name:gmatch("[^/]+") do
		if part == ".." then
			parts[#parts] = nil
		elseif part ~= "." then
			parts[#parts + 1] = part
		end
	end
	return parts
end

-- A path's directory and its last component; nil for the root itself.
local function split(name)
	local parts = components(name)
	local base = table.remove(parts)
	return parts, base
end

-- ---- walking ---------------------------------------------------------------------

-- The directory that components lead to. Unless `make`, nil when there is none.
function Tree:enter(parts, make)
	local here, rest, links = self.root, {}, 0
	for i = #parts, 1, -1 do
		rest[#rest + 1] = parts[i]
	end
	while #rest > 0 do
		local name = table.remove(rest)
		local found = here.children[name]
		if name == ".." then
			here = here.parent or here
		elseif found and found.node.type == "dir" then
			here = found.node
		elseif found and found.node.type == "symlink" then
			links = links + 1
			if links > MAX_LINKS then
				return make and fail("ELOOP") or nil
			end
			local target, reversed = found.node.target, {}
			if target:sub(1, 1) == "/" then
				here = self.root
			end
			for part in target:gmatch("[^/]+") do
				if part ~= "." then
					table.insert(reversed, 1, part)
				end
			end
			for _, part in ipairs(reversed) do
				rest[#rest + 1] = part
			end
		elseif not make then
			return nil
		else
			here.children[name] = { node = implied(here), layer = self.layer }
			here = here.children[name].node
		end
	end
	return here
end

-- What stands at a path, of which the last component is not followed.
function Tree:look(name)
	local parts, base = split(name)
	local dir = self:enter(parts, false)
	if base == nil then
		return self.root
	end
	return dir and dir.children[base] and dir.children[base].node
end

-- ---- whiteouts -------------------------------------------------------------------

-- What lower layers have in a directory goes; what this one has stays.
function Tree:hide(dir, name)
	local found = dir.children[name]
	if not found then
		return
	end
	if found.node.type == "dir" then
		self:clear(found.node)
		if found.layer ~= self.layer and next(found.node.children) then
			become_implied(found.node)
			found.layer = self.layer
		end
	end
	if found.layer ~= self.layer then
		dir.children[name] = nil
	end
end

function Tree:clear(dir)
	local names = {}
	for name in pairs(dir.children) do
		names[#names + 1] = name
	end
	for _, name in ipairs(names) do
		self:hide(dir, name)
	end
end

function Tree:opaque(parts)
	local name = table.remove(parts)
	if not name then
		return self:clear(self.root)
	end
	local dir = self:enter(parts, false)
	local found = dir and dir.children[name]
	if found and found.node.type == "dir" then
		self:clear(found.node)
	end
end

-- True for what is no entry.
function Tree:whiteout(entry)
	local parts, base = split(entry.name)
	if not base then
		return false
	end
	if base == ".wh..wh..opq" then
		self:opaque(parts)
		return true
	end
	if (parts[1] or ""):sub(1, 8) == ".wh..wh." then
		return true -- of AUFS, in the root
	end
	if base:sub(1, 4) ~= ".wh." then
		return false
	end
	if #parts == 0 and base:sub(5, 8) == ".wh." then
		return true
	end
	local hidden = base:sub(5)
	if hidden == "" or hidden == "." or hidden == ".." then
		fail("EFORMAT")
	end
	local dir = self:enter(parts, false)
	if dir then
		self:hide(dir, hidden)
	end
	return true
end

-- ---- entries ---------------------------------------------------------------------

local function node_of(entry, parent, layer)
	local kind = entry.type or "file"
	local node = { born = layer, type = kind, mode = entry.mode or 420, xattrs = {} }
	node.uid, node.gid = entry.uid or 0, entry.gid or 0
	node.mtime = entry.mtime or 1e9
	for name, value in pairs(entry.xattrs or {}) do
		node.xattrs[name] = value
	end
	if kind == "dir" then
		node.children, node.parent = {}, parent
	elseif kind == "symlink" then
		node.target = entry.linkname
	elseif kind == "file" then
		node.content = entry.data or ""
	elseif kind ~= "fifo" then
		node.device = ("%d:%d"):format(entry.major or 0, entry.minor or 0)
	end
	return node
end

-- Gives a directory that stays the attributes of its new entry.
local function replace_attributes(node, entry)
	local new = node_of(entry, nil, nil)
	node.mode, node.uid, node.gid, node.mtime, node.xattrs = new.mode, new.uid, new.gid, new.mtime, new.xattrs
end

-- The header of a hardlink adds its attributes to those of the file. A change of owner takes a capability away.
local function add_attributes(node, entry)
	node.uid, node.gid = entry.uid or 0, entry.gid or 0
	node.xattrs["security.capability"] = nil
	for name, value in pairs(entry.xattrs or {}) do
		node.xattrs[name] = value
	end
	if node.type ~= "symlink" then
		node.mode, node.mtime = entry.mode or 420, entry.mtime or 1e9
	end
end

-- Makes `link` a name of its target. False: there is none yet.
function Tree:link(link)
	local target = self:look(link.target)
	if not target or target.type == "dir" then
		return false
	end
	local dir = self:enter(link.parts, true)
	dir.children[link.base] = { node = target, layer = self.layer }
	add_attributes(target, link.entry)
	link.node = target
	if self:look(link.target) ~= target then
		self.ambiguous = true -- its path means one file before it is there, and another one, or none, afterwards
	end
	return true
end

function Tree:add(entry)
	local parts, base = split(entry.name)
	if not base then
		if entry.type ~= "dir" then
			fail("EFORMAT")
		end
		return replace_attributes(self.root, entry)
	end
	if entry.type == "hardlink" then
		if #components(entry.linkname) == 0 then
			fail("EFORMAT")
		end
		local link = { parts = parts, base = base, target = entry.linkname, entry = entry }
		self:link(link)
		self.links[#self.links + 1] = link
		self.placed[entry] = link
		return
	end
	local dir = self:enter(parts, true)
	local found = dir.children[base]
	if found and found.node.type == "dir" and entry.type == "dir" then
		replace_attributes(found.node, entry)
		found.layer = self.layer
	else
		dir.children[base] = { node = node_of(entry, dir, self.layer), layer = self.layer }
		self.placed[entry] = dir.children[base]
	end
end

-- The entry of a layer that has the path of a link's target: the last one before the link, or the last of all.
local function namesake(entries, link)
	local wanted, found = table.concat(components(link.target), "/"), nil
	for _, entry in ipairs(entries) do
		if entry == link.entry and found then
			return found
		elseif entry ~= link.entry and table.concat(components(entry.name), "/") == wanted then
			found = entry
		end
	end
	return found
end

-- Links without a file stand at the end of the layer.
function Tree:finish_links(entries)
	for _ = 1, PASSES do
		local progress = false
		for _, link in ipairs(self.links) do
			if not link.node then
				progress = self:link(link) or progress
			end
		end
		if not progress then
			break
		end
	end
	for _, link in ipairs(self.links) do
		if not link.node then
			-- Its layer has a file of that path, to which the path does not lead.
			self.ambiguous = self.ambiguous or namesake(entries, link) ~= nil
			self:enter(link.parts, true) -- fails when that cannot be made
		end
	end
	for _, link in ipairs(self.links) do
		if not link.node then
			local target = self:look(link.target)
			fail(target and target.type == "dir" and "EFORMAT" or "ENOENT")
		end
	end
end

-- True when a hardlink leads, through symlinks, to another file than the one that its layer has under that very path.
function Tree:has_two_meanings(entries)
	for _, link in ipairs(self.links) do
		local entry = namesake(entries, link)
		if entry and (not self.placed[entry] or self.placed[entry].node ~= link.node) then
			return true
		end
	end
	return false
end

function Tree:apply(entries)
	self.layer = self.layer + 1
	self.links, self.placed = {}, {}
	for _, entry in ipairs(entries) do
		if not self:whiteout(entry) then
			self:add(entry)
		end
	end
	self:finish_links(entries)
	self.ambiguous = self.ambiguous or self:has_two_meanings(entries)
end

-- ---- telling ---------------------------------------------------------------------

local function rows_of(root)
	local rows, names = {}, {}
	local function visit(dir, prefix)
		for name, found in pairs(dir.children) do
			local path, node = prefix .. name, found.node
			local row = {}
			for _, field in ipairs({ "type", "mode", "uid", "gid", "mtime", "target", "content", "device", "xattrs" }) do
				row[field] = node[field]
			end
			rows[path] = row
			if node.type == "dir" then
				visit(node, path .. "/")
			else
				names[node] = names[node] or {}
				table.insert(names[node], path)
				row.names = names[node]
			end
		end
	end
	visit(root, "")
	for _, row in pairs(rows) do
		if row.names then
			table.sort(row.names)
			row.links = table.concat(row.names, " ")
			row.names = nil
		end
	end
	local here = implied()
	for field in pairs(here) do
		here[field] = root[field]
	end
	here.children, here.parent, here.born = nil, nil, nil
	rows["."] = here
	return rows
end

--- Merges layers: path -> type, mode, uid, gid, mtime, xattrs, target, content, device, links (all names of the file,
--- sorted). The root is ".".
---@param layers table[][] entries of each, the base first
---@return table<string, table>|nil rows
---@return string|nil code why the layers cannot be applied
---@return boolean|nil ambiguous a hardlink means one file by its path, and another one where that leads to
function model.merge(layers)
	local tree = setmetatable({ root = implied(nil), layer = 0 }, Tree)
	local ok, why = pcall(function()
		for _, entries in ipairs(layers) do
			tree:apply(entries)
		end
	end)
	if not ok then
		if type(why) == "table" then
			return nil, why.refused, tree.ambiguous
		end
		error(why, 0)
	end
	return rows_of(tree.root), nil, tree.ambiguous
end

--- A row in one line.
---@param row table
---@return string
function model.line(row)
	local parts = { row.type, row.type == "symlink" and "" or ("%04o"):format(row.mode) }
	parts[#parts + 1] = ("%d:%d @%d"):format(row.uid, row.gid, row.mtime)
	for _, field in ipairs({ "target", "content", "device", "links" }) do
		if row[field] then
			parts[#parts + 1] = ("%s=%q"):format(field, row[field])
		end
	end
	local names = {}
	for name in pairs(row.xattrs or {}) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		parts[#parts + 1] = ("%s=%q"):format(name, row.xattrs[name])
	end
	return table.concat(parts, " ")
end

--- What tells one merge from another, a line for each path: an empty list for equal ones.
---@param expected table<string, table>
---@param found table<string, table>
---@return string[]
function model.differences(expected, found)
	local lines, paths = {}, {}
	for _, rows in ipairs({ expected, found }) do
		for path in pairs(rows) do
			paths[path] = true
		end
	end
	for path in pairs(paths) do
		local wanted, got = expected[path], found[path]
		if not wanted or not got then
			lines[#lines + 1] = ("%s: is %s"):format(path, got and "there: " .. model.line(got) or "missing")
		else
			local one, other = model.line(wanted), model.line(got)
			if one ~= other then
				lines[#lines + 1] = ("%s: is %s instead of %s"):format(path, other, one)
			end
		end
	end
	table.sort(lines)
	return lines
end

--- What a strata.Rootfs tells, in the same form.
---@param root strata.Rootfs
---@return table<string, table>
function model.of(root)
	local rows, names = {}, {}
	local function take(entry)
		local row = {
			type = entry.type, mode = entry.mode, uid = entry.uid, gid = entry.gid, xattrs = entry.xattrs,
			mtime = math.floor(entry.mtime),
		}
		if entry.type == "file" then
			row.content = assert(entry:read())
		elseif entry.type == "symlink" then
			row.target = entry.linkpath
		elseif entry.type == "char" or entry.type == "block" then
			row.device = ("%d:%d"):format(entry.major, entry.minor)
		end
		if entry.type ~= "dir" then
			local inode = entry.inode or entry.path
			names[inode] = names[inode] or {}
			table.insert(names[inode], entry.path)
			row.names = names[inode]
			assert(entry.links >= 1)
		end
		rows[entry.path] = row
	end
	take(assert(root:lstat(".")))
	for entry in root:walk() do
		take(entry)
	end
	for _, row in pairs(rows) do
		if row.names then
			table.sort(row.names)
			row.links, row.names = table.concat(row.names, " "), nil
		end
	end
	return rows
end

return model
