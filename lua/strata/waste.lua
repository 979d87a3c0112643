--- Bytes that an image carries and no container sees: files that upper layers
-- replaced, deleted or hid, and those that they only gave other metadata.

local core = require "strata.core"
local efficiency = require "strata.tree.efficiency"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local metadata = require "strata.layer.metadata"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local unseen_files = require "strata.tree.unseen"

local waste = {}

--- A file that no container sees, while it is found out why.
---@class strata.UnseenFile
---@field row strata.WastedFile
---@field entry strata.Entry
---@field state strata.LayerState  that has it
---@field after {source: strata.Entry, state: strata.LayerState}?  the file that took its path

-- The files that a tree does not show and that have bytes, layer by layer.
local function find_unseen(states, tree)
  local visible, found = {}, {}
  unseen_files.add_visible(tree, visible)
  unseen_files.each(states, visible, function(entry, number)
    found[#found + 1] = {
      entry = entry, state = states[number], row = { path = entry.path, layer = number, bytes = entry.size },
    }
  end)
  return found
end

-- ---- why a file is not seen ---------------------------------------------------------------

-- What has come to the path of a file, in the tree of the layers up to a number; nil while the file is there.
local function look(tree, one, states, number)
  local node = tree:find(one.row.path, false)
  local source, from
  if node then source, from = tree:source(node) end
  if source and from == one.row.layer and source.position == one.entry.position then return nil end
  if not node then
    local is_named = states[number].index:find(core.whiteout_name(one.row.path)) ~= nil
    return is_named and "deleted" or "hidden"
  end
  if tree:info(node) ~= "file" or not source then return "changed" end
  return "changed", { source = source, state = states[from] }
end

-- Puts the layers on each other once more, and notes by which one each file lost its path.
local function find_causes(states, unseen, view)
  local waiting, first = {}, 1
  local tree, message, code = merge.of_states(states, {
    view = view,
    after = function(tree, number)
      while unseen[first] and unseen[first].row.layer == number do
        waiting[#waiting + 1] = unseen[first]
        first = first + 1
      end
      local left = {}
      for _, one in ipairs(waiting) do
        job.tick()
        local why, after = look(tree, one, states, number)
        if why then
          one.row.why, one.row.by, one.after = why, number, after
        else
          left[#left + 1] = one
        end
      end
      waiting = left
    end,
  })
  if not tree then return nil, message, code end
  tree:close()
  return true
end

-- Tells the files that were replaced by the same content from the others.
local function compare(unseen, opts)
  local alike, wanted, total, done = {}, {}, 0, 0
  for _, one in ipairs(unseen) do
    if one.after and one.after.source.size == one.entry.size then
      alike[#alike + 1] = one
      wanted[one.state], wanted[one.after.state] = true, true
      total = total + one.entry.size
    end
  end
  local states = {}
  for _, one in ipairs(alike) do
    for _, state in ipairs { one.state, one.after.state } do
      if wanted[state] then states[#states + 1] = state end
      wanted[state] = nil
    end
  end
  local ok, message, code = layer.prepare(states, opts)
  if not ok then return nil, message, code end
  for _, one in ipairs(alike) do
    local finish, source = done + one.entry.size, one.after.source
    local same, why, how = metadata.same_content(one.entry, source, function(bytes)
      done = done + bytes
      if opts.progress then opts.progress(done, total, "comparing") end
    end)
    if same == nil then return nil, why, how end
    if same then one.row.why = metadata.same(one.entry, source) and "repeated" or "metadata" end
    done = finish
  end
  return true
end

-- ---- the whole -----------------------------------------------------------------------------

local function summary(unseen, count)
  local result = { total = 0, layers = {}, paths = {} }
  for i = 1, count do result.layers[i] = 0 end
  for i, one in ipairs(unseen) do
    local row = one.row
    result.paths[i] = row
    result.layers[row.layer] = result.layers[row.layer] + row.bytes
    result.total = result.total + row.bytes
  end
  table.sort(result.paths, function(a, b) -- numbers, then paths by json.before
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    if a.path ~= b.path then return json.before(a.path, b.path) end
    return a.layer < b.layer
  end)
  return result
end

local function states_of(layers)
  if type(layers) ~= "table" then misuse("waste: an array of layers is wanted, not %s", type(layers)) end
  local states = {}
  for i, one in ipairs(layers) do
    if not layer.is(one) then misuse("waste: an array of layers is wanted, not one of %s", type(one)) end
    states[i] = layer.state_of(one)
  end
  return states
end

--- The wasted bytes of each layer, and of each file; a file with several names counts once.
---@param layers strata.Layer[]
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return string? code
function waste.of(layers, opts)
  options.check("waste", "WasteOptions", opts)
  opts = opts or {}
  local states, score = states_of(layers), efficiency.new()
  local ok, message, code = layer.load(states, opts)
  if not ok then return nil, message, code end
  local tree
  tree, message, code = merge.of_states(states, {
    view = opts.view, before = function(below, number) score:add(below, states[number].index) end,
  })
  if not tree then return nil, message, code end
  local unseen = find_unseen(states, tree)
  tree:close()
  if opts.why ~= false and #unseen > 0 then
    ok, message, code = find_causes(states, unseen, opts.view)
    if ok then ok, message, code = compare(unseen, opts) end
    if not ok then return nil, message, code end
  end
  local result = summary(unseen, #states)
  result.efficiency, result.repeated = score:result()
  printed.by(result.layers, printed.copy)
  printed.list(result.paths, printed.wasted_file)
  printed.list(result.repeated, printed.repeated_path)
  return printed.by(result, printed.waste)
end

return waste
