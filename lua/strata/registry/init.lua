--- strata.registry: a client of registries, for those who need settings of their own.
--
--   local hub = strata.registry { hosts = { ["reg:5000"] = { ca = "reg.crt" } } }
--   local img = assert(strata.open("docker://reg:5000/app:1", { registry = hub }))

local argument = require "strata.util.argument"
local blobs = require "strata.registry.blobs"
local client = require "strata.registry.client"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local manifests = require "strata.registry.manifests"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local places = require "strata.registry.places"
local reference = require "strata.document.reference"
local referrers = require "strata.registry.referrers"
local tags = require "strata.registry.tags"

local registry = {}

---@class strata.Registry
local methods = {}

local new, state_of, is

-- What a reference means: a session, and its parts. Throws for what is none.
local function place_of(self, ref, method, needs)
  local parts, problem = reference.of_registry(ref)
  if not parts then misuse("%s: %s: %s", method, reference.shown(ref), problem) end
  if needs and not parts[needs] then misuse("%s: %s has no %s", method, parts.text, needs) end
  local state = state_of(self)
  local session, message, code = state.client:session(parts.host)
  if not session then return nil, message, code end
  return state.client, session, parts
end

local function json_limits()
  return limits.resolve().json
end

-- Runs fn in a task; what it returns, with the reference before a message.
local function ask(with, parts, fn)
  local value, message, code = with:call(fn, nil, "asking")
  if value == nil and message then return nil, ("docker://%s: %s"):format(parts.text, message), code end
  return value
end

-- Reads what a reference leads to, in a task: at mirrors as strata.open does, and then at the registry.
local function read(with, parts, fn)
  local list, message, code = places.of(with, parts.host, parts.repository)
  if not list then return nil, message, code end
  return places.read(list, parts.digest ~= nil, fn)
end

-- The digest that a reference has at a place, in a task.
local function digest_of(session, parts, repository)
  local found, why, how = manifests.digest(session, repository, parts.wanted, json_limits())
  if not found and not why then return fail("ENOENT", "there is no such image") end
  return found, why, how
end

--- The digest that a reference has now: one request, which registries do not count as a pull.
---@param ref string  "docker://host/team/app:1.4"
---@return string? digest
---@return string? message
---@return string? code  "ENOENT": there is no such tag
function methods:digest(ref)
  local with, session, parts = place_of(self, ref, "digest")
  if not with then return nil, session, parts end
  return ask(with, parts, function()
    return read(with, parts, function(place) return digest_of(place.session, parts, place.repository) end)
  end)
end

--- The manifest or index that a reference leads to, as its bytes.
---@param ref string
---@return {text: string, digest: string, media_type: string?}?
---@return string? message
---@return string? code
function methods:manifest(ref)
  local with, session, parts = place_of(self, ref, "manifest")
  if not with then return nil, session, parts end
  return ask(with, parts, function()
    return read(with, parts, function(place)
      return manifests.get(place.session, place.repository, parts.wanted, json_limits())
    end)
  end)
end

--- The bytes of a small blob: of a config, of a signature.
---@param ref string  with the blob's digest
---@param size? integer  of its descriptor. Default: limits.json.max_bytes
---@return string?
---@return string? message
---@return string? code
function methods:blob(ref, size)
  local with, session, parts = place_of(self, ref, "blob", "digest")
  if not with then return nil, session, parts end
  argument.count(size, "blob", "the size")
  return ask(with, parts, function()
    return read(with, parts, function(place)
      return blobs.read(place.session, place.repository, parts.digest, size or json_limits().max_bytes)
    end)
  end)
end

--- The tags of a repository, in the order of their bytes.
---@param ref string  without a tag: "docker://host/team/app"
---@return string[]?
---@return string? message
---@return string? code
function methods:tags(ref)
  local with, session, parts = place_of(self, ref, "tags")
  if not with then return nil, session, parts end
  return ask(with, { text = parts.name }, function() return tags.list(session, parts.repository, json_limits()) end)
end

--- Gives what a reference leads to another tag, in the same repository: two requests, and no blob moves.
---@param ref string
---@param tag string
---@return string? digest
---@return string? message
---@return string? code
function methods:tag(ref, tag)
  if type(tag) ~= "string" or not tag:find("^[%w_][%w_.-]*$") or #tag > 128 then misuse("tag: that is no tag") end
  local with, session, parts = place_of(self, ref, "tag")
  if not with then return nil, session, parts end
  return ask(with, parts, function()
    local got, message, code = manifests.get(session, parts.repository, parts.wanted, json_limits())
    if not got then return nil, message, code end
    if not got.media_type then return fail("EFORMAT", "the manifest has no media type") end
    local put
    put, message, code = manifests.put(session, parts.repository, tag, got.text, got.media_type,
      { scopes = { ("repository:%s:pull,push"):format(parts.repository) } })
    return put and got.digest, message, code
  end)
end

--- The manifests that are about what a reference leads to: signatures, lists of contents, attestations.
---@param ref string
---@param artifact_type? string  only those of this type
---@return table[]? descriptors
---@return string? message
---@return string? code
function methods:referrers(ref, artifact_type)
  if artifact_type ~= nil and type(artifact_type) ~= "string" then
    misuse("bad argument #2 to 'referrers' (string expected, got %s)", type(artifact_type))
  end
  local with, session, parts = place_of(self, ref, "referrers")
  if not with then return nil, session, parts end
  return ask(with, parts, function()
    local digest, message, code = parts.digest, nil, nil
    if not digest then digest, message, code = digest_of(session, parts, parts.repository) end
    if not digest then return nil, message, code end
    return referrers.list(session, parts.repository, digest, json_limits(), artifact_type)
  end)
end

--- Deletes a manifest by its digest, with all of its tags, or a tag where the registry can.
---@param ref string  with a tag or a digest
---@return boolean? ok
---@return string? message
---@return string? code  "EUNSUPPORTED": the registry does not delete such
function methods:delete(ref)
  local with, session, parts = place_of(self, ref, "delete")
  if not with then return nil, session, parts end
  if type(ref) == "string" and not parts.digest and not ref:find(":[^/]*$") then
    misuse("delete: %s has neither tag nor digest", parts.name)
  end
  return ask(with, parts, function() return manifests.delete(session, parts.repository, parts.wanted) end)
end

--- How much the registry says that it may be asked, such as Docker Hub does: one request, which does not count.
---@param ref string
---@return strata.RateLimit? rate  nil alone: it says nothing about that
---@return string? message
---@return string? code
function methods:rate(ref)
  local with, session, parts = place_of(self, ref, "rate")
  if not with then return nil, session, parts end
  local told, message, code = ask(with, parts, function()
    local found, why, how = manifests.digest(session, parts.repository, parts.wanted, json_limits())
    if not found and why then return nil, why, how end
    return { rate = session.rate }
  end)
  if not told then return nil, message, code end
  return told.rate
end

--- A client with settings of its own. Everything that takes a reference takes it as the option `registry`.
---@param opts? strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return string? code  "EUNSUPPORTED": strata.http is not there
function registry.new(opts)
  local with, message, code = client.new(opts)
  if not with then return nil, message, code end
  return new { client = with }
end

--- The object of the client that all calls share that give none.
---@return strata.Registry?
---@return string? message
---@return string? code
function registry.shared()
  local with, message, code = client.shared()
  if not with then return nil, message, code end
  return new { client = with }
end

--- A function that tells how many requests a client has made since.
---@param handle strata.Registry?  nil: the client of those who give none
---@return fun(): integer
function registry.counter(handle)
  local with = handle and registry.client_of(handle) or client.shared()
  local before = with and with.requests or 0
  return function() return with and with.requests - before or 0 end
end

--- The client behind the object that a caller has given.
---@param handle strata.Registry
---@return strata.RegistryClient
function registry.client_of(handle)
  return state_of(handle).client
end

new, state_of, is = object.class("strata.Registry", methods, {
  fields = {},
  tostring = function(state)
    local hosts = json.keys(state.client.sessions)
    return ("strata.Registry(%s)"):format(#hosts > 0 and table.concat(hosts, ", ") or "no host yet")
  end,
  close = function(state) state.client:close() end,
})
registry.is = is

return registry
