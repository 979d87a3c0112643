---@meta _

--- All images of a layout, an archive or an index of a registry, edited and saved as one.
---@class strata.Index: userdata
---@field path string
---@field manifests strata.IndexedManifest[]  in the order of the indexes, and as edits have left them
---@field edited boolean  an index or an image that was opened by it is
---@field annotations table<string, string>?  of it, or of index.json; a copy; assign it to change it. nil: it has none
local Index = {}

--- What a layout or an archive lists.
---@class strata.IndexedManifest
---@field kind "image"|"attestation"|"artifact"|"index"  an index is told of only where it is chosen or removed
---@field digest string?  of the manifest; nil: only a save tells it
---@field tags string[]
---@field platform strata.Platform?
---@field index string?  the digest of the index that it is in; nil for index.json, and for the only index of a registry
---@field missing boolean  a part of it is not here, or cannot be read
---@field problem string?  why it cannot be read: its blob is not what its descriptor says

--- Iterates over the images that are all here, or over those of a platform; asked again, it gives the same objects.
--- Those that were added come last.
--- Fails when there is none: "ENOENT". The iterator throws when an image cannot be read.
---```lua
---for one in assert(index:images { platform = "linux/arm64" }) do print(one) end  --> strata.Image(app:1, linux/arm64, …)
---```
---@param selector? strata.SelectorOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return strata.errcode? code  "ENOENT": no image is all here, or none is for the platform; those of reading, of a registry
function Index:images(selector) end

--- Sets an annotation of the index (of index.json, for a layout), or of one that it leads to. Anything but a string
--- throws.
---```lua
---assert(index:set_annotation("com.example.team", "shop"))
---print(index.annotations["com.example.team"])  --> shop
---```
---@param name string
---@param value string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index
function Index:set_annotation(name, value, opts) end

--- Removes an annotation of the index, or of one that it leads to. Anything but a string throws.
---```lua
---index.annotations = { ["com.example.team"] = "shop" }
---assert(index:remove_annotation "com.example.team")
---```
---@param name string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index or annotation
function Index:remove_annotation(name, opts) end

--- The artifacts that are about the index of a registry, or about an index of a layout, whose digest is wanted then.
---```lua
---for one in assert(index:images()) do
---  if one.index then print(#assert(index:referrers { digest = one.index.digest })) end  --> 0…
---end
---```
---@param opts? strata.IndexReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such index; those of reading, of a registry
function Index:referrers(opts) end

--- Saves the whole, with edits of the indexes and of images that were opened by it: other images, indexes, attestations
--- and artifacts stay as they are, also from a directory to an archive and back. What an archive for docker cannot hold
--- of it is told as lost.
---```lua
---for one in assert(index:images()) do one.config:set_label("stage", "production") end
---assert(index:save("layout"))
---```
---@param what string|file*
---@param opts? strata.SaveOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code  as img:save
function Index:save(what, opts) end

--- Tells what index:save with these options would write, before it does: the images that change or are added; with
--- `to`, the bytes that would be sent to a registry. Digests and sizes that only compressing would tell are nil.
---```lua
---for one in assert(index:images { platform = "linux/arm64" }) do one.config.User = "1000" end
---print(index:plan())  --> oci, not written yet…
---```
---@param opts? strata.PlanOptions
---@return strata.SaveResult?
---@return string? message
---@return strata.errcode? code  as img:save
function Index:plan(opts) end

--- Adds an image to an index, as it is once the index is saved: it has to stay open until then. In an index there is
--- one image for each platform; in index.json itself the image gets an entry for each of its tags. Attestations and
--- artifacts that the place it came from has about it go along, unless it is edited.
---```lua
---assert(index:add(img, { replace = true }))
---assert(index:save("layout"))
---```
---@param img strata.Image
---@param opts? strata.IndexAddOptions
---@return strata.Index? self
---@return strata.IndexedManifest[]|string|nil replaced  manifests that made way, nil for none; or the message
---@return strata.errcode? code  "EEXIST": its platform or a name is taken; "EAMBIGUOUS": there are several indexes; "ENOENT": there is no such index; "EUNSUPPORTED": an archive without an index.json
function Index:add(img, opts) end

--- Removes images, attestations, artifacts or whole indexes from the indexes that lead to them. Attestations about them
--- in the same index go as well, and so does an index that is left empty. Whole or not at all: when something is named
--- that is not there, nothing is removed.
---
--- A name means the entries that have it: an image with another name as well stays under that. In a registry the last
--- manifest of an index cannot be removed.
---```lua
---local _, removed = assert(index:remove { platform = "linux/arm64" })
---print(removed[1].kind)  --> image
---```
---@param which strata.WhichManifests
---@param opts? strata.IndexRemoveOptions
---@return strata.Index? self
---@return strata.IndexedManifest[]|string|nil removed  or the message
---@return strata.errcode? code  "ENOENT": something matches nothing; "EINVAL": nothing would be left of an index in a registry, or an attestation is there with `attestations = "refuse"`; "EUNSUPPORTED": an archive without an index.json
function Index:remove(which, opts) end

--- Takes a name away. The image or the index that index.json gives it to stays, under its other names or without one.
---```lua
---assert(index:untag "app:1")
---```
---@param ref string
---@return strata.Index? self
---@return string? message
---@return strata.errcode? code  "ENOENT": nothing has the name; "EUNSUPPORTED": an archive without an index.json
function Index:untag(ref) end

--- Closes the images, too, but not those that were added.
---```lua
---index:close()
---```
function Index:close() end
