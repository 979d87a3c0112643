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
      action = one.action, compression = one.compression, digest = one.digest, diff_id = one.diff_id, size = one.size,
      old_diff_id = before.diff_id, old_digest = before.digest, old_size = before.size,
    }
  end
  return printed.list(rows, printed.saved_layer)
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
---@return strata.SaveResult
function result.image(image, format, native)
  local digest
  local has_manifest = native and image.manifest_text or not native and format ~= "docker-legacy"
  if has_manifest and has_digests(image) then
    local _
    _, digest = new_layout.manifest(image, not native and "oci" or nil)
  end
  return printed.by({
    format = format, id = core.sha256(image.config_text), digest = digest, layers = layers_of(image),
  }, printed.save)
end

--- The result of a save.
function result.of(saving, path, size)
  local images = {}
  for i, image in ipairs(saving.images) do
    local is_kept = saving.native or saving.whole and saving.catalog and image.source.manifest ~= nil
    images[i] = result.image(image, saving.format, is_kept)
  end
  for _, image in ipairs(saving.added) do
    images[#images + 1] = result.image(image, saving.format, image.manifest_text ~= nil)
  end
  local first, index = images[1] or {}, saving.index_digest
  return printed.by({
    path = type(path) == "string" and path or nil, format = saving.format, size = size, id = first.id,
    digest = index or first.digest, layers = not index and first.layers or {},
    images = (index or #images > 1) and images or nil,
  }, printed.save)
end

return result
