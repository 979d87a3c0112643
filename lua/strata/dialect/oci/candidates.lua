--- The images of a layout, to choose from, and what an opened one knows of it.

local oci_catalog = require "strata.dialect.oci.catalog"
local oci_image = require "strata.dialect.oci.image"

local oci_candidates = {}

--- The image's part of a layout. Written by of_catalog, and not changed afterwards.
---@class strata.OciSource: strata.Source
---@field kind "oci"
---@field catalog strata.Catalog
---@field manifest strata.Manifest
local Source = {}
Source.__index = Source

--- What each blob is in the image.
---@return table<string, string>  by name
function Source:roles()
  local store, found = self.store, { ["oci-layout"] = "layout" }
  local document = self.manifest.document
  found[store:blob_name(self.manifest.digest)] = "manifest"
  found[store:blob_name(document.config.digest)] = "config"
  for i, descriptor in ipairs(oci_image.layers(document)) do
    local name = store:blob_name(descriptor.digest)
    found[name] = found[name] and found[name] .. ", " .. i or "layer " .. i
  end
  for digest in pairs(self.catalog.indexes) do
    if digest ~= "" then found[store:blob_name(digest)] = "index" end
  end
  found[store.root] = self.catalog.single and "manifest" or "index"
  return found
end

--- The candidates that a catalog has.
---@param catalog strata.Catalog
---@return strata.Candidates
function oci_candidates.of_catalog(catalog)
  local list = { catalog = catalog }
  for _, manifest in ipairs(catalog.manifests) do
    list[#list + 1] = {
      kind = manifest.kind, tags = manifest.tags, digest = manifest.digest,
      missing = not oci_image.is_complete(catalog, manifest), problem = manifest.problem,
      id = function() return oci_image.id(catalog, manifest) end,
      platform = function() return oci_image.platform(catalog, manifest) end,
      read = function()
        if manifest.problem then return nil, manifest.problem[1], manifest.problem[2] end
        local model, message, code = oci_image.read(catalog, manifest)
        if not model then return nil, message, code end
        model.source = setmetatable({ kind = "oci", store = catalog.store, catalog = catalog, manifest = manifest },
          Source)
        return model
      end,
    }
  end
  return list
end

--- The images of a layout.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param opts {limits: strata.Limits}
---@return strata.Candidate[]?
---@return string? message
---@return string? code
function oci_candidates.candidates(store, opts)
  local catalog, message, code = oci_catalog.of(store, opts.limits)
  if not catalog then return nil, message, code end
  return oci_candidates.of_catalog(catalog)
end

return oci_candidates
