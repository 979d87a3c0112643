--- The indexes and manifests of an OCI image layout, in a directory or in an archive.
--
-- They are read once, from index.json down, and each is compared with its descriptor.
-- Other blobs may be missing until an image needs them. Source: image-spec
-- image-layout.md, image-index.md.

local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_names = require "strata.dialect.oci.names"
local platform = require "strata.document.platform"

local oci_catalog = {}

local REFERENCE_TYPE, SUBJECT = "vnd.docker.reference.type", "vnd.docker.reference.digest"

--- One manifest of a layout.
---@class strata.Manifest
---@field digest string
---@field media_type string
---@field kind "image"|"attestation"|"artifact"
---@field tags string[]
---@field platform strata.PlatformFields?
---@field annotations table  of its descriptor
---@field place {index: string, number: integer}?  of the first descriptor that leads to it
---@field indexes string[]  digests of the indexes that it is in, in order; "" is index.json
---@field problem {[1]: string, [2]: string}?  message and code: it is not what its descriptor says
---@field text string?  nil: the blob is not there, or cannot be read
---@field document table?  decoded
---@field waiting boolean?  it was not read yet: see complete()
---@field id string?  of the image. Written by oci/image, once the config had to be hashed for it

--- What a layout has. Written by oci_catalog.of, and not changed afterwards.
---@class strata.Catalog
---@field store strata.ArchiveStore|strata.DirectoryStore|strata.RemoteStore
---@field limits strata.Limits
---@field indexes table<string, {text: string, media_type: string?, annotations: table, document: table}>  by digest;
---  "" is index.json
---@field nested string[]  digests of those below index.json, in the order in which it leads to them
---@field manifests strata.Manifest[]  in the order of the indexes
---@field by_digest table<string, strata.Manifest>
---@field completed integer?  how many manifests were read after the others. Written by complete()
---@field absent string[]  digests of indexes that are named and not there
---@field strangers table<string, integer>  sizes by digest of blobs of unknown media types that indexes name
---@field rows table<string, table<integer, strata.Manifest>>  by the digest of an index: the manifests that its
---  descriptors lead to, by their numbers from 0
---@field single string?  digest of the root, when that is a manifest itself
---@field root_text string  of the root
---@field last_scanned {text: string, doc: strata.JSON?}?  the index that was asked last for a descriptor
local Catalog = {}
Catalog.__index = Catalog

local KNOWN = json.known { "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "fsLayers",
                           "subject", "annotations" }

local function decode_document(text, where, limits)
  local document, message, code = json.decode(text, limits.json)
  if document == nil then return nil, where .. ": " .. message, code == "ELIMIT" and code or "EFORMAT" end
  if type(document) ~= "table" then return fail("EFORMAT", "%s is not a JSON object", where) end
  local problem = json.case_problem(json.keys(document), KNOWN)
  if problem then return fail("EFORMAT", "%s %s", where, problem) end
  -- Docker writes null when there are none.
  local kind = document.manifests ~= nil and "index" or "manifest"
  local other = json.or_nil(document.layers) or json.or_nil(document.config) or json.or_nil(document.fsLayers)
  if kind == "index" and other then
    -- CVE-2021-41190: one reader could take it for an index and another one for a manifest.
    return fail("EFORMAT", "%s is an index and a manifest at once", where)
  end
  return document, kind
end

local function add_name(list, name)
  for _, tag in ipairs(list) do
    if tag == name then return end
  end
  list[#list + 1] = name
end

local function add_names(list, annotations)
  for _, name in ipairs(oci_names.of(annotations)) do add_name(list, name) end
end

-- A manifest with the config of an image is an image, whatever its artifactType.
local function kind_of(document, annotations, stated)
  if annotations[REFERENCE_TYPE] then return "attestation" end
  local config = document.config
  if type(config) ~= "table" then return "artifact" end
  local config_type = json.or_nil(config.mediaType)
  local is_image = config_type == nil and json.or_nil(document.artifactType) == nil
    or media_types.is_image_config(config_type, media_types.family(json.or_nil(document.mediaType) or stated))
  return is_image and "image" or "artifact"
end

-- Notes which manifest the descriptor leads to that is being visited.
function Catalog:note_row(manifest)
  local place = self.place
  if not place then return end
  self.rows[place.index] = self.rows[place.index] or {}
  self.rows[place.index][place.number] = manifest
end

-- Adds a manifest that a descriptor names. Another descriptor may have given it other tags before.
function Catalog:add_manifest(descriptor, text, document, names)
  local known = self.by_digest[descriptor.digest]
  local annotations = oci_descriptor.annotations(descriptor.annotations)
  if not known then
    known = {
      digest = descriptor.digest, size = descriptor.size, media_type = descriptor.mediaType,
      kind = document and kind_of(document, annotations, descriptor.mediaType) or
        annotations[REFERENCE_TYPE] and "attestation" or "image",
      tags = {}, annotations = annotations, platform = platform.in_document(descriptor.platform),
      place = self.place, indexes = {}, text = text, document = document,
    }
    self.by_digest[known.digest] = known
    self.manifests[#self.manifests + 1] = known
  end
  if annotations[REFERENCE_TYPE] then -- whatever other descriptors leave out
    known.kind = "attestation"
    for _, name in ipairs { REFERENCE_TYPE, SUBJECT } do
      known.annotations[name] = known.annotations[name] or annotations[name]
    end
  end
  for _, name in ipairs(names) do add_name(known.tags, name) end
  add_names(known.tags, annotations)
  if self.place then add_name(known.indexes, self.place.index) end
  self:note_row(known)
end

-- Adds an entry that is not what its descriptor says. Choosing it is an error, and nothing else: other entries may
-- have the same digest, and be right.
function Catalog:add_broken(descriptor, names, message, code)
  local annotations = oci_descriptor.annotations(descriptor.annotations)
  local broken = {
    digest = descriptor.digest, media_type = json.or_nil(descriptor.mediaType), tags = {}, annotations = annotations,
    kind = annotations[REFERENCE_TYPE] and "attestation" or "image",
    platform = platform.in_document(descriptor.platform), problem = { message, code }, place = self.place,
    text = oci_descriptor.as_it_is(self.store, descriptor.digest, self.max),
  }
  self.manifests[#self.manifests + 1] = broken
  self:note_row(broken)
  for _, name in ipairs(names) do add_name(broken.tags, name) end
  add_names(broken.tags, annotations)
end

-- What is wrong with one entry, as opposed to a limit of the whole or to a disk that fails.
local OF_THE_ENTRY = {
  EFORMAT = true, EDIGEST = true, EUNSUPPORTED = true, ENOTDIR = true, ELOOP = true, EXDEV = true, EISDIR = true,
  ENAMETOOLONG = true,
}

function Catalog:visit_descriptor(descriptor, where, names, depth)
  local digest, size, code = oci_descriptor.check(descriptor, where)
  if not digest then return nil, size, code end
  self.count = self.count + 1
  if self.count > self.max_manifests then
    return fail("ELIMIT", "%s: more than %d manifests (limits.manifests)", self.store.path, self.max_manifests)
  end
  local ok, message, is_own
  ok, message, code, is_own = self:visit_blob(descriptor, where, names, depth)
  if not ok and (is_own or OF_THE_ENTRY[code]) then
    self:add_broken(descriptor, names, message, code)
    return true
  end
  return ok, message, code
end

-- Whether a manifest is not read before it is asked for: in a registry, where each is a request, when its descriptor
-- says all that it is chosen by.
function Catalog:may_wait(descriptor)
  return self.store.remote and oci_descriptor.is_verifiable(descriptor.digest) and
    type(json.or_nil(descriptor.platform)) == "table"
end

--- Reads a manifest that has not been read.
---@param manifest strata.Manifest
---@return boolean? ok
---@return string? message
---@return string? code
function Catalog:complete(manifest)
  if not manifest.waiting then return true end
  local store = self.store
  local text, message, code = oci_descriptor.read(store, manifest.digest, manifest.size, self.max, manifest.media_type)
  if not text then return message == nil, message, code end -- it stays without a text when it is not there
  local document, found
  document, found, code = decode_document(text, ("%s: %s"):format(store.path, manifest.digest), self.limits)
  if not document then return nil, found, code end
  local own = json.or_nil(document.mediaType)
  if found ~= "manifest" or (own ~= nil and own ~= manifest.media_type) then
    return fail("EFORMAT", "%s: %s is said to be %s, and is %s", store.path, manifest.digest,
      core.quote(tostring(manifest.media_type)), core.quote(tostring(own or found)))
  end
  manifest.text, manifest.document, manifest.waiting = text, document, nil
  manifest.kind = kind_of(document, manifest.annotations, manifest.media_type)
  self.completed = (self.completed or 0) + 1
  return true
end

--- Reads every manifest that has not been read.
---@param opts? {progress: function?}
---@return boolean? ok
---@return string? message
---@return string? code
function Catalog:complete_all(opts)
  local waiting = {}
  for _, manifest in ipairs(self.manifests) do
    if manifest.waiting then waiting[#waiting + 1] = manifest end
  end
  local ok, message, code = true, nil, nil
  if #waiting > 0 then ok, message, code = self.store:fetch_manifests(waiting, opts) end
  for _, manifest in ipairs(ok and waiting or {}) do
    ok, message, code = self:complete(manifest)
    if not ok then break end
  end
  return ok, message, code
end

-- Visits what a descriptor names. The last result of a failure: whether it is one of this document alone.
function Catalog:visit_blob(descriptor, where, names, depth)
  local digest, size = descriptor.digest, descriptor.size
  local stated = json.or_nil(descriptor.mediaType)
  local kind = media_types.kind(stated)
  if kind == "config" or kind == "layer" then
    return fail("EFORMAT", "%s: a %s where a manifest should be", where, kind)
  end
  if not kind and stated ~= nil then -- of another kind: kept, not read
    self.strangers[digest] = size
    return true
  end
  local text, message, code
  if kind == "manifest" and self:may_wait(descriptor) then
    self:add_manifest(descriptor, nil, nil, names)
    self.by_digest[digest].waiting = self.by_digest[digest].text == nil
    return true
  end
  if kind ~= "manifest" or oci_descriptor.is_verifiable(digest) then
    text, message, code = oci_descriptor.read(self.store, digest, size, self.max, stated)
    if message then return nil, message, code, code == "ELIMIT" end
  end
  if not text then
    if kind == "index" then
      self.absent[#self.absent + 1] = digest
    else
      self:add_manifest(descriptor, nil, nil, names)
    end
    return true
  end
  local document, found
  document, found, code = decode_document(text, ("%s: %s"):format(self.store.path, digest), self.limits)
  if not document then return nil, found, code, true end
  local own = json.or_nil(document.mediaType)
  if (kind and found ~= kind) or (own ~= nil and stated ~= nil and own ~= stated) then
    return fail("EFORMAT", "%s: %s is said to be %s, and is %s", where, digest, core.quote(tostring(stated)),
      core.quote(tostring(own or found)))
  end
  if found == "index" then
    local below = {}
    for i, name in ipairs(names) do below[i] = name end
    add_names(below, oci_descriptor.annotations(descriptor.annotations))
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
  if not json.is_array(json.or_nil(document.manifests) or {}) then
    return fail("EFORMAT", "%s: manifests is not an array", where)
  end
  -- A digest cannot contain itself, so a cycle would have to break the hash; the depth is limited anyway.
  if digest ~= "" then add_name(self.nested, digest) end
  self.indexes[digest] = { text = text, media_type = json.or_nil(document.mediaType),
                           annotations = oci_descriptor.annotations(document.annotations), document = document }
  for i, descriptor in ipairs(json.or_nil(document.manifests) or {}) do
    self.place = { index = digest, number = i - 1 }
    local ok, message, code = self:visit_descriptor(descriptor, ("%s: manifests[%d]"):format(where, i - 1),
      names, depth)
    if not ok then return nil, message, code end
  end
  return true
end

--- The text of a blob of an unknown media type; nil when it cannot be read.
---@param digest string
---@return string?
function Catalog:stranger(digest)
  return (oci_descriptor.read(self.store, digest, self.strangers[digest], self.max))
end

--- The text of the descriptor that led to a manifest.
---@param manifest strata.Manifest
---@return string?
function Catalog:descriptor_of(manifest)
  local place = manifest.place
  if not place then return nil end
  local text, last = self.indexes[place.index].text, self.last_scanned
  if not last or last.text ~= text then -- it is asked for each image of an index
    last = { text = text, doc = core.json(text) }
    self.last_scanned = last
  end
  return last.doc and last.doc:raw("/manifests/" .. place.number)
end

--- The digest of the image that an attestation is about. buildkit states it in the descriptor, and OCI 1.1 in the
-- manifest (of a signature, for example).
---@param annotations table  of the descriptor
---@param document? any  the manifest, decoded, unless it is that of an image
---@return string?
function oci_catalog.subject(annotations, document)
  if annotations[REFERENCE_TYPE] and annotations[SUBJECT] then return annotations[SUBJECT] end
  local subject = type(document) == "table" and document.subject
  return type(subject) == "table" and type(subject.digest) == "string" and subject.digest or nil
end

--- Fails when attestations are not to be left behind, and one is about an image that is saved without them.
---@param images strata.ImageToWrite[]
---@param opts {attestations?: string}
---@return boolean? ok
---@return string? message
---@return string? code
function oci_catalog.check_alone(images, opts)
  for _, image in ipairs(opts.attestations == "refuse" and images or {}) do
    local source = image.source or {}
    for _, one in ipairs(source.manifest and source.catalog.manifests or {}) do
      local subject = oci_catalog.subject(one.annotations, one.kind ~= "image" and one.document)
      if subject == source.manifest.digest then
        return fail("EINVAL", "attestation %s is about the image %s, which is saved without it", one.digest, subject)
      end
    end
  end
  return true
end

--- The first index that a manifest is in; nil for a layout's index.json.
---@param digest string
---@return {digest: string, media_type: string?, size: integer, annotations: table<string, string>, count: integer}?
function Catalog:index_of(digest)
  local known = self.by_digest[digest]
  for _, index_digest in ipairs(known and known.indexes or {}) do
    -- The root of a directory of skopeo is the image's own index.
    if index_digest ~= "" or self.store.flat then
      local index = self.indexes[index_digest]
      return { digest = index_digest ~= "" and index_digest or self.store.root_digest or core.sha256(index.text),
               media_type = index.media_type, size = #index.text, annotations = index.annotations,
               count = #index.document.manifests }
    end
  end
  return nil
end

--- Whether a layout is of a version that is known here.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param limits strata.Limits
---@return boolean? ok
---@return string? message
---@return string? code
function oci_catalog.check_layout(store, limits)
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

--- Reads every index and manifest of a layout. One that is not what its descriptor says is an entry with a problem.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param limits strata.Limits
---@return strata.Catalog?
---@return string? message
---@return string? code
function oci_catalog.of(store, limits)
  local self = setmetatable({
    store = store, indexes = {}, nested = {}, manifests = {}, by_digest = {}, absent = {}, strangers = {}, rows = {},
    count = 0,
    max = limits.json.max_bytes,
    max_manifests = limits.manifests, max_depth = limits.index_depth,
    max_layers = limits.layers, limits = limits,
  }, Catalog)
  local ok, message, code = oci_catalog.check_layout(store, limits)
  if not ok then return nil, message, code end
  local text
  text, message, code = store:document(store.root, self.max)
  if not text then return nil, message, code end
  self.root_text = text
  local document, kind
  document, kind, code = decode_document(text, store.path .. ": " .. store.root, limits)
  if not document then return nil, kind, code end
  if kind == "index" then
    ok, message, code = self:visit_index("", text, document, store.names or {}, 0)
    if not ok then return nil, message, code end
  elseif store.flat then
    self.single = store.root_digest or core.sha256(text)
    self:add_manifest({ digest = self.single, size = #text, mediaType = json.or_nil(document.mediaType) }, text,
      document, store.names or {})
  else
    return fail("EFORMAT", "%s: %s has no manifests", store.path, store.root)
  end
  return self
end

return oci_catalog
