--- Making several layers of one.

local choice = require "strata.util.choice"
local fail = require "strata.util.fail"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge_tar = require "strata.edit.merge_tar"
local options = require "strata.util.options"
local parts = require "strata.edit.parts"
local printed = require "strata.util.printed"

local HEADER = 512
local PARTS = 120 -- more layers than that no overlay takes

-- The entries that paths choose go into the second of two parts.
local function by_choice(state, i, index, which)
  local chosen, handle = choice.new(which, "split"), state.layers[i]
  for entry in chosen.call and index:entries() or function() end do
    job.tick()
    if not (entry.whiteout or entry.opaque) then chosen:ask(entry.path, entry, handle) end
  end
  local lists, own = parts.distribute(index, 2, function(entry) return chosen:covers(entry.path) and 2 or 1 end)
  local unused = chosen:unused()
  if unused then return fail("ENOENT", "split: %s", unused) end
  if own[1] == 0 then return fail("EINVAL", "split: everything of %s is chosen", layer.label(state.hub.layers[i])) end
  return lists, own
end

-- Entries go into a part until it is full.
local function by_size(state, i, index, size)
  local part, used = 1, 0
  local lists, own = parts.distribute(index, PARTS, function(entry)
    local bytes = HEADER + math.ceil(entry.stored / HEADER) * HEADER
    if used > 0 and used + bytes > size then part, used = part + 1, 0 end
    used = used + bytes
    return math.min(part, PARTS)
  end)
  if part > PARTS then
    return fail("EINVAL", "split: %s would become %d layers, and no container has more than %d",
      layer.label(state.hub.layers[i]), part, PARTS)
  end
  return lists, own
end

local function run(state, i, which, opts)
  local states, message, code = layer_list.prepare(state, opts, i, i)
  if not states then return nil, message, code end
  local indexes
  indexes, message, code = merge_tar.indexes(states)
  if not indexes then return nil, message, code end
  local lists, own
  if type(which) == "table" and which.size ~= nil then
    lists, own, code = by_size(state, i, indexes[i], which.size)
  else
    lists, own, code = by_choice(state, i, indexes[i], which)
  end
  if not lists then return nil, own, code end
  return parts.divide(state, i, indexes, lists, own, opts, { comment = "strata split" })
end

--- Divides a layer: what paths choose becomes a layer above the rest, or each part has so many bytes.
---@param number integer
---@param which strata.Which|strata.SplitSize
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string chunks | message
---@return string? code
function image.methods:split(number, which, opts)
  options.check("split", "WorkOptions", opts)
  local state = image.state_of(self)
  layer_list.check_position(state, number, "split")
  if type(which) == "table" and which.size ~= nil then
    options.check("split", "SplitSize", which)
  else
    choice.new(which, "split")
  end
  local chunks, message, code = image.edit(state, "split", function()
    return run(state, number, which, opts or {})
  end)
  if not chunks then return nil, message, code end
  return self, printed.list(chunks, printed.chunk)
end
