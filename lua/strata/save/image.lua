--- An image as it is going to be written: config text, layers, tags, manifest.

local digests = require "strata.util.digests"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local reference = require "strata.document.reference"
local save_layer = require "strata.save.layer"

local save_image = {}

local function same_list(a, b)
  return table.concat(a, "\0") == table.concat(b, "\0")
end

local function platform_of(config)
  local function text(value) return type(value) == "string" and value ~= "" and value or nil end
  return { os = text(config.os) or "unknown", architecture = text(config.architecture) or "unknown",
           variant = text(config.variant) }
end

local function same_platform(a, b)
  return a.os == b.os and a.architecture == b.architecture and a.variant == b.variant
end

--- The image to write of one whose edits are carried out.
---@param request strata.SaveRequest
---@param settings table  of save_layer.make
---@return strata.ImageToWrite?
---@return string? message
---@return string? code
function save_image.of(request, settings)
  local state = request.state
  local layers, message, code = save_layer.make(request.states, settings)
  if not layers then return nil, message, code end
  return save_image.with(state, layers, settings.sha256 == true)
end

--- The image to write when it is known how its layers are going to be stored.
---@param state table  of the image
---@param layers strata.StoredLayer[]
---@param sha256? boolean  nothing is named by another digest
---@return strata.ImageToWrite
function save_image.with(state, layers, sha256)
  local changed = not same_list(state.tags, state.opened_tags)
  local platform = platform_of(state.config)
  local before = platform_of(json.decode(state.opened_config, state.limits.json) or {})
  local came = state.manifest or {}
  local text = state.config:text()
  return {
    config_text = text, config_digest = digests.of(text, not sha256 and came.config_digest or nil),
    manifest_digest = not sha256 and came.digest or nil, sha256 = sha256,
    layers = layers, origins = state.origins or 0,
    tags = state.tags, new_tags = changed and state.tags or nil, platform = platform,
    new_platform = not same_platform(platform, before) and platform or nil,
    manifest_text = came.text, descriptor_text = state.descriptor_text,
    index = state.index, state = state,
  }
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

--- With layers that have no bytes here: whether the format can do without them.
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

--- The images for the writer of the old archives: plain layers.
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
      if media_types.is_foreign(r.state.media_type) and r.action ~= "copied" then
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
    local catalog = one.state.source and one.state.source.catalog
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
