--- Directories of the host as layers: the contents of one as they are, or as the upper
-- directory of an overlay mount.
--
-- libarchive's reader of directories changes the working directory, which
-- belongs to the host; the core walks by descriptors instead.

local core = require "strata.core"
local json = require "strata.util.json"
local paths = require "strata.util.path"

local from_directory = {}

-- Labels of the machine that the directory is on, and hashes bound to its inodes.
local OF_THE_MACHINE = { ["security.selinux"] = true, ["security.evm"] = true, ["security.ima"] = true,
                         ["system.nfs4_acl"] = true, ["system.nfs4_acl_xdr"] = true }

local CAPABILITY = "security.capability"

-- A directory that was read.
---@class strata.HostDirectory
---@field handle userdata
---@field count integer
---@field path string

-- ---- reading ----------------------------------------------------------------------

local function problem(self, path, text)
  return nil, ("%s: %s %s"):format(self.path, core.quote(path), text), "EINVAL"
end

-- Reads directory by directory. A list that is not complete is of no use.
local function read_all(self, map)
  local handle = self.handle
  local count, message, code = handle:list(0)
  local i = 1
  while count and i <= count do
    local entry = handle:get(i)
    if map:excludes(entry.path, entry) then
      handle:drop(i)
    elseif core.whiteout(entry.path) then
      return problem(self, entry.path, "would be a whiteout")
    elseif entry.type == "dir" then
      count, message, code = handle:list(i)
    end
    i = i + 1
  end
  if not count then return nil, message, code end
  return handle:sort()
end

--- Reads all that a directory holds and the mapping does not leave out.
---@param path string
---@param map strata.Mapping
---@param opts {limits: {entries: integer}}
---@return strata.HostDirectory?
---@return string? message
---@return string? code
function from_directory.read(path, map, opts)
  local handle, message, code = core.host_tree(path, opts.limits.entries)
  if not handle then return nil, message, code end
  local self = { path = path, handle = handle }
  self.count, message, code = read_all(self, map)
  if not self.count then
    self.handle:close()
    return nil, message, code
  end
  return self
end

-- ---- extended attributes ------------------------------------------------------------

-- File capabilities of version 3 belong to the user namespace that they name; without it
-- they are those of version 2.
local function portable_capability(value)
  if #value == 24 and value:byte(4) == 3 then return value:sub(1, 3) .. "\2" .. value:sub(5, 20) end
  return value
end

local function overlay_name(name)
  return name:match("^trusted%.overlay%.(.+)$") or name:match("^user%.overlay%.(.+)$")
end

--- The attributes that go into a layer; nil for none. `marks` gets those of overlayfs.
---@param xattrs table<string, string>?
---@param marks? table<string, string>
---@return table<string, string>?
function from_directory.portable_xattrs(xattrs, marks)
  local kept = {}
  for _, name in ipairs(xattrs and json.keys(xattrs) or {}) do
    local value, mark = xattrs[name], overlay_name(name)
    if name == CAPABILITY then value = portable_capability(value) end
    if mark then
      local escaped = marks and mark:match("^overlay%.(.+)$")
      if escaped and value ~= "" then
        kept[name:match("^%a+%.overlay%.") .. escaped] = value
      elseif marks then
        marks[mark] = value
      end
    elseif not OF_THE_MACHINE[name] and value ~= "" then -- a tar cannot say an empty one
      kept[name] = value
    end
  end
  return next(kept) and kept or nil
end

-- ---- entries ------------------------------------------------------------------------

---@class strata.DirectoryLayer
---@field from strata.HostDirectory
---@field map strata.Mapping
---@field tar strata.TarWriter
---@field skipped string[]
---@field names table<string, string>  from inodes to the first path of each
---@field is_chosen? fun(number: integer): boolean
---@field whiteouts table<integer, string[]>  by the number of their directory; 0: the root
local DirectoryLayer = {}
DirectoryLayer.__index = DirectoryLayer

function DirectoryLayer:hide(number, path)
  local list = self.whiteouts[number]
  for _, name in ipairs(list or {}) do self.tar:whiteout(self.map:place(path, true), name) end
end

-- An entry of the directory; a later name of a file is a link to the first one.
function DirectoryLayer:entry(number, entry)
  local first = entry.inode and self.names[entry.inode]
  if first then
    entry.type, entry.linkpath, entry.xattrs = "hardlink", first, nil
  elseif entry.inode then
    self.names[entry.inode] = entry.path
  end
  if entry.type == "file" then entry.directory, entry.number = self.from.handle, number end
  self.tar:add(self.map:apply(entry, entry.inode ~= nil))
end

-- Adds what was chosen, or all; nil, message, code when something cannot be in a layer.
function DirectoryLayer:run()
  self:hide(0, ".")
  for i = 1, self.from.count do
    local entry = self.is_chosen == nil or self.is_chosen(i)
    entry = entry and self.from.handle:get(i)
    if entry and entry.type == "socket" then
      self.skipped[#self.skipped + 1] = ("%s: a socket"):format(core.quote(entry.path))
    elseif entry then
      local path, is_dir = entry.path, entry.type == "dir"
      if entry.type == "char" and entry.major == 0 and entry.minor == 0 then
        return problem(self.from, path, "is a whiteout of overlayfs, whose directory is for overlay_upper")
      end
      if entry.foreign then
        self.skipped[#self.skipped + 1] = ("%s: what is mounted there"):format(core.quote(path))
      end
      entry.xattrs = from_directory.portable_xattrs(entry.xattrs, self.overlay and {})
      self:entry(i, entry)
      if is_dir then self:hide(i, path) end
    end
  end
  return true
end

--- Adds entries of a directory to a tar.
---@param from strata.HostDirectory
---@param map strata.Mapping
---@param tar strata.TarWriter
---@param opts? {is_chosen?: function, whiteouts?: table, overlay?: boolean}
---@return string[]? skipped
---@return string? message
---@return string? code
function from_directory.add(from, map, tar, opts)
  opts = opts or {}
  local self = setmetatable({
    from = from, map = map, tar = tar, skipped = {}, names = {}, is_chosen = opts.is_chosen,
    whiteouts = opts.whiteouts or {}, overlay = opts.overlay,
  }, DirectoryLayer)
  local ok, message, code = self:run()
  if not ok then return nil, message, code end
  return self.skipped
end

-- ---- the upper directory of an overlay mount ----------------------------------------

-- Marks of overlayfs by which an entry takes its content from another directory.
local REFERENCES = { "metacopy", "redirect" }

-- How overlayfs reads an entry: as a "whiteout", as an "opaque" directory, or as an "entry".
local function overlay_meaning(from, entry)
  local marks = {}
  from_directory.portable_xattrs(entry.xattrs, marks)
  for _, mark in ipairs(REFERENCES) do
    if marks[mark] then
      return nil, ("%s: %s takes its content from another directory (overlay.%s)"):format(from.path,
        core.quote(entry.path), mark), "EUNSUPPORTED"
    end
  end
  if entry.type == "char" and entry.major == 0 and entry.minor == 0 or
    entry.type == "file" and entry.size == 0 and marks.whiteout then
    return "whiteout"
  end
  return entry.type == "dir" and marks.opaque == "y" and "opaque" or "entry"
end

--- Adds what an upper directory changes.
---@param from strata.HostDirectory
---@param map strata.Mapping
---@param tar strata.TarWriter
---@return string[]? skipped
---@return string? message
---@return string? code
function from_directory.add_overlay(from, map, tar)
  local whiteouts, hidden, opaque = {}, {}, {}
  for i = 1, from.count do
    local entry = from.handle:get(i)
    local parent = entry.parent or 0
    local meaning, message, code = overlay_meaning(from, entry)
    if not meaning then return nil, message, code end
    if meaning == "opaque" then
      opaque[i], whiteouts[i] = true, { "" }
    elseif meaning == "whiteout" then
      hidden[i] = true
      if not opaque[parent] then
        whiteouts[parent] = whiteouts[parent] or {}
        table.insert(whiteouts[parent], paths.base(entry.path))
      end
    end
  end
  return from_directory.add(from, map, tar, {
    whiteouts = whiteouts, overlay = true, is_chosen = function(i) return not hidden[i] end,
  })
end

return from_directory
