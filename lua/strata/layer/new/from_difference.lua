--- The layer that makes one directory of another.
--
-- An entry of the upper directory is in it when the lower one has none of that
-- path, or one that differs in type, mode, owner, size, time, target, device,
-- extended attributes, or in which names are one file. Where all of that is
-- equal the content is compared if the time cannot be trusted: when it has no
-- fraction of a second in either, as after the extraction of a tar, or when it
-- is asked for. One file under both paths is no difference.

local from_directory = require "strata.layer.new.from_directory"
local metadata = require "strata.layer.metadata"

local from_difference = {}

local FIELDS = { "type", "mode", "uid", "gid", "size", "mtime", "mtime_nsec", "linkpath", "major", "minor" }

---@class strata.Difference
---@field lower strata.HostDirectory
---@field upper strata.HostDirectory
---@field chosen table<integer, boolean>  numbers in the upper directory
---@field whiteouts table<integer, string[]>  by the number of their directory in the upper one
local Difference = {}
Difference.__index = Difference

-- The first path of each file with several names.
local function first_names(from)
  local names = {}
  for i = 1, from.count do
    local entry = from.handle:get(i)
    if entry.inode and not names[entry.inode] then names[entry.inode] = entry.path end
  end
  return names
end

local function xattrs_of(entry)
  return from_directory.portable_xattrs(entry.xattrs) or {}
end

-- Whether two entries of one path are the same; nil, message, code on failure.
function Difference:same(i, entry, k, below)
  local size_counts = entry.type == "file"
  for _, field in ipairs(FIELDS) do
    if entry[field] ~= below[field] and (field ~= "size" or size_counts) then return false end
  end
  if (entry.inode and self.upper_names[entry.inode] or entry.path) ~=
    (below.inode and self.lower_names[below.inode] or below.path) then
    return false
  end
  if self.upper.handle:same_inode(i, self.lower.handle, k) then return true end
  if not metadata.same_xattrs(xattrs_of(entry), xattrs_of(below)) then return false end
  if entry.type ~= "file" or entry.size == 0 then return true end
  if entry.mtime_nsec ~= 0 and not self.content then return true end
  return self.upper.handle:same_content(i, self.lower.handle, k)
end

-- Directories on the way to what has changed are part of the layer.
function Difference:choose(i)
  while i and not self.chosen[i] do
    self.chosen[i] = true
    i = self.upper.handle:get(i).parent
  end
end

function Difference:find_changed()
  for i = 1, self.upper.count do
    local entry = self.upper.handle:get(i)
    local k = entry.type ~= "socket" and self.lower.handle:find(entry.path)
    local same, message, code
    if k then
      same, message, code = self:same(i, entry, k, self.lower.handle:get(k))
      if same == nil then return nil, message, code end
    end
    if not same and entry.type ~= "socket" then self:choose(i) end
  end
  return true
end

-- A file with several names goes into the layer with all of them: split over two layers, they
-- would be two files.
function Difference:choose_links()
  local shared = {}
  for i in pairs(self.chosen) do
    local inode = self.upper.handle:get(i).inode
    if inode then shared[inode] = true end
  end
  for i = 1, next(shared) and self.upper.count or 0 do
    local inode = self.upper.handle:get(i).inode
    if inode and shared[inode] then self:choose(i) end
  end
end

-- Adds whiteouts for entries that the upper directory lacks, where their parent still exists.
function Difference:find_gone()
  for k = 1, self.lower.count do
    local below = self.lower.handle:get(k)
    local there = self.upper.handle:find(below.path)
    if below.type ~= "socket" and (not there or self.upper.handle:get(there).type == "socket") then
      local parent, name = below.path:match("^(.*)/([^/]*)$")
      local number = not parent and 0 or self.upper.handle:find(parent)
      if number == 0 or number and self.upper.handle:get(number).type == "dir" then
        self.whiteouts[number] = self.whiteouts[number] or {}
        table.insert(self.whiteouts[number], name or below.path)
        if number > 0 then self:choose(number) end
      end
    end
  end
end

-- The directory itself, when it is not as before.
function Difference:add_root(map, tar)
  local entry, below = self.upper.handle:get(0), self.lower.handle:get(0)
  for _, field in ipairs { "mode", "uid", "gid", "mtime", "mtime_nsec" } do
    if entry[field] ~= below[field] then
      entry.path = "."
      return tar:add(map:apply(entry))
    end
  end
end

--- Adds the difference to a tar.
---@param lower strata.HostDirectory
---@param upper strata.HostDirectory
---@param map strata.Mapping
---@param tar strata.TarWriter
---@param opts {content?: boolean}
---@return string[]? skipped
---@return string? message
---@return string? code
function from_difference.add(lower, upper, map, tar, opts)
  local self = setmetatable({
    lower = lower, upper = upper, chosen = {}, whiteouts = {}, content = opts.content,
    lower_names = first_names(lower), upper_names = first_names(upper),
  }, Difference)
  local ok, message, code = self:find_changed()
  if not ok then return nil, message, code end
  self:find_gone()
  self:choose_links()
  self:add_root(map, tar)
  local skipped
  skipped, message, code = from_directory.add(upper, map, tar, {
    whiteouts = self.whiteouts,
    is_chosen = function(i) return self.chosen[i] or upper.handle:get(i).type == "socket" end,
  })
  if not skipped then return nil, message, code end
  return skipped
end

return from_difference
