--- Metadata of entries: comparing it, and giving one the metadata of another.

local metadata = {}

local FIELDS = { "mode", "uid", "gid", "uname", "gname", "mtime", "mtime_nsec" }

local function same_attributes(a, b)
  local left = b.xattrs
  for name, value in pairs(a.xattrs) do
    if left[name] ~= value then return false end
    left[name] = nil
  end
  return next(left) == nil
end

--- Whether two entries have the same metadata.
---@param a strata.Entry
---@param b strata.Entry
---@return boolean
function metadata.same(a, b)
  for _, field in ipairs(FIELDS) do
    if a[field] ~= b[field] then return false end
  end
  return same_attributes(a, b)
end

-- Whole seconds: with a fraction, a number may have been rounded up.
local function seconds_of(entry)
  return math.floor(entry.mtime - entry.mtime_nsec / 1e9 + 0.5)
end

--- Gives entries the metadata of another one: a file and the hardlinks to it, whose
-- headers unpackers apply to the file.
---@param entries strata.Entry[]
---@param from strata.Entry
function metadata.take(entries, from)
  for _, entry in ipairs(entries) do
    if not metadata.same(entry, from) then
      for _, field in ipairs { "mode", "uid", "gid", "uname", "gname" } do entry[field] = from[field] end
      if entry.mtime_nsec ~= from.mtime_nsec or entry.mtime ~= from.mtime then
        entry.mtime = seconds_of(from)
        entry.mtime_nsec = from.mtime_nsec
      end
      if not same_attributes(entry, from) then entry.xattrs = from.xattrs end
    end
  end
end

return metadata
