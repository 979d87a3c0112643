--- Opening the store that a file, a stream or a directory is.

local archive = require "strata.store.archive"
local core = require "strata.core"
local directory = require "strata.store.directory"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local reference = require "strata.document.reference"

local open = {}

-- What the core does not decode goes through strata.archive, a chunk at a time.
local function decompress(file, compression, path, plain, given)
  local ok, libarchive = pcall(require, "strata.archive")
  if not ok then
    return fail("EUNSUPPORTED", "%s: the archive as a whole is compressed with %s, which needs strata.archive",
      path, compression)
  end
  -- Messages name the file by themselves, and the limit as that module calls it.
  local function failed(message, code)
    local named = core.quote(file:name()) .. ": "
    if message:sub(1, #named) == named then message = message:sub(#named + 1) end
    message = message:gsub("%(max_(%a+)%)", "(limits.%1)")
    return nil, ("%s: %s"):format(path, message), code
  end
  local reader, message, code = libarchive.decompress(file, compression, {
    max_bytes = given.bytes, max_ratio = given.ratio, max_dictionary = given.dictionary,
  })
  if not reader then return failed(message, code) end
  local offset = 0
  repeat
    local bytes
    job.poll()
    bytes, message, code = reader:read()
    if bytes then
      ok, message, code = plain:write(offset, bytes)
      offset = offset + #bytes
    end
  until not bytes or not ok
  reader:close()
  if message then return failed(message, code) end
  return true
end

--- Inflates a whole file into an unnamed temporary one.
---@param file userdata
---@param compression string  as sniffed
---@param path string  what messages call it
---@param opts {limits: strata.Limits, temp_dir?: string, threads?: integer, progress?: function}
---@param size? integer  of a file that something else than the core has written
---@return userdata? plain
---@return string? message
---@return string? code
function open.inflate(file, compression, path, opts, size)
  local plain, message, code = core.temp_file(opts.temp_dir)
  if not plain then return nil, message, code end
  local ok
  if compression == "gzip" or compression == "zstd" then
    local blob = { file = file, offset = 0, size = size or file:size(), compression = compression }
    ok, message, code = job.recode({ { label = path, blob = blob, as = "none", to = plain } }, opts, "inflating")
  else
    ok, message, code = decompress(file, compression, path, plain, opts.limits)
  end
  if not ok then
    plain:close()
    return nil, message, code
  end
  return plain
end

-- The archive in a file, inflated first when it is compressed as a whole.
local function open_archive(file, path, opts)
  local compression, message, code = file:sniff(0, file:size())
  if not compression then
    file:close()
    return nil, message, code
  end
  local original
  if compression ~= "none" then
    local plain
    plain, message, code = open.inflate(file, compression, path, opts)
    if not plain then
      file:close()
      return nil, message, code
    end
    file, original = plain, file
  end
  local store
  store, message, code = archive.index(file, path, opts.limits)
  if not store then
    if original then original:close() end
    if code == "EFORMAT" and message:find("tar entry 1 (header at 0x0", 1, true) then
      return fail(code, "%s is not a container image: it is no tar, and no directory with a layout (%s)", path,
        (message:gsub("^.-: tar entry 1 %(header at 0x0, read to 0x%x+%): ", "")))
    end
    return nil, message, code
  end
  if original then store.outer, store.original = compression, original end
  return store
end

-- The message for what is no file: it may be the name of an image.
local function missing(what, message)
  if what:find("^%a[%w+.-]*://") then
    return ("%s is no file; an image of a registry is docker://host/name:tag"):format(what)
  elseif not what:find("^[./]") and (what:find(":", 1, true) or not what:find("%.")) and reference.parse(what) then
    return ("%s is no file; save the image first: docker save -o image.tar %s"):format(what, what)
  end
  return message
end

--- The store that something is, inflated first when it is compressed as a whole.
---@param what string|file*  a path, "-" for standard input, or an open Lua file
---@param opts {limits: strata.Limits, temp_dir?: string, progress?: function}
---@return (strata.ArchiveStore|strata.DirectoryStore)? store
---@return string? message
---@return string? code
function open.store(what, opts)
  if type(what) ~= "string" or what == "-" then
    local name = what == "-" and "standard input" or "stream"
    local file, message, code = core.spool(what, opts.temp_dir, opts.limits.spool)
    if not file then return nil, message, code end
    local store
    store, message, code = open_archive(file, name, opts)
    if not store then return nil, message, code end
    store.spooled = true
    return store
  end
  if what:find("^docker://") then return require("strata.store.remote").open(what, opts) end
  local file, message, code = core.open_file(what)
  if not file then
    if code == "ENOENT" then return nil, missing(what, message), code end
    if code ~= "EISDIR" then return nil, message, code end
    return directory.open(what)
  end
  local store
  store, message, code = open_archive(file, what, opts)
  if not store then return nil, message, code end
  store.identity = core.identity(what)
  return store
end

return open
