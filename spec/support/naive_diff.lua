--- Where two images differ, told in the simplest way: every path of both merged views is read whole and compared.

local json = require "strata.util.json"

local naive_diff = {}

local FIELDS = { "content", "linkpath", "device", "mode", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime",
                 "xattrs", "hardlink" }
local PASSING = { uname = true, gname = true, mtime = true, atime = true, ctime = true }

local function xattrs_of(entry)
	local parts = {}
	for _, name in ipairs(json.keys(entry.xattrs)) do
		parts[#parts + 1] = ("%q=%q"):format(name, entry.xattrs[name])
	end
	return table.concat(parts, " ")
end

local function time_of(entry, name)
	return entry[name] and ("%.9f %d"):format(entry[name], entry[name .. "_nsec"]) or nil
end

local function row_of(entry, first)
	local kind = entry.type
	local row = { type = kind, xattrs = xattrs_of(entry), layer = entry.layer and entry.layer.position }
	for _, name in ipairs({ "mode", "uid", "gid", "uname", "gname" }) do
		row[name] = entry[name]
	end
	for _, name in ipairs({ "mtime", "atime", "ctime" }) do
		row[name] = time_of(entry, name)
	end
	if kind == "file" then
		row.content = assert(entry:digest())
	elseif kind == "symlink" or kind == "hardlink" then
		row.linkpath = entry.linkpath
	elseif kind == "char" or kind == "block" then
		row.device = ("%d:%d"):format(entry.major, entry.minor)
	end
	local inode = entry.inode
	if inode then
		first[inode] = first[inode] or entry.path
		row.hardlink = first[inode] ~= entry.path and first[inode] or nil
	end
	return row
end

local function rows_of(img, view)
	local root = assert(img:rootfs({ view = view }))
	local rows, first = {}, {}
	rows["."] = row_of(assert(root:stat("/")), first)
	for entry in root:walk() do
		rows[entry.path] = row_of(entry, first)
	end
	root:close()
	return rows
end

local function differing(x, y, semantic)
	local fields = { x.type ~= y.type and "type" or nil }
	for _, name in ipairs(FIELDS) do
		local passing = semantic and (PASSING[name] or name == "mode" and x.type == "symlink")
		local by_type = name == "content" or name == "linkpath" or name == "device"
		if x[name] ~= y[name] and not passing and not (by_type and x.type ~= y.type) then
			fields[#fields + 1] = name
		end
	end
	return fields
end

local function line(change, path, fields, x, y)
	return ("%s %q %s %s %s"):format(change, path, table.concat(fields, ","), x and x.layer or "-", y and y.layer or "-")
end

--- A line for each path that differs.
---@param a strata.Image
---@param b strata.Image
---@param opts? { view: string?, semantic: boolean? }
---@return string[]
function naive_diff.lines(a, b, opts)
	opts = opts or {}
	local x, y, list = rows_of(a, opts.view), rows_of(b, opts.view), {}
	for path, row in pairs(x) do
		if not y[path] then
			list[#list + 1] = line("removed", path, {}, row)
		else
			local fields = differing(row, y[path], opts.semantic)
			if #fields > 0 then
				list[#list + 1] = line("changed", path, fields, row, y[path])
			end
		end
	end
	for path, row in pairs(y) do
		if not x[path] then
			list[#list + 1] = line("added", path, {}, nil, row)
		end
	end
	return json.sort(list)
end

--- The same lines of a diff.
---@param diff strata.Diff
---@return string[]
function naive_diff.told(diff)
	local list = {}
	for i, row in ipairs(diff.files) do
		list[i] = line(row.change, row.path, row.fields or {}, row.a, row.b)
	end
	return json.sort(list)
end

return naive_diff
