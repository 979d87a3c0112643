--- Writing the merged file system, or a part of it, as one tar, and the part onto a directory.
--
-- A part is a tar of its own in either case: its hardlinks have their files in it, and its directories are there with
-- their attributes. Extracting one is applying this tar.

local argument = require "strata.util.argument"
local chosen_paths = require "strata.tree.chosen_paths"
local core = require "strata.core"
local extract = require "strata.layer.extract"
local image = require "strata.image"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge_tar = require "strata.edit.merge_tar"
local one_file = require "strata.store.one_file"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local rootfs = require "strata.rootfs"

-- ---- one tar --------------------------------------------------------------------------------

-- What merge_tar.write wants for a tar of the merged file system.
local function tar_options(to, opts, view, wanted)
  return {
    to = to, whole = true, wanted = wanted, compression = opts.compression, level = opts.level, label = "export",
    threads = opts.threads, progress = opts.progress, view = view,
  }
end

-- Writes the tar to a path, where it appears whole or not at all, or to a stream.
local function write(states, what, opts, view, wanted)
  local made, message, code = one_file(what, function(to)
    local tar, problem, kind = merge_tar.write(states, 1, #states, tar_options(to, opts, view, wanted))
    if not tar then return nil, problem, kind end
    return { size = tar.size, digest = tar.digest, diff_id = tar.diff_id, entries = tar.entries }
  end)
  if not made then return nil, message, code end
  return printed.by(made, printed.export)
end

--- Writes the file system that a container sees as one tar, sorted, hardlinks
-- behind their files. It appears whole or not at all.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.ExportOptions
---@return {path: string?, size: integer, digest: string, diff_id: string, entries: integer}?
---@return string? message
---@return string? code
function image.methods:export(what, opts)
  argument.stream(what, "export")
  options.check("export", "ExportOptions", opts)
  opts = opts or {}
  local state = image.state_of(self)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  local states, message, code = layer_list.prepare(state, opts, 1, #state.layers)
  if not states then return nil, message, code end
  return write(states, what, opts, opts.view)
end

-- ---- the part that is chosen ----------------------------------------------------------------

-- The paths that are chosen, with those of the directories that they are in.
local function choose(state, which, fn, optional)
  local tree, message, code = rootfs.tree_of(state)
  if not tree then return nil, message, code end
  return chosen_paths.find(tree, state.layers, which, { fn = fn, optional = optional })
end

-- The states of a root's layers, without edits that wait, and scanned.
local function prepare(state, opts)
  local states = {}
  for i, one in ipairs(state.layers) do states[i] = layer.state_of(one) end
  local ok, message, code = layer.settle(states, { threads = opts.threads, progress = opts.progress })
  if ok then ok, message, code = layer.load(states, opts) end
  if not ok then return nil, message, code end
  return states
end

--- Writes the root file system, or what is chosen of it, as one tar, as img:export does.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.RootExportOptions
---@return strata.ExportResult?
---@return string? message
---@return string? code
function rootfs.methods:export(what, opts)
  argument.stream(what, "export")
  options.check("export", "RootExportOptions", opts)
  opts = opts or {}
  local state, wanted = rootfs.state_of(self), nil
  if opts.which ~= nil then
    local message, code
    wanted, message, code = choose(state, opts.which, "export", opts.optional)
    if not wanted then return nil, message, code end
  end
  local states, message, code = prepare(state, opts)
  if not states then return nil, message, code end
  return write(states, what, opts, state.view, wanted)
end

-- Notes say of which layer an entry is, not that it was in the tar.
local function set_layers(state, result)
  local tree = rootfs.tree_of(state)
  for _, note in ipairs(result.skipped) do
    local node = tree and tree:find(note.path, false)
    note.layer = node and select(2, tree:info(node)) or note.layer
  end
  result.layers = #state.layers
end

--- Writes what is chosen into a directory, which is made when it is not there. The directories that it is in are made
-- with their attributes; the given one gets none of the root. Hardlinks to what is not chosen become files.
---@param which strata.Which  a function gets a strata.RootEntry
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.RootExtractOptions
---@return strata.ExtractResult?
---@return string? message
---@return string? code
function rootfs.methods:extract(which, dir, opts)
  local state = rootfs.state_of(self)
  opts = extract.check(dir, opts, "extract", "RootExtractOptions")
  local wanted, message, code = choose(state, which, "extract", opts.optional)
  if not wanted then return nil, message, code end
  local states
  states, message, code = prepare(state, opts)
  if not states then return nil, message, code end
  local to, made
  to, message, code = core.temp_file()
  if not to then return nil, message, code end
  made, message, code = merge_tar.write(states, 1, #states,
    tar_options(to, { threads = opts.threads, progress = opts.progress }, state.view, wanted))
  local result
  if made then
    opts.view = state.view
    result, message, code = extract.run({ {
      label = "the files that were chosen",
      current = { file = to, offset = 0, size = made.size, compression = "none", digest = made.digest,
                  diff_id = made.diff_id },
    } }, dir, opts, states[1] and states[1].hub.limits)
  end
  to:close()
  if not result then return nil, message, code end
  set_layers(state, result)
  return result
end
