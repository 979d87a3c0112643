---@meta strata.assert

--- Assertions about images, for busted and whatever else uses luassert. `require "strata.assert"` registers them with
--- luassert, so that `assert.has_file(img, "etc/passwd")` works; `has` and `is` may stand in front of a name, `no` or `not`
--- negates it: `assert.has_no_env(img, "TOKEN")`. Each takes an image, or a path or a reference, which is opened for it
--- alone; what cannot be read is an error, negated or not.
---@class strata.assert
local assert = {}

--- A container sees something at a path, and it is as it should be. Symlinks are followed, but for the one that `type` or
--- `linkpath` is about. Negated: `assert.not_has_file`.
---```lua
---require "strata.assert"
---assert.has_file(img, "etc/passwd", { mode = "0644", uid = 0 })
---```
---@param img strata.Image|string
---@param path string
---@param wanted? strata.WantedFile
function assert.has_file(img, path, wanted) end

--- No layer has anything at a path, also if upper layers hide it, and no symlink leads to anything there. Not the negation
--- of has_file.
---```lua
---require "strata.assert"
---assert.has_no_file(img, "**/.bash_history")
---```
---@param img strata.Image|string
---@param which strata.Which
function assert.has_no_file(img, which) end

--- A container sees the same files in two images, with the same contents and attributes.
---```lua
---require "strata.assert"
---assert.same_files_as(img, "app.tar")
---```
---@param img strata.Image|string
---@param other strata.Image|string
---@param opts? strata.DiffOptions
function assert.same_files_as(img, other, opts) end

--- A package is installed, as dpkg or apk know it.
---```lua
---require "strata.assert"
---assert.package(img, "libc*", "2.36-9")
---```
---@param img strata.Image|string
---@param name string  or a glob of names
---@param version? string
function assert.package(img, name, version) end

--- A variable is set, and has a value.
---```lua
---require "strata.assert"
---assert.env(img, "PATH", "/bin")
---assert.has_no_env(img, "PASSWORD")
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.env(img, name, value) end

--- A label is set, and has a value.
---```lua
---require "strata.assert"
---assert.label(img, "version", "1")
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.label(img, name, value) end

--- An annotation of the manifest is set, and has a value.
---```lua
---require "strata.assert"
---img:set_annotation("org.opencontainers.image.vendor", "us")
---assert.annotation(img, "org.opencontainers.image.vendor", "us")
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.annotation(img, name, value) end

--- A key of the config has a value; nil: it is not there. Tables are compared by what they hold.
---```lua
---require "strata.assert"
---assert.config(img, "Cmd", { "/opt/app/run" })
---```
---@param img strata.Image|string
---@param key string  as a field of img.config, or a JSON Pointer
---@param value any
function assert.config(img, key, value) end

--- The image has a tag.
---```lua
---require "strata.assert"
---assert.tag(img, "app:1")
---```
---@param img strata.Image|string
---@param ref string  "app:1"
function assert.tag(img, ref) end

--- The image is for a platform.
---```lua
---require "strata.assert"
---assert.platform(img, "linux/amd64")
---```
---@param img strata.Image|string
---@param wanted string  "linux/arm64/v8"
function assert.platform(img, wanted) end

--- The user of the image is not root, by name or by number.
---```lua
---require "strata.assert"
---img.config.User = "1000"
---assert.runs_as_non_root(img)
---```
---@param img strata.Image|string
function assert.runs_as_non_root(img) end

--- The files that no container sees have fewer bytes. A failure names the worst.
---```lua
---require "strata.assert"
---assert.wastes_less_than(img, "5 MB")
---```
---@param img strata.Image|string
---@param size number|string  bytes, or "5 MB"
function assert.wastes_less_than(img, size) end

--- The layers, as they are stored, have fewer bytes. A failure names the largest.
---```lua
---require "strata.assert"
---assert.smaller_than(img, "200 MB")
---```
---@param img strata.Image|string
---@param size number|string  bytes, or "200 MB"
function assert.smaller_than(img, size) end

--- Every digest and diff_id is right.
---```lua
---require "strata.assert"
---assert.verifies(img)
---```
---@param img strata.Image|string
function assert.verifies(img) end

--- The image keeps the rules of a policy.
---```lua
---require "strata.assert"
---img.config.User = "1000"
---assert.passes(img, { setid = false, devices = false })
---```
---@param img strata.Image|string
---@param rules strata.Policy
function assert.passes(img, rules) end

--- What img:check() finds is nothing of this severity or a worse one.
---```lua
---require "strata.assert"
---assert.no_findings(img, "error")
---```
---@param img strata.Image|string
---@param severity? "error"|"warning"|"note"  default: "warning"
function assert.no_findings(img, severity) end

return assert
