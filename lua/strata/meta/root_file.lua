---@meta _

--- A file of the root file system, open for reading in pieces.
---@class strata.RootFile: userdata
---@field size integer  bytes
local RootFile = {}

--- The next bytes; nil alone at the end.
---@param n? integer  so many at most. Default 65536
---@return string? bytes
---@return string? message
---@return strata.errcode? code
function RootFile:read(n) end

--- Moves the position, as for a file of Lua, and tells it.
---@param whence? "set"|"cur"|"end"  default "cur"
---@param offset? integer  default 0
---@return integer? position
---@return string? message
---@return strata.errcode? code
function RootFile:seek(whence, offset) end

--- Iterates over the lines, without their ends. Throws when the file cannot be read.
---@return fun(): string?
function RootFile:lines() end

--- Every method throws afterwards; closing twice does nothing.
function RootFile:close() end
