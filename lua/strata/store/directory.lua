--- An image directory as a store of blobs: an OCI layout, or skopeo's `dir:`.
--
-- All names go through the core's directory object, which leads nowhere outside.

local core = require "strata.core"
local digests = require "strata.util.digests"
local json = require "strata.util.json"

local directory = {}

---@class strata.DirectoryStore
---@field path string
---@field dir userdata
---@field root string  the document that everything hangs on
---@field failure string[]?  message and code
---@field flat boolean  skopeo's: blobs lie beside it, under their bare hash
local Directory = {}
Directory.__index = Directory

local function fail(code, fmt, ...)
  return nil, fmt:format(...), code
end

-- skopeo writes "Directory Transport Version: 1.1\n" into a file. nil: it cannot be read.
local function is_flat(dir)
  local file, message, code = dir:open("version")
  if not file then
    if code == "ENOENT" then return false end
    return nil, message, code
  end
  local text
  text, message, code = file:read(0, math.min(file:size(), 64))
  file:close()
  if not text then return nil, message, code end
  return text:find("^Directory Transport Version:") ~= nil
end

--- Opens a directory that holds images.
---@param path string
---@return strata.DirectoryStore?
---@return string? message
---@return string? code
function directory.open(path)
  local dir, message, code = core.open_dir(path)
  if not dir then return nil, message, code end
  local self = setmetatable({ path = path, dir = dir, root = "index.json", flat = false }, Directory)
  local index
  index, message, code = dir:stat("index.json")
  if not index then
    if message and code ~= "ENOENT" then
      dir:close()
      return nil, ("%s: %s"):format(path, message), code
    end
    local flat
    flat, message, code = is_flat(dir)
    if not flat then
      dir:close()
      if flat == nil then return nil, ("%s: %s"):format(path, message), code end
      return fail("EFORMAT", "%s: a directory without index.json is no image", path)
    end
    self.root, self.flat = "manifest.json", true
  end
  return self
end

-- What says that nothing is there, or nothing that may be opened.
local MISSING = {
  ENOENT = true, ENOTDIR = true, ELOOP = true, EXDEV = true, ENAMETOOLONG = true, EISDIR = true, EUNSUPPORTED = true,
}

-- Remembers what keeps a file from being read, other than that it is missing.
local function note(self, message, code)
  if not MISSING[code] then self.failure = self.failure or { message, code } end
end

--- Why something could not be read since this was asked last; see Members.
---@return string? message
---@return string? code
function Directory:take_failure()
  local failure = self.failure or {}
  self.failure = nil
  return failure[1], failure[2]
end

--- Whether there is a file of that name.
function Directory:has(name)
  local info, message, code = self.dir:stat(name)
  if not info then note(self, message, code) end
  return info ~= nil
end

--- The content of a small file.
---@param name string
---@param max integer  more bytes than this are ELIMIT
function Directory:document(name, max)
  local file, message, code = self.dir:open(name)
  if not file then
    note(self, message, code)
    return nil, ("%s: %s"):format(self.path, message), code
  end
  local size = file:size()
  if size > max then
    file:close()
    return fail("ELIMIT", "%s: %s has %d bytes; limits.json.max_bytes is %d", self.path, name, size, max)
  end
  local text
  text, message, code = file:read(0, size)
  file:close()
  if not text then note(self, message, code) end
  return text, message, code
end

--- Where a blob lies, below the directory. skopeo's has other names for manifests.
---@param digest string
---@param is_manifest? boolean  default: as it is there
function Directory:blob_name(digest, is_manifest)
  if not self.flat then return digests.path(digest) end
  local name = digests.hex(digest)
  local other = name .. ".manifest.json"
  return (is_manifest or self:has(other)) and other or name
end

--- The digest that the name of a blob states, as its file has to have it.
---@param name string
---@return string?
function Directory:stated_digest(name)
  if not self.flat then return digests.in_path(name) end
  local hex = name:match("^(%x+)$") or name:match("^(%x+)%.manifest%.json$")
  return hex and (digests.in_path("blobs/sha256/" .. hex) or digests.in_path("blobs/sha512/" .. hex)) or nil
end

function Directory:has_blob(digest)
  return self:has(self:blob_name(digest))
end

--- A blob; ENOENT when it is not there.
---@param digest string
---@return {file: userdata, offset: integer, size: integer, name: string, own: boolean}?  own: the caller closes it
---@return string? message
---@return string? code
function Directory:blob(digest)
  local name = self:blob_name(digest)
  local file, message, code = self.dir:open(name)
  if not file then
    note(self, message, code)
    return nil, ("%s: %s"):format(self.path, message), code
  end
  return { file = file, offset = 0, size = file:size(), name = name, own = true }
end

--- Every file below the directory, sorted: name and size, or the target of a link.
---@return {name: string, type: string, size: integer}[]?
---@return string? message
---@return string? code
function Directory:contents()
  local found, todo = {}, { "" }
  while #todo > 0 do
    local at = table.remove(todo)
    local names, message, code = self.dir:list(at == "" and "." or at)
    if not names then return nil, message, code end
    for _, name in ipairs(names) do
      local path = at == "" and name or at .. "/" .. name
      local info
      info, message, code = self.dir:stat(path)
      if not info then return nil, message, code end
      if info.type == "dir" then
        todo[#todo + 1] = path
      else
        found[#found + 1] = { name = path, type = info.type, size = info.size }
      end
    end
  end
  table.sort(found, function(a, b) return json.before(a.name, b.name) end)
  return found
end

--- One more image uses the directory.
function Directory:use()
  self.users = (self.users or 0) + 1
  return self
end

--- One uses it no more.
function Directory:release()
  self.users = self.users - 1
  if self.users == 0 then self.dir:close() end
end

return directory
