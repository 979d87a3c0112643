--- What `run` has set, and the policy.

local core = require "strata.core"
local policy = require "strata.policy"
local strata = require "strata"

local settings = {}

---@class gate.Settings
---@field backend string  "HOST:PORT" of the registry behind
---@field host table  strata.RegistryHostOptions for it
---@field rules string  the text of the policy
---@field name string  of its file
---@field identity string  a digest of everything that a verdict depends on besides the image
---@field artifacts table<string, boolean>  types of artifacts that are let in without being looked at
---@field bytes integer  that a layer may inflate to
---@field temp_dir string
---@field threads integer
---@field queue integer
---@field deadline number  seconds

local function number(name)
  return tonumber(os.getenv(name))
end

local function read(path)
  local file, message = io.open(path, "rb")
  if not file then error("gate: the policy cannot be read: " .. message, 0) end
  local text = file:read "*a"
  file:close()
  return text
end

--- The rules that the text of a policy returns. Throws when it is none.
---@param text string
---@param name string  of its file
---@return strata.Policy
function settings.rules_of(text, name)
  local chunk, message = load(text, "@" .. name)
  if not chunk then error("gate: " .. message, 0) end
  local ok, rules = pcall(chunk)
  if not ok then error("gate: " .. tostring(rules), 0) end
  if type(rules) ~= "table" then error("gate: the policy returns a " .. type(rules) .. ", not a table of rules", 0) end
  return rules
end

-- Throws for rules that there are not, and for values that they cannot have.
local function try(rules)
  local img = strata.new()
  local ok, message = pcall(policy.check, img, rules)
  img:close()
  if not ok then error("gate: " .. tostring(message):gsub("^[^:]+:%d+: ", ""), 0) end
end

--- Reads them. Throws for a policy that is none: then nginx does not start, or goes on with the old one.
---@return gate.Settings
function settings.read()
  local plain, backend = os.getenv("GATE_BACKEND"):match("^(https?)://(.+)$")
  local ca = os.getenv "GATE_CA"
  local path = os.getenv "GATE_POLICY"
  local text, name = read(path), path:match "[^/]*$"
  try(settings.rules_of(text, name))
  local artifacts, listed = {}, os.getenv "GATE_ARTIFACTS"
  for one in listed:gmatch("%S+") do artifacts[one] = true end
  local bytes = number "GATE_BYTES"
  return {
    backend = backend, host = { plain = plain == "http", ca = ca ~= "" and ca or nil },
    rules = text, name = name, artifacts = artifacts, bytes = bytes,
    -- A policy may read other files, so a verdict is for the time until settings are read again.
    identity = core.sha256(table.concat({ strata._VERSION, listed, bytes, text, ngx.now() }, "\0")),
    temp_dir = os.getenv "GATE_TEMP",
    threads = number "GATE_THREADS", queue = number "GATE_QUEUE", deadline = number "GATE_DEADLINE",
  }
end

return settings
