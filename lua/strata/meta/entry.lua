---@meta _

--- What an entry is.
---@alias strata.EntryType "file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"|"other"

--- One entry of a layer. Fields are read from the layer's index; those that can be assigned patch their own bytes of
--- the header. Assigning any other one throws.
---@class strata.Entry: userdata
---@field path string  without "/" or "./" in front; the root is "."; assignable
---@field name string  as it stands in the tar
---@field type strata.EntryType
---@field typeflag string  the character in the header
---@field mode integer  permissions, 0 to 07777; assignable, also as "0755"
---@field setuid boolean  of the mode; assignable
---@field setgid boolean  of the mode; assignable
---@field sticky boolean  of the mode; assignable
---@field uid integer  assignable
---@field gid integer  assignable
---@field uname string  assignable
---@field gname string  assignable
---@field size integer  bytes, holes of sparse files included
---@field mtime number  seconds; assignable
---@field mtime_nsec integer  assignable
---@field atime number?  seconds; assignable, nil removes it
---@field atime_nsec integer?  assignable where there is an atime
---@field ctime number?  seconds; assignable, nil removes it
---@field ctime_nsec integer?  assignable where there is a ctime
---@field linkpath string?  of links; assignable
---@field major integer?  of devices; assignable
---@field minor integer?  of devices; assignable
---@field xattrs table<string, string>  a copy that refuses changes: assign another table
---@field pax table<string, string>  the records of its PAX header, a copy that refuses changes
---@field whiteout string?  the path that it deletes
---@field opaque string?  the directory that it hides what is below of
---@field position integer  place in the tar, from 1
---@field sparse boolean
---@field dangling boolean  a hardlink to a file that is not in this layer
---@field header_offset integer  in the plain tar: of its first header
---@field data_offset integer  in the plain tar: of its content
---@field stored integer  bytes of content in the plain tar
---@field private marked boolean
local Entry = {}

--- The content of a file; hardlinks are followed inside the layer. The first read in a layer compares its digest
--- with all of its bytes: "EDIGEST" when they are others.
---
--- Without a size `read` gives 64 MiB at most. The first read of what is in an entry reads its layer once as a whole,
--- so that its digest is compared before any byte is given out: a compressed layer is inflated into an unnamed
--- temporary file, a plain one is hashed (a second for 1 to 2 GB). Later reads take what they need from there; a plain
--- file that has been written to since is hashed again. Listing reads the headers of a plain layer alone.
---```lua
---print(entry:read(4), entry:read(5, 7))  --> mode  debug
---```
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@param from? integer  bytes to pass over. Default 0
---@return string?
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; "EISDIR": it is a directory; "EINVAL": it is no file; "ELIMIT": it is larger than `limits.read`; those of reading, of a registry
function Entry:read(max, from) end

--- The SHA-256 of a file's content, as read() gives it, of any size: holes of sparse files are zeros, hardlinks are
--- followed inside the layer, and the layer's own digest is compared first.
---```lua
---print(entry:digest())  --> sha256:…
---```
---@return string? digest  "sha256:" and 64 hexadecimal digits; nil for what is no file
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; those of reading, of a registry
function Entry:digest() end

--- Whether two files have the same content; hardlinks are followed inside their layers.
---```lua
---print(entry:same_content(img.layers[3]:entry "etc/app.conf"))  --> false
---```
---@param other strata.Entry
---@param max? integer  bytes to compare at most
---@param from? integer  bytes to pass over. Default 0
---@return boolean?
---@return string? message
---@return strata.errcode? code  "EDIGEST": a layer is not what its digest says; those of reading, of a registry
function Entry:same_content(other, max, from) end

--- Gives a file another content, under every name that it has in this layer. An entry that is no file throws.
---```lua
---entry:replace "mode = test\n"
---print(layer:read "etc/app.conf")  --> mode = test
---```
---@param data string
---@return strata.Entry self
function Entry:replace(data) end

--- Removes the entry. Hardlinks of its layer to it keep the content; links of other layers to it, and whiteouts that
--- hide nothing then, are looked after by layer:remove and img:remove alone.
---```lua
---entry:remove()
---print(layer:entry "etc/app.conf" == nil)  --> true
---```
---@return strata.Entry self
function Entry:remove() end

---@private
function Entry:mark() end

---@private
function Entry:follow() end
