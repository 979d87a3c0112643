--- The history of one path: which layers changed it, and how.

local core = require "strata.core"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local metadata = require "strata.layer.metadata"
local printed = require "strata.util.printed"

local path_history = {}

-- Whether two files have the same content.
local function same_content(before, after)
  local a, b = before.source, after.source
  if a.size ~= b.size then return false end
  for _, one in ipairs { before, after } do
    local ok, message, code = layer.prepare_entry(one.holder, one.source)
    if not ok then return nil, message, code end
  end
  return metadata.same_content(a, b)
end

-- The action that leads from one state of the path to the next; nil, message, code when it cannot be told.
local function compare(before, after)
  local a, b = before.source, after.source
  if before.type ~= after.type or not a or not b then
    return before.type == after.type and "metadata" or "changed"
  end
  if a.linkpath ~= b.linkpath or a.major ~= b.major or a.minor ~= b.minor then return "changed" end
  if before.type == "file" then
    local same, message, code = same_content(before, after)
    if same == nil then return nil, message, code end
    if not same then return "changed" end
  end
  return metadata.same(a, b) and "repeated" or "metadata"
end

-- The state of a path in the tree; nil when nothing is there.
local function look(tree, path, layers)
  local node = tree:find(path, false)
  if not node then return nil end
  local kind, from = tree:info(node)
  local entry = tree:entry(node)
  local source, holder = tree:source(node)
  return {
    type = kind, layer = from, entry = entry, source = source, path = tree:path(node),
    holder = holder and layer.state_of(layers[holder]), number = entry and entry.position,
  }
end

local function action(before, after, index)
  if not before then return after and "added" end
  if not after then return index:find(core.whiteout_name(before.path)) and "deleted" or "hidden" end
  if before.layer == after.layer and before.number == after.number then return nil end
  return compare(before, after)
end

--- The rows of the layers that have done something to a path.
---@param layers strata.Layer[]
---@param path string
---@return strata.PathHistory[]?
---@return string? message
---@return string? code
function path_history.of(layers, path)
  local rows, before, failure = {}, nil, nil
  local tree, message, code = merge.of(layers, {
    after = function(tree, number)
      if failure then return end
      local after = look(tree, path, layers)
      local what, why, how = action(before, after, layer.state_of(layers[number]).index)
      failure = why and { why, how }
      if what then
        rows[#rows + 1] = { layer = layers[number], action = what, entry = after and after.entry }
      end
      before = after
    end,
  })
  if not tree then return nil, message, code end
  tree:close()
  if failure then return nil, failure[1], failure[2] end
  return printed.list(rows, printed.change)
end

return path_history
