--- What a save has written, or would write.

local core = require "strata.core"
local new_layout = require "strata.dialect.new_layout"
local printed = require "strata.util.printed"

local result = {}

---@param image strata.ImageToWrite
---@return strata.SavedLayer[]
local function layers_of(image)
  local rows = {}
  for i, one in ipairs(image.layers) do
    local before = one.before or {}
    rows[i] = {
      action = one.action, moved = one.left and "left" or nil, compression = one.compression,
      digest = one.digest, diff_id = one.diff_id, size = one.size, kept = one.kept,
      old_diff_id = before.diff_id, old_digest = before.digest, old_size = before.size,
    }
  end
  return printed.list(rows, printed.saved_layer)
end

-- Bytes of all layers that are as they were in edited ones.
local function kept_in(image)
  local sum
  for _, one in ipairs(image.layers) do
    if one.kept then sum = (sum or 0) + one.kept end
  end
  return sum
end

local function has_digests(image)
  for _, one in ipairs(image.layers) do
    if not one.digest then return false end
  end
  return true
end

--- The result for one image.
---@param image strata.ImageToWrite
---@param format string
---@param native boolean
---@param is_part? boolean  of the result for several, which tells what was written
---@return strata.SaveResult
function result.image(image, format, native, is_part)
  local digest
  local has_manifest = native and image.manifest_text or not native and format ~= "docker-legacy"
  if has_manifest and has_digests(image) then
    local _
    _, digest = new_layout.manifest(image, not native and "oci" or nil)
  end
  return printed.by({
    format = format, id = core.sha256(image.config_text), digest = digest, kept = kept_in(image),
    layers = layers_of(image),
  }, is_part and printed.saved_image or printed.save)
end

-- Whether it is an index that was saved as a whole, as a registry has them, so that no image stands for it.
local function is_index(saving)
  return saving.root_digest ~= nil and saving.catalog.indexes[""] ~= nil
end

--- The result of a save.
function result.of(saving, path, size)
  local images, is_edited = {}, false
  for i, image in ipairs(saving.images) do
    local is_kept = saving.native or saving.whole and saving.catalog and image.source.manifest ~= nil
    images[i] = result.image(image, saving.format, is_kept, true)
    is_edited = is_edited or saving.requests[i].edited
  end
  for _, image in ipairs(saving.added) do
    images[#images + 1] = result.image(image, saving.format, image.manifest_text ~= nil, true)
    is_edited = true
  end
  local first = images[1] or {}
  if saving.index_digest then first = { id = first.id, digest = saving.index_digest } end
  if is_index(saving) then
    first = { digest = saving.root_digest }
    if not is_edited then images = {} end
  end
  return printed.by({
    path = type(path) == "string" and path or nil, format = saving.format, size = size, id = first.id,
    digest = first.digest, kept = first.kept, layers = first.layers or {},
    images = (#images > 1 or images[1] and not first.layers) and images or nil,
  }, printed.save)
end

return result
