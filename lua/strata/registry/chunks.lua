--- Uploads in chunks, for hosts that take only so many bytes in a request (chunk_size). One request is the rule: it
-- costs less, and some registries drop every chunk but the first (UP8).
--
-- What a registry says that it has counts, never what was sent: UP7. Ids are those of the checks.

local core = require "strata.core"
local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local chunks = {}

-- A registry that wants chunks of at least this size talks nonsense: UP6, A18.
local MOST = 16 * 2 ^ 30
local PASSING = { ENETWORK = true, ETIMEDOUT = true }

--- An upload in chunks.
---@class strata.Chunked
---@field to strata.RegistrySession
---@field upload strata.Upload
---@field scopes string[]
---@field size integer  of a chunk
---@field at integer  bytes that the registry has. This and the rest is written by this file alone
---@field location string  of the newest answer: older ones are void (RED9)
---@field breaks integer  how often it broke off since a chunk came through

-- Takes the address for what follows, which every answer states anew.
local function take_location(this, answer, is_needed)
  local location = answer.exchange:header("location")
  if not location and not is_needed then return true end
  if not location then return fail("EFORMAT", "%s: %d without Location", answer.request, answer.status) end
  local to_url, message = url.resolve(answer.url, location)
  if not to_url then return fail("EREDIRECT", "%s: %s", answer.request, message) end
  this.location, this.upload.location = to_url, to_url
  return true
end

-- The bytes that the registry says it has. "0-0" is one byte or none, so it tells nothing: UP10.
local function held(answer)
  local last = headers.range_end(answer.exchange:header("range") or "")
  return last and last > 0 and last + 1 or nil
end

-- Goes on behind what the registry has. true | false, message, code: begin anew | nil, message, code
local function go_on(this, flow, answer, most)
  local has, request = held(answer), answer.request
  answer.exchange:close()
  if has and has > most then
    return fail("EFORMAT", "%s: the registry says that it has %.0f bytes, but %.0f were sent", request, has, most)
  elseif not has or has <= this.at then
    return false, ("%s: the registry does not say that it has more than %.0f bytes"):format(request, this.at), "ESERVER"
  end
  flow:moved(has - this.at)
  this.at, this.breaks = has, 0
  return true
end

-- Asks what the registry has of an upload that broke off, and goes on there: UP9, UP11.
local function ask(this, most)
  local answer, message, code = this.to:send {
    method = "GET", url = this.location, kind = "upload", scopes = this.scopes,
  }
  if not answer then return not PASSING[code] and nil, message, code end
  if answer.status ~= 204 then
    message, code = session.refusal(answer)
    return false, message, code
  end
  local ok
  ok, message, code = take_location(this, answer)
  local has = held(answer)
  answer.exchange:close()
  if not ok then return nil, message, code end
  if has and has >= this.at and has <= most then return true, has end
  local says = has and ("%.0f bytes"):format(has) or "not how many"
  message = "%s: of %.0f to %.0f bytes the registry says that it has %s"
  return false, message:format(answer.request, this.at, most, says), "ESERVER"
end

-- After a chunk that broke off: true to go on | false, message, code: begin anew | nil, message, code
local function recover(this, flow, most, asked, message, code)
  this.breaks = this.breaks + 1
  if not this.to:back_off(this.breaks, asked) then return nil, message, code end
  local ok, has, how = ask(this, most)
  if not ok then return ok, has, how end
  flow:moved(has - this.at)
  this.at = has
  return true
end

-- Sends the next chunk. true | false, message, code: begin anew | nil, message, code
local function send_next(this, flow)
  local upload, first = this.upload, this.at
  local last = math.min(first + this.size, upload.size) - 1
  local file = upload.file
  local answer, message, code = this.to:send {
    method = "PATCH", url = this.location, kind = "upload", scopes = this.scopes, once = true,
    headers = { "Content-Type: application/octet-stream", ("Content-Range: %.0f-%.0f"):format(first, last) }, -- UP5
    body = upload.bytes and upload.bytes:sub(first + 1, last + 1),
    body_file = file and { fd = file:fileno(), offset = upload.offset + first, size = last - first + 1 } or nil,
  }
  if not answer then
    if code == "EAUTH" then return false, message, code end -- UP17
    if not PASSING[code] then return nil, message, code end
    return recover(this, flow, last + 1, nil, message, code)
  end
  local status = answer.status
  if status == 202 or status == 201 then -- UP8
    local ok
    ok, message, code = take_location(this, answer, status == 202)
    if ok then return go_on(this, flow, answer, last + 1) end
    answer.exchange:close()
    return nil, message, code
  end
  local asked = answer.exchange:header("retry-after")
  message, code = session.refusal(answer)
  if status == 404 then return false, message, code end
  if status ~= 416 and not session.is_passing(status) then return nil, message, code end
  return recover(this, flow, last + 1, asked, message, code)
end

--- Sends all bytes of a blob but does not end the upload.
---@param flow strata.Flow
---@param to strata.RegistrySession
---@param upload strata.Upload  with bytes or a file
---@param scopes string[]
---@param least string?  OCI-Chunk-Min-Length: what the registry wants at least
---@return string|false|nil location  to end it; false, message, code: another upload may do better
---@return string? message
---@return string? code
function chunks.send(flow, to, upload, scopes, least)
  local size, wanted = to.settings.chunk_size, headers.chunk_min(least or "")
  if wanted and wanted > MOST then
    return fail("EFORMAT", "%s: it wants chunks of at least %s bytes", to.host, core.quote(least))
  end
  local this = {
    to = to, upload = upload, scopes = scopes, size = math.max(size, wanted or 0), at = 0, location = upload.location,
    breaks = 0,
  }
  while this.at < upload.size do
    local ok, message, code = send_next(this, flow)
    if not ok then
      flow:moved(-this.at)
      return ok, message, code
    end
  end
  flow:moved(-upload.size) -- it counts once, when the upload has ended
  return this.location
end

return chunks
