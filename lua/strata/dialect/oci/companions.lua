--- The attestations and artifacts that go along with an image into another index: those that its own index or layout
-- has about it. They name the manifest by its digest, so they go along only while that stays the same.

local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_names = require "strata.dialect.oci.names"

local companions = {}

--- A manifest that goes along.
---@class strata.Companion
---@field text string  its descriptor
---@field digest string
---@field media_type string
---@field bytes string
---@field blobs strata.CompanionBlob[]  that it names

---@class strata.CompanionBlob
---@field label string
---@field digest string
---@field size integer
---@field part strata.Segment?
---@field origin strata.RemoteStore?  it is in a registry

-- Where the bytes of a blob are. nil without a message: it is not there.
local function find_blob(store, descriptor, label)
  local one = { label = label, digest = descriptor.digest, size = descriptor.size }
  if store.remote then
    one.origin = store
    return one
  end
  local there, message, code = store:blob(descriptor.digest)
  if not there then return nil, code ~= "ENOENT" and message or nil, code end
  if there.own then there.file:close() end
  one.size = there.size
  one.part = { file = not store.dir and there.file or nil, from = store.dir, name = there.name, offset = there.offset,
               size = there.size, digest = descriptor.digest, label = label }
  return one
end

-- The blobs that a manifest names. nil without a message: one of them is not there.
local function blobs_of(store, manifest)
  local document, list = manifest.document, {}
  local descriptors = { document.config }
  local layers = json.or_nil(document.layers) or {}
  for _, one in ipairs(json.is_array(layers) and layers or {}) do descriptors[#descriptors + 1] = one end
  for _, one in ipairs(descriptors) do
    local is_named = type(one) == "table" and type(one.digest) == "string" and core.digest_valid(one.digest)
    if is_named and not media_types.is_foreign(one.mediaType) then
      local blob, message, code = find_blob(store, one, ("%s: blob %s"):format(manifest.digest, one.digest))
      if not blob then return nil, message, code end
      list[#list + 1] = blob
    end
  end
  return list
end

-- The manifests that are about the image as it was opened, and those that are about these.
local function about(image)
  local source, list, seen = image.source, {}, {}
  if not (source and source.catalog and source.manifest) then return list end
  local subjects = { source.manifest.digest }
  while #subjects > 0 do
    local digest = table.remove(subjects, 1)
    for _, one in ipairs(source.catalog.manifests) do
      local subject = not one.problem and oci_catalog.subject(one.annotations, one.kind ~= "image" and one.document)
      if subject == digest and not seen[one.digest] then
        seen[one.digest], list[#list + 1], subjects[#subjects + 1] = true, one, one.digest
      end
    end
  end
  return list
end

-- The descriptor of a manifest, without the names that it has where it is listed.
local function descriptor_of(source, manifest)
  local doc = core.json(source.catalog:descriptor_of(manifest))
  oci_names.set(doc, "")
  return doc:text()
end

-- A manifest that goes along. nil without a message: not all of it is there.
local function companion(source, manifest)
  local ok, message, code = source.catalog:complete(manifest)
  if not ok then return nil, message, code end
  if not manifest.text then return nil end
  local blobs
  blobs, message, code = blobs_of(source.store, manifest)
  if not blobs then return nil, message, code end
  return {
    text = descriptor_of(source, manifest), digest = manifest.digest, bytes = manifest.text, blobs = blobs,
    media_type = json.or_nil(manifest.document.mediaType) or manifest.media_type or media_types.OCI_MANIFEST,
  }
end

--- What goes along with an image. What cannot is noted, or refused.
---@param image strata.ImageToWrite
---@param digest string  of the manifest that it gets
---@param how "keep"|"drop"|"refuse"|nil
---@return strata.Companion[]?
---@return string[]|string|nil notes | message
---@return string? code
function companions.of(image, digest, how)
  local list, notes = {}, {}
  for _, manifest in ipairs(how == "drop" and {} or about(image)) do
    local source = image.source
    local one, message, code, why
    if digest ~= source.manifest.digest then
      why = ("which is about %s"):format(source.manifest.digest)
    else
      one, message, code = companion(source, manifest)
      why = not one and "not all of which is there" or nil
    end
    if message then return nil, message, code end
    if why and how == "refuse" then
      return fail("EINVAL", "attestation %s, %s, would be left behind", manifest.digest, why)
    end
    if why then notes[#notes + 1] = ("attestation %s, %s"):format(manifest.digest, why) end
    list[#list + 1] = one
  end
  return list, notes
end

--- Fetches the blobs of companions that are in a registry, to write them into a file or a directory.
---@param list strata.Companion[]
---@param opts {progress: function?}
---@return boolean? ok
---@return string? message
---@return string? code
function companions.bring(list, opts)
  for _, one in ipairs(list) do
    local wanted = {}
    for _, blob in ipairs(one.blobs) do
      if blob.origin and not blob.part then wanted[#wanted + 1] = blob end
    end
    local files, message, code = {}, nil, nil
    if #wanted > 0 then files, message, code = wanted[1].origin:fetch(wanted, { progress = opts.progress }) end
    if not files then return nil, message, code end
    for i, blob in ipairs(wanted) do
      blob.part = { file = files[i], offset = 0, size = blob.size, digest = blob.digest, label = blob.label }
    end
  end
  return true
end

return companions
