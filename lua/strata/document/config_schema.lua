--- What is known about the keys of an image's config document: which kind each
-- value is, what an empty table stands for, what cannot be assigned.

local core = require "strata.core"
local json = require "strata.util.json"
local options = require "strata.util.options"

local config_schema = {}

--- When an image was created that names no time.
config_schema.EPOCH = "1970-01-01T00:00:00Z"

local KINDS = {
  ["/architecture"] = "string",
  ["/author"] = "string",
  ["/config"] = "object",
  ["/created"] = "time",
  ["/history"] = "rows",
  ["/os"] = "string",
  ["/os.features"] = "strings",
  ["/os.version"] = "string",
  ["/variant"] = "string",
  ["/config/ArgsEscaped"] = "boolean",
  ["/config/Cmd"] = "strings",
  ["/config/Entrypoint"] = "strings",
  ["/config/Env"] = "strings",
  ["/config/ExposedPorts"] = "set",
  ["/config/Healthcheck"] = "object",
  ["/config/Healthcheck/Test"] = "strings",
  ["/config/Labels"] = "map",
  ["/config/OnBuild"] = "strings",
  ["/config/Shell"] = "strings",
  ["/config/StopSignal"] = "string",
  ["/config/User"] = "string",
  ["/config/Volumes"] = "set",
  ["/config/WorkingDir"] = "string",
}

-- Keys that Docker writes beside those of the specification.
local OTHERS = {
  "/comment", "/container", "/container_config", "/docker_version", "/id", "/parent", "/rootfs",
  "/config/AttachStderr", "/config/AttachStdin", "/config/AttachStdout", "/config/Domainname", "/config/Hostname",
  "/config/Image", "/config/MacAddress", "/config/NetworkDisabled", "/config/OpenStdin", "/config/StdinOnce",
  "/config/CpuShares", "/config/Memory", "/config/MemorySwap", "/config/StopTimeout", "/config/Tty",
}

--- The names that are fields of a Config: a name that begins with a capital is a key of the document's "config" object,
-- any other one of the document itself.
---@return string[]
function config_schema.names()
  local names = {}
  local function add(pointer)
    local name = pointer:match("^/config/(%u[^/]*)$") or pointer:match("^/(%U[^/]*)$")
    if name then names[#names + 1] = name end
  end
  for pointer in pairs(KINDS) do add(pointer) end
  for _, pointer in ipairs(OTHERS) do add(pointer) end
  return json.sort(names)
end

-- What an empty table is, by kind.
local EMPTY = {
  strings = "array", rows = "array", map = "object", set = "object", object = "object",
}

--- What an empty table at a place of the document stands for, if that is known.
---@param pointer string
---@return "array"|"object"|nil
function config_schema.empty(pointer)
  local kind = KINDS[pointer]
  if kind then return EMPTY[kind] end
  local parent = pointer:match("^(.*)/[^/]*$")
  if KINDS[parent] == "set" or KINDS[parent] == "rows" then return "object" end
  return nil
end

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(year, month)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and leap and 29 or DAYS[month]
end

--- Whether text is a date and time as RFC 3339 writes it, and as Go reads it: one that there is, without leap seconds.
---@param text any
---@return boolean
function config_schema.is_time(text)
  if type(text) ~= "string" then return false end
  local year, month, day, hour, minute, second, zone =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$")
  if not zone then return false end
  zone = zone:match("^%.%d+(.*)$") or zone
  local zone_hour, zone_minute = zone:match("^[+-](%d%d):(%d%d)$")
  if zone ~= "Z" and not (zone_hour and tonumber(zone_hour) < 24 and tonumber(zone_minute) < 60) then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  return month >= 1 and month <= 12 and day >= 1 and day <= days_in(year, month) and tonumber(hour) < 24
    and tonumber(minute) < 60 and tonumber(second) < 60
end

options.rules.time = { words = "a time like 2006-01-02T15:04:05Z", holds = config_schema.is_time }

local function all(t, wanted, what)
  for _, key in ipairs(json.keys(t)) do
    if type(t[key]) ~= wanted then return ("%s %s must be a %s"):format(what, tostring(key), wanted) end
  end
  return nil
end

local check = {}

function check.string(value)
  return type(value) ~= "string" and "must be a string" or nil
end

function check.boolean(value)
  return type(value) ~= "boolean" and "must be a boolean" or nil
end

function check.time(value)
  return not config_schema.is_time(value) and "must be a time like 2006-01-02T15:04:05Z" or nil
end

function check.object(value)
  if type(value) ~= "table" or json.kind(value) == "array" then
    return "must be an object: a table of names and values"
  end
end

function check.strings(value)
  if type(value) ~= "table" then return 'must be an array of strings: {"..."}' end
  if json.kind(value) == "object" then return "must be an array of strings, not a table of names" end
  return all(value, "string", "element")
end

function check.map(value)
  return check.object(value) or all(value, "string", "value of")
end

function check.set(value)
  return check.object(value) or all(value, "table", "value of")
end

function check.rows(value)
  if type(value) ~= "table" or json.kind(value) == "object" then
    return "must be an array of objects"
  end
  return all(value, "table", "row")
end

-- {"80/tcp"} is how people write {["80/tcp"] = {}}.
local function to_set(value)
  if type(value) ~= "table" or json.kind(value) ~= "array" then return value end
  local set = json.object()
  for _, name in ipairs(value) do
    if type(name) ~= "string" then return value end
    set[name] = json.object()
  end
  return set
end

--- Brings a value that is to be assigned into the document's form.
---@param pointer string
---@param value any  not nil
---@return any value  nil when it cannot stand there
---@return string? problem
function config_schema.accept(pointer, value)
  local kind = KINDS[pointer]
  if value == json.null then
    return value
  elseif pointer:find("^/history/[^/]*$") then
    kind = "object"
  elseif kind == "set" then
    value = to_set(value)
  end
  local problem = kind and check[kind](value)
  if problem and pointer == "/config/Env" and type(value) == "table" then
    problem = problem .. '; config:set_env("NAME", "value") sets one variable'
  end
  if problem then return nil, problem end
  return value
end

--- Why a place of the document cannot be assigned, nil when it can.
---@param pointer string
---@return string?
function config_schema.protected(pointer)
  if pointer == "" then return "the document cannot be replaced as a whole" end
  local first = pointer:match("^/([^/]*)")
  if first == "rootfs" or first == "diff_ids" then
    return first .. " follows from the layers and cannot be set"
  end
  return nil
end

-- The keys of an object that mean something.
local function known_keys(parent, more)
  for pointer in pairs(KINDS) do more[#more + 1] = pointer:match("^" .. parent .. "/([^/]+)$") end
  return json.known(more)
end

local KNOWN = {
  [""] = known_keys("", { "rootfs" }), ["/config"] = known_keys("/config", {}),
  ["/rootfs"] = known_keys("/rootfs", { "type", "diff_ids" }),
}
local KNOWN_IN_ROW = known_keys("/history", { "created", "created_by", "author", "comment", "empty_layer" })

local function check_rootfs(doc)
  if doc:type("/rootfs") ~= "object" then return "has no rootfs object" end
  if doc:get("/rootfs/type") ~= "layers" then return "has a rootfs.type other than 'layers'" end
  local kind = doc:type("/rootfs/diff_ids")
  if kind == nil or kind == "null" then return nil end -- Docker leaves out what is empty
  if kind ~= "array" then return "has a rootfs.diff_ids that is no array" end
  for i, diff_id in ipairs((json.decode(doc:raw("/rootfs/diff_ids")))) do
    if type(diff_id) ~= "string" or not diff_id:find("^sha256:") or not core.digest_valid(diff_id) then
      local known = type(diff_id) == "string" and core.digest_valid(diff_id)
      return ("has a diff_id that is no sha256 digest (rootfs.diff_ids, element %d)"):format(i),
        known and "EUNSUPPORTED" or "EFORMAT"
    end
  end
  return nil
end

local function check_history(doc)
  local kind = doc:type("/history")
  if kind == nil or kind == "null" then return nil end
  if kind ~= "array" then return "has a history that is no array" end
  local text, spans = doc:text(), doc:spans("/history")
  for i = 1, #spans, 2 do
    if text:byte(spans[i]) ~= 123 then -- {
      return ("has a history row that is no object (row %d)"):format((i + 1) / 2)
    end
    local row = json.decode(text:sub(spans[i], spans[i + 1]))
    local problem = json.case_problem(json.keys(row), KNOWN_IN_ROW)
    if problem then return ("%s (history, row %d)"):format(problem, (i + 1) / 2) end
  end
  return nil
end

--- What keeps a document from being the config of an image.
---@param doc strata.JSON
---@return string? problem
---@return string? code
function config_schema.problem(doc)
  if doc:type("") ~= "object" then return "is no JSON object", "EFORMAT" end
  local kind = doc:type("/config")
  if kind ~= nil and kind ~= "null" and kind ~= "object" then
    return "has a 'config' that is no object", "EFORMAT"
  end
  for _, pointer in ipairs { "", "/config", "/rootfs" } do
    local problem = json.case_problem(doc:keys(pointer) or {}, KNOWN[pointer])
    if problem then return problem, "EFORMAT" end
  end
  local problem, code = check_rootfs(doc)
  problem = problem or check_history(doc)
  return problem, problem and (code or "EFORMAT")
end

return config_schema
