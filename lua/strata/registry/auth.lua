--- Who asks: challenges, tokens, and who gets to see credentials.
--
-- A registry answers the first request with a challenge, which names a realm where a token is to be had. Tokens are
-- kept, for their time, by what they allow; of several requests that need the same one, one asks for it. Source:
-- distribution, docs/content/spec/auth. Ids are those of the checks: AUTH1 ...

local credentials = require "strata.registry.credentials"
local errors = require "strata.registry.errors"
local fail = require "strata.util.fail"
local flow = require "strata.registry.flow"
local headers = require "strata.registry.headers"
local json = require "strata.util.json"
local url = require "strata.registry.url"

local auth = {}

local MAX_TOKENS = 256 -- AUTH7
local MAX_KNOWN = 256 -- credentials, and scopes that challenges have added to, that are remembered
local SHORTEST = 60 -- seconds that a token holds at least: AUTH5
local MARGIN = 10 -- seconds before its end at which it is not used any more: AUTH6
local MAX_BODY = 65536 -- of a token server's answer: A12
local JSON_LIMITS = { max_bytes = MAX_BODY, max_depth = 16 }
local MAX_TOKEN = 32768

--- How a registry wants to know who asks.
---@class strata.AuthScheme
---@field scheme "basic"|"bearer"|"token"  a token: one that the user has given
---@field realm string?  where tokens are, as may_go lets it be asked
---@field addresses string?
---@field known boolean?  credentials may be sent there
---@field advice string?  why not
---@field service string?

--- A token of a realm.
---@class strata.AuthToken
---@field place string  registry, realm, service and user that it is for
---@field actions table<string, table<string, true>>  by resource: what was asked for
---@field text string
---@field till number

---@class strata.Auth
---@field client strata.RegistryClient
---@field schemes table<string, strata.AuthScheme>  by origin
---@field wanted table<string, string[]>  by origin and the scopes of a request: those that it gets a token for
---@field wanted_count integer
---@field tokens strata.AuthToken[]  the oldest first
---@field asking table<string, thread>  the tasks that ask for a token, by what it is for
---@field found table<string, table|false>  credentials by host and repository
---@field found_count integer
local Auth = {}
Auth.__index = Auth

---@param client strata.RegistryClient
---@return strata.Auth
function auth.new(client)
  return setmetatable({
    client = client, schemes = {}, wanted = {}, wanted_count = 0, tokens = {}, found = {}, found_count = 0,
    asking = setmetatable({}, { __mode = "v" }),
  }, Auth)
end

-- ---- scopes -----------------------------------------------------------------------------------------------

-- Adds scopes, "repository:team/app:pull,push". The first stays the first: some registries look at no other (MNT5).
local function union(first, second)
  local list, seen = {}, {}
  for _, scopes in ipairs { first, second } do
    for _, scope in ipairs(scopes) do
      if not seen[scope] then list[#list + 1] = scope end
      seen[scope] = true
    end
  end
  return list
end

-- A resource and its actions. A name may have colons: AUTH11.
local function split_scope(scope)
  local resource, actions = scope:match("^(.+):([^:]*)$")
  return resource or scope, actions or ""
end

local function repository_of(scopes)
  return scopes[1] and split_scope(scopes[1]):match("^repository:(.+)$") or nil
end

-- Actions by resource.
local function actions_of(scopes)
  local found = {}
  for _, scope in ipairs(scopes) do
    local resource, actions = split_scope(scope)
    found[resource] = found[resource] or {}
    for action in actions:gmatch("[^,]+") do found[resource][action] = true end
  end
  return found
end

-- Whether what was asked for is all of what is needed: AUTH7.
local function covers(has, needed)
  for resource, actions in pairs(needed) do
    if not has[resource] then return false end
    for action in pairs(actions) do
      if not has[resource][action] and not has[resource]["*"] then return false end
    end
  end
  return true
end

local function scopes_of_challenge(text)
  local list = {}
  for scope in (text or ""):gmatch("%S+") do
    if #list < 16 then list[#list + 1] = scope end
  end
  return list
end

-- ---- kept tokens ------------------------------------------------------------------------------------------

-- What a token is for besides its scopes. A registry never gets what another one's realm has given.
local function place_of(session, scheme, who)
  local name = who and (who.username and "user " .. who.username or "identity") or ""
  return table.concat({ session.own.origin, scheme.realm, scheme.service or "", name }, "\n")
end

function Auth:kept(place, needed)
  local now = self.client.transport:now()
  for i = #self.tokens, 1, -1 do
    local token = self.tokens[i]
    if token.till <= now then
      table.remove(self.tokens, i)
    elseif token.place == place and covers(token.actions, needed) then
      return token.text
    end
  end
  return nil
end

function Auth:keep(place, actions, text, seconds)
  local margin = math.max(MARGIN, seconds / 10) -- AUTH6
  self.tokens[#self.tokens + 1] = {
    place = place, actions = actions, text = text, till = self.client.transport:now() + seconds - margin,
  }
  if #self.tokens > MAX_TOKENS then table.remove(self.tokens, 1) end
end

-- A token that the registry does not take is not used again, and neither are older ones from there: to a challenge, a
-- token answers that is newer than the refused one.
function Auth:forget(header)
  local refused
  for i = #self.tokens, 1, -1 do
    local token = self.tokens[i]
    if header == "Authorization: Bearer " .. token.text then refused = token end
    if refused and token.place == refused.place then table.remove(self.tokens, i) end
  end
end

-- ---- secrets ----------------------------------------------------------------------------------------------

-- A short one would be found in every text.
local MIN_SECRET = 4

local function hide_one(text, secret)
  if not secret or #secret < MIN_SECRET then return text end
  local at = text:find(secret, 1, true)
  while at do
    text = text:sub(1, at - 1) .. "***" .. text:sub(at + #secret)
    at = text:find(secret, at + 3, true)
  end
  return text
end

--- A text of a server without secrets of this client, which the server may have put there: AUTH17.
---@param text string
---@return string
function Auth:hide(text)
  for _, token in ipairs(self.tokens) do text = hide_one(text, token.text) end
  for _, who in pairs(self.found) do
    local secret = who and (who.password or who.identity or who.bearer)
    if secret then
      text = hide_one(hide_one(text, secret), url.escape(secret))
      if who.username then text = hide_one(text, credentials.basic(who):match("%S+$")) end
      if who.identity then text = hide_one(text, credentials.basic({ username = "<token>", password = secret })
        :match("%S+$")) end
    end
  end
  return text
end

-- ---- token servers ----------------------------------------------------------------------------------------

-- The answer of a realm: a token, and for how many seconds it holds.
local function read_token(asked, body)
  local document = json.decode(body, JSON_LIMITS)
  if type(document) ~= "table" then return fail("EAUTH", "%s: its answer is not a JSON object", asked) end
  local text = json.or_nil(document.token) or json.or_nil(document.access_token)
  if type(text) ~= "string" or text == "" or #text > MAX_TOKEN or text:find("[^\33-\126]") then
    return fail("EAUTH", "%s: its answer has no token", asked)
  end
  local seconds = tonumber(json.or_nil(document.expires_in)) or SHORTEST
  return text, seconds >= SHORTEST and math.min(seconds, 86400) or SHORTEST
end

-- What a refusal by a token server is called. A server that is not found there says nothing about an image.
local function code_of(status)
  local code = errors.code(status)
  local passes = code == "ERATE" or code == "ESERVER" or code == "EREDIRECT" or code == "EDENIED"
  return passes and code or "EAUTH"
end

-- Asks a realm. Where it redirects to is not gone to: AUTH13. -> token, seconds | nil, message, code, status
local function ask_realm(session, scheme, request)
  request.max_body = MAX_BODY
  local target = session:target_of(request.url, scheme.addresses)
  local exchange, status, code = session:persist(request, target, request.authorization)
  if not exchange then return nil, status, code end
  local asked, body = ("%s %s"):format(request.method, errors.shown(request.url)), exchange:body()
  local message = session:refused(asked, status, body)
  local wait = session:wait_words(exchange)
  exchange:close()
  if status == 200 then return read_token(asked, body) end
  return nil, message .. wait, wait ~= "" and status ~= 401 and "ERATE" or code_of(status), status
end

local function with_parameters(realm, scheme, scopes, account)
  local text = url.with_query(realm, "client_id", "strata")
  if scheme.service then text = url.with_query(text, "service", scheme.service) end
  for _, scope in ipairs(scopes) do text = url.with_query(text, "scope", scope) end
  if account then text = url.with_query(text, "account", account) end
  return text
end

local function basic(who)
  return "Authorization: " .. credentials.basic(who)
end

-- A token for a name and a password, or for nobody: AUTH3.
local function get_token(session, scheme, scopes, who)
  return ask_realm(session, scheme, {
    method = "GET", url = with_parameters(scheme.realm, scheme, scopes, who and who.username),
    authorization = who and basic(who) or nil,
  })
end

-- A token for an identity token: AUTH4. Servers that know no POST get it as a password.
local function post_token(session, scheme, scopes, identity)
  local form = {
    "grant_type=refresh_token", "client_id=strata", "service=" .. url.escape(scheme.service or ""),
    "scope=" .. url.escape(table.concat(scopes, " ")), "refresh_token=" .. url.escape(identity),
  }
  local token, seconds, code, status = ask_realm(session, scheme, {
    method = "POST", url = scheme.realm, headers = { "Content-Type: application/x-www-form-urlencoded" },
    body = table.concat(form, "&"),
  })
  local is_refused = status == 400 or status == 401 or status == 404 or status == 405
  if token or not is_refused then return token, seconds, code, status end
  return get_token(session, scheme, scopes, { username = "<token>", password = identity })
end

local function fetch_token(session, scheme, scopes, who)
  if who and who.identity then return post_token(session, scheme, scopes, who.identity) end
  return get_token(session, scheme, scopes, who)
end

-- ---- who --------------------------------------------------------------------------------------------------

--- The credentials for a registry. They are remembered until it refuses them: a helper is a process.
---@return table|false|nil who  false: there are none
---@return string? message
---@return string? code
function Auth:credentials(session, scopes)
  local repository = repository_of(scopes)
  local key = session.host .. "/" .. (repository or "")
  local who = self.found[key]
  if who ~= nil then return who end
  local message, code
  who, message, code = self.client:credentials(session.host, repository)
  if message then return nil, message, code end
  if self.found_count >= MAX_KNOWN then self.found, self.found_count = {}, 0 end
  self.found[key], self.found_count = who or false, self.found_count + 1
  return who or false
end

-- What a message says of credentials that were sent. It has nothing of them.
local function refused_words(session)
  return (" (the credentials for %s were sent and refused)"):format(session.host)
end

-- The token for scopes, kept or asked for. Others that need the same one wait for it: AUTH8.
function Auth:token(session, scheme, scopes)
  local held, message, code = self:credentials(session, scopes)
  if held == nil then return nil, message, code end
  local who = scheme.known and held -- A1: they go to no realm that is not the registry's
  local place, needed = place_of(session, scheme, who), actions_of(scopes)
  local key = place .. "\n" .. table.concat(json.sort(union(scopes, {})), " ")
  local function is_free()
    return not self.asking[key] or not flow.is_running(self.asking[key])
  end
  if not is_free() then flow.await { ready = is_free } end
  local kept = self:kept(place, needed)
  if kept then return kept end
  self.asking[key] = coroutine.running()
  local text, seconds, status
  text, seconds, code, status = fetch_token(session, scheme, scopes, who or nil)
  self.asking[key] = nil
  if not text then
    local words = who and status == 401 and refused_words(session) or self:advice(session, scopes)
    return nil, seconds .. words, code
  end
  self:keep(place, needed, text, seconds)
  return text
end

--- The header for a request, as far as the registry has said what it wants: AUTH1.
---@param session strata.RegistrySession
---@param scopes string[]
---@return string|false|nil header  false: none
---@return string? message
---@return string? code
function Auth:header(session, scopes)
  local origin = session.own.origin
  local scheme = self.schemes[origin]
  if not scheme then return false end
  local who, message, code = self:credentials(session, scopes)
  if who == nil then return nil, message, code end
  if who and who.bearer then return "Authorization: Bearer " .. who.bearer end -- AUTH15
  if scheme.scheme == "basic" then return who and who.username and basic(who) or false end
  local wanted = self.wanted[origin .. " " .. table.concat(scopes, " ")] or scopes
  local text
  text, message, code = self:token(session, scheme, wanted)
  return text and "Authorization: Bearer " .. text, message, code
end

-- ---- challenges -------------------------------------------------------------------------------------------

-- The scheme of a Bearer challenge whose realm may be asked; nil, why.
local function bearer_scheme(session, challenge, from)
  local realm = challenge.parameters.realm
  if not realm then return nil, "a Bearer challenge without a realm" end
  local to, message = url.resolve(from, realm) -- AUTH12
  if not to then return nil, "the realm of its challenge: " .. message end
  local rules = session.client.rules
  local go
  go, message = url.may_go(session.base, to, "realm", {
    class = session.class, allow_hosts = rules.allow_hosts, trusted_realms = rules.trusted_realms,
    insecure = rules.insecure,
  })
  if not go then return nil, message end
  return { scheme = "bearer", realm = go.url, addresses = go.addresses, known = go.credentials, advice = go.advice,
           service = challenge.parameters.service }
end

-- The registry is spoken to over http only where the user has said so, or on this machine: AUTH14.
local function basic_scheme(who)
  if not who or not who.username then return nil, "it wants a name and a password" end
  return { scheme = "basic" }
end

-- The scheme that answers challenges: Bearer before Basic. nil, why.
local function choose(session, challenges, from, who)
  if who and who.bearer then return { scheme = "token" } end
  local why
  for _, wanted in ipairs { "bearer", "basic" } do
    for _, challenge in ipairs(challenges) do
      if challenge.scheme == wanted then
        local scheme, message
        if wanted == "bearer" then scheme, message = bearer_scheme(session, challenge, from) end
        if wanted == "basic" then scheme, message = basic_scheme(who) end
        if scheme then return scheme, challenge end
        why = why or message
      end
    end
  end
  return nil, why or "no challenge that strata knows"
end

-- Challenges that a registry gives with GET /v2/ when it gives none with the request: Q10.
local function challenges_of_base(session)
  local exchange, status, code = session:persist({ method = "GET" }, session:target { path = "/v2/" })
  if not exchange then return nil, status, code end
  local list = status == 401 and headers.challenges(exchange:headers("www-authenticate")) or {}
  exchange:close()
  return list
end

-- The scopes that requests with these scopes need, as a challenge to one of them says: AUTH9.
function Auth:want(session, scopes, challenge)
  local key = session.own.origin .. " " .. table.concat(scopes, " ")
  local wanted = union(scopes, scopes_of_challenge(challenge.parameters.scope))
  if not covers(actions_of(scopes), actions_of(wanted)) then
    if self.wanted_count >= MAX_KNOWN then self.wanted, self.wanted_count = {}, 0 end
    if not self.wanted[key] then self.wanted_count = self.wanted_count + 1 end
    self.wanted[key] = wanted
  end
  return self.wanted[key] or scopes
end

--- Answers a challenge, so that the next header() does. false: that was answered already.
---@param session strata.RegistrySession
---@param refusal {challenges: strata.registry.Challenge[], url: string, sent: string|false|nil, message: string}  from
---  where it came, to which header, and its message
---@param scopes string[]  that the request needs
---@return boolean? again
---@return string? message
---@return string? code
function Auth:answer(session, refusal, scopes)
  local challenges = refusal.challenges
  if refusal.sent then
    self:forget(refusal.sent)
    self.found, self.found_count = {}, 0 -- a helper may know a new password
  end
  local who, message, code = self:credentials(session, scopes)
  if who == nil then return nil, message, code end
  if #challenges == 0 then
    challenges, message, code = challenges_of_base(session)
    if not challenges then return nil, message, code end
  end
  local scheme, challenge = choose(session, challenges, refusal.url, who)
  if not scheme then
    return fail("EAUTH", "%s (%s)%s", refusal.message, challenge, self:advice(session, scopes))
  end
  self.schemes[session.own.origin] = scheme
  if scheme.scheme ~= "bearer" then return self:header(session, scopes) ~= refusal.sent end
  local text
  text, message, code = self:token(session, scheme, self:want(session, scopes, challenge))
  if not text then return nil, message, code end
  return true
end

--- What a user could do about a refusal: A1.
---@param session strata.RegistrySession
---@param scopes string[]
---@return string  "" for nothing
function Auth:advice(session, scopes)
  local who = self:credentials(session, scopes)
  local scheme = self.schemes[session.own.origin]
  if who and scheme and scheme.advice then return (" (%s)"):format(scheme.advice) end
  if who then return "" end
  local words = " (there are no credentials for " .. session.host
  for i, note in ipairs(self.client.keyring.notes) do
    if i <= 3 then words = words .. "; " .. note end
  end
  return words .. ")"
end

--- What a second challenge says, for the message, and the code: AUTH1, AUTH10.
---@param session strata.RegistrySession
---@param challenges strata.registry.Challenge[]
---@param scopes string[]
---@param sent string|false|nil  the header that was refused
---@return string
---@return string code
function Auth:why(session, challenges, scopes, sent)
  local words, code = "", "EAUTH"
  for _, challenge in ipairs(challenges) do
    local kind, told = challenge.parameters.error, challenge.parameters.error_description
    if kind == "insufficient_scope" then code = "EDENIED" end
    if kind and told and told ~= kind then told = kind .. ": " .. told end
    told = told or kind
    if told then words = (" (%s)"):format(json.printable(self:hide(told), 200)) end
  end
  local scheme = self.schemes[session.own.origin] or {}
  local was_sent = sent and (scheme.known or scheme.scheme ~= "bearer") and self:credentials(session, scopes)
  return words .. (was_sent and code == "EAUTH" and refused_words(session) or self:advice(session, scopes)), code
end

return auth
