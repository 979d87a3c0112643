--- Entries of layers as spec.support.archive takes them, and what became of them in a directory.

local shell = require "spec.support.shell"

local entries = {}

local function with(entry, more)
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

---@param name string
---@param more? table
---@return table
function entries.dir(name, more)
	return with({ name = name .. "/", type = "dir" }, more)
end

---@param name string
---@param data? string the name unless given
---@param more? table
---@return table
function entries.file(name, data, more)
	return with({ name = name, data = data or name }, more)
end

---@param name string
---@param to string
---@return table
function entries.symlink(name, to)
	return { name = name, type = "symlink", linkname = to }
end

---@param name string
---@param to string
---@return table
function entries.hardlink(name, to)
	return { name = name, type = "hardlink", linkname = to }
end

--- What is at each path of a tree but its root: a link's target, a file's content, or the type.
---@param found table<string, table> as tree.read tells
---@param target string the directory
---@return table<string, string>
function entries.contents(found, target)
	local list = {}
	for path, row in pairs(found) do
		if path ~= "." then
			list[path] = row.target or (row.type == "file" and shell.read(target .. "/" .. path)) or row.type
		end
	end
	return list
end

return entries
