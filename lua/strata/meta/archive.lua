---@meta strata.archive

--- What libarchive sees in a file. A module of its own, so that nothing else links libarchive; strata loads it where
--- it is there and needed.
---@class strata.archive
---@field _LIBARCHIVE string  the version
local archive = {}

--- The entries of an archive of any format and compression that works inside this process.
---@param path string
---@param opts? {digest?: boolean}  digest: of every content
---@return strata.ArchiveEntry[]?
---@return string? message
---@return strata.errcode? code
function archive.entries(path, opts) end

---@private
function archive.decompress(source, compression, opts) end

---@private
function archive.contents(source, opts) end

---@private
function archive.tar_reader(file, offset, size) end

--- An entry as libarchive reads it.
---@class strata.ArchiveEntry
---@field path string?
---@field type strata.EntryType
---@field mode integer
---@field uid integer
---@field gid integer
---@field uname string?
---@field gname string?
---@field size integer?  bytes
---@field mtime number?  seconds
---@field linkpath string?
---@field major integer?
---@field minor integer?
---@field xattrs table<string, string>
---@field digest string?  "sha256:" and the hash of its content
---@field warning string[]?  what libarchive says

return archive
