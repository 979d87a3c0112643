--- Descriptors of a layout, and the small blobs that they lead to. Source: image-spec descriptor.md.

local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"

local oci_descriptor = {}

local MAX_SIZE = 2 ^ 53

local KNOWN = json.known { "mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform" }

-- A digest by the grammar; one of an algorithm that is known here also has its length.
local function is_digest(value)
  if type(value) ~= "string" then return false end
  local algorithm = value:match("^([a-z0-9+._-]+):[a-zA-Z0-9=_-]+$")
  if not algorithm or ("+" .. algorithm .. "+"):find("[+._-][+._-]") then return false end
  return core.digest_valid(value) or (algorithm ~= "sha256" and algorithm ~= "sha512")
end

--- Checks a descriptor.
---@param value any  decoded
---@param where string  what messages call it
---@return string? digest
---@return integer|string size  or message
---@return string? code
function oci_descriptor.check(value, where)
  if type(value) ~= "table" then return fail("EFORMAT", "%s is not a descriptor", where) end
  local problem = json.case_problem(json.keys(value), KNOWN)
  if problem then return fail("EFORMAT", "%s %s", where, problem) end
  local digest, size = value.digest, value.size
  if not is_digest(digest) then
    return fail("EFORMAT", "%s: bad digest %s", where, core.quote(tostring(digest)))
  end
  if type(size) ~= "number" or size < 0 or size > MAX_SIZE or size % 1 ~= 0 then
    return fail("EFORMAT", "%s: bad size %s", where, core.quote(tostring(size)))
  end
  if json.or_nil(value.mediaType) ~= nil and type(value.mediaType) ~= "string" then
    return fail("EFORMAT", "%s: bad mediaType %s", where, core.quote(tostring(value.mediaType)))
  end
  return digest, size
end

--- Whether bytes can be compared with a digest.
---@param digest string
---@return boolean
function oci_descriptor.is_verifiable(digest)
  return (core.digest_valid(digest))
end

--- Fails since they cannot.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param what string
---@param digest string
function oci_descriptor.unverifiable(store, what, digest)
  return fail("EUNSUPPORTED", "%s: %s: blob %s: only SHA-256 and SHA-512 can be verified", store.path, what, digest)
end

local function read_small(store, blob, digest, size, max)
  if blob.size ~= size then
    return fail("EDIGEST", "%s: blob %s has %d bytes, but its descriptor says %d", store.path, digest,
      blob.size, size)
  end
  if size > max then
    return fail("ELIMIT", "%s: blob %s has %d bytes; limits.json.max_bytes is %d", store.path, digest, size,
      max)
  end
  return blob.file:read(blob.offset, blob.size)
end

--- The content of a small blob, compared with its descriptor. nil without a message: it is not there.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param digest string
---@param size integer
---@param max integer  more bytes than this are ELIMIT
---@param media_type? string  that its descriptor states
---@return string? text
---@return string? message
---@return string? code
function oci_descriptor.read(store, digest, size, max, media_type)
  local blob, message, code = store:blob(digest, media_type, size, max)
  if not blob then
    if code == "ENOENT" then return nil end
    return nil, message, code
  end
  local text
  text, message, code = read_small(store, blob, digest, size, max)
  if blob.own then blob.file:close() end
  if not text then return nil, message, code end
  if not oci_descriptor.is_verifiable(digest) then return oci_descriptor.unverifiable(store, "document", digest) end
  local right, found = digests.matches(text, digest)
  if not right then
    return fail("EDIGEST", "%s: blob %s hashes to %s", store.path, digest, found)
  end
  return text
end

--- The bytes of a small blob, whatever its descriptor says: to see which blobs it names. nil: they cannot be read.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param digest string
---@param max integer  nothing for more bytes
---@return string?
function oci_descriptor.as_it_is(store, digest, max)
  local blob = store:blob(digest)
  if not blob then return nil end
  local text = blob.size <= max and blob.file:read(blob.offset, blob.size) or nil
  if blob.own then blob.file:close() end
  return text
end

--- Annotations: the values that are strings.
---@param value any  decoded
---@return table<string, string>
function oci_descriptor.annotations(value)
  local copy = {}
  for key, item in pairs(type(value) == "table" and value or {}) do
    if type(key) == "string" and type(item) == "string" then copy[key] = item end
  end
  return copy
end

return oci_descriptor
