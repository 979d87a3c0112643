--- One image of a layout: reading. Source: image-spec manifest.md.

local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local platform = require "strata.document.platform"

local oci_image = {}

local function missing(store, what, digest)
  if store:has_blob(digest) then return oci_descriptor.unverifiable(store, what, digest) end
  return fail("ENOENT", "%s: %s: blob %s is not there", store.path, what, digest)
end

-- Where the bytes of a layer are. A blob that is not there fails when it is needed, and one in a registry is fetched
-- then.
local function find_blob(store, what, descriptor)
  local digest, size = descriptor.digest, descriptor.size
  local stated = media_types.stated_compression(descriptor.mediaType)
  local blob, message, code
  if not store.remote then
    blob, message, code = store:blob(digest)
    if not blob and code == "ENOENT" then return { size = size, compression = stated, missing = true } end
    if not blob then return nil, message, code end
  end
  if not oci_descriptor.is_verifiable(digest) then return oci_descriptor.unverifiable(store, what, digest) end
  if not blob then return { size = size, compression = stated, remote = store } end
  if blob.size ~= size then
    return fail("EDIGEST", "%s: %s: blob %s has %d bytes, but its descriptor says %d", store.path, what, digest,
      blob.size, size)
  end
  local compression
  compression, message, code = blob.file:sniff(blob.offset, blob.size)
  if not compression then return nil, message, code end
  return { file = blob.file, offset = blob.offset, size = size, compression = compression }, blob.own
end

-- The URLs of a foreign layer.
local function urls_of(descriptor)
  local list = media_types.is_foreign(descriptor.mediaType) and json.or_nil(descriptor.urls) or {}
  local urls = {}
  for _, url in ipairs(type(list) == "table" and list or {}) do
    if type(url) == "string" and #urls < 16 then urls[#urls + 1] = url end
  end
  return urls
end

-- A layer as its descriptor has it.
local function read_layer(catalog, descriptor, number)
  local store = catalog.store
  local what = ("layer %d"):format(number)
  local digest, message, code = oci_descriptor.check(descriptor, ("%s: %s"):format(store.path, what))
  if not digest then return nil, message, code end
  local blob, own
  blob, own, code = find_blob(store, what, descriptor)
  if not blob then return nil, own, code end
  return {
    digest = digest, media_type = json.or_nil(descriptor.mediaType), blob = blob, own = own,
    foreign = media_types.is_foreign(descriptor.mediaType), urls = store.remote and urls_of(descriptor) or nil,
  }
end

--- What an image keeps of its manifest.
---@param manifest strata.Manifest
---@return strata.ImageManifest
function oci_image.manifest(manifest)
  return { text = manifest.text, digest = manifest.digest, media_type = manifest.media_type,
           config_digest = manifest.document.config.digest }
end

--- The image ID, which is a SHA-256 however the descriptor names the config.
---@param catalog strata.Catalog
---@param manifest strata.Manifest
---@return string?
function oci_image.id(catalog, manifest)
  local config = manifest.document and manifest.document.config
  if type(config) ~= "table" or type(config.digest) ~= "string" then return nil end
  local valid, algorithm = core.digest_valid(config.digest)
  if not valid or algorithm == "sha256" then return config.digest end
  if not manifest.id then
    local digest, size = oci_descriptor.check(config, "config")
    local text = digest and oci_descriptor.read(catalog.store, digest, size, catalog.max)
    manifest.id = text and core.sha256(text)
  end
  return manifest.id or config.digest
end

--- What an image is made of.
---@param catalog strata.Catalog
---@param manifest strata.Manifest
---@return strata.ImageModel?
---@return string? message
---@return string? code
function oci_image.read(catalog, manifest)
  local store = catalog.store
  local ok, why, how = catalog:complete(manifest)
  if not ok then return nil, why, how end
  if not manifest.text then return missing(store, "manifest", manifest.digest) end
  local document = manifest.document
  if manifest.kind ~= "image" then
    return fail("EUNSUPPORTED", "%s: %s is an %s, not an image: strata.open_artifact opens it", store.path,
      manifest.digest, manifest.kind)
  end
  local digest, size, code = oci_descriptor.check(document.config, ("%s: config"):format(store.path))
  if not digest then return nil, size, code end
  local text, message
  text, message, code = oci_descriptor.read(store, digest, size, catalog.max)
  if message then return nil, message, code end
  if not text then return missing(store, "config", digest) end
  local descriptors = json.or_nil(document.layers) or {}
  if not json.is_array(descriptors) then
    return fail("EFORMAT", "%s: %s: layers is not an array", store.path, manifest.digest)
  end
  if #descriptors > catalog.max_layers then
    return fail("ELIMIT", "%s: %d layers; limits.layers is %d", store.path, #descriptors, catalog.max_layers)
  end
  local layers = {}
  for i, descriptor in ipairs(descriptors) do
    layers[i], message, code = read_layer(catalog, descriptor, i)
    if not layers[i] then return nil, message, code end
  end
  local refs = {}
  for i, tag in ipairs(manifest.tags) do refs[i] = tag end
  return {
    config_text = text, layers = layers, tags = refs, limits = catalog.limits,
    manifest = oci_image.manifest(manifest),
    index = catalog:index_of(manifest.digest), descriptor_text = catalog:descriptor_of(manifest),
  }
end

--- The descriptors of a manifest's layers.
---@param document table
---@return table[]
function oci_image.layers(document)
  return json.is_array(document.layers) and document.layers or {}
end

--- The platform of a manifest: its descriptor's, else its config's.
function oci_image.platform(catalog, manifest)
  if manifest.platform or not manifest.document or manifest.kind ~= "image" then return manifest.platform end
  local digest, size = oci_descriptor.check(manifest.document.config, "config")
  local text = digest and oci_descriptor.read(catalog.store, digest, size, catalog.max)
  local config = text and json.decode(text, catalog.limits.json)
  manifest.platform = platform.in_document(config)
  return manifest.platform
end

--- Whether all that an image is made of is there; foreign layers need not be.
---@param catalog strata.Catalog
---@param manifest strata.Manifest
---@return boolean
function oci_image.is_complete(catalog, manifest)
  local document = manifest.document
  if not document then return manifest.waiting == true end
  local function has(descriptor)
    local digest = type(descriptor) == "table" and descriptor.digest
    return type(digest) ~= "string" or catalog.store:has_blob(digest)
  end
  if not has(document.config) then return false end
  for _, descriptor in ipairs(oci_image.layers(document)) do
    if not has(descriptor) and not media_types.is_foreign(descriptor.mediaType) then return false end
  end
  return true
end

return oci_image
