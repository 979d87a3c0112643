--- The digests of a blob whose bytes come in pieces.

local core = require "strata.core"
local limits = require "strata.util.limits"

local hasher = {}

---@class strata.Hasher
---@field problem string?  why there is no diff_id
local Hasher = {}
Hasher.__index = Hasher

--- Makes one.
---@param compression? "none"|"gzip"|"zstd"  of what a diff_id is wanted of
---@param stated? string  the digest that names the blob
---@param given strata.Limits  complete ones
---@return strata.Hasher?
---@return string? message
---@return string? code
function hasher.new(compression, stated, given)
  local self = setmetatable({ compression = compression }, Hasher)
  local _, algorithm = core.digest_valid(stated or "")
  local message, code
  self.stored, message, code = core.push_digest(algorithm)
  if not self.stored then return nil, message, code end
  -- For a plain blob without another digest to compare, one SHA-256 is both digest and diff_id.
  if not compression or (compression == "none" and algorithm ~= "sha512") then return self end
  self.plain, message, code = core.push_digest()
  if not self.plain then return nil, message, code end
  if compression == "none" then return self end
  self.inflate, message, code = core.push_inflate(compression, limits.add(given, {}))
  if not self.inflate then return nil, message, code end
  return self
end

-- Data that is not compressed after all is no failure, since it need not be a layer: it has no diff_id.
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
  if self.plain and not self.inflate then return self.plain:update(bytes) end
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
  elseif self.compression == "none" then
    diff_id = self.plain and self.plain:final() or digest
  end
  return digest, diff_id
end

return hasher
