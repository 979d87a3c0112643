--- An image as it is going to be written: config text, layers, tags, manifest.

local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
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
---@field manifest_type string?  its media type, as its descriptor or the registry has it
---@field annotations table<string, string>?  of a new manifest
---@field manifest_config string?  the digest of the config that it names
---@field descriptor_text string?  that led to this manifest
---@field index table?  the nested index that the manifest was in
---@field scrubs strata.Scrub[]  of documents that repeat the config, and of descriptors
---@field sha256 boolean?  nothing may be named by another digest

--- The image to write, when it is known how its layers are stored.
---@param state strata.ImageState
---@param layers strata.StoredLayer[]
---@param sha256? boolean  nothing may be named by another digest
---@param text? string  of the config, when it is not yet what it is going to be
---@return strata.ImageToWrite
function save_image.of(state, layers, sha256, text)
  local now, before = state.config, json.decode(state.opened.config_text, state.hub.limits.json) or {}
  local is_other = tostring(platform.of(now)) ~= tostring(platform.of(before))
  local manifest = state.manifest or {}
  text = text or state.config:text()
  return {
    source = state.source, opened = state.opened, config_text = text, layers = layers, sha256 = sha256,
    config_digest = digests.of(text, not sha256 and manifest.config_digest or nil),
    tags = state.tags, new_tags = not reference.same_list(state.tags, state.opened.tags) and state.tags or nil,
    platform = platform.described(now), new_platform = is_other and platform.fields(now) or nil,
    manifest_text = manifest.text, manifest_digest = not sha256 and manifest.digest or nil,
    annotations = state.annotations, manifest_type = manifest.media_type, manifest_config = manifest.config_digest,
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
  if ok then ok, message, code = save_image.check_counts(request.state) end
  if not ok then return nil, message, code end
  local layers
  layers, message, code = save_layer.make(request.state.hub.layers, settings)
  if not layers then return nil, message, code end
  return save_image.of(request.state, layers, settings.sha256 == "all")
end

-- What tells the images of a store apart.
local function key_of(source)
  return source.kind == "docker" and source.number or source.manifest and source.manifest.digest or source
end

-- Whether two stores are the same; an archive can have been opened several times.
local function same_store(a, b)
  if a == b then return true end
  if a.dir or b.dir then return a.dir ~= nil and b.dir ~= nil and a.dir:same(b.dir) end
  return a.identity ~= nil and a.identity == b.identity
end

--- True when all images come from one and the same store, each from another place in it, so that they can go back.
---@param requests strata.SaveRequest[]
---@return boolean
function save_image.is_one_store(requests)
  local first, seen = requests[1].state.source, {}
  for _, request in ipairs(requests) do
    local source = request.state.source
    if not source or not same_store(source.store, first.store) or seen[key_of(source)] then return false end
    if (source.kind == "docker-v1") ~= (first.kind == "docker-v1") then return false end
    seen[key_of(source)] = true
  end
  return #requests == 1 or first.kind ~= "docker-v1"
end

-- A message when two images cannot both have a name.
local function name_problem(i, k, ref, format, platforms)
  if format:find("^docker") then
    return ("images %d and %d have the same name %s, which is that of one image in a docker archive; " ..
      "the formats oci and oci-archive have indexes of images for several platforms"):format(i, k, ref)
  elseif platforms[i] == platforms[k] then
    return ("images %d and %d have the same name %s, and are both for %s"):format(i, k, ref, platforms[i])
  end
end

-- Whether an image had a name when it was opened.
local function had_name(request, ref)
  return reference.find(request.state.opened.tags, ref) ~= nil
end

-- The number of the image before number k that is the same one: the same object, or one without an edit and without a
-- name that was opened from the same place.
local function find_same(requests, k, known)
  local request = requests[k]
  local source = request.state.source
  if known[request.state] then return known[request.state] end
  local function is_plain(one) return one.state.source and not one.edited and #one.state.tags == 0 end
  for i = 1, is_plain(request) and k - 1 or 0 do
    local other = requests[i].state.source
    if is_plain(requests[i]) and same_store(other.store, source.store) and key_of(other) == key_of(source) then
      return i
    end
  end
end

--- What keeps images from being written together: the same image twice, or a name that cannot be that of both.
---@param requests strata.SaveRequest[]
---@param format string  "registry" and "index": they get one name, which has an image for each platform
---@param native boolean  they go back into the store that they came from, where names stay as they are
---@return string? problem
function save_image.clash(requests, format, native)
  local known, owners, platforms, first = {}, {}, {}, {}
  for k, request in ipairs(requests) do
    local same = find_same(requests, k, known)
    if same then return ("images %d and %d are the same image"):format(same, k) end
    known[request.state], platforms[k] = k, (platform.key(request.state.config):gsub("/+$", ""))
    if (format == "registry" or format == "index") and first[platforms[k]] then
      return ("images %d and %d are both for %s, and %s has one image for each platform"):format(first[platforms[k]], k,
        platforms[k], format == "index" and "an index" or "a name of a registry")
    end
    first[platforms[k]] = first[platforms[k]] or k
    for _, ref in ipairs(format == "index" and {} or request.state.tags) do
      local key = reference.comparable(ref)
      owners[key] = owners[key] or {}
      for _, i in ipairs(owners[key]) do
        local stays = native and had_name(requests[i], ref) and had_name(request, ref)
        local problem = i ~= k and not stays and name_problem(i, k, ref, format, platforms)
        if problem then return problem end
      end
      table.insert(owners[key], k)
    end
  end
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

-- The rows of a history that have a layer.
local function layer_rows(config)
  local count = 0
  for _, row in ipairs(type(config) == "table" and type(config.history) == "table" and config.history or {}) do
    if type(row) ~= "table" or row.empty_layer ~= true then count = count + 1 end
  end
  return count
end

--- Holds the layers of an image, its diff_ids and its history against each other. A history that did not fit when the
-- image was opened may go on like that, but not fit less.
---@param state strata.ImageState
---@return boolean? ok
---@return string? message
---@return string? code
function save_image.check_counts(state)
  local layers, config = state.hub.layers, json.decode(state.config:text(), state.hub.limits.json) or {}
  local rootfs = type(config.rootfs) == "table" and config.rootfs or {}
  local diff_ids = json.or_nil(rootfs.diff_ids) or {}
  if #state.layers ~= #layers then
    return fail("EINVAL", "the image has %d layers, but img.layers has %d", #layers, #state.layers)
  elseif #diff_ids ~= #layers then
    return fail("EINVAL", "the image has %d layers, but its config has %d diff_ids", #layers, #diff_ids)
  end
  local rows, before = layer_rows(config), json.decode(state.opened.config_text, state.hub.limits.json)
  local tolerated = math.abs(layer_rows(before) - #state.opened.layers)
  local is_there = type(config.history) == "table" and next(config.history) ~= nil
  if is_there and math.abs(rows - #layers) > tolerated then
    return fail("EINVAL", "the image has %d layers, but its history has %d rows with a layer", #layers, rows)
  end
  return true
end

return save_image
