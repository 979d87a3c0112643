--- The score of an image by the rule that dive has published, so that thresholds can be carried over from it.
--
-- Each layer counts for the leaves of its own tree: files, links, devices, whiteouts, and directories that it has
-- nothing in. A path is charged with the bytes of all its leaves, over all layers. The score is the sum of the
-- smallest leaf of each path, divided by the sum of all leaves. The whiteout of a directory that has an entry has the
-- bytes of all that it removes, any other whiteout none. Opaque markers are passed over.

local job = require "strata.util.job"
local json = require "strata.util.json"
local merge = require "strata.tree.merge"
local parent_of = require("strata.util.path").parent

---@class strata.Efficiency
---@field paths table<string, strata.RepeatedPath>  with the bytes of the smallest leaf in `least`
---@field list strata.RepeatedPath[]  the same
local Efficiency = {}
Efficiency.__index = Efficiency

local efficiency = {}

--- One without layers.
---@return strata.Efficiency
function efficiency.new()
  return setmetatable({ paths = {}, list = {} }, Efficiency)
end

local function bytes_of(entry)
  return entry and entry.type == "file" and entry.size or 0
end

-- The bytes of the files below a directory that a whiteout removes.
local function removed_bytes(tree, path)
  local top = tree:find(path, false)
  local entry = top and tree:path(top) == path and tree:entry(top)
  if not entry or entry.type ~= "dir" then return 0 end
  local sum, node = 0, merge.after(tree, top, top)
  while node do
    job.tick()
    sum = sum + bytes_of(tree:entry(node))
    node = merge.after(tree, node, top)
  end
  return sum
end

-- Names that begin like this are no files of anybody: opaque markers, and metadata of AUFS.
local function is_passed_over(path)
  return path == "." or path:find("^%.wh%.%.wh%.") or path:find("/.wh..wh.", 1, true)
end

function Efficiency:count(path, bytes)
  local row = self.paths[path]
  if not row then
    row = { path = path, count = 0, bytes = 0, least = bytes }
    self.paths[path], self.list[#self.list + 1] = row, row
  end
  row.count, row.bytes, row.least = row.count + 1, row.bytes + bytes, math.min(row.least, bytes)
end

--- Counts a layer.
---@param tree userdata  of the layers below it
---@param index userdata  the entry index of the layer
function Efficiency:add(tree, index)
  local last, order, has_children = {}, {}, {}
  for entry in index:entries() do
    job.tick()
    local path = entry.path
    if not is_passed_over(path) then
      if not last[path] then order[#order + 1] = path end
      last[path] = entry
      local parent = parent_of(path)
      while parent and not has_children[parent] do
        has_children[parent] = true
        parent = parent_of(parent)
      end
    end
  end
  for _, path in ipairs(order) do
    job.tick()
    local hidden = last[path].whiteout
    if not has_children[path] then
      self:count(hidden or path, hidden and removed_bytes(tree, hidden) or bytes_of(last[path]))
    end
  end
end

--- The score, and the paths that are there more than once, those with the most bytes first.
---@return number score  1 when nothing has bytes
---@return strata.RepeatedPath[] repeated
function Efficiency:result()
  local least, all, repeated = 0, 0, {}
  for _, row in ipairs(self.list) do
    job.tick()
    least, all = least + row.least, all + row.bytes
    if row.count > 1 and row.bytes > 0 then
      repeated[#repeated + 1] = { path = row.path, count = row.count, bytes = row.bytes }
    end
  end
  table.sort(repeated, function(a, b) -- numbers, then paths by json.before
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return json.before(a.path, b.path)
  end)
  return all == 0 and 1 or least / all, repeated
end

return efficiency
