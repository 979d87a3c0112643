--- The bytes that are pushed into a stream, inflated when the whole is compressed.

local core = require "strata.core"
local limits = require "strata.util.limits"

local input = {}

-- How many bytes the core needs to tell a compression.
local SNIFF_BYTES = 16

-- Larger chunks are taken in pieces of this size, so that copies of them stay small.
local PIECE = 256 * 1024

---@class strata.StreamInput
---@field compression string?  once it is known: "none", "gzip", "zstd"
local Input = {}
Input.__index = Input

--- Makes an input.
---@param compression? "auto"|"none"|"gzip"|"zstd"
---@param given strata.Limits  complete ones
---@return strata.StreamInput
function input.new(compression, given)
  return setmetatable({
    wanted = compression or "auto", limits = given, chunks = {}, first = 1, last = 0, at = 0, ended = false,
  }, Input)
end

--- Adds bytes to read.
---@param chunk string
function Input:feed(chunk)
  if chunk == "" then return end
  self.last = self.last + 1
  self.chunks[self.last] = chunk
end

local function take(self)
  if self.first > self.last then return nil end
  local chunk, at = self.chunks[self.first], self.at
  if #chunk - at > PIECE then
    self.at = at + PIECE
    return chunk:sub(at + 1, at + PIECE)
  end
  self.chunks[self.first] = nil
  self.first, self.at = self.first + 1, 0
  return at == 0 and chunk or chunk:sub(at + 1)
end

-- Finds the compression; false: more bytes are needed to tell it.
local function start(self)
  if self.wanted ~= "auto" then
    self.compression = self.wanted
  else
    local head = ""
    for i = self.first, self.last do
      if #head < SNIFF_BYTES then head = head .. self.chunks[i]:sub(1, SNIFF_BYTES) end
    end
    if #head < SNIFF_BYTES and not self.ended then return false end
    self.compression = core.sniff(head)
  end
  if self.compression == "none" then return true end
  local message, code
  self.inflate, message, code = core.push_inflate(self.compression, limits.add(self.limits, {}))
  if not self.inflate then return nil, message, code end
  return true
end

--- The next plain bytes.
---@return string? bytes  nil: more has to be fed
---@return string? message
---@return string? code
function Input:read()
  if not self.compression then
    local ok, message, code = start(self)
    if not ok then return nil, message, code end
  end
  if not self.inflate then return take(self) end
  while true do
    local bytes, message, code = self.inflate:read()
    if bytes ~= "" then return bytes, message, code end
    local chunk = take(self)
    if not chunk then return nil end
    self.inflate:feed(chunk)
  end
end

--- Nothing more will be fed; what is left can be read.
function Input:stop()
  self.ended = true
end

--- To be called when all has been read: whether the compressed stream was whole.
---@return boolean? ok
---@return string? message
---@return string? code
function Input:finish()
  if not self.inflate then return true end
  return self.inflate:finish()
end

function Input:close()
  if self.inflate then self.inflate:close() end
  self.chunks, self.first, self.last, self.at = {}, 1, 0, 0
end

return input
