--- Directories of a merged tree, in parts: sorted by name or size, with what a layer does to each path.

local changes = require "strata.tree.changes"
local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local merge = require "strata.tree.merge"
local usage = require "strata.tree.usage"

local view = {}

--- What is looked at.
---@class strata.TreeView
---@field tree userdata
---@field changes strata.LayerChanges?  of its last layer
---@field sums fun(tree: userdata): strata.UsageTable

--- A name in a directory.
---@class strata.ViewRow
---@field tree userdata
---@field node integer
---@field change strata.TreeChange?
---@field inside string[]?  what the layer does below it, but for its own change
---@field has_more boolean  something is below it that is not the node's own: a directory has become another thing

--- What is wanted of a directory.
---@class strata.ViewOptions
---@field sort? "name"|"size"
---@field hidden? integer  a mask of changes

--- A view of a tree, or of the tree with the changes of its last layer.
---@param tree userdata?
---@param made strata.LayerChanges?
---@return strata.TreeView
function view.new(tree, made)
  local self = { tree = made and made.tree or tree, changes = made, known = {} }
  function self.sums(one)
    self.known[one] = self.known[one] or usage.of(one)
    return self.known[one]
  end
  return self
end

-- The node that has this very path, and no other one that symlinks lead to.
local function find_direct(tree, path)
  local node, message, code = tree:find(path, false)
  if node and tree:path(node) == path then return node end
  return nil, message or ("%s: No such file or directory"):format(core.quote(path)), code or "ENOENT"
end

-- The tree and the node of a directory. Where a layer is looked at, no symlinks are followed, and a directory that is
-- gone is in the tree without the layer.
local function find(self, dir)
  local made = self.changes
  local node, message, code
  if not made then
    node, message, code = self.tree:find(dir, true)
  else
    local path = core.normalise(dir)
    node, message, code = find_direct(self.tree, path)
    if node and made.removed[node] then return self.tree, node end
    if not node then
      local gone = find_direct(made.below, path)
      if gone and made.below:info(gone) == "dir" then return made.below, gone end
    end
  end
  if not node then return nil, message, code end
  if self.tree:info(node) ~= "dir" then return fail("ENOTDIR", "%s: not a directory", core.quote(dir)) end
  return self.tree, node
end

-- The rows of a directory, by name, and behind them those that are gone. Returns the rows, and whether there are such.
local function rows_of(self, tree, node, hidden)
  local rows, made = {}, self.changes
  local is_gone = made and tree == made.below
  local shows_gone = made and not is_gone and changes.shows(changes.BITS.removed, hidden)
  local child = tree:first(node)
  while child do
    job.tick()
    local mask = made and (is_gone and changes.BITS.removed or made.masks[child])
    if not mask or changes.shows(mask, hidden) then
      local change = made and (is_gone and "removed" or made.change[child] or "below")
      local more = shows_gone and made.removed[child] ~= nil and tree:info(child) ~= "dir"
      rows[#rows + 1] = {
        tree = tree, node = child, change = change, has_more = more or false,
        inside = made and not is_gone and changes.names(mask, change) or nil,
      }
    end
    child = tree:next(child)
  end
  local removed = shows_gone and made.removed[node]
  if not removed then return rows, false end
  for _, gone in ipairs(removed) do
    rows[#rows + 1] = { tree = made.below, node = gone, change = "removed", has_more = false }
  end
  return rows, true
end

-- Puts rows in the order of their names' bytes.
local function sort_by_name(rows)
  local names, of = {}, {}
  for i, row in ipairs(rows) do
    names[i] = row.tree:name(row.node)
    of[names[i]] = row
  end
  json.sort(names)
  for i, name in ipairs(names) do rows[i] = of[name] end
end

-- Puts the largest first; those of one size stay in their order.
local function sort_by_size(self, rows)
  for i, row in ipairs(rows) do row.bytes, row.at = self.sums(row.tree).bytes[row.node], i end
  table.sort(rows, function(a, b) -- numbers
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.at < b.at
  end)
end

--- The rows of a directory. Those of the last one that was asked for are kept.
---@param self strata.TreeView
---@param dir string
---@param opts strata.ViewOptions
---@return strata.ViewRow[]?
---@return string? message
---@return string? code
function view.list(self, dir, opts)
  local hidden = opts.hidden or 0
  local key = ("%s\0%s\0%d"):format(dir, opts.sort or "name", hidden)
  if self.last and self.last.key == key then return self.last.rows end
  local tree, node, code = find(self, dir)
  if not tree then return nil, node, code end
  local rows, is_mixed = rows_of(self, tree, node, hidden)
  if is_mixed then sort_by_name(rows) end
  if opts.sort == "size" then sort_by_size(self, rows) end
  self.last = { key = key, rows = rows }
  return rows
end

--- The largest files.
---@param self strata.TreeView
---@param count integer
---@return integer[] nodes
function view.largest(self, count)
  return usage.largest(self.sums(self.tree), count)
end

-- ---- all paths ----------------------------------------------------------------------------

local function escaped(path)
  return (path:gsub("[^%w/._~-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

-- Bytes after which a part of all paths ends.
local PART = 4 * 1024 * 1024

-- What a part of all paths is put into.
local function new_part(limit)
  return { lines = {}, bytes = 0, limit = limit }
end

local function is_full(part)
  return #part.lines >= part.limit or part.bytes >= PART
end

local function add(part, path, kind, size, layer, is_gone)
  local line = ("%s\t%s\t%.0f\t%d\t%s\n"):format(escaped(path), kind, size, layer or 0, is_gone and "-" or "+")
  part.lines[#part.lines + 1], part.bytes = line, part.bytes + #line
end

-- Paths of the tree from a node on. Returns the node that the next part begins with, 0 for none.
local function add_seen(tree, from, part)
  local node = from > 0 and from or merge.after(tree, 0, 0)
  while node and not is_full(part) do
    job.tick()
    local kind, number = tree:info(node)
    add(part, tree:path(node), kind, kind == "file" and tree:source(node).size or 0, number)
    node = merge.after(tree, node, 0)
  end
  return node or 0
end

-- Entries of a layer from a number on whose paths the tree does not have. Returns the next number, nil at the end.
local function add_gone(tree, index, number, from, part)
  local _, slots = index:count()
  for i = from, slots do
    if is_full(part) then return i end
    job.tick()
    local entry = index:entry(i)
    if entry and not entry.whiteout and not entry.opaque and not tree:find(entry.path, false) then
      add(part, entry.path, entry.type, entry.type == "file" and entry.size or 0, number, true)
    end
  end
  return nil
end

--- Paths of a tree, and then of the layers what it does not have, as text: a line for each, which has the path with
-- bytes as %XX, the type, the size, the layer's number, and "+" or "-" where nobody sees it, with tabs between.
---@param tree userdata
---@param states strata.LayerState[]
---@param from string?  what a part before gave
---@param limit integer  lines at most
---@return string text
---@return string? next  nil: these were the last
function view.paths(tree, states, from, limit)
  local part = new_part(limit)
  local layer, at = (from or "0:0"):match("^(%d+):(%d+)$")
  layer, at = tonumber(layer) or 0, tonumber(at) or 0
  if layer == 0 then
    at = add_seen(tree, at, part)
    if at > 0 then return table.concat(part.lines), ("0:%d"):format(at) end
    layer, at = 1, 1
  end
  while states[layer] do
    local next_at = add_gone(tree, states[layer].index, layer, at, part)
    if next_at then return table.concat(part.lines), ("%d:%d"):format(layer, next_at) end
    layer, at = layer + 1, 1
  end
  return table.concat(part.lines), nil
end

return view
