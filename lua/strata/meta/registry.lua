---@meta _

--- A client of registries with settings of its own: `strata.registry{...}`. All that takes a reference takes it as the
--- option `registry`. It belongs to the process that made it.
---@class strata.Registry: userdata
local Registry = {}

--- The digest that a reference has now: one request, which registries do not count as a pull.
---```lua
---local registry = assert(strata.registry())
---print(registry:digest "docker://registry.example/team/app:1")  --> sha256:…
---```
---@param ref string  "docker://host/team/app:1.4"
---@return string? digest
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such image; "EFORMAT": no registry speaks there
function Registry:digest(ref) end

--- The manifest or the index that a reference leads to, byte for byte.
---```lua
---local registry = assert(strata.registry())
---print(assert(registry:manifest "docker://registry.example/team/app:1").media_type)  --> application/vnd.…
---```
---@param ref string
---@return {text: string, digest: string, media_type: string?}?
---@return string? message
---@return strata.errcode? code  those of a registry
function Registry:manifest(ref) end

--- The bytes of a small blob, such as a config or a signature; they are compared with its digest.
---```lua
---local registry = assert(strata.registry())
---local img = assert(strata.open("docker://registry.example/team/app:1", { registry = registry }))
---print(assert(registry:blob("docker://registry.example/team/app@" .. img.id)):sub(1, 1))  --> {
---```
---@param ref string  with the digest of the blob
---@param size? integer  of its descriptor; a longer one is refused. Default: limits.json.max_bytes
---@return string?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such blob; "EDIGEST": it is longer than that, or another one; those of a registry
function Registry:blob(ref, size) end

--- The tags of a repository, in the order of their bytes.
---```lua
---local registry = assert(strata.registry())
---print(table.concat(assert(registry:tags "docker://registry.example/team/app"), " "))  --> 1
---```
---@param ref string  "docker://host/team/app"
---@return string[]?
---@return string? message
---@return strata.errcode? code  those of a registry
function Registry:tags(ref) end

--- Gives what a reference leads to another tag in the same repository: two requests, and no blob moves.
---```lua
---local registry = assert(strata.registry())
---assert(registry:tag("docker://registry.example/team/app:1", "latest"))
---```
---@param ref string
---@param tag string
---@return string? digest
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such image; those of a registry
function Registry:tag(ref, tag) end

--- The manifests that are about what a reference leads to: signatures, lists of contents, attestations.
---```lua
---local registry = assert(strata.registry())
---print(#assert(registry:referrers("docker://registry.example/team/app:1", "application/spdx+json")))  --> 0
---```
---@param ref string
---@param artifact_type? string  only those of this type
---@return table[]? descriptors  as the registry has them
---@return string? message
---@return strata.errcode? code  those of a registry
function Registry:referrers(ref, artifact_type) end

--- Deletes a manifest by its digest, with all of its tags, or a tag where the registry can do that.
---```lua
---local registry = assert(strata.registry())
---local digest = assert(registry:digest "docker://registry.example/team/app:1")
---assert(registry:delete("docker://registry.example/team/app@" .. digest))
---```
---@param ref string  with a tag or a digest
---@return boolean? ok
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": the registry does not delete such
function Registry:delete(ref) end

--- What a registry says about how much it may be asked.
---@class strata.RateLimit
---@field limit integer?  requests in a window
---@field remaining integer?
---@field window integer?  seconds
---@field source string?  whom it counts for, such as an address

--- How much the registry says that it may be asked, such as Docker Hub does: one request, which does not count.
---```lua
---local registry = assert(strata.registry())
---local rate = registry:rate "docker://registry.example/team/app:1"
---if rate then print(rate.remaining, rate.limit) end
---```
---@param ref string
---@return strata.RateLimit? rate  nil alone: it says nothing about that
---@return string? message
---@return strata.errcode? code  those of a registry
function Registry:rate(ref) end

--- Ends its requests and connections.
---```lua
---local registry = assert(strata.registry())
---registry:close()
---```
function Registry:close() end

return Registry
