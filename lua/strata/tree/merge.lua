--- The core's merged tree of layers.

local core = require "strata.core"
local job = require "strata.util.job"
local layer = require "strata.layer"

local merge = {}

---@class strata.MergeOptions
---@field count? integer  only the first so many layers
---@field indexes? userdata[]  entry indexes of the layers, where they are not those of the states
---@field view? "runtime"|"spec"
---@field before? fun(tree: userdata, number: integer)  called before each layer is put on the others
---@field after? fun(tree: userdata, number: integer)  called after that

--- Puts layers on top of each other.
---@param states strata.LayerState[]  base first, scanned
---@param opts? strata.MergeOptions
---@return userdata? tree
---@return string? message
---@return string? code
function merge.of_states(states, opts)
  opts = opts or {}
  local tree, message, code = core.tree(states[1] and states[1].hub.limits.steps, opts.view)
  if not tree then return nil, message, code end
  for i = 1, opts.count or #states do
    job.tick()
    if opts.before then opts.before(tree, i) end
    local ok
    ok, message, code = tree:apply(opts.indexes and opts.indexes[i] or states[i].index)
    if not ok then
      tree:close()
      return nil, ("%s: %s"):format(layer.label(states[i]), message), code
    end
    if opts.after then opts.after(tree, i) end
  end
  return tree
end

--- The tree of the lowest layers of an image, as the default runtimes show it, which stays with the image: it grows
--- when more layers are wanted. Layers that are added one after the other, each to the tree of those below it, would
--- else be put on top of each other as often as there are layers.
---@param hub strata.Hub
---@param states strata.LayerState[]  base first, scanned
---@return userdata? tree  nobody closes it but the image
---@return string? message
---@return string? code
function merge.kept(hub, states)
  local kept, edits = hub.merged, hub.edits:count()
  local grows = kept ~= nil and kept.edits == edits and #kept.indexes <= #states
  for i, index in ipairs(grows and kept.indexes or {}) do grows = grows and states[i].index == index end
  hub.merged = nil -- nor is it kept when a layer fails
  if kept and not grows then kept.tree:close() end
  if not grows then
    local tree, message, code = core.tree(hub.limits.steps)
    if not tree then return nil, message, code end
    kept = { tree = tree, edits = edits, indexes = {} }
  end
  for i = #kept.indexes + 1, #states do
    job.tick()
    local ok, message, code = kept.tree:apply(states[i].index)
    if not ok then return nil, ("%s: %s"):format(layer.label(states[i]), message), code end
    kept.indexes[i] = states[i].index
  end
  hub.merged = kept
  return kept.tree
end

--- Scans layers and puts them on top of each other.
---@param layers strata.Layer[]  base first
---@param opts? strata.MergeOptions
---@return userdata? tree
---@return string? message
---@return string? code
function merge.of(layers, opts)
  local states = {}
  for i, one in ipairs(layers) do states[i] = layer.state_of(one) end
  local ok, message, code = layer.load(states)
  if not ok then return nil, message, code end
  return merge.of_states(states, opts)
end

--- The next node in a walk through everything below `top`: a directory comes before its
-- contents, names in the order of their bytes.
---@param tree userdata
---@param node integer
---@param top integer
---@return integer?
function merge.after(tree, node, top)
  local found = tree:first(node)
  while not found and node ~= top do
    found = tree:next(node)
    if not found then node = tree:parent(node) end
  end
  return found
end

return merge
