--- Whiteouts that hide nothing any more because what they hid was dropped.

local whiteout = {}

local function parent_of(path)
  return path:match("^(.*)/[^/]*$")
end

-- Adds a path and every directory above it to a set.
local function add_with_parents(set, path)
  while path and not set[path] do
    set[path] = true
    path = parent_of(path)
  end
end

-- Marks those of the candidates that the path is, or lies below.
local function mark_alive(alive, candidates, path)
  while path do
    if candidates[path] then alive[path] = true end
    path = parent_of(path)
  end
end

-- What an entry hides: a path, or all that is in a directory.
local function hidden_by(entry)
  return entry.whiteout or entry.opaque
end

--- Drops whiteouts and opaque markers whose whole target was dropped from the
-- layers below them. Those that hid nothing before stay as they are.
---@param indexes userdata[]  of all layers of the image, base first, scanned
---@param dropped table<integer, string[]>  per layer: the paths just dropped
---@return integer count  how many whiteouts went
function whiteout.drop_needless(indexes, dropped)
  local below, candidates, found = {}, {}, {}
  for i, index in ipairs(indexes) do
    if next(below) then
      for entry in index:entries() do
        local hidden = hidden_by(entry)
        if hidden and below[hidden] then
          candidates[hidden] = true
          found[#found + 1] = { layer = i, entry = entry, hidden = hidden }
        end
      end
    end
    for _, path in ipairs(dropped[i] or {}) do add_with_parents(below, path) end
  end
  if #found == 0 then return 0 end

  local alive, at, count = {}, 1, 0
  for i, index in ipairs(indexes) do
    while found[at] and found[at].layer == i do
      if not alive[found[at].hidden] then
        found[at].entry:drop()
        count = count + 1
      end
      at = at + 1
    end
    if not found[at] then break end
    for entry in index:entries() do
      if not hidden_by(entry) then mark_alive(alive, candidates, entry.path) end
    end
  end
  return count
end

return whiteout
