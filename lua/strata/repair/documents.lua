--- How findings about the config, the manifest and the stored bytes of layers are mended. Each function notes what is
-- to be done, and returns what it does in words; nil and why when it does not.

local core = require "strata.core"
local history = require "strata.history"
local job = require "strata.util.job"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"

local documents = {}

local PIECE = 65536

--- The changes to a layer that keeps its tar.
---@class strata.MendedLayer
---@field state strata.LayerState
---@field media_type string?
---@field edits (fun(doc: strata.JSON))[]  of its descriptor
---@field diff_id string?  that of its bytes, which is to be taken
---@field trim boolean?  bytes around its stream are cut off

-- ---- the history -------------------------------------------------------------------------

-- Instructions of a Dockerfile that make no layer.
local EMPTY = {}
for name in ("ARG CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME")
  :gmatch("%u+") do
  EMPTY[name] = true
end

-- Whether the builder that wrote a row says that it made no layer.
local function is_empty(row)
  local text = type(row.created_by) == "string" and row.created_by or ""
  local name = text:match("#%(nop%)%s+(%u+)")
  if not name and type(row.comment) == "string" and row.comment:find("^buildkit%.dockerfile") then
    name = text:match("^(%u+)[%s%[]")
  end
  return EMPTY[name] == true
end

--- Too few rows get empty ones; of too many those without a layer are marked that say so.
---@param work strata.Repair
function documents.history(work)
  local cfg, count = work.state.config, #work.state.layers
  local rows = history.read(cfg)
  if rows.count < count then
    for _ = rows.count + 1, count do
      local ok, message, code = history.append(cfg, {})
      if not ok then return nil, message, code end
    end
    return ("%d empty rows are added for the layers that have none"):format(count - rows.count)
  end
  local without = {}
  for place, number in pairs(rows.numbers) do
    if is_empty(rows.list[place]) then without[#without + 1] = number end
  end
  if rows.count - #without ~= count then
    return nil, "which rows have no layer is a guess: mark them in img:history(), or img:clear_history()"
  end
  history.mark_empty(cfg, without)
  return ("%d rows are marked as those of instructions that make no layer"):format(#without)
end

-- ---- descriptors -------------------------------------------------------------------------

-- Edits the manifest; the descriptors of layers are not looked at there once a layer is another one.
local function edit_manifest(work, edit)
  local state = work.state
  local manifest = state.manifest
  local doc, message, code = core.json(manifest.text)
  if not doc then return nil, message, code end
  edit(doc)
  state.manifest = { text = doc:text(), digest = manifest.digest, media_type = manifest.media_type,
                     config_digest = manifest.config_digest }
  return true
end

local function family_of(work)
  local doc = core.json(work.state.manifest.text)
  return doc and media_types.family(doc:get "/mediaType") or "oci"
end

function documents.media_type(_, mended)
  local stated, compression = mended.media_type or mended.state.media_type, mended.state.blob.compression
  if media_types.kind(stated) ~= "layer" then return nil, "what its type should mean is a guess" end
  mended.media_type = media_types.changed_layer(stated, media_types.family(stated), compression)
  if not mended.media_type then return nil, "there is no media type for layers compressed with " .. compression end
  return "it is " .. mended.media_type
end

function documents.family(work, mended)
  local family = family_of(work)
  if not mended then
    local wanted
    local ok, message, code = edit_manifest(work, function(doc)
      wanted = media_types.convert(doc:get "/config/mediaType", family)
      doc:set("/config/mediaType", core.json_quote(wanted))
    end)
    if not ok then return nil, message, code end
    return "the config is " .. wanted
  end
  local stated = mended.media_type or mended.state.media_type
  mended.media_type = media_types.changed_layer(stated, family, media_types.stated_compression(stated))
  return "it is " .. mended.media_type
end

local function remove_data(doc, pointer)
  if doc:type(pointer .. "/data") then doc:remove(pointer .. "/data") end
end

function documents.embedded_data(work, mended)
  if mended then
    mended.edits[#mended.edits + 1] = function(doc) remove_data(doc, "") end
  else
    local ok, message, code = edit_manifest(work, function(doc)
      remove_data(doc, "/config")
      remove_data(doc, "/subject")
    end)
    if not ok then return nil, message, code end
  end
  return "the data are removed from the descriptor"
end

function documents.contents(_, mended)
  if not mended then return nil, "it is not about a layer" end
  mended.edits[#mended.edits + 1] = function(doc) require("strata.document.manifest").drop_annotations(doc, "") end
  return "annotations about its compressed bytes are removed"
end

-- ---- bytes -------------------------------------------------------------------------------

-- The digests of a blob, compared with one that it should have.
local function hashed(state, blob, opts, digest)
  local tasks = core.job()
  tasks:hash(limits.add(state.hub.limits, {
    label = layer.label(state), file = blob.file, offset = blob.offset, size = blob.size,
    compression = blob.compression, plain = true, digest = digest,
  }))
  local ok, message, code = job.run(tasks, { threads = opts.threads, progress = opts.progress }, "hashing")
  local done = ok and tasks:task(1)
  tasks:close()
  return done or nil, message, code
end

--- The digests of a layer's bytes, as they are, where they are those that its descriptor names.
---@param state strata.LayerState
---@param opts strata.RepairOptions
---@return {digest: string, diff_id: string}?
---@return string? message
---@return string? code
function documents.digests(state, opts)
  local now = layer.current(state)
  return hashed(state, now, opts, now.digest)
end

function documents.digest(work, mended)
  local state = mended.state
  local descriptor = layer.descriptor(state)
  local now = layer.current(state)
  if not descriptor or not core.digest_valid(now.digest or "") then
    return nil, "nothing but the diff_id says what its bytes should be"
  end
  local done, message, code = documents.digests(state, work.opts)
  if code == "EDIGEST" then return nil, "its stored bytes are not those of its digest" end
  if not done then return nil, message, code end
  mended.diff_id = done.diff_id
  return "the config has the diff_id of its bytes"
end

function documents.trim(_, mended)
  mended.trim = true
  return "what is no part of its stream is cut off"
end

-- The shortest beginning that is a whole gzip stream: some zeros at its end may be its own.
local function without_zeros(state, blob, opts)
  local zeros, is_over = 0, false
  while not is_over and zeros < blob.size do
    local count = math.min(PIECE, blob.size - zeros)
    local piece, message, code = blob.file:read(blob.offset + blob.size - zeros - count, count)
    if not piece then return nil, message, code end
    while count > 0 and piece:byte(count) == 0 do count = count - 1 end
    zeros, is_over = zeros + #piece - count, count > 0
  end
  for own = 0, math.min(8, zeros) do -- a checksum and a length
    local shorter = { file = blob.file, offset = blob.offset, size = blob.size - zeros + own, compression = "gzip" }
    local done, message, code = hashed(state, shorter, opts)
    if done then return shorter, done end
    if code ~= "EFORMAT" then return nil, message, code end
  end
  return nil, "the gzip stream has no end", "EFORMAT"
end

-- The stream behind the skippable frames that it begins with.
local function without_frames(state, blob, opts)
  local from, last = blob.offset, blob.offset + blob.size
  while last - from >= 8 do
    local head, message, code = blob.file:read(from, 8)
    if not head then return nil, message, code end
    if head:byte(1) < 0x50 or head:byte(1) > 0x5f or head:sub(2, 4) ~= "\42\77\24" then break end
    from = from + 8 + head:byte(5) + head:byte(6) * 256 + head:byte(7) * 65536 + head:byte(8) * 16777216
  end
  local shorter = { file = blob.file, offset = from, size = last - from, compression = "zstd" }
  local done, message, code = hashed(state, shorter, opts)
  if not done then return nil, message, code end
  return shorter, done
end

--- The bytes of a layer without what is no part of its stream.
---@param state strata.LayerState
---@param opts strata.RepairOptions
---@return strata.Blob?
---@return {digest: string, diff_id: string}|string done  or message
---@return string? code
function documents.trimmed(state, opts)
  local now = layer.current(state)
  return (now.compression == "gzip" and without_zeros or without_frames)(state, now, opts)
end

--- By code. Those of `image` get no layer, unless a finding names one.
documents.mends = {
  ["digest"] = documents.digest, ["embedded-data"] = documents.embedded_data, ["gzip-padding"] = documents.trim,
  ["history"] = documents.history, ["media-type"] = documents.media_type, ["mixed-media-types"] = documents.family,
  ["table-of-contents"] = documents.contents, ["zstd-skippable"] = documents.trim,
}

return documents
