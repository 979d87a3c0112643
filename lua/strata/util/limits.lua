--- Limits: how much of an image, which anybody may have made, is taken before it is refused.
--
-- Whatever crosses one is `nil, message, "ELIMIT"`, and the message has its name.

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
  { name = "zstd_window", default = 128 * MiB, unit = "bytes", min = KiB, max = 2 ^ 31,
    protects = "memory: the window of zstd, rounded down to a power of two" },
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

local function unknown(name, level)
  local names = {}
  for i, limit in ipairs(limits.all) do names[i] = limit.name end
  error(("unknown limit '%s' (there are %s)"):format(tostring(name), table.concat(names, ", ")), level + 1)
end

-- A value that is one; math.huge is as much as there can be.
local function checked(name, value, level)
  local limit = by_name[name] or unknown(name, level + 1)
  local min, max = limit.min or 1, limit.max or MOST
  if value == math.huge then value = max end
  if type(value) ~= "number" or value % 1 ~= 0 or value < min or value > max then
    error(("limit '%s' should be a whole number of %s from %d to %.0f"):format(name, limit.unit, min, max), level + 1)
  end
  return value
end

-- Calls fn(name, value) for what a table sets, which may be flat or in groups.
local function each(given, fn, level)
  if type(given) ~= "table" then
    error(("limits should be a table, got %s"):format(type(given)), level + 1)
  end
  for name, value in pairs(given) do
    if groups[name] then
      if type(value) ~= "table" then
        error(("limits.%s should be a table, got %s"):format(name, type(value)), level + 1)
      end
      for key, inner in pairs(value) do fn(name .. "." .. tostring(key), inner) end
    else
      fn(name, value)
    end
  end
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

--- All limits: those given, the others as they are here. Throws what is none.
---@param given? table  {bytes =, json = {max_bytes =}, ...}
---@param base? table  complete ones, instead of the defaults
---@param level? integer  that the error points at, as for error()
---@return table
function limits.resolve(given, base, level)
  level = (level or 1) + 1
  local flat = {}
  for name, value in pairs(defaults) do flat[name] = value end
  if base then each(base, function(name, value) flat[name] = value end, level) end
  if given ~= nil then
    each(given, function(name, value) flat[name] = checked(name, value, level + 2) end, level)
  end
  return grouped(flat)
end

--- Options with all limits in them.
---@param opts? table
---@return table  a copy
function limits.options(opts)
  if opts ~= nil and type(opts) ~= "table" then
    error(("options should be a table, not a %s"):format(type(opts)), 3)
  end
  local complete = {}
  for key, value in pairs(opts or {}) do complete[key] = value end
  complete.limits = limits.resolve(complete.limits, nil, 3)
  return complete
end

--- Those of the tar parser and of inflating, as the core's functions call them.
---@param given? table  complete ones
---@param task table  they are added to it
---@return table task
function limits.add(given, task)
  given = given or limits.resolve()
  for _, name in ipairs { "entries", "path", "extension", "records", "sparse", "file", "bytes", "ratio", "members",
                          "zstd_window" } do
    task["max_" .. name] = given[name]
  end
  return task
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
    if not by_name[name] then unknown(name, 2) end
    return defaults[name]
  end
  local function set(_, key, value)
    if inner[key] then
      local new = {}
      each({ [key] = value }, function(name, one) new[name] = checked(name, one, 5) end, 2)
      for name, one in pairs(new) do defaults[name] = one end
      return
    end
    local name = prefix .. tostring(key)
    value = value == nil and by_name[name] and by_name[name].default or value
    defaults[name] = checked(name, value, 2)
  end
  return setmetatable({}, {
    __index = get, __newindex = set,
    __pairs = function() return next, grouped(defaults), nil end,
    __tostring = limits.text,
  })
end

--- strata.limits: reading a field gives a default, assigning one changes it (nil: back to what it was).
limits.defaults = proxy("")

return limits
