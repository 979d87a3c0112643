--- Removing paths from every layer for good.

local choice = require "strata.util.choice"
local edit_entries = require "strata.layer.edit_entries"
local fail = require "strata.util.fail"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local options = require "strata.util.options"
local printed = require "strata.util.printed"

local remove = {}

local is_whiteout = edit_entries.is_whiteout

--- Whether an entry is chosen by its path, or a whiteout by the path that it hides: that goes along, and is no match of
--- its own.
---@param chosen strata.Choice
---@param entry strata.Entry
---@return boolean
function remove.covers(chosen, entry)
  local hidden = entry.whiteout or entry.opaque
  return chosen:covers(hidden or entry.path, hidden ~= nil)
end

-- Asks the function, if there is one, about each entry. Its answer is about the path, and so about all layers.
local function ask(states, chosen)
  if not chosen.call then return end
  for _, state in ipairs(states) do
    for entry in state.index:entries() do
      job.tick()
      if not is_whiteout(entry) then chosen:ask(entry.path, entry, state.handle) end
    end
  end
end

local function count_whiteouts(states)
  local count = 0
  for _, one in ipairs(states) do
    for _ in one.index:whiteouts() do count = count + 1 end
  end
  return count
end

-- The nodes of a tree that are at a chosen path.
local function nodes_at(tree, chosen)
  local globs = chosen:declared()
  if globs then return tree:match(globs) end
  local nodes, node = {}, merge.after(tree, 0, 0)
  while node do
    job.tick()
    if chosen:covers(tree:path(node)) then nodes[#nodes + 1] = node end
    node = merge.after(tree, node, 0)
  end
  return nodes
end

-- Adds the numbers of the entries that a merged view has at chosen paths, by layer. An entry of another path may be
-- there: symlinks lead to it. Returns the path of one.
local function find_in_view(tree, chosen, found)
  local example
  for _, node in ipairs(nodes_at(tree, chosen)) do
    local entry = tree:entry(node)
    if entry then
      local _, from = tree:info(node)
      found[from] = found[from] or {}
      found[from][entry.position] = true
      example = example or tree:path(node)
    end
  end
  return example
end

--- The entries that the merged views have at chosen paths: both views, since a runtime may show either.
---@param states strata.LayerState[]
---@param chosen strata.Choice
---@return table<integer, table<integer, boolean>>? found  by layer: the numbers of entries
---@return string? example  a path | message
---@return string? code
function remove.find_in_views(states, chosen)
  local found, example = {}, nil
  for _, view in ipairs { "runtime", "spec" } do
    local tree, message, code = merge.of_states(states, { view = view })
    if tree then
      example = find_in_view(tree, chosen, found) or example
      tree:close()
    elseif view == "runtime" or code == "ENOMEM" or code == "ELIMIT" then -- else nobody can unpack it by the letter
      return nil, message, code
    end
  end
  return found, example
end

--- The entries that remove.all drops first, without whiteouts: those of chosen paths, and those that the merged views
-- have there.
---@param hub strata.Hub  its layers are scanned
---@param chosen strata.Choice
---@return strata.Removed[]? found  by layer, in the order of the tars
---@return string? message
---@return string? code
function remove.find(hub, chosen)
  ask(hub.layers, chosen)
  local led_to, message, code = remove.find_in_views(hub.layers, chosen)
  if not led_to then return nil, message, code end
  local list = {}
  for number, state in ipairs(hub.layers) do
    for entry in state.index:entries() do
      job.tick()
      local is_meant = remove.covers(chosen, entry) or (led_to[number] or {})[entry.position] == true
      if is_meant and not is_whiteout(entry) then
        list[#list + 1] = { layer = number, path = entry.path, type = entry.type, size = entry.size }
      end
    end
  end
  return printed.list(list, printed.removed)
end

--- Drops what is chosen by its own path, and then what the merged views have there, until they have nothing: what goes
-- may have hidden something below it.
---@param edit strata.Transaction  which has kept the layers
---@param hub strata.Hub  its layers are scanned
---@param chosen strata.Choice
---@return { layer: integer, path: string, type: string, size: integer }[]? removed
---@return integer|string|nil whiteouts  how many went as well | message
---@return string? code
function remove.all(edit, hub, chosen)
  local removed, before = {}, count_whiteouts(hub.layers)
  ask(hub.layers, chosen)
  local mark = edit_entries.marker(chosen, true)
  local ok, message, code = edit_entries.drop(hub, hub.layers, mark, edit, removed)
  while ok do
    local found, example, how = remove.find_in_views(hub.layers, chosen)
    if not found then return nil, example, how end
    if not example then return removed, before - count_whiteouts(hub.layers) end
    ok, message, code = edit_entries.drop(hub, hub.layers, function(state)
      local numbers = found[state.position] or {}
      for number in pairs(numbers) do state.index:entry(number):mark() end -- the order does not matter
      return next(numbers) and 1 or 0
    end, edit, removed)
  end
  return nil, message, code
end

--- Scans the layers of an image. What is going to be removed is dropped from compressed layers meanwhile.
---@param states strata.LayerState[]
---@param chosen strata.Choice?
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return string? code
function remove.load(states, chosen, opts)
  return layer.load(states, {
    threads = opts and opts.threads, progress = opts and opts.progress,
    drops = chosen and chosen:declared(), drops_whiteouts = true,
  })
end

--- Removes paths, with all below them, from every layer, whatever symlinks lead to them, and the whiteouts that hide
-- nothing then. Hardlinks to them stay, with the content. Whole or not at all: what matches nothing is "ENOENT", and a
-- whiteout alone is no match.
---@param which strata.Which  a function gets an entry and its layer
---@param opts? strata.RemoveOptions
---@return strata.Image? self
---@return strata.Removed[]|string|nil removed | message
---@return string? code
function image.methods:remove(which, opts)
  options.check("remove", "RemoveOptions", opts)
  local state, chosen = image.state_of(self), choice.new(which, "remove")
  local removed, message, code = image.edit(state, "remove", function(edit)
    local states = state.hub.layers
    local ok, why, how = remove.load(states, chosen, opts)
    if ok then ok, why, how = edit:keep(states) end
    if not ok then return nil, why, how end
    local list
    list, why, how = remove.all(edit, state.hub, chosen)
    local unused = list and not (opts and opts.optional) and chosen:unused()
    if unused then return fail("ENOENT", "remove: %s", unused) end
    return list, why, how
  end)
  if not removed then return nil, message, code end
  return self, printed.list(removed, printed.removed)
end

return remove
