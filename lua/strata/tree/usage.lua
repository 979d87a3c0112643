--- How many bytes the files below each directory of a merged tree have. A file with several names counts once in each
-- directory that has one of them, however many it has.

local job = require "strata.util.job"
local merge = require "strata.tree.merge"

local usage = {}

---@class strata.UsageTable
---@field tree userdata  that it was made of
---@field bytes table<integer, integer>  by node: of a file, or of all files below a directory
---@field entries table<integer, integer>  by node of a directory: how many paths are below it

-- The nodes of a tree, a directory before its contents.
local function nodes_of(tree)
  local list, node = {}, 0
  while node do
    job.tick()
    list[#list + 1] = node
    node = merge.after(tree, node, 0)
  end
  return list
end

-- Takes from directories what they would count more than once: `names` are nodes of one file. Where the way up from a
-- name meets that of an earlier one, the file is counted already. `reached` has for each directory the inode that came
-- to it last.
local function count_once(tree, inode, names, reached, bytes)
  for _, name in ipairs(names) do
    local parent = tree:parent(name)
    while parent and reached[parent] ~= inode do
      job.tick()
      reached[parent] = inode
      parent = tree:parent(parent)
    end
    if parent then bytes[parent] = bytes[parent] - bytes[name] end
  end
end

--- Adds up a tree.
---@param tree userdata
---@return strata.UsageTable
function usage.of(tree)
  local nodes, bytes, entries = nodes_of(tree), {}, {}
  local names, inodes, reached = {}, {}, {}
  for _, node in ipairs(nodes) do
    job.tick()
    local kind, _, inode, links = tree:info(node)
    bytes[node], entries[node] = 0, 0
    if kind == "file" then
      bytes[node] = tree:source(node).size
      if inode and links > 1 and bytes[node] > 0 then
        if not names[inode] then names[inode], inodes[#inodes + 1] = {}, inode end
        table.insert(names[inode], node)
      end
    end
  end
  for _, inode in ipairs(inodes) do count_once(tree, inode, names[inode], reached, bytes) end
  for i = #nodes, 2, -1 do
    job.tick()
    local node = nodes[i]
    local parent = tree:parent(node)
    bytes[parent] = bytes[parent] + bytes[node]
    entries[parent] = entries[parent] + entries[node] + 1
  end
  return { tree = tree, bytes = bytes, entries = entries }
end

-- The files, in the order of the walk, a file with several names by the first of them.
local function files_of(tree)
  local list, known, node = {}, {}, 0
  while node do
    job.tick()
    local kind, _, inode = tree:info(node)
    if kind == "file" and not (inode and known[inode]) then
      if inode then known[inode] = true end
      list[#list + 1] = node
    end
    node = merge.after(tree, node, 0)
  end
  return list
end

--- The largest files, a file with several names once, by the first of them; of those with the same size the first of a
-- walk.
---@param sums strata.UsageTable
---@param count integer  at most
---@return integer[] nodes
function usage.largest(sums, count)
  local files, sizes, order = files_of(sums.tree), {}, {}
  for i, node in ipairs(files) do sizes[i], order[node] = sums.bytes[node], i end
  table.sort(sizes) -- numbers
  local least = sizes[math.max(1, #sizes - count + 1)] or 0
  local nodes, alike, larger = {}, {}, 0
  if count == 0 then return nodes end
  for _, node in ipairs(files) do
    if sums.bytes[node] > least then larger = larger + 1 end
  end
  for _, node in ipairs(files) do
    local bytes = sums.bytes[node]
    if bytes > least then nodes[#nodes + 1] = node end
    if bytes == least and larger + #alike < count then alike[#alike + 1] = node end
  end
  table.sort(nodes, function(a, b) -- numbers
    if sums.bytes[a] ~= sums.bytes[b] then return sums.bytes[a] > sums.bytes[b] end
    return order[a] < order[b]
  end)
  for _, node in ipairs(alike) do nodes[#nodes + 1] = node end
  return nodes
end

return usage
