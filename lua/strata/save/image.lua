--- An image as it is going to be written: config text, layers, tags, manifest.

local digests = require "strata.util.digests"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"
local save_layer = require "strata.save.layer"

local save_image = {}

--- An image as it is going to be written. save_image.of writes it; dialects only read it.
---@class strata.ImageToWrite
---@field source strata.Source?  that it was opened from
---@field opened strata.OpenedImage  as it was opened
---@field config_text string
---@field config_digest string  as the manifest names it
---@field layers strata.StoredLayer[]
---@field tags string[]
---@field new_tags string[]?  the same, when they changed
---@field platform strata.PlatformFields
---@field new_platform strata.PlatformFields?  the same, when it changed
---@field manifest_text string?  to edit; nil: it had no manifest
---@field manifest_digest string?  of the manifest that it was opened with
---@field descriptor_text string?  that led to this manifest
---@field index table?  the nested index that the manifest was in
---@field sha256 boolean?  nothing may be named by another digest

--- The image to write, when it is known how its layers are stored.
---@param state strata.ImageState
---@param layers strata.StoredLayer[]
---@param sha256? boolean  nothing may be named by another digest
---@return strata.ImageToWrite
function save_image.of(state, layers, sha256)
  local now, before = state.config, json.decode(state.opened.config_text, state.hub.limits.json) or {}
  local is_other = tostring(platform.of(now)) ~= tostring(platform.of(before))
  local manifest, text = state.manifest or {}, state.config:text()
  return {
    source = state.source, opened = state.opened, config_text = text, layers = layers, sha256 = sha256,
    config_digest = digests.of(text, not sha256 and manifest.config_digest or nil),
    tags = state.tags, new_tags = not reference.same_list(state.tags, state.opened.tags) and state.tags or nil,
    platform = platform.fields(now), new_platform = is_other and platform.fields(now) or nil,
    manifest_text = manifest.text, manifest_digest = not sha256 and manifest.digest or nil,
    descriptor_text = state.descriptor_text, index = state.index,
  }
end

--- The image to write, with its edits carried out and its layers compressed.
---@param request strata.SaveRequest
---@param settings strata.StoreSettings
---@return strata.ImageToWrite?
---@return string? message
---@return string? code
function save_image.make(request, settings)
  local ok, message, code = request.settle(settings)
  if not ok then return nil, message, code end
  local layers
  layers, message, code = save_layer.make(request.state.hub.layers, settings)
  if not layers then return nil, message, code end
  return save_image.of(request.state, layers, settings.sha256 == "all")
end

--- True when all images come from one and the same store, and can go back into it.
function save_image.is_one_store(requests)
  local first = requests[1].state.source
  if not first or (first.kind ~= "oci" and #requests > 1) then return false end
  for _, request in ipairs(requests) do
    local source = request.state.source
    if not source or source.catalog ~= first.catalog or source.store ~= first.store then return false end
  end
  return true
end

--- Whether the format can do without the layers whose blobs are missing.
---@return boolean? ok
---@return string? message
---@return string? code
function save_image.check(images, format)
  for _, one in ipairs(images) do
    for _, r in ipairs(one.layers) do
      if r.missing and (format == "docker" or format == "docker-legacy") then
        return nil, ("%s: its blob is not there, and an archive for docker load needs it"):format(r.label), "ENOENT"
      end
    end
  end
  return true
end

--- The images with plain layers, for dialect/docker/write_legacy.
function save_image.plain(images)
  local list = {}
  for i, one in ipairs(images) do
    local plain_layers = {}
    for n, r in ipairs(one.layers) do
      plain_layers[n] = { diff_id = r.diff_id, part = { file = r.file, offset = r.offset, size = r.size,
                                                  digest = r.diff_id, label = r.label } }
    end
    list[i] = { config_text = one.config_text, tags = (reference.for_docker(one.tags)), layers = plain_layers }
  end
  return list
end

local function any(values)
  return next(values or {}) ~= nil
end

--- What a format cannot hold of the images, a line each.
---@return string[]
function save_image.lost(images, format, native)
  local list = {}
  for _, one in ipairs(images) do
    for _, r in ipairs(one.layers) do
      if media_types.is_foreign(r.media_type) and r.action ~= "copied" then
        list[#list + 1] = ("%s: it was a foreign layer and is not any more"):format(r.label)
      end
    end
  end
  if native then return list end
  for _, one in ipairs(images) do
    if one.index and any(one.index.annotations) then
      list[#list + 1] = "the annotations of the index " .. one.index.digest
    end
    if one.index and one.index.manifests > 1 then
      list[#list + 1] = ("the other %d manifests of the index %s"):format(one.index.manifests - 1, one.index.digest)
    end
    local catalog = one.source and one.source.catalog
    local root = catalog and not catalog.store.flat and catalog.indexes[""]
    if root and any(root.annotations) then list[#list + 1] = "the annotations of index.json" end
    local _, unfit = reference.for_docker(one.tags)
    for _, name in ipairs(format:find("^docker") and unfit or {}) do
      list[#list + 1] = ("the name %s, which is no tag"):format(name)
    end
    if format == "docker-legacy" and one.manifest_text then
      list[#list + 1] = "the manifest, with its annotations and media types"
    end
  end
  return list
end

return save_image
