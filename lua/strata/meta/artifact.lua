---@meta _

--- A manifest that leads to files which are no layers: a signature, a list of contents, an attestation. It may be about
--- an image. It is not edited: another one is made.
---@class strata.Artifact: userdata
---@field type string?  the artifactType of the manifest, else the type of its config
---@field digest string  of the manifest
---@field media_type string  of the manifest
---@field path string?  where it was opened
---@field annotations table<string, string>  of the manifest
---@field subject strata.ArtifactSubject?  what it is about
---@field config strata.ArtifactFileInfo
---@field files strata.ArtifactFileInfo[]
local Artifact = {}

--- What an artifact is about.
---@class strata.ArtifactSubject
---@field media_type string?
---@field digest string
---@field size integer  bytes

--- A file of an artifact.
---@class strata.ArtifactFileInfo
---@field name string?  its annotation org.opencontainers.image.title
---@field media_type string?
---@field digest string
---@field size integer  bytes
---@field annotations table<string, string>  of its descriptor

--- An artifact that is about a manifest.
---@class strata.Referrer
---@field digest string
---@field media_type string?
---@field artifact_type string?
---@field size integer?  bytes of its manifest; nil: the registry does not say it
---@field annotations table<string, string>

--- The content of a file, compared with its digest. A number that no file has throws.
---```lua
---local note = assert(strata.artifact { type = "text/plain", files = { note = "checked" } })
---print(note:read "note", note:read(1))  --> checked  checked
---```
---@param which string|integer  its name, or its number
---@param max? integer  more bytes are "ELIMIT". Default: limits.read
---@return string? content
---@return string? message
---@return strata.errcode? code  "ENOENT": it has no such file; "ELIMIT": it is larger than `max`; "EDIGEST": it is not what its digest says; "ESTALE": the file it was made of has changed since; those of reading, of a registry
function Artifact:read(which, max) end

--- The content of the config, compared with its digest.
---```lua
---local note = assert(strata.artifact { type = "text/plain", files = { note = "checked" } })
---print(note:read_config())  --> {}
---```
---@return string? content
---@return string? message
---@return strata.errcode? code  "ELIMIT": it is larger than `limits.read`; "EDIGEST": it is not what its digest says; those of reading, of a registry
function Artifact:read_config() end

--- Saves the artifact beside what a layout or an archive has, as a new one, or to a registry. With a tag, a reference
--- gets it; without one the artifact is there by its digest. Where the registry has no list of what is about a
--- manifest, the index is extended that clients keep.
---```lua
---local note = assert(strata.artifact { type = "text/plain", files = { note = "checked" } })
---assert(note:save("notes", { format = "oci" }))
---```
---@param what string|file*  a path, a reference "docker://host/name", "-" for standard output, or an open Lua file
---@param opts? strata.ArtifactSaveOptions
---@return strata.SaveResult?
---@return string? message
---@return strata.errcode? code  "ENOENT": what it is about is not there; "EUNSUPPORTED": an archive without an index.json; "ESTALE": a file that it was made of has changed since; those of reading, of writing, of a registry
function Artifact:save(what, opts) end

--- The artifacts that are about this one, such as a signature of a list of contents.
---```lua
---local note = assert(strata.artifact { type = "text/plain", files = { note = "checked" } })
---assert(note:save "layout")
---note = assert(strata.open_artifact("layout", { digest = note.digest }))
---print(#assert(note:referrers()))  --> 0
---```
---@param opts? strata.ReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Artifact:referrers(opts) end

--- Closes the files that it was made of, or where it was opened. Every method and field throws afterwards; closing
--- twice does nothing.
---```lua
---local note = assert(strata.artifact { type = "text/plain", files = { note = "checked" } })
---note:close()
---```
function Artifact:close() end
