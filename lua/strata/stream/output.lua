--- The output of a stream until it is taken: bytes and ranges of temporary files, in order.

local core = require "strata.core"

local output = {}

---@class strata.StreamOutput
---@field compression string  of the whole: "none", "gzip" or "zstd"; may be set until the first take()
local Output = {}
Output.__index = Output

---@param level? integer
---@return strata.StreamOutput
function output.new(level)
  return setmetatable({ compression = "none", level = level, items = {}, first = 1, last = 0, waiting = 0 }, Output)
end

local function put(self, item)
  if item.size == 0 then
    if item.done then item.done() end
    return
  end
  self.last = self.last + 1
  self.items[self.last] = item
  self.waiting = self.waiting + item.size
end

--- Adds bytes.
---@param bytes string
function Output:bytes(bytes)
  put(self, { bytes = bytes, size = #bytes, at = 0 })
end

--- Adds a range of a file.
---@param file userdata
---@param offset integer
---@param size integer
---@param done? fun()  called when the range was taken or dropped
function Output:file(file, offset, size, done)
  put(self, { file = file, offset = offset, size = size, at = 0, done = done })
end

-- Up to max bytes of the first item.
local function read(self, max)
  local item = self.items[self.first]
  local n = math.min(max, item.size - item.at)
  local bytes, message, code
  if item.bytes then
    bytes = n == item.size and item.bytes or item.bytes:sub(item.at + 1, item.at + n)
  else
    bytes, message, code = item.file:read(item.offset + item.at, n)
    if not bytes then return nil, message, code end
  end
  item.at = item.at + n
  self.waiting = self.waiting - n
  if item.at == item.size then
    self.items[self.first] = nil
    self.first = self.first + 1
    if item.done then item.done() end
  end
  return bytes
end

local function encoder(self)
  if self.compression == "none" or self.deflate then return self.deflate or true end
  local message, code
  self.deflate, message, code = core.push_deflate(self.compression, self.level)
  return self.deflate, message, code
end

--- Takes the output of at most `max` plain bytes, which are compressed if that is asked for.
---@param max number
---@return string? bytes
---@return string? message
---@return string? code
function Output:take(max)
  local parts, left = {}, max
  while left > 0 and self.first <= self.last do
    local bytes, message, code = read(self, left)
    if not bytes then return nil, message, code end
    parts[#parts + 1] = bytes
    left = left - #bytes
  end
  local plain = #parts == 1 and parts[1] or table.concat(parts)
  local ok, message, code = encoder(self)
  if not ok then return nil, message, code end
  if self.deflate then return self.deflate:write(plain) end
  return plain
end

--- The end of a compressed stream, when all has been taken.
---@return string? bytes
---@return string? message
---@return string? code
function Output:finish()
  local ok, message, code = encoder(self)
  if not ok then return nil, message, code end
  if not self.deflate then return "" end
  return self.deflate:finish()
end

--- Drops everything that was not taken.
function Output:close()
  for i = self.first, self.last do
    local item = self.items[i]
    self.items[i] = nil
    if item.done then item.done() end
  end
  self.first, self.last, self.waiting = 1, 0, 0
  if self.deflate then self.deflate:close() end
end

return output
