--- The upper layers of a stack, for one path: those of an image in a registry are fetched from the top, and only as far
-- as the path is decided.
--
-- What upper layers have at a path, the whole stack has there: their files, symlinks and directories stand in place of
-- all below. The attributes of a directory without an entry are decided below, and so is a hardlink to a lower file.
-- What is not there may be below.

local core = require "strata.core"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"

local above = {}

--- The layers from a number on, merged.
---@class strata.Above
---@field first integer
---@field tree userdata
---@field layers strata.Layer[]  by the numbers of the tree

--- Whether a stack has layers that are in a registry and not here.
---@param layers strata.Layer[]
---@return boolean
function above.is_worth_it(layers)
  for i = 1, #layers do
    local state = layer.state_of(layers[i])
    if state.blob.remote and not state.blob.file and not state.loaded then return #layers > 1 end
  end
  return false
end

--- A layer without entries, so that no layer of a partial stack counts as the lowest of all.
---@param like strata.LayerState
---@return strata.LayerState?
---@return string? message
---@return string? code
function above.nothing(like)
  local file, message, code = core.temp_file()
  if not file then return nil, message, code end
  local ok
  ok, message, code = file:write(0, ("\0"):rep(1024))
  if not ok then return nil, message, code end
  local index = core.entry_index(file, 0, 1024, "none")
  file:close()
  ok, message, code = index:scan {}
  if not ok then return nil, message, code end
  return { index = index, hub = like.hub, position = 1, diff_id = "" }
end

-- Merges the layers from a number on. nil: it cannot be told without those below.
local function merge_from(layers, first)
  local states, list = {}, {}
  states[1] = above.nothing(layer.state_of(layers[first]))
  if not states[1] then return nil end
  list[1] = layers[first] -- nothing is of it
  for i = first, #layers do
    states[#states + 1], list[#list + 1] = layer.state_of(layers[i]), layers[i]
  end
  local tree = merge.of_states(states)
  return tree and { first = first, tree = tree, layers = list }
end

-- Whether what is at a node is there whatever lower layers have.
local function is_decided(tree, node)
  local kind = tree:info(node)
  return kind ~= "hardlink" and (kind ~= "dir" or tree:entry(node) ~= nil)
end

--- Finds a path in as few of the upper layers as decide it.
---@param layers strata.Layer[]
---@param path string
---@param follow boolean
---@param known strata.Above?  of the last time
---@return integer? node  nil without a message: only the whole stack tells
---@return strata.Above|string|nil found  or message
---@return string? code
function above.find(layers, path, follow, known)
  if known and not known.tree:current() then known = nil end
  for first = known and known.first or #layers, 2, -1 do
    local ok, message, code = layer.load { layer.state_of(layers[first]) }
    if not ok then return nil, message, code end
    local part = known and known.first == first and known or merge_from(layers, first)
    if not part then return nil end
    local node = part.tree:find(path, follow)
    if node and is_decided(part.tree, node) then return node, part end
  end
  return nil
end

return above
