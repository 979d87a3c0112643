--- Settings of an image's config that a request wants to change: whether they can be, in the library's words.

local body = require "explorer.body"
local from_table = require "strata.edit.from_table"
local reply = require "explorer.reply"
local strata = require "strata"

local settings = {}

local function is_text(value) return type(value) == "string" and not value:find("%z") end

local function is_texts(value)
  if type(value) ~= "table" then return false end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  for i = 1, n do
    if not is_text(value[i]) then return false end
  end
  return true
end

-- JSON's null removes, as false does.
local function removes(value) return value == false or value == ngx.null end

local function is_map(value, check)
  if type(value) ~= "table" then return false end
  for name, one in pairs(value) do
    if not is_text(name) or not (removes(one) or check(one)) then return false end
  end
  return true
end

local function is_true(value) return value == true end

local CONFIG = {
  User = is_text, WorkingDir = is_text, StopSignal = is_text, Cmd = is_texts, Entrypoint = is_texts,
}

-- These are only taken out as a whole.
local REMOVABLE = { ExposedPorts = true, Volumes = true, Healthcheck = true, Shell = true, OnBuild = true }

-- Durations are nanoseconds; Docker refuses those between 0 and a millisecond.
local function duration(value)
  local ok = type(value) == "number" and value % 1 == 0 and (value == 0 or value >= 1e6) and value < 2 ^ 53
  return not ok and "should be 0, or at least one millisecond, in nanoseconds" or nil
end

local HEALTHCHECK = {
  Interval = duration, Timeout = duration, StartPeriod = duration, StartInterval = duration,
  Retries = function(value)
    local ok = type(value) == "number" and value % 1 == 0 and value >= 0 and value < 2 ^ 31
    return not ok and "should be a whole number" or nil
  end,
  Test = function(value)
    if not is_texts(value) then return "should be an array of strings" end
    local first = value[1]
    if first == "NONE" and #value == 1 or first == "CMD" and #value > 1 or first == "CMD-SHELL" and #value == 2 then
      return nil
    end
    return 'should be ["NONE"], ["CMD", "program", ...] or ["CMD-SHELL", "a line for the shell"]'
  end,
}

local function config_problem(config)
  if type(config) ~= "table" then return "config is not as it should be" end
  for name, value in strata.pairs(config) do
    local part = type(name) == "string" and name:match("^/config/Healthcheck/(%a+)$")
    local problem
    if part and HEALTHCHECK[part] then
      problem = not removes(value) and HEALTHCHECK[part](value)
    elseif not (removes(value) and (REMOVABLE[name] or CONFIG[name]) or CONFIG[name] and CONFIG[name](value)) then
      return "config is not as it should be"
    end
    if problem then return ("%s of the healthcheck %s"):format(part, problem) end
  end
  return nil
end

local MAPS = { { "env", is_text }, { "labels", is_text }, { "ports", is_true }, { "volumes", is_true } }

--- The fields of a request that are settings.
settings.FIELDS = { env = true, labels = true, ports = true, volumes = true, config = true }

local function without_nulls(map)
  if not map then return nil end
  local copy = {}
  for name, value in pairs(map) do copy[name] = value ~= ngx.null and value end
  return copy
end

--- The settings of a request as strata.jobs takes them.
---@param wanted table
---@return table edit
function settings.edit(wanted)
  local edit = { optional = true }
  for name in pairs(settings.FIELDS) do edit[name] = without_nulls(wanted[name]) end
  return edit
end

-- A message of the library without the names of its functions.
local function in_words(message)
  return (tostring(message):gsub("^%S-:%d+: ", ""):gsub("^config:[%w_]+: ", ""):gsub("^config%.(%w+): ", "%1 "))
end

--- Why the settings of a request cannot be; nil when they can.
---@param wanted table
---@return string?
function settings.problem(wanted)
  for _, map in ipairs(MAPS) do
    local name, check = map[1], map[2]
    if wanted[name] ~= nil and not is_map(wanted[name], check) then return name .. " is not as it should be" end
  end
  local problem = wanted.config ~= nil and config_problem(wanted.config)
  if problem then return problem end
  local img = strata.new()
  local good, ok, message = pcall(from_table.config, img.config, settings.edit(wanted))
  img:close()
  if good and ok then return nil end
  return in_words(good and message or ok)
end

--- POST /settings: whether settings can be as the body says, before an image is made with them.
function settings.check()
  local wanted = body.json()
  local problem = settings.problem(wanted)
  if problem then return reply.fail(problem, "EINVAL") end
  return reply.json(200, {})
end

return settings
