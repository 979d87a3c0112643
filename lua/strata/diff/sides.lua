--- The merged trees of two images that are compared. A layer that both have is scanned once, and no layer of the
-- images' common base is scanned where the layers above it give the answer.

local above = require "strata.tree.above"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"

local sides = {}

--- One of the two images, merged.
---@class strata.DiffSide
---@field tree userdata
---@field owners strata.LayerState[]  by the numbers of the tree: the state whose entry index is in it
---@field positions integer[]  by the numbers of the tree: the layer's number in the image

local function diff_id_of(state)
  return layer.current(state).diff_id
end

--- How many layers from the base on two images have in common.
---@param a strata.LayerState[]
---@param b strata.LayerState[]
---@return integer
function sides.common(a, b)
  local count = 0
  while a[count + 1] and b[count + 1] and diff_id_of(a[count + 1]) == diff_id_of(b[count + 1]) do count = count + 1 end
  return count
end

-- What speaks for a state among those of one layer: bytes that are there, the checks of `strict`, a finished scan, no
-- transfer, no inflating.
local function rank(state)
  local blob, sum = state.blob, 0
  if not blob.missing then sum = sum + 16 end
  if state.hub.strict then sum = sum + 8 end
  if state.loaded then sum = sum + 4 end
  if blob.file then sum = sum + 2 end
  if blob.compression == "none" then sum = sum + 1 end
  return sum
end

-- By diff_id: the state that is read for all layers that have it.
local function choose_owners(a, b)
  local owners = {}
  for _, states in ipairs { a, b } do
    for _, state in ipairs(states) do
      local id = diff_id_of(state)
      if not owners[id] or rank(state) > rank(owners[id]) then owners[id] = state end
    end
  end
  return owners
end

-- The owners of layers from a number on.
local function owners_of(states, first, owners)
  local list = {}
  for i = first, #states do list[#list + 1] = owners[diff_id_of(states[i])] end
  return list
end

-- Scans the layers of both lists, each once.
local function load(a, b, opts)
  local list, seen = {}, {}
  for _, states in ipairs { a, b } do
    for _, state in ipairs(states) do
      if not seen[state] then list[#list + 1] = state end
      seen[state] = true
    end
  end
  return layer.load(list, opts)
end

-- Whether two entries do the same to the layers below theirs.
local function has_same_shape(a, b)
  if a.path ~= b.path or a.type ~= b.type or a.linkpath ~= b.linkpath then return false end
  if a.type == "hardlink" then return not a.dangling and not b.dangling end
  if a.type == "char" then return a.major == b.major and a.minor == b.minor end
  local mark = "trusted.overlay.opaque"
  return a.type ~= "dir" or a.xattrs[mark] == b.xattrs[mark]
end

-- Whether a layer does to all layers below it what another one does: entry by entry, in the same order.
local function is_alike(a, b)
  if a == b then return true end
  if layer.is_edited(a) or layer.is_edited(b) then return false end
  local next_a, next_b = a.index:entries(), b.index:entries()
  local x, y = next_a(), next_b()
  while x and y do
    if not has_same_shape(x, y) then return false end
    x, y = next_a(), next_b()
  end
  return x == nil and y == nil
end

local function are_alike(a, b)
  if #a ~= #b then return false end
  for i, state in ipairs(a) do
    if not is_alike(state, b[i]) then return false end
  end
  return true
end

local function merged(states, owners, positions, view)
  local indexes = {}
  for i, owner in ipairs(owners) do indexes[i] = owner.index end
  local tree, message, code = merge.of_states(states, { indexes = indexes, view = view })
  if not tree then return nil, message, code end
  return { tree = tree, owners = owners, positions = positions }
end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = i end
  return list
end

-- The upper layers alone, on a layer that has nothing.
local function merge_upper(states, common, owners)
  local nothing, message, code = above.nothing(states[1])
  if not nothing then return nil, message, code end
  local list, upper = { nothing }, { nothing }
  for i = common + 1, #states do list[#list + 1] = states[i] end
  for i, owner in ipairs(owners) do upper[i + 1] = owner end
  return merged(list, upper, numbers(common, #states), "runtime")
end

-- The trees of two images, made by a function that takes an image and 1 or 2.
local function both(make, a, b)
  local left, message, code = make(a, 1)
  if not left then return nil, message, code end
  local right
  right, message, code = make(b, 2)
  if not right then
    left.tree:close()
    return nil, message, code
  end
  return left, right
end

--- Merges two images, or those layers of them that tell where the images differ.
---@param a strata.LayerState[]  whose edits have been carried out
---@param b strata.LayerState[]
---@param opts strata.DiffOptions
---@return strata.DiffSide|false|nil left  false: they have the same layers
---@return strata.DiffSide|string|nil right  or message
---@return string? code
function sides.of(a, b, opts)
  local common, owners = sides.common(a, b), choose_owners(a, b)
  if common == #a and common == #b then return false end
  local work = { threads = opts.threads, progress = opts.progress }
  if common > 0 and opts.view ~= "spec" and #a == #b then
    local upper = { owners_of(a, common + 1, owners), owners_of(b, common + 1, owners) }
    local ok, message, code = load(upper[1], upper[2], work)
    if not ok then return nil, message, code end
    if are_alike(upper[1], upper[2]) then
      return both(function(states, side) return merge_upper(states, common, upper[side]) end, a, b)
    end
  end
  local all = { owners_of(a, 1, owners), owners_of(b, 1, owners) }
  local ok, message, code = load(all[1], all[2], work)
  if not ok then return nil, message, code end
  return both(function(states, side)
    return merged(states, all[side], numbers(1, #states), opts.view)
  end, a, b)
end

return sides
