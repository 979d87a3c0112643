--- Who asks: challenges, tokens, and who gets to see credentials.
--
-- A registry answers the first request with a challenge, which names a realm where a token is to be had. Tokens are
-- kept, for their time, by what they are for; of several requests that need the same one, one asks for it. Source:
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
local SHORTEST = 60 -- seconds that a token holds at least: AUTH5
local MARGIN = 10 -- seconds before its end at which it is not used any more: AUTH6
local JSON_LIMITS = { max_bytes = 65536, max_depth = 16 }
local MAX_TOKEN = 32768

--- How a registry wants to know who asks.
---@class strata.AuthScheme
---@field scheme "basic"|"bearer"
---@field realm string?  where tokens are, as may_go lets it be asked
---@field addresses string?
---@field known boolean?  credentials may be sent there
---@field advice string?  why not
---@field service string?
---@field wanted table<string, string[]>  by the scopes that a request needs: those and what a challenge to it named

---@class strata.Auth
---@field client strata.RegistryClient
---@field schemes table<string, strata.AuthScheme>  by origin
---@field tokens table<string, {text: string, till: number}>
---@field order string[]  keys of tokens, the oldest first
---@field asking table<string, boolean>  keys of the tokens that are being asked for
local Auth = {}
Auth.__index = Auth

---@param client strata.RegistryClient
---@return strata.Auth
function auth.new(client)
  return setmetatable({ client = client, schemes = {}, tokens = {}, order = {}, asking = {} }, Auth)
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

local function repository_of(scopes)
  return scopes[1] and scopes[1]:match("^repository:(.+):[^:]*$") or nil -- AUTH11: a name may have colons
end

local function key_of(scheme, who, scopes)
  local sorted = json.sort(union(scopes, {}))
  return table.concat({ scheme.realm, scheme.service or "", who or "", table.concat(sorted, " ") }, "\n")
end

-- ---- tokens -----------------------------------------------------------------------------------------------

function Auth:keep(key, text, seconds)
  if not self.tokens[key] then self.order[#self.order + 1] = key end
  local margin = math.min(MARGIN, seconds / 10)
  self.tokens[key] = { text = text, till = self.client.transport:now() + seconds - margin }
  if #self.order > MAX_TOKENS then self.tokens[table.remove(self.order, 1)] = nil end
end

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

-- Asks a realm once. -> token, seconds | nil, message, code, status
local function ask_realm(session, scheme, request)
  request.max_body = 65536
  local target = { url = request.url, own = url.parse(request.url).origin == session.own.origin,
                   addresses = scheme.addresses }
  local asked = ("%s %s"):format(request.method, errors.shown(request.url))
  local exchange, message, code = session:start(request, target, request.authorization)
  if not exchange then return nil, message, code end
  flow.await { exchange }
  local status
  status, message, code = exchange:status()
  local body = status and exchange:body()
  exchange:close()
  if not status then return nil, message, code end
  if status == 200 then return read_token(asked, body) end
  message, code = select(2, errors.refused(asked, status, body))
  if status == 401 or status == 403 then code = "EAUTH" end
  return nil, message, code, status
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
  if token or not is_refused then return token, seconds, code end
  return get_token(session, scheme, scopes, { username = "<token>", password = identity })
end

local function fetch_token(session, scheme, scopes, who)
  if who and who.identity then return post_token(session, scheme, scopes, who.identity) end
  return get_token(session, scheme, scopes, who)
end

-- The token for scopes, kept or asked for. Others that need the same one wait for it: AUTH8.
function Auth:token(session, scheme, scopes)
  local who, message, code = self:credentials(session, scopes)
  if message then return nil, message, code end
  if who and who.bearer then return who.bearer end -- AUTH15
  if who and not scheme.known then who = nil end -- A1: they go to no realm that is not the registry's
  local key = key_of(scheme, who and (who.username or "identity"), scopes)
  if self.asking[key] then flow.await { ready = function() return not self.asking[key] end } end
  local kept = self.tokens[key]
  if kept and kept.till > self.client.transport:now() then return kept.text end
  self.asking[key] = true
  local text, seconds
  text, seconds, code = fetch_token(session, scheme, scopes, who)
  self.asking[key] = nil
  if not text then return nil, seconds, code end
  self:keep(key, text, seconds)
  return text
end

-- ---- who ------------------------------------------------------------------------------------------------------

--- The credentials for a registry.
---@return table|false|nil who  false: there are none
---@return string? message
---@return string? code
function Auth:credentials(session, scopes)
  local who, message, code = self.client:credentials(session.host, repository_of(scopes))
  if message then return nil, message, code end
  return who or false
end

--- The header for a request, as far as the registry has said what it wants: AUTH1.
---@param session strata.RegistrySession
---@param scopes string[]
---@return string|false|nil header  false: none
---@return string? message
---@return string? code
function Auth:header(session, scopes)
  local scheme = self.schemes[session.own.origin]
  if not scheme then return false end
  if scheme.scheme == "bearer" then
    local text, message, code = self:token(session, scheme, scheme.wanted[table.concat(scopes, " ")] or scopes)
    return text and "Authorization: Bearer " .. text, message, code
  end
  local who, message, code = self:credentials(session, scopes)
  if who == nil then return nil, message, code end
  return who and who.username and basic(who) or false
end

-- ---- challenges -------------------------------------------------------------------------------------------

-- The scheme of a Bearer challenge whose realm may be asked; nil, why.
local function bearer_scheme(session, challenge)
  local realm = challenge.parameters.realm
  if not realm then return nil, "a Bearer challenge without a realm" end
  local to, message = url.resolve(session.base .. "/v2/", realm) -- AUTH12
  if not to then return nil, message end
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

local function split_scopes(text)
  local list = {}
  for scope in (text or ""):gmatch("%S+") do
    if #list < 16 then list[#list + 1] = scope end
  end
  return list
end

-- Whether Basic may be answered: over TLS, or where the user has said so: AUTH14.
local function basic_scheme(session)
  if session.own.scheme ~= "https" and not session.settings.is_local and not session.settings.insecure then
    return nil, "Basic authentication over http"
  end
  return { scheme = "basic" }
end

-- The scheme that answers challenges: Bearer before Basic. nil, why.
local function choose(session, challenges)
  local why = "no challenge that strata knows"
  for _, wanted in ipairs { "bearer", "basic" } do
    for _, challenge in ipairs(challenges) do
      if challenge.scheme == wanted then
        local scheme, message
        if wanted == "bearer" then scheme, message = bearer_scheme(session, challenge) end
        if wanted == "basic" then scheme, message = basic_scheme(session) end
        if scheme then return scheme, challenge end
        why = message
      end
    end
  end
  return nil, why
end

--- Answers a challenge, so that the next header() does. false: there is nothing to answer with.
---@param session strata.RegistrySession
---@param values string[]  of WWW-Authenticate
---@param scopes string[]  that the request needs
---@param asked string  what messages call the request
---@return boolean? again
---@return string? message
---@return string? code
function Auth:answer(session, values, scopes, asked)
  local challenges = headers.challenges(values)
  local scheme, challenge = choose(session, challenges)
  if not scheme then return fail("EAUTH", "%s: 401: %s", asked, challenge) end
  if scheme.scheme == "basic" then
    local who, message, code = self:credentials(session, scopes)
    if who == nil then return nil, message, code end
    if not who or not who.username then
      return fail("EAUTH", "%s: 401: it wants a name and a password, and there are none for %s", asked, session.host)
    end
    self.schemes[session.own.origin] = scheme
    return true
  end
  local before = self.schemes[session.own.origin]
  scheme.wanted = before and before.wanted or {}
  self.schemes[session.own.origin] = scheme
  local key = table.concat(scopes, " ")
  self:forget(session, scheme, scheme.wanted[key] or scopes)
  scheme.wanted[key] = union(scopes, split_scopes(challenge.parameters.scope)) -- AUTH9
  local text, message, code = self:token(session, scheme, scheme.wanted[key])
  if not text then return nil, message, code end
  return true
end

-- A token that the registry does not take is not used again.
function Auth:forget(session, scheme, scopes)
  local who = self:credentials(session, scopes)
  if who and not scheme.known then who = nil end
  local key = key_of(scheme, who and (who.username or "identity"), scopes)
  if self.tokens[key] then self.tokens[key].till = 0 end
end

--- What a second challenge says, for the message: AUTH10, A1.
---@param session strata.RegistrySession
---@param values string[]
---@param own boolean  the registry itself has sent it
---@return string  "" for nothing
function Auth:why(session, values, own)
  if not own then return " (another host than the registry's wants to know who asks)" end
  local words = ""
  for _, challenge in ipairs(headers.challenges(values)) do
    local told = challenge.parameters.error_description or challenge.parameters.error
    if told then words = (" (%s)"):format(json.printable(told, 200)) end
  end
  local scheme = self.schemes[session.own.origin]
  if scheme and scheme.scheme == "bearer" and not scheme.known then
    words = words .. (" (%s)"):format(scheme.advice)
  end
  return words
end

return auth
