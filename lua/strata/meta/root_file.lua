---@meta _

--- A file of the root file system, open for reading in pieces.
---@class strata.RootFile: userdata
---@field size integer  bytes
local RootFile = {}

--- The next bytes; nil alone at the end.
---```lua
---local file = assert(root:open "etc/passwd")
---for bytes in function() return file:read(16) end do io.write(bytes) end
---```
---@param n? integer  so many at most. Default 65536
---@return string? bytes
---@return string? message
---@return strata.errcode? code  "EDIGEST": the layer is not what its digest says; those of reading, of a registry
function RootFile:read(n) end

--- Moves the position, as for a file of Lua, and tells it.
---```lua
---local file = assert(root:open "etc/passwd")
---file:seek("set", 5)
---print(file:read(1))  --> x
---```
---@param whence? "set"|"cur"|"end"  default "cur"
---@param offset? integer  default 0
---@return integer? position
---@return string? message
---@return strata.errcode? code  "EINVAL": a position before the beginning
function RootFile:seek(whence, offset) end

--- Iterates over the lines, without their ends. Throws when the file cannot be read.
---```lua
---for text in assert(root:open "etc/os-release"):lines() do print(text) end  --> ID=debian…
---```
---@return fun(): string?
function RootFile:lines() end

--- Every method throws afterwards; closing twice does nothing.
---```lua
---local file = assert(root:open "etc/passwd")
---file:close()
---```
function RootFile:close() end
