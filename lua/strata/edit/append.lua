--- Adding a layer to an image.

local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local limits = require "strata.util.limits"
local new_layer = require "strata.layer.new"

local append = {}

local ROW = { created = true, created_by = true, comment = true, author = true }

-- What goes with any source.
local OWN = { at = true }
for name in pairs(ROW) do OWN[name] = true end

local EPOCH = "1970-01-01T00:00:00Z"

-- The options as strata.layer takes them, and the kind of source; throws what makes no sense.
local function check(spec, count)
  if type(spec) ~= "table" then error("append wants {files =, dir =, tar =, archive = or layer =}", 0) end
  if spec.from ~= nil or spec.upper ~= nil or spec.overlay_upper ~= nil then
    error("append: that is for strata.layer, whose layer can be appended: {layer = ...}", 0)
  end
  local at = spec.at
  if at ~= nil and (type(at) ~= "number" or at % 1 ~= 0 or at < 1 or at > count + 1) then
    error(("append: at should be a whole number from 1 to %d"):format(count + 1), 0)
  end
  if spec.layer == nil then
    local copy = {}
    for name, value in pairs(spec) do copy[name == "dir" and "from" or name] = value end
    return copy, new_layer.check(copy, "append", OWN)
  end
  if not layer.is(spec.layer) then error("append: layer should be a strata.Layer", 0) end
  for name in pairs(spec) do
    if name ~= "layer" and not OWN[name] then
      error(("append: option '%s' makes no sense with layer, which stays as it is"):format(tostring(name)), 0)
    end
  end
  return spec, "layer"
end

-- The layers below, for directories and link targets that are there already.
local function ground(states, at)
  local loaded
  return {
    known = true,
    load = function()
      local below = {}
      for i = 1, at - 1 do below[i] = states[i] end
      loaded = below
      return layer.load(below)
    end,
    find = function(path)
      for i = #loaded, 1, -1 do
        local entry = loaded[i].index:find(path)
        if entry then return entry end
      end
      return nil
    end,
  }
end

-- A layer that is there already, and its row of the history.
local function take(other)
  local state = layer.state_of(other)
  if state.blob.missing then return nil, ("%s: its blob is not there"):format(layer.label(state)), "ENOENT" end
  local ok, message, code = layer.settle { state }
  if not ok then return nil, message, code end
  local copy, row = layer.copy(state), other.history
  copy.digest = other.digest
  return copy, {}, nil, row
end

local function make(spec, kind, states, at)
  if kind == "layer" then return take(spec.layer) end
  local below = ground(states, at)
  if kind == "files" or kind == "archive" or spec.to then
    local ok, message, code = below.load()
    if not ok then return nil, message, code end
  end
  return new_layer.make(spec, kind, below)
end

--- Makes a layer and puts it into the image.
---@param image strata.Operand
---@param spec strata.AppendOptions
---@return boolean? ok
---@return string[]|string skipped | message
---@return string? code
function append.run(image, spec)
  local config = image.state.config
  local checked, kind = check(spec, #image.state.layers)
  checked.limits = limits.resolve(checked.limits, image.state.limits, 4)
  local at = spec.at or #image.state.layers + 1
  local made, skipped, code, other = make(checked, kind, image.states(), at)
  if not made then return nil, skipped, code end
  made.index, made.loaded, made.result = nil, nil, nil
  local row = {
    created = spec.created or other and other.created or config.created or EPOCH,
    created_by = spec.created_by or other and other.created_by or "strata append",
    comment = spec.comment or other and other.comment, author = spec.author or other and other.author,
  }
  local ok, message
  ok, message, code = layer_list.insert(image, at, made, row)
  if not ok then return nil, message, code end
  return true, skipped
end

return append
