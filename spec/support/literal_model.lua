--- What programs show that unpack one layer over the other in one directory, told without them: a model of Docker with
--- vfs, of podman with vfs and of umoci that is held against them by spec/interop/runtimes_random_spec.lua.

local memfs = require "spec.support.memfs"
local unpack_steps = require "spec.support.unpack_steps"

local literal_model = {}

local join, split = memfs.join, memfs.split
local refuse, must, starts_with = unpack_steps.refuse, unpack_steps.must, unpack_steps.starts_with
local header, hidden, make_way = unpack_steps.header, unpack_steps.hidden, unpack_steps.make_way

local OPAQUE = ".wh..wh..opq"
local AUFS, LINKS = ".wh..wh.", ".wh..wh.plnk"
local MAX_LINKS = 255
-- Of directories that have no entry: where only these are made, the comparison takes Docker's mode for the other.
local IMPLIED_MODE, DOCKER_IMPLIED_MODE = 493, 384

-- Makes the directories of a path that are missing. They are told by `implied` until an entry of theirs comes.
local function make_all(fs, path)
	local found = fs:stat(path)
	if found then
		return found.type == "dir" or refuse("mkdir", path, "ENOTDIR")
	end
	if path ~= "/" then
		make_all(fs, memfs.dirname(path))
	end
	local ok, why = fs:mkdir(path, IMPLIED_MODE)
	local there = fs:lstat(path)
	if ok then
		there.implied = true
	end
	return ok or (there and there.type == "dir") or refuse("mkdir", path, why)
end

-- Calls a function for a path and all that is below, in the order of names. Unless it returns true, what is below a
-- directory is passed over. Names are read before it is called.
local function walk(fs, path, visit)
	local node, names = fs:lstat(path), {}
	for name in pairs(node and node.children or {}) do
		names[#names + 1] = name
	end
	table.sort(names)
	if not node or not visit(path) then
		return
	end
	for _, name in ipairs(names) do
		walk(fs, join(path, name), visit)
	end
end

-- ---- Docker's vfs, and podman's, which has its code ----------------------------------------

-- In the root, names of AUFS are passed over, but for files that hardlinks are made of. True for those that are. Where
-- these are kept meanwhile is in the root itself, which an opaque marker empties.
local function take_aufs(h, sources)
	if not starts_with(h.name, AUFS) then
		return false
	end
	if h.name == OPAQUE then
		sources.gone = true
	elseif starts_with(h.name, LINKS) and h.type == "file" then
		sources[memfs.basename(h.name)] = not sources.gone and h or refuse("stat /temp")
	end
	return h.name ~= OPAQUE
end

-- A whiteout removes what stands there before it, whatever layer it is of. An opaque marker spares what has an entry of
-- that very path in the layer.
local function vfs_hide(fs, path, unpacked)
	local dir, base = memfs.dirname(path), memfs.basename(path)
	if base ~= OPAQUE then
		local original = join(dir, hidden(base))
		return must("remove", original, fs:remove_all(original))
	end
	must("lstat", dir, fs:lstat(dir))
	walk(fs, dir, function(below)
		if below ~= dir and not unpacked[below] then
			must("remove", below, fs:remove_all(below))
		end
		return true
	end)
end

-- The header that a file is made of: a hardlink to a name of AUFS becomes a copy of what has that name.
local function source_of(h, sources)
	if h.type ~= "hardlink" or not starts_with(memfs.clean(h.link), LINKS) then
		return h
	end
	return not sources.gone and sources[memfs.basename(memfs.clean(h.link))] or refuse("Invalid aufs hardlink")
end

local function vfs_unpack(fs, entries, podman)
	local dirs, seen, unpacked, sources = {}, {}, {}, {}
	for _, entry in ipairs(entries) do
		local h = header(entry)
		if seen[h.name] then -- by what keeps the tar's headers
			refuse("duplicates of file paths not supported:", h.name)
		end
		seen[h.name] = true
		local path = join("/", h.name)
		local parent = memfs.dirname(path)
		local _, why = fs:lstat(parent)
		if why == "ENOENT" then
			make_all(fs, parent)
		end
		if not take_aufs(h, sources) then
			if hidden(memfs.basename(path)) then
				vfs_hide(fs, path, unpacked)
			else
				make_way(fs, path, h)
				unpack_steps.docker_create(fs, path, source_of(h, sources), podman)
				if h.type == "dir" then
					dirs[#dirs + 1] = h
					fs:lstat(path).implied = nil
				end
				unpacked[path] = true
			end
		end
	end
	for _, h in ipairs(dirs) do
		local path = join("/", h.name)
		must("chtimes", h.name, fs:utime(path, h.mtime))
		local found = fs:stat(path)
		if found.implied and not podman then -- made anew after a whiteout: the mode of Docker's shows
			found.mode, found.implied = found.mode - IMPLIED_MODE + DOCKER_IMPLIED_MODE, nil
		end
	end
	fs.root.mtime = memfs.NOW -- the root is not left as it was made
end

-- The directory of the next layer begins as a copy: only files keep their hardlinks, and few xattrs are taken along.
local function copied(fs, is_kept)
	local inodes = {}
	local function copy(node, parent)
		if node.type == "file" and inodes[node] then
			return inodes[node]
		end
		local made = { xattrs = {} }
		for field, value in pairs(node) do
			made[field] = field ~= "xattrs" and value or made[field]
		end
		for name, value in pairs(node.xattrs) do
			made.xattrs[name] = is_kept(name) and value or nil
		end
		inodes[node], made.parent = made, parent
		if node.children then
			made.children = {}
			for name, child in pairs(node.children) do
				made.children[name] = copy(child, made)
			end
		end
		return made
	end
	local root = copy(fs.root, nil)
	root.parent = root
	local new = memfs.new(0)
	new.root = root
	return new
end

local function is_kept_by_docker(name)
	return name == "security.capability"
end

local function is_kept_by_podman(name)
	return name == "security.capability" or name == "trusted.overlay.opaque" or starts_with(name, "user.")
end

-- ---- umoci -------------------------------------------------------------------------------

-- Where a path leads inside of the root, through symlinks; what is not there is taken as it stands.
local function secure_join(fs, path)
	local here, rest, links = "", path, 0
	while rest ~= "" do
		local part, more = rest:match("^([^/]*)/?(.*)$")
		rest = more
		local clean = memfs.clean("/" .. here .. part)
		if clean == "/" then
			here = ""
		else
			local found, why = fs:lstat(clean)
			if not found and why ~= "ENOENT" and why ~= "ENOTDIR" then
				refuse("sanitise symlinks in root", clean, why)
			elseif found and found.type == "symlink" then
				links = links + 1
				here = starts_with(found.target, "/") and "" or here
				rest = found.target .. "/" .. rest
			else
				here = here .. part .. "/"
			end
		end
		if links > MAX_LINKS then
			refuse("sanitise symlinks in root", path, "ELOOP")
		end
	end
	return memfs.clean("/" .. here)
end

local function attributes_of(node)
	local copy = { xattrs = {} }
	for _, field in ipairs({ "uid", "gid", "mode", "mtime" }) do
		copy[field] = node[field]
	end
	for name, value in pairs(node.xattrs) do
		copy.xattrs[name] = value
	end
	return copy
end

local function restore(fs, path, attributes)
	local is_symlink = must("lstat", path, fs:lstat(path)).type == "symlink"
	must("lchown", path, fs:lchown(path, attributes.uid, attributes.gid))
	if not is_symlink then
		must("chmod", path, fs:chmod(path, attributes.mode))
	end
	fs:lstat(path).xattrs = {}
	unpack_steps.set_xattrs(fs, path, attributes, { ENOTSUP = true })
	fs:lutime(path, attributes.mtime)
end

-- What a whiteout hides goes, unless the layer has put it there, or something below.
local function umoci_hide(fs, dir, base, upper)
	local is_opaque = base == OPAQUE
	local top = is_opaque and dir or join(dir, hidden(base))
	walk(fs, top, function(path)
		if upper[path] or (is_opaque and path == top) then
			return true
		end
		must("remove", path, fs:remove_all(path))
		return false
	end)
end

local function umoci_create(fs, path, h)
	if h.type == "hardlink" then
		local dir, base = split(memfs.clean("/" .. h.link))
		return must("link", path, fs:link(join(secure_join(fs, dir), base), path))
	end
	unpack_steps.make_node(fs, path, h)
	restore(fs, path, h)
end

local function umoci_entry(fs, h, path, dir, upper)
	local base = memfs.basename(memfs.clean("/" .. h.name))
	if hidden(base) then
		return umoci_hide(fs, dir, base, upper)
	end
	make_all(fs, dir)
	make_way(fs, path, h)
	umoci_create(fs, path, h)
	while path ~= "/" do
		upper[path] = true
		path = memfs.dirname(path)
	end
end

local function umoci_unpack(fs, entries)
	local upper = {}
	for _, entry in ipairs(entries) do
		local h = header(entry)
		local unsafe, base = split(memfs.clean("/" .. h.name))
		if base == "" and h.type ~= "dir" then
			refuse("malicious tar entry -- refusing to change type of root directory")
		end
		local dir = secure_join(fs, unsafe)
		local path = join(dir, base)
		local found = path ~= dir and fs:lstat(dir)
		local before = found and attributes_of(found)
		umoci_entry(fs, h, path, dir, upper)
		if before then -- it is as it was before, whatever has happened inside
			restore(fs, dir, before)
		end
	end
end

-- ---- all together ------------------------------------------------------------------------

local function rows_of(root)
	local rows, names = {}, {}
	local function visit(node, path)
		rows[path] = unpack_steps.row_of(node)
		if node.type ~= "dir" then
			names[node] = names[node] or {}
			table.insert(names[node], path)
		end
		for name, child in pairs(node.children or {}) do
			visit(child, path == "." and name or path .. "/" .. name)
		end
	end
	visit(root, ".")
	unpack_steps.tell_links(rows, names)
	return rows
end

local UNPACKERS = {
	["docker vfs"] = {
		root_mode = 493,
		unpack = function(fs, entries)
			vfs_unpack(fs, entries, false)
		end,
		is_kept = is_kept_by_docker,
	},
	["podman vfs"] = {
		root_mode = 365,
		unpack = function(fs, entries)
			vfs_unpack(fs, entries, true)
		end,
		is_kept = is_kept_by_podman,
	},
	umoci = { root_mode = 493, root_time = 0, unpack = umoci_unpack },
}

--- What one of these programs shows of layers; it throws a table with `refused` when it takes them not.
---@param layers table[][] entries of each, as spec.support.pack takes them, the base first
---@param reader string "docker vfs", "podman vfs" or "umoci"
---@return table<string, table> rows as those of spec.support.model; the time of the unpacking is -1
function literal_model.look(layers, reader)
	local kind = UNPACKERS[reader]
	local fs = memfs.new(kind.root_mode)
	fs.root.mtime = kind.root_time or fs.root.mtime
	for i, entries in ipairs(layers) do
		if i > 1 and kind.is_kept then
			fs = copied(fs, kind.is_kept)
		end
		kind.unpack(fs, entries)
	end
	return rows_of(fs.root)
end

return literal_model
