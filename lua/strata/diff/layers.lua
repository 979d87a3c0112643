--- Which layers two images do not share, by diff_id.

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

--- Compares the layers of two images, whose edits have been carried out.
---@param a strata.LayerState[]
---@param b strata.LayerState[]
---@return strata.DiffLayer[]
function layers.compare(a, b)
  local common = sides.common(a, b)
  local top, rows = common_top(a, b, common), {}
  for i = common + 1, math.max(#a, #b) - top do
    local x, y = i <= #a - top and a[i] or nil, i <= #b - top and b[i] or nil
    rows[#rows + 1] = {
      kind = "layer", change = not x and "added" or not y and "removed" or "changed",
      a = describe(x, i), b = describe(y, i), reordered = x and y and is_reordered(x, y) or nil,
    }
  end
  return rows
end

return layers
