---@meta _

--- Where two images differ: an array of all rows, which are those of files, config, history and layers in this order.
--- tostring() gives a line for each; `strata.diff_report` has colours and HTML.
---@class strata.Diff
---@field [integer] strata.DiffRow
---@field equal boolean  nothing differs: there are no rows
---@field semantic boolean  what a rebuild changes by itself was passed over
---@field a strata.DiffImage
---@field b strata.DiffImage
---@field files strata.DiffFile[]  in the order of the paths, a directory before its contents
---@field config strata.DiffValue[]
---@field history strata.DiffValue[]
---@field layers strata.DiffLayer[]  none with `semantic`

--- One of the two images.
---@class strata.DiffImage
---@field name string  its first tag, or its path; "<none>"
---@field id string  the digest of its config

--- One difference; its `kind` tells of what.
---@alias strata.DiffRow strata.DiffFile|strata.DiffValue|strata.DiffLayer

--- A path that one image has, or that is different in both; tostring() gives a line.
---@class strata.DiffFile
---@field kind "file"
---@field change "added"|"removed"|"changed"  from a to b
---@field path string
---@field fields string[]?  of a changed one, in this order: "type" or "content", "linkpath", "device", "mode", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime", "xattrs", "hardlink"
---@field a strata.DiffPath?  nil: added
---@field b strata.DiffPath?  nil: removed

--- What an image has at a path. Of a changed one: type, layer, size, and what the fields name.
---@class strata.DiffPath
---@field type "file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"
---@field layer integer?  number of the layer that it comes from; nil for a root that no layer has
---@field size integer?  of a file
---@field content string?  the SHA-256 of a file whose content has changed
---@field linkpath string?
---@field device string?  "major:minor"
---@field mode integer?
---@field uid integer?
---@field gid integer?
---@field uname string?
---@field gname string?
---@field mtime number?
---@field mtime_nsec integer?
---@field atime number?
---@field atime_nsec integer?
---@field ctime number?
---@field ctime_nsec integer?
---@field xattrs table<string, string>?  those that the other image lacks, or has with another value
---@field hardlink string?  the first name of a file that has several, unless this path is it

--- A value of the config or the history; tostring() gives a line.
---@class strata.DiffValue
---@field kind "config"|"history"
---@field change "added"|"removed"|"changed"|"spelling"  spelling: the documents have the same values, written differently
---@field pointer string  a JSON Pointer into the config: of an added element into that of b, else of a
---@field a any  nil: added. A JSON null is strata.null. With "spelling", the document's digest
---@field b any  nil: removed

--- A layer that the images do not share; tostring() gives a line.
---@class strata.DiffLayer
---@field kind "layer"
---@field change "added"|"removed"|"changed"
---@field a strata.DiffLayerSide?
---@field b strata.DiffLayerSide?
---@field reordered boolean?  both have the same paths, in another order

--- One of two layers that differ.
---@class strata.DiffLayerSide
---@field layer integer  its number
---@field diff_id string
---@field size integer  as it is stored
