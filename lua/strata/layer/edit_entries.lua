--- Dropping and changing entries of layers, as a function of the caller decides.

local choice = require "strata.util.choice"
local core = require "strata.core"
local fail = require "strata.util.fail"
local holders = require "strata.layer.holders"
local job = require "strata.util.job"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local needless_whiteouts = require "strata.layer.needless_whiteouts"
local printed = require "strata.util.printed"
local stranded_links = require "strata.layer.stranded_links"
local transaction = require "strata.layer.transaction"

local edit_entries = {}

local function check_callback(fn, name)
  if type(fn) ~= "function" then
    misuse(("bad argument to '%s' (function expected, got %s)"):format(name, type(fn)))
  end
end

--- Whether an entry only deletes something of lower layers.
---@param entry strata.Entry
---@return boolean
function edit_entries.is_whiteout(entry)
  return entry.whiteout ~= nil or entry.opaque ~= nil
end

local is_whiteout = edit_entries.is_whiteout

-- Carries out an edit whole or not at all. A layer without an image has nothing but its entries.
local function edit(hub, name, fn)
  if hub.edit then return hub.edit(name, fn) end
  return transaction.run(nil, fn)
end

-- Throws when the image was closed by what a function of the caller did.
local function check_open(hub, name)
  if hub.closed then misuse("%s: the image was closed meanwhile", name) end
end

--- What a filter says of an entry. Anything but true and false throws: a filter that forgets to answer would keep all.
---@param fn strata.EntryFilter
---@param entry strata.Entry
---@param handle strata.Layer
---@return boolean
function edit_entries.keeps(fn, entry, handle)
  local keep = fn(entry, handle)
  if keep ~= true and keep ~= false then
    misuse("filter: the function returned %s for %s: true keeps an entry, and false drops it", tostring(keep),
      core.quote(entry.path))
  end
  return keep
end

-- A function that marks the entries of a layer for which fn returns false.
local function marker(fn)
  return function(state)
    local handle, count = state.handle, 0
    for entry in state.index:entries() do
      job.tick()
      local keeps = edit_entries.keeps(fn, entry, handle)
      check_open(state.hub, "filter")
      if not keeps then
        entry:mark()
        count = count + 1
      end
    end
    return count
  end
end

--- A function for edit_entries.drop, which marks what paths choose: what a function says of them has been told before.
---@param chosen strata.Choice
---@param whiteouts boolean  they go by the path that they hide, which is no match of its own; else they stay
---@return fun(state: strata.LayerState): integer
function edit_entries.marker(chosen, whiteouts)
  local globs = chosen:declared()
  if globs then return function(state) return state.index:mark(globs, whiteouts) end end
  return marker(function(entry)
    local hidden = entry.whiteout or entry.opaque
    if hidden and not whiteouts then return true end
    return not chosen:covers(hidden or entry.path, hidden ~= nil)
  end)
end

-- Drops what is marked in some layers, and whiteouts in any that then hide nothing.
local function drop_marked(kept, states, losing)
  local dead, message, code = needless_whiteouts.find(states, losing)
  if not dead then return nil, message, code end
  local seen = {}
  for _, number in ipairs(losing) do seen[number] = true end
  for _, one in ipairs(dead) do
    local ok = true
    if not seen[one.layer] then
      losing[#losing + 1], seen[one.layer] = one.layer, true
      ok, message, code = kept:keep { states[one.layer] }
    end
    if not ok then return nil, message, code end
  end
  for _, one in ipairs(dead) do one.entry:mark() end
  for _, number in ipairs(losing) do states[number].index:drop_marked() end
  holders.only_dropped(states)
  return true
end

-- Adds the marked entries of a layer that are no whiteouts to a list.
local function note_marked(state, removed)
  for entry in state.index:marked() do
    job.tick()
    if not is_whiteout(entry) then
      removed[#removed + 1] = { layer = state.position, path = entry.path, type = entry.type, size = entry.size }
    end
  end
end

--- Drops the entries of layers that are marked, and whiteouts in the layers above them that then hide nothing. The
-- marks are in the entry indexes, where a million of them costs nothing. All is marked before anything is dropped: when
-- `mark` throws, nothing changes.
---@param hub table  of the layers
---@param chosen table[]  states of layers
---@param mark fun(state: strata.LayerState): integer  marks entries of a layer, and returns how many
---@param within? strata.Transaction  of the edit that this is a part of
---@param removed? strata.Removed[]  what is dropped is added to it, but for whiteouts
---@return boolean? ok
---@return string? message
---@return string? code
function edit_entries.drop(hub, chosen, mark, within, removed)
  local states = hub.layers
  local function run(kept)
    local ok, message, code = layer.load(states)
    if ok then ok, message, code = kept:keep(chosen) end -- a function of the caller may also assign to fields
    if not ok then return nil, message, code end
    for _, state in ipairs(chosen) do state.index:unmark() end -- a plan may have left marks
    local losing = {}
    for _, state in ipairs(chosen) do
      if mark(state) > 0 then losing[#losing + 1] = state.position end
    end
    if not losing[1] then return true end
    for _, number in ipairs(removed and losing or {}) do note_marked(states[number], removed) end
    ok, message, code = stranded_links.check(states)
    if ok then ok, message, code = drop_marked(kept, states, losing) end
    return ok, message, code
  end
  if within then return run(within) end
  return edit(hub, "filter", run)
end

--- The same for the entries for which fn returns false.
---@param hub table  of the layers
---@param chosen table[]  states of layers
---@param fn fun(entry: strata.Entry, layer: strata.Layer): boolean
---@return boolean? ok
---@return string? message
---@return string? code
function edit_entries.filter(hub, chosen, fn)
  check_callback(fn, "filter")
  return edit_entries.drop(hub, chosen, marker(fn))
end

--- Calls fn for each entry of layers, to assign to its fields.
---@param hub table  of the layers
---@param chosen table[]  states of layers
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return boolean? ok
---@return string? message
---@return string? code
function edit_entries.rewrite(hub, chosen, fn)
  check_callback(fn, "rewrite")
  return edit(hub, "rewrite", function(kept)
    local ok, message, code = layer.load(chosen)
    for _, state in ipairs(ok and chosen or {}) do
      local handle = state.handle
      ok, message, code = kept:keep { state }
      if not ok then break end
      for entry in state.index:entries() do
        job.tick()
        fn(entry, handle)
        check_open(hub, "rewrite")
      end
    end
    if ok then ok, message, code = layer.check_links(chosen) end
    return ok, message, code
  end)
end

-- ---- methods of a layer -------------------------------------------------------------

--- Drops the entries for which fn returns false, and with them whiteouts of
-- upper layers that then hide nothing.
---@param fn fun(entry: strata.Entry, layer: strata.Layer): boolean
---@return strata.Layer? self
---@return string? message
---@return string? code
function layer.methods:filter(fn)
  local state = transaction.state_of(self, "filter")
  local ok, message, code = edit_entries.filter(state.hub, { state }, fn)
  if not ok then return nil, message, code end
  return self
end

--- Calls fn for each entry, to assign to its fields.
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Layer? self
---@return string? message
---@return string? code
function layer.methods:rewrite(fn)
  local state = transaction.state_of(self, "rewrite")
  local ok, message, code = edit_entries.rewrite(state.hub, { state }, fn)
  if not ok then return nil, message, code end
  return self
end

--- Drops the entries of paths, with all below them. Whiteouts stay, since what they delete is to stay deleted. What
--- matches nothing is "ENOENT", and nothing is changed.
---@param which strata.Which
---@param opts? strata.RemoveOptions
---@return strata.Layer? self
---@return strata.Removed[]|string|nil removed | message
---@return string? code
function layer.methods:remove(which, opts)
  options.check("remove", "RemoveOptions", opts)
  local state, chosen, removed = transaction.state_of(self, "remove"), choice.new(which, "remove"), {}
  local ok, message, code = layer.load({ state }, {
    threads = opts and opts.threads, progress = opts and opts.progress, drops = chosen:declared(),
  })
  if not ok then return nil, message, code end
  for entry in chosen.call and state.index:entries() or function() end do
    job.tick()
    if not is_whiteout(entry) then chosen:ask(entry.path, entry, self) end
  end
  ok, message, code = edit(state.hub, "remove", function(kept)
    local mark = edit_entries.marker(chosen, false)
    local done, why, how = edit_entries.drop(state.hub, { state }, mark, kept, removed)
    local unused = done and not (opts and opts.optional) and chosen:unused()
    if unused then return fail("ENOENT", "remove: %s", unused) end
    return done, why, how
  end)
  if not ok then return nil, message, code end
  return self, printed.list(removed, printed.removed)
end

return edit_entries
