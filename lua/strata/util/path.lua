--- Paths of entries: names with "/" between them, without one at the beginning.
--
-- core.whiteout tells which of them are whiteouts.

local core = require "strata.core"

local path = {}

--- The beginning of the names of whiteouts.
path.WHITEOUT = core.whiteout_name ""

--- The directory that holds a path; nil for names in the root, and for the root.
---@param name string
---@return string?
function path.parent(name)
  return name:match("^(.*)/")
end

--- The last name of a path.
---@param name string
---@return string
function path.base(name)
  return name:match("^.*/(.*)$") or name -- "[^/]*$" is tried from each byte of a long name
end

--- The path of a name in a directory.
---@param directory string  "" or "." is the root
---@param name string
---@return string
function path.join(directory, name)
  return (directory == "" or directory == ".") and name or directory .. "/" .. name
end

return path
