--- Layers that belong to no image yet.

local layer = require "strata.layer"
local stranded_links = require "strata.layer.stranded_links"

local standalone = {}

-- Drops entries. Whiteouts stay that hide nothing here: they may in an image.
local function filter(state, fn)
  local ok, message, code = layer.load { state }
  if not ok then return nil, message, code end
  local index, count = state.index, 0
  index:unmark() -- an earlier filter may have thrown
  for entry in index:entries() do
    if fn(entry, state.handle) == false then
      entry:mark()
      count = count + 1
    end
  end
  if count == 0 then return true end
  local stranded = stranded_links.find { index }
  if stranded then return nil, stranded, "EINVAL" end
  index:drop_marked()
  return true
end

local function rewrite(state, fn)
  local ok, message, code = layer.load { state }
  if not ok then return nil, message, code end
  for entry in state.index:entries() do fn(entry, state.handle) end
  return true
end

local function check_callback(fn, name)
  if type(fn) ~= "function" then
    error(("bad argument to '%s' (function expected, got %s)"):format(name, type(fn)), 3)
  end
end

--- Makes the object of a new layer's state.
---@param state table
---@param limits table  complete ones
---@return strata.Layer
function standalone.new(state, limits)
  state.position = 1
  state.hub = {
    standalone = true, limits = limits, layers = { state },
    filter = function(_, fn)
      check_callback(fn, "filter")
      return filter(state, fn)
    end,
    rewrite = function(_, fn)
      check_callback(fn, "rewrite")
      return rewrite(state, fn)
    end,
    settle = function()
      local ok, message = layer.settle { state }
      if not ok then error(message, 0) end
    end,
    row = function() return nil end,
  }
  state.handle = layer.new(state)
  return state.handle
end

return standalone
