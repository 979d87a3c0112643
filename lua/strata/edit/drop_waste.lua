--- Dropping files that no container sees.
--
-- A file goes out of its layer with all of its names there, when neither of the two views of the image shows it under
-- any name. Both views are the same before and after: a file stays when its directory would go with it, and when it
-- hides something of a lower layer that would be seen again. Whiteouts stay where they are, also those that hide
-- nothing then: a layer that loses no file keeps its digest.

local choice = require "strata.util.choice"
local core = require "strata.core"
local fail = require "strata.util.fail"
local growing_tree = require "strata.layer.growing_tree"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local options = require "strata.util.options"
local parent_of = require("strata.util.path").parent
local printed = require "strata.util.printed"
local stranded_links = require "strata.layer.stranded_links"
local unseen = require "strata.tree.unseen"

local VIEWS = { "runtime", "spec" }
local NONE = -1 -- a node that a tree does not have

--- An unseen file that is to go.
---@class strata.DroppedFile
---@field layer integer
---@field entry strata.Entry
---@field names strata.Entry[]  hardlinks of the same layer that name it

-- ---- what is to go --------------------------------------------------------------------------

-- Calls fn with the tree of all layers in each view that somebody can unpack.
local function each_view(states, opts, fn)
  for _, view in ipairs(VIEWS) do
    local ok, message, code = growing_tree.each(states, { view = view, drops_marked = opts.drops_marked },
      function(number, tree)
        if number == #states then fn(tree, view) end
      end)
    if not ok then return nil, message, code end
  end
  return true
end

-- The hardlinks of a layer that name a file which stands before them, by the number of the file's entry.
local function links_of(state)
  local at, links = {}, {}
  for entry in state.index:entries() do
    job.tick()
    if entry.type == "hardlink" then
      local file = at[core.normalise(entry.linkpath)]
      at[entry.path] = file
      if file then
        links[file] = links[file] or {}
        table.insert(links[file], entry)
      end
    else
      at[entry.path] = entry.type == "file" and entry.position or nil
    end
  end
  return links
end

-- Whether a file is chosen. A function is asked about each entry by itself.
local function is_chosen(chosen, entry, handle)
  if not chosen then return true end
  if not chosen.call then return chosen:covers(entry.path) end
  chosen.known = {}
  chosen:ask(entry.path, entry, handle)
  return chosen:matches(entry.path)
end

-- The files that neither view shows, of those that are chosen; without one "ENOENT", unless that is no error.
local function find(states, chosen, is_optional)
  local visible, list, links = {}, {}, {}
  local ok, message, code = each_view(states, {}, function(tree) unseen.add_visible(tree, visible) end)
  if not ok then return nil, message, code end
  unseen.each(states, visible, function(entry, number)
    job.tick()
    if not is_chosen(chosen, entry, states[number].handle) then return end
    links[number] = links[number] or links_of(states[number])
    list[#list + 1] = { layer = number, entry = entry, names = links[number][entry.position] or {} }
  end)
  if not chosen or is_optional then return list end
  local unused = chosen:unused()
  if chosen.call then unused = not list[1] and "the function chose nothing" end
  if unused then return fail("ENOENT", "drop_waste: of what no container sees, %s", unused) end
  return list
end

-- ---- what has to stay -----------------------------------------------------------------------

-- Marks what would be dropped.
local function mark_all(states, list)
  for _, state in ipairs(states) do state.index:unmark() end
  for _, one in ipairs(list) do
    one.entry:mark()
    for _, link in ipairs(one.names) do link:mark() end
  end
end

-- Whether a node is the same without the marked entries.
local function is_same(a, b, x, y)
  if x == NONE or y == NONE or a:info(x) ~= b:info(y) then return false end
  for _, part in ipairs { "source", "header" } do
    local one, from = a[part](a, x)
    local other, holder = b[part](b, y)
    if from ~= holder or (one and one.position) ~= (other and other.position) then return false end
  end
  return true
end

-- The paths that a view would lose or have otherwise.
local function find_changes(states)
  local before, paths = {}, {}
  for _, view in ipairs(VIEWS) do
    local tree, message, code = core.tree(states[1].hub.limits.steps, view)
    if not tree then return nil, message, code end
    local ok = true
    for _, state in ipairs(states) do ok = ok and tree:apply(state.index) end
    if ok then before[view] = tree else tree:close() end
  end
  local ok, message, code = each_view(states, { drops_marked = true }, function(tree, view)
    local old = before[view]
    local list = old and old:compare(tree) or {}
    for i = 1, #list, 3 do
      job.tick()
      if not is_same(old, tree, list[i], list[i + 1]) then
        paths[#paths + 1] = list[i] ~= NONE and old:path(list[i]) or tree:path(list[i + 1])
      end
    end
  end)
  for _, tree in pairs(before) do tree:close() end
  if not ok then return nil, message, code end
  return paths
end

-- A function that tells of a path which of the changed ones may be due to a file there: the path is the file's
-- directory, or the file hides it in a lower layer. Nil for none.
local function causes(changed)
  local is_changed, above = {}, {}
  for _, path in ipairs(changed) do
    local at = path
    is_changed[path] = true
    while at and not above[at] do
      above[at] = path
      at = parent_of(at)
    end
  end
  return function(path)
    local at = path
    while at do
      if is_changed[at] then return at end
      at = parent_of(at)
    end
    return above[path]
  end
end

-- Takes out of the list what both views need, and marks the rest. Returns that, and the first that is needed.
local function keep_needed(states, list)
  local needed
  while list[1] do
    mark_all(states, list)
    local changed, message, code = find_changes(states)
    if not changed then return nil, message, code end
    if not changed[1] then return list, needed end
    local cause, left = causes(changed), {}
    for _, one in ipairs(list) do
      local path = cause(one.entry.path)
      for _, link in ipairs(one.names) do path = path or cause(link.path) end
      if path then needed = needed or { file = one, path = path } else left[#left + 1] = one end
    end
    if #left == #list then
      return fail("EUNSUPPORTED", "drop_waste: %s would not be what it is", core.quote(changed[1]))
    end
    list = left
  end
  mark_all(states, list)
  return list, needed
end

-- ---- the whole ------------------------------------------------------------------------------

-- Drops the files, which are marked, and tells of them.
local function drop(states, list)
  local ok, message, code = stranded_links.check(states)
  if not ok then return nil, message, code end
  local removed, bytes = {}, 0
  for i, one in ipairs(list) do
    local entry = one.entry
    removed[i] = { layer = one.layer, path = entry.path, type = entry.type, size = entry.size }
    bytes = bytes + entry.size
  end
  for _, state in ipairs(states) do state.index:drop_marked() end
  return bytes, printed.list(removed, printed.removed)
end

local function run(state, edit, chosen, opts)
  local states, is_optional = state.hub.layers, opts ~= nil and opts.optional == true
  local ok, message, code = layer.load(states, opts)
  if ok then ok, message, code = edit:keep(states) end
  if not ok then return nil, message, code end
  local list, needed
  list, message, code = find(states, chosen, is_optional)
  if not list then return nil, message, code end
  list, needed, code = keep_needed(states, list)
  if not list then return nil, needed, code end
  if needed and chosen and not is_optional then
    return fail("EUNSUPPORTED", "drop_waste: without %s of layer %d, %s would not be what it is",
      core.quote(needed.file.entry.path), needed.file.layer, core.quote(needed.path))
  end
  return drop(states, list)
end

--- Drops from the layers files that no container sees, with all of their names. What a container sees stays as it is,
-- and so do whiteouts.
---@param which strata.Which?  a function gets an entry and its layer; nil: all
---@param opts? strata.RemoveOptions
---@return integer? bytes  of content that went
---@return strata.Removed[]|string  removed | message
---@return string? code  "ENOENT": no such file is unseen; "EUNSUPPORTED": a container would see a difference
function image.methods:drop_waste(which, opts)
  options.check("drop_waste", "RemoveOptions", opts)
  local state, chosen = image.state_of(self), which ~= nil and choice.new(which, "drop_waste") or nil
  return image.edit(state, "drop_waste", function(edit) return run(state, edit, chosen, opts) end)
end
