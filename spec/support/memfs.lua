--- A small file system of tables, as root sees one in its root directory: for models of programs that unpack.
---
--- Operations take paths as the system calls of their names do, and return true, or nil and the name of the error.

local memfs = {}

local MAX_LINKS = 40

--- The time of whatever is done: "while it was unpacked".
memfs.NOW = -1

---@class spec.Inode
---@field type string "dir", "file", "symlink", "char", "block" or "fifo"
---@field mode integer
---@field uid integer
---@field gid integer
---@field mtime integer
---@field xattrs table<string, string>
---@field target? string of a symlink
---@field content? string of a file
---@field device? string "major:minor"
---@field children? table<string, spec.Inode>
---@field parent? spec.Inode of a directory

---@class spec.Memfs
---@field root spec.Inode
local Fs = {}
Fs.__index = Fs

-- ---- numbers as bits --------------------------------------------------------------

local function has_bit(mode, bit)
	return math.floor(mode / bit) % 2 == 1
end

local SET_UID, SET_GID, GROUP_EXECUTES = 2048, 1024, 8

local function inode(kind, mode)
	return { type = kind, mode = mode, uid = 0, gid = 0, mtime = memfs.NOW, xattrs = {} }
end

--- A file system with nothing but its root.
---@param mode integer of the root
---@return spec.Memfs
function memfs.new(mode)
	local root = inode("dir", mode)
	root.children, root.parent = {}, root
	return setmetatable({ root = root }, Fs)
end

-- ---- paths -----------------------------------------------------------------------

local function push_reversed(stack, path)
	local parts = {}
	for part in path:gmatch("[^/]+") do
		parts[#parts + 1] = part
	end
	for i = #parts, 1, -1 do
		stack[#stack + 1] = parts[i]
	end
end

-- Where a path leads: a directory, a name in it, and what has that name, if anything. The root has no name.
local function walk(fs, path, follow)
	if path == "" then
		return nil, "ENOENT"
	end
	local stack, here, links = {}, fs.root, 0
	push_reversed(stack, path)
	local dir, name = here, nil
	while #stack > 0 do
		if here == nil then
			return nil, "ENOENT"
		elseif here.type ~= "dir" then
			return nil, "ENOTDIR"
		end
		local part = table.remove(stack)
		if part == ".." then
			here = here.parent
			dir, name = here, nil
		elseif part ~= "." then
			local found = here.children[part]
			if found and found.type == "symlink" and (follow or #stack > 0) then
				links = links + 1
				if links > MAX_LINKS then
					return nil, "ELOOP"
				end
				push_reversed(stack, found.target)
				if found.target:sub(1, 1) == "/" then
					here = fs.root
				end
				dir, name = here, nil
			else
				dir, name, here = here, part, found
			end
		end
	end
	return dir, name, here
end

--- What a path names; symlinks are followed but for the last one.
---@param path string
---@return spec.Inode|nil found
---@return string|nil error
function Fs:lstat(path)
	local dir, name, found = walk(self, path, false)
	if not dir then
		return nil, name
	end
	return found, not found and "ENOENT" or nil
end

--- What a path names, through all symlinks.
---@param path string
---@return spec.Inode|nil found
---@return string|nil error
function Fs:stat(path)
	local dir, name, found = walk(self, path, true)
	if not dir then
		return nil, name
	end
	return found, not found and "ENOENT" or nil
end

-- ---- making and removing -----------------------------------------------------------

local function put(fs, path, made)
	local dir, name, found = walk(fs, path, false)
	if not dir then
		return nil, name
	elseif found then
		return nil, "EEXIST"
	end
	dir.children[name], dir.mtime = made, memfs.NOW
	if has_bit(dir.mode, SET_GID) then
		made.gid = dir.gid
		if made.type == "dir" then
			made.mode = made.mode + (has_bit(made.mode, SET_GID) and 0 or SET_GID)
		end
	end
	if made.type == "dir" then
		made.children, made.parent = {}, dir
	end
	return true
end

function Fs:mkdir(path, mode)
	return put(self, path, inode("dir", mode))
end

function Fs:mknod(path, kind, mode, device)
	local made = inode(kind, mode)
	made.device = device
	return put(self, path, made)
end

function Fs:create(path, content, mode)
	local made = inode("file", mode)
	made.content = content
	return put(self, path, made)
end

function Fs:symlink(target, path)
	if target == "" then
		return nil, "ENOENT"
	end
	local made = inode("symlink", 511)
	made.target = target
	return put(self, path, made)
end

--- Gives what a path names a second name; symlinks are linked, too.
function Fs:link(old, new)
	local found, why = self:lstat(old)
	if not found then
		return nil, why
	elseif found.type == "dir" then
		return nil, "EPERM"
	end
	local gid = found.gid
	local ok, message = put(self, new, found)
	found.gid = gid
	return ok, message
end

--- Removes a path with all that is below; a missing one is fine.
function Fs:remove_all(path)
	local dir, name, found = walk(self, path, false)
	if not dir then
		return name == "ENOENT" or nil, name
	elseif not found then
		return true
	elseif not name then
		return nil, "EBUSY"
	end
	dir.children[name], dir.mtime = nil, memfs.NOW
	return true
end

-- ---- attributes ------------------------------------------------------------------

-- What chown takes for "leave it as it is".
local UNCHANGED = { [-1] = true, [4294967295] = true }

-- What lets others be the owner of a file.
local function drop_privileges(node)
	node.xattrs["security.capability"] = nil
	if has_bit(node.mode, SET_UID) then
		node.mode = node.mode - SET_UID
	end
	if has_bit(node.mode, SET_GID) and has_bit(node.mode, GROUP_EXECUTES) then
		node.mode = node.mode - SET_GID
	end
end

--- The owner of a path; not through a symlink at its end. A file loses capabilities and set-id bits, whoever the owner
--- was.
function Fs:lchown(path, uid, gid)
	local found, why = self:lstat(path)
	if not found then
		return nil, why
	end
	found.uid = UNCHANGED[uid] and found.uid or uid
	found.gid = UNCHANGED[gid] and found.gid or gid
	if found.type ~= "dir" then
		drop_privileges(found)
	end
	return true
end

--- The mode of a path, through all symlinks.
function Fs:chmod(path, mode)
	local found, why = self:stat(path)
	if not found then
		return nil, why
	end
	found.mode = mode
	return true
end

-- Where names of user.* can be.
local TAKES_USER = { file = true, dir = true }

local function set(found, why, name, value)
	if not found then
		return nil, why
	elseif name:find("^user%.") and not TAKES_USER[found.type] then
		return nil, "EPERM"
	elseif name == "security.capability" and #value ~= 20 and #value ~= 24 then
		return nil, "EINVAL"
	elseif not (name:find("^user%..") or name:find("^trusted%..") or name:find("^security%..")) then
		return nil, "ENOTSUP"
	end
	found.xattrs[name] = value
	return true
end

function Fs:setxattr(path, name, value)
	local found, why = self:stat(path)
	return set(found, why, name, value)
end

function Fs:lsetxattr(path, name, value)
	local found, why = self:lstat(path)
	return set(found, why, name, value)
end

--- The time of a path, through all symlinks.
function Fs:utime(path, mtime)
	local found, why = self:stat(path)
	if not found then
		return nil, why
	end
	found.mtime = mtime
	return true
end

--- The time of a path, not through a symlink at its end.
function Fs:lutime(path, mtime)
	local found, why = self:lstat(path)
	if not found then
		return nil, why
	end
	found.mtime = mtime
	return true
end

-- ---- paths as texts ----------------------------------------------------------------

--- The shortest path that says the same, taking no account of symlinks.
---@param path string
---@return string
function memfs.clean(path)
	local absolute, parts = path:sub(1, 1) == "/", {}
	for part in path:gmatch("[^/]+") do
		if part == ".." and #parts > 0 and parts[#parts] ~= ".." then
			parts[#parts] = nil
		elseif part == ".." and not absolute then
			parts[#parts + 1] = part
		elseif part ~= "." and part ~= ".." then
			parts[#parts + 1] = part
		end
	end
	local clean = table.concat(parts, "/")
	return absolute and "/" .. clean or clean == "" and "." or clean
end

--- Paths one below the other, cleaned.
---@param ... string
---@return string
function memfs.join(...)
	local parts = {}
	for _, part in ipairs({ ... }) do
		if part ~= "" then
			parts[#parts + 1] = part
		end
	end
	return #parts == 0 and "" or memfs.clean(table.concat(parts, "/"))
end

--- All up to the last slash, that included, and what is behind it.
---@param path string
---@return string directory
---@return string base
function memfs.split(path)
	return path:match("^(.*/)([^/]*)$") or "", path:match("[^/]*$")
end

--- The directory of a path.
---@param path string
---@return string
function memfs.dirname(path)
	return memfs.clean((memfs.split(path)))
end

--- The last component of a clean path.
---@param path string
---@return string
function memfs.basename(path)
	return path == "/" and "/" or path:match("[^/]*$")
end

return memfs
