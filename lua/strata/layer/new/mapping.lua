--- How the entries of a new layer differ from their sources: place, owner, mode, time, and
-- which of them are left out.

local choice = require "strata.util.choice"
local core = require "strata.core"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local modes = require "strata.util.mode"
local options = require "strata.util.options"
local parent_of = require("strata.util.path").parent

local mapping = {}

local MAX_ID = 4294967294

local function is_whole(value, max)
  return type(value) == "number" and value % 1 == 0 and value >= 0 and value <= max
end

local function check_id(value, what, path)
  if not is_whole(value, MAX_ID) then
    misuse("owner: %s of %s should be a whole number from 0 to %d", what, core.quote(path), MAX_ID)
  end
  return value
end

local function check_mode(value, what)
  return modes.parse(value) or misuse("mode: that of %s should be %s", what, modes.WORDS)
end

-- A table of modes with numbers in it, "file" and "dir"; a function as it is.
local function modes_of(given)
  if type(given) ~= "table" then return given end
  local complete = {}
  for _, name in ipairs(json.keys(given)) do
    local old = (name == "file" or name == "dir") and name or modes.parse(name)
    if not old then misuse("mode: %s is no mode, nor 'file' or 'dir'", core.quote(tostring(name))) end
    complete[old] = check_mode(given[name], core.quote(tostring(name)))
  end
  return complete
end

local function mapped_id(map, id, what, path, stat)
  if map == nil then return id end
  local kind, new = type(map), map
  if kind == "table" then new = map[id] elseif kind == "function" then new = map(path, stat) end
  return new == nil and id or check_id(new, what, path)
end

---@class strata.Mapping
---@field opts strata.MappingOptions
---@field modes table|strata.ModeFunction|nil  as numbers
---@field prefix string  "" or a path that ends in "/"
---@field exclude strata.Choice?
---@field files table<string, table>  attributes of those that have links, by their path
---@field active boolean  something is to be changed
---@field keeps_fractions boolean?  of seconds, also without exact_mtime
---@field resolve (fun(path: string, is_dir: boolean?): string)?  where a path leads in the layers below
local Mapping = {}
Mapping.__index = Mapping

---@param opts strata.MappingOptions  checked
---@param fn string  the function that they were given to
---@param resolve? fun(path: string, is_dir: boolean?): string
---@return strata.Mapping
function mapping.new(opts, fn, resolve)
  local prefix = core.normalise(opts.to or "")
  local active = false
  for name in options.each "MappingOptions" do active = active or (opts[name] ~= nil and name ~= "exact_mtime") end
  return setmetatable({
    opts = opts, modes = modes_of(opts.mode),
    prefix = prefix == "." and "" or prefix .. "/", active = active or resolve ~= nil, files = {},
    resolve = resolve, exclude = opts.exclude ~= nil and choice.new(opts.exclude, fn .. ": exclude") or nil,
  }, Mapping)
end

--- Whether a path is to be left out.
---@param path string
---@param stat strata.SourceStat
---@return boolean
function Mapping:excludes(path, stat)
  local exclude = self.exclude
  if not exclude then return false end
  if exclude.call then exclude:ask(path, path, stat) end
  return exclude:matches(path)
end

--- A function that tells which paths of a list of entries are left out.
---@param entries fun(): strata.SourceStat?  with path
---@return fun(path: string): boolean
function Mapping:exclusion(entries)
  local gone = {}
  for entry in entries do
    if self:excludes(entry.path, entry) then gone[entry.path] = true end
  end
  return function(path)
    while path and not gone[path] do path = parent_of(path) end
    return path ~= nil
  end
end

--- Where a path of the source is in the layer. Symlinks of the layers below are followed, since a runtime, which
-- unpacks each layer for itself, would make directories in their place.
---@param path string
---@param is_dir? boolean  a symlink at the end is followed as well
---@return string
function Mapping:place(path, is_dir)
  local place = self.prefix .. path
  if path == "." then place = self.prefix == "" and "." or self.prefix:sub(1, -2) end
  return self.resolve and self.resolve(place, is_dir or path == ".") or place
end

--- The user and the group that an entry is to have.
---@param opts strata.Owners|strata.OwnerFunction|nil
---@param path string
---@param stat strata.SourceStat|strata.Entry
---@return integer uid
---@return integer gid
function mapping.owner(opts, path, stat)
  if type(opts) ~= "function" then
    opts = opts or {}
    return mapped_id(opts.uid, stat.uid, "uid", path, stat), mapped_id(opts.gid, stat.gid, "gid", path, stat)
  end
  local uid, gid = opts(path, stat)
  if uid ~= nil then check_id(uid, "uid", path) end
  if gid ~= nil then check_id(gid, "gid", path) end
  return uid or stat.uid, gid or stat.gid
end

local function mode(opts, path, stat)
  local new
  if type(opts) == "function" then
    new = opts(path, stat)
  elseif opts and stat.type ~= "symlink" then
    new = opts[stat.mode] or opts[stat.type == "hardlink" and "file" or stat.type]
  end
  return new == nil and stat.mode or check_mode(new, core.quote(path))
end

local ATTRIBUTES = { "uid", "gid", "mode", "mtime", "mtime_nsec" }

-- Attributes belong to a file, not to one of its names: unpackers give it those of the last.
local function copy_attributes(from, to)
  for _, name in ipairs(ATTRIBUTES) do to[name] = from[name] end
  return to
end

--- Changes an entry, which has the path of its source, into that of the layer.
---@param entry strata.NewEntry
---@param shared? boolean  hardlinks to it will come
---@return strata.NewEntry entry
function Mapping:apply(entry, shared)
  local opts, path = self.opts, entry.path
  local file = entry.type == "hardlink" and self.files[entry.linkpath]
  if file then
    entry.path, entry.linkpath = self:place(path), self:place(entry.linkpath)
    return copy_attributes(file, entry)
  end
  entry.uid, entry.gid = mapping.owner(opts.owner, path, entry)
  entry.mode = mode(self.modes, path, entry)
  if opts.mtime then entry.mtime, entry.mtime_nsec = math.floor(opts.mtime), nil end
  if opts.clamp_mtime and entry.mtime >= opts.clamp_mtime then
    entry.mtime, entry.mtime_nsec = math.floor(opts.clamp_mtime), nil
  end
  if not opts.exact_mtime and not self.keeps_fractions then entry.mtime_nsec = nil end
  if shared then self.files[path] = copy_attributes(entry, {}) end
  entry.path = self:place(path, entry.type == "dir")
  if entry.type == "hardlink" then entry.linkpath = self:place(entry.linkpath) end
  return entry
end

return mapping
