---@meta strata.archive

--- What libarchive does for strata. A module of its own, so that nothing else links libarchive; strata loads it where
--- it is there and needed.
---@class strata.archive
---@field _LIBARCHIVE string  the version
local archive = {}

---@private
function archive.decompress(source, compression, opts) end

---@private
function archive.contents(source, opts) end

---@private
function archive.tar_reader(file, offset, size) end

return archive
