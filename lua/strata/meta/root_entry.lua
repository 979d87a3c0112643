---@meta _

--- What is at a path of the root file system, as a container sees it.
---@class strata.RootEntry: userdata
---@field path string  without links on the way; "." for the root
---@field name string
---@field type strata.EntryType  "hardlink" only for one to a file that is nowhere
---@field mode integer
---@field setuid boolean  of the mode
---@field setgid boolean  of the mode
---@field sticky boolean  of the mode
---@field uid integer
---@field gid integer
---@field uname string
---@field gname string
---@field size integer  bytes
---@field mtime number  seconds
---@field mtime_nsec integer
---@field atime number?  seconds, as the header says; runtimes set the later one of atime and mtime
---@field atime_nsec integer?
---@field ctime number?  seconds, as the header says; runtimes do not set it
---@field ctime_nsec integer?
---@field linkpath string?  of a symlink
---@field major integer?  of a device
---@field minor integer?  of a device
---@field xattrs table<string, string>  a copy that refuses changes
---@field links integer  names that the file has
---@field inode integer?  the same for all names of a file that has several
---@field layer strata.Layer?  that has put it at this path; nil for a root that none has
---@field content_layer strata.Layer?  that holds what is in it: another one for a link across layers
---@field entry strata.Entry?  of that layer; nil for a directory that only its contents imply
---@field implied boolean
local RootEntry = {}

--- The content of a file.
---```lua
---print(assert(root:stat "etc/passwd"):read(4))  --> root
---```
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@param from? integer  bytes to pass over. Default 0
---@return string?
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; "EISDIR": it is a directory; "EINVAL": it is no file; "ELIMIT": it is larger than `limits.read`; those of reading, of a registry
function RootEntry:read(max, from) end

--- The SHA-256 of a file's content, holes of sparse files as zeros.
---```lua
---print(assert(root:stat "etc/passwd"):digest())  --> sha256:…
---```
---@return string? digest  "sha256:" and 64 hexadecimal digits; nil for what is no file
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; those of reading, of a registry
function RootEntry:digest() end

--- All of it as one line of JSON, without a newline: a listing is such a line for each entry of root:walk(). What is no
--- UTF-8 is told in Base64, under its name with "_bytes" behind it; values of xattrs always are in Base64.
---
--- A line has `path`, `type`, `mode` (as "0644"), `uid`, `gid`, `mtime` (with all its digits), and where there are such
--- `uname`, `gname`, `size`, `linkpath`, `major`, `minor`, `links` and `inode` (of files with several names), `xattrs`,
--- `layer`, `digest`. Extended attributes whose own names are no UTF-8 are in `xattrs_bytes`, an array of pairs in
--- Base64.
---```lua
---for found in root:walk "bin" do print(found:json()) end  --> {"path":"bin/sh","type":"file","mode":"0755",…}
---```
---@param opts? strata.EntryJsonOptions
---@return string?
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; those of reading, of a registry
function RootEntry:json(opts) end
