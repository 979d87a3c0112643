--- The clients of registries that jobs have used last, by their options: tokens and connections are worth keeping.

local json = require "strata.util.json"
local strata = require "strata"

local clients = {}

-- So many are kept.
local KEPT = 2
local kept = {}

-- A text that tells options from others.
local function text_of(value)
  if type(value) ~= "table" then return ("%s %q"):format(type(value), tostring(value)) end
  local parts = {}
  for i, name in ipairs(json.keys(value)) do parts[i] = ("[%s] = %s"):format(text_of(name), text_of(value[name])) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- The client for options; it stays open for later jobs.
---@param options strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return string? code
function clients.of(options)
  local key = text_of(options)
  for i, one in ipairs(kept) do
    if one.key == key then
      table.insert(kept, 1, table.remove(kept, i))
      return one.client
    end
  end
  local client, message, code = strata.registry(options)
  if not client then return nil, message, code end
  table.insert(kept, 1, { key = key, client = client })
  while #kept > KEPT do table.remove(kept).client:close() end
  return client
end

return clients
