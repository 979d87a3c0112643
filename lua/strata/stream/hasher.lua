--- The digests of a blob that passes by.

local core = require "strata.core"

local hasher = {}

---@class strata.Hasher
---@field problem string?  why there is no diff_id
local Hasher = {}
Hasher.__index = Hasher

--- Makes one. With a compression the blob is inflated for its diff_id; a plain one's is its digest.
---@param compression? "gzip"|"zstd"
---@param limits? table
---@return strata.Hasher?
---@return string? message
---@return string? code
function hasher.new(compression, limits)
  local self = setmetatable({}, Hasher)
  local message, code
  self.stored, message, code = core.digest()
  if not self.stored then return nil, message, code end
  if not compression then return self end
  limits = limits or {}
  self.plain, message, code = core.digest()
  if not self.plain then return nil, message, code end
  self.inflate, message, code = core.inflate(compression, {
    max_bytes = limits.bytes, max_ratio = limits.ratio, max_zstd_window = limits.zstd_window,
  })
  if not self.inflate then return nil, message, code end
  return self
end

-- Something that only looks compressed is no failure: it need not be a layer.
local function give_up(self, message, code)
  self.inflate:close()
  self.inflate, self.plain, self.problem = nil, nil, message
  if code ~= "EFORMAT" then return nil, message, code end
  return true
end

---@param bytes string
---@return boolean? ok
---@return string? message
---@return string? code
function Hasher:update(bytes)
  local ok, message, code = self.stored:update(bytes)
  if not ok then return nil, message, code end
  if not self.inflate then return true end
  self.inflate:feed(bytes)
  while true do
    local plain
    plain, message, code = self.inflate:read()
    if not plain then return give_up(self, message, code) end
    if plain == "" then return true end
    ok, message, code = self.plain:update(plain)
    if not ok then return nil, message, code end
  end
end

--- The digest of all, and the diff_id when it was asked for.
---@return string? digest
---@return string? diff_id | message
---@return string? code
function Hasher:final()
  local digest, message, code = self.stored:final()
  if not digest then return nil, message, code end
  local diff_id
  if self.inflate then
    local ok
    ok, message = self.inflate:finish()
    if ok then diff_id = self.plain:final() else self.problem = message end
  end
  return digest, diff_id
end

return hasher
