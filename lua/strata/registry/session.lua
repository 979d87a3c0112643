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
local MAX_WARNINGS = 4096 -- bytes
local MAX_DELAY = 30 -- seconds, RTY2
local FIRST_DELAY = 0.5
local MIRROR_RETRIES = 1 -- another place has what a mirror has

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
---@field session strata.RegistrySession
---@field status integer
---@field exchange strata.Exchange
---@field url string  that has answered, after redirects
---@field own boolean  the registry itself has answered, and not where it redirects to
---@field request string  what was asked, for messages
---@field advice string?  what a user could do about a refusal

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
---@field class string?  of the address that it was found at; nil behind a proxy. Written by exchange()
---@field retries integer
---@field query string  of each request for what has a path: "?ns=docker.io" for a mirror that has to be told (NET9)
---@field silent_till number?  a mirror that is not there: until when it is not asked. Written by strata.registry.places
---@field warnings string[]  of its Warning headers. Written by exchange()
---@field rate strata.RateLimit?  what it has said about its limits. Written by exchange()
---@field is_registry boolean?  an answer has had marks of one. Written by take_notices()
---@field knows_head boolean?  it has answered a HEAD of a manifest with a digest. Written by manifests.digest()
---@field known table<string, table<string, boolean>>?  digests of blobs by repository; see push.known()
---@field known_count integer?  of these digests
local Session = {}
Session.__index = Session

--- A session for a host.
---@param client strata.RegistryClient
---@param host string
---@param base string
---@param settings strata.RegistryHost
---@param mirror? {of: string, namespace: boolean?}
---@return strata.RegistrySession
function session.new(client, host, base, settings, mirror)
  return setmetatable({
    client = client, host = host, base = base, own = assert(url.parse(base)), settings = settings,
    warnings = {}, retries = mirror and math.min(client.rules.retries, MIRROR_RETRIES) or client.rules.retries,
    query = mirror and mirror.namespace and "?ns=" .. url.escape(mirror.of) or "",
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

--- Where a request goes.
---@param request strata.RegistryRequest
---@return strata.RequestTarget?
---@return string? message
---@return string? code
function Session:target(request)
  if request.url then return self:named(request.kind or "redirect", request.url) end
  return { url = self.base .. request.path .. self.query, own = true, credentials = true,
           addresses = self.settings.any_address and "any" or "private" }
end

--- A token server as a target, which gets no credentials but those that the request has.
---@param text string
---@param addresses "any"|"private"|"public"
---@return strata.RequestTarget
function Session:target_of(text, addresses)
  return { url = text, own = self:is_own(text), credentials = false, addresses = addresses }
end

-- ---- one exchange -----------------------------------------------------------------------------------------

local function copy_into(to, list)
  for _, item in ipairs(list or {}) do to[#to + 1] = item end
  return to
end

local function is_secure(text)
  return text:sub(1, 6):lower() == "https:"
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
  local trust, message, code = settings, nil, nil
  if not own then trust, message, code = self.client:trust_for(target.url, settings) end
  if not trust then return nil, message, code end
  local lines = { "Accept-Encoding: identity" } -- BLOB1
  copy_into(lines, request.headers)
  if authorization then lines[#lines + 1] = authorization end
  self.client.requests = self.client.requests + 1
  return self.client.transport:start {
    method = request.method, url = target.url, headers = lines, addresses = target.addresses,
    body = request.body, body_file = request.body_file, body_pipe = request.body_pipe,
    max_body = request.max_body or MAX_BODY, to_file = request.to_file, to_pipe = request.to_pipe,
    statuses = request.statuses, hash = request.hash,
    ca = is_secure(target.url) and trust.ca or nil, -- a bundle has 200 KB, which libcurl copies for each request
    insecure = trust.insecure, cert = own and settings.cert or nil, -- NET4
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

local function origin_of(target)
  return url.parse(target.url).origin
end

-- Waits while a server wants to be left alone: RTY7.
function Session:await_turn(target)
  local turns, origin = self.client.turns, origin_of(target)
  while turns[origin] and turns[origin] > self.client.transport:now() do
    flow.await { till = turns[origin] }
  end
  turns[origin] = nil
end

-- Has all requests to a server wait that is too busy for one of them.
function Session:note_busy(target, asked)
  local delay, origin = self:delay(1, self:seconds(asked)), origin_of(target)
  local turns = self.client.turns
  if delay then turns[origin] = math.max(turns[origin] or 0, self.client.transport:now() + delay) end
end

--- The seconds of a Retry-After.
---@param asked string?
---@return number?
function Session:seconds(asked)
  return asked and headers.retry_after(asked, self.client.time())
end

--- Seconds before another try; nil: the server wants more than is waited for.
---@param try integer  1 for the first
---@param asked number?  of Retry-After
---@return number?
function Session:delay(try, asked)
  if asked then return asked <= self.client.rules.max_wait and asked or nil end
  return math.min(FIRST_DELAY * 2 ^ (try - 1) * (0.75 + self.client.random() / 2), MAX_DELAY)
end

--- Waits before another try: RTY2.
---@param try integer
---@param asked? string  the Retry-After of an answer
---@return boolean  false: it is not to be tried again
function Session:back_off(try, asked)
  if try > self.retries then return false end
  local delay = self:delay(try, self:seconds(asked))
  if not delay then return false end
  flow.await { till = self.client.transport:now() + delay }
  return true
end

--- For messages: for how long a server wants to be left alone, when that is longer than is waited for.
---@param exchange strata.Exchange
---@return string  "" when it is not
function Session:wait_words(exchange)
  local seconds = self:seconds(exchange:header("retry-after"))
  if not seconds or seconds <= self.client.rules.max_wait then return "" end
  return (" (it asks to be left alone for %.0f seconds; max_wait is %.0f)"):format(seconds, self.client.rules.max_wait)
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

--- What a refusal is called.
---@param asked string  what messages call the request
---@param status integer
---@param body string?
---@return string message
---@return string code
function Session:refused(asked, status, body)
  return select(2, errors.refused(asked, status, body and self.client.auth:hide(body)))
end

-- Remembers each warning once, as long as there is room: NET14.
function Session:take_warnings(exchange)
  for _, text in ipairs(headers.warnings(exchange:headers("warning"))) do
    text = self.client.auth:hide(text)
    local known, bytes = false, #text
    for _, one in ipairs(self.warnings) do
      known, bytes = known or one == text, bytes + #one
    end
    if not known and bytes <= MAX_WARNINGS then self.warnings[#self.warnings + 1] = text end
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

-- What the answers of registries have, and hardly any others.
local MARKS = { "docker-distribution-api-version", "docker-content-digest", "www-authenticate" }

-- Takes what the headers of the registry's own answers tell.
function Session:take_notices(exchange)
  self:take_warnings(exchange)
  self.rate = headers.rate(exchange) or self.rate
  if self.is_registry then return end
  for _, name in ipairs(MARKS) do self.is_registry = self.is_registry or exchange:header(name) ~= nil end
end

--- What a message says of an answer that no registry gives, when nothing has shown that one speaks there; "" otherwise.
---@return string
function Session:doubt()
  return self.is_registry and "" or "; no registry speaks there"
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

--- One exchange, when the server may be asked. -> exchange, status | nil, message, code, strata.PartOfAnswer
---@param request strata.RegistryRequest
---@param target strata.RequestTarget
---@param authorization string?
---@return strata.Exchange?
---@return any
---@return string? code
---@return strata.PartOfAnswer? part
function Session:exchange(request, target, authorization)
  self:await_turn(target)
  local exchange, message, code = self:start(request, target, authorization)
  if not exchange then return nil, message, code end
  flow.await { exchange, counts = request.to_file ~= nil or request.body_file ~= nil }
  local status
  status, message, code = outcome(exchange, request)
  if target.own and exchange:address_class() then self.class = exchange:address_class() end
  if not status then
    return nil, message, code, part_of(exchange) -- the message says what was asked
  end
  if status == 429 or status == 503 then self:note_busy(target, exchange:header("retry-after")) end
  if target.own then self:take_notices(exchange) end
  return exchange, status
end

--- The same, again and again while another try may do better.
---@param request strata.RegistryRequest
---@param target strata.RequestTarget
---@param authorization string?
---@return strata.Exchange?
---@return any
---@return string? code
function Session:persist(request, target, authorization)
  local try = 0
  while true do
    try = try + 1
    local exchange, status, code = self:exchange(request, target, authorization)
    local passes = exchange and RETRIED[status] or not exchange and PASSING[code]
    if not passes or not self:back_off(try, exchange and exchange:header("retry-after")) then
      return exchange, status, code
    end
    if exchange then exchange:close() end
  end
end

--- One request: what it took so far.
---@class strata.Asking
---@field request strata.RegistryRequest
---@field target strata.RequestTarget?
---@field scopes string[]
---@field tries integer
---@field hops integer  of this try
---@field sent string|false  the header that said who asks
---@field challenged boolean?  in this try
---@field over boolean?  no other try can help

-- Decides about a 401. A redirect's target is told nothing about who asks: RED5.
function Session:judge_challenge(asking, exchange)
  local target = asking.target
  local asked, scopes = called(asking.request, target), asking.scopes
  local message = self:refused(asked, 401, exchange:body())
  local challenges = headers.challenges(exchange:headers("www-authenticate"))
  if not target.own then
    return fail("EAUTH", "%s (another host than the registry's wants to know who asks)", message)
  end
  if not asking.challenged then
    asking.challenged = true
    local again, why, code = self.client.auth:answer(self,
      { challenges = challenges, url = target.url, sent = asking.sent, message = message }, scopes)
    local request = asking.request
    if again and request.once and (request.body_file or request.body_pipe) then -- UP17
      return fail("EAUTH", "%s: 401 behind the body", asked)
    end
    if again ~= false then return again, why, code end
  end
  local why, code = self.client.auth:why(self, challenges, scopes, asking.sent)
  return nil, message .. why, code
end

function Session:judge_redirect(asking, exchange, status)
  asking.hops = asking.hops + 1
  if asking.hops > MAX_HOPS then
    return fail("EREDIRECT", "%s: more than %d redirects", called(asking.request, asking.target), MAX_HOPS)
  end
  local to, message, code = self:redirected(asking.request, asking.target, exchange, status)
  if not to then return nil, message, code end
  asking.target = to
  return true
end

-- Begins another try, from the first target on: a signed address may have expired (BLOB9). false: it was the last.
function Session:try_again(asking, asked)
  asking.tries = asking.tries + 1
  if asking.request.once or not self:back_off(asking.tries, asked) then return false end
  asking.target, asking.hops, asking.challenged = nil, 0, nil
  return true
end

-- Decides about an answer: true to ask again, false to hand it on, or nil, message, code.
function Session:judge(asking, exchange, status)
  if status == 401 then return self:judge_challenge(asking, exchange) end
  if REDIRECTS[status] then return self:judge_redirect(asking, exchange, status) end
  if not RETRIED[status] or asking.request.once then return false end
  if self:try_again(asking, exchange:header("retry-after")) then return true end
  local wait = self:wait_words(exchange)
  local message, code = self:refused(called(asking.request, asking.target), status, exchange:body())
  return nil, message .. wait, wait ~= "" and "ERATE" or code
end

-- Asks the current target. -> exchange, status | nil, message, code, strata.PartOfAnswer
function Session:ask(asking)
  local target = asking.target
  asking.sent = false
  if target.credentials then
    local header, message, code = self.client.auth:header(self, asking.scopes)
    asking.sent, asking.over = header, header == nil -- of what failed there, other tries were made
    if asking.over then return nil, message, code end
  end
  return self:exchange(asking.request, target, asking.sent or nil)
end

function Session:answer_of(asking, exchange, status)
  local advice = status == 403 and asking.target.own and self.client.auth:advice(self, asking.scopes)
  return { session = self, status = status, exchange = exchange, url = asking.target.url, advice = advice or nil,
           own = asking.target.own, request = called(asking.request, asking.target) }
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
  local asking = { request = request, scopes = request.scopes or {}, tries = 0, hops = 0, sent = false }
  while true do
    asking.target = asking.target or first
    local exchange, status, how, part = self:ask(asking)
    if exchange then
      local again, why
      again, why, how = self:judge(asking, exchange, status)
      if again == false then return self:answer_of(asking, exchange, status) end
      exchange:close()
      if again == nil then return nil, why, how end
    elseif asking.over or not PASSING[how] or not self:try_again(asking) then
      return nil, status, how, part
    end
  end
end

--- The message and the code of an answer's status; the answer is closed. A 404 with words that are not those of a
-- registry says nothing about an image: a web server without one gives such, too.
---@param answer strata.RegistryAnswer
---@return string message
---@return string code
function session.refusal(answer)
  local body = answer.exchange:body()
  answer.exchange:close()
  local message, code = answer.session:refused(answer.request, answer.status, body)
  local is_told = answer.status ~= 404 or not answer.own or body == "" or errors.decode(body) ~= nil
  local doubt = is_told and "" or answer.session:doubt()
  return message .. (answer.advice or "") .. doubt, doubt ~= "" and "EFORMAT" or code
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
