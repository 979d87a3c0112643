---@meta _

--- One layer of an image: a tar of changes, stored plain or compressed.
---@class strata.Layer: userdata
---@field position integer?  place in the image, from 1: the base first; nil while it is in none
---@field diff_id string  digest of the plain tar
---@field chain_id string?  of this layer on those below it; nil while it is in none
---@field digest string?  of the layer as it is stored; nil when its bytes are not here
---@field size integer  bytes as stored
---@field media_type string
---@field compression string  "none", "gzip", "zstd", ...
---@field created_by string?  of its row of the history
---@field history strata.HistoryRow?
---@field annotations table<string, string>  of its descriptor; a copy; assign it to change it
---@field foreign boolean  it is not meant to be passed on, and its bytes may be elsewhere
---@field count integer  of its entries
---@field empty boolean  it has no entries
---@field edited boolean
local Layer = {}

--- The entries that are there, in the order of the tar. Throws when the layer cannot be read.
---```lua
---for file in layer:entries() do print(file.path, file.type, file.size) end  --> etc/app.conf  file  13…
---```
---@param offset? integer  entries to pass over. Default 0
---@return fun(): strata.Entry?
function Layer:entries(offset) end

--- What this layer has in a directory as its tar tells it, sorted by name, whiteouts included, and what the layers
--- above do to it.
---```lua
---for _, one in ipairs(assert(layer:list "etc").rows) do
---  print(one.name, one.above and one.above.action, one.above and one.above.layer)  --> app.conf  replaced  3
---end
---```
---@param directory? string  default "/"
---@param offset? integer  names to pass over. Default 0
---@param limit? integer  rows at most. Default: all
---@return strata.LayerPage?
---@return string? message
---@return strata.errcode? code  "ENOENT": the layer has no such directory; "ENOTDIR": it is none; those of reading, of a registry
function Layer:list(directory, offset, limit) end

--- The last entry of a path. Throws when the layer cannot be read.
---```lua
---print(layer:entry "opt/app/current")  --> strata.Entry(opt/app/current, symlink, …)
---print(layer:entry "etc/passwd" == nil)  --> true
---```
---@param path string
---@return strata.Entry?
function Layer:entry(path) end

--- The content of a file of this layer; hardlinks are followed inside it.
---```lua
---print(layer:read "etc/app.conf")  --> mode = debug
---```
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string?
---@return string? message
---@return strata.errcode? code  "ENOENT": the layer has no such path; "EISDIR": it is a directory; "EINVAL": it is no file; "ELIMIT": it is larger than `limits.read`; those of reading, of a registry
function Layer:read(path, max) end

--- The tree of this layer's entries, drawn for people. Throws when the layer cannot be read.
---```lua
---print(layer:tree { path = "etc" })
-----> etc/
-----> └── app.conf  (13 B)
---```
---@param opts? strata.TreeOptions
---@return string
function Layer:tree(opts) end

--- What readers differ about in this layer, and what some of them refuse.
---```lua
---print(#assert(layer:check()))  --> 0
---```
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code  "ENOENT": its blob is not there; those of reading, of a registry
function Layer:check(opts) end

--- Drops the entries for which fn returns false, and with them whiteouts of upper layers that then hide nothing.
---```lua
---assert(layer:filter(function(file) return file.size < 2000 end))
---print(layer:entry "var/cache/app.deb" == nil)  --> true
---```
---@param fn strata.EntryFilter
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code  "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Layer:filter(fn) end

--- Calls fn for each entry, to assign to its fields.
---```lua
---assert(layer:rewrite(function(file) file.mtime = 1700000000 end))
---print(layer:entry("opt/app/run").mtime)  --> 1700000000
---```
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code  "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Layer:rewrite(fn) end

--- Drops the entries of paths, with all below them, and whiteouts of upper layers that then hide nothing. Its own
--- whiteouts stay: what they delete is to stay deleted. What matches nothing is "ENOENT", and nothing is changed.
--- img:remove does so in all layers.
---```lua
---assert(layer:remove "var/cache")
---print(layer.edited, img.layers[1].edited)  --> true  false
---```
---@param which strata.Which  a function gets an entry and the layer
---@param opts? strata.RemoveOptions
---@return strata.Layer? self
---@return strata.Removed[]|string|nil # what was removed, or the message
---@return strata.errcode? code  "ENOENT": something matches nothing; "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Layer:remove(which, opts) end

--- Sets an annotation of the layer's descriptor, in its place or behind the others. Anything but a string throws.
---```lua
---layer:set_annotation("com.example.from", "install")
---print(layer.annotations["com.example.from"])  --> install
---```
---@param name string
---@param value string
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code
function Layer:set_annotation(name, value) end

--- Removes an annotation of the layer's descriptor. Anything but a string throws.
---```lua
---assert(layer:set_annotation("com.example.from", "install"):remove_annotation "com.example.from")
---```
---@param name string
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such annotation
function Layer:remove_annotation(name) end

--- Writes the tar of this layer, with the bytes that it has or in another compression. It appears whole or not at all.
---```lua
---print(assert(layer:save("layer.tar.gz", { compression = "gzip" })).diff_id == layer.diff_id)  --> true
---```
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.LayerSaveOptions
---@return strata.SavedTar?
---@return string? message
---@return strata.errcode? code  "ENOENT": its blob is not there; those of reading, of writing, of a registry
function Layer:save(what, opts) end

--- Frees what a layer without an image holds. Every method and field throws afterwards; closing twice does nothing.
--- Images that it was appended to keep their own copy. Throws for a layer of an image, which img:close() closes.
---```lua
---local loose = assert(strata.layer { files = { a = "b" } })
---loose:close()
---```
function Layer:close() end

--- Applies this layer to a directory that may hold those below it: its whiteouts remove what they have. The directory
--- is made when it is not there.
---```lua
---assert(img.layers[1]:apply("tree", { unprivileged = true }))
---assert(layer:apply("tree", { unprivileged = true }))  -- on what is there
---print(io.open("tree/etc/app.conf"):read "*a")  --> mode = debug
---```
---@param dir string
---@param opts? strata.ExtractOptions  mode is always flat
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code  "EPERM": an owner or a device wants root, or `unprivileged = true`; "EUNSUPPORTED": it is compressed in a way that is not read; those of reading, of writing, of a registry
function Layer:apply(dir, opts) end

--- A part of what a layer has in a directory.
---@class strata.LayerPage
---@field rows strata.LayerRow[]
---@field total integer  names in the directory
---@field opaque boolean  the layer hides what lower layers have there

--- One name in a directory of a layer.
---@class strata.LayerRow
---@field name string  as in the tar
---@field path string
---@field entry strata.Entry?  nil: only what is below it has entries
---@field below boolean  there is something below it
---@field opaque boolean  it hides what lower layers have there
---@field copies integer  entries of that path; the last one counts
---@field above strata.LayerFate?  what the first layer above that touches it does to it

--- What an upper layer does to a path.
---@class strata.LayerFate
---@field layer integer
---@field action "replaced"|"emptied"|"removed"
