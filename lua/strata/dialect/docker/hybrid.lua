--- Archives that have both a manifest.json and an index.json: what Docker 25 and
-- later, containerd, buildkit and regctl write.
--
-- Both have to list the same images, or readers of manifest.json and readers of
-- index.json would see different ones: EFORMAT.

local digests = require "strata.util.digests"
local docker = require "strata.dialect.docker.read"
local oci_candidates = require "strata.dialect.oci.candidates"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_image = require "strata.dialect.oci.image"
local reference = require "strata.document.reference"

local hybrid = {}

local function disagree(store, fmt, ...)
  return nil, ("%s: manifest.json and index.json disagree: %s; prefer = \"docker\" or \"oci\" takes one of them")
    :format(store.path, fmt:format(...)), "EFORMAT"
end

-- The manifest of the same config and as many layers.
local function find_manifest(catalog, id, count)
  local other
  for _, manifest in ipairs(catalog.manifests) do
    if manifest.kind == "image" and oci_image.id(catalog, manifest) == id then
      if #oci_image.layers(manifest.document) == count then return manifest end
      other = manifest
    end
  end
  return nil, other
end

-- Whether all digests in the names of layers are those of the manifest.
local function same_layers(names, manifest)
  for i, name in ipairs(names) do
    local stated = digests.in_path(name)
    local descriptor = oci_image.layers(manifest.document)[i]
    if stated and type(descriptor) == "table" and descriptor.digest ~= stated then return false end
  end
  return true
end

-- Fails when a tag names one image in manifest.json and another one in index.json.
local function check_tags(store, catalog, candidate, id)
  for _, manifest in ipairs(catalog.manifests) do
    local config = oci_image.id(catalog, manifest)
    if manifest.kind == "image" and config and config ~= id and not catalog:index_of(manifest.digest) then
      for _, tag in ipairs(manifest.tags) do
        if reference.find(candidate.tags, tag) then
          return disagree(store, "%s is %s in one and %s in the other", tag, id, config)
        end
      end
    end
  end
  return true
end

-- Makes the checks that an OCI reader would make, so that both lists are held to the same rules.
local function check_blobs(store, manifest, id, model)
  local function check(what, descriptor, digest, size)
    local stated, found = oci_descriptor.check(descriptor, what)
    if not stated then return disagree(store, "%s: %s", manifest.digest, found) end
    if not oci_descriptor.is_verifiable(stated) then return oci_descriptor.unverifiable(store, what, stated) end
    if stated == digest and found ~= size then
      return disagree(store, "%s: %s has %d bytes in one and %d in the other", manifest.digest, what, size, found)
    end
    return true
  end
  local ok, message, code = check("config", manifest.document.config, id, #model.config_text)
  for i, layer in ipairs(model.layers) do
    if not ok then break end
    ok, message, code = check(("layer %d"):format(i), oci_image.layers(manifest.document)[i], layer.digest,
      layer.blob.size)
  end
  return ok, message, code
end

local function text_of(value)
  return type(value) == "string" and value or nil
end

-- Ties an image of manifest.json to its manifest.
local function join(store, catalog, candidate)
  local id = candidate.id()
  if not id then return true end -- reading it says why
  local names = candidate.layer_names()
  local manifest, other = find_manifest(catalog, id, #names)
  if other and not manifest then
    return disagree(store, "%s has %d layers in one and %d in the other", id, #names,
      #oci_image.layers(other.document))
  end
  if manifest and not same_layers(names, manifest) then
    return disagree(store, "%s has other layers, or another order of them", id)
  end
  local ok, message, code = check_tags(store, catalog, candidate, id)
  if not ok then return nil, message, code end
  if not manifest then return true end
  candidate.digest = manifest.digest
  local read = candidate.read
  candidate.read = function()
    local model, why, how = read()
    if not model then return nil, why, how end
    local same
    same, why, how = check_blobs(store, manifest, id, model)
    if not same then return nil, why, how end
    model.manifest = oci_image.manifest(manifest)
    model.source.catalog, model.source.manifest = catalog, manifest
    model.index = catalog:index_of(manifest.digest)
    model.descriptor_text = catalog:descriptor_of(manifest)
    for i, layer in ipairs(model.layers) do
      local descriptor = oci_image.layers(manifest.document)[i]
      layer.digest = layer.digest or text_of(descriptor.digest)
      layer.media_type = layer.media_type or text_of(descriptor.mediaType)
    end
    return model
  end
  return manifest
end

local function share_tag(tags, others)
  for _, tag in ipairs(others) do
    if reference.find(tags, tag) then return true end
  end
  return false
end

-- An entry of index.json that cannot be read may be an image of manifest.json that has no manifest, or one that has a
-- name of the entry: readers of index.json refuse it, and so it is refused here.
local function take_problem(catalog, candidate, has_manifest, taken)
  for _, broken in ipairs(catalog.manifests) do
    local problem = broken.kind == "image" and broken.problem
    if problem and (not has_manifest or share_tag(candidate.tags, broken.tags)) then
      taken[broken], candidate.problem, candidate.missing = true, problem, true
      candidate.read = function() return nil, problem[1], problem[2] end
      return
    end
  end
end

-- The images of index.json. An image that manifest.json lists, too, is read as the image of
-- both, so that an edit of it changes both lists. Disagreements of the lists are ignored.
local function prefer_index(store, opts)
  local catalog, message, code = oci_catalog.of(store, opts.limits)
  if not catalog then return nil, message, code end
  local both = {}
  for _, candidate in ipairs(docker.candidates(store, opts) or {}) do
    local manifest = join(store, catalog, candidate)
    if manifest and manifest ~= true then both[manifest.digest] = candidate end
  end
  local list = oci_candidates.of_catalog(catalog)
  for _, candidate in ipairs(list) do
    local joined, read = both[candidate.digest], candidate.read
    if joined then
      candidate.read = function()
        local model = joined.read()
        if model then return model end
        return read()
      end
    end
  end
  return list
end

--- The images of an archive with both lists.
---@param store strata.ArchiveStore
---@param opts {limits: strata.Limits, prefer?: "docker"|"oci"}
---@return strata.Candidate[]?
---@return string? message
---@return string? code
function hybrid.candidates(store, opts)
  if opts.prefer == "oci" then return prefer_index(store, opts) end
  local list, message, code = docker.candidates(store, opts)
  if not list or opts.prefer == "docker" then return list, message, code end
  local catalog
  catalog, message, code = oci_catalog.of(store, opts.limits)
  if not catalog then return nil, message, code end
  local taken = {}
  for _, candidate in ipairs(list) do
    local manifest
    manifest, message, code = join(store, catalog, candidate)
    if not manifest then return nil, message, code end
    taken[manifest] = true
    take_problem(catalog, candidate, manifest ~= true, taken)
  end
  for i, candidate in ipairs(oci_candidates.of_catalog(catalog)) do
    if not taken[catalog.manifests[i]] then list[#list + 1] = candidate end
  end
  -- Docker 25.0 leaves index.json empty beside an image without a name.
  if #catalog.manifests > 0 then list.catalog = catalog end
  return list
end

return hybrid
