---@meta _

--- An image: ordered layers and a config, opened from an archive or made anew. Everything happens in memory; the file
--- that it came from is only read, and nothing is written until save. An edit that fails leaves the image as it was.
---@class strata.Image: userdata
---@field id string  "sha256:" and the hash of the config's bytes
---@field digest string?  of its manifest, which a registry knows it by; nil when it came without one
---@field tags string[]  a copy; assign it to change it
---@field platform strata.Platform
---@field config strata.Config
---@field layers strata.Layers  the base first
---@field path string?  the file that it came from
---@field repo_digests string[]  "host/team/app@sha256:...", as docker inspect shows it; of an image of a registry
---@field edited boolean  save would write something else than what was opened
---@field size integer  bytes of all layers as they are stored; pending edits are carried out first
---@field index strata.IndexFacts?  the index that it belongs to
---@field annotations table<string, string>  of the manifest; a copy; assign it to change it
---@field descriptor_annotations table<string, string>  of the descriptor that leads to the manifest, but no tags; a copy
local Image = {}

--- The layers: an array, and called an iterator: `for i, layer in img:layers() do`.
---@class strata.Layers
---@field [integer] strata.Layer
---@operator call: fun(): integer?, strata.Layer?

--- The index of a layout that an image belongs to.
---@class strata.IndexFacts
---@field digest string
---@field media_type string?
---@field size integer  bytes of the index itself
---@field annotations table<string, string>
---@field count integer  of the manifests that it lists

--- The history, oldest first: rows beside the layers that they made.
---```lua
---for _, step in ipairs(img:history()) do
---  print(step.position, step.layer and step.layer.position, step.created_by)  --> 1  1  FROM debian…
---end
---```
---@return strata.HistoryRow[]
function Image:history() end

--- A plain table with the names of `docker image inspect`.
---```lua
---print(img:inspect().Config.Cmd[1])  --> /opt/app/run
---```
---@return table
function Image:inspect() end

--- The file system that a container sees, without unpacking.
---
--- It is that of the layers which the image has now, and follows later edits of them; when layers come or go, ask anew.
---```lua
---local below = assert(img:rootfs { upto = 2 })  -- before the last layer
---print(below:exists "var/cache/app.deb", root:exists "var/cache/app.deb")  --> true  false
---```
---@param opts? strata.RootfsOptions
---@return strata.Rootfs?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": a layer is compressed in a way that is not read; "ENOENT": a blob is not there; those of reading, of a registry
function Image:rootfs(opts) end

--- The merged tree of all layers, drawn for people. Throws when a layer cannot be read.
---```lua
---print(img:tree { path = "opt", depth = 1, layers = true })
-----> opt/
-----> └── app/  [2]
----->     └── … 3 more
---```
---@param opts? strata.ImageTreeOptions
---@return string
function Image:tree(opts) end

--- The bytes that no container sees: of files that upper layers replace, delete or hide, or repeat for other metadata.
--- With the files, why nobody sees them, and the score that dive gives.
---
--- A file that no container sees is compared with what has come to its path: `why` is "changed", "metadata" (only
--- another mode, owner or time), "repeated", "deleted" or "hidden", in the words of root:history, and `by` is the layer
--- that did it. With `why = false` no contents are read. The score is dive's to the last digit, so that thresholds can
--- be carried over; a directory that a layer deletes, and an opaque marker, cost nothing there, but count in `total`.
---```lua
---for _, file in ipairs(assert(img:waste()).paths) do
---  print(file.path, file.bytes, file.why, file.layer, file.by)  --> var/cache/app.deb  3000  deleted  2  3…
---end
---```
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Image:waste(opts) end

--- The entries of all layers, the base first, each with its layer. The iterator throws when a layer cannot be read.
---```lua
---local count = 0
---for file in img:entries() do
---  if file.type == "file" and file.setuid then count = count + 1 end
---end
---print(count)  --> 0
---```
---@return fun(): strata.Entry?, strata.Layer?
function Image:entries() end

--- The content of a file as a container sees it, as root:read does.
---```lua
---print((img:read "etc/app.conf"))  --> mode = production
---```
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string? content
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "EISDIR": it is a directory; "EINVAL": it is no file; "ELOOP": symlinks without an end; "ELIMIT": it is larger than `limits.read`; those of reading, of a registry
function Image:read(path, max) end

--- The members of the archive with their hashes; empty for an image that came from nowhere.
---```lua
---for _, file in ipairs(assert(img:files())) do
---  if file.role == "config" then print(file.digest == img.id) end  --> true
---end
---```
---@return strata.ListedFile[]?
---@return string? message
---@return strata.errcode? code  those of reading
function Image:files() end

--- Reads everything and compares every digest and diff_id; the message names the first that differs ("EDIGEST").
---```lua
---assert(img:verify())
---```
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return strata.errcode? code  "EDIGEST": the first blob that is not what its digest says; "ENOENT": a blob is not there; those of reading, of a registry
function Image:verify(opts) end

--- What readers differ about in this image, and what some of them refuse.
---
--- doc/findings.md lists the findings. `severity` is the least that is told: what ordinary images have, such as
--- absolute names, short histories and devices, is told with "note" only. Layers are looked at by their bytes, and
--- where strata.archive is built by a second reader, libarchive.
---```lua
---for _, finding in ipairs(assert(img:check { severity = "note" })) do
---  print(finding.severity, finding.code, finding.path)
---end
---```
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code  "ENOENT": a blob is not there; those of reading, of a registry
function Image:check(opts) end

--- The artifacts that are about the image as it was opened: signatures, lists of contents. They are listed by the
--- registry, or by what the layout has; attestations of buildkit are not among them, which index.manifests has.
---```lua
---local app = assert(strata.open("layout", { platform = "linux/amd64" }))
---assert(assert(strata.artifact { type = "text/plain", files = { note = "ok" }, subject = app }):save "layout")
---print(assert(app:referrers { type = "text/plain" })[1].artifact_type)  --> text/plain
---```
---@param opts? strata.ReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Image:referrers(opts) end

--- A member of an archive, or a file of a layout.
---@class strata.ListedFile
---@field name string
---@field type string
---@field size integer  bytes
---@field linkpath string?
---@field digest string?  of a file
---@field role string?  "config", "manifest", "layer 3", "index", "layout", "repositories"
