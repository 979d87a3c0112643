--- The settings of a container that an image has from its base unchanged.
--
-- An image that sets nothing has the value of its base; one that sets the same value
-- cannot be told from it. What is the same as in the old base counts as inherited, also
-- what neither has.

local json = require "strata.util.json"

local rebase_config = {}

local VALUES = { "Entrypoint", "User", "WorkingDir", "StopSignal", "Shell", "Healthcheck" }
local TABLES = { "Labels", "Volumes", "ExposedPorts" }

local function value_of(cfg, key)
  return (cfg:get("/config" .. json.part(key)))
end

local function set(cfg, pointer, value)
  if value == nil and cfg:get(pointer) == nil then return true end -- null stays null
  return cfg:set(pointer, value)
end

-- Labels and the like: each member by itself.
local function take_members(cfg, old, new, key)
  local mine, before, after = value_of(cfg, key) or {}, value_of(old, key) or {}, value_of(new, key) or {}
  local names, seen = {}, {}
  for _, list in ipairs { before, after } do
    for name in pairs(list) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  for _, name in ipairs(json.sort(names)) do
    if json.same(mine[name], before[name]) and not json.same(mine[name], after[name]) then
      local ok, message, code = cfg:set("/config" .. json.part(key) .. json.part(name), after[name])
      if not ok then return nil, message, code end
    end
  end
  return true
end

-- Variables by name; the last of a name counts.
local function variables(list)
  local values = {}
  for _, text in ipairs(list) do
    local name = type(text) == "string" and text:match("^([^=]*)=")
    if name then values[name] = text end
  end
  return values
end

-- In the order of a build on the new base: its variables first, then the image's own.
local function take_env(cfg, old, new)
  local mine, after = cfg.Env or {}, new.Env or {}
  local own, before, theirs = variables(mine), variables(old.Env or {}), variables(after)
  local list, listed = json.array {}, {}
  for _, text in ipairs(after) do
    local name = type(text) == "string" and text:match("^([^=]*)=")
    local value = name and (json.same(own[name], before[name]) and theirs[name] or own[name])
    if value and not listed[name] then
      list[#list + 1] = value
      listed[name] = true
    end
  end
  for _, text in ipairs(mine) do
    local name = type(text) == "string" and text:match("^([^=]*)=")
    local inherited = name and before[name] == text and own[name] == text
    if not name or not (listed[name] or inherited) then list[#list + 1] = text end
  end
  if json.same(list, mine) then return true end
  return cfg:set("/config/Env", list)
end

-- Cmd is what the Entrypoint gets: an Entrypoint of the image's own does not want that of a base.
local function inherits(cfg, old, key)
  if not json.same(value_of(cfg, key), value_of(old, key)) then return false end
  return key ~= "Cmd" or json.same(value_of(cfg, "Entrypoint"), value_of(old, "Entrypoint"))
end

--- Takes what the image has from the old base from the new one.
---@param cfg strata.Config
---@param old strata.Config
---@param new strata.Config
---@return boolean? ok
---@return string? message
---@return string? code
function rebase_config.inherit(cfg, old, new)
  local ok, message, code
  local keys = { "Cmd" } -- first: it goes by the Entrypoint as it was
  for _, key in ipairs(VALUES) do keys[#keys + 1] = key end
  for _, key in ipairs(keys) do
    if inherits(cfg, old, key) then
      ok, message, code = set(cfg, "/config" .. json.part(key), value_of(new, key))
      if not ok then return nil, message, code end
    end
  end
  for _, key in ipairs(TABLES) do
    ok, message, code = take_members(cfg, old, new, key)
    if not ok then return nil, message, code end
  end
  return take_env(cfg, old, new)
end

return rebase_config
