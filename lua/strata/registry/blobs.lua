--- Blobs in a registry: fetching into files, and uploading.
--
-- All functions are called in a task of strata.registry.flow. Bytes are hashed while they come, and count only when the
-- digest of all of them is right. Ids are those of the checks: BLOB1 ...

local async = require "strata.registry.flow"
local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local places = require "strata.registry.places"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local blobs = {}

local STALLS = 5 -- breaks without progress: BLOB10
local PROGRESS = 2 ^ 20
local PASSING = { ENETWORK = true, ETIMEDOUT = true }

local function path_of(repository, digest)
  return ("/v2/%s/blobs/%s"):format(repository, digest)
end

local function scopes_of(repository)
  return { ("repository:%s:pull"):format(repository) }
end

-- BLOB1: bytes in another encoding are not those that a digest names.
local function check_encoding(encoding, request)
  if not encoding or encoding:lower() == "identity" then return true end
  return fail("EFORMAT", "%s: encoded as %s, which was not asked for", request, core.quote(encoding))
end

-- BLOB2: a body of another length than that of the descriptor is another blob.
local function length_code(message, code)
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
  if size == 0 then return "" end -- BLOB12
  local answer, message, code = from:send {
    method = "GET", path = path_of(repository, digest), scopes = scopes_of(repository), max_body = size,
  }
  if not answer then return nil, message, length_code(message, code) end
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
    method = "GET", path = path_of(fetch.repository, fetch.digest), url = fetch.url, kind = fetch.url and "foreign",
    scopes = scopes_of(fetch.repository), once = true,
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
    return not PASSING[code] and nil, message, length_code(message, code)
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
    return fail("EDIGEST", "%s %s: what came hashes to %s", "GET", path_of(fetch.repository, fetch.digest), fetch.found)
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

-- ---- uploading --------------------------------------------------------------------------------------------

--- A blob that is going to be uploaded: bytes, or a range of a file.
---@class strata.Upload
---@field digest string
---@field size integer
---@field bytes string?
---@field file userdata?  with `from`: a temporary one that upload() has made
---@field offset integer?
---@field from strata.RegistryPlace[]?  where it is, the registry itself last
---@field mount string?  a repository of the same registry that has it
---@field result "mounted"|"uploaded"|nil  written by upload()
---@field location string?  of an upload that was begun, and has not ended. Written by upload()

local function uploads_of(repository)
  return ("/v2/%s/blobs/uploads/"):format(repository)
end

---@class strata.PushScopes
---@field [integer] string
---@field refused table<string, boolean>  repositories that nothing can be mounted from. Written by upload()

--- The scopes of an upload. That of the push comes first: some registries look at no other (MNT5).
---@param repository string
---@param mounts string[]  repositories of the same registry that blobs are mounted from
---@return strata.PushScopes
function blobs.push_scopes(repository, mounts)
  local scopes = { ("repository:%s:pull,push"):format(repository), refused = {} }
  for _, name in ipairs(mounts) do scopes[#scopes + 1] = ("repository:%s:pull"):format(name) end
  return scopes
end

-- A token for several repositories, or a mount, that was refused.
local REFUSED = { EAUTH = true, EDENIED = true }

-- Leaves out what blobs cannot be mounted from, also for the uploads that follow: MNT4. All of it when none is named.
local function leave_out(scopes, source)
  for i = #scopes, 2, -1 do
    local name = scopes[i]:match("^repository:(.*):pull$")
    if source == nil or name == source then
      scopes.refused[name] = true
      table.remove(scopes, i)
    end
  end
end

-- The scopes of one request: what another upload leaves out meanwhile stays in it.
local function copied(scopes)
  local copy = {}
  for i, scope in ipairs(scopes) do copy[i] = scope end
  return copy
end

-- Begins an upload. A token server may refuse the whole set of scopes for the sake of one: MNT5.
local function begin(to, repository, scopes)
  local request = { method = "POST", path = uploads_of(repository), scopes = copied(scopes), body = "" }
  local answer, message, code = to:send(request)
  if not answer and REFUSED[code] and #request.scopes > 1 then
    leave_out(scopes)
    request.scopes = copied(scopes)
    answer, message, code = to:send(request)
  end
  return answer, message, code
end

-- Asks for a mount. -> true | false: it was refused | an answer: an upload was begun | nil, message, code
local function mount(to, repository, upload, scopes)
  local answer, message, code = to:send {
    method = "POST", scopes = copied(scopes), body = "",
    path = uploads_of(repository) .. ("?mount=%s&from=%s"):format(upload.digest, url.escape(upload.mount)),
  }
  if not answer then
    if not REFUSED[code] then return nil, message, code end
    leave_out(scopes, upload.mount)
    return false
  end
  local status, stated = answer.status, session.stated_digest(answer)
  if status == 202 then return answer end -- MNT3
  answer.exchange:close()
  if status == 201 and not (stated and digests.differ(stated, upload.digest)) then return true end -- MNT2
  if status ~= 201 then leave_out(scopes, upload.mount) end
  return false
end

-- Begins an upload, or mounts the blob. -> Location | true for mounted | nil, message, code
local function open_upload(to, repository, upload, scopes)
  local answer, message, code = false, nil, nil
  if upload.mount and not scopes.refused[upload.mount] then
    answer, message, code = mount(to, repository, upload, scopes)
    if answer == true then return true end
  end
  upload.mount = nil
  if answer == false then answer, message, code = begin(to, repository, scopes) end
  if not answer then return nil, message, code end
  if answer.status ~= 202 then return session.refuse(answer) end
  local location = answer.exchange:header("location")
  answer.exchange:close()
  if not location then return fail("EFORMAT", "%s: 202 without Location", answer.request) end
  local to_url
  to_url, message = url.resolve(answer.url, location) -- RED7
  if not to_url then return fail("EREDIRECT", "%s: %s", answer.request, message) end
  return to_url
end

--- Whether a registry has a blob: 403 counts as no, since some registries answer so for what is not there (RTY5).
---@param to strata.RegistrySession
---@param repository string
---@param digest string
---@param scopes string[]
---@return boolean?
---@return string? message
---@return string? code
function blobs.exists(to, repository, digest, scopes)
  local answer, message, code = to:send { method = "HEAD", path = path_of(repository, digest), scopes = scopes }
  if not answer then return nil, message, code end
  local status = answer.status
  if status == 200 or status == 404 or status == 403 then
    answer.exchange:close()
    return status == 200
  end
  return session.refuse(answer)
end

-- Whether the registry has taken the bytes of a PUT. true | false, message, code: again | nil, message, code
local function taken(to, repository, upload, scopes, answer)
  local status, stated = answer.status, session.stated_digest(answer)
  if status >= 200 and status < 300 then
    answer.exchange:close()
    if stated and digests.differ(stated, upload.digest) then -- UP14
      return fail("EDIGEST", "%s: the registry says that it has %s", answer.request, stated)
    elseif status ~= 201 and status ~= 204 then -- UP13
      local there, message, code = blobs.exists(to, repository, upload.digest, copied(scopes))
      if there == false then
        return false, ("%s: %d, and no blob is there"):format(answer.request, status), "EFORMAT"
      end
      return there, message, code
    end
    return true
  end
  local again = session.is_passing(status) or status == 416 or status == 404 -- UP12
  upload.asked = again and answer.exchange:header("retry-after") or nil
  local message, code = session.refusal(answer)
  if again then return false, message, code end
  return nil, message, code
end

-- A request that ended without an answer: again, where another try may do better.
local function broken(message, code)
  if PASSING[code] or code == "EAUTH" then return false, message, code end -- UP17
  return nil, message, code
end

-- Sends the bytes to where the registry wants them. true | false, message, code: again | nil, message, code
local function put_bytes(to, repository, upload, scopes, location, pipe)
  local file = upload.file
  local answer, message, code = to:send {
    method = "PUT", url = url.with_query(location, "digest", upload.digest), kind = "upload", -- RED8
    scopes = copied(scopes), once = true, headers = { "Content-Type: application/octet-stream" }, body = upload.bytes,
    body_file = file and { fd = file:fileno(), offset = upload.offset, size = upload.size } or nil, body_pipe = pipe,
  }
  if not answer then return broken(message, code) end
  return taken(to, repository, upload, scopes, answer)
end

-- Gets a blob into a pipe from one place. true | nil, message, code, whether the pipe has some of it
local function get_into(place, upload, pipe)
  local answer, message, code, part = place.session:send {
    method = "GET", path = path_of(place.repository, upload.digest), scopes = scopes_of(place.repository), once = true,
    statuses = { 200 }, to_pipe = pipe,
  }
  if not answer then return nil, message, code, part ~= nil and part.status == 200 end
  if answer.status ~= 200 then return session.refuse(answer) end
  answer.exchange:close()
  return true
end

-- Sends the bytes from one registry to another; neither this machine's disk nor its memory has them.
local function pipe_bytes(flow, to, repository, upload, scopes, location)
  local pipe, message, code = to.client.transport:pipe(upload.size, upload.digest)
  if not pipe then return nil, message, code end
  local getting = flow:beside(function()
    local got, why, how = places.read(upload.from, true, function(place) return get_into(place, upload, pipe) end)
    if not got then pipe:close() end -- neither end waits for the other one
    return got, why, how
  end)
  local ok
  ok, message, code = put_bytes(to, repository, upload, scopes, location, pipe)
  if not ok then pipe:close() end
  async.await { ready = function() return getting.values ~= nil end }
  local got = getting.values
  if got[3] then got[3] = length_code(got[2], got[3]) end
  if ok or got[1] then return ok, message, code end
  -- What the source has said is the reason, unless it only says that the target broke off.
  if got[3] == "EDIGEST" or got[3] == "ENOENT" or not PASSING[got[3]] then return nil, got[2], got[3] end
  return false, got[2], got[3]
end

-- Fetches a blob of the same registry, which has not mounted it. A pipe would need two connections of one host for a
-- blob, and as many blobs as there are connections would wait for each other.
local function spool(flow, upload)
  local file, message, code = core.temp_file()
  if not file then return nil, message, code end
  local ok
  ok, message, code = blobs.fetch(flow, {
    places = upload.from, digest = upload.digest, size = upload.size, file = file,
  })
  if not ok then
    file:close()
    return nil, message, code
  end
  flow:moved(-upload.size) -- it counts once, when it has been sent
  upload.file, upload.offset = file, 0
  return true
end

-- Sends the bytes of a blob, wherever they are. true | false, message, code: again | nil, message, code
local function send_bytes(flow, to, repository, upload, scopes, location)
  local is_near = false
  for _, place in ipairs(upload.from or {}) do is_near = is_near or place.session.own.origin == to.own.origin end
  if upload.from and not is_near then return pipe_bytes(flow, to, repository, upload, scopes, location) end
  if is_near and not upload.file then
    local ok, message, code = spool(flow, upload)
    if not ok then return nil, message, code end
  end
  return put_bytes(to, repository, upload, scopes, location)
end

-- Tries until the registry has the blob.
local function send(flow, to, repository, upload, scopes)
  local tries = 0
  while true do
    local location, message, code = open_upload(to, repository, upload, scopes)
    if not location then return nil, message, code end
    if location == true then return "mounted" end
    upload.location = location
    local ok
    ok, message, code = send_bytes(flow, to, repository, upload, scopes, location)
    if ok then return "uploaded" end
    tries = tries + 1
    if ok == nil or not to:back_off(tries, upload.asked) then return nil, message, code end
  end
end

--- Uploads a blob, or mounts it. Every try begins an upload of its own.
---@param flow strata.Flow
---@param to strata.RegistrySession
---@param repository string
---@param upload strata.Upload
---@param scopes strata.PushScopes
---@return boolean? ok
---@return string? message
---@return string? code
function blobs.upload(flow, to, repository, upload, scopes)
  local how, message, code = send(flow, to, repository, upload, scopes)
  if upload.from and upload.file then
    upload.file:close()
    upload.file = nil
  end
  if not how then return nil, message, code end
  upload.result, upload.location = how, nil
  flow:moved(upload.size)
  return true
end

--- Gives an upload up that was begun, without waiting for long what becomes of it: UP16.
---@param to strata.RegistrySession
---@param upload strata.Upload
---@param scopes strata.PushScopes
---@return boolean
function blobs.cancel(to, upload, scopes)
  local answer = to:send {
    method = "DELETE", url = upload.location, kind = "upload", scopes = copied(scopes), once = true, body = "",
    stall_timeout = 2,
  }
  upload.location = nil
  if answer then answer.exchange:close() end
  return true
end

return blobs
