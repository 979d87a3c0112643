--- OCI image layouts, as a directory or as an archive: reading.
--
-- Documents are read once, from index.json down, each checked against its
-- descriptor. Blobs of images may be missing until somebody needs them. Source:
-- image-spec image-layout.md, image-index.md, manifest.md, descriptor.md.

local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local oci_catalog = {}

local MAX_SIZE = 2 ^ 53

local REFERENCE_TYPE = "vnd.docker.reference.type"

local function or_nil(value)
  if value == json.null then return nil end
  return value
end

--- One manifest of a layout.
---@class strata.Manifest
---@field digest string
---@field media_type string
---@field kind "image"|"attestation"|"artifact"
---@field tags string[]
---@field platform {os: string, architecture: string, variant: string?}?
---@field annotations table  of its descriptor
---@field place {index: string, number: integer}?  of the first descriptor that leads to it
---@field text string?  nil: the blob is not there
---@field document table?  decoded
---@field id string?  of the image, once somebody had to hash the config for it

---@class strata.Catalog
---@field store table
---@field indexes table<string, {text: string, digest: string?}>  by digest; "" is index.json
---@field manifests strata.Manifest[]  in the order of the indexes
---@field by_digest table<string, strata.Manifest>
---@field strangers table<string, integer>  digests and sizes of what indexes name that is no manifest
---@field single string?  digest of the root, when that is a manifest itself
local Catalog = {}
Catalog.__index = Catalog

-- A digest by the grammar; one of an algorithm that is known here also has its length.
local function is_digest(value)
  if type(value) ~= "string" then return false end
  local algorithm = value:match("^([a-z0-9+._-]+):[a-zA-Z0-9=_-]+$")
  if not algorithm or ("+" .. algorithm .. "+"):find("[+._-][+._-]") then return false end
  return core.digest_valid(value) or (algorithm ~= "sha256" and algorithm ~= "sha512")
end

-- JSON's array; an empty object cannot be told from an empty one.
local function is_array(value)
  return type(value) == "table" and type(next(value)) ~= "string"
end

local function case_clash(where, name)
  return fail("EFORMAT", "%s has keys that differ in their case only: %s", where, core.quote(name))
end

-- A descriptor of a document, checked. Returns its digest and size.
local function check_descriptor(value, where)
  if type(value) ~= "table" then return fail("EFORMAT", "%s is not a descriptor", where) end
  local clash = json.case_clash(value)
  if clash then return case_clash(where, clash) end
  local digest, size = value.digest, value.size
  if not is_digest(digest) then
    return fail("EFORMAT", "%s: bad digest %s", where, core.quote(tostring(digest)))
  end
  if type(size) ~= "number" or size < 0 or size > MAX_SIZE or size % 1 ~= 0 then
    return fail("EFORMAT", "%s: bad size %s", where, core.quote(tostring(size)))
  end
  if or_nil(value.mediaType) ~= nil and type(value.mediaType) ~= "string" then
    return fail("EFORMAT", "%s: bad mediaType %s", where, core.quote(tostring(value.mediaType)))
  end
  return digest, size
end

oci_catalog.check_descriptor = check_descriptor

local function is_verifiable(digest)
  return (core.digest_valid(digest))
end

local function unverifiable(store, what, digest)
  return fail("EUNSUPPORTED", "%s: %s: blob %s: only SHA-256 and SHA-512 can be verified", store.path, what, digest)
end

oci_catalog.is_verifiable, oci_catalog.unverifiable = is_verifiable, unverifiable

local function read_small(store, blob, digest, size, max)
  if blob.size ~= size then
    return fail("EDIGEST", "%s: blob %s has %d bytes, but its descriptor says %d", store.path, digest,
      blob.size, size)
  end
  if size > max then
    return fail("ELIMIT", "%s: blob %s has %d bytes; limits.json.max_bytes is %d", store.path, digest, size,
      max)
  end
  return blob.file:read(blob.offset, blob.size)
end

-- A small blob, checked against its descriptor. nil, nil: it is not there.
local function read_blob(store, digest, size, max)
  local blob, message, code = store:blob(digest)
  if not blob then
    if code == "ENOENT" then return nil end
    return nil, message, code
  end
  local text
  text, message, code = read_small(store, blob, digest, size, max)
  if blob.own then blob.file:close() end
  if not text then return nil, message, code end
  if not is_verifiable(digest) then return unverifiable(store, "document", digest) end
  local right, found = digests.matches(text, digest)
  if not right then
    return fail("EDIGEST", "%s: blob %s hashes to %s", store.path, digest, found)
  end
  return text
end

local function decode_document(text, where, limits)
  local document, message, code = json.decode(text, limits.json)
  if document == nil then return nil, where .. ": " .. message, code == "ELIMIT" and code or "EFORMAT" end
  if type(document) ~= "table" then return fail("EFORMAT", "%s is not a JSON object", where) end
  local clash = json.case_clash(document)
  if clash then return case_clash(where, clash) end
  -- Docker writes null when there are none.
  local kind = document.manifests ~= nil and "index" or "manifest"
  local other = or_nil(document.layers) or or_nil(document.config) or or_nil(document.fsLayers)
  if kind == "index" and other then
    -- CVE-2021-41190: two readers could take it for two things.
    return fail("EFORMAT", "%s is an index and a manifest at once", where)
  end
  return document, kind
end

local function strings(value)
  local copy = {}
  for key, item in pairs(type(value) == "table" and value or {}) do
    if type(key) == "string" and type(item) == "string" then copy[key] = item end
  end
  return copy
end

--- The names that annotations give: the full one, and what others say if that is
-- not the tag of it.
---@param annotations table<string, string>
---@return string[]
function oci_catalog.names(annotations)
  local full, ref = annotations[reference.NAME], annotations[reference.REF_NAME]
  full = full and reference.familiar(full)
  if not full then return { ref } end
  local _, tag = reference.split(full)
  if not ref or ref == tag or reference.find({ full }, ref) then return { full } end
  return { full, ref }
end

local function add_name(list, name)
  for _, tag in ipairs(list) do
    if tag == name then return end
  end
  list[#list + 1] = name
end

local function add_names(list, annotations)
  for _, name in ipairs(oci_catalog.names(annotations)) do add_name(list, name) end
end

-- What has the config of an image is one, whatever artifactType says besides.
local function kind_of(document, annotations)
  if annotations[REFERENCE_TYPE] then return "attestation" end
  local config = document.config
  if type(config) ~= "table" then return "artifact" end
  local config_type = or_nil(config.mediaType)
  local is_image = config_type == nil and or_nil(document.artifactType) == nil
    or media_types.kind(config_type) == "config"
  return is_image and "image" or "artifact"
end

-- Takes in a manifest that a descriptor names; it may be known under other tags.
function Catalog:add_manifest(descriptor, text, document, names)
  local known = self.by_digest[descriptor.digest]
  local annotations = strings(descriptor.annotations)
  if not known then
    known = {
      digest = descriptor.digest, size = descriptor.size, media_type = descriptor.mediaType,
      kind = document and kind_of(document, annotations) or
        annotations[REFERENCE_TYPE] and "attestation" or "image",
      tags = {}, annotations = annotations, platform = platform.in_document(descriptor.platform),
      place = self.place,
      text = text, document = document,
    }
    self.by_digest[known.digest] = known
    self.manifests[#self.manifests + 1] = known
  end
  for _, name in ipairs(names) do add_name(known.tags, name) end
  add_names(known.tags, annotations)
end

function Catalog:visit_descriptor(descriptor, where, names, depth)
  local digest, size, code = check_descriptor(descriptor, where)
  if not digest then return nil, size, code end
  self.count = self.count + 1
  if self.count > self.max_manifests then
    return fail("ELIMIT", "%s: more than %d manifests (limits.manifests)", self.store.path, self.max_manifests)
  end
  local stated = or_nil(descriptor.mediaType)
  local kind = media_types.kind(stated)
  if kind == "config" or kind == "layer" then
    return fail("EFORMAT", "%s: a %s where a manifest should be", where, kind)
  end
  if not kind and stated ~= nil then -- somebody else's: kept, not looked at
    self.strangers[digest] = size
    return true
  end
  local text, message
  if kind ~= "manifest" or is_verifiable(digest) then
    text, message, code = read_blob(self.store, digest, size, self.max)
    if message then return nil, message, code end
  end
  if not text then
    if kind ~= "index" then self:add_manifest(descriptor, nil, nil, names) end
    return true
  end
  local document, found
  document, found, code = decode_document(text, ("%s: %s"):format(self.store.path, digest), self.limits)
  if not document then return nil, found, code end
  local own = or_nil(document.mediaType)
  if (kind and found ~= kind) or (own ~= nil and stated ~= nil and own ~= stated) then
    return fail("EFORMAT", "%s: %s is said to be %s, and is %s", where, digest, core.quote(tostring(stated)),
      core.quote(tostring(own or found)))
  end
  if found == "index" then
    local below = {}
    for i, name in ipairs(names) do below[i] = name end
    add_names(below, strings(descriptor.annotations))
    return self:visit_index(digest, text, document, below, depth + 1)
  end
  self:add_manifest(descriptor, text, document, names)
  return true
end

function Catalog:visit_index(digest, text, document, names, depth)
  local where = self.store.path .. ": " .. (digest == "" and self.store.root or digest)
  if depth > self.max_depth then
    return fail("ELIMIT", "%s: indexes inside indexes, more than %d deep (limits.index_depth)", where,
      self.max_depth)
  end
  -- A digest cannot contain itself, so a cycle would have to break the hash; the depth is limited anyway.
  self.indexes[digest] = { text = text, media_type = or_nil(document.mediaType),
                           annotations = strings(document.annotations), document = document }
  if not is_array(or_nil(document.manifests) or {}) then
    return fail("EFORMAT", "%s: manifests is not an array", where)
  end
  for i, descriptor in ipairs(or_nil(document.manifests) or {}) do
    self.place = { index = digest, number = i - 1 }
    local ok, message, code = self:visit_descriptor(descriptor, ("%s: manifests[%d]"):format(where, i - 1),
      names, depth)
    if not ok then return nil, message, code end
  end
  return true
end

--- The text of what an index names that is no manifest; nil when it cannot be read.
---@param digest string
---@return string?
function Catalog:stranger(digest)
  return (read_blob(self.store, digest, self.strangers[digest], self.max))
end

--- The text of the descriptor that led to a manifest.
---@param manifest strata.Manifest
---@return string?
function Catalog:descriptor_of(manifest)
  local place = manifest.place
  local doc = place and core.json(self.indexes[place.index].text)
  return doc and doc:raw("/manifests/" .. place.number)
end

--- The manifest that is below some index, and the index, if it is a nested one.
---@param digest string
---@return {digest: string, media_type: string?, annotations: table<string, string>, manifests: integer}?
function Catalog:index_of(digest)
  for index_digest, index in pairs(self.indexes) do
    -- A layout's index.json is no image's index; the root of skopeo's directory is.
    local counts = index_digest ~= "" or self.store.flat
    for _, descriptor in ipairs(counts and or_nil(index.document.manifests) or {}) do
      if descriptor.digest == digest then
        return { digest = index_digest ~= "" and index_digest or core.sha256(index.text),
                 media_type = index.media_type, annotations = index.annotations,
                 manifests = #index.document.manifests }
      end
    end
  end
  return nil
end

local function check_layout(store, limits)
  if not store:has("oci-layout") then return true end
  local text, message, code = store:document("oci-layout", limits.json.max_bytes)
  if not text then return nil, message, code end
  local layout
  layout, message, code = json.decode(text, limits.json)
  if code == "ELIMIT" then return fail(code, "%s: oci-layout: %s", store.path, message) end
  local version = type(layout) == "table" and layout.imageLayoutVersion
  if type(version) ~= "string" then
    return fail("EFORMAT", "%s: oci-layout has no imageLayoutVersion", store.path)
  end
  if not version:find("^1%.") then
    return fail("EUNSUPPORTED", "%s: oci-layout: version %s", store.path, core.quote(version))
  end
  return true
end

--- Reads every index and manifest of a layout.
---@param store table  strata.ArchiveStore or strata.DirectoryStore
---@param limits table
---@return strata.Catalog?
---@return string? message
---@return string? code
function oci_catalog.of(store, limits)
  local self = setmetatable({
    store = store, indexes = {}, manifests = {}, by_digest = {}, strangers = {}, count = 0,
    max = limits.json.max_bytes,
    max_manifests = limits.manifests, max_depth = limits.index_depth,
    max_layers = limits.layers, limits = limits,
  }, Catalog)
  local ok, message, code = check_layout(store, limits)
  if not ok then return nil, message, code end
  local text
  text, message, code = store:document(store.root, self.max)
  if not text then return nil, message, code end
  store.root_text = text
  local document, kind
  document, kind, code = decode_document(text, store.path .. ": " .. store.root, limits)
  if not document then return nil, kind, code end
  if kind == "index" then
    ok, message, code = self:visit_index("", text, document, {}, 0)
    if not ok then return nil, message, code end
  elseif store.flat then
    self.single = core.sha256(text)
    self:add_manifest({ digest = self.single, size = #text, mediaType = or_nil(document.mediaType) }, text,
      document, {})
  else
    return fail("EFORMAT", "%s: %s has no manifests", store.path, store.root)
  end
  return self
end

-- ---- one image ----------------------------------------------------------------

local function missing(store, what, digest)
  if store:has_blob(digest) then return unverifiable(store, what, digest) end
  return fail("ENOENT", "%s: %s: blob %s is not there", store.path, what, digest)
end

-- A layer as its descriptor has it. A blob that is not there fails when it is needed.
local function read_layer(catalog, descriptor, number)
  local store = catalog.store
  local what = ("layer %d"):format(number)
  local digest, size, code = check_descriptor(descriptor, ("%s: %s"):format(store.path, what))
  if not digest then return nil, size, code end
  local blob, message
  blob, message, code = store:blob(digest)
  if not blob and code ~= "ENOENT" then return nil, message, code end
  local layer = {
    digest = digest, media_type = or_nil(descriptor.mediaType),
    annotations = strings(descriptor.annotations), foreign = media_types.is_foreign(descriptor.mediaType),
  }
  if not blob then
    layer.blob = { size = size, compression = media_types.stated_compression(descriptor.mediaType), missing = true }
    return layer
  end
  if not is_verifiable(digest) then return unverifiable(store, what, digest) end
  if blob.size ~= size then
    return fail("EDIGEST", "%s: %s: blob %s has %d bytes, but its descriptor says %d", store.path, what,
      digest, blob.size, size)
  end
  local compression
  compression, message, code = blob.file:sniff(blob.offset, blob.size)
  if not compression then return nil, message, code end
  layer.own = blob.own
  layer.blob = { file = blob.file, offset = blob.offset, size = blob.size, compression = compression }
  return layer
end

--- What an image keeps of its manifest.
---@param manifest strata.Manifest
---@return strata.ImageManifest
function oci_catalog.manifest(manifest)
  return { text = manifest.text, digest = manifest.digest, media_type = manifest.media_type,
           config_digest = manifest.document.config.digest }
end

--- The image ID, which is a SHA-256 however the descriptor names the config.
---@param catalog strata.Catalog
---@param manifest strata.Manifest
---@return string?
function oci_catalog.image_id(catalog, manifest)
  local config = manifest.document and manifest.document.config
  if type(config) ~= "table" or type(config.digest) ~= "string" then return nil end
  local valid, algorithm = core.digest_valid(config.digest)
  if not valid or algorithm == "sha256" then return config.digest end
  if not manifest.id then
    local digest, size = check_descriptor(config, "config")
    local text = digest and read_blob(catalog.store, digest, size, catalog.max)
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
function oci_catalog.read(catalog, manifest)
  local store = catalog.store
  if not manifest.text then return missing(store, "manifest", manifest.digest) end
  local document = manifest.document
  if manifest.kind ~= "image" then
    return fail("EUNSUPPORTED", "%s: %s is an %s, not an image", store.path, manifest.digest, manifest.kind)
  end
  local digest, size, code = check_descriptor(document.config, ("%s: config"):format(store.path))
  if not digest then return nil, size, code end
  local text, message
  text, message, code = read_blob(store, digest, size, catalog.max)
  if message then return nil, message, code end
  if not text then return missing(store, "config", digest) end
  local descriptors = or_nil(document.layers) or {}
  if not is_array(descriptors) then
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
    manifest = oci_catalog.manifest(manifest),
    index = catalog:index_of(manifest.digest), descriptor_text = catalog:descriptor_of(manifest),
  }
end

--- The descriptors of a manifest's layers.
---@param document table
---@return table[]
function oci_catalog.layers(document)
  return is_array(document.layers) and document.layers or {}
end

--- The platform of a manifest: its descriptor's, else its config's.
function oci_catalog.platform(catalog, manifest)
  if manifest.platform or not manifest.document or manifest.kind ~= "image" then return manifest.platform end
  local digest, size = check_descriptor(manifest.document.config, "config")
  local text = digest and read_blob(catalog.store, digest, size, catalog.max)
  local config = text and json.decode(text, catalog.limits.json)
  manifest.platform = platform.in_document(config)
  return manifest.platform
end

--- Whether all that an image is made of is there; foreign layers need not be.
---@param catalog strata.Catalog
---@param manifest strata.Manifest
---@return boolean
function oci_catalog.is_complete(catalog, manifest)
  local document = manifest.document
  if not document then return false end
  local function has(descriptor)
    local digest = type(descriptor) == "table" and descriptor.digest
    return type(digest) ~= "string" or catalog.store:has_blob(digest)
  end
  if not has(document.config) then return false end
  for _, descriptor in ipairs(oci_catalog.layers(document)) do
    if not has(descriptor) and not media_types.is_foreign(descriptor.mediaType) then return false end
  end
  return true
end

--- A value of a document as a string, nil when it is none.
function oci_catalog.text(value)
  return type(value) == "string" and value or nil
end

oci_catalog.strings = strings
oci_catalog.REFERENCE_TYPE = REFERENCE_TYPE

return oci_catalog
