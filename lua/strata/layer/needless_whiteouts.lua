--- Finding whiteouts that hide nothing any more once marked entries are dropped.

local growing_tree = require "strata.layer.growing_tree"
local holders = require "strata.layer.holders"
local job = require "strata.util.job"
local parent_of = require("strata.util.path").parent

local needless_whiteouts = {}

-- The path that a whiteout hides, or the directory whose contents an opaque marker hides.
local function hidden_by(entry)
  return entry.whiteout or entry.opaque
end

-- The lowest layer that loses something at or below each path that a whiteout hides.
local function find_losses(states, losing, whiteouts)
  local losses = {}
  for _, i in ipairs(losing) do
    for entry in states[i].index:marked() do
      job.tick()
      local path = not hidden_by(entry) and entry.path or nil
      while path do
        if whiteouts[path] and not (losses[path] and losses[path] <= i) then losses[path] = i end
        path = parent_of(path)
      end
    end
  end
  return losses
end

-- The whiteouts, not dropped themselves, below which something is lost: the lower layers first, each in the order of
-- its tar. And the set of paths that they hide.
local function find_touched(states, losses, whiteouts)
  local touched, candidates = {}, {}
  for path, lowest in pairs(losses) do
    for _, one in ipairs(whiteouts[path]) do
      local entry = one.layer > lowest and states[one.layer].index:entry(one.number)
      if entry and not entry.marked and hidden_by(entry) == path then
        touched[#touched + 1] = { layer = one.layer, number = one.number, entry = entry, hidden = path }
        candidates[path] = true
      end
    end
  end
  table.sort(touched, function(a, b) -- numbers
    if a.layer ~= b.layer then return a.layer < b.layer end
    return a.number < b.number
  end)
  return touched, candidates
end

-- Notes which of the candidates a path is, or lies below.
local function mark_alive(alive, candidates, path)
  while path do
    if candidates[path] then alive[path] = true end
    path = parent_of(path)
  end
end

-- Of whiteouts those that hide nothing by another name either: their path may lead to it through symlinks.
local function without_other_names(states, dead)
  local list, at = {}, 1
  local ok, message, code = growing_tree.each(states, { drops_marked = true }, function(i, tree)
    while dead[at] and dead[at].layer == i + 1 do
      job.tick()
      if not tree:find(dead[at].hidden, false) then list[#list + 1] = dead[at] end
      at = at + 1
    end
  end)
  if not ok then return nil, message, code end
  return list
end

-- The whiteouts that hide nothing. The layers are visited from the base up: a whiteout is
-- needed when an entry that stays in a lower layer is at or below the path that it hides.
local function find_dead(states, found, candidates)
  local alive, at, dead = {}, 1, {}
  for i, state in ipairs(states) do
    while found[at] and found[at].layer == i do
      if not alive[found[at].hidden] then
        dead[#dead + 1] = found[at]
      end
      at = at + 1
    end
    if not found[at] then break end
    for entry in state.index:entries() do
      job.tick()
      if not entry.marked and not hidden_by(entry) then mark_alive(alive, candidates, entry.path) end
    end
  end
  return dead
end

--- Finds whiteouts and opaque markers whose whole target is marked in the layers below them. Those that hide nothing as
-- it is stay as they are.
---@param states {index: userdata}[]  of all layers of the image, base first, scanned
---@param losing? integer[]  the numbers of those with marked entries; nil: any may have some
---@return {layer: integer, entry: strata.Entry}[]? found
---@return string? message
---@return string? code
function needless_whiteouts.find(states, losing)
  local whiteouts = holders.whiteouts(states)
  if next(whiteouts) == nil then return {} end
  if not losing then
    losing = {}
    for i in ipairs(states) do losing[i] = i end
  end
  local touched, candidates = find_touched(states, find_losses(states, losing, whiteouts), whiteouts)
  local dead = touched[1] and find_dead(states, touched, candidates) or {}
  if not dead[1] then return dead end
  return without_other_names(states, dead)
end

--- Marks them.
---@param states {index: userdata}[]
---@return boolean? ok
---@return string? message
---@return string? code
function needless_whiteouts.mark(states)
  local found, message, code = needless_whiteouts.find(states)
  if not found then return nil, message, code end
  for _, one in ipairs(found) do one.entry:mark() end
  return true
end

return needless_whiteouts
