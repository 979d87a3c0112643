--- What the models of programs that unpack layers have in common: one entry, as Go's archive/tar reads it, put into a
--- file system of tables.

local memfs = require "spec.support.memfs"

local unpack_steps = {}

local clean, join = memfs.clean, memfs.join

--- Ends the unpacking: `refused` is why.
function unpack_steps.refuse(...)
	error({ refused = table.concat({ ... }, " ") }, 0)
end

-- The result of an operation of a file system, or the refusal.
function unpack_steps.must(what, path, ok, why)
	if not ok then
		unpack_steps.refuse(what, path, why)
	end
	return ok
end

function unpack_steps.starts_with(text, prefix)
	return text:sub(1, #prefix) == prefix
end

local NODES = { char = true, block = true, fifo = true }

local function device_of(entry)
	return entry.type ~= "fifo" and ("%d:%d"):format(entry.major or 0, entry.minor or 0) or nil
end

-- What Go's archive/tar makes of an entry: fields that are missing are as spec.support.pack writes them.
function unpack_steps.header(entry)
	return {
		name = clean(entry.name), type = entry.type or "file", link = entry.linkname, data = entry.data or "",
		mode = entry.mode or 420, uid = entry.uid or 0, gid = entry.gid or 0, mtime = entry.mtime or 1e9,
		xattrs = entry.xattrs or {}, device = device_of(entry),
	}
end

-- The name that a whiteout hides, nil for all else.
function unpack_steps.hidden(base)
	return unpack_steps.starts_with(base, ".wh.") and base:sub(5) or nil
end

function unpack_steps.make_node(fs, path, h)
	if h.type == "dir" then
		local found = fs:lstat(path)
		return found and found.type == "dir" or unpack_steps.must("mkdir", path, fs:mkdir(path, h.mode))
	elseif h.type == "file" then
		return unpack_steps.must("open", path, fs:create(path, h.data, h.mode))
	elseif NODES[h.type] then
		return unpack_steps.must("mknod", path, fs:mknod(path, h.type, h.mode, h.device))
	elseif h.type == "symlink" then
		return unpack_steps.must("symlink", path, fs:symlink(h.link, path))
	end
	unpack_steps.refuse("unhandled tar header type", h.type)
end

-- What is in the way of an entry goes, unless both are directories.
function unpack_steps.make_way(fs, path, h)
	local found = fs:lstat(path)
	if found and not (found.type == "dir" and h.type == "dir") then
		unpack_steps.must("remove", path, fs:remove_all(path))
	end
end

-- ---- as Docker does it, and podman, which has its code -----------------------------------

function unpack_steps.set_xattrs(fs, path, h, ignored)
	for name, value in pairs(h.xattrs) do
		if value ~= "" then -- for Go, an empty record is one that takes another one back
			local ok, why = fs:lsetxattr(path, name, value)
			if not ok and not ignored[why] then
				unpack_steps.refuse("lsetxattr", path, name, why)
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
		unpack_steps.must("chmod", path, fs:chmod(path, h.mode))
		unpack_steps.must("chtimes", path, fs:utime(path, h.mtime))
	end
end

function unpack_steps.docker_create(fs, path, h, podman)
	if h.type == "hardlink" then
		unpack_steps.must("link", path, fs:link(join("/", h.link), path))
	else
		unpack_steps.make_node(fs, path, h)
	end
	if not podman then
		unpack_steps.must("lchown", path, fs:lchown(path, h.uid, h.gid))
		unpack_steps.set_xattrs(fs, path, h, { ENOTSUP = true, EPERM = true })
		return set_mode_and_time(fs, path, h)
	end
	if not is_owner(unpack_steps.must("lstat", path, fs:lstat(path)), h) then
		unpack_steps.must("lchown", path, fs:lchown(path, h.uid, h.gid))
	end
	set_mode_and_time(fs, path, h)
	unpack_steps.set_xattrs(fs, path, h, { ENOTSUP = true })
end

-- ---- telling ---------------------------------------------------------------------------

local FIELDS = { "type", "mode", "uid", "gid", "mtime", "target", "content", "device" }

function unpack_steps.row_of(node)
	local row = { xattrs = {} }
	for _, field in ipairs(FIELDS) do
		row[field] = node[field]
	end
	for name, value in pairs(node.xattrs) do
		if not unpack_steps.starts_with(name, "trusted.overlay.") then
			row.xattrs[name] = value
		end
	end
	return row
end

--- Tells in each row all names of its file.
---@param rows table<string, table>
---@param names table<spec.Inode, string[]> paths of each file
function unpack_steps.tell_links(rows, names)
	for _, paths in pairs(names) do
		table.sort(paths)
		for _, path in ipairs(paths) do
			rows[path].links = table.concat(paths, " ")
		end
	end
end

return unpack_steps
