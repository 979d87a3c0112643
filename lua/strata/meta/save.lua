---@meta _

---@class strata.Image
local Image = {}

--- Writes the image, in the way that it was stored or in another format. The output appears whole or not at all; it
--- may be what the image came from.
---
--- Without a `format` an image is written as it was stored, and an untouched one is the same file byte for byte; an
--- image of an archive or a layout goes back into it, and its other images, indexes, attestations and artifacts stay.
--- With a `format` it is written alone. doc/formats.md tells what each format keeps, doc/registry.md what goes over the
--- wire.
---
--- Edited layers wait in unnamed temporary files beside the target, or in `$TMPDIR` when a digest is asked for before
--- the save. Several saves into one layout directory at once, of one process or of many, leave the images of all of
--- them; of two that have the same name, that of the one that ends last. A save that fails leaves `index.json` as it
--- was, and perhaps blobs that nothing names.
---```lua
---config:set_env("TZ", "UTC")
---local saved = assert(img:save("app-new.tar", { format = "oci-archive", compression = "gzip", level = 9 }))
---print(saved.format, saved.layers[1].action, saved.id == img.id)  --> oci-archive  recompressed  true
---```
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code  "EISDIR": a directory wants `format = "oci"`; "EEXIST": something other than a layout is there; "ESTALE": the layout has had the same image changed or removed meanwhile, or the tag is not what `expect` says; "EINVAL": attestations would be left behind with `attestations = "refuse"`; "EUNSUPPORTED": the format cannot hold the image; those of reading, of writing, of a registry
function Image:save(what, opts) end

--- What img:save with these options would write, before it does. Digests and sizes that only compressing would tell are
--- nil.
---```lua
---assert(img:remove "usr/share/doc")
---print(assert(img:plan { format = "oci" }).layers[2].action)  --> rewritten
---```
---@param opts? strata.PlanOptions
---@return strata.SaveResult?
---@return string? message
---@return strata.errcode? code  as img:save
function Image:plan(opts) end

--- Writes the file system that a container sees as one tar, sorted, hardlinks behind their files.
---```lua
---assert(img:export("rootfs.tar.gz", { compression = "gzip" }))
---assert(img:export("-"))  -- lua app.lua | tar -t
---```
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.ExportOptions
---@return strata.ExportResult?
---@return string? message
---@return strata.errcode? code  those of reading, of writing, of a registry
function Image:export(what, opts) end

--- Applies all layers to a directory, which is made when it is not there. Every digest is checked on the way; after a
--- failure nothing is left of it.
---```lua
---local result = assert(img:extract("rootfs", { unprivileged = true }))
---print(result.layers, io.open("rootfs/etc/app.conf"):read "*a")  --> 3  mode = production
---```
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.ExtractOptions
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code  "ENOTEMPTY": there is something in the directory; "EPERM": an owner or a device wants root, or `unprivileged = true`; "EUNSUPPORTED": a layer is compressed in a way that is not read; those of reading, of writing, of a registry
function Image:extract(dir, opts) end

--- Frees what the image holds. Every method and field throws afterwards; closing twice does nothing.
---```lua
---img:close()
---print(pcall(function() return img.id end))  --> false  …
---```
function Image:close() end

--- What a save has written, or would write.
---@class strata.SaveResult
---@field path string?  nil for a stream
---@field format string  "docker", "docker-legacy", "oci", "oci-archive", "dir", "docker-v1", "registry"
---@field digest string?  of the manifest, when the format has one
---@field id string?  of the image; nil for an index without an image that is all here
---@field size integer?  of the output, in bytes; for a registry: of the blobs that were sent
---@field kept integer?  bytes of edited, squashed and flattened layers that are those of the old ones; see strata.SavedLayer
---@field uploaded integer?  of a registry: blobs that were sent
---@field mounted integer?  blobs that another repository of the registry had
---@field skipped integer?  blobs that the repository had; nil for an index that has not changed, which is not looked into
---@field requests integer?  that the call has made, to all registries; of a plan: those of the planning
---@field warnings string[]?  that the registry has sent
---@field layers strata.SavedLayer[]
---@field images strata.SaveResult[]?  when there are several: the same for each
---@field lost string[]?  of strata.jobs only: what the format cannot hold

--- What became of a layer.
---@class strata.SavedLayer
---@field action "copied"|"recompressed"|"rewritten"|"added"
---@field moved ("sent"|"mounted"|"skipped"|"left")?  to a registry: sent, mounted from another repository, or there already; of a sparse layout: left in its registry
---@field compression string
---@field old_digest string?
---@field old_diff_id string?
---@field old_size integer?  bytes as stored
---@field digest string?  as stored; nil when it is not known
---@field diff_id string
---@field size integer?  bytes as stored
---@field kept integer?  of a layer that was edited, or made of several: bytes that are those of old ones, compressed as they were; nil: none
