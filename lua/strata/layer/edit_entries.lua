--- Dropping and changing entries of layers, as a function of the caller decides.

local core = require "strata.core"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local needless_whiteouts = require "strata.layer.needless_whiteouts"
local stranded_links = require "strata.layer.stranded_links"
local transaction = require "strata.layer.transaction"

local edit_entries = {}

local function check_callback(fn, name)
  if type(fn) ~= "function" then
    misuse(("bad argument to '%s' (function expected, got %s)"):format(name, type(fn)))
  end
end

-- Carries out an edit whole or not at all. A layer without an image has nothing but its entries.
local function edit(hub, name, fn)
  if hub.edit then return hub.edit(name, fn) end
  return transaction.run(nil, fn)
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

-- Marks the entries for which fn returns false. The marks are in the entry indexes, where
-- a million of them costs nothing.
local function mark(chosen, fn)
  local count = 0
  for _, state in ipairs(chosen) do
    local handle = state.handle
    for entry in state.index:entries() do
      if not edit_entries.keeps(fn, entry, handle) then
        entry:mark()
        count = count + 1
      end
    end
  end
  return count
end

--- Drops the entries of layers for which fn returns false, and whiteouts in the layers above
-- them that then hide nothing. Decides first and drops then: when fn throws, nothing changes.
---@param hub table  of the layers
---@param chosen table[]  states of layers
---@param fn fun(entry: strata.Entry, layer: strata.Layer): boolean
---@return boolean? ok
---@return string? message
---@return string? code
function edit_entries.filter(hub, chosen, fn)
  check_callback(fn, "filter")
  local states = hub.layers
  return edit(hub, "filter", function(kept)
    local ok, message, code = layer.load(states)
    if ok then ok, message, code = kept:keep(chosen) end -- fn may also assign to fields
    if not ok then return nil, message, code end
    for _, state in ipairs(states) do state.index:unmark() end -- an earlier function may have thrown
    if mark(chosen, fn) == 0 then return true end
    ok, message, code = stranded_links.check(states)
    if ok then ok, message, code = needless_whiteouts.mark(states) end
    if not ok then return nil, message, code end
    for _, state in ipairs(states) do state.index:drop_marked() end
    return true
  end)
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
      for entry in state.index:entries() do fn(entry, handle) end
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
  local state = layer.state_of(self)
  local ok, message, code = edit_entries.filter(state.hub, { state }, fn)
  return ok and self, message, code
end

--- Calls fn for each entry, to assign to its fields.
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Layer? self
---@return string? message
---@return string? code
function layer.methods:rewrite(fn)
  local state = layer.state_of(self)
  local ok, message, code = edit_entries.rewrite(state.hub, { state }, fn)
  return ok and self, message, code
end

--- Drops the entries of exactly that path.
---@param path string
---@return integer? dropped  how many
---@return string? message
---@return string? code
function layer.methods:drop(path)
  local state, wanted, dropped = layer.state_of(self), core.normalise(path), 0
  local ok, message, code = edit_entries.filter(state.hub, { state }, function(entry)
    if entry.path ~= wanted then return true end
    dropped = dropped + 1
    return false
  end)
  return ok and dropped, message, code
end

return edit_entries
