--- Where the configs of two images differ, by JSON Pointer. Values are compared, not how they are written.

local config = require "strata.config"
local core = require "strata.core"
local json = require "strata.util.json"

local documents = {}

-- What a rebuild changes by itself: times, and the marks that builders leave of their own work.
local PASSING = {
  ["/created"] = true, ["/id"] = true, ["/parent"] = true, ["/container"] = true, ["/container_config"] = true,
  ["/config/Image"] = true, ["/config/Hostname"] = true, ["/moby.buildkit.buildinfo.v1"] = true,
  ["/moby.buildkit.cache.v0"] = true,
}
local PASSING_OF_ROW = { created = true, empty_layer = true }

-- What is told elsewhere.
local ELSEWHERE = { ["/history"] = true, ["/rootfs/diff_ids"] = true }

local VARIABLES = { ["/config/Env"] = true, ["/container_config/Env"] = true }

---@class strata.DocumentComparison
---@field kind "config"|"history"
---@field rows table[]
---@field passes fun(pointer: string): boolean?  what is not compared
local Comparison = {}
Comparison.__index = Comparison

function Comparison:add(change, pointer, a, b)
  self.rows[#self.rows + 1] = { kind = self.kind, change = change, pointer = pointer, a = a, b = b }
end

local function is_object(value)
  return type(value) == "table" and next(value) ~= nil and not json.is_array(value)
end

-- Whether two values are objects; an empty table may be one.
local function are_objects(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  return is_object(a) and (is_object(b) or next(b) == nil) or is_object(b) and next(a) == nil
end

function Comparison:objects(a, b, pointer)
  local names, seen = json.keys(a), {}
  for _, name in ipairs(names) do seen[name] = true end
  for name in pairs(b) do
    if not seen[name] then names[#names + 1] = name end
  end
  for _, name in ipairs(json.sort(names)) do self:values(a[name], b[name], pointer .. json.part(name)) end
end

-- The elements at which two arrays begin and end to differ: those before and behind are the same.
local function differing_part(a, b)
  local first, last_a, last_b = 1, #a, #b
  while first <= last_a and first <= last_b and json.same(a[first], b[first]) do first = first + 1 end
  while last_a >= first and last_b >= first and json.same(a[last_a], b[last_b]) do
    last_a, last_b = last_a - 1, last_b - 1
  end
  return first, last_a, last_b
end

function Comparison:arrays(a, b, pointer)
  local first, last_a, last_b = differing_part(a, b)
  for i = first, math.max(last_a, last_b) do
    local x, y = nil, nil
    if i <= last_a then x = a[i] end
    if i <= last_b then y = b[i] end
    self:values(x, y, pointer .. json.part(i - 1))
  end
end

-- The names of variables, and their places; nil when it is no list of variables with a name each.
local function variables(list)
  local names, places = {}, {}
  for i, text in ipairs(list) do
    local name = type(text) == "string" and text:match("^([^=]*)=")
    if not name or places[name] then return nil end
    names[i], places[name] = name, i
  end
  return names, places
end

-- The names that the other list has as well, in their order.
local function common_order(names, places)
  local list = {}
  for _, name in ipairs(names) do
    if places[name] then list[#list + 1] = name end
  end
  return table.concat(list, "=")
end

-- Compares variables by their names. False: they cannot be compared so.
function Comparison:variables(a, b, pointer)
  local names_a, places_a = variables(a)
  local names_b, places_b = variables(b)
  if not names_a or not names_b or common_order(names_a, places_b) ~= common_order(names_b, places_a) then
    return false
  end
  for i, name in ipairs(names_a) do
    local j = places_b[name]
    self:values(a[i], j and b[j], pointer .. json.part(i - 1))
  end
  for j, name in ipairs(names_b) do
    if not places_a[name] then self:values(nil, b[j], pointer .. json.part(j - 1)) end
  end
  return true
end

-- Compares two values; nil is one that is not there.
function Comparison:values(a, b, pointer)
  if self.passes(pointer) or json.same(a, b) then return end
  if are_objects(a, b) then return self:objects(a, b, pointer) end
  if type(a) == "table" and type(b) == "table" and json.is_array(a) and json.is_array(b) then
    if VARIABLES[pointer] and self:variables(a, b, pointer) then return end
    return self:arrays(a, b, pointer)
  end
  self:add(a == nil and "added" or b == nil and "removed" or "changed", pointer, a, b)
end

local function new(kind, passes)
  return setmetatable({ kind = kind, rows = {}, passes = passes }, Comparison)
end

-- The rows of a history without what a rebuild changes by itself.
local function without_passing(rows)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = row
    if is_object(row) then
      list[i] = {}
      for name, value in pairs(row) do
        if not PASSING_OF_ROW[name] then list[i][name] = value end
      end
    end
  end
  return list
end

local function compare_config(a, b, semantic)
  local config_rows = new("config", function(pointer)
    return ELSEWHERE[pointer] or semantic and PASSING[pointer]
  end)
  config_rows:values(a, b, "")
  return config_rows.rows
end

local function compare_history(a, b, semantic)
  local history_rows = new("history", function() return false end)
  a, b = json.or_nil(a), json.or_nil(b)
  if semantic and type(a) == "table" and type(b) == "table" then a, b = without_passing(a), without_passing(b) end
  history_rows:values(a, b, "/history")
  return history_rows.rows
end

--- Compares the configs of two images.
---@param a strata.ImageState
---@param b strata.ImageState
---@param semantic boolean
---@return {config: strata.DiffValue[], history: strata.DiffValue[]}?
---@return string? message
---@return string? code
function documents.compare(a, b, semantic)
  local x, message, code = json.decode(a.config:text(), a.hub.limits.json)
  if not x then return nil, message, code end
  local y
  y, message, code = json.decode(b.config:text(), b.hub.limits.json)
  if not y then return nil, message, code end
  return { config = compare_config(x, y, semantic), history = compare_history(x.history, y.history, semantic) }
end

--- The row that says of two configs with the same values, and the same layers, in what else they differ.
---@param a strata.ImageState
---@param b strata.ImageState
---@return strata.DiffValue?
function documents.spelling(a, b)
  local x, y = config.document(a.config):text(), config.document(b.config):text()
  if x == y then return nil end
  return { kind = "config", change = "spelling", pointer = "", a = core.sha256(x), b = core.sha256(y) }
end

return documents
