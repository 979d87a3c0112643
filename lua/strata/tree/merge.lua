--- The core's merged tree of an image's layers.

local core = require "strata.core"
local layer = require "strata.layer"

local merge = {}

--- Puts layers on top of each other.
---@param layers strata.Layer[]  base first
---@param upto? integer  only the first so many
---@param each? fun(tree: userdata, number: integer)  called after every layer
---@param view? "runtime"|"spec"
---@return userdata? tree
---@return string? message
---@return string? code
function merge.of(layers, upto, each, view)
  local states = {}
  for i = 1, upto or #layers do states[i] = layer.state_of(layers[i]) end
  local ok, message, code = layer.load(states)
  if not ok then return nil, message, code end
  local tree
  tree, message, code = core.tree(states[1] and states[1].hub.limits.steps, view)
  if not tree then return nil, message, code end
  for i, state in ipairs(states) do
    ok, message, code = tree:apply(state.index)
    if not ok then
      tree:close()
      return nil, ("%s: %s"):format(layer.label(state), message), code
    end
    if each then each(tree, i) end
  end
  return tree
end

--- The node behind another one in a walk of all that is below `top`: directories
-- before what is in them, names in the order of their bytes.
---@param tree userdata
---@param node integer
---@param top integer
---@param flat? boolean  what is below `node` is left out
---@return integer?
function merge.after(tree, node, top, flat)
  local found = not flat and tree:first(node) or nil
  while not found and node ~= top do
    found = tree:next(node)
    if not found then node = tree:parent(node) end
  end
  return found
end

return merge
