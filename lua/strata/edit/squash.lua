--- Making one layer of several.

local core = require "strata.core"
local fail = require "strata.util.fail"
local history = require "strata.history"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge_tar = require "strata.edit.merge_tar"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"

local squash = {}

-- A single layer needs no squash, unless it is the lowest and has whiteouts, which hide nothing
-- there, or the metadata of AUFS.
local function needs_no_squash(states, first, last)
  if first ~= last then return false end
  for entry in first == 1 and states[1].index:entries() or function() end do
    job.tick()
    local kind, _, in_aufs = core.whiteout(entry.path)
    if in_aufs or kind and kind ~= "invalid" then return false end
  end
  return true
end

--- Makes one layer of several, its entries sorted.
---@param state strata.ImageState  its layers are settled and loaded
---@param first integer
---@param last integer
---@param opts strata.FlattenOptions
---@param compression? string  default: that of the last one
---@return boolean? ok
---@return string? message
---@return string? code
function squash.merge(state, first, last, opts, compression)
  local states = state.hub.layers
  compression = compression or states[last].blob.compression
  local to, message, code = core.temp_file()
  if not to then return nil, message, code end
  local made
  made, message, code = merge_tar.write(states, first, last, {
    to = to, compression = compression, splice = true, label = ("layers %d to %d"):format(first, last),
    threads = opts.threads, progress = opts.progress, view = opts.view,
  })
  if not made then return nil, message, code end
  for i = last, first, -1 do layer_list.take_out(state, i) end
  layer_list.put_in(state, first, layer.new {
    blob = { file = made.file, offset = 0, size = made.size, compression = compression, hashed = true,
             spliced = compression ~= "none", kept = made.kept },
    diff_id = made.diff_id, digest = made.digest, made = true, hub = state.hub,
  }, made.diff_id)
  history.merge(state.config, first, last)
  layer_list.finish(state)
  return true
end

local function run(state, first, last, opts)
  opts = opts or {}
  -- One layer is rarely read: see needs_no_squash.
  local states, message, code = layer_list.prepare(state, opts, first, last > first and last or 0)
  if not states then return nil, message, code end
  if needs_no_squash(states, first, last) then return true end
  return squash.merge(state, first, last, opts)
end

--- Makes one layer of several: `squash(2, 4)`, or of all above a base:
-- `squash{above = base}`, where that is an image or its number of layers.
---@param first integer|strata.SquashOptions
---@param last? integer
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:squash(first, last, opts)
  local state = image.state_of(self)
  if type(first) == "table" then
    options.check("squash", "SquashOptions", first)
    local base, message, code = layer_list.count_base(state, first.above)
    if not base then return nil, message, code end
    if base == #state.layers then return fail("EINVAL", "squash: no layer is above the base") end
    first, last, opts = base + 1, #state.layers, first
  else
    options.check("squash", "FlattenOptions", opts)
  end
  layer_list.check_position(state, first, "squash")
  layer_list.check_position(state, last, "squash")
  if first > last then misuse("squash: the first layer is above the last one") end
  local ok, message, code = image.edit(state, "squash", function() return run(state, first, last, opts) end)
  if not ok then return nil, message, code end
  return self
end

--- Makes one layer of all.
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:flatten(opts)
  options.check("flatten", "FlattenOptions", opts)
  local state = image.state_of(self)
  if #state.layers == 0 then return self end
  local ok, message, code = image.edit(state, "flatten", function() return run(state, 1, #state.layers, opts) end)
  if not ok then return nil, message, code end
  return self
end

return squash
