--- Scanning layers: reading them into the index of their entries, all that are needed at once.

local core = require "strata.core"
local entry_class = require "strata.layer.entry"
local fetch = require "strata.layer.fetch"
local job = require "strata.util.job"
local label = require "strata.layer.label"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"

local scan = {}

--- The entry index of a layer; a new one is not scanned yet.
---@param state strata.LayerState
---@return userdata? index
---@return string? message
---@return string? code
function scan.index_of(state)
  local blob = state.blob
  if not state.index then
    if blob.missing then
      return nil, ("%s: its blob is not there"):format(label(state)), "ENOENT"
    end
    if not media_types.COMPRESSIONS[blob.compression] then
      return nil, ("%s: compressed with %s, which is not supported"):format(label(state),
        blob.compression), "EUNSUPPORTED"
    end
    state.index = core.entry_index(blob.file, blob.offset, blob.size, blob.compression, state.hub.limits.read,
      state.digest)
  end
  return state.index
end

--- Has the edits of a layer's entries counted by its image.
---@param state strata.LayerState
---@param index userdata  its entry index
function scan.count_edits(state, index)
  entry_class.join(index, state.hub.edits)
  index:count_in(state.hub.edits)
end

--- How layers are scanned.
---@class strata.LoadOptions
---@field threads integer?
---@field progress function?
---@field lenient boolean?  also what `strict` does not let pass
---@field contents strata.LayerState[]?  those whose contents are going to be read: compressed ones are inflated into a
---  file by the scan, which prepare() or an assembly would do by reading them once more
---@field drops userdata?  core.globs of the entries that are going to be dropped: a gzip layer that has some is written
---  while it is scanned, and settle() takes that when it is what the edits have come to
---@field drops_whiteouts boolean?  whiteouts that hide such a path are going to be dropped, too
---@field temp_dir string?

-- Asks once, of each scanned layer of an image that was opened with `strict`, whether it may be used.
local function vet(states)
  for _, state in ipairs(states) do
    if state.hub.strict and not state.vetted then
      local why = state.hub.strict.layer(state)
      if why then return nil, why, "EFORMAT" end
      state.vetted = true
    end
  end
  return true
end

--- Scans the layers that have not been scanned, in parallel.
---@param states strata.LayerState[]
---@param opts? strata.LoadOptions
---@return boolean? ok
---@return string? message
---@return string? code
function scan.load(states, opts)
  local hub = states[1] and states[1].hub
  if hub and hub.scanned == states then return true end
  local waiting = {}
  for _, state in ipairs(states) do
    if not state.loaded then waiting[#waiting + 1] = state end
  end
  local ok, message, code = fetch.bring(waiting, opts)
  if not ok then return nil, message, code end
  local tasks, todo, is_read = core.job(), {}, {}
  for _, state in ipairs(opts and opts.contents or {}) do is_read[state] = true end
  for _, state in ipairs(waiting) do
    local index
    index, message, code = scan.index_of(state)
    if not index then return nil, message, code end
    tasks:scan(limits.add(state.hub.limits, {
      label = label(state), index = index, digest = state.digest, diff_id = state.diff_id,
      inflate = is_read[state], temp_dir = opts and (is_read[state] or opts.drops) and opts.temp_dir or nil,
      drop = opts and opts.drops, drop_whiteouts = opts and opts.drops_whiteouts,
    }))
    todo[#todo + 1] = { state = state, index = index }
    state.index = nil -- unless it is scanned to its end; a later try starts anew
  end
  ok, message, code = job.run(tasks, opts, "scanning")
  for i, item in ipairs(ok and todo or {}) do
    local state = item.state
    scan.count_edits(state, item.index)
    state.index, state.loaded = item.index, true
    state.hub.loads = (state.hub.loads or 0) + 1
    state.digest = state.digest or tasks:task(i).digest -- a compressed one was read whole
  end
  tasks:close()
  if ok and not (opts and opts.lenient) then
    ok, message, code = vet(states)
    if ok and hub and hub.layers == states then hub.scanned = states end
  end
  return ok, message, code
end

--- Scans the layers of an image that was opened with `strict`, for operations that read no
-- entry index and would never see what `strict` refuses.
---@param states strata.LayerState[]
---@return boolean? ok
---@return string? message
---@return string? code
function scan.vet(states)
  local here = {}
  for _, state in ipairs(states) do
    if state.hub.strict and not state.blob.missing then here[#here + 1] = state end
  end
  return scan.load(here)
end

--- Scans all layers that remain, in parallel, when this is the second one of an image that is visited in order. Errors
--- of later layers are reported when those are reached.
---@param state strata.LayerState
function scan.load_ahead(state)
  local hub = state.hub
  local below = hub.layers[state.position - 1]
  if state.loaded or hub.alone or not (below and below.loaded) then return end
  local rest = {}
  for i = state.position, #hub.layers do rest[#rest + 1] = hub.layers[i] end
  hub.alone = not scan.load(rest)
end

--- The scanned index. Iterators and fields cannot return errors, so this throws them.
---@param state strata.LayerState
---@return userdata index
function scan.loaded(state)
  local ok, message = scan.load { state }
  if not ok then error(message, 0) end
  return state.index
end

--- The closest layer below one that has an entry of a path.
---@param states strata.LayerState[]  base first, scanned
---@param upper integer  number of the layer to begin below
---@param path string
---@param lowest? integer  the lowest layer to look at: 1
---@return integer? number  of the layer
---@return strata.Entry? entry
function scan.find_below(states, upper, path, lowest)
  for i = upper - 1, lowest or 1, -1 do
    local entry = states[i].index:find(path)
    if entry then return i, entry end
  end
  return nil
end

return scan
