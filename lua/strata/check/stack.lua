--- The layers below one that is looked at: what each of them has, and what they show
-- together in either view.

local core = require "strata.core"
local paths = require "strata.util.path"

local stack = {}

local MAX_ANSWERS = 10000
local AUFS = core.whiteout_name(paths.WHITEOUT)

---@class strata.Stack
---@field runtime userdata  the merged tree of the layers put here so far
---@field spec userdata?  the same by the letter of the specification; nil when that refuses a layer
---@field layers table[]  index; alone: the tree of that layer without the others; deleted: the answers to whether it
---  deletes a directory, of which there are `answers`
---@field steps integer  the limit of each tree
---@field refused {message: string, layer: integer}?  why there is no `spec`
---@field known boolean  false: a layer is not here, or cannot be unpacked
local Stack = {}
Stack.__index = Stack

--- No layers yet.
---@param limits strata.Limits
---@return strata.Stack
function stack.new(limits)
  local steps = limits.steps
  return setmetatable({
    runtime = core.tree(steps, "runtime"), spec = core.tree(steps, "spec"), layers = {}, steps = steps, known = true,
  }, Stack)
end

--- Puts a layer on top; nil for one that cannot be read.
---@param index userdata?
function Stack:add(index)
  local alone = self.known and index and core.tree(self.steps, "runtime")
  self.known = alone and alone:apply(index) and self.runtime:apply(index) or false
  if not self.known then return end
  self.layers[#self.layers + 1] = { index = index, alone = alone, deleted = {}, answers = 0 }
  if not self.spec then return end
  local ok, message = self.spec:apply(index)
  if not ok then
    self.refused = { message = message, layer = #self.layers }
    self.spec = nil
  end
end

--- What the layers show at a path in default runtimes, where the last symlink is not followed.
---@param path string
---@return string? type  nil: nothing
---@return integer? node
function Stack:find(path)
  local node = self.runtime:find(path, false)
  if not node then return nil end
  return (self.runtime:info(node)), node
end

-- Whether a layer deletes a path, by a whiteout or as overlayfs does it.
local function deletes(layer, path)
  local dir = paths.parent(path)
  local name = core.whiteout_name(paths.base(path))
  if layer.index:find(paths.join(dir or "", name)) then return true end
  local entry = layer.index:find(path)
  return entry ~= nil and entry.type == "char" and entry.major == 0 and entry.minor == 0
end

-- Whether a layer deletes a directory, or one above it. The answers for one path serve the next.
local function deletes_above(layer, dir)
  if not dir then return false end
  if layer.answers > MAX_ANSWERS then layer.deleted, layer.answers = {}, 0 end
  local known = layer.deleted[dir]
  if known == nil then
    known = deletes_above(layer, paths.parent(dir)) or deletes(layer, dir)
    layer.deleted[dir], layer.answers = known, layer.answers + 1
  end
  return known
end

--- Whether containerd finds a directory to copy the attributes of an implied one from, or nothing:
-- it looks for the topmost layer that has the path.
---@param path string
---@return boolean ok  false: it refuses
---@return integer? layer  that is in its way
---@return integer looked  the layers that it has looked at
function Stack:copied(path)
  local count = #self.layers
  for i = count, 1, -1 do
    local layer, looked = self.layers[i], count - i + 1
    local node, _, code = layer.alone:find(path, true)
    if node then return true, nil, looked end
    if code == "ENOTDIR" or code == "ELOOP" then return false, i, looked end
    if i > 1 then -- the lowest layer keeps no whiteouts
      if deletes_above(layer, paths.parent(path)) then return false, i, looked end
      if deletes(layer, path) then return true, nil, looked end
    end
  end
  return true, nil, count
end

-- ---- both views ------------------------------------------------------------------------

-- Children by name, and their names in order.
local function children_of(tree, node, by_name, names)
  local child = node and tree:first(node)
  while child do
    local name = tree:name(child)
    if not by_name[name] then
      by_name[name] = {}
      names[#names + 1] = name
    end
    by_name[name][tree] = child
    child = tree:next(child)
  end
end

local function says(tree, node)
  if not node then return "nothing" end
  local kind = tree:info(node)
  local _, layer = tree:source(node)
  return layer and ("a %s of layer %d"):format(kind, layer) or "a " .. kind
end

local function is_same(runtime, one, spec, other)
  local kind = runtime:info(one)
  if kind ~= spec:info(other) then return false end
  if kind == "dir" then return true end
  local a, layer = runtime:source(one)
  local b, other_layer = spec:source(other)
  return layer == other_layer and a.index == b.index
end

-- Whether a directory is only there for names of AUFS, which the letter passes over, or for nothing.
local function holds_nothing(tree, node)
  if not node or tree:info(node) ~= "dir" or tree:entry(node) then return false end
  local child = tree:first(node)
  while child do
    if tree:name(child):find(AUFS, 1, true) ~= 1 and not holds_nothing(tree, child) then return false end
    child = tree:next(child)
  end
  return true
end

--- Calls a function for each path at which the views differ, the uppermost ones alone.
---@param each fun(path: string, runtime: string, spec: string)  what each has there. Directories without an entry
---  in which there is nothing are passed over, and so are names of AUFS
function Stack:differences(each)
  local runtime, spec = self.runtime, self.spec
  local function compare(one, other)
    local by_name, names = {}, {}
    children_of(runtime, one, by_name, names)
    children_of(spec, other, by_name, names)
    for _, name in ipairs(names) do
      local mine, theirs = by_name[name][runtime], by_name[name][spec]
      local told = name:find(AUFS, 1, true) == 1 or (not theirs and holds_nothing(runtime, mine))
        or (not mine and holds_nothing(spec, theirs))
      local is_equal = mine and theirs and is_same(runtime, mine, spec, theirs)
      if not told and not is_equal then
        local path = mine and runtime:path(mine) or spec:path(theirs)
        each(path, says(runtime, mine), says(spec, theirs))
      elseif is_equal and runtime:info(mine) == "dir" then
        compare(mine, theirs)
      end
    end
  end
  if self.known and spec then compare(runtime:find("/"), spec:find("/")) end
end

--- Frees what the trees have. The indexes stay open.
function Stack:close()
  for _, layer in ipairs(self.layers) do layer.alone:close() end
  self.runtime:close()
  if self.spec then self.spec:close() end
end

return stack
