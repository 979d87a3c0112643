--- What jobs tell of the trees of an image that is kept open.

local changes = require "strata.tree.changes"
local layer = require "strata.layer"
local rootfs = require "strata.rootfs"
local tree_entry = require "strata.tree.entry"
local view = require "strata.tree.view"

local look = {}

--- An image that is kept, with what was made of it.
---@class strata.KeptImage
---@field img strata.Image
---@field root strata.Rootfs
---@field view strata.TreeView?  of all layers
---@field views { upto: integer, view: strata.TreeView }[]?  of the first layers, the last one that was asked for first
---@field waste strata.Waste?

-- So many views of first layers are kept.
local KEPT = 2

-- Lines of paths in one answer, at most.
local LINES = 20000

--- What is told of an entry.
---@param entry strata.Entry|strata.RootEntry
---@return strata.EntryFacts
function look.entry(entry)
  local kind = entry.type
  return {
    path = entry.path, type = kind, mode = entry.mode, uid = entry.uid, gid = entry.gid, size = entry.size,
    mtime = entry.mtime, linkpath = (kind == "symlink" or kind == "hardlink") and entry.linkpath or nil,
  }
end

-- The tree of all layers, and these.
local function whole(one)
  local tree, message, code = rootfs.tree_of(rootfs.state_of(one.root))
  if not tree then return nil, message, code end
  if not one.view or one.view.tree ~= tree then one.view = view.new(tree) end
  return one.view, one.root.layers
end

-- The tree of the first layers with what the last of them does, and these.
local function part(one, upto)
  local layers = {}
  if not one.img.layers[upto] then return nil, ("there is no layer %s"):format(tostring(upto)), "ENOENT" end
  for i = 1, upto do layers[i] = one.img.layers[i] end
  one.views = one.views or {}
  for i, known in ipairs(one.views) do
    if known.upto == upto then
      table.insert(one.views, 1, table.remove(one.views, i))
      return known.view, layers
    end
  end
  local made, message, code = changes.of(layers)
  if not made then return nil, message, code end
  table.insert(one.views, 1, { upto = upto, view = view.new(nil, made) })
  while #one.views > KEPT do changes.close(table.remove(one.views).view.changes) end
  return one.views[1].view, layers
end

local function view_of(one, upto)
  if upto then return part(one, upto) end
  return whole(one)
end

-- What is told of a node of a view.
local function node_facts(shown, tree, node, layers)
  local entry = tree_entry.new(tree, node, layers)
  local facts = look.entry(entry)
  facts.name, facts.layer, facts.links = tree:name(node), entry.layer and entry.layer.position, entry.links
  if facts.type == "dir" then facts.size = shown.sums(tree).bytes[node] end
  return facts
end

-- The sum of what is to be hidden; nil for a name that is none.
local function mask_of(names)
  local mask, seen = 0, {}
  for _, name in ipairs(names or {}) do
    local bit = changes.BITS[name]
    if not bit then
      return nil, ("hide: there is no change %s, only added, changed, removed, repeated and below"):format(
        tostring(name)), "EINVAL"
    end
    if not seen[bit] then mask, seen[bit] = mask + bit, true end
  end
  return mask
end

-- Where a name is among rows; nil for nowhere.
local function place_of(rows, name)
  for i, row in ipairs(name and rows or {}) do
    if row.tree:name(row.node) == name then return i end
  end
  return nil
end

--- Frees what was made of an image, and closes it.
---@param one strata.KeptImage
function look.forget(one)
  for _, known in ipairs(one.views or {}) do changes.close(known.view.changes) end
  if one.root then one.root:close() end
  one.img:close()
end

--- A page of a directory of the tree of all layers, or of the first ones.
---@param one strata.KeptImage
---@param args strata.ListArguments
---@param offset integer
---@param limit integer
---@return strata.EntryPage?
---@return string? message
---@return string? code
function look.list(one, args, offset, limit)
  local shown, layers, code = view_of(one, args.upto)
  if not shown then return nil, layers, code end
  local mask, rows, message
  mask, message, code = mask_of(args.hide)
  if not mask then return nil, message, code end
  rows, message, code = view.list(shown, args.dir or "/", { sort = args.sort, hidden = mask })
  if not rows then return nil, message, code end
  local list = {}
  for i = offset + 1, math.min(#rows, offset + limit) do
    local row = rows[i]
    local facts = node_facts(shown, row.tree, row.node, layers)
    facts.change, facts.inside, facts.below = row.change, row.inside, row.has_more or nil
    list[#list + 1] = facts
  end
  return { entries = list, total = #rows, found = place_of(rows, args.find) }
end

--- The largest files.
---@param one strata.KeptImage
---@param upto integer?  of the first layers
---@param count integer
---@return {entries: strata.EntryFacts[]}?
---@return string? message
---@return string? code
function look.largest(one, upto, count)
  local shown, layers, code = view_of(one, upto)
  if not shown then return nil, layers, code end
  local list = view.largest(shown, count)
  for i, node in ipairs(list) do list[i] = node_facts(shown, shown.tree, node, layers) end
  return { entries = list }
end

--- A part of all paths.
---@param one strata.KeptImage
---@param from string?
---@param limit integer?
---@return strata.PathsPart?
---@return string? message
---@return string? code
function look.paths(one, from, limit)
  local shown, layers, code = whole(one)
  if not shown then return nil, layers, code end
  local states = {}
  for i, each in ipairs(layers) do states[i] = layer.state_of(each) end
  local text, after = view.paths(shown.tree, states, from, math.min(LINES, limit or LINES))
  return { text = text, next = after, total = shown.tree:count() - 1 }
end

--- A page of the files that no container sees.
---@param one strata.KeptImage
---@param offset integer
---@param limit integer
---@return strata.WastePage?
---@return string? message
---@return string? code
function look.waste(one, offset, limit)
  if not one.waste then
    local message, code
    one.waste, message, code = one.img:waste()
    if not one.waste then return nil, message, code end
  end
  local list, all = {}, one.waste
  for i = offset + 1, math.min(#all.paths, offset + limit) do
    local row = all.paths[i]
    list[#list + 1] = { path = row.path, layer = row.layer, bytes = row.bytes, why = row.why, by = row.by }
  end
  return { paths = list, total = #all.paths, bytes = all.total, efficiency = all.efficiency }
end

return look
