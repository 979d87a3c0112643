--- Adding a layer to an image.

local config_schema = require "strata.document.config_schema"
local image = require "strata.image"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local new_layer = require "strata.layer.new"

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
  local below = {}
  for i = 1, at - 1 do below[i] = states[i] end
  -- Directories and link targets may be there already.
  if kind == "files" or kind == "archive" or spec.to then
    local ok, message, code = layer.load(below)
    if not ok then return nil, message, code end
  end
  return new_layer.make(spec, kind, below)
end

--- Adds a layer made of files, a directory, a tar, another archive, or one that is
-- there already; on top, or at a place between the others.
---@param spec strata.AppendOptions  exactly one of files, dir, tar, archive, layer
---@return strata.Image? self
---@return string[]|string|nil skipped  what cannot be in a layer; nil for nothing | message
---@return string? code
function image.methods:append(spec)
  local state = image.state_of(self)
  local config, top = state.config, #state.layers + 1
  local kind = new_layer.check(spec, "append", "AppendOptions", 2)
  local at = spec.at or top
  if at > top then misuse(2, "append: at should be a whole number from 1 to %d", top) end
  local made, skipped, code, other = make(limits.options(spec, state.hub.limits), kind, state.hub.layers, at)
  if not made then return image.sticky(state, nil, skipped, code) end
  made.index, made.loaded, made.result = nil, nil, nil
  local ok, message
  ok, message, code = layer_list.insert(state, at, made, {
    created = spec.created or other and other.created or config.created or config_schema.EPOCH,
    created_by = spec.created_by or other and other.created_by or "strata append",
    comment = spec.comment or other and other.comment, author = spec.author or other and other.author,
  })
  if not ok then return image.sticky(state, nil, message, code) end
  return self, skipped[1] and skipped or nil
end
