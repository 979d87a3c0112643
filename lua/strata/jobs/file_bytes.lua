--- What jobs do with the bytes of files.

local core = require "strata.core"
local job = require "strata.util.job"

local file_bytes = {}

local BLOCK = 1048576

--- Writes what a file of an image has to another file, which appears whole.
---@param file table  of rootfs:open
---@param path string
---@return {size: integer}?
---@return string? message
---@return string? code
function file_bytes.write(file, path)
  local to, message, code = core.create_file(path)
  if not to then return nil, message, code end
  local at, ok = 0, true
  while ok do
    local block
    block, message, code = file:read(BLOCK)
    ok = not message
    if not block then break end
    job.poll()
    ok, message, code = to:write(at, block)
    at = at + #block
  end
  if ok then ok, message, code = to:publish() end
  to:close()
  if not ok then return nil, message, code end
  return { size = at }
end

--- The SHA-256 of a file.
---@param path string
---@return {digest: string, size: integer}?
---@return string? message
---@return string? code
function file_bytes.digest(path)
  local file, message, code = core.open_file(path)
  if not file then return nil, message, code end
  local hashing, size = core.job(), file:size()
  hashing:hash { label = path, file = file, offset = 0, size = size, plain = true }
  local ok, why, how = job.run(hashing, {}, "hashing")
  local digest = ok and hashing:task(1).diff_id
  hashing:close()
  file:close()
  if not ok then return nil, why, how end
  return { digest = digest, size = size }
end

return file_bytes
