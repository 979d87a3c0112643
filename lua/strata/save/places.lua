--- Where a file is going to have the layers that are edited, so that each is written there at once.
--
-- The size of the tar that edits make of a plain layer can be told before it is written, and its digest cannot. But a
-- digest is as long as any other: the parts of the file are listed with others in its stead, and are where they will
-- be, unless names with digests are sorted, or two layers turn out to be the same. Then the layers are copied.

local core = require "strata.core"
local json = require "strata.util.json"
local layer = require "strata.layer"
local save_image = require "strata.save.image"
local save_layer = require "strata.save.layer"

local places = {}

-- Calls a function with each part that lies in a file, and where it is going to be.
local function each_part(segments, fn)
  local offset = 0
  for _, part in ipairs(segments) do
    if part.file then fn(part, offset) end
    offset = offset + (part.bytes and #part.bytes or part.size)
  end
end

-- What layers are like once they are edited: those that wait for it have their states for files. nil: that cannot be
-- told.
local function plan_layers(states, sizes, settings)
  local list = save_layer.plan(states, settings)
  for i, one in ipairs(list) do
    local state, digest = states[i], core.sha256(("%d"):format(i))
    if one.before and state.blob.compression == "none" then one.before.digest = one.before.digest or state.diff_id end
    if sizes[state] and one.compression == "none" then
      one.action = one.origin and "rewritten" or "added"
      one.file, one.offset, one.size, one.digest, one.diff_id = state, 0, sizes[state], digest, digest
    elseif layer.is_pending(state) or not one.size then
      return nil
    end
    one.digest = one.digest or digest
  end
  return list
end

local function plan_image(request, sizes, settings)
  local state = request.state
  if not save_image.check_counts(state) then return nil end
  local layers = plan_layers(state.hub.layers, sizes, settings)
  local doc = layers and core.json(state.config:text())
  if not doc then return nil end
  json.edit_elements(doc, "/rootfs/diff_ids", function(_, i) return core.json_quote(layers[i].diff_id) end)
  return save_image.of(state, layers, settings.sha256 == "all", doc:text())
end

--- Finds places in a file for the layers that are edited. None, when they cannot be told.
---@param requests strata.SaveRequest[]
---@param settings strata.StoreSettings
---@param file userdata
---@param list fun(images: strata.ImageToWrite[]): strata.Segment[]?  gives the parts of the file
---@return table<strata.LayerState, strata.LayerPlace>?
---@return string? message
---@return string? code
function places.find(requests, settings, file, list)
  local waiting, images, found = {}, {}, {}
  for _, request in ipairs(requests) do
    for _, state in ipairs(request.state.hub.layers) do waiting[#waiting + 1] = state end
  end
  local sizes, message, code = layer.measure(waiting, settings)
  if not sizes then return nil, message, code end
  if not next(sizes) then return found end
  for i, request in ipairs(requests) do
    images[i] = plan_image(request, sizes, settings)
    if not images[i] then return found end
  end
  each_part(list(images) or {}, function(part, offset)
    if sizes[part.file] then found[part.file] = { file = file, offset = offset, size = part.size } end
  end)
  return found
end

--- Whether all these layers lie where the file has them.
---@param found table<strata.LayerState, strata.LayerPlace>
---@param segments strata.Segment[]?  the parts of the file; nil: it is a copy of another
---@param file userdata
---@return boolean
function places.are_right(found, segments, file)
  local right, count = {}, 0
  each_part(segments or {}, function(part, offset)
    if part.file:same(file) and part.offset == offset then right[offset] = true end
  end)
  for _, place in pairs(found) do
    if not right[place.offset] then return false end
    count = count + 1
  end
  each_part(segments or {}, function(part) if part.file:same(file) then count = count - 1 end end)
  return count == 0
end

return places
