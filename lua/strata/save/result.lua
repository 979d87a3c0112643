--- What a save has written, or would write.

local core = require "strata.core"
local digests = require "strata.util.digests"
local new_layout = require "strata.dialect.new_layout"

local result = {}

---@param image strata.ImageToWrite
---@return strata.SavedLayer[]
local function layers_of(image)
  local rows = {}
  for i, r in ipairs(image.layers) do
    local one = r.state
    rows[i] = {
      action = r.action, compression = r.compression, digest = r.digest, diff_id = r.diff_id, size = r.size,
      old_diff_id = not one.added and one.diff_id or nil, old_digest = not one.added and one.digest or nil,
      old_size = not one.added and one.blob.size or nil,
    }
  end
  return rows
end

local function has_digests(image)
  for _, r in ipairs(image.layers) do
    if not r.digest then return false end
  end
  return true
end

--- The result for one image.
---@param image strata.ImageToWrite
---@param format string
---@param native boolean
---@return strata.SaveResult
function result.image(image, format, native)
  local text
  local has_manifest = image.manifest_text or not native
  if not native and format == "docker-legacy" then has_manifest = false end
  if has_manifest and has_digests(image) then
    text = new_layout.manifest(image, not native and "oci" or nil)
  end
  return { format = format, id = core.sha256(image.config_text),
           digest = text and digests.of(text, image.manifest_digest), layers = layers_of(image) }
end

--- The result of a save.
function result.of(saving, path, size)
  local images = {}
  for i, image in ipairs(saving.images) do
    images[i] = result.image(image, saving.format, saving.native)
  end
  local first = images[1] or {}
  return {
    path = type(path) == "string" and path or nil, format = saving.format, size = size, id = first.id,
    digest = first.digest, layers = first.layers, images = #images > 1 and images or nil,
  }
end

return result
