--- Patterns of paths as they are written. core.globs and core.glob_name match them.

local glob = {}

-- Where the class of characters that begins at a "[" ends; nil when nothing closes it.
local function class_end(name, at)
  local first = name:find("^[!^]", at + 1) and at + 2 or at + 1
  return name:find("]", first + 1, true)
end

--- True when a name of a pattern is more than itself. "[" is the name of a program in /usr/bin.
---@param name string
---@return boolean
function glob.is_magic(name)
  return name:find("[%*%?%[]") ~= nil and name ~= "["
end

--- Says why a pattern is refused, nil when it is not: a class does not end in its name.
---@param pattern string
---@return string?
function glob.problem(pattern)
  for name in pattern:gmatch("[^/]+") do
    local at = name ~= "[" and name:find("[", 1, true)
    while at do
      local close = class_end(name, at)
      if not close then return "its '[' has no ']' in the same name; '[[]' is the character itself" end
      at = name:find("[", close + 1, true)
    end
  end
end

return glob
