--- Layers that belong to no image yet.

local core = require "strata.core"
local layer = require "strata.layer"

local standalone = {}

--- Makes the object of a new layer's state.
---@param state strata.LayerState
---@param limits strata.Limits  complete ones
---@return strata.Layer
function standalone.new(state, limits)
  state.position = 1
  state.hub = {
    standalone = true, limits = limits, layers = { state }, edits = core.edit_counter(),
    settle = function()
      local ok, message = layer.settle { state }
      if not ok then error(message, 0) end
      return { chains = {} }
    end,
    row = function() return nil end,
  }
  return layer.new(state)
end

return standalone
