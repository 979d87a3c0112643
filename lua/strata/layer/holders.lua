--- What the layers of an image have that an edit of another layer may concern: whiteouts, and hardlinks whose file is
-- not in their own layer.
--
-- Looking for them means reading all entries of all layers. What was found is kept in the hub for as long as nothing
-- else edits entries, so that as many edits as there are layers read them once, and not as many times.

local job = require "strata.util.job"

local holders = {}

---@class strata.Holders
---@field layers table[]  that this is about
---@field loads integer  how often layers had been scanned
---@field links boolean?  a layer has a hardlink whose file was not in it when it was scanned
---@field edits integer?  what the counter of edits said when whiteouts were looked for
---@field whiteouts table<string, {layer: integer, number: integer}[]>?  by the path that they hide, or whose contents
---  they hide: the lower layers first, each in the order of its tar. Some may be dropped by now

-- What is known of the layers; a new table when nothing can be kept.
local function known_of(states)
  local hub = states[1] and states[1].hub
  if not (hub and hub.edits and hub.layers == states) then return { layers = states } end
  local known = hub.holders
  if not known or known.layers ~= states or known.loads ~= hub.loads then
    known = { layers = states, loads = hub.loads }
    hub.holders = known
  end
  return known, hub
end

--- Whether a layer has a hardlink whose file was not in it when it was scanned.
---@param states {index: userdata?, hub: strata.Hub?}[]  base first; those that are not scanned do not count
---@return boolean
function holders.links(states)
  local known = known_of(states)
  if known.links == nil then
    known.links = false
    for _, state in ipairs(states) do
      job.tick()
      known.links = known.links or state.index ~= nil and state.index:dangling()[1] ~= nil
    end
  end
  return known.links
end

local function find_whiteouts(states)
  local found = {}
  for i, state in ipairs(states) do
    for entry in i > 1 and state.index:whiteouts() or function() end do
      job.tick()
      local path = entry.whiteout or entry.opaque
      found[path] = found[path] or {}
      table.insert(found[path], { layer = i, number = entry.position })
    end
  end
  return found
end

--- The whiteouts above the base, by the path that they hide.
---@param states {index: userdata, hub: strata.Hub?}[]  base first, scanned
---@return table<string, {layer: integer, number: integer}[]>
function holders.whiteouts(states)
  local known, hub = known_of(states)
  local edits = hub and hub.edits:count()
  if not known.whiteouts or known.edits ~= edits then
    known.whiteouts, known.edits = find_whiteouts(states), edits
  end
  return known.whiteouts
end

--- Tells that entries were dropped since holders.whiteouts was called, and that nothing else was edited.
---@param states {hub: strata.Hub}[]
function holders.only_dropped(states)
  local known, hub = known_of(states)
  if hub then known.edits = hub.edits:count() end
end

return holders
