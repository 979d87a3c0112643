--- The merged tree of an image's layers while they are put on each other. An edit of entries has to be right for each
-- layer, in both views: in that of the specification, symlinks of lower layers are followed; runtimes follow those of
-- the layer itself alone.

local core = require "strata.core"
local job = require "strata.util.job"

local growing_tree = {}

-- A tree that memory or a limit ended says nothing. Any other failure is one of the layer: nobody unpacks it, or what
-- is above it, and no path of it leads anywhere.
local function is_unknown(code)
  return code == "ENOMEM" or code == "ELIMIT"
end

---@class strata.GrowingTreeOptions
---@field view? "runtime"|"spec"  "spec"
---@field drops_marked? boolean  the tree is one without the marked entries
---@field indexes? table<integer, userdata>  entry indexes of the layers, where they are not those of the states

--- Calls fn with the tree of the first layers, for one layer, two layers and so on.
---@param states {index: userdata?, hub: strata.Hub?}[]  of all layers of the image, base first, scanned; without an
---  index: the layer is not there
---@param opts strata.GrowingTreeOptions
---@param fn fun(number: integer, tree: userdata)
---@return boolean? ok
---@return string? message
---@return string? code
function growing_tree.each(states, opts, fn)
  local hub = states[1] and states[1].hub
  local tree, message, code = core.tree(hub and hub.limits.steps, opts.view or "spec", opts.drops_marked)
  if not tree then return nil, message, code end
  for i, state in ipairs(states) do
    job.poll()
    local index = opts.indexes and opts.indexes[i] or state.index
    local ok = true
    if index then ok, message, code = tree:apply(index) end
    if not ok then
      tree:close()
      if is_unknown(code) then return nil, ("layer %d: %s"):format(i, message), code end
      return true
    end
    fn(i, tree)
  end
  tree:close()
  return true
end

return growing_tree
