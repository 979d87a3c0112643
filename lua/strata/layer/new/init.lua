--- Making new layers of files, directories, tars and other archives.

local core = require "strata.core"
local edit_entries = require "strata.layer.edit_entries"
local from_archive = require "strata.layer.new.from_archive"
local from_difference = require "strata.layer.new.from_difference"
local from_directory = require "strata.layer.new.from_directory"
local from_files = require "strata.layer.new.from_files"
local job = require "strata.util.job"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local mapping = require "strata.layer.new.mapping"
local media_types = require "strata.document.media_types"
local misuse = require "strata.util.misuse"
local open = require "strata.store.open"
local options = require "strata.util.options"
local parent_of = require("strata.util.path").parent
local scan = require "strata.layer.scan"
local standalone = require "strata.layer.standalone"
local tar_writer = require "strata.layer.new.tar_writer"

local new_layer = {}

-- `below` is the list of scanned layers that the new one is put on; nil when it is in no image yet.

-- ---- new tars -----------------------------------------------------------------------

local function find_in(below, path)
  local _, entry = scan.find_below(below, #below + 1, path)
  return entry
end

-- Adds the directories on the way to a path that no layer below has: 0755, root's.
local function add_parents(tar, path, below, seen)
  local missing, parent = {}, parent_of(path)
  while parent and not seen[parent] do
    seen[parent] = true
    local found = find_in(below, parent)
    if not found or found.type ~= "dir" and found.type ~= "symlink" then table.insert(missing, 1, parent) end
    parent = parent_of(parent)
  end
  for _, one in ipairs(missing) do
    tar:add { path = one, type = "dir", mode = 493, uid = 0, gid = 0, mtime = 0 }
  end
end

-- Adds entries that stand in a list, with the directories that they need. alike: links have
-- the attributes of their files, whatever the mapping says of them.
local function add_list(tar, list, map, below, alike)
  local seen, mapped, i = {}, {}, 0
  local excludes = map:exclusion(function()
    i = i + 1
    return list[i]
  end)
  for _, entry in ipairs(list) do
    if not excludes(entry.path) then
      local one = map:apply(entry, alike)
      mapped[#mapped + 1] = one
      if one.type == "dir" then seen[one.path] = true end
    end
  end
  for _, entry in ipairs(mapped) do
    if below then add_parents(tar, entry.path, below, seen) end
    tar:add(entry)
  end
end

local function write_tar(spec, fill)
  local tar, message, code = tar_writer.new(spec.temp_dir)
  if not tar then return nil, message, code end
  local skipped
  skipped, message, code = fill(tar)
  if not skipped then return nil, message, code end
  local state
  state, message, code = tar:finish(spec)
  if not state then return nil, message, code end
  return state, skipped
end

-- Like write_tar, for directories of the host; they are closed afterwards, so that they can be unmounted.
local function write_directories(spec, directories, fill)
  local state, skipped, code = write_tar(spec, fill)
  for _, one in ipairs(directories) do one.handle:close() end
  return state, skipped, code
end

-- Adds the directory that everything is put into, when the layers below are known not to have it.
local function add_place(tar, map, below)
  if below and map.prefix ~= "" then add_parents(tar, map:place("x"), below, {}) end
end

local makers = {}

function makers.dir(spec, map, below)
  local found, message, code = from_directory.read(spec.dir, map, spec)
  if not found then return nil, message, code end
  return write_directories(spec, { found }, function(tar)
    add_place(tar, map, below)
    return from_directory.add(found, map, tar)
  end)
end

function makers.upper(spec, map, below)
  local lower, message, code = from_directory.read(spec.lower, map, spec)
  if not lower then return nil, message, code end
  local upper
  upper, message, code = from_directory.read(spec.upper, map, spec)
  if not upper then
    lower.handle:close()
    return nil, message, code
  end
  return write_directories(spec, { lower, upper }, function(tar)
    add_place(tar, map, below)
    return from_difference.add(lower, upper, map, tar, spec)
  end)
end

function makers.overlay_upper(spec, map, below)
  local found, message, code = from_directory.read(spec.overlay_upper, map, spec)
  if not found then return nil, message, code end
  return write_directories(spec, { found }, function(tar)
    add_place(tar, map, below)
    return from_directory.add_overlay(found, map, tar)
  end)
end

function makers.files(spec, map, below)
  -- Fractions of seconds were given on purpose.
  if map.opts.exact_mtime == nil then map.keeps_fractions = true end
  local list = from_files.entries(spec.files, function(path) return below and find_in(below, map:place(path)) end)
  return write_tar(spec, function(tar)
    add_list(tar, list, map, below)
    return {}
  end)
end

function makers.archive(spec, map, below)
  local list, skipped, code = from_archive.entries(spec.archive, spec)
  if not list then return nil, skipped, code end
  return write_tar(spec, function(tar)
    add_list(tar, list, map, below, true)
    return skipped
  end)
end

-- ---- tars as they are ---------------------------------------------------------------

-- A file as a layer's blob: what a layer cannot be compressed with is inflated.
local function blob_of(spec)
  local file, message, code = core.open_file(spec.tar)
  if not file then return nil, message, code end
  if file:size() == 0 then return nil, ("%s: not a tar: it is empty"):format(spec.tar), "EFORMAT" end
  local compression
  compression, message, code = file:sniff(0, file:size())
  if not compression then return nil, message, code end
  if not media_types.COMPRESSIONS[compression] then
    file, message, code = open.inflate(file, compression, spec.tar, spec)
    if not file then return nil, message, code end
    compression = "none"
  end
  return { file = file, offset = 0, size = file:size(), compression = compression }
end

-- Reads it all: digests, entries, and that a tree can be made of them.
local function verify(blob, spec)
  local tasks = core.job()
  local index = core.entry_index(blob.file, blob.offset, blob.size, blob.compression, spec.limits.read)
  local function task(more)
    more.label = spec.tar
    return limits.add(spec.limits, more)
  end
  tasks:scan(task { index = index })
  if blob.compression == "none" then
    tasks:hash(task { file = blob.file, offset = blob.offset, size = blob.size })
  end
  local ok, message, code = job.run(tasks, spec, "reading")
  local done = ok and tasks:task(blob.compression == "none" and 2 or 1)
  tasks:close()
  if not ok then return nil, message, code end
  local tree
  tree, message, code = core.tree()
  if tree then
    ok, message, code = tree:apply(index)
    tree:close()
  end
  if not tree or not ok then return nil, ("%s: %s"):format(spec.tar, message), code end
  return { blob = blob, diff_id = done.diff_id or done.digest, digest = done.digest, index = index,
           loaded = true }
end

-- Carries the mapping out as edits, so that all else of the entries stays.
local function edit(state, map, given)
  local handle = standalone.new(state, given)
  local excludes = map:exclusion(handle:entries())
  local ok, message, code = edit_entries.filter(state.hub, { state }, function(entry)
    return not excludes(entry.path)
  end)
  if not ok then return nil, message, code end
  local fixes_times = map.opts.mtime or map.opts.clamp_mtime
  ok, message, code = edit_entries.rewrite(state.hub, { state }, function(entry)
    -- atime and ctime differ from build to build, and layers of other sources have none.
    if fixes_times then entry.atime, entry.ctime = nil, nil end
    local old = { path = entry.path, type = entry.type, mode = entry.mode % 4096, uid = entry.uid, gid = entry.gid,
                  size = entry.size, mtime = math.floor(entry.mtime), linkpath = entry.linkpath }
    local path, linkpath, mode, mtime = old.path, old.linkpath, old.mode, old.mtime
    local new = map:apply(old)
    if entry.whiteout or entry.opaque then
      if new.path ~= path then entry.path = new.path end
      return
    end
    entry.uid, entry.gid = new.uid, new.gid
    if new.mode ~= mode then entry.mode = new.mode end
    if new.mtime ~= mtime then entry.mtime = new.mtime end
    local dangling = entry.dangling
    if new.path ~= path then entry.path = new.path end
    if dangling and new.linkpath ~= core.normalise(linkpath) then entry.linkpath = new.linkpath end
  end)
  if not ok then return nil, message, code end
  return layer.settle({ state }, { compression = state.blob.compression })
end

-- In the compression that was asked for.
local function recode(state, spec)
  local now = layer.current(state)
  if not spec.compression or spec.compression == now.compression then return state end
  local made, message, code = job.recode({ { label = spec.tar, blob = now, as = spec.compression,
                                             level = spec.level } }, spec, "compressing")
  if not made then return nil, message, code end
  local blob = made[1]
  return { blob = { file = blob.file, offset = 0, size = blob.size, compression = blob.compression },
           diff_id = now.diff_id, digest = blob.digest }
end

function makers.tar(spec, map)
  local blob, message, code = blob_of(spec)
  if not blob then return nil, message, code end
  local state
  state, message, code = verify(blob, spec)
  if not state and code == "EFORMAT" and blob.compression == "none" then
    message = message .. "; a tar that is not plain, gzip, zstd, bzip2, xz or lz4 can be given as `archive`"
  end
  if not state then return nil, message, code end
  if map.active then
    local ok
    ok, message, code = edit(state, map, spec.limits)
    if not ok then return nil, message, code end
    state = layer.copy(state)
  end
  state, message, code = recode(state, spec)
  if not state then return nil, message, code end
  return state, {}
end

-- ---- the choice ---------------------------------------------------------------------

--- Which source is given; throws what makes no sense.
---@param spec table
---@param fn string  the function's name
---@param class "LayerOptions"|"AppendOptions"
---@return string kind
function new_layer.check(spec, fn, class)
  options.check(fn, class, spec)
  local kind
  for name, row in options.each(class) do
    if row.source and spec and spec[name] ~= nil then
      if kind then misuse("%s: %s and %s are two sources; one is wanted", fn, kind, name) end
      kind = name
    end
  end
  if not kind then misuse("%s: what should the layer be made of?", fn) end
  for name, row in options.each(class) do
    local fits = (kind ~= "layer" or row.any) and (row.only or kind) == kind and not (row.never or {})[kind]
    if spec[name] ~= nil and not fits then misuse("%s: option '%s' makes no sense with %s", fn, name, kind) end
  end
  if kind == "upper" and not spec.lower then misuse("%s: upper wants lower, both directories", fn) end
  if spec.mtime and spec.clamp_mtime then misuse("%s: mtime and clamp_mtime: only one makes sense", fn) end
  return kind
end

--- Makes the layer.
---@param spec strata.LayerOptions  checked
---@param kind string
---@param fn string  the function that it was given to
---@param below? table[]  states of the layers below, base first
---@param resolve? fun(path: string, is_dir: boolean?): string  where a path leads in them
---@return table? state
---@return string[]|string skipped | message
---@return string? code
function new_layer.make(spec, kind, fn, below, resolve)
  local map = mapping.new(spec, fn, resolve)
  local made, skipped, code = makers[kind](spec, map, below)
  if not made then return nil, skipped, code end
  local unused = map.exclude and map.exclude:unused()
  if unused then skipped[#skipped + 1] = "exclude: " .. unused end
  return made, skipped
end

--- A layer that belongs to no image yet.
---@param spec strata.LayerOptions
---@return strata.Layer?
---@return string[]|string|nil skipped  what cannot be in a layer; nil for nothing | message
---@return string? code
function new_layer.layer(spec)
  local kind = new_layer.check(spec, "layer", "LayerOptions")
  spec = limits.options(spec)
  local state, skipped, code = new_layer.make(spec, kind, "layer")
  if not state then return nil, skipped, code end
  state.index, state.loaded = nil, nil
  return standalone.new(state, spec.limits), skipped[1] and skipped or nil
end

return new_layer
