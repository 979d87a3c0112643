--- Dropping and changing entries of all layers.

local edit_entries = require "strata.layer.edit_entries"
local image = require "strata.image"

--- Drops entries of all layers for which fn returns false.
---@param fn fun(entry: strata.Entry, layer: strata.Layer): boolean
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:filter(fn)
  local hub = image.state_of(self).hub
  local ok, message, code = edit_entries.filter(hub, hub.layers, fn)
  if not ok then return nil, message, code end
  return self
end

--- Calls fn for each entry of all layers, to assign to its fields.
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:rewrite(fn)
  local hub = image.state_of(self).hub
  local ok, message, code = edit_entries.rewrite(hub, hub.layers, fn)
  if not ok then return nil, message, code end
  return self
end
