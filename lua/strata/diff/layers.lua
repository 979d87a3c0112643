--- Which layers two images do not share, by diff_id.

local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local sides = require "strata.diff.sides"

local layers = {}

local function describe(state, number)
  if not state then return nil end
  local now = layer.current(state)
  return { layer = number, diff_id = now.diff_id, size = now.size }
end

-- How many layers from the top on are the same, of those above the common base.
local function common_top(a, b, common)
  local count = 0
  while #a - count > common and #b - count > common and
    layer.current(a[#a - count]).diff_id == layer.current(b[#b - count]).diff_id do
    count = count + 1
  end
  return count
end

-- The paths of a scanned layer: in their order, and sorted.
local function paths_of(state)
  local list, sorted = {}, {}
  for entry in state.index:entries() do
    job.tick()
    list[#list + 1] = entry.path
    sorted[#list] = entry.path
  end
  return list, json.sort(sorted)
end

local function same_list(a, b)
  if #a ~= #b then return false end
  for i, value in ipairs(a) do
    if b[i] ~= value then return false end
  end
  return true
end

-- Whether two scanned layers have the same entries in another order.
local function is_reordered(a, b)
  if not a.index or not b.index or a.index:count() ~= b.index:count() then return false end
  local list_a, sorted_a = paths_of(a)
  local list_b, sorted_b = paths_of(b)
  return same_list(sorted_a, sorted_b) and not same_list(list_a, list_b)
end

-- A function that tells where a diff_id is next in a list, from a number on that only grows; nil: nowhere.
local function finder(list)
  local places, first = {}, {}
  for i, state in ipairs(list) do
    local diff_id = layer.current(state).diff_id
    places[diff_id] = places[diff_id] or {}
    table.insert(places[diff_id], i)
  end
  return function(diff_id, from, last)
    local known, k = places[diff_id] or {}, first[diff_id] or 1
    while known[k] and known[k] < from do k = k + 1 end
    first[diff_id] = k
    return known[k] and known[k] <= last and known[k] or nil
  end
end

--- Compares the layers of two images, whose edits have been carried out. A layer that both have in the same order is
-- no difference, whatever its numbers are.
---@param a strata.LayerState[]
---@param b strata.LayerState[]
---@return strata.DiffLayer[]
function layers.compare(a, b)
  local common, rows = sides.common(a, b), {}
  local top, find_a, find_b = common_top(a, b, common), finder(a), finder(b)
  local i, k, last_a, last_b = common + 1, common + 1, #a - top, #b - top
  local function add(x, y)
    rows[#rows + 1] = {
      kind = "layer", change = not x and "added" or not y and "removed" or "changed",
      a = describe(x, i), b = describe(y, k), reordered = x and y and is_reordered(x, y) or nil,
    }
    i, k = i + (x and 1 or 0), k + (y and 1 or 0)
  end
  while i <= last_a or k <= last_b do
    local x, y = i <= last_a and a[i] or nil, k <= last_b and b[k] or nil
    local in_a = x and y and find_a(layer.current(y).diff_id, i, last_a)
    local in_b = x and y and find_b(layer.current(x).diff_id, k, last_b)
    if in_a == i then
      i, k = i + 1, k + 1
    elseif in_a and (not in_b or in_a - i <= in_b - k) then
      add(x, nil)
    elseif in_b then
      add(nil, y)
    else
      add(x, y)
    end
  end
  return rows
end

return layers
