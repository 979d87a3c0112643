--- What a save has written, or would write.

local assemble = require "strata.dialect.new_layout"
local digests = require "strata.util.digests"
local core = require "strata.core"

local result = {}

---@param product strata.Product
---@return strata.SavedLayer[]
local function layers_of(product)
  local rows = {}
  for i, r in ipairs(product.renditions) do
    local one = r.state
    rows[i] = {
      action = r.action, compression = r.compression, digest = r.digest, diff_id = r.diff_id, size = r.size,
      old_diff_id = not one.added and one.diff_id or nil, old_digest = not one.added and one.digest or nil,
      old_size = not one.added and one.blob.size or nil,
    }
  end
  return rows
end

local function has_digests(product)
  for _, r in ipairs(product.renditions) do
    if not r.digest then return false end
  end
  return true
end

--- The result for one image.
---@param product strata.Product
---@param format string
---@param native boolean
---@return strata.SaveResult
function result.image(product, format, native)
  local text
  local has_manifest = product.manifest_text or not native
  if not native and format == "docker-legacy" then has_manifest = false end
  if has_manifest and has_digests(product) then
    text = assemble.manifest(product, not native and "oci" or nil)
  end
  return { format = format, id = core.sha256(product.config_text),
           digest = text and digests.of(text, product.manifest_digest), layers = layers_of(product) }
end

--- The result of a save.
function result.of(saving, path, size)
  local images = {}
  for i, product in ipairs(saving.products) do
    images[i] = result.image(product, saving.format, saving.native)
  end
  local first = images[1] or {}
  return {
    path = type(path) == "string" and path or nil, format = saving.format, size = size, id = first.id,
    digest = first.digest, layers = first.layers, images = #images > 1 and images or nil,
  }
end

return result
