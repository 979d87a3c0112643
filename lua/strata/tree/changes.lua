--- What a layer does to the tree of the layers below it.

local job = require "strata.util.job"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local metadata = require "strata.layer.metadata"
local tree_entry = require "strata.tree.entry"

local changes = {}

local NONE = -1 -- a node that a tree does not have

--- Which of the changes a mask has, as sums of these. "repeated" is an entry of the layer that changes nothing, and
--- "below" a path that the layer has no entry of.
changes.BITS = { added = 1, changed = 2, metadata = 2, removed = 4, repeated = 8, below = 16 }

---@alias strata.TreeChange "added"|"changed"|"metadata"|"removed"|"repeated"|"below"

--- The trees with and without a layer.
---@class strata.LayerChanges
---@field tree userdata  with it
---@field below userdata  without it
---@field change table<integer, strata.TreeChange>  by node of the tree; nil: "below"
---@field removed table<integer, integer[]>  by node of the tree: nodes of the other one that are not in it any more
---@field masks table<integer, integer>  by node of the tree: the changes of it and of all below it

-- ---- one path -----------------------------------------------------------------------------

-- Fields that make another file of it, and those that do not. Of a directory the time of its last change tells nothing.
local CONTENT = { "type", "size", "linkpath", "major", "minor" }
local ATTRIBUTES = { "mode", "uid", "gid" }
local TIMES = { "mtime", "mtime_nsec" }

local function differs(a, b, names)
  for _, name in ipairs(names) do
    if a[name] ~= b[name] then return true end
  end
  return false
end

-- Whether the contents of two files are the same.
local function same_content(states, below, a, tree, b)
  local x, from = below:source(a)
  local y, holder = tree:source(b)
  local ok, message, code = layer.prepare { states[from], states[holder] }
  if not ok then return nil, message, code end
  return metadata.same_content(x, y)
end

-- What became of a path that both trees have.
local function compare(states, below, a, tree, b)
  local x, y = tree_entry.fields(below, a), tree_entry.fields(tree, b)
  if differs(x, y, CONTENT) then return "changed" end
  if x.type == "file" and x.size > 0 then
    local same, message, code = same_content(states, below, a, tree, b)
    if same == nil then return nil, message, code end
    if not same then return "changed" end
  end
  if differs(x, y, ATTRIBUTES) or (x.type ~= "dir" and differs(x, y, TIMES)) then return "metadata" end
  return metadata.same_xattrs(x.xattrs, y.xattrs) and "repeated" or "metadata"
end

-- ---- all paths ----------------------------------------------------------------------------

-- Notes a node of the lower tree that is gone, in the directory that it was in. What was below it is found by it.
local function note_removed(self, node)
  local path = self.below:path(self.below:parent(node))
  local directory = self.tree:find(path, false)
  if not directory or self.tree:path(directory) ~= path then return end -- the directory is gone as well
  self.removed[directory] = self.removed[directory] or {}
  table.insert(self.removed[directory], node)
end

local function compare_all(self, states)
  local list = self.below:compare(self.tree)
  for i = 1, #list, 3 do
    job.tick()
    local a, b, what = list[i], list[i + 1], nil
    if b == NONE then
      note_removed(self, a)
    elseif a == NONE then
      what = "added"
    elseif list[i + 2] == 0 then
      local message, code
      what, message, code = compare(states, self.below, a, self.tree, b)
      if not what then return nil, message, code end
      if what == "repeated" and not self.tree:entry(b) then what = nil end
    end
    if b ~= NONE then self.change[b] = what end
  end
  return true
end

local function has(mask, bit)
  return math.floor(mask / bit) % 2 == 1
end

-- The sum of two masks that may have bits in common.
local function both(a, b)
  for bit = 0, 4 do
    if has(b, 2 ^ bit) and not has(a, 2 ^ bit) then a = a + 2 ^ bit end
  end
  return a
end

local function add_masks(self)
  local nodes, node, masks, tree = {}, 0, self.masks, self.tree
  while node do
    job.tick()
    nodes[#nodes + 1] = node
    masks[node] = changes.BITS[self.change[node] or "below"]
    if self.removed[node] then masks[node] = both(masks[node], changes.BITS.removed) end
    node = merge.after(tree, node, 0)
  end
  for i = #nodes, 2, -1 do
    job.tick()
    local parent = tree:parent(nodes[i])
    if masks[parent] ~= masks[nodes[i]] then masks[parent] = both(masks[parent], masks[nodes[i]]) end
  end
end

--- Compares the trees with and without the last of some layers.
---@param layers strata.Layer[]  base first
---@return strata.LayerChanges?
---@return string? message
---@return string? code
function changes.of(layers)
  local tree, message, code = merge.of(layers)
  if not tree then return nil, message, code end
  local below
  below, message, code = merge.of(layers, { count = #layers - 1 })
  if not below then
    tree:close()
    return nil, message, code
  end
  local self = { tree = tree, below = below, change = {}, removed = {}, masks = {} }
  local states = {}
  for i, one in ipairs(layers) do states[i] = layer.state_of(one) end
  local ok
  ok, message, code = compare_all(self, states)
  if not ok then
    changes.close(self)
    return nil, message, code
  end
  add_masks(self)
  return self
end

--- Frees the trees.
---@param self strata.LayerChanges
function changes.close(self)
  self.tree:close()
  self.below:close()
end

--- The names of what a mask has of additions, changes and removals, besides one; nil for none.
---@param mask integer
---@param own strata.TreeChange?
---@return string[]?
function changes.names(mask, own)
  local list = {}
  for _, name in ipairs { "added", "changed", "removed" } do
    local bit = changes.BITS[name]
    if bit ~= changes.BITS[own] and has(mask, bit) then list[#list + 1] = name end
  end
  return list[1] and list
end

--- Whether a mask has a change that is not among those to be hidden.
---@param mask integer
---@param hidden integer  a mask
---@return boolean
function changes.shows(mask, hidden)
  for bit = 0, 4 do
    if has(mask, 2 ^ bit) and not has(hidden, 2 ^ bit) then return true end
  end
  return false
end

return changes
