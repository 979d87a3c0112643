--- How each layer is going to be stored: as it is, or compressed in another way.

local core = require "strata.core"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local run_job = require("strata.util.job").run

local save_layer = {}

--- The bytes of one layer for one output.
---@class strata.StoredLayer
---@field file userdata?  nil: they are not there
---@field offset integer
---@field size integer
---@field compression string
---@field digest string?
---@field renamed string?  the digest that the same bytes had
---@field diff_id string
---@field origin integer?  place among the layers that were opened
---@field action "copied"|"recompressed"|"rewritten"|"added"
---@field packed boolean  the bytes are there already
---@field label string
---@field state table  of the layer

-- The compression that a layer is to have. Foreign layers stay what their URLs
-- lead to, unless the format can hold plain ones only.
local function wanted(one, opts)
  local compression = opts.compression
  local is_foreign = one.foreign and not layer.is_changed(one) and not opts.plain
  if not compression or compression == "keep" or is_foreign or one.blob.missing then
    return one.blob.compression
  end
  return compression
end

local function action(one, now, compression)
  if one.added then return "added" end
  if now.diff_id ~= one.diff_id then return "rewritten" end
  return now.compression == compression and "copied" or "recompressed"
end

-- Whether the bytes are there as they are wanted. The level counts where we have packed
-- them; what came packed is not packed anew for it.
local function is_packed(one, now, compression, opts)
  if now.compression ~= compression then return false end
  if compression == "none" then return true end
  if now.diff_id ~= one.diff_id then return now.level == layer.level(opts, compression) end
  return not one.made or layer.level(opts, compression) == nil
end

-- The digest that the bytes have and must not keep.
local function unfit_digest(one, now, opts)
  local is_asked = opts.sha256 == true or (opts.sha256 == "added" and one.added)
  return is_asked and now.digest and not now.missing and not now.digest:find("^sha256:") and now.digest or nil
end

--- What save would make of the layers; nothing is compressed for it. sha256: nothing is to be
-- named by another digest; "added": nothing that comes from elsewhere.
---@param states table[]
---@param opts {compression?: string, level?: integer, reproducible?: boolean, plain?: boolean,
---  sha256?: boolean|"added"}
---@return strata.StoredLayer[]
function save_layer.plan(states, opts)
  local list = {}
  for i, one in ipairs(states) do
    local compression = wanted(one, opts)
    local now = layer.current(one)
    local what = action(one, now, compression)
    local packed = what == "copied" or is_packed(one, now, compression, opts)
    local renamed = packed and unfit_digest(one, now, opts) or nil
    list[i] = {
      state = one, origin = one.origin, label = layer.label(one), action = what, compression = compression,
      diff_id = now.diff_id, file = now.file, offset = now.offset, missing = now.missing, packed = packed,
      size = packed and now.size or nil, digest = packed and not renamed and now.digest or nil, renamed = renamed,
    }
  end
  return list
end

-- Compresses anew what is to be stored in another way.
local function recompress(list, opts)
  local job, todo = core.job(), {}
  for _, one in ipairs(list) do
    local now = layer.current(one.state)
    if not one.packed then
      if not media_types.COMPRESSIONS[now.compression] then
        return nil, ("%s: compressed with %s, which is not supported"):format(one.label, now.compression),
          "EUNSUPPORTED"
      end
      local file, message, code = core.temp_file(opts.temp_dir)
      if not file then return nil, message, code end
      job:recode(limits.add(one.state.hub.limits, {
        label = one.label, file = now.file, offset = now.offset, size = now.size,
        compression = now.compression, to = file, as = one.compression,
        level = layer.level(opts, one.compression), digest = now.digest, diff_id = now.diff_id,
      }))
      todo[#todo + 1] = { one = one, file = file }
    end
  end
  if #todo == 0 then return true end
  local ok, message, code = run_job(job, opts, "compressing")
  if ok then
    for i, item in ipairs(todo) do
      local one, task = item.one, job:task(i)
      one.file, one.offset, one.size, one.digest = item.file, 0, task.size, task.digest
    end
  end
  job:close()
  return ok, message, code
end

-- Digests of layers whose archive does not tell them, or tells them by another algorithm,
-- which is verified on the way.
local function hash_unknown(list, opts)
  local job, todo = core.job(), {}
  for _, one in ipairs(list) do
    if one.renamed then
      job:hash { label = one.label, file = one.file, offset = one.offset, size = one.size, plain = true,
                 digest = one.renamed }
      todo[#todo + 1] = one
    elseif opts.digests and not one.digest then
      job:hash(limits.add(one.state.hub.limits, {
        label = one.label, file = one.file, offset = one.offset, size = one.size,
        compression = one.compression, plain = opts.verify ~= false,
        diff_id = opts.verify ~= false and one.diff_id or nil,
      }))
      todo[#todo + 1] = one
    end
  end
  if #todo == 0 then return true end
  local ok, message, code = run_job(job, opts, "hashing")
  if ok then
    for i, one in ipairs(todo) do
      local task = job:task(i)
      one.digest = one.renamed and task.diff_id or task.digest -- the SHA-256 of the same bytes
      one.state.digest = one.state.digest or one.digest
    end
  end
  job:close()
  return ok, message, code
end

--- The layers as they are going to be stored. Edits must have been carried out.
---@param states table[]
---@param opts table  compression, level, temp_dir, threads, progress; digests: all of them are needed
---@return strata.StoredLayer[]?
---@return string? message
---@return string? code
function save_layer.make(states, opts)
  local list = save_layer.plan(states, opts)
  for _, one in ipairs(list) do
    if one.missing and not one.packed then
      return nil, ("%s: its blob is not there"):format(one.label), "ENOENT"
    end
  end
  local ok, message, code = recompress(list, opts)
  if not ok then return nil, message, code end
  ok, message, code = hash_unknown(list, opts)
  if not ok then return nil, message, code end
  return list
end

return save_layer
