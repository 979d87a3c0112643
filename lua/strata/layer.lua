--- One layer of an image: a tar of changes, stored plain or compressed.

local argument = require "strata.util.argument"
local core = require "strata.core"
local entry_class = require "strata.layer.entry"
local extract = require "strata.layer.extract"
local fetch = require "strata.layer.fetch"
local job = require "strata.util.job"
local label = require "strata.layer.label"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local printed = require "strata.util.printed"
local scan = require "strata.layer.scan"
local stranded_links = require "strata.layer.stranded_links"

local layer = {}

--- The state of a layer. Fields that name no writer are written where it is made: by a dialect that
-- reads it, layer.copy, layer/new, edit/squash, edit/parts and repair.
---@class strata.LayerState
---@field hub strata.Hub  of its image. Also written where it is put into one
---@field handle strata.Layer  its object. Written by new()
---@field position integer  in its image, from 1. Written by the image, and layer/standalone
---@field origin integer?  the position that it was opened with, by image.from_model; nil: it was added
---@field blob strata.LayerBlob  before edits
---@field diff_id string  of the blob
---@field digest string?  of the blob. When its store does not tell it, load() or hash() write it
---@field media_type string?  that its descriptor states
---@field foreign boolean?  its URLs lead to the blob
---@field urls string[]?  these, of a layer in a registry
---@field descriptor_text string?  the descriptor that it had in the image that it was taken from; without one what is
---  known of its first. Also written by edit/annotations
---@field annotated boolean?  somebody has set annotations in it. Written by edit/annotations
---@field own boolean?  no other layer uses the blob's file, which is closed with the image
---@field taken boolean?  its bytes are those of a layer of another image
---@field made boolean?  this process compressed the blob
---@field unstated boolean?  it is new, and nobody has said how it is compressed: see save/layer
---@field index userdata?  the entry index, with the plan of edits. Written by load()
---@field loaded boolean?  the index is scanned. Written by load()
---@field listing table?  the directories of the layer. Written by tree/layer_listing
---@field vetted boolean?  `strict` lets it pass. Written by vet()
---@field result table?  where its bytes are after edits, as current() gives it. Written by settle() and carry_out()
---@field carried_out boolean?  the result is that of a stream, and there is no index. Written by carry_out()

--- The bytes of a layer.
---@class strata.LayerBlob
---@field file userdata?  nil: they are not here
---@field offset integer?
---@field size integer
---@field compression string  without a file: as its descriptor says
---@field missing boolean?  they are nowhere
---@field remote strata.RemoteStore?  that they are in. Fetching them leaves it, and sets file, offset and compression
---@field hashed boolean?  this process has written them, and their digest is that of what it wrote: as long as nobody
---  else can write to the file (file:private). Written where the file is made
---@field spliced boolean?  what could stay of the compressed bytes of older gzip layers has stayed
---@field kept integer?  so many bytes

---@class strata.Layer
local methods = {}

--- The methods of the class. Modules that need layers themselves add to it: layer/edit_entries
-- filter(), rewrite() and drop(), tree/layer_listing list(), strata.rootfs tree(), strata.check check().
layer.methods = methods

local new, state_of, is

-- ---- edits that wait --------------------------------------------------------

-- The core takes this number and a level of gzip for the level of zlib: its output does not depend on which of the
-- faster libraries a machine has.
local ZLIB_LEVELS = 100
local REPRODUCIBLE_LEVEL = 6

--- The level to compress with, as the core takes it.
---@param opts {level?: integer, reproducible?: boolean}
---@param compression string
---@return integer?  nil: the default
function layer.level(opts, compression)
  if compression ~= "gzip" or not opts.reproducible then return opts.level end
  return ZLIB_LEVELS + ((opts.level or 0) < 4 and REPRODUCIBLE_LEVEL or opts.level)
end

--- Whether what can stay of the compressed bytes of a layer stays when its edits are carried out: it does if nothing is
-- said of how it shall be compressed.
---@param state strata.LayerState
---@param opts {compression?: string, level?: integer, reproducible?: boolean}
---@return boolean
function layer.splices(state, opts)
  local keeps = not opts.compression or opts.compression == "keep"
  return keeps and not opts.level and not opts.reproducible and state.blob.compression ~= "none"
end

-- True when the plan of edits is not carried out yet.
local function is_pending(state)
  if not state.index then return false end
  local revision = state.index:revision()
  return revision > 0 and not (state.result and state.result.revision == revision)
end

local function is_edited(state)
  return not state.origin or state.carried_out or (state.index ~= nil and state.index:revision() > 0)
end

--- Records the result of edits that a stream has carried out, so that a save need not read the layer.
---@param state strata.LayerState
---@param digest string  as it was stored
---@param result? table  the result, as layer.current gives it; nil: it stays as it was
function layer.carry_out(state, digest, result)
  state.digest, state.result, state.carried_out = digest, result, result ~= nil
  state.hub.edits:add()
end

--- Makes a layer the one that it was opened as. Entries that were read before are those of a closed index.
---@param state strata.LayerState
function layer.forget_edits(state)
  if state.index and state.index:revision() > 0 then
    state.index:close()
    state.index, state.loaded, state.listing = nil, nil, nil
  end
  state.result, state.carried_out = nil, nil
  if state.annotated then state.descriptor_text, state.annotated = nil, nil end
end

-- True when its tar differs from the one it was opened with; a layer that was copied from another
-- image counts as opened there.
local function is_changed(state)
  return is_edited(state) and not (state.taken and layer.current(state).diff_id == state.diff_id)
end

--- Where the layer's bytes are now: the blob that it was opened with, or the result of
-- its edits. Pending edits must have been carried out.
---@return strata.LayerBlob  with digest and diff_id
function layer.current(state)
  if state.result and is_edited(state) and state.result.diff_id ~= state.diff_id then
    return state.result
  end
  local blob = state.blob
  return {
    file = blob.file, offset = blob.offset, size = blob.size, compression = blob.compression,
    missing = blob.missing, remote = blob.remote, hashed = blob.hashed, spliced = blob.spliced, kept = blob.kept,
    digest = state.digest, diff_id = state.diff_id,
  }
end

--- The descriptor that the layer had when its image was opened, or in the image that it was taken from.
---@param state strata.LayerState
---@return string?
function layer.descriptor(state)
  return state.origin and state.hub.descriptor and state.hub.descriptor(state.origin) or state.descriptor_text
end

--- The state of a layer for another image, or none: with the same bytes, which stay
-- open by themselves, and what the manifest says of them. Edits must have been carried out.
---@param state strata.LayerState
---@return table
function layer.copy(state)
  local now = layer.current(state)
  local same = now.diff_id == state.diff_id
  local copy = {
    blob = {
      file = now.file and now.file:share(), offset = now.offset, size = now.size, compression = now.compression,
      missing = now.missing, remote = now.remote, hashed = now.hashed,
    },
    diff_id = now.diff_id, digest = now.digest, taken = true, own = now.file ~= nil,
    unstated = state.unstated,
  }
  if same then
    copy.media_type, copy.foreign = state.media_type, state.foreign
    copy.descriptor_text, copy.annotated = layer.descriptor(state), state.annotated
  end
  return copy
end

-- True when edits were carried out earlier, for img.id for example, and the result was compressed
-- with other settings than this save wants; or it lies in a file that was saved, and written to since.
local function is_stale(state, compression, opts)
  local made = state.result
  return opts.exact and made ~= nil and is_edited(state) and made.diff_id ~= state.diff_id and
    (made.compression ~= compression or (state.index ~= nil and not made.file:unchanged()) or
      (compression ~= "none" and made.level ~= layer.level(opts, compression)) or
      (made.spliced ~= nil and made.spliced ~= layer.splices(state, opts)))
end

-- The layers from one on whose blobs are there.
local function there_from(states, first)
  local list = {}
  for i = first, #states do
    if not states[i].blob.missing then list[#list + 1] = states[i] end
  end
  return list
end

--- Refuses edits that wait when they leave a hardlink without its file. Such a hardlink is in the same layer as a path
-- that was dropped or renamed, or in one above it; layers below are only read when there is one.
---@param states strata.LayerState[]  of one image
---@return boolean? ok
---@return string? message
---@return string? code  "EINVAL"
function layer.check_links(states)
  local lowest
  for _, state in ipairs(states) do
    local dropped, renamed
    if is_pending(state) then dropped, renamed = state.index:lost_names() end
    if (dropped or renamed) and (not lowest or state.position < lowest.position) then lowest = state end
  end
  if not lowest then return true end
  local all = lowest.hub.layers
  local upper = there_from(all, lowest.position)
  local ok, message, code = scan.load(upper)
  if not ok or not stranded_links.possible(upper) then return ok, message, code end
  ok, message, code = scan.load(there_from(all, 1))
  if not ok then return nil, message, code end
  return stranded_links.check(all)
end

--- Throws when a table that an entry of one of these layers, or of another one of their image, has handed out has been
--- changed.
---@param states strata.LayerState[]
function layer.check_copies(states)
  if states[1] then entry_class.check_all(states[1].hub.edits) end
end

-- Notes what the edits of a layer have come to.
local function note_result(state, opts, made)
  made.hashed, made.revision = true, state.index:revision()
  made.level, made.spliced = layer.level(opts, made.compression), layer.splices(state, opts)
  made.kept = math.min(made.kept, state.blob.kept or made.kept)
  state.result = made
end

-- Whether the scan has written what a layer becomes: see strata.LoadOptions.drops.
local function take_draft(state, opts)
  if not layer.splices(state, opts) then return false end
  local file, size, digest, diff_id, kept = state.index:take_draft()
  if not file then return false end
  note_result(state, opts, {
    file = file, offset = 0, size = size, compression = state.blob.compression, digest = digest, diff_id = diff_id,
    kept = kept,
  })
  return true
end

--- The sizes of the tars that pending edits of plain layers make.
---@param states strata.LayerState[]
---@param opts {threads: integer?, progress: function?}
---@return table<strata.LayerState, integer>?  those alone that are such layers
---@return string? message
---@return string? code
function layer.measure(states, opts)
  local tasks, todo, sizes = core.job(), {}, {}
  for _, state in ipairs(states) do
    if is_pending(state) and state.blob.compression == "none" then
      todo[tasks:write { label = label(state), index = state.index }] = state
    end
  end
  local ok, message, code = true, nil, nil
  if #todo > 0 then ok, message, code = job.run(tasks, opts, "rewriting") end
  for i, state in ipairs(ok and todo or {}) do sizes[state] = tasks:task(i).size end
  tasks:close()
  if not ok then return nil, message, code end
  return sizes
end

--- A place for a plain tar in a file.
---@class strata.LayerPlace
---@field file userdata
---@field offset integer
---@field size integer

--- Carries out pending edits of layers, in parallel, into unnamed temporary files, or where `places` has it.
---@param states strata.LayerState[]
---@param opts? table  compression, level, temp_dir, threads, progress; exact: also results with other settings;
---  places: a table<strata.LayerState, strata.LayerPlace>
---@return boolean? ok
---@return string? message
---@return string? code
function layer.settle(states, opts)
  opts = opts or {}
  layer.check_copies(states)
  local ok, message, code = layer.check_links(states)
  if not ok then return nil, message, code end
  local tasks, todo = core.job(), {}
  for _, state in ipairs(states) do
    local compression = opts.compression
    if not compression or compression == "keep" then compression = state.blob.compression end
    if (is_pending(state) or is_stale(state, compression, opts)) and not take_draft(state, opts) then
      local place = opts.places and opts.places[state] or { offset = 0 }
      local file = place.file and place.file:share()
      if not file then file, message, code = core.temp_file(opts.temp_dir) end
      if not file then return nil, message, code end
      tasks:write(limits.add(state.hub.limits, {
        label = label(state), index = state.index, to = file, to_offset = place.offset, to_size = place.size,
        compression = compression, level = layer.level(opts, compression), splice = layer.splices(state, opts),
        temp_dir = opts.temp_dir, diff_id = state.diff_id, digest = state.digest,
      }))
      todo[#todo + 1] = { state = state, file = file, offset = place.offset, compression = compression }
    end
  end
  if #todo == 0 then return true end
  ok, message, code = job.run(tasks, opts, "rewriting")
  for i, item in ipairs(todo) do
    if not ok then
      item.file:close()
    else
      local done = tasks:task(i)
      note_result(item.state, opts, {
        file = item.file, offset = item.offset, size = done.size, compression = item.compression,
        digest = done.digest, diff_id = done.diff_id, kept = done.kept,
      })
    end
  end
  tasks:close()
  return ok, message, code
end

--- Adds a task that hashes a layer. Its edits must have been carried out, and its blob must be there.
---@param tasks userdata  a core job
---@param state strata.LayerState
---@param plain boolean  its tar, too: then the contents of its entries are verified by that
function layer.add_hash(tasks, state, plain)
  local now = layer.current(state)
  tasks:hash(limits.add(state.hub.limits, {
    label = label(state), file = now.file, offset = now.offset, size = now.size, compression = now.compression,
    plain = plain, digest = now.digest, diff_id = plain and now.diff_id or nil,
    index = plain and now ~= state.result and scan.index_of(state) or nil,
  }))
end

--- Makes the contents of scanned layers ready to be read: compressed ones are inflated, plain ones
-- are hashed. Nothing is done for those that are ready.
---@param states strata.LayerState[]
---@param opts? {threads?: integer, progress?: function}
---@return boolean? ok
---@return string? message
---@return string? code
function layer.prepare(states, opts)
  local tasks
  for _, state in ipairs(states) do
    if not state.index:prepared() then
      tasks = tasks or core.job()
      tasks:prepare(limits.add(state.hub.limits, { label = label(state), index = state.index }))
    end
  end
  if not tasks then return true end
  local ok, message, code = job.run(tasks, opts, "verifying")
  tasks:close()
  return ok, message, code
end

--- Makes the content of an entry of a scanned layer ready to be read. entry:read() would do that, too,
-- but a host can poll and give up the job that reads the layer here.
---@param state strata.LayerState
---@param entry strata.Entry
---@return boolean? ok
---@return string? message
---@return string? code
function layer.prepare_entry(state, entry)
  if entry.size == 0 and entry.type ~= "hardlink" then return true end
  return layer.prepare { state }
end

--- Hashes the layers whose store does not tell their digests. Edits must have been carried out.
---@param states strata.LayerState[]
---@param opts? {verify?: boolean, threads?: integer, progress?: function}  verify: their diff_ids, too. Default true
---@return boolean? ok
---@return string? message
---@return string? code
function layer.hash(states, opts)
  local todo, plain = {}, not (opts and opts.verify == false)
  for _, state in ipairs(states) do
    local now = layer.current(state)
    if not now.digest and not now.missing then todo[#todo + 1] = state end
  end
  if #todo == 0 then return true end
  local tasks = core.job()
  for _, state in ipairs(todo) do layer.add_hash(tasks, state, plain) end
  local ok, message, code = job.run(tasks, opts, "hashing")
  for i, state in ipairs(ok and todo or {}) do state.digest = tasks:task(i).digest end
  tasks:close()
  return ok, message, code
end

-- ---- methods ----------------------------------------------------------------

--- The entries that are there, in the order of the tar. Throws when the layer
-- cannot be read.
---@param offset? integer  entries to pass over
---@return fun(): strata.Entry?
function methods:entries(offset)
  argument.count(offset, "entries", "offset")
  local state = state_of(self)
  scan.load_ahead(state)
  local index = scan.loaded(state)
  if (offset or 0) == 0 then return index:entries() end
  local total, slots = index:count()
  -- Unless numbers belong to entries that were dropped, or to global headers, they are places.
  local i, left = offset, 0
  if total ~= slots then i, left = 0, offset end
  return function()
    while i < slots do
      i = i + 1
      local entry = index:entry(i)
      if entry and left == 0 then return entry end
      if entry then left = left - 1 end
    end
    return nil
  end
end

--- The last entry of a path.
---@param path string
---@return strata.Entry?
function methods:entry(path)
  argument.path(path, "entry")
  return scan.loaded(state_of(self)):find(path)
end

--- The content of a file of this layer; hardlinks are followed inside it.
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are ELIMIT
---@return string? content
---@return string? message
---@return string? code
function methods:read(path, max)
  argument.path(path, "read")
  argument.count(max, "read", "max")
  local state = state_of(self)
  local ok, message, code = scan.load({ state }, { contents = { state } })
  if not ok then return nil, message, code end
  local entry = state.index:find(path)
  if not entry then
    return nil, ("%s: no entry %s"):format(label(state), core.quote(path)), "ENOENT"
  end
  if entry.type ~= "file" and entry.type ~= "hardlink" then
    return nil, ("%s: %s is %s, not a file"):format(label(state), core.quote(path), printed.type(entry.type)),
      entry.type == "dir" and "EISDIR" or "EINVAL"
  end
  ok, message, code = layer.prepare_entry(state, entry)
  if not ok then return nil, message, code end
  local content
  content, message, code = entry:read(max)
  if not content then return nil, ("%s: %s"):format(label(state), message), code end
  return content
end

--- The layer as layer/extract takes it. Its edits must have been carried out.
---@return {label: string, current: table, index?: userdata}  the index, when it is that of these bytes
function layer.item(state)
  local now = layer.current(state)
  local as_scanned = now ~= state.result and state.loaded and state.index and state.index:revision() == 0
  return { label = label(state), current = now, index = as_scanned and state.index or nil }
end

--- Applies this layer to a directory that may hold those below it: its
-- whiteouts remove what they have. The directory is made when it is not there.
---@param dir string
---@param opts? strata.ExtractOptions  merge is true unless it is false
---@return strata.ExtractResult? result
---@return string? message
---@return string? code
function methods:apply(dir, opts)
  local state = state_of(self)
  opts = extract.check(dir, opts, "apply")
  local ok, message, code = scan.vet { state }
  if ok then ok, message, code = layer.settle({ state }, opts) end
  if not ok then return nil, message, code end
  ok, message, code = fetch.bring({ state }, opts)
  if not ok then return nil, message, code end
  return extract.run({ layer.item(state) }, dir, opts, state.hub.limits)
end

local fields = {
  position = function(state) return not state.hub.standalone and state.position or nil end,
  diff_id = function(state)
    state.hub.settle()
    return layer.current(state).diff_id
  end,
  chain_id = function(state)
    if state.hub.standalone then return nil end
    local chains = state.hub.settle().chains -- of the lowest layers, as far as somebody has asked
    for i = #chains + 1, state.position do
      job.tick()
      local diff_id = layer.current(state.hub.layers[i]).diff_id
      chains[i] = i > 1 and core.sha256(chains[i - 1] .. " " .. diff_id) or diff_id
    end
    return chains[state.position]
  end,
  digest = function(state)
    state.hub.settle()
    local ok, message = layer.hash({ state }, { verify = false })
    if not ok then error(message, 0) end
    return layer.current(state).digest
  end,
  size = function(state)
    state.hub.settle()
    return layer.current(state).size
  end,
  media_type = function(state)
    if is_edited(state) and state.media_type then
      local family = media_types.family(state.media_type)
      return media_types.changed_layer(state.media_type, family, layer.current(state).compression)
    end
    return state.media_type or media_types.layer("docker", state.blob.compression) or "application/octet-stream"
  end,
  compression = function(state)
    return is_pending(state) and state.blob.compression or layer.current(state).compression
  end,
  foreign = function(state) return state.foreign and true or false end,
  created_by = function(state)
    local row = state.hub.row(state.position)
    return row and row.created_by
  end,
  history = function(state) return state.hub.row(state.position) end,
  edited = function(state) return is_edited(state) and true or false end,
  count = function(state) return (scan.loaded(state):count()) end,
  empty = function(state) return (scan.loaded(state):count()) == 0 end,
}

--- What can be read and assigned by name. Modules that add methods add to these, too.
layer.fields, layer.set = fields, {}

new, state_of, is = object.class("strata.Layer", methods, {
  fields = fields, set = layer.set,
  costly = { chain_id = true, count = true, diff_id = true, digest = true, empty = true, size = true },
  tostring = function(state)
    local now = is_pending(state) and state.blob or layer.current(state)
    return ("strata.Layer(%s, %s, %s, %s)"):format(
      state.hub.standalone and "standalone" or ("%d"):format(state.position),
      is_pending(state) and "edited" or layer.current(state).diff_id:sub(1, 19),
      core.human_size(now.size), state.blob.compression)
  end,
  closable = function(state)
    if not state.hub.standalone then misuse("%s belongs to an image: img:close() closes it", label(state)) end
  end,
  close = function(state)
    if state.index then state.index:close() end
    for _, one in ipairs { state.blob, state.result or {} } do
      if one.file then one.file:close() end
    end
  end,
})

local state_of_layer = state_of

-- The files and entries of a layer go with its image.
function state_of(self)
  local state = state_of_layer(self)
  if state.hub.closed then misuse("attempt to use a layer of a closed strata.Image") end
  return state
end

--- Makes the object of a layer's state, which keeps it.
---@param state strata.LayerState
---@return strata.Layer
function layer.new(state)
  state.handle = new(state)
  return state.handle
end

layer.is, layer.state_of = is, state_of
layer.is_pending, layer.is_edited, layer.is_changed = is_pending, is_edited, is_changed
layer.load, layer.vet, layer.bring, layer.label = scan.load, scan.vet, fetch.bring, label -- for other rooms

return layer
