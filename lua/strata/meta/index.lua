---@meta _

--- All images of a layout or an archive, edited and saved as one.
---@class strata.Index: userdata
---@field path string
---@field manifests strata.IndexedManifest[]  in the order of the indexes
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

--- Saves the whole, with the images that were edited: other images, indexes, attestations and artifacts stay as they
--- are, also from a directory to an archive and back. What an archive for docker cannot hold of it is told as lost.
---@param what string|file*
---@param opts? strata.SaveOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function Index:save(what, opts) end

--- Closes the images, too.
function Index:close() end
