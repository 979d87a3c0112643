---@meta strata.assert

--- Assertions about images, for busted and whatever else uses luassert. `require "strata.assert"` registers them with
--- luassert, so that `assert.has_file(img, "etc/passwd")` works; `has` and `is` may stand in front of a name, `no` or `not`
--- negates it: `assert.has_no_env(img, "TOKEN")`. Each takes an image, or a path or a reference, which is opened for it
--- alone; what cannot be read is an error, negated or not.
---```lua
---local assert = require "luassert"              -- busted's `assert` is the same
---require "strata.assert"
---assert.has_file(img, "etc/passwd", { uid = 0, mode = "0644" })
---assert.has_no_label(img, "maintainer")
---```
---@class strata.assert
local assert = {}

--- A container sees something at a path, and it is as it should be. Symlinks are followed, but for the one that `type` or
--- `linkpath` is about. Negated: `assert.not_has_file`.
---```lua
---local assert = require "strata.assert"
---assert.has_file(img, "opt/app/run", { mode = "0755", matches = "exec" })
---print(pcall(assert.has_file, img, "etc/app.cnf"))
-----> false app:1 has no file 'etc/app.cnf'
----->   'etc' has 'app.conf', 'os-release', 'passwd'; did you mean 'app.conf'?
---```
---@param img strata.Image|string
---@param path string
---@param wanted? strata.WantedFile
function assert.has_file(img, path, wanted) end

--- No layer has anything at a path, also if upper layers hide it, and no symlink leads to anything there. Not the negation
--- of has_file.
---```lua
---local assert = require "strata.assert"
---assert.has_no_file(img, { "root", "**/.bash_history" })
---print(pcall(assert.has_no_file, img, "var/cache/app.deb"))
-----> false app:1 has what should be in no layer:
----->   layer 2: file 'var/cache/app.deb'
---```
---@param img strata.Image|string
---@param which strata.Which
function assert.has_no_file(img, which) end

--- A container sees the same files in two images, with the same contents and attributes.
---```lua
---local assert = require "strata.assert"
---print(pcall(assert.same_files_as, img, "app-2.tar"))
-----> false app:1 has other files than app:1 (+ added, - removed, ~ changed):
----->   ~ etc/app.conf: content …
---```
---@param img strata.Image|string
---@param other strata.Image|string
---@param opts? strata.DiffOptions
function assert.same_files_as(img, other, opts) end

--- A package is installed, as dpkg or apk know it.
---```lua
---local assert = require "luassert"
---require "strata.assert"
---assert.package(img, "libc6", "2.36-9")
---assert.has_no_package(img, "telnet*")
---```
---@param img strata.Image|string
---@param name string  or a glob of names
---@param version? string
function assert.package(img, name, version) end

--- A variable is set, and has a value.
---```lua
---local assert = require "luassert"
---require "strata.assert"
---assert.env(img, "PATH", "/bin")
---print(pcall(assert.has_no_env, img, "TOKEN"))  --> false app:1: the variable 'TOKEN' is 's3cret'
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.env(img, name, value) end

--- A label is set, and has a value.
---```lua
---local assert = require "strata.assert"
---assert.label(img, "version", "1")
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.label(img, name, value) end

--- An annotation of the manifest is set, and has a value.
---```lua
---local assert = require "luassert"
---require "strata.assert"
---assert.has_no_annotation(img, "org.opencontainers.image.source")
---```
---@param img strata.Image|string
---@param name string
---@param value? string
function assert.annotation(img, name, value) end

--- A key of the config has a value; nil: it is not there. Tables are compared by what they hold.
---```lua
---local assert = require "strata.assert"
---assert.config(img, "Cmd", { "/opt/app/run" })
---assert.config(img, "/config/WorkingDir", nil)
---```
---@param img strata.Image|string
---@param key string  as a field of img.config, or a JSON Pointer
---@param value any
function assert.config(img, key, value) end

--- The image has a tag.
---```lua
---local assert = require "strata.assert"
---assert.tag(img, "app:1")
---```
---@param img strata.Image|string
---@param ref string  "app:1"
function assert.tag(img, ref) end

--- The image is for a platform.
---```lua
---local assert = require "strata.assert"
---assert.platform(img, "linux/amd64")
---```
---@param img strata.Image|string
---@param wanted string  "linux/arm64/v8"
function assert.platform(img, wanted) end

--- The user of the image is not root, by name or by number.
---```lua
---local assert = require "strata.assert"
---print(pcall(assert.runs_as_non_root, img))  --> false app:1: no user is set, so it runs as root
---```
---@param img strata.Image|string
function assert.runs_as_non_root(img) end

--- The files that no container sees have fewer bytes. A failure names the worst.
---```lua
---local assert = require "strata.assert"
---print(pcall(assert.wastes_less_than, img, "1 kB"))
-----> false app:1 has 3.0 kB that no container sees, 1.0 kB and more were not expected
----->   'var/cache/app.deb' of layer 2: 3.0 kB, deleted by layer 3
----->   'etc/app.conf' of layer 2: 13 B, changed by layer 3
---```
---@param img strata.Image|string
---@param size number|string  bytes, or "5 MB"
function assert.wastes_less_than(img, size) end

--- The layers, as they are stored, have fewer bytes. A failure names the largest.
---```lua
---local assert = require "strata.assert"
---assert.smaller_than(img, "200 MB")
---```
---@param img strata.Image|string
---@param size number|string  bytes, or "200 MB"
function assert.smaller_than(img, size) end

--- Every digest and diff_id is right.
---```lua
---local assert = require "strata.assert"
---assert.verifies(img)
---```
---@param img strata.Image|string
function assert.verifies(img) end

--- The image keeps the rules of a policy.
---```lua
---local assert = require "strata.assert"
---print(pcall(assert.passes, img, { max_layers = 2, root_user = true }))
-----> false app:1 breaks the policy:
----->   max_layers: 3 layers, more than 2
---```
---@param img strata.Image|string
---@param rules strata.Policy
function assert.passes(img, rules) end

--- What img:check() finds is nothing of this severity or a worse one.
---```lua
---local assert = require "strata.assert"
---assert.no_findings(img, "error")
---```
---@param img strata.Image|string
---@param severity? "error"|"warning"|"note"  default: "warning"
function assert.no_findings(img, severity) end

return assert
