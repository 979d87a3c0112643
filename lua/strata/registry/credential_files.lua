--- The files that podman and Docker keep credentials in: where they are, and what is in them.

local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"

local files = {}

local MAX_FILE = 1048576
local DENIED = 13 -- EACCES

---@class strata.registry.AuthFile
---@field name string  for messages
---@field auths table<string, any>  entries by host
---@field helpers table<string, any>  names of credential helpers by host
---@field store? any  the helper of all other hosts
---@field docker boolean  whether Docker writes it, which has its own name for docker.io
---@field plain boolean  ~/.dockercfg: keys have no namespaces

-- The user's number, for /run/containers; Lua has no getuid.
local function user_id()
  local file = io.open("/proc/self/status", "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text:match("\nUid:%s*(%d+)")
end

local function below(directory, path)
  return directory and directory ~= "" and directory .. path or nil
end

--- Where files can be, in podman's order; DOCKER_AUTH_CONFIG, which is a text, comes behind what is named explicitly.
-- Source: registry rules CRED2, CRED3.
---@param environment fun(name: string): string?
---@return {path?: string, text?: string, named?: boolean, docker?: boolean, plain?: boolean}[]
function files.places(environment)
  local function get(name)
    local value = environment(name)
    return value ~= "" and value or nil
  end
  local home, uid = get("HOME"), nil
  local runtime = get("XDG_RUNTIME_DIR")
  if not runtime then uid = user_id() end
  local places = {}
  local function add(path, place)
    if not path and not place.text then return end
    place.path = path
    places[#places + 1] = place
  end
  add(get("REGISTRY_AUTH_FILE"), { named = true })
  add(nil, { text = get("DOCKER_AUTH_CONFIG"), docker = true })
  add(below(runtime or uid and "/run/containers/" .. uid, runtime and "/containers/auth.json" or "/auth.json"), {})
  add(below(get("XDG_CONFIG_HOME") or below(home, "/.config"), "/containers/auth.json"), {})
  add(below(get("DOCKER_CONFIG") or below(home, "/.docker"), "/config.json"),
    { docker = true, named = get("DOCKER_CONFIG") ~= nil })
  add(below(home, "/.dockercfg"), { docker = true, plain = true })
  return places
end

-- The bytes of a file; nil alone when it is not there, or not ours and nobody has named it.
local function read(place)
  local file, message, number = io.open(place.path, "rb")
  if not file then
    if place.named and number == DENIED then return fail("EACCES", "%s", json.printable(message)) end
    return nil
  end
  local text = file:read(MAX_FILE + 1)
  file:close()
  if text and #text > MAX_FILE then
    return fail("ELIMIT", "%s: a file of credentials has at most %d bytes", core.quote(place.path), MAX_FILE)
  end
  return text
end

local function object(value)
  return type(value) == "table" and not (json.is_array(value) and #value > 0) and value or nil
end

local function wrong(name, what)
  return fail("EFORMAT", "%s: %s", name, what)
end

--- What stands at a place. Neither messages of parsers nor values are repeated: a secret can be anywhere in the text.
-- Source: registry rules CRED4, CRED9, CRED10.
---@param place table  of files.places
---@return strata.registry.AuthFile? file  nil alone when nothing is there
---@return string? message
---@return string? code
function files.read(place)
  local text, message, code = place.text, nil, nil
  if not text then text, message, code = read(place) end
  if not text or not text:find("%S") then return nil, message, code end
  local name = place.path and core.quote(place.path) or "DOCKER_AUTH_CONFIG"
  local value = object((json.decode(text, { max_bytes = MAX_FILE })))
  if place.plain then
    return value and { name = name, auths = value, helpers = {}, docker = true, plain = true } or nil
  end
  if not value then return wrong(name, "what stands there is no JSON object") end
  local auths, helpers = json.or_nil(value.auths), json.or_nil(value.credHelpers)
  if auths ~= nil and not object(auths) then return wrong(name, "auths is no object") end
  if helpers ~= nil and not object(helpers) then return wrong(name, "credHelpers is no object") end
  return { name = name, auths = auths or {}, helpers = helpers or {}, store = json.or_nil(value.credsStore),
           docker = place.docker or false, plain = false }
end

return files
