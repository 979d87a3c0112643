--- Limits: how much of an image, which anybody may have made, is taken before it is refused.
--
-- Whatever crosses one is `nil, message, "ELIMIT"`, and the message has its name.

local json = require "strata.util.json"
local misuse = require "strata.util.misuse"

local limits = {}

-- Sizes and counts are exact in every Lua up to here.
local MOST = 2 ^ 53

local KiB, MiB, TiB = 1024, 1024 * 1024, 1024 * 1024 * 1024 * 1024

---@class strata.Limit
---@field name string
---@field default integer
---@field unit string  what is counted
---@field protects string
---@field min? integer  1
---@field max? integer  2^53

--- Every limit.
---@type strata.Limit[]
limits.all = {
  { name = "json.max_bytes", default = 4 * MiB, unit = "bytes", max = 2 ^ 32 - 1,
    protects = "memory: documents are read whole" },
  { name = "json.max_depth", default = 64, unit = "levels", max = 2 ^ 32 - 1,
    protects = "whoever walks a document: arrays and objects inside each other" },
  { name = "json.max_values", default = 1000000, unit = "values", max = 2 ^ 32 - 1,
    protects = "memory: values of one document" },
  { name = "manifests", default = 10000, unit = "manifests",
    protects = "time and memory: manifests and indexes that an index leads to" },
  { name = "index_depth", default = 8, unit = "levels", min = 0,
    protects = "time: indexes inside indexes" },
  { name = "layers", default = 4096, unit = "layers", min = 0,
    protects = "time and memory: layers of one image" },
  { name = "links", default = 8, unit = "links", min = 0,
    protects = "time: members of an archive that link to each other" },
  { name = "entries", default = 10000000, unit = "entries",
    protects = "memory, some 200 bytes for each: entries of one tar" },
  { name = "archive_members", default = 100000, unit = "members",
    protects = "memory, some 800 bytes for each: members of an archive that holds images" },
  { name = "path", default = 4096, unit = "bytes", max = 65535,
    protects = "memory: a path, or the target of a link" },
  { name = "extension", default = MiB, unit = "bytes", max = 2 ^ 31 - 1,
    protects = "memory: one extension header (four before an entry), the text of a sparse map" },
  { name = "records", default = 65536, unit = "records",
    protects = "time: PAX records of one entry, its xattrs among them" },
  { name = "sparse", default = 65536, unit = "extents",
    protects = "memory: the map of one sparse file" },
  { name = "file", default = 16 * TiB, unit = "bytes",
    protects = "disk and time: the content of one entry, holes included" },
  { name = "bytes", default = TiB, unit = "bytes",
    protects = "disk and time: what one layer, or a whole archive, inflates to" },
  { name = "ratio", default = 2000, unit = "times",
    protects = "disk and time: what is inflated to what is stored, beyond the first 256 MiB" },
  { name = "members", default = 10000000, unit = "members",
    protects = "time: gzip members, or zstd frames, of one stream" },
  { name = "empty_blocks", default = 1000000, unit = "blocks",
    protects = "time: deflate blocks of gzip that give no byte, beyond one for 512 bytes of output" },
  { name = "zstd_window", default = 128 * MiB, unit = "bytes", min = KiB, max = 2 ^ 31,
    protects = "memory: the window of zstd, rounded down to a power of two" },
  { name = "dictionary", default = 64 * MiB, unit = "bytes", min = 4 * KiB, max = 2 ^ 32,
    protects = "memory: the dictionary of xz and lzma, and of what decodes 7z, xar, rar and some zip files" },
  { name = "spool", default = TiB, unit = "bytes",
    protects = "disk: an image that comes through a pipe; of a stream the layers that have to wait" },
  { name = "held", default = 64 * MiB, unit = "bytes",
    protects = "disk: of a stream all that is no layer and has to wait" },
  { name = "read", default = 64 * MiB, unit = "bytes",
    protects = "memory: what read() gives when it is not told how much" },
  { name = "steps", default = 20000000, unit = "steps",
    protects = "time: components of symlinks' targets that merging the layers walks" },
  { name = "depth", default = 256, unit = "levels", max = 2 ^ 31,
    protects = "descriptors: directories inside each other that are extracted" },
  { name = "removals", default = 20000000, unit = "files",
    protects = "time: files that whiteouts have extract look at for removal" },
}

local by_name, groups = {}, {}
for _, limit in ipairs(limits.all) do
  by_name[limit.name] = limit
  local group = limit.name:match("^(.-)%.")
  if group then groups[group] = true end
end

-- What later opens begin with.
local defaults = {}
for _, limit in ipairs(limits.all) do defaults[limit.name] = limit.default end

local function unknown(name)
  local names = {}
  for i, limit in ipairs(limits.all) do names[i] = limit.name end
  return ("unknown limit '%s' (there are %s)"):format(tostring(name), table.concat(names, ", "))
end

-- Why a limit cannot have a value, nil when it can; math.huge is as much as there can be.
local function problem_of(name, value)
  local limit = by_name[name]
  if not limit then return unknown(name) end
  local min, max = limit.min or 1, limit.max or MOST
  local whole = type(value) == "number" and value % 1 == 0
  if value == math.huge or whole and value >= min and value <= max then return nil end
  return ("limit '%s' should be a whole number of %s from %d to %.0f"):format(name, limit.unit, min, max)
end

-- Calls fn(name, value) for what a table sets, which may be flat or in groups, until it returns something.
local function each(given, fn)
  for _, name in ipairs(json.keys(given)) do
    local value, result = given[name], nil
    if not groups[name] then
      result = fn(name, value)
    elseif type(value) ~= "table" then
      result = ("limits.%s should be a table, not a %s"):format(name, type(value))
    else
      for _, key in ipairs(json.keys(value)) do result = result or fn(name .. "." .. tostring(key), value[key]) end
    end
    if result then return result end
  end
end

--- What is wrong with limits that a caller gives, nil for nothing.
---@param given table  {bytes =, json = {max_bytes =}, ...}
---@return string?
function limits.problem(given)
  return each(given, problem_of)
end

local function grouped(flat)
  local complete = {}
  for name, value in pairs(flat) do
    local group, key = name:match("^(.-)%.(.*)$")
    if group then
      complete[group] = complete[group] or {}
      complete[group][key] = value
    else
      complete[name] = value
    end
  end
  return complete
end

--- All limits: those given, the others as they are here.
---@param given? table  without a problem
---@param base? table  complete ones, instead of the defaults
---@return table
function limits.resolve(given, base)
  local flat = {}
  for name, value in pairs(defaults) do flat[name] = value end
  local function set(name, value) flat[name] = math.min(value, by_name[name].max or MOST) end
  each(base or {}, set)
  each(given or {}, set)
  return grouped(flat)
end

--- What limits are in the end, as a text: the same for those that mean the same.
---@param given? table  without a problem
---@return string
function limits.key(given)
  local complete, parts = limits.resolve(given), {}
  for i, limit in ipairs(limits.all) do
    local group, name = limit.name:match("^(.-)%.(.*)$")
    parts[i] = ("%.0f"):format(group and complete[group][name] or complete[limit.name])
  end
  return table.concat(parts, " ")
end

--- Options, which have been checked, with all limits in them.
---@param opts? table
---@param base? table  complete limits, instead of the defaults
---@return table  a copy
function limits.options(opts, base)
  local complete = {}
  for key, value in pairs(opts or {}) do complete[key] = value end
  complete.limits = limits.resolve(complete.limits, base)
  return complete
end

--- Those of the tar parser and of inflating, as the core's functions call them.
---@param given? table  complete ones
---@param task table  they are added to it
---@return table task
function limits.add(given, task)
  given = given or limits.resolve()
  for _, name in ipairs { "entries", "path", "extension", "records", "sparse", "file", "bytes", "ratio", "members",
                          "empty_blocks", "zstd_window" } do
    task["max_" .. name] = given[name]
  end
  return task
end

--- The same for an archive that holds images: its members cost more than entries, and have a limit of their own.
---@param given table  complete ones
---@param task table
---@return table task
function limits.add_for_members(given, task)
  limits.add(given, task)
  task.max_entries = given.archive_members
  return task
end

--- A message of the tar parser about an archive that holds images.
---@param message string?
---@param code string?
---@return string?
function limits.of_members(message, code)
  if code ~= "ELIMIT" or not message then return message end
  return (message:gsub("limits%.entries (%(%d+%)) entries", "limits.archive_members %1 members"))
end

--- As a table for people.
---@return string
function limits.text()
  local lines = { "limits, as limits = {...} of open, images, open_index, extract and apply, or as a field of",
                  "strata.limits, for all that is opened later" }
  for _, limit in ipairs(limits.all) do
    lines[#lines + 1] = ("  %-16s %14.0f %-9s %s"):format(limit.name, defaults[limit.name], limit.unit, limit.protects)
  end
  return table.concat(lines, "\n")
end

-- A table of defaults whose fields are checked; `prefix` is "json." in a group.
local function proxy(prefix)
  local inner = {}
  if prefix == "" then
    for group in pairs(groups) do inner[group] = proxy(group .. ".") end
  end
  local function get(_, key)
    if inner[key] then return inner[key] end
    local name = prefix .. tostring(key)
    if not by_name[name] then misuse(unknown(name)) end
    return defaults[name]
  end
  local function set(_, key, value)
    local name = prefix .. tostring(key)
    if value == nil then value = by_name[name] and by_name[name].default or false end
    local new = { [name] = value }
    local problem = limits.problem(new)
    if problem then misuse(problem) end
    each(new, function(one, given) defaults[one] = math.min(given, by_name[one].max or MOST) end)
  end
  return setmetatable({}, {
    __index = get, __newindex = set,
    __pairs = function()
      local all, i = grouped(defaults), 0
      if prefix ~= "" then all = all[prefix:sub(1, -2)] end
      local names = json.keys(all)
      return function()
        i = i + 1
        return names[i], all[names[i]]
      end
    end,
    __tostring = limits.text,
  })
end

--- strata.limits: reading a field gives a default, assigning one changes it (nil: back to what it was).
limits.defaults = proxy("")

return limits
