--- Saving: verified, then published, whole or not at all.

local core = require "strata.core"
local docker_edit = require "strata.dialect.docker_edit"
local docker_new = require "strata.dialect.docker_new"
local layer = require "strata.layer"
local work = require "strata.work"

local save = {}

---@class strata.SaveOptions
---@field verify? boolean  false: what is copied is not hashed. Default true
---@field threads? integer  default: one per CPU
---@field progress? fun(done: integer, total: integer)  bytes

---@class strata.SaveResult
---@field path string
---@field id string
---@field size integer
---@field layers strata.SavedLayer[]

---@class strata.SavedLayer
---@field action string  "copied", "rewritten" or "added"
---@field old_diff_id string?  nil for an added one
---@field diff_id string
---@field digest string?  as stored; nil when a copied layer's was not known
---@field old_size integer?  bytes as stored
---@field size integer

--- A part of the output, in order: bytes, or a range of a file that is hashed
-- when it says what it should be.
---@class strata.Segment
---@field bytes? string
---@field file? userdata
---@field offset? integer
---@field size? integer
---@field digest? string
---@field label? string

-- Adds a task per layer that is not hashed on its way (gzip whose own digest is
-- not known): its inflated bytes must give the diff_id.
local function verify_the_rest(job, states)
  for _, one in ipairs(states) do
    local now = layer.current(one)
    if not now.digest then
      job:hash { label = layer.label(one), file = now.file, offset = now.offset, size = now.size,
                 compression = now.compression, plain = true, diff_id = now.diff_id }
    end
  end
end

-- Writes the segments, on several threads: each knows its place.
local function write_segments(out, segments, states, opts)
  local job, offset = core.job(), 0
  local verify = opts.verify ~= false
  local gathered, gathered_at = {}, 0
  local function flush()
    if #gathered > 0 then
      job:bytes { label = "document", bytes = table.concat(gathered), to = out,
                  to_offset = gathered_at }
      gathered = {}
    end
  end
  for _, part in ipairs(segments) do
    if part.bytes then
      if #gathered == 0 then gathered_at = offset end
      gathered[#gathered + 1] = part.bytes
      offset = offset + #part.bytes
    elseif part.size > 0 then
      flush()
      job:copy { label = part.label or "archive", file = part.file, offset = part.offset,
                 size = part.size, to = out, to_offset = offset,
                 digest = verify and part.digest or nil }
      offset = offset + part.size
    end
  end
  flush()
  if verify then verify_the_rest(job, states) end
  local ok, message, code = work.run(job, opts)
  job:close()
  if not ok then return nil, message, code end
  return offset
end

-- An image that nobody touched is its file: copied by the kernel, and the copy
-- is what gets hashed.
local function write_copy(out, source, states, opts)
  local file = source.members.file
  local size = file:size()
  local ok, message, code = out:copy(0, file, 0, size)
  if not ok then return nil, message, code end
  if opts.verify ~= false then
    local job = core.job()
    for _, one in ipairs(states) do
      local now = layer.current(one)
      job:hash { label = layer.label(one), file = out, offset = now.offset, size = now.size,
                 compression = now.compression, plain = not now.digest, digest = now.digest,
                 diff_id = not now.digest and now.diff_id or nil }
    end
    ok, message, code = work.run(job, opts)
    job:close()
    if not ok then return nil, message, code end
  end
  return size
end

local function result_of(request, path, size)
  local rows = {}
  for i, one in ipairs(request.states) do
    local now = layer.current(one)
    local same = now.diff_id == one.diff_id
    rows[i] = {
      old_diff_id = not one.added and one.diff_id or nil, diff_id = now.diff_id,
      digest = now.digest, old_size = not one.added and one.blob.size or nil, size = now.size,
      action = one.added and "added" or same and "copied" or "rewritten",
    }
  end
  return { path = path, id = core.sha256(request.state.config:text()), size = size, layers = rows }
end

local function directory_of(path)
  return path:match("^(.*)/[^/]*$") or "."
end

--- Saves an image. `request` is what the image hands over: its state, the
-- states of its layers, whether it is edited, and how to settle it.
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save.image(request, path, opts)
  local source = request.state.source
  -- First, so that a target that cannot be written costs no work.
  local out, message, code = core.create_file(path)
  if not out then return nil, message, code end
  local function give_up(why, how)
    out:close()
    return nil, why, how
  end
  local size
  if not request.edited then
    size, message, code = write_copy(out, source, request.states, opts)
  else
    local dir = directory_of(path)
    local ok
    ok, message, code = request.settle {
      temp_dir = dir ~= "" and dir or "/", threads = opts.threads, progress = opts.progress,
    }
    if not ok then return give_up(message, code) end
    local segments
    if source then
      segments, message, code = docker_edit.segments(request.state, request.states)
    else
      segments, message, code = docker_new.segments(request.state, request.states)
    end
    if not segments then return give_up(message, code) end
    size, message, code = write_segments(out, segments, request.states, opts)
  end
  if not size then return give_up(message, code) end
  if source then
    local ok
    ok, message, code = source.members.file:unchanged()
    if not ok then return give_up(message, code) end
  end
  local ok
  ok, message, code = out:publish()
  if not ok then return give_up(message, code) end
  out:close()
  return result_of(request, path, size)
end

return save
