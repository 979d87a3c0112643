--- What a format cannot hold, in words for people.

local core = require "strata.core"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local reference = require "strata.document.reference"
local scrub = require "strata.document.scrub"

local function any(values)
  return next(values or {}) ~= nil
end

-- Foreign layers that a save has to make ordinary ones.
local function note_foreign(list, images)
  for _, image in ipairs(images) do
    for _, one in ipairs(image.layers) do
      if media_types.is_foreign(one.media_type) and one.action ~= "copied" then
        list[#list + 1] = ("%s: it was a foreign layer and is not any more"):format(one.label)
      end
    end
  end
end

-- What is lost of the documents around the images that are written without them, each once. Of an image that was chosen
-- for itself these are what is about it: nobody wants the others.
local function note_surroundings(list, images, opts, into, alone)
  local written, seen = {}, {}
  for _, image in ipairs(images) do
    local manifest = image.source and image.source.manifest
    if manifest then written[manifest.digest] = true end
  end
  local function note(line)
    if not seen[line] then list[#list + 1] = line end
    seen[line] = true
  end
  local function is_about(known)
    local subject = oci_catalog.subject(known.annotations, known.kind ~= "image" and known.document)
    return subject ~= nil and written[subject]
  end
  local function note_index(catalog, digest)
    local index, others = catalog.indexes[digest], 0
    for _, descriptor in ipairs(index.document.manifests) do
      local known = type(descriptor) == "table" and catalog.by_digest[descriptor.digest]
      local is_asked = known and known.kind == "attestation" and opts.attestations == "drop"
      local is_ours = known and is_about(known)
      is_asked = is_asked or into and is_ours or alone and not is_ours -- into: the index that is made has it
      if not is_asked and not written[type(descriptor) == "table" and descriptor.digest] then others = others + 1 end
    end
    local name = digest ~= "" and digest or core.sha256(index.text)
    if any(index.annotations) then note("the annotations of the index " .. name) end
    local which = others == 1 and "another manifest" or ("the other %d manifests"):format(others)
    if others > 0 then note(("%s of the index %s"):format(which, name)) end
  end
  for _, image in ipairs(images) do
    local catalog = image.source and image.source.catalog
    for _, digest in ipairs(image.source and image.source.manifest and image.source.manifest.indexes or {}) do
      if digest ~= "" or catalog.store.flat then note_index(catalog, digest) end
    end
    local root = catalog and not catalog.store.flat and catalog.indexes[""]
    if root and any(root.annotations) then note("the annotations of index.json") end
  end
end

-- Annotations that were set, and have no place where the images go.
local function note_annotations(list, saving)
  local legacy = saving.format == "docker-legacy"
  for _, image in ipairs(saving.images) do
    local source = image.source or {}
    local stays = saving.native or saving.whole and saving.catalog
    local is_listed = source.manifest ~= nil and not source.catalog.single
    local has_manifest = not legacy and (not saving.native or image.manifest_text ~= nil)
    if scrub.has_set(image.scrubs) and (legacy or stays and not is_listed) then
      list[#list + 1] = "the annotations of the descriptor: no index leads to the image"
    end
    if image.annotations and not has_manifest then
      list[#list + 1] = "the annotations of the image: it has no manifest here, as it has in the formats oci and docker"
    end
    for _, one in ipairs(not has_manifest and image.layers or {}) do
      if one.annotated then list[#list + 1] = one.label .. ": its annotations: the image has no manifest here" end
    end
  end
end

local KINDS = { image = "the image %s, not all of which is here", attestation = "the attestation %s",
                artifact = "the artifact %s" }

-- What a store has beside the images of it that are written, a line each.
local function left_behind(listing, images, opts)
  local list, written, catalog = {}, {}, listing.catalog
  for _, image in ipairs(images) do
    if image.source.manifest then written[image.source.manifest.digest] = true end
  end
  if not catalog and not listing.store.dir and listing.store:has("index.json") then
    list[1] = "index.json, and what only that leads to"
  end
  if not catalog then return list end
  local root = catalog.indexes[""]
  local is_layout = root and not catalog.store.flat
  for _, digest in ipairs(catalog.nested) do list[#list + 1] = "the index " .. digest end
  if root and not is_layout then list[#list + 1] = "the index " .. core.sha256(root.text) end
  local is_annotated = root and (any(root.annotations) or (listing.index_changes or {})[""])
  if is_layout and is_annotated then list[#list + 1] = "the annotations of index.json" end
  for _, one in ipairs(catalog.manifests) do
    if not written[one.digest] and not (one.kind == "attestation" and opts.attestations == "drop") then
      list[#list + 1] = KINDS[one.kind]:format(one.digest)
      written[one.digest] = true
    end
  end
  local strangers = {}
  for digest in pairs(catalog.strangers) do strangers[#strangers + 1] = "the blob " .. digest end
  for _, line in ipairs(json.sort(strangers)) do list[#list + 1] = line end
  return list
end

--- What a format cannot hold of the images, a line each.
---@param saving strata.Save
---@return string[]
return function(saving)
  local list, images, format = {}, saving.images, saving.format
  note_foreign(list, images)
  note_annotations(list, saving)
  if saving.native or saving.whole and saving.catalog then return list end
  if saving.whole then
    for _, line in ipairs(left_behind(saving.whole, images, saving.opts)) do list[#list + 1] = line end
  else
    note_surroundings(list, images, saving.opts, saving.into, saving.requests[1].alone)
  end
  for _, image in ipairs(images) do
    if image.source and image.source.misnaming then list[#list + 1] = image.source:misnaming() end
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
