--- Files that layers have and merged trees do not show.

local job = require "strata.util.job"
local merge = require "strata.tree.merge"

local unseen = {}

--- Adds the files whose contents a merged tree shows.
---@param tree userdata  of all layers
---@param visible table<integer, table<integer, boolean>>  by layer: the numbers of entries
function unseen.add_visible(tree, visible)
  local node = 0
  while node do
    job.tick()
    if tree:info(node) == "file" then
      local entry, from = tree:source(node)
      visible[from] = visible[from] or {}
      visible[from][entry.position] = true
    end
    node = merge.after(tree, node, 0)
  end
end

--- Iterates over the files that are not visible and have bytes, layer by layer.
---@param states strata.LayerState[]
---@param visible table<integer, table<integer, boolean>>
---@param fn fun(entry: strata.Entry, layer: integer)
function unseen.each(states, visible, fn)
  for i, state in ipairs(states) do
    local seen = visible[i] or {}
    for entry in state.index:entries() do
      job.tick()
      local is_file = entry.type == "file" and not entry.whiteout and not entry.opaque
      if is_file and entry.size > 0 and not seen[entry.position] then fn(entry, i) end
    end
  end
end

return unseen
