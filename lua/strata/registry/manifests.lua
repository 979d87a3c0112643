--- Manifests and indexes in a registry: getting, asking for a digest, putting, deleting.
--
-- All functions are called in a task of strata.registry.flow. Ids are those of the checks: MAN1 ...

local core = require "strata.core"
local digests = require "strata.util.digests"
local errors = require "strata.registry.errors"
local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local session = require "strata.registry.session"

local manifests = {}

local TYPES = {
  media_types.OCI_INDEX, media_types.OCI_MANIFEST, media_types.DOCKER_LIST, media_types.DOCKER_MANIFEST,
}
-- MAN1: registries do not find a manifest of a type that is not in the list, also with "*/*".
local ACCEPT = "Accept: " .. table.concat(TYPES, ", ")
-- MAN5: of these the document itself says what it is.
local VAGUE = { ["text/plain"] = true, ["application/octet-stream"] = true, ["application/json"] = true, [""] = true }
local SCHEMA_1 = {
  ["application/vnd.docker.distribution.manifest.v1+json"] = true,
  ["application/vnd.docker.distribution.manifest.v1+prettyjws"] = true,
}
-- MAN9: a registry that has never told a digest in answer to a HEAD may not know that method.
local NO_HEAD = { [404] = true, [405] = true, [400] = true, [501] = true }

--- A manifest or an index as a registry has it.
---@class strata.RemoteManifest
---@field text string
---@field digest string
---@field media_type string?  as it states itself, or as the registry says

local function path_of(repository, reference)
  return ("/v2/%s/manifests/%s"):format(repository, reference)
end

local function scopes_of(repository, actions)
  return { ("repository:%s:%s"):format(repository, actions or "pull") }
end

-- Whether a document may be a manifest or an index of some kind: nothing but an object with one of their fields is.
local function may_be_one(document)
  if type(document) ~= "table" then return false end
  for _, name in ipairs { "schemaVersion", "mediaType", "manifests", "config", "layers" } do
    if document[name] ~= nil then return true end
  end
  return false
end

-- The media type that a document has: its own, or the registry's. nil, message, code when the two disagree.
local function type_of(text, stated, where, limits, doubt)
  local document, message, code = json.decode(text, limits)
  if document == nil or not may_be_one(document) then
    return fail(code == "ELIMIT" and code or "EFORMAT", "%s: the answer is no manifest%s%s", where,
      message and ": " .. message or "", doubt)
  end
  local own = type(document) == "table" and json.or_nil(document.mediaType) or nil
  if SCHEMA_1[stated] or SCHEMA_1[own] or (type(document) == "table" and document.schemaVersion == 1) then
    return fail("EUNSUPPORTED", "%s: a manifest of schema 1, which Docker gave up in 2017", where) -- MAN7
  end
  if own ~= nil and type(own) ~= "string" then return fail("EFORMAT", "%s: bad mediaType", where) end
  if stated and not VAGUE[stated] and own and own ~= stated then
    return fail("EFORMAT", "%s: the registry says that it is %s, and it says that it is %s", where,
      core.quote(stated), core.quote(own))
  end
  return own or (not VAGUE[stated] and stated) or nil, document
end

-- Whether the digest that the registry states is that of the text: MAN3, MAN4.
local function check_stated(text, answer, where)
  local stated = session.stated_digest(answer)
  if not stated then return true end
  local right, found = digests.matches(text, stated)
  if right then return true end
  return fail("EDIGEST", "%s: the registry says that its digest is %s, and it is %s", where, stated, found)
end

-- BLOB1, MAN12
local function is_encoded(answer)
  local encoding = answer.exchange:header("content-encoding")
  return encoding and encoding:lower() ~= "identity" and encoding
end

--- Gets a manifest or an index by tag or digest; what came is compared with the digest.
---@param to strata.RegistrySession
---@param repository string
---@param reference string
---@param limits strata.JsonLimits
---@param media_type? string  of its descriptor: MAN8
---@param size? integer  of its descriptor
---@return strata.RemoteManifest?
---@return string? message
---@return string? code
function manifests.get(to, repository, reference, limits, media_type, size)
  local answer, message, code = to:send {
    method = "GET", path = path_of(repository, reference), scopes = scopes_of(repository), max_body = limits.max_bytes,
    headers = { media_type and media_types.kind(media_type) and "Accept: " .. media_type or ACCEPT },
  }
  if not answer then return nil, message, code end
  if answer.status ~= 200 then return session.refuse(answer) end
  local where, text = answer.request, answer.exchange:body()
  local encoding = is_encoded(answer)
  local stated = headers.media_type(answer.exchange:header("content-type") or "")
  local ok
  ok, message, code = check_stated(text, answer, where)
  answer.exchange:close()
  if encoding then
    return fail("EFORMAT", "%s: encoded as %s, which was not asked for", where, core.quote(encoding))
  end
  if not ok then return nil, message, code end
  if size and #text ~= size then
    return fail("EDIGEST", "%s: it has %d bytes, but its descriptor says %d", where, #text, size)
  end
  local is_digest = core.digest_valid(reference)
  local right, found = digests.matches(text, is_digest and reference or core.sha256(text))
  if not right then return fail("EDIGEST", "%s: what came hashes to %s", where, found) end
  local own
  own, message, code = type_of(text, stated, where, limits, to:doubt())
  if code then return nil, message, code end
  return { text = text, digest = is_digest and reference or found, media_type = own }
end

--- The digest that a tag has at the moment: by HEAD, which registries do not count as a pull, or else by GET.
---@param to strata.RegistrySession
---@param repository string
---@param reference string
---@param limits strata.JsonLimits
---@return string? digest  nil without a message: there is no such tag
---@return string? message
---@return string? code
function manifests.digest(to, repository, reference, limits)
  local answer, message, code = to:send {
    method = "HEAD", path = path_of(repository, reference), scopes = scopes_of(repository), headers = { ACCEPT },
  }
  if not answer then return nil, message, code end
  local stated = answer.status == 200 and session.stated_digest(answer) or nil
  if stated then
    answer.exchange:close()
    to.knows_head = true
    return stated
  end
  if answer.status ~= 200 and not NO_HEAD[answer.status] then return session.refuse(answer) end
  answer.exchange:close()
  if answer.status == 404 and to.knows_head then return nil end
  local got
  got, message, code = manifests.get(to, repository, reference, limits)
  if got then return got.digest end
  if code == "ENOENT" then return nil end
  return nil, message, code
end

--- What putting a manifest has said.
---@class strata.PutManifest
---@field tags string[]  those that the registry says to have set besides: OCI-Tag
---@field subject string?  OCI-Subject: it lists the manifest among the referrers

--- Puts a manifest or an index, byte for byte.
---@param to strata.RegistrySession
---@param repository string
---@param reference string  tag or digest
---@param text string
---@param media_type string
---@param how {scopes: string[], tags: string[]?, expect: string?}
---@return strata.PutManifest?
---@return string? message
---@return string? code  "ENOENT": blobs are not there
---@return table<string, boolean>? missing  their digests
function manifests.put(to, repository, reference, text, media_type, how)
  local path = path_of(repository, reference)
  for i, tag in ipairs(how.tags or {}) do path = path .. (i == 1 and "?" or "&") .. "tag=" .. tag end
  local lines = { "Content-Type: " .. media_type }
  if how.expect then lines[2] = ('If-Match: "%s"'):format(how.expect) end
  local answer, message, code = to:send {
    method = "PUT", path = path, scopes = how.scopes, headers = lines, body = text,
  }
  if not answer then return nil, message, code end
  if answer.status ~= 201 and answer.status ~= 200 and answer.status ~= 204 then
    local missing = errors.missing_blobs(answer.exchange:body())
    if answer.status == 412 then
      answer.exchange:close()
      return fail("ESTALE", "%s: the tag is not what it was", answer.request)
    end
    message, code = session.refusal(answer)
    return nil, message, missing and "ENOENT" or code, missing
  end
  local ok
  ok, message, code = check_stated(text, answer, answer.request)
  local put = { tags = headers.list(answer.exchange:headers("oci-tag")) }
  put.subject = answer.exchange:header("oci-subject")
  answer.exchange:close()
  if not ok then return nil, message, code end
  return put
end

--- Deletes a manifest, or a tag where the registry can do that.
---@param to strata.RegistrySession
---@param repository string
---@param reference string
---@return boolean? ok
---@return string? message
---@return string? code
function manifests.delete(to, repository, reference)
  local answer, message, code = to:send {
    method = "DELETE", path = path_of(repository, reference), scopes = scopes_of(repository, "pull,push,delete"),
  }
  if not answer then return nil, message, code end
  if answer.status == 202 or answer.status == 200 or answer.status == 204 then
    answer.exchange:close()
    return true
  end
  message, code = session.refusal(answer)
  if answer.status == 400 or answer.status == 405 then
    return fail("EUNSUPPORTED", "%s (the registry does not delete %s)", message,
      core.digest_valid(reference) and "manifests" or "tags")
  end
  return nil, message, code
end

return manifests
