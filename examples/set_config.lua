--- Changes how an image runs: lua5.4 examples/set_config.lua IN.tar OUT.tar SETTING ...
--
--   env NAME=VALUE    unenv NAME       label NAME=VALUE    unlabel NAME
--   user USER         workdir DIR      port 8080/tcp       volume DIR
--   entrypoint WORD,WORD,...           cmd WORD,WORD,...   tag NAME:TAG
--
-- Layers keep every byte; in the config only what is named here changes.

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local function pair(text)
  local name, value = text:match("^([^=]+)=(.*)$")
  if not name then error("expected NAME=VALUE, got " .. text, 0) end
  return name, value
end

local function words(text)
  local list = strata.array {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = word end
  return list
end

local settings = {
  env = function(img, text) img.config:set_env(pair(text)) end,
  unenv = function(img, text) img.config:remove_env(text) end,
  label = function(img, text) img.config:set_label(pair(text)) end,
  unlabel = function(img, text) img.config:remove_label(text) end,
  user = function(img, text) img.config.User = text end,
  workdir = function(img, text) img.config.WorkingDir = text end,
  port = function(img, text) img.config:add_port(text) end,
  volume = function(img, text) img.config:add_volume(text) end,
  entrypoint = function(img, text) img.config.Entrypoint = words(text) end,
  cmd = function(img, text) img.config.Cmd = words(text) end,
  tag = function(img, text) img:tag(text) end,
}

local input, output = ...
local arguments = { select(3, ...) }
if not output or #arguments % 2 == 1 then
  io.stderr:write("usage: set_config.lua IN.tar OUT.tar SETTING VALUE ...\n")
  os.exit(2)
end

local img = check(strata.open(input))
for i = 1, #arguments, 2 do
  local set = settings[arguments[i]] or error("no such setting: " .. arguments[i], 0)
  set(img, arguments[i + 1])
end
local saved = check(img:save(output))
print(saved.id)
