--- Metadata and contents of entries: comparing them, and copying the metadata.

local metadata = {}

-- The attributes that unpackers set on a file. They go by the numbers of a user and a group, not the names.
local ATTRIBUTES = { "mode", "uid", "gid", "mtime", "mtime_nsec" }

local PIECE = 16 * 1048576

--- Whether two entries have the same extended attributes.
---@param a table<string, string>
---@param b table<string, string>
---@return boolean
function metadata.same_xattrs(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

--- Whether unpackers give two entries the same metadata.
---@param a strata.Entry
---@param b strata.Entry
---@return boolean
function metadata.same(a, b)
  for _, field in ipairs(ATTRIBUTES) do
    if a[field] ~= b[field] then return false end
  end
  return metadata.same_xattrs(a.xattrs, b.xattrs)
end

--- Whether two files have the same content.
---@param a strata.Entry
---@param b strata.Entry
---@param told? fun(bytes: integer)  called for every piece that was compared
---@return boolean? same
---@return string? message
---@return string? code
function metadata.same_content(a, b, told)
  if a.size ~= b.size then return false end
  for from = 0, a.size - 1, PIECE do
    local same, message, code = a:same_content(b, PIECE, from)
    if not same then return same, message, code end
    if told then told(math.min(PIECE, a.size - from)) end
  end
  return true
end

-- Copies mtime, atime or ctime; a time that `from` lacks is removed. The number may have been rounded up to the next
-- second, so the seconds are computed without the nanoseconds.
local function take_time(entry, from, field)
  local time, nsec = from[field], from[field .. "_nsec"]
  if entry[field .. "_nsec"] == nsec and entry[field] == time then return end
  entry[field] = time and math.floor(time - nsec / 1e9 + 0.5)
  if time then entry[field .. "_nsec"] = nsec end
end

--- Gives entries the metadata of another one: a file and the hardlinks to it, whose
-- headers unpackers apply to the file. What is the same already is not touched.
---@param entries strata.Entry[]
---@param from strata.Entry
function metadata.take(entries, from)
  local xattrs = {}
  for name, value in pairs(from.xattrs) do
    if value ~= "" then xattrs[name] = value end -- runtimes do not set an empty one, and a tar cannot hold it
  end
  for _, entry in ipairs(entries) do
    for _, field in ipairs { "mode", "uid", "gid", "uname", "gname" } do
      if entry[field] ~= from[field] then entry[field] = from[field] end
    end
    for _, field in ipairs { "mtime", "atime", "ctime" } do take_time(entry, from, field) end
    if not metadata.same_xattrs(entry.xattrs, xattrs) then entry.xattrs = xattrs end
  end
end

return metadata
