--- Uploading blobs to a registry: mounted from another repository of it, sent in one request, in chunks where its host
-- is set so, or piped from another registry.
--
-- All functions are called in a task of strata.registry.flow. Ids are those of the checks: UP1 ...

local async = require "strata.registry.flow"
local blobs = require "strata.registry.blobs"
local chunks = require "strata.registry.chunks"
local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local places = require "strata.registry.places"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local uploads = {}

local PASSING = { ENETWORK = true, ETIMEDOUT = true }

--- A blob that is going to be uploaded: bytes, or a range of a file.
---@class strata.Upload
---@field digest string
---@field size integer
---@field bytes string?
---@field file userdata?  with `from`: a temporary one that send() has made
---@field offset integer?
---@field from strata.RegistryPlace[]?  where it is, the registry itself last
---@field mount string?  a repository of the same registry that has it
---@field result "mounted"|"uploaded"|nil  written by send()
---@field location string?  of an upload that was begun, and has not ended. This and the rest is written by send()
---@field chunk_min string?  what the registry says of the size of chunks
---@field place strata.RegistryPlace?  that a pipe was filled from

local function address_of(repository)
  return ("/v2/%s/blobs/uploads/"):format(repository)
end

---@class strata.PushScopes
---@field [integer] string
---@field refused table<string, boolean>  repositories that nothing can be mounted from. Written by send()

--- The scopes of an upload. That of the push comes first: some registries look at no other (MNT5).
---@param repository string
---@param mounts string[]  repositories of the same registry that blobs are mounted from
---@return strata.PushScopes
function uploads.push_scopes(repository, mounts)
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
  local request = { method = "POST", path = address_of(repository), scopes = copied(scopes), body = "" }
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
    path = address_of(repository) .. ("?mount=%s&from=%s"):format(upload.digest, url.escape(upload.mount)),
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
  upload.chunk_min = answer.exchange:header("oci-chunk-min-length")
  answer.exchange:close()
  if not location then return fail("EFORMAT", "%s: 202 without Location", answer.request) end
  local to_url
  to_url, message = url.resolve(answer.url, location) -- RED7
  if not to_url then return fail("EREDIRECT", "%s: %s", answer.request, message) end
  return to_url
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
  if status == 413 then message = message .. "; with hosts = {[...] = {chunk_size = }} less is sent at once" end
  return nil, message, code
end

-- A request that ended without an answer: again, where another try may do better.
local function broken(message, code)
  if PASSING[code] or code == "EAUTH" then return false, message, code end -- UP17
  return nil, message, code
end

-- Sends the bytes to where the registry wants them, or other ones. true | false, message, code: again | nil, message,
-- code
local function put_bytes(to, repository, upload, scopes, other)
  local file = not other and upload.file
  local answer, message, code = to:send {
    method = "PUT", url = url.with_query(upload.location, "digest", upload.digest), kind = "upload", -- RED8
    scopes = copied(scopes), once = true, headers = { "Content-Type: application/octet-stream" },
    body = other and other.body or not other and upload.bytes or nil,
    body_file = file and { fd = file:fileno(), offset = upload.offset, size = upload.size } or nil,
    body_pipe = other and other.pipe,
  }
  if not answer then return broken(message, code) end
  return taken(to, repository, upload, scopes, answer)
end

-- Gets a blob into a pipe from one place. true | nil, message, code, whether the pipe has some of it
local function get_into(place, upload, pipe)
  upload.place = place
  local answer, message, code, part = place.session:send {
    method = "GET", path = blobs.path_of(place.repository, upload.digest), once = true,
    scopes = blobs.scopes_of(place.repository), statuses = { 200 }, to_pipe = pipe,
  }
  if not answer then return nil, message, blobs.length_code(message, code), part ~= nil and part.status == 200 end
  if answer.status ~= 200 then return session.refuse(answer) end
  answer.exchange:close()
  return true
end

-- Sends the bytes from one registry to another; neither this machine's disk nor its memory has them.
local function pipe_bytes(flow, to, repository, upload, scopes)
  local pipe, message, code = to.client.transport:pipe(upload.size, upload.digest)
  if not pipe then return nil, message, code end
  local getting = flow:beside(function()
    local got, why, how = places.read(upload.from, true, function(place) return get_into(place, upload, pipe) end)
    if not got then pipe:close() end -- neither end waits for the other one
    return got, why, how
  end)
  local ok
  ok, message, code = put_bytes(to, repository, upload, scopes, { pipe = pipe })
  if not ok then pipe:close() end
  async.await { ready = function() return getting.values ~= nil end }
  local got = getting.values
  if ok or got[1] then return ok, message, code end
  -- What the source has said is the reason, unless it only says that the target broke off. A mirror that has sent other
  -- bytes is not asked again: NET10.
  if PASSING[got[3]] or got[3] == "EDIGEST" and upload.place.mirror then return false, got[2], got[3] end
  return nil, got[2], got[3]
end

-- Fetches a blob of the same registry, which has not mounted it, or one that goes up in chunks. A pipe would need two
-- connections of one host for a blob, and as many blobs as there are connections would wait for each other.
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

--- Gives an upload up that was begun, without waiting for long what becomes of it: UP16.
---@param to strata.RegistrySession
---@param upload strata.Upload
---@param scopes strata.PushScopes
---@return boolean
function uploads.cancel(to, upload, scopes)
  local answer = to:send {
    method = "DELETE", url = upload.location, kind = "upload", scopes = copied(scopes), once = true, body = "",
    stall_timeout = 2,
  }
  upload.location = nil
  if answer then answer.exchange:close() end
  return true
end

-- Sends the bytes of a blob, wherever they are. true | false, message, code: again | nil, message, code
local function send_bytes(flow, to, repository, upload, scopes)
  local is_near = false
  for _, place in ipairs(upload.from or {}) do is_near = is_near or place.session.own.origin == to.own.origin end
  local in_chunks = to.settings.chunk_size and upload.size > to.settings.chunk_size
  if upload.from and not is_near and not in_chunks then return pipe_bytes(flow, to, repository, upload, scopes) end
  if upload.from and not upload.file then
    local ok, message, code = spool(flow, upload)
    if not ok then return nil, message, code end
  end
  if not in_chunks then return put_bytes(to, repository, upload, scopes) end
  local location, message, code = chunks.send(flow, to, upload, copied(scopes), upload.chunk_min)
  if location then return put_bytes(to, repository, upload, scopes, { body = "" }) end
  uploads.cancel(to, upload, scopes) -- the registry has bytes of it
  return location, message, code
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
    ok, message, code = send_bytes(flow, to, repository, upload, scopes)
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
function uploads.send(flow, to, repository, upload, scopes)
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

return uploads
