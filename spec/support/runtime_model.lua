--- What the default runtimes show of a stack of layers, told without them: a model of Docker with overlay2, of
--- containerd with overlayfs and of podman with overlay that is held against the runtimes themselves by
--- spec/interop/runtimes_random_spec.lua.
---
--- Each layer is unpacked for itself, by the rules of each runtime, into a file system of its own. Then overlayfs shows
--- them as one. What is refused is refused while a layer is unpacked; overlayfs refuses nothing.

local literal_model = require "spec.support.literal_model"
local memfs = require "spec.support.memfs"
local unpack_steps = require "spec.support.unpack_steps"

local runtime_model = {}

local join, split = memfs.join, memfs.split
local refuse, must, starts_with = unpack_steps.refuse, unpack_steps.must, unpack_steps.starts_with
local header, hidden, make_way = unpack_steps.header, unpack_steps.hidden, unpack_steps.make_way

local OPAQUE = ".wh..wh..opq"
local MARK = "trusted.overlay.opaque"
local WHITEOUT = "0:0"

local function is_whiteout(node)
	return node.type == "char" and node.device == WHITEOUT
end

-- ---- Docker with overlay2, and podman with overlay, which has its code -----------------

-- Missing directories are made and belong to root.
local function make_parents(fs, path)
	local found, why = fs:lstat(path)
	if found or why ~= "ENOENT" then
		return
	end
	local made, dir = {}, path
	repeat
		local there, trouble = fs:stat(dir)
		if not there and trouble == "ENOENT" then
			table.insert(made, 1, dir)
		end
		dir = memfs.dirname(dir)
	until dir == "/"
	for _, one in ipairs(made) do
		if not fs:stat(one) then
			must("mkdir", one, fs:mkdir(one, 493))
		end
	end
	if must("mkdir", path, fs:stat(path)).type ~= "dir" then
		refuse("mkdir", path, "ENOTDIR")
	end
	for _, one in ipairs(made) do
		fs:lchown(one, 0, 0)
	end
end

local function hide(fs, path, h, podman)
	local dir, base = memfs.dirname(path), memfs.basename(path)
	if base == OPAQUE then
		return must("setxattr", dir, fs:setxattr(dir, MARK, "y"))
	end
	local original = join(dir, hidden(base))
	local ok, why = fs:mknod(original, "char", 0, WHITEOUT)
	if not ok and podman and why == "ENOTDIR" then
		return
	end
	must("mknod", original, ok, why)
	fs:lchown(original, h.uid, h.gid)
end

local function docker_unpack(fs, entries, podman)
	local dirs, seen = {}, {}
	for _, entry in ipairs(entries) do
		local h = header(entry)
		if seen[h.name] then -- by what keeps the tar's headers
			refuse("duplicates of file paths not supported:", h.name)
		end
		seen[h.name] = true
		local path = join("/", h.name)
		if h.name ~= "/" then
			make_parents(fs, join("/", memfs.dirname(h.name)))
		end
		local is_root_entry = h.name == "." and fs:lstat(path)
		if not is_root_entry then
			make_way(fs, path, h)
			local base = memfs.basename(path)
			if hidden(base) then
				hide(fs, path, h, podman)
			else
				unpack_steps.docker_create(fs, path, h, podman)
				dirs[#dirs + 1] = h.type == "dir" and h or nil
			end
		end
	end
	for _, h in ipairs(dirs) do
		must("chtimes", h.name, fs:utime(join("/", h.name), h.mtime))
	end
end

-- ---- containerd with overlayfs --------------------------------------------------------

-- One step through a path: where it leads when its last component is a symlink, or the path itself.
local function walk_link(fs, path, walked)
	if walked.links > 255 then
		refuse("too many links:", path)
	end
	path = join("/", path)
	if path == "/" then
		return path, false
	end
	local found, why = fs:lstat(path)
	if not found and why ~= "ENOENT" then
		refuse("lstat", path, why)
	elseif not found or found.type ~= "symlink" then
		return path, false
	end
	walked.links = walked.links + 1
	return found.target, true
end

local function walk_links(fs, path, walked)
	local dir, base = split(path)
	if dir == "" then
		return (walk_link(fs, base, walked))
	elseif base == "" then
		return dir == "/" and dir or walk_links(fs, dir:sub(1, -2), walked)
	end
	local new_dir = walk_links(fs, dir, walked)
	local new, is_link = walk_link(fs, join(new_dir, base), walked)
	if not is_link or starts_with(new, "/") then
		return new
	end
	return join(new_dir, new)
end

-- Where a path leads in its root. What is not there is taken as it stands.
local function root_path(fs, path)
	local walked = { links = 0 }
	if path == "" then
		return "/"
	end
	repeat
		local before = walked.links
		path = walk_links(fs, path, walked)
	until walked.links == before
	return join("/", path)
end

-- What a directory of lower layers has, for the one of the same path that no entry tells of.
local function copy_up(fs, path, lowers)
	for _, lower in ipairs(lowers) do
		local found, why = lower:lstat(root_path(lower, path))
		if found and found.type ~= "dir" then
			return
		elseif found then
			fs:lchown(path, found.uid, found.gid)
			fs:chmod(path, found.mode)
			fs:lutime(path, found.mtime)
			for name, value in pairs(found.xattrs) do
				if not starts_with(name, "trusted.") then
					fs:lsetxattr(path, name, value)
				end
			end
			return
		elseif why ~= "ENOENT" then
			refuse("lstat", path, why)
		end
	end
end

local function containerd_parents(fs, path, lowers)
	local found, why = fs:lstat(path)
	if found then
		return found.type == "dir" or refuse("mkparent", path, "ENOTDIR")
	elseif why ~= "ENOENT" then
		refuse("mkparent", path, why)
	end
	local above = memfs.dirname(path)
	if above ~= "/" then
		containerd_parents(fs, above, lowers)
	end
	must("mkdir", path, fs:mkdir(path, 493))
	fs:chmod(path, 493)
	copy_up(fs, path, lowers)
end

-- In the lowest layer, which is no overlay, whiteouts remove what its own layer has put there before.
local function clear(fs, path, dir, unpacked)
	local names = {}
	for name in pairs(dir.children) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		local child, below = dir.children[name], join(path, name)
		if not unpacked[below] then
			fs:remove_all(below)
		elseif child.type == "dir" then
			clear(fs, below, child, unpacked)
		end
	end
end

local function containerd_hide(fs, path, h, unpacked)
	local dir, base = memfs.dirname(path), memfs.basename(path)
	if base == OPAQUE then
		if not unpacked then
			return must("setxattr", dir, fs:setxattr(dir, MARK, "y"))
		end
		return clear(fs, dir, must("lstat", dir, fs:lstat(dir)), unpacked)
	end
	local original = join(dir, hidden(base))
	if unpacked then
		return must("remove", original, fs:remove_all(original))
	end
	must("mknod", original, fs:mknod(original, "char", 0, WHITEOUT))
	fs:lchown(original, h.uid, h.gid)
end

local NO_NAMES = { [""] = true, ["."] = true, [".."] = true }

local function containerd_xattrs(fs, path, h)
	for name, value in pairs(h.xattrs) do
		if not starts_with(name, "trusted.") then
			local ok, why = fs:lsetxattr(path, name, value)
			local excused = why == "ENOTSUP" or (why == "EPERM" and starts_with(name, "user."))
			if not ok and not excused then
				refuse("lsetxattr", path, name, why)
			end
		end
	end
end

local function containerd_create(fs, path, h)
	if h.type == "hardlink" then
		local dir, base = split(h.link)
		must("link", path, fs:link(join(root_path(fs, dir), base), path))
	else
		unpack_steps.make_node(fs, path, h)
	end
	must("lchown", path, fs:lchown(path, h.uid, h.gid))
	containerd_xattrs(fs, path, h)
	if must("lstat", path, fs:lstat(path)).type ~= "symlink" then
		fs:chmod(path, h.mode)
	end
	fs:lutime(path, h.mtime)
end

local function containerd_unpack(fs, entries, lowers)
	local dirs, unpacked = {}, {}
	for _, entry in ipairs(entries) do
		local h = header(entry)
		local dir, base = split(h.name)
		dir = root_path(fs, dir)
		local path = join(dir, join("/", base))
		if path ~= "/" then
			if dir ~= "/" then
				containerd_parents(fs, dir, lowers)
			end
			base = memfs.basename(path)
			if base ~= OPAQUE and NO_NAMES[hidden(base)] then
				refuse("invalid whiteout name:", base)
			elseif hidden(base) then
				containerd_hide(fs, path, h, #lowers == 0 and unpacked or nil)
			else
				make_way(fs, path, h)
				containerd_create(fs, path, h)
				dirs[#dirs + 1] = h.type == "dir" and h or nil
				unpacked[path] = true
			end
		end
	end
	for _, h in ipairs(dirs) do
		must("chtimes", h.name, fs:lutime(root_path(fs, h.name), h.mtime))
	end
end

-- ---- overlayfs -------------------------------------------------------------------------

-- What a name is in a directory, which has one part in each of some layers, the uppermost first: a list of such parts,
-- of which the first one has the attributes; nil when there is nothing.
local function look_up(parts, name)
	local found = {}
	for _, part in ipairs(parts) do
		local child = part.children[name]
		if child then
			if child.type ~= "dir" then
				if #found == 0 and not is_whiteout(child) then
					return { child }
				end
				break
			end
			found[#found + 1] = child
			if child.xattrs[MARK] == "y" then
				break
			end
		end
	end
	return #found > 0 and found or nil
end

-- A container has a root directory of its own above those of the layers.
local function root_row(mode)
	return { type = "dir", mode = mode, uid = 0, gid = 0, mtime = memfs.NOW, xattrs = {} }
end

local function rows_of(roots, root_mode)
	local rows, names = { ["."] = root_row(root_mode) }, {}
	local function visit(parts, prefix)
		local here = {}
		for _, part in ipairs(parts) do
			for name in pairs(part.children) do
				here[name] = true
			end
		end
		for name in pairs(here) do
			local found = look_up(parts, name)
			local path, node = prefix .. name, found and found[1]
			if node then
				rows[path] = unpack_steps.row_of(node)
				if node.type == "dir" then
					visit(found, path .. "/")
				else
					names[node] = names[node] or {}
					table.insert(names[node], path)
				end
			end
		end
	end
	visit(roots, "")
	unpack_steps.tell_links(rows, names)
	return rows
end

-- ---- all together ------------------------------------------------------------------------

-- podman makes root directories with the mode of the one below, as far as its umask lets it.
local function of_umask(mode)
	local others, all = mode % 8, mode % 512
	local function readable(bits)
		return bits - (math.floor(bits / 2) % 2) * 2
	end
	return math.floor(all / 64) * 64 + readable(math.floor(all / 8) % 8) * 8 + readable(others)
end

local function always(mode)
	return function()
		return mode
	end
end

-- `root_mode` is the mode of a root directory above another one, or of the first. No entry changes the root that a
-- container sees, but for what podman makes of a directory "/".
local UNPACKERS = {
	["docker overlay2"] = {
		root_mode = always(493),
		unpack = function(fs, entries)
			docker_unpack(fs, entries, false)
		end,
	},
	["podman overlay"] = {
		root_mode = function(below)
			return below and of_umask(below.root.mode) or 365
		end,
		unpack = function(fs, entries)
			docker_unpack(fs, entries, true)
		end,
	},
	["containerd overlayfs"] = { root_mode = always(493), unpack = containerd_unpack },
}

local function overlay_look(layers, reader)
	local kind, lowers = UNPACKERS[reader], {}
	for _, entries in ipairs(layers) do
		local fs = memfs.new(kind.root_mode(lowers[1]))
		kind.unpack(fs, entries, lowers)
		table.insert(lowers, 1, fs)
	end
	local roots = {}
	for i, fs in ipairs(lowers) do
		roots[i] = fs.root
	end
	return rows_of(roots, kind.root_mode(lowers[1]))
end

--- What a runtime shows of layers, or why it refuses them.
---@param layers table[][] entries of each, as spec.support.pack takes them, the base first
---@param reader string one of runtimes.ALL
---@return table<string, table>|nil rows as those of spec.support.model; the time of the unpacking is -1
---@return string|nil refused
function runtime_model.look(layers, reader)
	local look = UNPACKERS[reader] and overlay_look or literal_model.look
	local ok, rows = pcall(look, layers, reader)
	if ok then
		return rows
	elseif type(rows) == "table" then
		return nil, rows.refused
	end
	error(rows, 0)
end

return runtime_model
