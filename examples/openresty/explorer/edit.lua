--- Making an edited image.

local body = require "explorer.body"
local images = require "explorer.images"
local reply = require "explorer.reply"
local store = require "explorer.store"
local text = require "explorer.text"
local views = require "explorer.views"

local edit = {}

local function is_list(value, check)
  if type(value) ~= "table" then return false end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  for i = 1, n do
    if not check(value[i]) then return false end
  end
  return true
end

local function is_text(value) return type(value) == "string" and not value:find("%z") end

local function is_texts(value) return is_list(value, is_text) end

local function is_id(value) return type(value) == "number" and value >= 0 and value < 2 ^ 32 and value % 1 == 0 end

local function is_map(value, check_key, check)
  if type(value) ~= "table" then return false end
  for key, one in pairs(value) do
    if not check_key(key) or not check(one) then return false end
  end
  return true
end

-- JSON's null deletes, as false does.
local function is_value(value) return is_text(value) or value == false or value == ngx.null end

local function is_variable(name) return is_text(name) and name ~= "" and not name:find("=") end

local CONFIG = {
  User = is_text, WorkingDir = is_text, StopSignal = is_text,
  Cmd = is_texts, Entrypoint = is_texts,
}

-- These can only be taken out.
local DELETABLE = { ExposedPorts = true, Volumes = true, Healthcheck = true, Shell = true, OnBuild = true }

-- What a request may ask for, and no more: a job could also run a module of any name.
local FIELDS = {
  paths = function(value)
    return is_list(value, function(one) return is_text(one) and (text.decode(one) or "") ~= "" end)
  end,
  remove = is_texts,
  owner = function(value)
    return is_list(value, function(pair) return is_list(pair, is_id) and #pair == 2 end)
  end,
  env = function(value) return is_map(value, is_variable, is_value) end,
  labels = function(value) return is_map(value, is_text, is_value) end,
  config = function(value)
    if type(value) ~= "table" then return false end
    for key, one in pairs(value) do
      local deletes = one == false or one == ngx.null
      if not (deletes and DELETABLE[key]) and not (CONFIG[key] and (deletes or CONFIG[key](one))) then return false end
    end
    return true
  end,
  tags = is_texts,
  flatten = function(value) return type(value) == "boolean" end,
  waste = views.is_waste,
  format = function(value)
    return value == "docker" or value == "docker-legacy" or value == "oci-archive"
  end,
  compression = function(value) return value == "keep" or value == "none" or value == "gzip" or value == "zstd" end,
}

local function without_nulls(map)
  for key, value in pairs(map or {}) do
    if value == ngx.null then map[key] = false end
  end
  return map
end

-- The paths that were picked, beside the globs; nil when nothing is to go.
local function unwanted(wanted)
  local list = {}
  for _, pattern in ipairs(wanted.remove or {}) do list[#list + 1] = pattern end
  for _, path in ipairs(wanted.paths or {}) do
    list[#list + 1] = text.pattern(text.decode(path))
  end
  return list[1] and list
end

local function read_wish()
  local wanted = body.json()
  for key, value in pairs(wanted) do
    local check = FIELDS[key]
    if not check then return reply.fail("there is nothing to edit by the name " .. tostring(key), "EINVAL") end
    if value ~= ngx.null and not check(value) then
      return reply.fail(key .. " is not as it should be", "EINVAL")
    end
    if value == ngx.null then wanted[key] = nil end
  end
  return wanted
end

local function new_name(name)
  local stem = name:gsub("%.tar$", ""):gsub("%-edited$", ""):gsub("%-edited%-%d+$", "")
  local taken, n = {}, 1
  for _, record in ipairs(store.list()) do taken[record.name] = true end
  local candidate = stem .. "-edited.tar"
  while taken[candidate] do
    n = n + 1
    candidate = ("%s-edited-%d.tar"):format(stem, n)
  end
  return candidate
end

--- POST /images/:id/edit with the fields of strata.EditTable, and paths, format, compression
---@param id string
function edit.make(id)
  local source = images.find(id)
  local wanted = read_wish()
  local record, message, code = store.begin(new_name(source.name))
  if not record then return reply.fail(message, code) end
  store.use(source, 1)
  local saved = images.run(source, "edit", {
    to = store.path(record),
    edit = {
      drop_waste = views.waste_of(wanted.waste), remove = unwanted(wanted), optional = true, owner = wanted.owner,
      env = without_nulls(wanted.env), labels = without_nulls(wanted.labels),
      config = without_nulls(wanted.config), tags = wanted.tags, flatten = wanted.flatten,
    },
    save = { format = wanted.format, compression = wanted.compression },
  }, function()
    store.use(source, -1)
    store.remove(record)
  end)
  store.use(source, -1)
  return images.admit(record, 201, { layers = saved.layers, lost = saved.lost })
end

return edit
