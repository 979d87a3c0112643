--- Edits that happen whole or not at all: what one has changed is taken back when it fails or throws.

local core = require "strata.core"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local protect = require "strata.util.protect"

local transaction = {}

--- Throws for a layer that is going to be edited when an operation on its image has replaced it or taken it out: an
--- edit of it would change nothing.
---@param state strata.LayerState
---@param fn string  what edits it
function transaction.check_layer(state, fn)
  if state.hub.image and state.hub.layers[state.position] ~= state then
    misuse("%s: the layer is not in its image any more: it was replaced or taken out, see img.layers", fn)
  end
end

--- The state of a layer that is going to be edited.
---@param handle strata.Layer
---@param fn string  the method's name
---@return strata.LayerState
function transaction.state_of(handle, fn)
  local state = layer.state_of(handle)
  transaction.check_layer(state, fn)
  return state
end

---@class strata.Transaction
---@field kept { state: strata.LayerState, index: userdata, checkpoint: userdata }[]
local Transaction = {}
Transaction.__index = Transaction

--- Keeps the entries of layers, which are scanned, as they are now. To be called before any is changed.
---@param states strata.LayerState[]
---@return boolean? ok
---@return string? message
---@return string? code
function Transaction:keep(states)
  for _, state in ipairs(states) do
    local checkpoint, message, code = core.checkpoint(state.index)
    if not checkpoint then return nil, ("%s: %s"):format(layer.label(state), message), code end
    self.kept[#self.kept + 1] = {
      state = state, index = state.index, checkpoint = checkpoint, result = state.result, digest = state.digest,
    }
  end
  return true
end

-- The label of a layer that could not be taken back; nil when all were.
function Transaction:restore()
  local failed
  for i = #self.kept, 1, -1 do
    local one = self.kept[i]
    one.state.result, one.state.digest = one.result, one.digest
    if one.state.index == one.index and not one.checkpoint:restore() then failed = layer.label(one.state) end
  end
  return failed
end

function Transaction:close()
  for _, one in ipairs(self.kept) do one.checkpoint:close() end
end

local function finish(self, restore, called, ok, ...)
  if called and ok then
    self:close()
    return ok, ...
  end
  local failed = self:restore()
  self:close()
  if restore then restore(failed, called and (...) or ok) end
  if not called then error(ok, 0) end
  return ok, ...
end

--- Calls fn, which returns a true value when the edit is done.
---@param restore? fun(failed: string?, why: any)  takes back all that is not entries of layers. failed: a layer that
---  could not be taken back, for it is closed or in use
---@param fn fun(edit: strata.Transaction): any, ...
---@return any ...  as fn does
function transaction.run(restore, fn)
  local self = setmetatable({ kept = {} }, Transaction)
  return finish(self, restore, protect(fn, self))
end

return transaction
