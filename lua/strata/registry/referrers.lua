--- Manifests that are about another one: signatures, lists of contents, attestations. Ids are those of the checks:
-- RFR1 ...
--
-- Registries either list them themselves, or leave that to their clients, which keep an index under a tag made of the
-- digest. All functions are called in a task of strata.registry.flow.

local core = require "strata.core"
local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local json = require "strata.util.json"
local manifests = require "strata.registry.manifests"
local media_types = require "strata.document.media_types"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local referrers = {}

local MAX_PAGE, MAX_PAGES = 4 * 2 ^ 20, 1000
local ATTEMPTS = 5 -- RFR7
local ACCEPT = "Accept: " .. media_types.OCI_INDEX
-- RFR4: what registries without the list answer.
local WITHOUT = { [404] = true, [400] = true, [405] = true, [501] = true }

-- The tag under which clients keep the list for a digest: RFR3.
local function tag_of(digest)
  local algorithm, encoded = digest:match("^([^:]+):(.*)$")
  return (algorithm:sub(1, 32) .. "-" .. encoded:sub(1, 64)):gsub("[^%w._-]", "-")
end
referrers.tag_of = tag_of

-- The descriptors in the text of an index. nil: it is none.
local function descriptors_in(text, limits)
  local document = json.decode(text, { max_bytes = MAX_PAGE, max_depth = limits.max_depth })
  local list = type(document) == "table" and json.or_nil(document.manifests)
  if not list or not json.is_array(list) then return nil end
  local found = {}
  for _, one in ipairs(list) do
    if type(one) == "table" and type(one.digest) == "string" and core.digest_valid(one.digest) then
      found[#found + 1] = one
    end
  end
  return found
end

local function scopes_of(repository)
  return { ("repository:%s:pull"):format(repository) }
end

-- Adds the pages of the registry's own list. false: it has none | nil, message, code
local function add_pages(found, from, repository, digest, limits)
  local next_url
  for _ = 1, MAX_PAGES do
    local answer, message, code = from:send {
      method = "GET", path = not next_url and ("/v2/%s/referrers/%s"):format(repository, digest) or nil, url = next_url,
      kind = next_url and "link" or nil, scopes = scopes_of(repository), headers = { ACCEPT }, max_body = MAX_PAGE,
    }
    if not answer then return nil, message, code end
    if WITHOUT[answer.status] and not next_url then
      answer.exchange:close()
      return false
    end
    if answer.status ~= 200 then return session.refuse(answer) end
    local list = descriptors_in(answer.exchange:body(), limits)
    local link = headers.link_next(answer.exchange:headers("link"))
    answer.exchange:close()
    if not list then return fail("EFORMAT", "%s: the answer is no index", answer.request) end
    for _, one in ipairs(list) do found[#found + 1] = one end
    if not link then return true end
    next_url, message = url.resolve(answer.url, link)
    if not next_url then return fail("EREDIRECT", "%s: the next page: %s", answer.request, message) end
  end
  return fail("ELIMIT", "more than %d pages of referrers", MAX_PAGES)
end

-- The index that clients keep: its text and descriptors; nothing when there is none (RFR4).
local function get_index(from, repository, digest, limits)
  local got, message, code = manifests.get(from, repository, tag_of(digest), limits)
  if not got then
    if code == "ENOENT" then return nil, {} end
    return nil, nil, message, code
  end
  return got, descriptors_in(got.text, limits)
end

--- The descriptors of the manifests that are about a digest.
---@param from strata.RegistrySession
---@param repository string
---@param digest string
---@param limits strata.JsonLimits
---@param artifact_type? string  only those of this type: RFR2
---@return table[]?
---@return string? message
---@return string? code
function referrers.list(from, repository, digest, limits, artifact_type)
  local found = {}
  local ok, message, code = add_pages(found, from, repository, digest, limits)
  if ok == nil then return nil, message, code end
  if not ok then
    local _
    _, found, message, code = get_index(from, repository, digest, limits)
    if message then return nil, message, code end
    found = found or {}
  end
  local wanted = {}
  for _, one in ipairs(found) do
    if not artifact_type or one.artifactType == artifact_type then wanted[#wanted + 1] = one end
  end
  return wanted
end

local function has(list, digest)
  for _, one in ipairs(list) do
    if one.digest == digest then return true end
  end
  return false
end

-- The text of an index with one more descriptor.
local function with_descriptor(got, descriptor)
  local doc = core.json(got and got.text or ('{"schemaVersion":2,"mediaType":%s,"manifests":[]}'):format(
    core.json_quote(media_types.OCI_INDEX)))
  doc:set("/manifests/-", json.encode(descriptor))
  return doc:text()
end

--- Has a manifest listed among those that are about another one, in a registry that does not do that itself: RFR6. Two
-- clients may do so at the same time, so the index is read again, and extended again when it was replaced (RFR7).
---@param to strata.RegistrySession
---@param repository string
---@param subject string
---@param descriptor table
---@param limits strata.JsonLimits
---@param scopes string[]
---@return boolean? ok
---@return string? message
---@return string? code
function referrers.register(to, repository, subject, descriptor, limits, scopes)
  for attempt = 1, ATTEMPTS do
    local got, list, message, code = get_index(to, repository, subject, limits)
    if message then return nil, message, code end
    if got and not list then return fail("EFORMAT", "%s: the tag %s is no index", repository, tag_of(subject)) end
    if has(list, descriptor.digest) then return true end
    if attempt > 1 then to:back_off(1) end
    local put
    put, message, code = manifests.put(to, repository, tag_of(subject), with_descriptor(got, descriptor),
      media_types.OCI_INDEX, { scopes = scopes, expect = got and got.digest or nil })
    if not put and code ~= "ESTALE" then return nil, message, code end
  end
  local _, list = get_index(to, repository, subject, limits)
  if list and has(list, descriptor.digest) then return true end
  return fail("EBUSY", "%s: others replace the tag %s again and again", repository, tag_of(subject))
end

--- The descriptor of a manifest in such a list.
---@param manifest {text: string, digest: string, media_type: string}
---@param limits strata.JsonLimits
---@return table? descriptor
---@return string? subject  nil: it is about no other one
function referrers.descriptor(manifest, limits)
  local document = json.decode(manifest.text, limits)
  local subject = type(document) == "table" and json.or_nil(document.subject)
  local digest = type(subject) == "table" and subject.digest
  if type(digest) ~= "string" or not core.digest_valid(digest) then return nil end
  local config = json.or_nil(document.config)
  local config_type = type(config) == "table" and json.or_nil(config.mediaType) or nil
  return {
    mediaType = manifest.media_type, digest = manifest.digest, size = #manifest.text,
    artifactType = json.or_nil(document.artifactType) or config_type, annotations = json.or_nil(document.annotations),
  }, digest
end

return referrers
