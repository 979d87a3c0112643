--- Making an edited image.

local body = require "explorer.body"
local images = require "explorer.images"
local reply = require "explorer.reply"
local settings = require "explorer.settings"
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

-- What a request may ask for beside settings, and no more: a job could also run a module of any name.
local FIELDS = {
  paths = function(value)
    return is_list(value, function(one) return is_text(one) and (text.decode(one) or "") ~= "" end)
  end,
  remove = is_texts,
  owner = function(value)
    return is_list(value, function(pair) return is_list(pair, is_id) and #pair == 2 end)
  end,
  tags = is_texts,
  flatten = function(value) return type(value) == "boolean" end,
  waste = views.is_waste,
  format = function(value)
    return value == "docker" or value == "docker-legacy" or value == "oci-archive"
  end,
  compression = function(value) return value == "keep" or value == "none" or value == "gzip" or value == "zstd" end,
}

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
    if not check and not settings.FIELDS[key] then
      return reply.fail("there is nothing to edit by the name " .. tostring(key), "EINVAL")
    end
    if value ~= ngx.null and check and not check(value) then
      return reply.fail(key .. " is not as it should be", "EINVAL")
    end
    if value == ngx.null then wanted[key] = nil end
  end
  local problem = settings.problem(wanted)
  if problem then return reply.fail(problem, "EINVAL") end
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
  local changes = settings.edit(wanted)
  changes.drop_waste, changes.remove, changes.owner = views.waste_of(wanted.waste), unwanted(wanted), wanted.owner
  changes.tags, changes.flatten = wanted.tags, wanted.flatten
  local saved = images.run(source, "edit", {
    to = store.path(record), edit = changes,
    save = { format = wanted.format, compression = wanted.compression },
  }, function()
    store.use(source, -1)
    store.remove(record)
  end)
  store.use(source, -1)
  return images.admit(record, 201, { layers = saved.layers, lost = saved.lost, dropped = saved.dropped })
end

return edit
