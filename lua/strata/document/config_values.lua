--- How values of Lua stand in the text of a config: what is equal to them, and how they are set.

local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local json = require "strata.util.json"

local values = {}

-- Numbers beyond it may have been rounded.
local EXACT = 2 ^ 53

--- Sets the text at a JSON pointer, as doc:set does, but objects take the place of a null on the way.
---@param doc strata.JSON
---@param pointer string
---@param text string
---@return boolean? changed
---@return string? message
---@return string? code
function values.set_text(doc, pointer, text)
  local from = 2
  while true do
    local slash = pointer:find("/", from, true)
    if not slash then return doc:set(pointer, text) end
    local parent = pointer:sub(1, slash - 1)
    if doc:type(parent) == "null" then
      local parts = {}
      for part in pointer:sub(slash):gmatch("/([^/]*)") do
        local name, message, code = core.json_quote((part:gsub("~1", "/"):gsub("~0", "~")))
        if not name then return nil, message, code end
        parts[#parts + 1] = "{" .. name .. ":"
      end
      return doc:set(parent, table.concat(parts) .. text .. ("}"):rep(#parts))
    end
    from = slash + 1
  end
end

--- Whether an empty table is an array or an object at a place: what stands there decides, else the schema.
---@param doc strata.JSON
---@param pointer string
---@return "array"|"object"|nil
function values.empty_at(doc, pointer)
  local kind = doc:type(pointer)
  if kind == "array" or kind == "object" then return kind end
  return config_schema.empty(pointer)
end

-- Whether a value and the decoded one at pointer mean the same.
local function equal(doc, pointer, value, current)
  if type(value) ~= "table" or type(current) ~= "table" then
    -- a big number may have been rounded on its way here
    if type(value) == "number" and not (value > -EXACT and value < EXACT) then return false end
    return value == current
  end
  if next(value) == nil and next(current) == nil then
    return (json.kind(value) or values.empty_at(doc, pointer)) == doc:type(pointer)
  end
  for k in next, current do
    if value[k] == nil then return false end
  end
  for k, v in next, value do
    if current[k] == nil then return false end
    local part = type(k) == "number" and k - 1 or k
    if not equal(doc, pointer .. json.part(part), v, current[k]) then return false end
  end
  return true
end

--- Whether the document says a value already, so that setting it must leave the text alone.
---@param doc strata.JSON
---@param pointer string
---@param value any
---@return boolean
function values.same(doc, pointer, value)
  local raw = doc:raw(pointer)
  return raw ~= nil and equal(doc, pointer, value, (json.decode(raw)))
end

return values
