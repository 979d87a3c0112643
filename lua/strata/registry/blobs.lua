--- Blobs in a registry: whether they are there, and fetching them into files. Uploading is in uploads.lua.
--
-- All functions are called in a task of strata.registry.flow. Bytes are hashed while they come, and count only when the
-- digest of all of them is right. Ids are those of the checks: BLOB1 ...

local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local places = require "strata.registry.places"
local session = require "strata.registry.session"

local blobs = {}

local STALLS = 5 -- breaks without progress: BLOB10
local PROGRESS = 2 ^ 20
local PASSING = { ENETWORK = true, ETIMEDOUT = true }

--- The path of a blob.
---@param repository string
---@param digest string
---@return string
function blobs.path_of(repository, digest)
  return ("/v2/%s/blobs/%s"):format(repository, digest)
end

--- What reading from a repository asks a token for.
---@param repository string
---@return string[]
function blobs.scopes_of(repository)
  return { ("repository:%s:pull"):format(repository) }
end

-- BLOB1: bytes in another encoding are not those that a digest names.
local function check_encoding(encoding, request)
  if not encoding or encoding:lower() == "identity" then return true end
  return fail("EFORMAT", "%s: encoded as %s, which was not asked for", request, core.quote(encoding))
end

--- BLOB2: a body of another length than that of the descriptor is another blob.
---@param message string
---@param code string?
---@return string? code
function blobs.length_code(message, code)
  local is_length = message:find("the body is longer than", 1, true) or message:find("the body has %d+ bytes")
  return is_length and "EDIGEST" or code
end

-- ---- fetching ---------------------------------------------------------------------------------------------

--- The bytes of a small blob: of a config.
---@param from strata.RegistrySession
---@param repository string
---@param digest string
---@param size integer  of its descriptor
---@return string?
---@return string? message
---@return string? code
function blobs.read(from, repository, digest, size)
  if size == 0 then -- BLOB12
    if digests.matches("", digest) then return "" end
    return fail("EDIGEST", "blob %s has no bytes by its descriptor, and another digest", digest)
  end
  local answer, message, code = from:send {
    method = "GET", path = blobs.path_of(repository, digest), scopes = blobs.scopes_of(repository), max_body = size,
  }
  if not answer then return nil, message, blobs.length_code(message, code) end
  if answer.status ~= 200 then return session.refuse(answer) end
  local text, encoding = answer.exchange:body(), answer.exchange:header("content-encoding")
  answer.exchange:close()
  local ok
  ok, message, code = check_encoding(encoding, answer.request)
  if not ok then return nil, message, code end
  local right, found = digests.matches(text, digest)
  if not right then return fail("EDIGEST", "%s: what came hashes to %s", answer.request, found) end
  return text
end

--- A blob that is being fetched.
---@class strata.Fetch
---@field places strata.RegistryPlace[]
---@field from strata.RegistrySession  the one that is asked. This and the rest is written by fetch()
---@field repository string
---@field digest string
---@field size integer
---@field file userdata  an unnamed temporary file
---@field urls string[]?  of a foreign layer: where it is when the registry has it not
---@field url string?  of these the one that is asked
---@field got integer  bytes that are in the file
---@field anew integer  how often it was begun anew because of what the registry said
---@field refused boolean?  a range was refused, or answered with another one
---@field whole boolean?  the registry knows no ranges
---@field asked string?  Retry-After
---@field found string?  the digest of what came, when all of it came at once

-- Forgets what came: BLOB6. The second time that a range is refused is the last one: BLOB8.
local function begin_anew(flow, fetch, request, why, refused)
  flow:moved(-fetch.got)
  fetch.got, fetch.anew = 0, fetch.anew + 1
  if refused and fetch.refused then return fail("EFORMAT", "%s: %s", request, why) end
  fetch.refused = fetch.refused or refused
  return false, ("%s: %s"):format(request, why), "EFORMAT"
end

-- Takes what came of an answer. true | false, message, code: another try may do better | nil, message, code
local function take(flow, fetch, part, request)
  local ok, message, code = check_encoding(part.encoding, request)
  if not ok then return nil, message, code end
  local range = part.status == 206 and headers.content_range(part.range or "")
  local fits = range and range.first == fetch.got and (range.size == nil or range.size == fetch.size)
  if part.status == 206 and not fits then -- BLOB5, BLOB7
    return begin_anew(flow, fetch, request, "206 with another range than was asked for", true)
  end
  fetch.got = fetch.got + part.received
  flow:moved(part.received)
  return true
end

-- What is left of a blob, as a request.
local function rest_of(fetch)
  local is_first = fetch.got == 0
  return {
    method = "GET", path = blobs.path_of(fetch.repository, fetch.digest), url = fetch.url,
    kind = fetch.url and "foreign",
    scopes = blobs.scopes_of(fetch.repository), once = true,
    headers = not is_first and { ("Range: bytes=%.0f-%.0f"):format(fetch.got, fetch.size - 1) } or nil, -- BLOB4
    statuses = { is_first and 200 or 206 },
    to_file = { fd = fetch.file:fileno(), offset = fetch.got, size = fetch.size - fetch.got },
    hash = is_first and select(2, core.digest_valid(fetch.digest)) or nil,
  }, is_first
end

-- An answer that has not the bytes that were asked for.
local function judge(flow, fetch, answer, is_first)
  local status = answer.status
  if (status == 200 or status == 416) and not is_first then
    answer.exchange:close()
    fetch.whole = fetch.whole or status == 200
    return begin_anew(flow, fetch, answer.request, ("%d in answer to a range"):format(status), status == 416)
  end
  local is_elsewhere = not fetch.url and answer.exchange:header("location") == nil and
    not fetch.from:is_own(answer.url)
  local again = session.is_passing(status) or is_elsewhere -- a signed address may have expired: Q14
  if again then fetch.asked = answer.exchange:header("retry-after") end
  local message, code = session.refusal(answer)
  return not again and nil, message, code
end

-- Asks for what is left. true: some of it came | false, message, code: another try may do better | nil, message, code
local function fetch_rest(flow, fetch)
  local request, is_first = rest_of(fetch)
  local answer, message, code, part = fetch.from:send(request)
  local wanted = request.statuses[1]
  if not answer then
    if part and part.status == wanted then
      local ok, why, how = take(flow, fetch, part, request.method .. " " .. (fetch.url and "a URL" or request.path))
      if not ok then return ok, why, how end
    end
    return not PASSING[code] and nil, message, blobs.length_code(message, code)
  end
  if answer.status ~= wanted then return judge(flow, fetch, answer, is_first) end
  local exchange = answer.exchange
  fetch.found = is_first and exchange:digest() or nil
  part = { status = wanted, received = exchange:received(), range = exchange:header("content-range"),
           encoding = exchange:header("content-encoding") }
  exchange:close()
  local ok
  ok, message, code = take(flow, fetch, part, answer.request)
  if ok and fetch.got ~= fetch.size and wanted == 200 then -- BLOB2
    return fail("EDIGEST", "%s: it has %d bytes, but its descriptor says %d", answer.request, fetch.got, fetch.size)
  elseif ok and part.received == 0 then
    return false, answer.request .. ": a range without a byte", "EFORMAT"
  end
  return ok, message, code
end

-- Fetches all of a blob from one place.
local function fetch_all(flow, fetch)
  fetch.got, fetch.anew, fetch.refused, fetch.whole, fetch.found = 0, 0, nil, nil, nil
  local breaks = 0
  while fetch.got < fetch.size do
    local before = fetch.got
    local ok, message, code = fetch_rest(flow, fetch)
    if ok == nil then return nil, message, code end
    if not ok then
      breaks = fetch.anew == 0 and fetch.got - before >= PROGRESS and 1 or breaks + 1
      if breaks >= STALLS or not fetch.from:back_off(breaks, fetch.asked) then return nil, message, code end
      fetch.asked = nil
      if fetch.whole then -- BLOB6
        flow:moved(-fetch.got)
        fetch.got = 0
      end
    end
  end
  return true
end

-- Asks the URLs of a foreign layer one after the other: BLOB15.
local function fetch_foreign(flow, fetch, message)
  local ok, code
  for _, one in ipairs(fetch.urls) do
    flow:moved(-fetch.got)
    fetch.url = one
    local why
    ok, why, code = fetch_all(flow, fetch)
    if ok then return true end
    message = message .. "; " .. why
  end
  return nil, message, code
end

-- Fetches a blob from one place.
local function fetch_at(flow, fetch, place)
  if fetch.got then flow:moved(-fetch.got) end
  fetch.from, fetch.repository, fetch.url = place.session, place.repository, nil
  local ok, message, code = fetch_all(flow, fetch)
  if not ok and code == "ENOENT" and fetch.urls and fetch.urls[1] and not place.mirror then
    if not fetch.from.client.rules.foreign then
      return fail("ENOENT", "%s; its URLs are asked with strata.registry{foreign = true} only", message)
    end
    ok, message, code = fetch_foreign(flow, fetch, message)
  end
  if not ok then return nil, message, code end
  if fetch.found and fetch.found ~= fetch.digest then -- BLOB3
    return fail("EDIGEST", "GET %s: what came hashes to %s", blobs.path_of(fetch.repository, fetch.digest), fetch.found)
  end
  ok, message, code = fetch.file:grow(fetch.size)
  if not ok then return nil, message, code end
  return true, fetch.found ~= nil
end

--- Fetches a blob into a file. What breaks off goes on where it was. Its digest is compared while it comes, unless it
-- came in parts: then the second result is false, and whoever wants the file compares it.
---@param flow strata.Flow
---@param fetch strata.Fetch
---@return boolean? ok
---@return boolean|string|nil compared  or message
---@return string? code
function blobs.fetch(flow, fetch)
  return places.read(fetch.places, true, function(place) return fetch_at(flow, fetch, place) end)
end

-- ---- asking ----------------------------------------------------------------------------------------------------

--- Whether a registry has a blob: 403 counts as no, since some registries answer so for what is not there (RTY5).
---@param to strata.RegistrySession
---@param repository string
---@param digest string
---@param scopes string[]
---@return boolean?
---@return string? message
---@return string? code
function blobs.exists(to, repository, digest, scopes)
  local answer, message, code = to:send { method = "HEAD", path = blobs.path_of(repository, digest), scopes = scopes }
  if not answer then return nil, message, code end
  local status = answer.status
  if status == 200 or status == 404 or status == 403 then
    answer.exchange:close()
    return status == 200
  end
  return session.refuse(answer)
end

return blobs
