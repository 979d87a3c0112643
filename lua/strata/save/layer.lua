--- How each layer is going to be stored: as it is, or compressed in another way.

local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local layer = require "strata.layer"
local media_types = require "strata.document.media_types"

local save_layer = {}

--- A layer as it is going to be stored. save_layer writes it; dialects only read it.
---@class strata.StoredLayer
---@field label string  how messages call it
---@field action "copied"|"recompressed"|"rewritten"|"added"
---@field origin integer?  its place among the layers that the image was opened with; nil: it was added
---@field before strata.OpenedLayer?  as it was opened; nil: it was added
---@field media_type string?  that it was opened with
---@field descriptor_text string?  its descriptor in the image that it was taken from
---@field annotated boolean?  somebody has set annotations in it
---@field diff_id string
---@field compression string
---@field file userdata?  nil: its blob is missing
---@field offset integer?
---@field size integer?  nil in a plan: it has to be compressed first
---@field digest string?  nil: not known, or it has to be compressed first
---@field renamed string?  the digest by another algorithm that the same bytes had
---@field missing boolean?  its blob is not there, and the format can do without it
---@field remote strata.RemoteStore?  its blob is in a registry, and is not here
---@field came_from strata.RemoteStore?  a registry that has the same blob
---@field left boolean?  it is named, and not written
---@field packed boolean  the bytes to store are there already
---@field hashed boolean?  see strata.LayerBlob
---@field inflated strata.InflatedPart?  its tar is inflated where the output has it; file and offset are those of this
---@field kept integer?  stored bytes that are those of the layers that it was made of
---@field volatile boolean?  they lie in a file of their own, which others may write to meanwhile

-- What a layer that says nothing about it is compressed with: as the layer below it, or the lowest that was there, when
-- a manifest names the others.
local function usual(list, states, i)
  local stated
  for _, one in ipairs(states) do
    if one.origin and one.media_type then stated = stated or one.blob.compression end
  end
  return stated and (list[i - 1] and list[i - 1].compression or stated) or "none"
end

-- The compression to store a layer with. A foreign layer keeps the bytes that its URLs
-- lead to, unless the format has no compressed layers.
local function wanted(list, states, i, opts)
  local one, compression = states[i], opts.compression
  local is_foreign = one.foreign and not layer.is_changed(one) and not opts.plain
  if not compression or compression == "keep" or is_foreign or one.blob.missing then
    local plain = one.blob.compression == "none" and not one.blob.missing and not is_foreign and compression ~= "keep"
    local other = plain and (opts.packed or one.unstated and usual(list, states, i))
    return media_types.COMPRESSIONS[other] and other or one.blob.compression
  end
  return compression
end

local function action(one, now, compression)
  if not one.origin then return "added" end
  if now.diff_id ~= one.diff_id then return "rewritten" end
  return now.compression == compression and "copied" or "recompressed"
end

-- Whether the bytes to store are there already. `level` applies only to layers that this
-- process compressed: one that arrived compressed is not recompressed for another level.
local function is_packed(one, now, compression, opts)
  if now.compression ~= compression then return false end
  if compression == "none" then return true end
  if now.spliced and not layer.splices(one, opts) then return false end
  local level = layer.level(opts, compression)
  if now.diff_id ~= one.diff_id then return now.level == level end
  return not one.made or level == nil
end

-- The present digest of the bytes when they must be named by their SHA-256 instead.
local function unfit_digest(one, now, opts)
  local is_asked = opts.sha256 == "all" or (opts.sha256 == "added" and not one.origin)
  return is_asked and now.digest and not now.missing and not now.digest:find("^sha256:") and now.digest or nil
end

--- How a save is going to store layers.
---@class strata.StoreSettings
---@field compression "keep"|"none"|"gzip"|"zstd"|nil
---@field level integer?
---@field reproducible boolean?
---@field plain boolean?  the format has no compressed layers
---@field sha256 "all"|"added"|nil  the layers whose digest has to be a SHA-256
---@field digests boolean?  all digests are needed
---@field packed string?  the compression of layers that came plain, when nothing is said
---@field remote boolean?  what is in a registry may stay there
---@field direct boolean?  the output is one file, which plain layers are inflated into
---@field places table<strata.LayerState, strata.LayerPlace>?  where edited ones are written to
---@field verify boolean?
---@field temp_dir string?
---@field threads integer?
---@field progress function?

--- How a save would store the layers; nothing is read or compressed.
---@param states strata.LayerState[]
---@param opts strata.StoreSettings
---@return strata.StoredLayer[]
function save_layer.plan(states, opts)
  local list = {}
  for i, one in ipairs(states) do
    local compression = wanted(list, states, i, opts)
    local now = layer.current(one)
    local what = action(one, now, compression)
    local packed = what == "copied" or is_packed(one, now, compression, opts)
    local renamed = packed and unfit_digest(one, now, opts) or nil
    list[i] = {
      label = layer.label(one), action = what, origin = one.origin,
      before = one.origin and { diff_id = one.diff_id, digest = one.digest, size = one.blob.size },
      media_type = one.media_type, descriptor_text = one.descriptor_text, annotated = one.annotated,
      diff_id = now.diff_id, compression = compression, file = now.file, offset = now.offset,
      size = packed and now.size or nil, digest = packed and not renamed and now.digest or nil, renamed = renamed,
      missing = now.missing, remote = not now.file and now.remote or nil, packed = packed,
      kept = packed and (now.kept or 0) > 0 and now.kept or nil, hashed = packed and now.hashed or nil,
      came_from = packed and not renamed and now.remote or nil, volatile = one.own and (what == "copied" or one.taken),
    }
  end
  return list
end

-- The size of the tar in a compressed layer: its entry index knows it, or its blob states it.
local function tar_size(state, now, given)
  if now ~= state.result and state.loaded then return state.index:info().tar_size end
  local size, message, code = now.file:stated_size(now.offset, now.size, now.compression)
  if size and size > given.bytes then return nil end
  return size, message, code
end

--- A plain layer that is inflated while the output is written.
---@class strata.InflatedPart
---@field blob strata.Blob
---@field limits strata.Limits
---@field written boolean?  it was: set by store/output

-- Leaves a layer that is to be stored plain to who writes the output, when its size is known: its diff_id names it.
-- Returns whether it can be done.
local function inflate_later(one, state, now)
  local given = state.hub.limits
  local size, message, code = tar_size(state, now, given)
  if message then return nil, message, code end
  if not size then return false end
  one.size, one.digest, one.inflated = size, now.diff_id, { blob = now, limits = given }
  return true
end

-- Compresses the layers that are to be stored in another way.
local function recompress(list, states, opts)
  local recoded, todo = {}, {}
  for i, one in ipairs(list) do
    if not one.packed then
      local now = layer.current(states[i])
      if not media_types.COMPRESSIONS[now.compression] then
        return fail("EUNSUPPORTED", "%s: compressed with %s, which is not supported", one.label, now.compression)
      end
      local later, message, code = false, nil, nil
      if opts.direct and one.compression == "none" then later, message, code = inflate_later(one, states[i], now) end
      if later == nil then return nil, message, code end
      if not later then
        todo[#todo + 1] = { label = one.label, blob = now, as = one.compression,
                            level = layer.level(opts, one.compression) }
        recoded[#todo] = one
      end
    end
  end
  if #todo == 0 then return true end
  local made, message, code = job.recode(todo, {
    limits = states[1].hub.limits, temp_dir = opts.temp_dir, threads = opts.threads, progress = opts.progress,
  }, "compressing")
  if not made then return nil, message, code end
  for i, one in ipairs(recoded) do
    one.file, one.offset, one.size, one.digest = made[i].file, 0, made[i].size, made[i].digest
    one.hashed = true
  end
  return true
end

-- The SHA-256 of layers that have another digest, which is verified at the same time.
local function rename(list, opts)
  local tasks, todo = core.job(), {}
  for _, one in ipairs(list) do
    if one.renamed then
      tasks:hash { label = one.label, file = one.file, offset = one.offset, size = one.size, plain = true,
                 digest = one.renamed }
      todo[#todo + 1] = one
    end
  end
  if #todo == 0 then return true end
  local ok, message, code = job.run(tasks, opts, "hashing")
  for i, one in ipairs(ok and todo or {}) do one.digest = tasks:task(i).diff_id end
  tasks:close()
  return ok, message, code
end

-- The digests that the store does not tell.
local function hash_unknown(list, states, opts)
  local unknown = {}
  for i, one in ipairs(list) do
    if not one.digest then unknown[#unknown + 1] = states[i] end
  end
  local ok, message, code = layer.hash(unknown, opts)
  if not ok then return nil, message, code end
  for i, one in ipairs(list) do
    one.digest = one.digest or states[i].digest
    if one.before then one.before.digest = states[i].digest end
  end
  return true
end

--- The layers as they are going to be stored. Edits must have been carried out.
---@param states strata.LayerState[]
---@param opts strata.StoreSettings
---@return strata.StoredLayer[]?
---@return string? message
---@return string? code
function save_layer.make(states, opts)
  local list = save_layer.plan(states, opts)
  local needed = {}
  for i, one in ipairs(list) do
    if one.remote and not (opts.remote and one.packed and not one.renamed) then needed[#needed + 1] = states[i] end
  end
  if #needed > 0 then
    local ok, message, code = layer.bring(needed, opts)
    if not ok then return nil, message, code end
    list = save_layer.plan(states, opts)
  end
  for _, one in ipairs(list) do
    if one.missing and not one.packed then return fail("ENOENT", "%s: its blob is not there", one.label) end
  end
  local ok, message, code = recompress(list, states, opts)
  if ok then ok, message, code = rename(list, opts) end
  if ok and opts.digests then ok, message, code = hash_unknown(list, states, opts) end
  if not ok then return nil, message, code end
  return list
end

return save_layer
