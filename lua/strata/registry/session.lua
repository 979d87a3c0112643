--- Requests to one registry: authentication, redirects, retries.
--
-- send() is called in a task of strata.registry.flow. It gives an answer of any status that is neither a redirect, nor
-- a challenge that can be met, nor one that a later try may change; what such an answer means is the caller's.
--
-- No redirect is followed without url.may_go, and credentials go to the registry's own origin only.

local core = require "strata.core"
local errors = require "strata.registry.errors"
local fail = require "strata.util.fail"
local flow = require "strata.registry.flow"
local headers = require "strata.registry.headers"
local url = require "strata.registry.url"

local session = {}

local MAX_HOPS = 5 -- RED1
local MAX_BODY = 65536 -- of what is no document that was asked for: A12
local MAX_DELAY = 30 -- seconds, RTY2
local FIRST_DELAY = 0.5

-- Failures of the network, and statuses, that another try may change: RTY1.
local PASSING = { ENETWORK = true, ETIMEDOUT = true }
local RETRIED = { [408] = true, [429] = true, [500] = true, [502] = true, [503] = true, [504] = true }
local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
local KEEPS_BODY = { [307] = true, [308] = true }

--- A request. One of path and url says where to; a url is one that the registry has named.
---@class strata.RegistryRequest
---@field method string
---@field path string?
---@field url string?
---@field kind "redirect"|"upload"|"link"|"foreign"|nil  of a url
---@field headers string[]?
---@field scopes string[]?  what a token for it has to allow
---@field body string?
---@field body_file {fd: integer, offset: integer, size: integer}?
---@field body_pipe userdata?
---@field max_body integer?  bytes of an answer in memory
---@field to_file {fd: integer, offset: integer, size: integer}?
---@field to_pipe userdata?
---@field statuses integer[]?  those whose bodies are wanted
---@field hash "sha256"|"sha512"|nil
---@field once boolean?  no second try: its body cannot be sent again, or the caller begins anew
---@field stall_timeout number?  seconds, instead of those of the host

--- An answer.
---@class strata.RegistryAnswer
---@field status integer
---@field exchange strata.Exchange
---@field url string  that has answered, after redirects
---@field request string  what was asked, for messages

--- What came of an answer that broke off.
---@class strata.PartOfAnswer
---@field status integer?  nil: not even its head
---@field received integer  bytes of its body
---@field range string?  Content-Range
---@field encoding string?  Content-Encoding

--- Requests to one registry.
---@class strata.RegistrySession
---@field client strata.RegistryClient
---@field host string  as references have it
---@field settings strata.RegistryHost
---@field base string  "https://registry:5000"
---@field own strata.Url  the same, parsed
---@field class string?  of the address that it was found at. Written by send()
---@field not_before number?  the time before which nothing is asked of it. Written by send()
---@field requests integer  that were sent. Written by send()
---@field known table<string, table<string, boolean>>?  digests of blobs by repository; see push.known()
---@field warnings string[]  of its Warning headers. Written by send()
local Session = {}
Session.__index = Session

--- A session for a host.
---@param client strata.RegistryClient
---@param host string
---@param base string
---@param settings strata.RegistryHost
---@return strata.RegistrySession
function session.new(client, host, base, settings)
  return setmetatable({
    client = client, host = host, base = base, own = assert(url.parse(base)), settings = settings, requests = 0,
    warnings = {},
  }, Session)
end

-- ---- where a request goes ---------------------------------------------------------------------------------

--- Where a request goes, and what it may take along.
---@class strata.RequestTarget
---@field url string
---@field own boolean  it is the registry itself
---@field credentials boolean  the registry's may go along
---@field addresses "any"|"private"|"public"

-- Where a URL that the registry has named, or the answer from another URL, may be asked.
function Session:named(kind, text, via)
  local rules = self.client.rules
  local go, message, code = url.may_go(self.base, text, kind, {
    class = self.class, allow_hosts = rules.allow_hosts, trusted = rules.trusted, insecure = rules.insecure,
    foreign = rules.foreign, location = self.settings.location, via = via,
  })
  if not go then return nil, message, code end
  return { url = go.url, own = go.origin == self.own.origin, credentials = go.credentials, addresses = go.addresses }
end

function Session:target(request)
  if request.url then return self:named(request.kind or "redirect", request.url) end
  return { url = self.base .. request.path, own = true, credentials = true,
           addresses = self.settings.any_address and "any" or "private" }
end

-- ---- one exchange -----------------------------------------------------------------------------------------

local function copy_into(to, list)
  for _, item in ipairs(list or {}) do to[#to + 1] = item end
  return to
end

--- Starts an exchange with what the settings of the host say.
---@param request strata.RegistryRequest
---@param target strata.RequestTarget
---@param authorization string?  a header
---@return strata.Exchange?
---@return string? message
---@return string? code
function Session:start(request, target, authorization)
  local settings, own = self.settings, target.own
  local lines = { "Accept-Encoding: identity" } -- BLOB1
  copy_into(lines, request.headers)
  if authorization then lines[#lines + 1] = authorization end
  self.requests = self.requests + 1
  return self.client.transport:start {
    method = request.method, url = target.url, headers = lines, addresses = target.addresses,
    body = request.body, body_file = request.body_file, body_pipe = request.body_pipe,
    max_body = request.max_body or MAX_BODY, to_file = request.to_file, to_pipe = request.to_pipe,
    statuses = request.statuses, hash = request.hash,
    ca = settings.ca, insecure = own and settings.insecure or false, cert = own and settings.cert or nil,
    key = own and settings.key or nil, proxy = self.client:proxy_for(target.url),
    connect_timeout = settings.connect_timeout, stall_timeout = request.stall_timeout or settings.stall_timeout,
    resolve = settings.resolve,
  }
end

local function is_wanted(request, status)
  for _, one in ipairs(request.statuses or {}) do
    if one == status then return true end
  end
  return request.statuses == nil
end

-- What became of an exchange: a status, or nil, message, code. An answer that came before all was sent counts: UP19.
-- So does one that is not wanted, whose body is not read.
local function outcome(exchange, request)
  local status, message, code = exchange:status()
  if status then return status end
  local early = exchange:head_status()
  if early and early >= 400 and PASSING[code] then return early end
  if early and early < 300 and not is_wanted(request, early) then return early end
  return nil, message, code
end

-- ---- waiting ----------------------------------------------------------------------------------------------

-- Waits while the registry wants to be left alone: RTY7.
function Session:await_turn()
  local now = self.client.transport:now()
  if self.not_before and self.not_before > now then flow.await { till = self.not_before } end
end

--- Seconds before another try; nil: the registry wants more than is waited for.
---@param try integer  1 for the first
---@param asked number?  of Retry-After
---@return number?
function Session:delay(try, asked)
  if asked then return asked <= self.client.rules.max_wait and asked or nil end
  local delay = math.min(FIRST_DELAY * 2 ^ (try - 1), MAX_DELAY)
  return delay * (0.75 + self.client.random() / 2)
end

--- Waits before another try.
---@param try integer
---@param asked? string  the Retry-After of an answer
---@param status? integer  of the answer
---@return boolean  false: it is not to be tried again
function Session:back_off(try, asked, status)
  if try > self.client.rules.retries then return false end
  local delay = self:delay(try, asked and headers.retry_after(asked, self.client.time()))
  if not delay then return false end
  local till = self.client.transport:now() + delay
  if status == 429 or status == 503 then self.not_before = math.max(self.not_before or 0, till) end
  flow.await { till = till }
  return true
end

--- Whether another try may change a status: RTY1.
---@param status integer
---@return boolean
function session.is_passing(status)
  return RETRIED[status] == true
end

--- Whether a URL is one of the registry itself.
---@param text string
---@return boolean
function Session:is_own(text)
  local parts = url.parse(text)
  return parts ~= nil and parts.origin == self.own.origin
end

-- ---- asking -----------------------------------------------------------------------------------------------

-- What a message calls a request.
local function called(request, target)
  return ("%s %s"):format(request.method, errors.shown(target.url))
end

function Session:take_warnings(exchange)
  for _, text in ipairs(headers.warnings(exchange:headers("warning"))) do
    local known = false
    for _, one in ipairs(self.warnings) do known = known or one == text end
    if not known and #self.warnings < 20 then self.warnings[#self.warnings + 1] = text end
  end
end

-- The next target, of a redirect.
function Session:redirected(request, target, exchange, status)
  local location = exchange:header("location")
  local asked = called(request, target)
  if not location then return fail("EREDIRECT", "%s: %d without Location", asked, status) end
  local has_body = request.method ~= "GET" and request.method ~= "HEAD"
  if has_body and not KEEPS_BODY[status] then
    return fail("EREDIRECT", "%s: %d in answer to a %s", asked, status, request.method)
  end
  local to, message = url.resolve(target.url, location)
  if not to then return fail("EREDIRECT", "%s: %d: %s", asked, status, message) end
  local code
  to, message, code = self:named("redirect", to, target.url)
  if not to then return nil, ("%s: %d: %s"):format(asked, status, message), code end
  return to
end

-- The header that says who asks. -> header or false for nobody | nil, message, code
function Session:authorization(request, target)
  if not target.credentials then return false end
  return self.client.auth:header(self, request.scopes or {})
end

--- One request: what it took so far.
---@class strata.Asking
---@field target strata.RequestTarget
---@field tries integer
---@field hops integer
---@field challenged boolean?

-- Decides about an answer: true to ask again, false to hand it on, or nil, message, code.
function Session:judge(request, asking, exchange, status)
  local target = asking.target
  if status == 401 and target.own and not asking.challenged then
    asking.challenged = true
    local met, message, code = self.client.auth:answer(self, exchange:headers("www-authenticate"),
      request.scopes or {}, called(request, target))
    if met and request.once and (request.body_file or request.body_pipe) then -- UP17
      return fail("EAUTH", "%s: 401 behind the body", called(request, target))
    end
    return met, message, code
  elseif status == 401 then
    local why = self.client.auth:why(self, exchange:headers("www-authenticate"), target.own)
    local _, message = errors.refused(called(request, target), status, exchange:body())
    return nil, message .. why, "EAUTH"
  elseif REDIRECTS[status] then
    asking.hops = asking.hops + 1
    if asking.hops > MAX_HOPS then
      return fail("EREDIRECT", "%s: more than %d redirects", called(request, target), MAX_HOPS)
    end
    local to, message, code = self:redirected(request, target, exchange, status)
    if not to then return nil, message, code end
    asking.target = to
    return true
  elseif RETRIED[status] and not request.once then
    asking.tries = asking.tries + 1
    if self:back_off(asking.tries, exchange:header("retry-after"), status) then
      asking.target = nil -- a signed address may have expired: BLOB9
      return true
    end
    return self:exhausted(request, target, exchange, status)
  end
  return false
end

-- The failure of what was tried again and again.
function Session:exhausted(request, target, exchange, status)
  local _, message, code = errors.refused(called(request, target), status, exchange:body())
  local asked = exchange:header("retry-after")
  if asked then
    local seconds = headers.retry_after(asked, self.client.time())
    if seconds then message = ("%s (it asks to be left alone for %.0f seconds)"):format(message, seconds) end
  end
  return nil, message, code
end

-- What came of an answer that broke off; the exchange is closed.
local function part_of(exchange)
  local part = { status = exchange:head_status(), received = exchange:received() }
  if part.status then
    part.range, part.encoding = exchange:header("content-range"), exchange:header("content-encoding")
  end
  exchange:close()
  return part
end

-- Asks once. -> exchange, status | nil, message, code, whether another try may do better, strata.PartOfAnswer
function Session:ask(request, target)
  self:await_turn()
  local authorization, message, code = self:authorization(request, target)
  if authorization == nil then return nil, message, code end
  local exchange
  exchange, message, code = self:start(request, target, authorization or nil)
  if not exchange then return nil, message, code end
  flow.await { exchange, counts = request.to_file ~= nil or request.body_file ~= nil }
  local status
  status, message, code = outcome(exchange, request)
  if target.own and exchange:address_class() then self.class = exchange:address_class() end
  if not status then
    return nil, message, code, PASSING[code], part_of(exchange) -- the message says what was asked
  end
  if target.own then self:take_warnings(exchange) end
  return exchange, status
end

--- Sends a request, in a task. Answers of every status come back, but 401, redirects, and those of a server that is
-- too busy for all of the tries.
---@param request strata.RegistryRequest
---@return strata.RegistryAnswer?
---@return string? message
---@return string? code
---@return strata.PartOfAnswer? part
function Session:send(request)
  local first, message, code = self:target(request)
  if not first then return nil, message, code end
  local asking = { target = first, tries = 0, hops = 0 }
  while true do
    local target = asking.target
    local exchange, status, how, passing, part = self:ask(request, target)
    if exchange then
      local again, why
      again, why, how = self:judge(request, asking, exchange, status)
      if again == false then
        return { status = status, exchange = exchange, url = target.url, request = called(request, target) }
      end
      exchange:close()
      if again == nil then return nil, why, how end
    else
      asking.tries = asking.tries + 1
      if not passing or request.once or not self:back_off(asking.tries) then return nil, status, how, part end
      asking.target = nil
    end
    asking.target = asking.target or first
  end
end

--- The message and the code of an answer's status; the answer is closed.
---@param answer strata.RegistryAnswer
---@return string message
---@return string code
function session.refusal(answer)
  local body = answer.exchange:body()
  answer.exchange:close()
  return select(2, errors.refused(answer.request, answer.status, body))
end

--- Fails with them.
---@param answer strata.RegistryAnswer
---@return nil
---@return string message
---@return string code
function session.refuse(answer)
  return nil, session.refusal(answer)
end

--- The digest that an answer states, and whether one of that algorithm can be compared: MAN3, UP14.
---@param answer strata.RegistryAnswer
---@return string?
function session.stated_digest(answer)
  local text = answer.exchange:header("docker-content-digest")
  return text and core.digest_valid(text) and text or nil
end

return session
