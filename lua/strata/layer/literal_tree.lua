--- Where a path leads by the letter of the specification, by which symlinks of lower layers are followed. Runtimes do
-- not follow them, but whoever unpacks one layer over the other does. Edits of entries have to be right for both.

local core = require "strata.core"

local literal_tree = {}

--- Calls fn before each layer but the base, with the tree of those below it.
---@param states {index: userdata}[]  of all layers of the image, base first, scanned
---@param drops_marked boolean  the tree is that without the marked entries
---@param fn fun(number: integer, tree: userdata)
function literal_tree.each(states, drops_marked, fn)
  local tree = core.tree(nil, "spec", drops_marked)
  for i, state in ipairs(tree and states or {}) do
    if i > 1 then fn(i, tree) end
    if not tree:apply(state.index) then break end -- what cannot be unpacked in this way leads nowhere
  end
  if tree then tree:close() end
end

return literal_tree
