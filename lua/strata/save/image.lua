--- An image as it is going to be written: config text, layers, tags, manifest.

local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
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
---@field scrubs strata.Scrub[]  of documents that repeat the config
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
    descriptor_text = state.descriptor_text, index = state.index, scrubs = state.scrubs or {},
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
  for _, image in ipairs(images) do
    for _, one in ipairs(image.layers) do
      if one.missing and (format == "docker" or format == "docker-legacy") then
        return fail("ENOENT", "%s: its blob is not there, and an archive for docker load needs it", one.label)
      end
    end
  end
  return true
end

local function any(values)
  return next(values or {}) ~= nil
end

--- What a format cannot hold of the images, a line each.
---@return string[]
function save_image.lost(images, format, native)
  local list = {}
  for _, image in ipairs(images) do
    for _, one in ipairs(image.layers) do
      if media_types.is_foreign(one.media_type) and one.action ~= "copied" then
        list[#list + 1] = ("%s: it was a foreign layer and is not any more"):format(one.label)
      end
    end
  end
  if native then return list end
  for _, image in ipairs(images) do
    if image.source and image.source.misnaming then list[#list + 1] = image.source:misnaming() end
    if image.index and any(image.index.annotations) then
      list[#list + 1] = "the annotations of the index " .. image.index.digest
    end
    if image.index and image.index.manifests > 1 then
      list[#list + 1] = ("the other %d manifests of the index %s"):format(image.index.manifests - 1, image.index.digest)
    end
    local catalog = image.source and image.source.catalog
    local root = catalog and not catalog.store.flat and catalog.indexes[""]
    if root and any(root.annotations) then list[#list + 1] = "the annotations of index.json" end
    local _, unfit = reference.for_docker(image.tags)
    for _, one in ipairs(format:find("^docker") and unfit or {}) do
      local name = json.printable(one.name, 300)
      list[#list + 1] = ("the name %s, which docker load refuses: %s"):format(name, one.problem)
    end
    if format == "docker-legacy" and image.manifest_text then
      list[#list + 1] = "the manifest, with its annotations and media types"
    end
  end
  return list
end

return save_image
