--- Changes to the list of an image's layers. Each keeps history, diff_ids and
-- config in step, and touches no layer that it need not.

local config = require "strata.config"
local core = require "strata.core"
local fail = require "strata.util.fail"
local history = require "strata.history"
local image = require "strata.image"
local layer = require "strata.layer"
local literal_tree = require "strata.layer.literal_tree"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"

local layer_list = {}

local function diff_id_pointer(i)
  return "/rootfs/diff_ids/" .. ("%d"):format(i - 1)
end

--- Carries out the edits of all layers, and scans them.
---@param state strata.ImageState
---@param opts? strata.WorkOptions
---@return strata.LayerState[]?
---@return string? message
---@return string? code
function layer_list.prepare(state, opts)
  opts = opts or {}
  local ok, message, code = image.settle(state, { threads = opts.threads, progress = opts.progress })
  if not ok then return nil, message, code end
  local states = state.hub.layers
  ok, message, code = layer.load(states, opts)
  if not ok then return nil, message, code end
  return states
end

--- Takes a layer out of the list and of the config.
---@param state strata.ImageState
---@param i integer
---@return strata.Layer
function layer_list.take_out(state, i)
  config.document(state.config):remove(diff_id_pointer(i))
  return table.remove(state.layers, i)
end

--- Puts a layer into the list and into the config.
---@param state strata.ImageState
---@param i integer
---@param handle strata.Layer
---@param diff_id string
function layer_list.put_in(state, i, handle, diff_id)
  local doc, quoted = config.document(state.config), core.json_quote(diff_id)
  table.insert(state.layers, i, handle)
  if i == #state.layers then return doc:set("/rootfs/diff_ids/-", quoted) end
  return doc:insert(diff_id_pointer(i), quoted)
end

--- Completes a change of the list.
---@param state strata.ImageState
function layer_list.finish(state)
  config.touch(state.config)
  image.renumber(state)
end

--- Throws, in the name of the caller's caller, when a layer has no such number.
---@param state strata.ImageState
---@param i any
---@param fn string  the method's name
function layer_list.check_position(state, i, fn)
  if type(i) ~= "number" or i % 1 ~= 0 or i < 1 or i > #state.layers then
    misuse("%s: layer should be a whole number from 1 to %d", fn, #state.layers)
  end
end

-- ---- hardlinks across layers ------------------------------------------------------

-- The hardlinks of a layer to files of others.
local function dangling_of(state)
  local list = {}
  for entry in state.index:entries() do
    if entry.dangling then list[#list + 1] = entry end
  end
  return list
end

-- Which layer each hardlink to a file of another layer finds it in, in this order of layers. Runtimes refuse such
-- links; whoever unpacks one layer over the other follows the symlinks on their way.
local function find_holders(states)
  local dangling, any, holders = {}, false, {}
  for i, state in ipairs(states) do
    dangling[i] = dangling_of(state)
    any = any or dangling[i][1] ~= nil
  end
  if not any then return holders end
  literal_tree.each(states, false, function(i, tree)
    for _, entry in ipairs(dangling[i]) do
      local node = tree:find(core.normalise(entry.linkpath), false)
      local from = node and tree:info(node) ~= "dir" and select(2, tree:source(node))
      if from then
        holders[#holders + 1] = { link = states[i], path = entry.path, holder = states[from], number = entry.index }
      end
    end
  end)
  return holders
end

-- A message when a link would find another file, or none, in another order of layers.
local function find_stranded(before, after)
  local found, stays = {}, {}
  for _, one in ipairs(find_holders(after)) do
    found[one.link] = found[one.link] or {}
    found[one.link][one.number] = one.holder
  end
  for _, state in ipairs(after) do stays[state] = true end
  for _, one in ipairs(find_holders(before)) do
    if stays[one.link] and (found[one.link] or {})[one.number] ~= one.holder then
      return ("%s: hardlink %s shares its file with %s"):format(layer.label(one.link), core.quote(one.path),
        layer.label(one.holder))
    end
  end
end

-- ---- insert -----------------------------------------------------------------------

-- A message when a hardlink would find another file, or none, after a change to the list of layers.
local function refuse_order(states, change)
  local after = {}
  for i, one in ipairs(states) do after[i] = one end
  change(after)
  return find_stranded(states, after)
end

--- Puts a new layer in, with its row of the history.
---@param state strata.ImageState
---@param at integer  its number afterwards
---@param made strata.LayerState
---@param row table  of the history
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.insert(state, at, made, row)
  made.hub, made.position = state.hub, at
  local handle = layer.new(made)
  if at <= #state.layers then
    local states, message, code = layer_list.prepare(state)
    if not states then return nil, message, code end
    local ok
    ok, message, code = layer.load { made }
    if not ok then return nil, message, code end
    local stranded = refuse_order(states, function(list) table.insert(list, at, made) end)
    if stranded then return nil, stranded, "EINVAL" end
  end
  local placed, message, code = history.append(state.config, row, at)
  if not placed then return nil, message, code end
  local doc = config.document(state.config)
  if doc:type("/rootfs/diff_ids") ~= "array" then doc:set("/rootfs/diff_ids", "[]") end
  layer_list.put_in(state, at, handle, made.diff_id)
  layer_list.finish(state)
  return true
end

-- ---- remove, move and prune -------------------------------------------------------

-- The layers that were created by what matches a pattern, the topmost first.
local function find_created_by(state, pattern)
  local list = {}
  for i = #state.layers, 1, -1 do
    local by = state.layers[i].created_by
    if by and by:find(pattern) then list[#list + 1] = i end
  end
  return list
end

local function remove(state, chosen, opts)
  local states, message, code = layer_list.prepare(state, opts)
  if not states then return nil, message, code end
  local stranded = refuse_order(states, function(list)
    for _, i in ipairs(chosen) do table.remove(list, i) end
  end)
  if stranded then return nil, stranded, "EINVAL" end
  for _, i in ipairs(chosen) do
    layer_list.take_out(state, i)
    history.remove(state.config, i)
  end
  layer_list.finish(state)
  return true
end

--- Removes a layer, or all that were created by what matches a Lua pattern, with their
-- rows of the history.
---@param which integer|string
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:remove_layer(which, opts)
  options.check("remove_layer", "WorkOptions", opts)
  local state, chosen = image.state_of(self), { which }
  if type(which) == "number" then
    layer_list.check_position(state, which, "remove_layer")
  elseif type(which) ~= "string" then
    misuse("remove_layer: wants a layer's number, or a pattern of created_by")
  else
    chosen = find_created_by(state, which)
    if #chosen == 0 then
      return fail("ENOENT", "no layer was created by %s", core.quote(which))
    end
  end
  local ok, message, code = image.edit(state, "remove_layer", function() return remove(state, chosen, opts) end)
  return ok and self, message, code
end

local function move(state, from, to, opts)
  local states, message, code = layer_list.prepare(state, opts)
  if not states then return nil, message, code end
  if from == to then return true end
  local stranded = refuse_order(states, function(list) table.insert(list, to, table.remove(list, from)) end)
  if stranded then return nil, stranded, "EINVAL" end
  local diff_id = layer.current(states[from]).diff_id
  layer_list.put_in(state, to, layer_list.take_out(state, from), diff_id)
  local ok
  ok, message, code = history.move(state.config, from, to)
  layer_list.finish(state)
  return ok, message, code
end

--- Moves a layer; its row of the history goes along.
---@param from integer
---@param to integer  its number afterwards
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:move_layer(from, to, opts)
  options.check("move_layer", "WorkOptions", opts)
  local state = image.state_of(self)
  layer_list.check_position(state, from, "move_layer")
  layer_list.check_position(state, to, "move_layer")
  local ok, message, code = image.edit(state, "move_layer", function() return move(state, from, to, opts) end)
  return ok and self, message, code
end

--- Removes layers without entries; their rows of the history become empty.
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:prune()
  local state = image.state_of(self)
  local ok, message, code = image.edit(state, "prune", function()
    local loaded, why, how = layer.load(state.hub.layers)
    if not loaded then return nil, why, how end
    for i = #state.layers, 1, -1 do
      if (state.hub.layers[i].index:count()) == 0 then
        history.mark_empty(state.config, i)
        layer_list.take_out(state, i)
        config.touch(state.config)
      end
    end
    image.renumber(state)
    return true
  end)
  return ok and self, message, code
end

return layer_list
