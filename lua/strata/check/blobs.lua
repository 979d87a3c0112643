--- What the stored bytes of a layer are, whatever its entries say: whether they are those of its
-- diff_id, and how they are compressed.

local core = require "strata.core"
local job = require "strata.util.job"
local limits = require "strata.util.limits"

local blobs = {}

-- More zeros than this at the end of a gzip stream have to be looked at; a checksum and a length can be zeros.
local TAIL = 64

local function hashed(blob, size, digests, opts)
  local tasks = core.job()
  tasks:hash(limits.add(opts.limits, {
    label = "check", file = blob.file, offset = blob.offset, size = size, compression = blob.compression, plain = true,
    digest = digests.digest, diff_id = digests.diff_id, index = digests.index,
  }))
  local ok, message, code = job.run(tasks, nil, "hashing")
  tasks:close()
  return ok, message, code
end

-- Layers that are compressed were compared while they were scanned.
local function plain_digest(made, blob, digests, opts)
  if digests.index:prepared() then return true end
  local ok, message, code = hashed(blob, blob.size, digests, opts)
  if ok then return true end
  if code ~= "EDIGEST" then return nil, message, code end
  made:add("error", "digest", (message:gsub("^check: ", "")))
  return true
end

-- The zeros that the length of the tar ends with, as gzip writes it; all, where there are more members than one.
local function zeros_of_length(size)
  local count = 0
  for shift = 3, 0, -1 do
    if math.floor(size / 256 ^ shift) % 256 ~= 0 then break end
    count = count + 1
  end
  return count
end

-- A stream that is whole without its last byte ends with padding.
local function gzip_padding(made, blob, tar_size, opts)
  local length = math.min(TAIL, blob.size)
  local tail, message, code = blob.file:read(blob.offset + blob.size - length, length)
  if not tail then return nil, message, code end
  local zeros = 0
  while zeros < length and tail:byte(length - zeros) == 0 do zeros = zeros + 1 end
  if zeros <= zeros_of_length(tar_size) then return true end
  local ok
  ok, message, code = hashed(blob, blob.size - 1, {}, opts)
  if ok then
    made:add("warning", "gzip-padding", "there are zeros behind the end of the gzip stream: podman, skopeo and umoci "
      .. "refuse it, Docker and containerd do not")
  elseif code == "ENOMEM" or code == "EIO" or code == "ECANCELED" then
    return nil, message, code
  end
  return true
end

local function zstd_beginning(made, blob)
  local magic, message, code = blob.file:read(blob.offset, math.min(4, blob.size))
  if not magic then return nil, message, code end
  local kind = #magic == 4 and magic:byte(1) or 0
  if kind >= 0x50 and kind <= 0x5f and magic:sub(2) == "\42\77\24" then
    made:add("warning", "zstd-skippable", "the zstd stream begins with a skippable frame: skopeo and podman do not "
      .. "take it for zstd, and Docker and containerd may not either")
  end
  return true
end

--- Adds what is odd about a layer's bytes.
---@param made strata.ReportMaker
---@param blob strata.Blob
---@param tar_size integer
---@param digests {digest: string?, diff_id: string?, index: userdata?}  that a plain layer is compared with, and
---  its entry index
---@param opts strata.CheckOptions
---@return boolean? ok
---@return string? message
---@return string? code
function blobs.check(made, blob, tar_size, digests, opts)
  if blob.compression == "gzip" then return gzip_padding(made, blob, tar_size, opts) end
  if blob.compression == "zstd" then return zstd_beginning(made, blob) end
  if digests.digest or digests.diff_id then return plain_digest(made, blob, digests, opts) end
  return true
end

return blobs
