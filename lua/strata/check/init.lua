--- Checking an image, a layer or a tar for what readers differ about.
--
-- What the core notes down while it reads, what the entries and documents say,
-- and whether a second, independent reader sees the same entries. The same
-- findings, as far as they cost no reading of their own, are what the option
-- `strict` of strata.open refuses.

local blobs = require "strata.check.blobs"
local core = require "strata.core"
local documents = require "strata.check.documents"
local entries = require "strata.check.entries"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local report = require "strata.check.report"
local stack = require "strata.check.stack"
local tar = require "strata.check.tar"

local check = {}

-- The options, which may be inherited, with all limits: those given, the others as `base` has them.
local function with(opts, base)
  local severity = opts and opts.severity
  if opts and opts.privileged then
    if severity and severity ~= "note" then
      misuse('check: what privileged = true adds are notes, which severity = "%s" leaves out', severity)
    end
    severity = "note"
  end
  return setmetatable({
    limits = limits.resolve(opts and opts.limits, base), brief = false, severity = severity or "warning",
  }, { __index = opts or {} })
end

-- ---- one tar ---------------------------------------------------------------------------

-- The plain tar of a blob: itself, or inflated into a temporary file.
local function plain_of(blob, opts)
  if blob.compression == "none" then return blob end
  local made, message, code = job.recode({ { label = "second reader", blob = blob, as = "none" } },
    { limits = opts.limits, temp_dir = opts.temp_dir }, "inflating")
  return made and made[1], message, code
end

-- Everything about one scanned tar.
local function scanned(made, index, blob, opts)
  local explained = tar.noted_in(made, index)
  entries.check(made, index, opts)
  if opts.second_reader == false or not tar.has_second_reader() then return true end
  local plain, message, code = plain_of(blob, opts)
  if not plain then return nil, message, code end
  local ok
  ok, message, code = tar.compare(made, index, plain, explained)
  if plain ~= blob then plain.file:close() end
  return ok, message, code
end

-- ---- layers ----------------------------------------------------------------------------

-- Scans what can be scanned side by side; what cannot is told when its turn comes.
local function load_all(states)
  local here = {}
  for _, state in ipairs(states) do
    if not state.blob.missing then here[#here + 1] = state end
  end
  layer.load(here, { lenient = true })
end

-- The index of what a layer is now: of its edits' result when it has been edited.
local function index_of(state, opts)
  if not layer.is_edited(state) then
    local ok, message, code = layer.load({ state }, { lenient = true })
    if not ok then return nil, message, code end
    return state.index, state.blob
  end
  local ok, message, code = layer.settle({ state }, opts)
  if not ok then return nil, message, code end
  local now = layer.current(state)
  local index = core.entry_index(now.file, now.offset, now.size, now.compression)
  ok, message, code = index:scan(limits.add(opts.limits, {}))
  if not ok then return nil, message, code end
  return index, now
end

-- Failures of reading, and not of what is read.
local FATAL = {
  ENOMEM = true, EIO = true, ENOSPC = true, ECANCELED = true, ENETWORK = true, ETLS = true, ETIMEDOUT = true,
  EAUTH = true, EDENIED = true, ERATE = true, ESERVER = true, EREDIRECT = true,
}

-- What the bytes of a layer are. What the scan of a compressed one compares is not hashed again.
local function add_blob(made, state, index, blob, opts)
  local digests = layer.is_edited(state) and {} or { digest = state.digest, diff_id = state.diff_id, index = index }
  local ok, message, code = blobs.check(made, blob, index:info().tar_size, digests, opts)
  if ok or FATAL[code] then return ok, message, code end
  tar.unreadable(made, message, code)
  return true
end

-- True when looking further makes sense, and the index of the layer; what the layer has not is a finding.
local function add_layer(made, state, below, opts)
  made:at(layer.label(state), not state.hub.standalone and state.position or nil)
  if state.blob.missing and not layer.is_edited(state) then
    made:add(state.foreign and "note" or "error", "missing-blob", "its blob is not here")
    return true
  end
  local index, blob, code = index_of(state, opts)
  if not index then
    if FATAL[code] then return nil, blob, code end
    local label = layer.label(state) .. ": "
    if blob:sub(1, #label) == label then blob = blob:sub(#label + 1) end
    tar.unreadable(made, blob, code)
    return true
  end
  opts.stack, opts.upper = below, state.position > 1
  local ok, message
  ok, message, code = scanned(made, index, blob, opts)
  if ok then ok, message, code = add_blob(made, state, index, blob, opts) end
  if ok then return true, index end
  if index ~= state.index then index:close() end
  return nil, message, code
end

-- Where the literal reading of the layers shows something else than default runtimes.
local function add_views(made, below)
  made:at("layers")
  if below.refused then
    made:add("warning", "views-differ", ("Docker's and podman's vfs and umoci, which unpack one layer over the other, "
      .. "refuse layer %d: %s"):format(below.refused.layer, below.refused.message))
  end
  below:differences(function(path, runtime, spec)
    made:add("warning", "views-differ", ("%s for Docker, containerd and podman, %s where one layer is unpacked over "
      .. "the other, as Docker's and podman's vfs and umoci do"):format(runtime, spec), { path = path })
  end)
end

-- Checks layers, the base first, of which the first `from` - 1 are only there to lie below.
local function add_layers(made, states, from, opts)
  local below, settled = stack.new(opts.limits), {}
  local ok, message, code = true, nil, nil
  for i, state in ipairs(states) do
    local index
    if i >= from then
      ok, index, code = add_layer(made, state, below, opts)
      if not ok then message = index end
    elseif not state.blob.missing or layer.is_edited(state) then
      index = index_of(state, opts) or nil
    end
    if not ok then break end
    below:add(index)
    if index and index ~= state.index then settled[#settled + 1] = index end
  end
  if ok and from == 1 then add_views(made, below) end
  below:close()
  for _, index in ipairs(settled) do index:close() end
  return ok, message, code
end

--- What readers differ about in this layer, and what some of them refuse.
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return string? code
function layer.methods:check(opts)
  options.check("check", "CheckOptions", opts)
  opts = with(opts, layer.state_of(self).hub.limits)
  local made = report.new(opts.severity)
  local state, states = layer.state_of(self), {}
  for i = 1, state.position do states[i] = state.hub.layers[i] end
  local ok, message, code = add_layers(made, states, state.position, opts)
  if not ok then return nil, message, code end
  return made:finish()
end

-- The archive itself, as the second reader sees it.
local function add_archive(made, state, opts)
  local store = state.source and state.source.store
  if not store or not store.file or opts.second_reader == false or not tar.has_second_reader() then return true end
  local size = store.file:size()
  local index = core.entry_index(store.file, 0, size, "none")
  local ok, message, code = index:scan(limits.add(opts.limits, {}))
  if ok then
    local explained = tar.noted_in(report.new():at("archive"), index) -- documents.check has told them
    made:at("archive")
    ok, message, code = tar.compare(made, index, { file = store.file, offset = 0, size = size }, explained)
  end
  index:close()
  return ok, message, code
end

--- Adds all that is odd about an image.
---@param state strata.ImageState
---@param made strata.ReportMaker
---@param opts table  second_reader, privileged, temp_dir, limits
---@return boolean? ok
---@return string? message
---@return string? code
function check.image(state, made, opts)
  local states = state.hub.layers
  documents.check(made, state)
  local ok, message, code = add_archive(made, state, opts)
  if not ok then return nil, message, code end
  load_all(states)
  return add_layers(made, states, 1, opts)
end

--- What readers differ about in this image, and what some of them refuse: an
-- array of findings, empty for most images, that prints as lines.
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return string? code
function image.methods:check(opts)
  options.check("check", "CheckOptions", opts)
  local state = image.state_of(self)
  opts = with(opts, state.hub.limits)
  local made = report.new(opts.severity)
  local ok, message, code = check.image(state, made, opts)
  if not ok then return nil, message, code end
  return made:finish()
end

--- Checks a tar file, plain or compressed with gzip or zstd.
---@param path string
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return string? code
function check.tar(path, opts)
  opts = with(opts)
  local file, message, code = core.open_file(path)
  if not file then return nil, message, code end
  local made = report.new(opts.severity):at(path)
  local blob = { file = file, offset = 0, size = file:size() }
  blob.compression, message, code = file:sniff(0, blob.size)
  local ok = blob.compression
  if media_types.COMPRESSIONS[ok] then
    local index = core.entry_index(file, 0, blob.size, ok)
    ok, message, code = index:scan(limits.add(opts.limits, {}))
    if ok then
      ok, message, code = scanned(made, index, blob, opts)
      if ok then ok, message, code = blobs.check(made, blob, index:info().tar_size, {}, opts) end
    elseif code ~= "ENOMEM" and code ~= "EIO" then
      tar.unreadable(made, message, code)
      ok = true
    end
    index:close()
  elseif ok then
    ok, message, code = nil, ("%s: compressed with %s, which is not supported"):format(path, ok), "EUNSUPPORTED"
  end
  file:close()
  if not ok then return nil, message, code end
  return made:finish()
end

-- ---- strict ----------------------------------------------------------------------------

--- What the option `strict` of strata.open refuses.
check.strict = {}

--- Why an image must not be opened; nil when it may.
---@param state strata.ImageState
---@return string? message
function check.strict.documents(state)
  local made = report.new()
  documents.check(made, state)
  return report.first_error(made:finish())
end

--- Why a layer that was scanned must not be used; nil when it may. Reads nothing.
---@param state strata.LayerState
---@return string? message
function check.strict.layer(state)
  local made = report.new():at(layer.label(state))
  tar.noted_in(made, state.index)
  entries.check(made, state.index, {
    brief = true, upper = state.position > 1, limits = state.hub.limits,
  })
  return report.first_error(made:finish())
end

return check
