--- Finding whiteouts that hide nothing any more once marked entries are dropped.

local growing_tree = require "strata.layer.growing_tree"
local parent_of = require("strata.util.path").parent

local needless_whiteouts = {}

-- The path that a whiteout hides, or the directory whose contents an opaque marker hides.
local function hidden_by(entry)
  return entry.whiteout or entry.opaque
end

-- The whiteouts that are not dropped themselves, and the set of paths that they hide.
local function find_whiteouts(states)
  local found, hidden = {}, {}
  for i, state in ipairs(states) do
    if i > 1 then
      for entry in state.index:entries() do
        local path = not entry.marked and hidden_by(entry)
        if path then
          found[#found + 1] = { layer = i, entry = entry, hidden = path }
          hidden[path] = true
        end
      end
    end
  end
  return found, hidden
end

-- The lowest layer that loses something at or below each hidden path.
local function find_losses(states, hidden)
  local losses = {}
  for i, state in ipairs(states) do
    for entry in state.index:entries() do
      local path = entry.marked and not hidden_by(entry) and entry.path or nil
      while path do
        if hidden[path] and not losses[path] then losses[path] = i end
        path = parent_of(path)
      end
    end
  end
  return losses
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
  local list = {}
  local ok, message, code = growing_tree.each(states, { drops_marked = true }, function(i, tree)
    for _, one in ipairs(dead) do
      if one.layer == i + 1 and not tree:find(one.hidden, false) then list[#list + 1] = one end
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
      if not entry.marked and not hidden_by(entry) then mark_alive(alive, candidates, entry.path) end
    end
  end
  return dead
end

--- Marks whiteouts and opaque markers whose whole target is marked in the layers
-- below them. Those that hide nothing as it is stay as they are.
---@param states {index: userdata}[]  of all layers of the image, base first, scanned
---@return integer? count  how many
---@return string? message
---@return string? code
function needless_whiteouts.mark(states)
  local found, hidden = find_whiteouts(states)
  if #found == 0 then return 0 end
  local losses, candidates, touched = find_losses(states, hidden), {}, {}
  for _, one in ipairs(found) do
    if losses[one.hidden] and losses[one.hidden] < one.layer then
      candidates[one.hidden] = true
      touched[#touched + 1] = one
    end
  end
  if #touched == 0 then return 0 end
  local dead = find_dead(states, touched, candidates)
  if #dead > 0 then
    local message, code
    dead, message, code = without_other_names(states, dead)
    if not dead then return nil, message, code end
  end
  for _, one in ipairs(dead) do one.entry:mark() end
  return #dead
end

return needless_whiteouts
