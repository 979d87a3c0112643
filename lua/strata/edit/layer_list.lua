--- Changes to the list of an image's layers. Each keeps history, diff_ids and
-- config in step, and touches no layer that it need not.

local choice = require "strata.util.choice"
local config = require "strata.config"
local core = require "strata.core"
local fail = require "strata.util.fail"
local history = require "strata.history"
local image = require "strata.image"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local stranded_links = require "strata.layer.stranded_links"

local layer_list = {}

local function diff_id_pointer(i)
  return "/rootfs/diff_ids/" .. ("%d"):format(i - 1)
end

--- Carries out the edits of all layers, and scans them.
---@param state strata.ImageState
---@param opts? strata.WorkOptions
---@param first? integer  the layers from this one to `last` are those whose contents are going to be read
---@param last? integer
---@return strata.LayerState[]?
---@return string? message
---@return string? code
function layer_list.prepare(state, opts, first, last)
  opts = opts or {}
  local ok, message, code = image.settle(state, { threads = opts.threads, progress = opts.progress })
  if not ok then return nil, message, code end
  local states = state.hub.layers
  local contents = {}
  for i = first or 1, last or 0 do contents[#contents + 1] = states[i] end
  ok, message, code = layer.load(states, { threads = opts.threads, progress = opts.progress, contents = contents })
  if not ok then return nil, message, code end
  return states
end

--- Takes a layer out of the list and of the config.
---@param state strata.ImageState
---@param i integer
---@return strata.Layer
function layer_list.take_out(state, i)
  config.document(state.config):remove(diff_id_pointer(i))
  return table.remove(image.own(state, "layers"), i)
end

--- Puts a layer into the list and into the config.
---@param state strata.ImageState
---@param i integer
---@param handle strata.Layer
---@param diff_id string
function layer_list.put_in(state, i, handle, diff_id)
  local doc, quoted = config.document(state.config), core.json_quote(diff_id)
  table.insert(image.own(state, "layers"), i, handle)
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

--- Throws, in the name of the caller's caller, when a base cannot have so many layers.
---@param state strata.ImageState
---@param above strata.Image|integer|nil
---@param fn string  the method's name
function layer_list.check_above(state, above, fn)
  if type(above) == "number" and above > #state.layers then
    misuse("%s: above should be a whole number from 0 to %d", fn, #state.layers)
  end
end

--- How many layers of an image belong to its base.
---@param state strata.ImageState
---@param base strata.Image|integer  another image, or the number
---@return integer?
---@return string? message
---@return string? code  "EINVAL": the layers of the base are not the lowest ones
function layer_list.count_base(state, base)
  if type(base) == "number" then return base end
  local ok, message, code = image.settle(state)
  if not ok then return nil, message, code end
  local states = state.hub.layers
  for i, one in ipairs(base.layers) do
    if not states[i] or layer.current(states[i]).diff_id ~= one.diff_id then
      return fail("EINVAL", "layer %d of the base, %s, is not that of the image", i, one.diff_id)
    end
  end
  return #base.layers
end

-- ---- hardlinks across layers ------------------------------------------------------

-- Refuses a change to the list of layers by which a hardlink would find another file, or none.
local function check_links(before, change)
  if not stranded_links.possible(before) then return true end
  local after = {}
  for i, one in ipairs(before) do after[i] = one end
  change(after)
  local was, message, code = stranded_links.find(before, {})
  if not was then return nil, message, code end
  local is
  is, message, code = stranded_links.find(after, {})
  if not is then return nil, message, code end
  local lost = stranded_links.compare(was, is)
  if not lost then return true end
  return fail("EINVAL", "%s: hardlink %s shares its file with %s", layer.label(lost.link), core.quote(lost.path),
    layer.label(lost.holder))
end

-- ---- insert -----------------------------------------------------------------------

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
    ok, message, code = check_links(states, function(list) table.insert(list, at, made) end)
    if not ok then return nil, message, code end
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

-- The layers that were created by a command with some text in it, the topmost first.
local function find_created_by(state, wanted)
  local is_text, list = type(wanted) == "string", {}
  if wanted == "" then misuse "remove_layer: created_by: the text is empty, and would match everything" end
  local pattern = type(wanted) == "table" and wanted.pattern
  local finds = not is_text and choice.text(pattern, "remove_layer: created_by.pattern")
  for i = #state.layers, 1, -1 do
    local by = state.layers[i].created_by
    if type(by) == "string" and (is_text and by:find(wanted, 1, true) or not is_text and finds(by)) then
      list[#list + 1] = i
    end
  end
  return list
end

local function remove(state, chosen, opts)
  local states, message, code = layer_list.prepare(state, opts)
  if not states then return nil, message, code end
  local ok
  ok, message, code = check_links(states, function(list)
    for _, i in ipairs(chosen) do table.remove(list, i) end
  end)
  if not ok then return nil, message, code end
  for _, i in ipairs(chosen) do layer_list.take_out(state, i) end
  history.remove(state.config, chosen)
  layer_list.finish(state)
  return true
end

--- Removes a layer, or all that were created by a command with a text in it, with their rows of the history.
---@param which integer|{created_by: string|{pattern: string}}
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:remove_layer(which, opts)
  options.check("remove_layer", "WorkOptions", opts)
  local state, chosen = image.state_of(self), { which }
  if type(which) == "number" then
    layer_list.check_position(state, which, "remove_layer")
  elseif type(which) ~= "table" or which.created_by == nil or next(which, next(which)) ~= nil then
    misuse('remove_layer: wants a layer\'s number, or {created_by = "text"} for all that such a command made')
  else
    local by = which.created_by
    chosen = find_created_by(state, by)
    if #chosen == 0 then
      return fail("ENOENT", "no layer was created by %s", core.quote(type(by) == "table" and by.pattern or by))
    end
  end
  local ok, message, code = image.edit(state, "remove_layer", function() return remove(state, chosen, opts) end)
  if not ok then return nil, message, code end
  return self
end

local function move(state, from, to, opts)
  local states, message, code = layer_list.prepare(state, opts)
  if not states then return nil, message, code end
  if from == to then return true end
  local ok
  ok, message, code = check_links(states, function(list) table.insert(list, to, table.remove(list, from)) end)
  if not ok then return nil, message, code end
  local diff_id = layer.current(states[from]).diff_id
  layer_list.put_in(state, to, layer_list.take_out(state, from), diff_id)
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
  if not ok then return nil, message, code end
  return self
end

--- Takes layers without entries out of an image, as a part of an edit.
---@param state strata.ImageState
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.prune(state)
  local ok, message, code = layer.load(state.hub.layers)
  if not ok then return nil, message, code end
  local empty = {}
  for i = #state.layers, 1, -1 do
    if (state.hub.layers[i].index:count()) == 0 then empty[#empty + 1] = i end
  end
  if not empty[1] then return true end
  history.mark_empty(state.config, empty)
  for _, i in ipairs(empty) do layer_list.take_out(state, i) end
  layer_list.finish(state)
  return true
end

--- Removes layers without entries; their rows of the history become empty.
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:prune()
  local state = image.state_of(self)
  local ok, message, code = image.edit(state, "prune", function() return layer_list.prune(state) end)
  if not ok then return nil, message, code end
  return self
end

return layer_list
