--- Image manifests: the one that an image came with, edited by spans, or a new one.

local core = require "strata.core"
local digests = require "strata.util.digests"
local job = require "strata.util.job"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local scrub = require "strata.document.scrub"

local manifest = {}

-- Annotations of layers that describe the compressed bytes; source: containers/storage (zstd:chunked, whose
-- names lacked "github" up to skopeo 1.9) and containerd/stargz-snapshotter (eStargz).
local OF_THE_BYTES = { "^io%.github%.containers%.zstd%-chunked%.", "^io%.containers%.zstd%-chunked%.",
                       "^containerd%.io/snapshot/stargz/", "^io%.containers%.estargz%." }

local function describes_bytes(name)
  for _, pattern in ipairs(OF_THE_BYTES) do
    if name:find(pattern) then return true end
  end
  return false
end

-- Points a descriptor at other bytes; one that has this digest already stays as it is.
local function point(doc, pointer, digest, size)
  if doc:get(pointer .. "/digest") == digest then return end
  doc:set(pointer .. "/digest", core.json_quote(digest))
  doc:set(pointer .. "/size", ("%d"):format(size))
  if doc:type(pointer .. "/data") then doc:remove(pointer .. "/data") end
end

manifest.point = point

--- Sets the platform of a descriptor to that of the config; its other keys stay.
---@param doc strata.JSON
---@param pointer string  of the descriptor
---@param platform strata.PlatformFields
function manifest.set_platform(doc, pointer, platform)
  local at = pointer .. "/platform"
  if doc:type(at) ~= "object" then return end
  for _, key in ipairs { "os", "architecture", "variant" } do
    if platform[key] then
      doc:set(at .. "/" .. key, core.json_quote(platform[key]))
    elseif doc:type(at .. "/" .. key) then
      doc:remove(at .. "/" .. key)
    end
  end
end

local function drop_annotations(doc, pointer)
  local annotations = pointer .. "/annotations"
  if doc:type(annotations) ~= "object" then return end
  for _, name in ipairs(doc:keys(annotations)) do
    if describes_bytes(name) then doc:remove(annotations .. json.part(name)) end
  end
  if doc:count(annotations) == 0 then doc:remove(annotations) end
end

-- The digest to write for a layer. An unchanged layer that the manifest named by another
-- algorithm (SHA-512) keeps that name.
local function digest_for(one, before)
  local _, here = core.digest_valid(one.digest or "")
  local known, there = core.digest_valid(type(before) == "string" and before or "")
  local is_kept = one.action == "copied" and not one.renamed and known and here ~= there
  return is_kept and before or one.digest
end

-- `types` says which media types a layer gets: `own` is the family of the manifest, and `wanted` the family that all
-- types are converted to, or nil. A type that is not converted is left alone, right or wrong, as long as the bytes
-- are the same; new bytes get a type of the family that the old one was of.
local function edit_layer(doc, pointer, one, types)
  local before = doc:get(pointer .. "/digest")
  local digest = digest_for(one, before)
  local stated = doc:get(pointer .. "/mediaType")
  local family = types.wanted or stated and media_types.family(stated) or types.own
  if one.renamed and one.renamed == before then -- the same bytes
    point(doc, pointer, digest, one.size)
    before = digest
  elseif digest ~= before then
    point(doc, pointer, digest, one.size)
    drop_annotations(doc, pointer)
    if doc:type(pointer .. "/urls") then doc:remove(pointer .. "/urls") end
    if media_types.is_foreign(stated) then stated = nil end -- the URLs lead to other bytes
  end
  if digest ~= before or (types.wanted and media_types.family(stated) ~= family) then
    local wanted = media_types.changed_layer(stated, family, one.compression)
    if wanted ~= doc:get(pointer .. "/mediaType") then
      doc:set(pointer .. "/mediaType", core.json_quote(wanted))
    end
  end
end

local function descriptor(one, family)
  return { mediaType = media_types.layer(family, one.compression, false), digest = one.digest, size = one.size }
end

-- The descriptor of an added layer. One that was taken from another image keeps what its
-- descriptor there says beside digest and size.
local function descriptor_text(one, family, scrubs)
  if not one.descriptor_text then return json.encode(descriptor(one, family)) end
  local doc = core.json(one.descriptor_text)
  edit_layer(doc, "", one, { own = family, wanted = family })
  scrub.descriptor(doc, "", scrubs)
  return doc:text()
end

manifest.drop_annotations = drop_annotations

local function set_media_type(doc, pointer, family, is_config)
  local stated = doc:get(pointer)
  if type(stated) ~= "string" then return end
  local wanted = media_types.convert(stated, family, is_config)
  if wanted ~= stated then doc:set(pointer, core.json_quote(wanted)) end
end

--- The manifest's text, edited to describe an image. All else in it keeps its bytes.
---@param text string
---@param image strata.ImageToWrite
---@param family? "oci"|"docker"  to convert to; a manifest of this family keeps the types that it has
---@return string? text
---@return string? message
---@return string? code
function manifest.edit(text, image, family)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  local own = media_types.family(doc:get("/mediaType") or doc:get("/config/mediaType"))
  local types = { own = own, wanted = family ~= own and family or nil }
  if types.wanted then
    set_media_type(doc, "/mediaType", family)
    set_media_type(doc, "/config/mediaType", family, true)
  end
  local config_digest = image.sha256 and image.config_digest or digests.of(image.config_text, doc:get("/config/digest"))
  point(doc, "/config", config_digest, #image.config_text)
  local present, texts = {}, {}
  for _, one in ipairs(image.layers) do
    if one.origin then
      present[one.origin] = true
      texts[one.origin] = doc:raw("/layers/" .. (one.origin - 1))
    end
  end
  for i = #image.opened.layers, 1, -1 do
    if not present[i] then doc:remove("/layers/" .. (i - 1)) end
  end
  if #image.layers > 0 and doc:type("/layers") ~= "array" then doc:set("/layers", "[]") end
  for i, one in ipairs(image.layers) do
    job.tick()
    local pointer = "/layers/" .. (i - 1)
    if one.origin then
      -- A layer that was moved takes its descriptor along.
      if doc:raw(pointer) ~= texts[one.origin] then doc:set(pointer, texts[one.origin]) end
      edit_layer(doc, pointer, one, types)
    else
      doc:insert(pointer, descriptor_text(one, family or own, image.scrubs))
    end
  end
  return doc:text()
end

--- A manifest for an image that had none.
---@param image strata.ImageToWrite
---@param family "oci"|"docker"
---@return string text
function manifest.new(image, family)
  local doc = core.json(json.encode {
    schemaVersion = 2, mediaType = media_types.convert(media_types.OCI_MANIFEST, family),
    config = { mediaType = media_types.convert(media_types.OCI_CONFIG, family),
               digest = image.config_digest, size = #image.config_text },
    layers = json.array {}, annotations = image.annotations,
  })
  for _, one in ipairs(image.layers) do
    job.tick()
    doc:set("/layers/-", descriptor_text(one, family, image.scrubs))
  end
  return (doc:text())
end

return manifest
