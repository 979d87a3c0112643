--- The V1Image of Docker: what the `json` of a layer says, and what the id of
-- its directory is a hash of.
--
-- Docker reads documents into a Go structure and writes that one, so unknown
-- keys go, absent ones come, and the order is that of the structure. Here it is
-- as Docker Engine 20.10 has it.

local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local gojson = require "strata.dialect.docker_v1.gojson"
local json = require "strata.util.json"
local times = require "strata.document.time"

local v1_document = {}

-- {name, kind, true when it is left out while it says nothing}
local HEALTH = {
  { "Test", "strings", true }, { "Interval", "integer", true }, { "Timeout", "integer", true },
  { "StartPeriod", "integer", true }, { "Retries", "integer", true },
}
local CONFIG = {
  { "Hostname", "string" }, { "Domainname", "string" }, { "User", "string" },
  { "AttachStdin", "boolean" }, { "AttachStdout", "boolean" }, { "AttachStderr", "boolean" },
  { "ExposedPorts", "set", true }, { "Tty", "boolean" }, { "OpenStdin", "boolean" },
  { "StdinOnce", "boolean" }, { "Env", "strings" }, { "Cmd", "words" },
  { "Healthcheck", "health", true }, { "ArgsEscaped", "boolean", true }, { "Image", "string" },
  { "Volumes", "set" }, { "WorkingDir", "string" }, { "Entrypoint", "words" },
  { "NetworkDisabled", "boolean", true }, { "MacAddress", "string", true },
  { "OnBuild", "strings" }, { "Labels", "labels" }, { "StopSignal", "string", true },
  { "StopTimeout", "optional_integer", true }, { "Shell", "words", true },
}
local IMAGE = {
  { "id", "string", true }, { "parent", "string", true }, { "comment", "string", true },
  { "created", "time" }, { "container", "string", true }, { "container_config", "config" },
  { "docker_version", "string", true }, { "author", "string", true },
  { "config", "optional_config", true }, { "architecture", "string", true },
  { "variant", "string", true }, { "os", "string", true }, { "Size", "integer", true },
}

local ORDER = {}
for i, field in ipairs(IMAGE) do ORDER[i] = field[1] end

-- Go takes a key for a field of the same name, whatever the case of its letters.
local function by_field(doc, pointer)
  local pointers = {}
  for _, key in ipairs(doc:keys(pointer) or {}) do pointers[key:lower()] = pointer .. json.part(key) end
  return pointers
end

-- ---- kinds of values ------------------------------------------------------------
-- Each gives its text, whether it says something, or nil and what is wrong. The
-- pointer is nil when the value is absent or null.

local read = {}

local function read_struct(doc, pointer, fields)
  if pointer and doc:type(pointer) ~= "object" then return nil, "is not an object" end
  local places = pointer and by_field(doc, pointer) or {}
  local names, texts = {}, {}
  for i, field in ipairs(fields) do
    local name, kind, omit = field[1], field[2], field[3]
    local place = places[name:lower()]
    if place and doc:type(place) == "null" then place = nil end
    local text, says = read[kind](doc, place)
    if not text then
      return nil, says:find("^/") and json.part(name) .. says or json.part(name) .. " " .. says
    end
    names[i] = name
    if says or not omit then texts[name] = text end
  end
  return names, texts
end

local function read_object(doc, pointer, fields)
  local names, texts = read_struct(doc, pointer, fields)
  if not names then return nil, texts end
  return gojson.object(names, texts), pointer ~= nil
end

function read.config(doc, pointer) return read_object(doc, pointer, CONFIG) end
read.optional_config = read.config
function read.health(doc, pointer) return read_object(doc, pointer, HEALTH) end

function read.string(doc, pointer)
  if not pointer then return '""', false end
  if doc:type(pointer) ~= "string" then return nil, "is not a string" end
  local text = doc:get(pointer)
  return gojson.quote(text), text ~= ""
end

function read.boolean(doc, pointer)
  local raw = pointer and doc:raw(pointer) or "false"
  if raw ~= "true" and raw ~= "false" then return nil, "is not a boolean" end
  return raw, raw == "true"
end

function read.integer(doc, pointer)
  local raw = pointer and doc:raw(pointer) or "0"
  if not raw:find("^%-?%d+$") then return nil, "is not a whole number" end
  if raw == "-0" then raw = "0" end
  return raw, raw ~= "0"
end

function read.optional_integer(doc, pointer)
  local text, problem = read.integer(doc, pointer)
  if not text then return nil, problem end
  return text, pointer ~= nil
end

function read.time(doc, pointer)
  if not pointer then return gojson.quote(times.ZERO), true end
  local text = doc:type(pointer) == "string" and times.read(doc:get(pointer))
  if not text then return nil, "is not a time" end
  return gojson.quote(text), true
end

local function list_of(doc, pointer)
  if doc:type(pointer) ~= "array" then return nil, "is not an array of strings" end
  local list = {}
  for i = 1, doc:count(pointer) do
    local at = pointer .. "/" .. ("%d"):format(i - 1)
    local kind = doc:type(at)
    if kind ~= "string" and kind ~= "null" then return nil, "is not an array of strings" end
    list[i] = doc:get(at) or ""
  end
  return list
end

function read.strings(doc, pointer)
  if not pointer then return "null", false end
  local list, problem = list_of(doc, pointer)
  if not list then return nil, problem end
  return gojson.strings(list), #list > 0
end

-- Old clients wrote a command of one word as a string.
function read.words(doc, pointer)
  if pointer and doc:type(pointer) == "string" then return gojson.strings { (doc:get(pointer)) }, true end
  return read.strings(doc, pointer)
end

local function read_map(doc, pointer, kind, empty, what)
  if not pointer then return "null", false end
  if doc:type(pointer) ~= "object" then return nil, "is not an object" end
  local texts, any = {}, false
  for _, key in ipairs(doc:keys(pointer)) do
    local at = pointer .. json.part(key)
    local found = doc:type(at)
    if found ~= kind and found ~= "null" then return nil, json.part(key) .. " is not " .. what end
    texts[key] = found == "string" and gojson.quote(doc:get(at)) or empty
    any = true
  end
  return gojson.map(texts), any
end

function read.labels(doc, pointer) return read_map(doc, pointer, "string", '""', "a string") end
function read.set(doc, pointer) return read_map(doc, pointer, "object", "{}", "an object") end

-- ---- images ---------------------------------------------------------------------

---@alias strata.V1Image table<string, string>  the JSON text of each field that is written

--- Reads a document: the `json` of a layer, or the config of an image.
---@param text string
---@param limits? table
---@return strata.V1Image?
---@return strata.JSON|string doc  or message
---@return string? code
function v1_document.read(text, limits)
  local doc, message, code = core.json(text, limits)
  if not doc then return nil, message, code end
  if doc:type("") ~= "object" then return nil, "is not an object", "EFORMAT" end
  local names, texts = read_struct(doc, "", IMAGE)
  if not names then return nil, texts, "EFORMAT" end
  return texts, doc
end

--- What stands for the image of a layer that is not the top one.
---@return strata.V1Image
function v1_document.placeholder()
  return {
    created = gojson.quote(config_schema.EPOCH),
    container_config = (read_object(core.json("{}"), nil, CONFIG)),
  }
end

--- The document.
---@param image strata.V1Image
---@return string
function v1_document.text(image)
  return gojson.object(ORDER, image)
end

--- The id of an image that has a chain of layers and a parent.
---@param image strata.V1Image
---@param chain_id string
---@param parent? string  id of the image below, in hex
---@return string hex
function v1_document.id(image, chain_id, parent)
  local texts = {}
  for name, text in pairs(image) do texts[name] = text end
  texts.id = nil
  texts.layer_id = gojson.quote(chain_id)
  texts.parent = parent and gojson.quote("sha256:" .. parent)
  return core.sha256(gojson.map(texts)):sub(#"sha256:" + 1)
end

return v1_document
