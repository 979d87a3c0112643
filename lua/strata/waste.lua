--- Bytes that an image carries and no container sees: files that upper layers
-- replaced, deleted or hid, and those that they only gave other metadata.

local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local merge = require "strata.tree.merge"
local printed = require "strata.util.printed"

local waste = {}

-- For each layer: the entries whose contents are visible in the merged tree.
local function find_visible(tree, count)
  local visible = {}
  for i = 1, count do visible[i] = {} end
  local node = 0
  while node do
    if tree:info(node) == "file" then
      local entry, from = tree:source(node)
      visible[from][entry.position] = true
    end
    node = merge.after(tree, node, 0)
  end
  return visible
end

--- The wasted bytes of each layer; a file with several names counts once.
---@param layers strata.Layer[]
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return string? code
function waste.of(layers, opts)
  options.check("waste", "WasteOptions", opts)
  if type(layers) ~= "table" then misuse("waste: an array of layers is wanted, not %s", type(layers)) end
  for _, one in ipairs(layers) do
    if not layer.is(one) then misuse("waste: an array of layers is wanted, not one of %s", type(one)) end
  end
  local tree, message, code = merge.of(layers, { view = opts and opts.view })
  if not tree then return nil, message, code end
  local visible = find_visible(tree, #layers)
  local result = { total = 0, layers = {} }
  for i, one in ipairs(layers) do
    local bytes = 0
    for entry in layer.state_of(one).index:entries() do
      if entry.type == "file" and not entry.whiteout and not entry.opaque and not visible[i][entry.position] then
        bytes = bytes + entry.size
      end
    end
    result.layers[i] = bytes
    result.total = result.total + bytes
  end
  tree:close()
  printed.by(result.layers, printed.copy)
  return printed.by(result, printed.waste)
end

return waste
