--- Saving: verified, then published, whole or not at all.

local core = require "strata.core"
local docker_edit = require "strata.dialect.docker_edit"
local docker_legacy = require "strata.dialect.docker_legacy"
local docker_new = require "strata.dialect.docker_new"
local layer = require "strata.layer"
local recode = require "strata.recode"
local tarball = require "strata.dialect.tarball"
local work = require "strata.work"

local save = {}

---@class strata.SaveOptions
---@field format? "docker"|"docker-legacy"  "docker": blobs by digest, as Docker 25 and later;
--   "docker-legacy": as Docker 1.10 to 24. Default: as the image came; "docker" for a new one
---@field verify? boolean  false: what is copied is not hashed. Default true
---@field threads? integer  default: one per CPU
---@field progress? fun(done: integer, total: integer)  bytes

---@class strata.SaveResult
---@field path string
---@field id string
---@field size integer
---@field layers strata.SavedLayer[]

---@class strata.SavedLayer
---@field action string  "copied", "rewritten", "added" or "recoded": same tar, other compression
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

-- `parts`: where the layers were taken from, when not as they are now.
local function result_of(request, path, size, parts)
  local rows = {}
  for i, one in ipairs(request.states) do
    local now = layer.current(one)
    local part = parts and parts[i] or now
    local same = now.diff_id == one.diff_id
    rows[i] = {
      old_diff_id = not one.added and one.diff_id or nil, diff_id = now.diff_id,
      digest = part.digest, old_size = not one.added and one.blob.size or nil, size = part.size,
      action = one.added and "added" or not same and "rewritten" or part.file ~= now.file and "recoded"
        or "copied",
    }
  end
  return { path = path, id = core.sha256(request.state.config:text()), size = size, layers = rows }
end

-- A directory for temporary files, on the file system of the result.
local function directory_of(path)
  local dir = path:match("^(.*)/[^/]*$") or "."
  return dir ~= "" and dir or "/"
end

-- Hashes the layers whose digest nothing tells, because blobs are named by it.
local function find_digests(states, opts)
  local job, todo = core.job(), {}
  for _, one in ipairs(states) do
    local now = layer.current(one)
    if not now.digest then
      job:hash { label = layer.label(one), file = now.file, offset = now.offset, size = now.size,
                 compression = now.compression, plain = opts.verify ~= false,
                 diff_id = opts.verify ~= false and now.diff_id or nil }
      todo[#todo + 1] = one
    end
  end
  local ok, message, code = work.run(job, opts)
  for i, one in ipairs(ok and todo or {}) do one.digest = job:task(i).digest end
  job:close()
  return ok, message, code
end

-- What each format is made of: its segments, and where the layers come from when
-- that is not where they are.
local formats = {}

function formats.docker(request, opts)
  local ok, message, code = find_digests(request.states, opts)
  if not ok then return nil, message, code end
  return docker_new.segments(request.state, request.states)
end

formats["docker-legacy"] = function(request, opts)
  local state = request.state
  local parts, message, code = recode.plain(request.states, opts)
  if not parts then return nil, message, code end
  local layers = {}
  for i, one in ipairs(request.states) do
    layers[i] = { diff_id = layer.current(one).diff_id, part = parts[i] }
  end
  local members
  members, message, code = docker_legacy.members {
    { config_text = state.config:text(), tags = state.tags, layers = layers },
  }
  if not members then return nil, message, code end
  local segments
  segments, message, code = tarball.segments(members)
  if not segments then return nil, message, code end
  return segments, parts
end

-- Without a format: the way in which it was stored.
local function as_it_came(request)
  local source = request.state.source
  if source.read_only then return nil, source.read_only, "EUNSUPPORTED" end
  return docker_edit.segments(request.state, request.states)
end

-- Returns the size, and where the layers came from when that is not where they are.
local function write_image(out, request, path, opts)
  local source = request.state.source
  if source and not request.edited and not opts.format then
    return write_copy(out, source, request.states, opts)
  end
  local own = { temp_dir = directory_of(path), threads = opts.threads, progress = opts.progress,
                verify = opts.verify }
  local ok, message, code = request.settle(own)
  if not ok then return nil, message, code end
  local make = opts.format and formats[opts.format] or source and as_it_came or formats.docker
  local segments, parts
  segments, parts, code = make(request, own)
  if not segments then return nil, parts, code end
  local unhashed = make == as_it_came and request.states or {}
  local size
  size, message, code = write_segments(out, segments, unhashed, opts)
  if not size then return nil, message, code end
  return size, parts
end

--- Saves an image. `request` is what the image hands over: its state, the
-- states of its layers, whether it is edited, and how to settle it.
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save.image(request, path, opts)
  local source = request.state.source
  if opts.format ~= nil and not formats[opts.format] then
    error(('bad format %q for save: say "docker" or "docker-legacy"'):format(tostring(opts.format)), 3)
  end
  -- First, so that a target that cannot be written costs no work.
  local out, message, code = core.create_file(path)
  if not out then return nil, message, code end
  local function give_up(why, how)
    out:close()
    return nil, why, how
  end
  local size, parts
  size, parts, code = write_image(out, request, path, opts)
  if not size then return give_up(parts, code) end
  if source then
    local ok
    ok, message, code = source.members.file:unchanged()
    if not ok then return give_up(message, code) end
  end
  local ok
  ok, message, code = out:publish()
  if not ok then return give_up(message, code) end
  out:close()
  return result_of(request, path, size, parts)
end

return save
