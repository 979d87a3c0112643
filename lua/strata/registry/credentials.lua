--- Which credentials a registry gets: those that a script gives, those in podman's and Docker's files, and, when asked
-- for, those that credential helpers know. No message has any of them.

local base64 = require "strata.util.base64"
local fail = require "strata.util.fail"
local files = require "strata.registry.credential_files"
local helper = require "strata.registry.credential_helper"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"

local credentials = {}

---@class strata.registry.Credentials  one of three
---@field username? string  with a password: for basic authentication and for token servers
---@field password? string
---@field identity? string  a refresh token, for token servers
---@field bearer? string  a token that goes to the registry as it is

---@class strata.registry.CredentialSettings
---@field credentials? table<string, table|false>|"docker"  by host or host/namespace; or the files; false: none
---@field files? boolean  the files as well, behind what is given
---@field helpers? boolean  credential helpers that the files name are run; never inside of nginx
---@field environment? table<string, string>|fun(name: string): string?  instead of os.getenv

---@class strata.registry.Keyring
---@field notes string[]  what was passed over, for the message of a request that is refused
local Keyring = {}
Keyring.__index = Keyring

-- What docker.io is called in files, and by helpers that Docker has filled.
local HUB = { ["docker.io"] = true, ["index.docker.io"] = true, ["registry-1.docker.io"] = true }
local HUB_SERVER = "https://index.docker.io/v1/"

-- ---- keys ---------------------------------------------------------------------------------------------------------

-- The host that a key of a file means; nil when it means a namespace.
local function host_of_key(key, plain)
  local rest = key:lower():gsub("^https?://", "")
  local host, path = rest:match("^([^/]*)(.*)$")
  if path ~= "" and #rest == #key and not plain and not path:find("^/v[12]/?$") then return nil end
  return HUB[host] and "docker.io" or host
end

-- The keys of a map that are for a repository, those that mean it most closely first: its namespaces, then the host as
-- it is, then other spellings of the host.
-- Source: registry rules CRED5, CRED6.
local function keys_for(map, host, repository, plain)
  local keys, path = {}, not plain and repository and host .. "/" .. repository or host
  while path do
    if map[path] ~= nil then keys[#keys + 1] = path end
    path = path:match("^(.*)/[^/]*$")
  end
  local known = HUB[host] and "docker.io" or host
  for _, key in ipairs(json.keys(map)) do
    if key ~= host and type(key) == "string" and host_of_key(key, plain) == known then keys[#keys + 1] = key end
  end
  return keys
end

-- ---- entries ------------------------------------------------------------------------------------------------------

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- Tokens go into a header as they are.
local function is_token(text)
  return text:find("^[\33-\126]+$") ~= nil
end

-- User name and password of "auth".
local function decode_auth(text)
  local bytes = base64.decode((text:gsub("[\r\n]", ""))) -- which Go passes over as well
  if not bytes then return nil end
  local username, password = bytes:match("^([^:]*):(.*)$")
  if not username then return nil end
  return { username = username, password = (password:gsub("%z+$", "")) }
end

-- What an entry of a file gives; nil alone for an empty one, such as Docker leaves for what a helper knows.
-- Source: registry rules CRED4, AUTH15.
local function of_entry(entry, name, key)
  if type(entry) ~= "table" then return fail("EFORMAT", "%s: the entry of %s is no object", name, key) end
  local bearer, identity, auth = text_of(entry.registrytoken), text_of(entry.identitytoken), text_of(entry.auth)
  if bearer and is_token(bearer) then return { bearer = bearer } end
  if identity then return { identity = identity } end
  if auth then
    local found = decode_auth(auth)
    if found then return found end
  end
  if text_of(entry.username) and text_of(entry.password) then
    return { username = entry.username, password = entry.password }
  end
  if not bearer and not auth then return nil end
  return fail("EFORMAT", "%s: the entry of %s has %s", name, key,
    bearer and "a registrytoken with bytes that are no token's" or 'an auth that is not "user:password" in Base64')
end

-- What a script gives for a host.
-- Source: registry rules CRED1.
local function of_script(entry, key)
  if entry == false then return {} end
  local given = type(entry) == "table" and entry or {}
  local username, password = given.username, given.password
  local bearer, identity = text_of(given.token), text_of(given.identity)
  if type(username) == "string" and type(password) == "string" then
    return { username = username, password = password }
  end
  if bearer and is_token(bearer) then return { bearer = bearer } end
  if identity then return { identity = identity } end
  local lacks = username and not password and "the password is missing" or
    password and not username and "the username is missing"
  misuse("registry: credentials of '%s': %s", tostring(key),
    lacks or "{username = , password = }, {token = }, {identity = } or false is wanted")
end

-- Throws for an entry that is none, and for a key that no repository has. "https://" is in keys of Docker's files.
local function check_script(given)
  for _, key in ipairs(json.keys(given)) do
    local host = tostring(key):gsub("^https?://", ""):gsub("/.*$", "")
    if type(key) ~= "string" or key:find("^docker://") or host == "" or host:find("[^%w.:%[%]-]") then
      misuse("registry: credentials: '%s' is no host, nor host/namespace", (tostring(key):gsub("^.*@", "...@")))
    end
    of_script(given[key], key)
  end
end

-- ---- a keyring ----------------------------------------------------------------------------------------------------

local function getter(environment)
  if type(environment) == "table" then return function(name) return environment[name] end end
  return environment or os.getenv
end

--- Where credentials are looked up. Files are read once, when the first of them is needed.
-- Source: registry rules CRED8, CRED9.
---@param settings? strata.registry.CredentialSettings
---@return strata.registry.Keyring
function credentials.new(settings)
  settings = settings or {}
  local given = settings.credentials
  if given ~= nil and given ~= "docker" and type(given) ~= "table" then
    misuse('credentials: a table by host or "docker" is wanted, not a %s', type(given))
  end
  if type(given) == "table" then check_script(given) end
  return setmetatable({
    given = type(given) == "table" and given or {},
    with_files = given == "docker" or settings.files == true,
    with_helpers = settings.helpers == true and rawget(_G, "ngx") == nil,
    environment = getter(settings.environment),
    notes = {}, noted = {},
  }, Keyring)
end

-- The files that there are. One that is broken is an error each time, until it is mended.
function Keyring:files()
  if self.read then return self.read end
  local list = {}
  for _, place in ipairs(files.places(self.environment)) do
    local file, message, code = files.read(place)
    if message then return nil, message, code end
    list[#list + 1] = file
  end
  self.read = list
  return list
end

function Keyring:note(text)
  if self.noted[text] then return end
  self.noted[text] = true
  self.notes[#self.notes + 1] = text
end

-- What the helper of a host says, if the file names one.
-- Source: registry rules CRED7, CRED8.
function Keyring:ask_helper(file, host)
  local key = keys_for(file.helpers, host, nil, true)[1]
  local name = key and file.helpers[key] or file.store
  if not name or name == "" or name == json.null then return nil end
  if not self.with_helpers then
    self:note(("%s names a credential helper for %s; it is run with the option helpers = true only")
      :format(file.name, host))
    return nil
  end
  local server = HUB[host] and (file.docker and HUB_SERVER or "docker.io") or host
  local found, message, code = helper.get(name, server)
  if message then return fail(code, "%s: %s", file.name, message) end
  return found
end

function Keyring:find_in(file, host, repository)
  local found, message, code = self:ask_helper(file, host)
  if found or message then return found, message, code end
  for _, key in ipairs(keys_for(file.auths, host, repository, file.plain)) do
    found, message, code = of_entry(file.auths[key], file.name, json.printable(key, 255))
    if found or message then return found, message, code end
  end
  return nil
end

--- The credentials for a repository.
---@param host string  as a reference has it: "docker.io", "registry.example:5000"
---@param repository? string
---@return strata.registry.Credentials? found  nil alone for none
---@return string? message
---@return string? code
function Keyring:find(host, repository)
  host = host:lower()
  local key = keys_for(self.given, host, repository)[1]
  if key then
    local found = of_script(self.given[key], key)
    return next(found) and found or nil
  end
  if not self.with_files then return nil end
  local list, message, code = self:files()
  if not list then return nil, message, code end
  for _, file in ipairs(list) do
    local found
    found, message, code = self:find_in(file, host, repository)
    if found or message then return found, message, code end
  end
  return nil
end

--- The same with settings of its own, which read the files anew.
---@param host string
---@param repository? string
---@param settings? strata.registry.CredentialSettings
---@return strata.registry.Credentials? found
---@return string? message
---@return string? code
function credentials.find(host, repository, settings)
  return credentials.new(settings):find(host, repository)
end

--- The value of an Authorization header for a user name and a password.
-- Source: registry rules AUTH14.
---@param found strata.registry.Credentials
---@return string
function credentials.basic(found)
  return "Basic " .. base64.encode(found.username .. ":" .. found.password)
end

return credentials
