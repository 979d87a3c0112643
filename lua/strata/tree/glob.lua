--- The paths of a merged tree that a pattern finds.

local core = require "strata.core"
local glob = require "strata.util.glob"
local join = require("strata.util.path").join
local job = require "strata.util.job"
local json = require "strata.util.json"
local merge = require "strata.tree.merge"

local tree_glob = {}

-- The place itself, or the target where it is a symlink that leads somewhere.
local function entered(tree, one)
  if tree:info(one.node) == "symlink" then
    return { node = tree:find(one.path, true) or one.node, path = one.path }
  end
  return one
end

-- Adds the names in a directory that match one component of a pattern. No entry has the name "..".
local function match_names(tree, directory, component, found)
  if tree:info(directory.node) ~= "dir" or component == ".." then return end
  if not glob.is_magic(component) then
    local path = join(directory.path, component)
    local node = tree:find(path, false)
    if node then found[#found + 1] = { node = node, path = path } end
    return
  end
  local child = tree:first(directory.node)
  while child do
    job.tick()
    local name = tree:name(child)
    if core.glob_name(component, name) then found[#found + 1] = { node = child, path = join(directory.path, name) } end
    child = tree:next(child)
  end
end

-- A directory and all below it; symlinks are not followed.
local function match_tree(tree, top, found)
  found[#found + 1] = top
  if tree:info(top.node) ~= "dir" then return end
  local skip = #tree:path(top.node) + 2
  if tree:parent(top.node) == nil then skip = 1 end
  local node = merge.after(tree, top.node, top.node)
  while node do
    job.tick()
    found[#found + 1] = { node = node, path = join(top.path, tree:path(node):sub(skip)) }
    node = merge.after(tree, node, top.node)
  end
end

-- The list with each path once.
local function unique(list)
  local seen, kept = {}, {}
  for _, one in ipairs(list) do
    job.tick()
    if not seen[one.path] then
      seen[one.path] = true
      kept[#kept + 1] = one
    end
  end
  return kept
end

--- The paths that match, in the order of their bytes.
---@param tree userdata  the core's
---@param pattern string
---@return string[]
function tree_glob.paths(tree, pattern)
  local now = { { node = tree:find("/"), path = "" } }
  local components = {}
  for component in pattern:gmatch("[^/]+") do components[#components + 1] = component end
  for i, component in ipairs(components) do
    local found = {}
    for _, one in ipairs(now) do
      job.tick()
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

return tree_glob
