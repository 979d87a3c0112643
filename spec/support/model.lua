--- What a container sees of some layers: a second, slow opinion for the specs, by whole paths.
---
--- It knows nothing of paths that lead through symlinks: stacks for it have none.

local model = {}

local function normal(name)
	return (name:gsub("^%./", ""):gsub("^/", ""):gsub("/$", ""))
end

local function remove(root, path)
	for found in pairs(root) do
		if found == path or found:sub(1, #path + 1) == path .. "/" then
			root[found] = nil
		end
	end
end

local function implied()
	return { kind = { type = "dir", mode = 493, uid = 0, gid = 0, mtime = 0 } }
end

local function add_parents(root, path)
	for at in path:gmatch("()/") do
		local parent = path:sub(1, at - 1)
		if not root[parent] or root[parent].kind.type ~= "dir" then
			remove(root, parent)
			root[parent] = implied()
		end
	end
end

local function hide(root, entry)
	local path = normal(entry.name)
	local directory, base = path:match("^(.*/)([^/]*)$")
	directory, base = directory or "", base or path
	if base == ".wh..wh..opq" then
		local list = {}
		for found in pairs(root) do
			if found:sub(1, #directory) == directory then
				list[#list + 1] = found
			end
		end
		for _, found in ipairs(list) do
			root[found] = nil
		end
	elseif base:sub(1, 4) == ".wh." then
		remove(root, directory .. base:sub(5))
	end
end

-- The file that a hardlink of a layer is another name of: the same table for all names.
local function bind(entries, below)
	local kinds, waiting = {}, {}
	local latest = {}
	for i, entry in ipairs(entries) do
		local path = normal(entry.name)
		if entry.type == "hardlink" then
			kinds[i] = latest[normal(entry.linkname)]
			waiting[#waiting + 1] = not kinds[i] and i or nil
		else
			kinds[i] = {
				type = entry.type, mode = entry.mode, uid = entry.uid, gid = entry.gid, mtime = entry.mtime,
				content = entry.sha256, target = entry.type == "symlink" and entry.linkname or nil,
			}
		end
		latest[path] = kinds[i] or latest[path]
	end
	for _ = 1, #waiting do
		for _, i in ipairs(waiting) do
			local lower = below[normal(entries[i].linkname)]
			kinds[i] = kinds[i] or latest[normal(entries[i].linkname)] or (lower and lower.kind)
			latest[normal(entries[i].name)] = latest[normal(entries[i].name)] or kinds[i]
		end
	end
	return kinds
end

local function put(root, path, kind)
	add_parents(root, path)
	if not (kind.type == "dir" and root[path] and root[path].kind.type == "dir") then
		remove(root, path)
	end
	root[path] = { kind = kind }
end

local function apply(root, entries)
	local below = {}
	for path, node in pairs(root) do
		below[path] = node
	end
	local kinds = bind(entries, below)
	for _, entry in ipairs(entries) do
		hide(root, entry)
	end
	for i, entry in ipairs(entries) do
		local path = normal(entry.name)
		if not path:find("%.wh%.[^/]*$") and path ~= "." and path ~= "" then
			put(root, path, kinds[i] or { type = "hardlink" })
		end
	end
end

--- A line for each path: type, mode, owner, time, content or target, and the first of the names that the file has.
---@param layers table[][] entries of each layer, as archive.look() tells them
---@return table<string, string>
function model.merge(layers)
	local root, first, lines = {}, {}, {}
	for _, entries in ipairs(layers) do
		apply(root, entries)
	end
	for path, node in pairs(root) do
		if not first[node.kind] or path < first[node.kind] then
			first[node.kind] = path
		end
	end
	for path, node in pairs(root) do
		lines[path] = model.line(node.kind, first[node.kind])
	end
	return lines
end

--- The line of a path.
---@param kind table type, mode, uid, gid, mtime, content, target
---@param first string of its names
---@return string
function model.line(kind, first)
	if kind.type == "hardlink" then
		return "a link to nothing"
	end
	return ("%s %o %d:%d %d %s, %s"):format(
		kind.type,
		kind.type == "symlink" and 511 or kind.mode,
		kind.uid,
		kind.gid,
		kind.mtime,
		kind.content or kind.target or "-",
		kind.type == "dir" and "-" or first
	)
end

--- What a strata.Rootfs tells, in the same words.
---@param root strata.Rootfs
---@return table<string, string>
function model.of(root)
	local core = require("strata.core")
	local lines, first = {}, {}
	for entry in root:walk() do
		if entry.inode and (not first[entry.inode] or entry.path < first[entry.inode]) then
			first[entry.inode] = entry.path
		end
	end
	for entry in root:walk() do
		lines[entry.path] = model.line({
			type = entry.type, mode = entry.mode, uid = entry.uid, gid = entry.gid, mtime = entry.mtime,
			content = entry.type == "file" and core.sha256(assert(entry:read())) or nil, target = entry.linkpath,
		}, entry.inode and first[entry.inode] or entry.path)
	end
	return lines
end

return model
