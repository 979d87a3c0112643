--- The layers below one that is looked at: what each of them has, and what they show
-- together in either view.

local core = require "strata.core"
local job = require "strata.util.job"
local paths = require "strata.util.path"

local stack = {}

local MAX_ANSWERS = 10000
local MAX_NAMED = 10000 -- entries of a layer whose names are kept
local AUFS = core.whiteout_name(paths.WHITEOUT)

---@class strata.Stack
---@field runtime userdata  the merged tree of the layers put here so far
---@field spec userdata?  the same by the letter of the specification; nil when that refuses a layer
---@field layers table[]  index; alone: the tree of that layer without the others; deleted: the answers to whether it
---  deletes a directory, of which there are `answers`
---@field steps integer  the limit of each tree
---@field refused {message: string, layer: integer}?  why there is no `spec`
---@field known boolean  false: a layer is not here, or cannot be unpacked
---@field any table<string, integer[]>  by a name: the layers that have it anywhere, the lowest first
---@field hard table<string, integer[]>  by a name: those of them in which it may be no directory, or deletes one
---@field unnamed integer[]  the layers with so many entries that their names are not kept
---@field named integer  how many layers, the lowest ones, these three are about
local Stack = {}
Stack.__index = Stack

--- No layers yet.
---@param limits strata.Limits
---@return strata.Stack
function stack.new(limits)
  local steps = limits.steps
  return setmetatable({
    runtime = core.tree(steps, "runtime"), spec = core.tree(steps, "spec"), layers = {}, steps = steps, known = true,
    any = {}, hard = {}, unnamed = {}, named = 0,
  }, Stack)
end

-- Notes that a layer, the topmost one so far, has a name.
local function note(by_name, name, number)
  local list = by_name[name]
  if not list then
    by_name[name] = { number }
  elseif list[#list] ~= number then
    list[#list + 1] = number
  end
end

-- Notes the names that a layer has, those of directories without an entry among them. Walks pass over the layers that
-- have none of a path's names, which may be thousands for each path.
local function note_names(self, index, number)
  if (index:count()) > MAX_NAMED then
    self.unnamed[#self.unnamed + 1] = number
    return
  end
  local seen = {}
  for entry in index:entries() do
    job.tick()
    local path = entry.path
    local name = paths.base(path)
    note(self.any, name, number)
    if entry.type ~= "dir" then note(self.hard, name, number) end
    if name:sub(1, #paths.WHITEOUT) == paths.WHITEOUT then
      local hidden = name:sub(#paths.WHITEOUT + 1)
      note(self.any, hidden, number)
      note(self.hard, hidden, number)
    end
    path = paths.parent(path)
    while path and not seen[path] do
      seen[path] = true
      note(self.any, paths.base(path), number)
      path = paths.parent(path)
    end
  end
end

-- The highest number in a list that is not above another one, 0 when there is none.
local function highest(list, most)
  local low, high = 0, list and #list or 0
  if high > 0 and list[high] <= most then return list[high] end
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if list[middle] <= most then low = middle else high = middle - 1 end
  end
  return low > 0 and list[low] or 0
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
  local way, known = {}, false
  while dir do
    if layer.deleted[dir] ~= nil then
      known = layer.deleted[dir]
      break
    end
    way[#way + 1] = dir
    dir = paths.parent(dir)
  end
  if layer.answers > MAX_ANSWERS then layer.deleted, layer.answers = {}, 0 end
  for i = #way, 1, -1 do
    known = known or deletes(layer, way[i])
    layer.deleted[way[i]], layer.answers = known, layer.answers + 1
  end
  return known
end

-- ---- one directory after the other ------------------------------------------------------

--- A directory in the layers from which a walk goes down, name by name: to look up each longer path anew would take
--- longer and longer.
---@class strata.StackWalk
---@field stack strata.Stack
---@field path string  "" for the root
---@field name string?  the last one
---@field depth integer  how many names have been gone down
---@field node integer?  what default runtimes show there
---@field leads_to integer?  the same with the last symlink followed
---@field number integer  of the topmost layer that may have something there
---@field above integer[][]?  for each name above: the layers in which it may be no directory, or deletes one; nil: no
---  layer was passed over so far
---@field at {depth: integer, node: integer?, code: string?}  what that layer has
local Walk = {}
Walk.__index = Walk

--- A walk that begins at a directory.
---@param path string  "" for the root
---@return strata.StackWalk
function Stack:walk(path)
  return setmetatable({
    stack = self, path = path, depth = 0, number = #self.layers, at = {},
    leads_to = self.runtime:find(path == "" and "/" or path, true),
  }, Walk)
end

-- What a name in a node of a tree leads to; nil and why.
local function enter(tree, node, name, path)
  local child = tree:child(node, name)
  if child and tree:info(child) == "symlink" then
    local _, code
    child, _, code = tree:find(path, true)
    return child, code
  end
  return child, tree:info(node) == "dir" and "ENOENT" or "ENOTDIR"
end

--- Goes down to a name in the directory.
---@param name string
---@param path string  the whole path then
function Walk:enter(name, path)
  local from = self.leads_to
  if self.above then self.above[#self.above + 1] = self.stack.hard[self.name] end
  self.path, self.name, self.depth = path, name, self.depth + 1
  self.node = from and self.stack.runtime:child(from, name)
  self.leads_to = from and enter(self.stack.runtime, from, name, path)
end

--- What default runtimes show there, where the last symlink is not followed.
---@return string? type  nil: nothing
function Walk:kind()
  return self.node and (self.stack.runtime:info(self.node)) or nil
end

-- The topmost layer below the one that has nothing there which may have something, 0 for none.
local function next_layer(self)
  local most, names, above = self.number - 1, self.stack, self.above
  if most == 0 then return 0 end
  while names.named < #names.layers do
    names.named = names.named + 1
    note_names(names, names.layers[names.named].index, names.named)
  end
  if not above then
    above = { names.unnamed[1] and names.unnamed }
    for name in (paths.parent(self.path) or ""):gmatch("[^/]+") do above[#above + 1] = names.hard[name] end
    self.above = above
  end
  local number = highest(names.any[self.name], most)
  for i = 1, number < most and #above or 0 do number = math.max(number, highest(above[i], most)) end
  return number
end

-- Looks at what a layer has there. Returns the steps that it takes.
local function look(self, tree)
  local at = self.at
  local is_above, steps, _ = at.depth == self.depth - 1, 1, nil
  if is_above and at.node then
    at.node, at.code = enter(tree, at.node, self.name, self.path)
  elseif not is_above then
    at.node, _, at.code = tree:find(self.path, true)
    steps = self.depth
  end
  at.depth = self.depth
  return steps
end

--- Whether containerd finds a directory to copy the attributes of an implied one from, or nothing:
-- it looks for the topmost layer that has the path. A layer that has nothing there has nothing below it.
---@return boolean ok  false: it refuses
---@return integer? layer  that is in its way
---@return integer steps  that this took
function Walk:copied()
  local steps, at = 0, self.at
  while self.number > 0 do
    local layer = self.stack.layers[self.number]
    steps = steps + look(self, layer.alone)
    if at.node then return true, nil, steps end
    if at.code ~= "ENOENT" then return false, self.number, steps end
    if self.number > 1 then -- the lowest layer keeps no whiteouts
      if deletes_above(layer, paths.parent(self.path)) then return false, self.number, steps end
      if deletes(layer, self.path) then return true, nil, steps end
    end
    self.number, at.depth = next_layer(self), nil
  end
  return true, nil, steps
end

-- ---- both views ------------------------------------------------------------------------

-- Children by name, and their names in order.
local function children_of(tree, node, by_name, names)
  local child = node and tree:first(node)
  while child do
    job.tick()
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
  return layer == other_layer and a.position == b.position
end

-- Whether a directory is there for nothing.
local function holds_nothing(tree, top)
  local todo = { top }
  while todo[1] do
    local node = table.remove(todo)
    if tree:info(node) ~= "dir" or tree:entry(node) then return false end
    local child = tree:first(node)
    while child do
      todo[#todo + 1] = child
      child = tree:next(child)
    end
  end
  return top ~= nil
end

--- Calls a function for each path at which the views differ, the uppermost ones alone.
---@param each fun(path: string, runtime: string, spec: string)  what each has there. Directories without an entry
---  in which there is nothing are passed over, and so are names of AUFS in the root
function Stack:differences(each)
  local runtime, spec, todo = self.runtime, self.spec, {}
  if not (self.known and spec) then return end
  local function add_children(one, other, is_root)
    local by_name, names = {}, {}
    children_of(runtime, one, by_name, names)
    children_of(spec, other, by_name, names)
    for i = #names, 1, -1 do
      local is_of_aufs = is_root and names[i]:find(AUFS, 1, true) == 1
      if not is_of_aufs then todo[#todo + 1] = by_name[names[i]] end
    end
  end
  add_children(runtime:find("/"), spec:find("/"), true)
  while todo[1] do
    job.tick()
    local here = table.remove(todo)
    local mine, theirs = here[runtime], here[spec]
    local told = (not theirs and holds_nothing(runtime, mine)) or (not mine and holds_nothing(spec, theirs))
    local is_equal = mine and theirs and is_same(runtime, mine, spec, theirs)
    if not told and not is_equal then
      local path = mine and runtime:path(mine) or spec:path(theirs)
      each(path, says(runtime, mine), says(spec, theirs))
    elseif is_equal and runtime:info(mine) == "dir" then
      add_children(mine, theirs)
    end
  end
end

--- Frees what the trees have. The indexes stay open.
function Stack:close()
  for _, layer in ipairs(self.layers) do layer.alone:close() end
  self.runtime:close()
  if self.spec then self.spec:close() end
end

return stack
