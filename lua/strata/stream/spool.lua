--- Temporary files of a stream, unnamed, and how much they may hold together.

local core = require "strata.core"

local spool = {}

local MAX_BYTES = 64 * 1024 ^ 3

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
---@param limit? integer
---@param temp_dir? string
---@return strata.SpoolRoom
function spool.room(limit, temp_dir)
  return { used = 0, limit = limit or MAX_BYTES, temp_dir = temp_dir, open = {} }
end

--- Whether so many bytes more are too many.
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

--- It holds so many bytes more.
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

--- Writes behind what is there.
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
