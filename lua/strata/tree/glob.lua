--- Paths by patterns.

local json = require "strata.util.json"
local union = require "strata.tree.merge"

local glob = {}

local MAGIC = "[%*%?%[]"

-- A class of characters: its Lua pattern, and where it ends; nil when nothing closes it.
local function class_at(text, at)
  local negated = text:match("^[!^]", at + 1)
  local first = at + (negated and 2 or 1)
  local close = text:find("]", first + 1, true)
  if not close then return nil end
  local inside = text:sub(first, close - 1):gsub("[%%%]%[%^]", "%%%0")
  return "[" .. (negated and "^" or "") .. inside .. "]", close
end

-- The Lua pattern for one name.
local function pattern_of(text)
  local parts, at = { "^" }, 1
  while at <= #text do
    local char = text:sub(at, at)
    local class, close
    if char == "[" then class, close = class_at(text, at) end
    if class then
      parts[#parts + 1], at = class, close
    elseif char == "*" then
      parts[#parts + 1] = ".*"
    elseif char == "?" then
      parts[#parts + 1] = "."
    else
      parts[#parts + 1] = char:gsub("[^%w]", "%%%0")
    end
    at = at + 1
  end
  return table.concat(parts) .. "$"
end

local function join(directory, name)
  return directory == "" and name or directory .. "/" .. name
end

-- Follows a symlink to a directory; anything else is what it is.
local function entered(tree, one)
  if tree:info(one.node) == "symlink" then
    return { node = tree:find(one.path, true) or one.node, path = one.path }
  end
  return one
end

-- What one component of a pattern finds in a directory.
local function match_names(tree, directory, component, found)
  if tree:info(directory.node) ~= "dir" then return end
  if not component:find(MAGIC) then
    local path = join(directory.path, component)
    local node = tree:find(path, false)
    if node then found[#found + 1] = { node = node, path = path } end
    return
  end
  local pattern = pattern_of(component)
  local child = tree:first(directory.node)
  while child do
    local name = tree:name(child)
    if name:find(pattern) then found[#found + 1] = { node = child, path = join(directory.path, name) } end
    child = tree:next(child)
  end
end

-- A directory and all below it; symlinks are not followed.
local function match_tree(tree, top, found)
  found[#found + 1] = top
  if tree:info(top.node) ~= "dir" then return end
  local skip = #tree:path(top.node) + 2
  if tree:parent(top.node) == nil then skip = 1 end
  local node = union.after(tree, top.node, top.node)
  while node do
    found[#found + 1] = { node = node, path = join(top.path, tree:path(node):sub(skip)) }
    node = union.after(tree, node, top.node)
  end
end

-- Without what came twice.
local function unique(list)
  local seen, kept = {}, {}
  for _, one in ipairs(list) do
    if not seen[one.path] then
      seen[one.path] = true
      kept[#kept + 1] = one
    end
  end
  return kept
end

-- Components of a pattern without magic characters are compared as they are.
local function compile(pattern)
  local components = {}
  for component in pattern:gmatch("[^/]+") do
    if component ~= "." then
      components[#components + 1] = { any = component == "**", plain = not component:find(MAGIC) and component,
        pattern = pattern_of(component) }
    end
  end
  return components
end

-- Whether components match names: the rows of a table, one for each component, tell
-- which names are reached.
local function match_components(components, names)
  local reached = { [0] = true }
  for _, component in ipairs(components) do
    local now = {}
    for at = 0, #names do
      if component.any then
        now[at] = reached[at] or now[at - 1]
      elseif reached[at - 1] then
        local name = names[at]
        if component.plain then
          now[at] = component.plain == name
        else
          now[at] = name:find(component.pattern) ~= nil
        end
      end
    end
    reached = now
  end
  return reached[#names] or false
end

--- A function that tells whether a path matches one of the patterns, or is below what does.
---@param patterns string[]  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function glob.matcher(patterns)
  local list = {}
  for i, pattern in ipairs(patterns) do
    list[i] = compile(pattern)
    list[i][#list[i] + 1] = { any = true } -- and what is below
  end
  return function(path)
    local names = {}
    for name in path:gmatch("[^/]+") do names[#names + 1] = name end
    for _, components in ipairs(list) do
      if match_components(components, names) then return true end
    end
    return false
  end
end

--- The paths that match, in the order of their bytes.
---@param tree userdata  the core's
---@param pattern string
---@return string[]
function glob.paths(tree, pattern)
  local now = { { node = tree:find("/"), path = "" } }
  local components = {}
  for component in pattern:gmatch("[^/]+") do components[#components + 1] = component end
  for i, component in ipairs(components) do
    local found = {}
    for _, one in ipairs(now) do
      if component == "**" then
        match_tree(tree, entered(tree, one), found)
      elseif component ~= "." then
        match_names(tree, i > 1 and entered(tree, one) or one, component, found)
      else
        found[#found + 1] = one
      end
    end
    now = component == "**" and unique(found) or found
  end
  local paths = {}
  for _, one in ipairs(unique(now)) do
    if one.path ~= "" then paths[#paths + 1] = one.path end
  end
  return json.sort(paths)
end

return glob
