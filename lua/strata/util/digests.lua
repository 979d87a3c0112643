--- Digests: of documents, and in the names of files.
--
-- New documents and blobs are named by their SHA-256. One that came with a SHA-512 keeps
-- that name while its bytes stay the same: other documents name it so.

local core = require "strata.core"

local digests = {}

--- Whether bytes are those that a digest names.
---@param bytes string
---@param name string  a digest of an algorithm that is known
---@return boolean
---@return string found  what they hash to
function digests.matches(bytes, name)
  local _, algorithm = core.digest_valid(name)
  local found = core[algorithm or "sha256"](bytes)
  return found == name, found
end

--- Whether two digests are of different bytes: those of different algorithms do not tell.
---@param one string
---@param other string
---@return boolean
function digests.differ(one, other)
  local function algorithm(digest) return digest:match("^[^:]*") end
  return one ~= other and algorithm(one) == algorithm(other)
end

--- The digest of a document: the one that it had, if that is still it, or its SHA-256.
---@param bytes string
---@param before? string
---@return string
function digests.of(bytes, before)
  local _, algorithm = core.digest_valid(before or "")
  if algorithm == "sha512" and core.sha512(bytes) == before then return before end
  return core.sha256(bytes)
end

--- Where the blob of a digest lies in a layout.
---@param name string
---@return string path
function digests.path(name)
  return "blobs/" .. name:gsub(":", "/", 1)
end

--- The digest that a path in a layout states, nil for what cannot be verified.
---@param path string
---@return string?
function digests.in_path(path)
  local algorithm, hex = path:match("^blobs/(%w+)/(%x+)$")
  local name = algorithm and algorithm .. ":" .. hex
  return name and core.digest_valid(name) and name or nil
end

--- The digest that the name of an archive's member states, nil for what is no blob as it stands.
---@param member strata.Member
---@return string?
function digests.in_member(member)
  return member.type == "file" and not member.sparse and digests.in_path(member.name) or nil
end

--- A name in which a digest, or the digits of one, make way for those of another.
---@param name string
---@param old string?  nil: the name stays
---@param new string
---@return string
function digests.rename(name, old, new)
  if not old then return name end
  for _, sign in ipairs { ":", "/" } do name = name:gsub((old:gsub(":", sign)), (new:gsub(":", sign))) end
  return (name:gsub(digests.hex(old), digests.hex(new)))
end

--- Its digits: "0123…" of "sha256:0123…".
---@param name string
---@return string
function digests.hex(name)
  return (name:gsub("^.*:", ""))
end

return digests
