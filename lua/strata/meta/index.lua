---@meta _

--- All images of a layout or an archive, edited and saved as one.
---@class strata.Index: userdata
---@field path string
---@field manifests strata.IndexedManifest[]  in the order of the indexes
---@field annotations table<string, string>?  of it, or of index.json; a copy; assign it to change it. nil: it has none
local Index = {}

--- What a layout or an archive lists.
---@class strata.IndexedManifest
---@field kind "image"|"attestation"|"artifact"
---@field digest string?  of the manifest
---@field tags string[]
---@field platform strata.Platform?
---@field missing boolean  a part of it is not here, or cannot be read
---@field problem string?  why it cannot be read: its blob is not what its descriptor says

--- Iterates over the images that are all here, or over those of a platform; asked again, it gives the same objects.
--- Fails when there is none: "ENOENT". The iterator throws when an image cannot be read.
---@param selector? strata.SelectorOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return strata.errcode? code
function Index:images(selector) end

--- Sets an annotation of the index (of index.json, for a layout), or of one that it leads to. Throws what is no string.
---@param name string
---@param value string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index
function Index:set_annotation(name, value, opts) end

--- Removes an annotation of the index, or of one that it leads to. Throws what is no string.
---@param name string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index or annotation
function Index:remove_annotation(name, opts) end

--- The artifacts that are about the index of a registry, or about an index of a layout, whose digest is wanted then.
---@param opts? strata.IndexReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index
function Index:referrers(opts) end

--- Saves the whole, with the images that were edited: other images, indexes, attestations and artifacts stay as they
--- are, also from a directory to an archive and back. What an archive for docker cannot hold of it is told as lost.
---@param what string|file*
---@param opts? strata.SaveOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function Index:save(what, opts) end

--- Closes the images, too.
function Index:close() end
