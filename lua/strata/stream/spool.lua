--- The unnamed temporary files of a stream, and the limit of their size together.

local core = require "strata.core"

local spool = {}

---@class strata.SpoolRoom
---@field used integer  bytes in all that are open
---@field limit integer
---@field temp_dir string?
---@field open table<table, boolean>

---@class strata.Spool
---@field file userdata
---@field size integer
local Spool = {}
Spool.__index = Spool

--- What all files of one stream share.
---@param limit integer  bytes
---@param temp_dir? string
---@return strata.SpoolRoom
function spool.room(limit, temp_dir)
  return { used = 0, limit = limit, temp_dir = temp_dir, open = {} }
end

--- Fails when so many more bytes would exceed the limit.
---@param room strata.SpoolRoom
---@param more integer
---@return boolean? ok
---@return string? message
---@return string? code
function spool.check(room, more)
  if room.used + more <= room.limit then return true end
  return nil, ("layers that have to be kept for a while take %.0f bytes, more than limits.spool (%.0f)")
    :format(room.used + more, room.limit), "ELIMIT"
end

--- Opens a file.
---@param room strata.SpoolRoom
---@return strata.Spool?
---@return string? message
---@return string? code
function spool.open(room)
  local file, message, code = core.temp_file(room.temp_dir)
  if not file then return nil, message, code end
  local self = setmetatable({ room = room, file = file, size = 0 }, Spool)
  room.open[self] = true
  return self
end

--- Counts bytes that were written to the file by others.
---@param n integer
---@return boolean? ok
---@return string? message
---@return string? code
function Spool:grow(n)
  local ok, message, code = spool.check(self.room, n)
  if not ok then return nil, message, code end
  self.size, self.room.used = self.size + n, self.room.used + n
  return true
end

--- Appends bytes.
---@param bytes string
---@return boolean? ok
---@return string? message
---@return string? code
function Spool:write(bytes)
  local at = self.size
  local ok, message, code = self:grow(#bytes)
  if not ok then return nil, message, code end
  return self.file:write(at, bytes)
end

function Spool:close()
  if not self.room.open[self] then return end
  self.room.open[self] = nil
  self.room.used = self.room.used - self.size
  self.file:close()
end

--- Closes all that are open.
---@param room strata.SpoolRoom
function spool.close(room)
  for one in pairs(room.open) do one.file:close() end
  room.open, room.used = {}, 0
end

return spool
