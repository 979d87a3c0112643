--- What the default runtimes show of a stack of layers, told without them: a model of Docker with overlay2, of
--- containerd with overlayfs and of podman with overlay that is held against the runtimes themselves by
--- spec/interop/runtimes_random_spec.lua.
---
--- Each layer is unpacked for itself, by the rules of each runtime, into a file system of its own. Then overlayfs shows
--- them as one. What is refused is refused while a layer is unpacked; overlayfs refuses nothing.

local memfs = require "spec.support.memfs"

local runtime_model = {}

local clean, join, split = memfs.clean, memfs.join, memfs.split

local OPAQUE = ".wh..wh..opq"
local MARK = "trusted.overlay.opaque"
local WHITEOUT = "0:0"

local function refuse(...)
	error({ refused = table.concat({ ... }, " ") }, 0)
end

-- The result of an operation of a file system, or the refusal.
local function must(what, path, ok, why)
	if not ok then
		refuse(what, path, why)
	end
	return ok
end

local function starts_with(text, prefix)
	return text:sub(1, #prefix) == prefix
end

local NODES = { char = true, block = true, fifo = true }

local function device_of(entry)
	return entry.type ~= "fifo" and ("%d:%d"):format(entry.major or 0, entry.minor or 0) or nil
end

local function is_whiteout(node)
	return node.type == "char" and node.device == WHITEOUT
end

-- What Go's archive/tar makes of an entry: fields that are missing are as spec.support.pack writes them.
local function header(entry)
	return {
		name = clean(entry.name), type = entry.type or "file", link = entry.linkname, data = entry.data or "",
		mode = entry.mode or 420, uid = entry.uid or 0, gid = entry.gid or 0, mtime = entry.mtime or 1e9,
		xattrs = entry.xattrs or {}, device = device_of(entry),
	}
end

-- The name that a whiteout hides, nil for all else.
local function hidden(base)
	return starts_with(base, ".wh.") and base:sub(5) or nil
end

local function make_node(fs, path, h)
	if h.type == "dir" then
		local found = fs:lstat(path)
		return found and found.type == "dir" or must("mkdir", path, fs:mkdir(path, h.mode))
	elseif h.type == "file" then
		return must("open", path, fs:create(path, h.data, h.mode))
	elseif NODES[h.type] then
		return must("mknod", path, fs:mknod(path, h.type, h.mode, h.device))
	elseif h.type == "symlink" then
		return must("symlink", path, fs:symlink(h.link, path))
	end
	refuse("unhandled tar header type", h.type)
end

-- What is in the way of an entry goes, unless both are directories.
local function make_way(fs, path, h)
	local found = fs:lstat(path)
	if found and not (found.type == "dir" and h.type == "dir") then
		must("remove", path, fs:remove_all(path))
	end
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

local function set_xattrs(fs, path, h, ignored)
	for name, value in pairs(h.xattrs) do
		if value ~= "" then -- for Go, an empty record is one that takes another one back
			local ok, why = fs:lsetxattr(path, name, value)
			if not ok and not ignored[why] then
				refuse("lsetxattr", path, name, why)
			end
		end
	end
end

local function is_owner(node, h)
	return node.uid == h.uid and node.gid == h.gid
end

local function set_mode_and_time(fs, path, h)
	local followed = h.type == "hardlink" and fs:lstat("/" .. h.link) or nil
	if h.type == "symlink" then
		fs:lutime(path, h.mtime)
	elseif h.type ~= "hardlink" or (followed and followed.type ~= "symlink") then
		must("chmod", path, fs:chmod(path, h.mode))
		must("chtimes", path, fs:utime(path, h.mtime))
	end
end

local function docker_create(fs, path, h, podman)
	if h.type == "hardlink" then
		must("link", path, fs:link(join("/", h.link), path))
	else
		make_node(fs, path, h)
	end
	if not podman then
		must("lchown", path, fs:lchown(path, h.uid, h.gid))
		set_xattrs(fs, path, h, { ENOTSUP = true, EPERM = true })
		return set_mode_and_time(fs, path, h)
	end
	if not is_owner(must("lstat", path, fs:lstat(path)), h) then
		must("lchown", path, fs:lchown(path, h.uid, h.gid))
	end
	set_mode_and_time(fs, path, h)
	set_xattrs(fs, path, h, { ENOTSUP = true })
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
				docker_create(fs, path, h, podman)
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
		make_node(fs, path, h)
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

local FIELDS = { "type", "mode", "uid", "gid", "mtime", "target", "content", "device" }

local function row_of(node)
	local row = { xattrs = {} }
	for _, field in ipairs(FIELDS) do
		row[field] = node[field]
	end
	for name, value in pairs(node.xattrs) do
		if not starts_with(name, "trusted.overlay.") then
			row.xattrs[name] = value
		end
	end
	return row
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
				rows[path] = row_of(node)
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
	for _, paths in pairs(names) do
		table.sort(paths)
		for _, path in ipairs(paths) do
			rows[path].links = table.concat(paths, " ")
		end
	end
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

--- What a runtime shows of layers, or why it refuses them.
---@param layers table[][] entries of each, as spec.support.pack takes them, the base first
---@param reader string one of runtimes.DEFAULT
---@return table<string, table>|nil rows as those of spec.support.model; the time of the unpacking is -1
---@return string|nil refused
function runtime_model.look(layers, reader)
	local kind = UNPACKERS[reader]
	local ok, why, lowers = pcall(function()
		local stack = {}
		for _, entries in ipairs(layers) do
			local fs = memfs.new(kind.root_mode(stack[1]))
			kind.unpack(fs, entries, stack)
			table.insert(stack, 1, fs)
		end
		return nil, stack
	end)
	if not ok then
		if type(why) == "table" then
			return nil, why.refused
		end
		error(why, 0)
	end
	local roots = {}
	for i, fs in ipairs(lowers) do
		roots[i] = fs.root
	end
	return rows_of(roots, kind.root_mode(lowers[1]))
end

return runtime_model
