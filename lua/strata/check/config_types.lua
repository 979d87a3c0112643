--- Values of a config that the runtimes cannot read: they are written in Go, whose JSON reader
-- wants each value to be of its type.

local json = require "strata.util.json"

local config_types = {}

local ALL = "Docker, containerd, podman and umoci refuse the image"

local KINDS = {
  ["/architecture"] = "string", ["/author"] = "string", ["/created"] = "time", ["/os"] = "string",
  ["/config/Cmd"] = "words", ["/config/Entrypoint"] = "words", ["/config/Env"] = "strings",
  ["/config/ExposedPorts"] = "set", ["/config/Labels"] = "map", ["/config/OnBuild"] = "strings",
  ["/config/Shell"] = "words", ["/config/StopSignal"] = "string", ["/config/User"] = "string",
  ["/config/Volumes"] = "set", ["/config/WorkingDir"] = "string",
}

local POINTERS = json.keys(KINDS)

local ROW = { author = "string", comment = "string", created = "time", created_by = "string", empty_layer = "boolean" }
local ROW_KEYS = { "author", "comment", "created", "created_by", "empty_layer" }

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_time(text)
  local year, month, day, hour, minute, second, rest =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$")
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local days = month == 2 and leap and 29 or DAYS[month]
  if not days or day < 1 or day > days then return false end
  if tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 59 then return false end
  rest = rest:match("^[.,]%d+(.*)$") or rest
  return rest == "Z" or rest:find("^[+-]%d%d:%d%d$") ~= nil
end

-- null is nothing to Go, wherever it stands.
local function holds_all(value, is_wanted)
  for _, one in pairs(value) do
    if one ~= json.null and not is_wanted(one) then return false end
  end
  return true
end

local is = {}

-- Empty ones are told apart by the type of the document.
local function is_array(value) return type(value) == "table" and type(next(value)) ~= "string" end

local function is_object(value) return type(value) == "table" and type(next(value)) ~= "number" end

function is.string(value) return type(value) == "string" end

function is.boolean(value) return type(value) == "boolean" end

function is.time(value) return type(value) == "string" and is_time(value) end

function is.strings(value) return is_array(value) and holds_all(value, is.string) end

function is.words(value) return type(value) == "string" or is.strings(value) end

function is.map(value) return is_object(value) and holds_all(value, is.string) end

function is.set(value) return is_object(value) and holds_all(value, is_object) end

local WORDS = {
  string = "a string", boolean = "true or false", time = "a time", strings = "an array of strings",
  words = "an array of strings", map = "an object of strings", set = "an object of objects",
}

local OTHER = { strings = "object", words = "object", map = "array", set = "array" }

local function check_value(made, name, value, wanted, kind)
  if value == json.null then return end
  if not is[wanted](value) or (kind and OTHER[wanted] == kind) then
    made:add("error", "config-type", ("%s is not %s: %s"):format(name, WORDS[wanted], ALL))
  elseif wanted == "words" and type(value) == "string" then
    made:add("warning", "config-type", name .. " is a string: Docker takes it, containerd, podman and umoci refuse the "
      .. "image")
  end
end

--- Adds values that some runtime cannot read.
---@param made strata.ReportMaker
---@param doc userdata  of the config
function config_types.check(made, doc)
  for _, pointer in ipairs(POINTERS) do
    if doc:type(pointer) then
      local name = pointer:sub(2):gsub("/", ".")
      check_value(made, name, json.decode(doc:raw(pointer)), KINDS[pointer], doc:type(pointer))
    end
  end
  if doc:type "/history" ~= "array" then return end
  for i, row in ipairs((json.decode(doc:raw "/history"))) do
    for _, key in ipairs(ROW_KEYS) do
      if type(row) == "table" and row[key] ~= nil then
        check_value(made, ("history row %d: %s"):format(i, key), row[key], ROW[key])
      end
    end
  end
end

return config_types
