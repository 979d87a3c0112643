--- What a path leads to by the letter of the specification, where symlinks of lower layers are followed: runtimes do
-- not follow them, but whoever unpacks one layer over the other does. Edits of entries have to be right for both.

local core = require "strata.core"
local paths = require "strata.util.path"

local literal_tree = {}

--- Calls fn before each layer but the base, with the tree of those below it.
---@param states {index: userdata}[]  of all layers of the image, base first, scanned
---@param fn fun(number: integer, tree: userdata)
function literal_tree.each(states, fn)
  local tree = core.tree(nil, "spec")
  for i, state in ipairs(tree and states or {}) do
    if i > 1 then fn(i, tree) end
    if not tree:apply(state.index) then break end -- what cannot be unpacked in this way leads nowhere
  end
  if tree then tree:close() end
end

--- The node at a path, whose last component is not followed.
---@param tree userdata
---@param path string
---@return integer?
function literal_tree.find(tree, path)
  return (tree:find(path, false))
end

-- Whether anything at a node stays when marked entries are dropped.
local function stays(tree, node)
  local entry = tree:entry(node)
  if entry and not entry.marked then return true end
  local child = tree:first(node)
  while child do
    if stays(tree, child) then return true end
    child = tree:next(child)
  end
  return false
end

--- Whether something stays at a path, or below it, when marked entries are dropped.
---@param tree userdata
---@param path string
---@return boolean
function literal_tree.stays(tree, path)
  local parent = paths.parent(path)
  if parent and not tree:find(parent, true) then return false end
  local node = literal_tree.find(tree, path)
  return node ~= nil and stays(tree, node)
end

return literal_tree
