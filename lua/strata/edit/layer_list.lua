--- Changes to the list of an image's layers. Each keeps history, diff_ids and
-- config in step, and touches no layer that it need not.

local config = require "strata.config"
local core = require "strata.core"
local history = require "strata.history"
local layer = require "strata.layer"
local merge_tar = require "strata.edit.merge_tar"
local parent_of = require("strata.util.path").parent

local layer_list = {}

--- What an operation gets from the image.
---@class strata.Operand
---@field state table  of the image
---@field states fun(): table[]  of its layers
---@field settle fun(opts?: table): boolean?, string?, string?
---@field renumber fun()
---@field sticky fun(...): ...  notes a failure, so that the image cannot be saved

local function diff_id_pointer(i)
  return "/rootfs/diff_ids/" .. ("%d"):format(i - 1)
end

-- All layers with their edits carried out, and scanned.
local function prepare(image, opts)
  opts = opts or {}
  local ok, message, code = image.settle { threads = opts.threads, progress = opts.progress }
  if not ok then return nil, message, code end
  local states = image.states()
  ok, message, code = layer.load(states, opts)
  if not ok then return nil, message, code end
  return states
end

function layer_list.take_out(image, i)
  config.document(image.state.config):remove(diff_id_pointer(i))
  return table.remove(image.state.layers, i)
end

function layer_list.put_in(image, i, handle, diff_id)
  local doc, quoted = config.document(image.state.config), core.json_quote(diff_id)
  table.insert(image.state.layers, i, handle)
  if i == #image.state.layers then return doc:set("/rootfs/diff_ids/-", quoted) end
  return doc:insert(diff_id_pointer(i), quoted)
end

function layer_list.finish(image)
  config.touch(image.state.config)
  image.renumber()
end

local function check_position(image, i, what)
  if type(i) ~= "number" or i % 1 ~= 0 or i < 1 or i > #image.state.layers then
    error(("%s: layer should be a whole number from 1 to %d"):format(what, #image.state.layers), 0)
  end
end

-- One layer is one already; only the lowest may have whiteouts, or what AUFS kept beside
-- them, which hide nothing there.
local function needs_no_squash(states, first, last)
  if first ~= last then return false end
  for entry in first == 1 and states[1].index:entries() or function() end do
    local kind, _, in_aufs = core.whiteout(entry.path)
    if in_aufs or kind and kind ~= "invalid" then return false end
  end
  return true
end

-- ---- squash ---------------------------------------------------------------------

--- Makes one layer of layers `first` to `last`.
---@param image strata.Operand
---@param first integer
---@param last integer
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.squash(image, first, last, opts)
  opts = opts or {}
  check_position(image, first, "squash")
  check_position(image, last, "squash")
  if first > last then error("squash: the first layer is above the last one", 0) end
  local states, message, code = prepare(image, opts)
  if not states then return nil, message, code end
  if needs_no_squash(states, first, last) then return true end
  local compression = states[last].blob.compression
  local to
  to, message, code = core.temp_file()
  if not to then return nil, message, code end
  local made
  made, message, code = merge_tar.write(states, first, last, {
    to = to, compression = compression, label = ("layers %d to %d"):format(first, last),
    threads = opts.threads, progress = opts.progress,
  })
  if not made then return nil, message, code end
  for i = last, first, -1 do layer_list.take_out(image, i) end
  layer_list.put_in(image, first, layer.new {
    blob = { file = made.file, offset = 0, size = made.size, compression = compression },
    diff_id = made.diff_id, digest = made.digest, made = true, hub = image.state.hub,
  }, made.diff_id)
  history.merge(image.state.config, first, last)
  layer_list.finish(image)
  return true
end

--- How many layers of the image are those of another one, which has to be its base.
---@param image strata.Operand
---@param base strata.Image
---@return integer? count
---@return string? message
---@return string? code
function layer_list.count_base(image, base)
  local ok, message, code = image.settle()
  if not ok then return nil, message, code end
  local states = image.states()
  for i, one in ipairs(base.layers) do
    if not states[i] or layer.current(states[i]).diff_id ~= one.diff_id then
      return nil, ("layer %d of the base, %s, is not that of the image"):format(i, one.diff_id), "EINVAL"
    end
  end
  return #base.layers
end

-- ---- export ---------------------------------------------------------------------

--- Writes the merged file system as one tar, which appears whole or not at all.
---@param image strata.Operand
---@param path string
---@param opts? strata.ExportOptions
---@return {path: string, size: integer, digest: string, diff_id: string, entries: integer}?
---@return string? message
---@return string? code
function layer_list.export(image, path, opts)
  opts = opts or {}
  local states, message, code = prepare(image, opts)
  if not states then return nil, message, code end
  local to
  to, message, code = core.create_file(path)
  if not to then return nil, message, code end
  local made
  made, message, code = merge_tar.write(states, 1, #states, {
    to = to, whole = true, compression = opts.compression, level = opts.level, label = "export",
    threads = opts.threads, progress = opts.progress,
  })
  local ok = made
  if ok then ok, message, code = to:publish() end
  to:close()
  if not ok then return nil, message, code end
  return { path = path, size = made.size, digest = made.digest, diff_id = made.diff_id, entries = made.entries }
end

-- ---- hardlinks across layers ------------------------------------------------------

-- Whether a layer hides a path of those below it.
local function hides(index, path)
  while path do
    local parent = parent_of(path)
    if index:find(core.whiteout_name(path)) or index:find(core.opaque_name(parent or ".")) then return true end
    local above = parent and index:find(parent)
    if above and above.type ~= "dir" then return true end
    path = parent
  end
  return false
end

local function is_hidden_between(states, lower, upper, path)
  for i = lower + 1, upper - 1 do
    if hides(states[i].index, path) then return true end
  end
  return false
end

-- Which layer each hardlink to a file of another layer finds it in, in this order of layers.
local function find_holders(states)
  local holders = {}
  for i, state in ipairs(states) do
    for entry in state.index:entries() do
      if entry.dangling then
        local path = core.normalise(entry.linkpath)
        local k = layer.find_below(states, i, path)
        if k and not is_hidden_between(states, k, i, path) then
          holders[#holders + 1] = { link = state, path = entry.path, holder = states[k], number = entry.index }
        end
      end
    end
  end
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

--- Puts a new layer in, with its row of the history.
---@param image strata.Operand
---@param at integer  its number afterwards
---@param made table  its state
---@param row table  of the history
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.insert(image, at, made, row)
  made.hub, made.position = image.state.hub, at
  local handle = layer.new(made)
  if at <= #image.state.layers then
    local states, message, code = prepare(image)
    if not states then return nil, message, code end
    local after = {}
    for i, state in ipairs(states) do after[i] = state end
    table.insert(after, at, made)
    local ok
    ok, message, code = layer.load { made }
    if not ok then return nil, message, code end
    local stranded = find_stranded(states, after)
    if stranded then return nil, stranded, "EINVAL" end
  end
  local placed, message, code = history.append(image.state.config, row, at)
  if not placed then return nil, message, code end
  local doc = config.document(image.state.config)
  if doc:type("/rootfs/diff_ids") ~= "array" then doc:set("/rootfs/diff_ids", "[]") end
  layer_list.put_in(image, at, handle, made.diff_id)
  layer_list.finish(image)
  return true
end

-- ---- remove and move --------------------------------------------------------------

-- The layers that a number or a pattern of created_by means, the topmost first.
local function choose(image, which)
  if type(which) == "number" then
    check_position(image, which, "remove_layer")
    return { which }
  elseif type(which) ~= "string" then
    error("remove_layer: wants a layer's number, or a pattern of created_by", 0)
  end
  local list = {}
  for i = #image.state.layers, 1, -1 do
    local by = image.state.layers[i].created_by
    if by and by:find(which) then list[#list + 1] = i end
  end
  return list
end

--- Removes layers with their rows of the history; the others stay as they are.
---@param image strata.Operand
---@param which integer|string  a number, or a Lua pattern of created_by
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.remove(image, which, opts)
  local chosen = choose(image, which)
  if #chosen == 0 then
    return nil, ("no layer was created by %s"):format(core.quote(which)), "ENOENT"
  end
  local states, message, code = prepare(image, opts)
  if not states then return nil, message, code end
  local after = {}
  for i, state in ipairs(states) do after[i] = state end
  for _, i in ipairs(chosen) do table.remove(after, i) end
  local stranded = find_stranded(states, after)
  if stranded then return nil, stranded, "EINVAL" end
  for _, i in ipairs(chosen) do
    layer_list.take_out(image, i)
    history.remove(image.state.config, i)
  end
  layer_list.finish(image)
  return true
end

--- Moves a layer, with its row of the history.
---@param image strata.Operand
---@param from integer
---@param to integer  its number afterwards
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return string? code
function layer_list.move(image, from, to, opts)
  check_position(image, from, "move_layer")
  check_position(image, to, "move_layer")
  local states, message, code = prepare(image, opts)
  if not states then return nil, message, code end
  if from == to then return true end
  local after = {}
  for i, state in ipairs(states) do after[i] = state end
  table.insert(after, to, table.remove(after, from))
  local stranded = find_stranded(states, after)
  if stranded then return nil, stranded, "EINVAL" end
  local diff_id = layer.current(states[from]).diff_id
  local ok
  local handle = layer_list.take_out(image, from)
  layer_list.put_in(image, to, handle, diff_id)
  ok, message, code = history.move(image.state.config, from, to)
  layer_list.finish(image)
  return ok, message, code
end

return layer_list
