--- What the header of an entry says that readers differ about: owners, times, xattrs, types.

local core = require "strata.core"
local json = require "strata.util.json"

local attributes = {}

-- What LIBARCHIVE records name, and SCHILY ones do not.
local function only_libarchive(pax, xattrs)
  local names = {}
  for key in pairs(pax) do
    local name = type(key) == "string" and key:match("^LIBARCHIVE%.xattr%.(.*)$")
    if name then
      name = name:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
      if xattrs[name] == nil then names[#names + 1] = name end
    end
  end
  return json.sort(names)
end

-- As Linux takes it: version 2, or 3 with the user of a namespace.
local function is_capability(value)
  local flags, revision = value:byte(1), value:byte(4)
  if #value < 4 or flags > 1 or value:sub(2, 3) ~= "\0\0" then return false end
  return (revision == 2 and #value == 20) or (revision == 3 and #value == 24)
end

local function xattr(add, name, value, kind)
  local quoted = core.quote(name)
  if value == "" then
    add("note", "empty-xattr", ("the xattr %s is empty: containerd sets it, Docker, podman and umoci do not"):format(
      quoted))
  elseif name == "security.capability" and not is_capability(value) then
    add("error", "bad-capability", "the xattr security.capability is none: all runtimes refuse")
  end
  if name:find("^user%.") and kind ~= "file" and kind ~= "dir" and kind ~= "hardlink" then
    add("warning", "user-xattr", ("the xattr %s on a %s, which Linux does not have: podman and umoci refuse, Docker "
      .. "and containerd pass over it"):format(quoted, kind))
  elseif name:find("^trusted%.overlay%.") then
    add("warning", "overlay-xattr", ("the xattr %s is a mark of overlayfs: Docker and podman set it, and overlayfs "
      .. "obeys it, containerd does not"):format(quoted))
  elseif name:find("^trusted%.") then
    add("note", "trusted-xattr", ("the xattr %s: Docker and podman set it, containerd does not"):format(quoted))
  end
end

local function xattrs(add, entry, kind)
  local list = entry.xattrs
  for _, name in ipairs(json.keys(list)) do xattr(add, name, list[name], kind) end
  for _, name in ipairs(only_libarchive(entry.pax, list)) do
    add("note", "libarchive-xattr", ("only a record of libarchive has the xattr %s: libarchive sets it, no runtime "
      .. "does"):format(core.quote(name)))
  end
end

--- Adds what is odd about the header of an entry.
---@param made strata.ReportMaker
---@param entry strata.Entry
---@param kind string
function attributes.check(made, entry, kind)
  local function add(severity, code, message)
    made:add(severity, code, message, { path = entry.name, entry = entry.position, offset = entry.header_offset })
  end
  if entry.typeflag == "7" then
    add("error", "contiguous-file", "a file of type 7: all runtimes refuse it, others take it for an ordinary file")
  end
  if entry.uid == -1 or entry.gid == -1 then
    add("note", "no-owner", "an owner or group of -1: runtimes leave the file root's, others refuse it")
  end
  if entry.mtime < 0 then
    add("note", "early-time", "a time before 1970: Docker, containerd and podman make it 1970, umoci does not")
  end
  xattrs(add, entry, kind)
end

return attributes
