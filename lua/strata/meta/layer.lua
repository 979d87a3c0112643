---@meta _

--- One layer of an image: a tar of changes, stored plain or compressed.
---@class strata.Layer: userdata
---@field index integer?  place in the image, from 1: the base first; nil while it is in none
---@field diff_id string  digest of the plain tar
---@field chain_id string?  of this layer on those below it; nil while it is in none
---@field digest string?  of the layer as it is stored; nil when its bytes are not here
---@field size integer  bytes as stored
---@field media_type string
---@field compression string  "none", "gzip", "zstd", ...
---@field created_by string?  of its row of the history
---@field history strata.HistoryRow?
---@field annotations table<string, string>  of its descriptor
---@field foreign boolean  it is not meant to be passed on, and its bytes may be elsewhere
---@field empty boolean  it has no entries
---@field edited boolean
local Layer = {}

--- The entries that are there, in the order of the tar. Throws when the layer cannot be read.
---@return fun(): strata.Entry?
function Layer:entries() end

--- The last entry of a path. Throws when the layer cannot be read.
---@param path string
---@return strata.Entry?
function Layer:entry(path) end

--- The content of a file of this layer; hardlinks are followed inside it.
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string?
---@return string? message
---@return strata.errcode? code
function Layer:read(path, max) end

--- The tree of this layer's entries, drawn for people. Throws when the layer cannot be read.
---@param opts? strata.TreeOptions
---@return string
function Layer:tree(opts) end

--- What readers differ about in this layer, and what some of them refuse.
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code
function Layer:check(opts) end

--- Drops the entries for which fn returns false, and with them whiteouts of upper layers that then hide nothing.
---@param fn strata.EntryFilter
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code
function Layer:filter(fn) end

--- Calls fn for each entry, to assign to its fields.
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Layer? self
---@return string? message
---@return strata.errcode? code
function Layer:rewrite(fn) end

--- Drops the entries of exactly that path.
---@param path string
---@return integer? dropped  how many
---@return string? message
---@return strata.errcode? code
function Layer:drop(path) end

--- Applies this layer to a directory that may hold those below it: its whiteouts remove what they have. The directory
--- is made when it is not there.
---@param dir string
---@param opts? strata.ExtractOptions  mode is always flat
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code
function Layer:apply(dir, opts) end
