--- Writing one layer by itself.

local argument = require "strata.util.argument"
local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local layer = require "strata.layer"
local one_file = require "strata.store.one_file"
local options = require "strata.util.options"
local printed = require "strata.util.printed"

-- Writes the bytes of a layer as they are, or in another compression.
local function write(state, to, opts)
  local now = layer.current(state)
  local keeps = not opts.compression or opts.compression == "keep"
  local compression = keeps and now.compression or opts.compression
  local level = layer.level(opts, compression)
  if compression ~= now.compression or compression ~= "none" and level and not (keeps and not opts.level) then
    local list = { { label = layer.label(state), blob = now, as = compression, level = level, to = to } }
    local made, message, code = job.recode(list, {
      limits = state.hub.limits, threads = opts.threads, progress = opts.progress,
    }, "compressing")
    if not made then return nil, message, code end
    return { size = made[1].size, compression = compression, digest = made[1].digest, diff_id = now.diff_id }
  end
  local tasks = core.job()
  tasks:copy {
    label = layer.label(state), file = now.file, offset = now.offset, size = now.size, to = to, to_offset = 0,
    digest = now.digest,
  }
  local ok, message, code = job.run(tasks, opts, "copying")
  tasks:close()
  if not ok then return nil, message, code end
  return { size = now.size, compression = compression, digest = now.digest, diff_id = now.diff_id }
end

-- Brings a layer here, with its edits carried out and its digests known.
local function prepare(state, opts)
  local how = { threads = opts.threads, progress = opts.progress }
  local ok, message, code = layer.vet { state }
  if ok then ok, message, code = layer.settle({ state }, how) end
  if ok and state.blob.missing then return fail("ENOENT", "%s: its blob is not there", layer.label(state)) end
  if ok then ok, message, code = layer.bring({ state }, how) end
  if ok then ok, message, code = layer.hash({ state }, how) end
  return ok, message, code
end

--- Writes the tar of the layer, as it is stored or in another compression. It appears whole or not at all.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.LayerSaveOptions
---@return strata.SavedTar?
---@return string? message
---@return string? code
function layer.methods:save(what, opts)
  argument.stream(what, "save")
  options.check("save", "LayerSaveOptions", opts)
  opts = opts or {}
  local state = layer.state_of(self)
  local ok, message, code = prepare(state, opts)
  if not ok then return nil, message, code end
  local made
  made, message, code = one_file(what, function(to) return write(state, to, opts) end)
  if not made then return nil, message, code end
  return printed.by(made, printed.saved_tar)
end
