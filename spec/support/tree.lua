--- A directory tree on disk, entry by entry, for comparing what two programs made of the same layers.

local cjson = require "cjson"
local python = require "spec.support.python"

local tree = {}

-- Names and values travel as characters that stand for bytes.
local SCRIPT = [==[
import hashlib, json, os, stat, sys

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}

def chars(data):
    return data.decode("latin-1")

def attributes(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if name != "security.selinux":
            found[chars(os.fsencode(name))] = chars(os.getxattr(path, name, follow_symlinks=False))
    return found

def describe(path, st):
    kind = TYPES[stat.S_IFMT(st.st_mode)]
    row = {"type": kind, "mode": "%04o" % stat.S_IMODE(st.st_mode), "owner": "%d:%d" % (st.st_uid, st.st_gid),
           "mtime": "%d.%09d" % divmod(st.st_mtime_ns, 10 ** 9), "nlink": st.st_nlink, "xattrs": attributes(path)}
    if kind == "symlink":
        row["target"] = chars(os.readlink(path))
        row["mode"] = ""
    elif kind == "file":
        with open(path, "rb") as file:
            row["content"] = hashlib.sha256(file.read()).hexdigest()
        row["size"] = st.st_size
        row["blocks"] = st.st_blocks
    elif kind in ("char", "block"):
        row["device"] = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    return row

def walk(root):
    rows, inodes = {}, {}
    def visit(path, name):
        st = os.lstat(path)
        row = describe(path, st)
        if row["type"] != "dir":
            inodes.setdefault((st.st_dev, st.st_ino), []).append(name)
            row["inode"] = (st.st_dev, st.st_ino)
        rows[name] = row
        if row["type"] == "dir":
            for child in os.listdir(path):
                visit(os.path.join(path, child), child if name == b"." else name + b"/" + child)
    visit(root, b".")
    for row in rows.values():
        if "inode" in row:
            row["links"] = " ".join(sorted(chars(name) for name in inodes[row.pop("inode")]))
    return {chars(name): row for name, row in rows.items()}

json.dump(walk(os.fsencode(sys.argv[1])), sys.stdout)
]==]

local function to_bytes(value)
	if type(value) == "string" then
		-- UTF-8 of characters below 256.
		return (value:gsub("([\194\195])([\128-\191])", function(lead, rest)
			return string.char((lead:byte() - 194) * 64 + rest:byte())
		end))
	elseif type(value) == "table" then
		local copy = {}
		for key, item in pairs(value) do
			copy[to_bytes(key)] = to_bytes(item)
		end
		return copy
	end
	return value
end

--- Everything in a directory: path -> type, mode, owner, mtime, xattrs, and what its type has: target, content
--- (SHA-256), size, blocks, device, nlink, links (all names of the inode). The directory itself is ".".
---@param path string
---@return table<string, table>
function tree.read(path)
	return to_bytes(cjson.decode(python.run("tree", SCRIPT, { path })))
end

local FIELDS = { "type", "mode", "owner", "mtime", "target", "content", "size", "device", "links" }

local function xattr_differences(lines, path, wanted, got)
	local names = {}
	for name in pairs(wanted) do
		names[name] = true
	end
	for name in pairs(got) do
		names[name] = true
	end
	for name in pairs(names) do
		if wanted[name] ~= got[name] then
			lines[#lines + 1] = ("%s: xattr %s is %q instead of %q"):format(
				path,
				name,
				tostring(got[name]),
				tostring(wanted[name])
			)
		end
	end
end

--- What tells one tree from another, a line for each field: an empty list for equal ones.
---@param expected table<string, table>
---@param found table<string, table>
---@param ignored? fun(path: string, field: string, expected: table): boolean
---@return string[]
function tree.differences(expected, found, ignored)
	local lines, paths = {}, {}
	for path in pairs(expected) do
		paths[path] = true
	end
	for path in pairs(found) do
		paths[path] = true
	end
	for path in pairs(paths) do
		local wanted, got = expected[path], found[path]
		if not wanted or not got then
			lines[#lines + 1] = ("%s: is %s"):format(path, got and "there" or "missing")
		else
			for _, field in ipairs(FIELDS) do
				if wanted[field] ~= got[field] and not (ignored and ignored(path, field, wanted)) then
					lines[#lines + 1] = ("%s: %s is %s instead of %s"):format(
						path,
						field,
						tostring(got[field]),
						tostring(wanted[field])
					)
				end
			end
			xattr_differences(lines, path, wanted.xattrs, got.xattrs)
		end
	end
	table.sort(lines)
	return lines
end

--- The paths of a tree, sorted, the directory itself left out.
---@param found table<string, table>
---@return string[]
function tree.paths(found)
	local list = {}
	for path in pairs(found) do
		if path ~= "." then
			list[#list + 1] = path
		end
	end
	table.sort(list)
	return list
end

return tree
