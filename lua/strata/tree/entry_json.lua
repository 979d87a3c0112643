--- What is at a path of the root file system, as one line of JSON.
--
-- JSON has no bytes, only characters. What is no UTF-8 is told in Base64, under its name with "_bytes" behind it, so
-- that no name is lost or mistaken for another one. Values of extended attributes are always in Base64.

local base64 = require "strata.util.base64"
local core = require "strata.core"
local json = require "strata.util.json"

local entry_json = {}

-- Adds a field; the value is text of JSON already.
local function add(out, name, text)
  out[#out + 1] = ('"%s":%s'):format(name, text)
end

-- Adds a string, or its bytes.
local function add_string(out, name, value)
  if not value or value == "" then return end
  local quoted = core.json_quote(value)
  add(out, quoted and name or name .. "_bytes", quoted or core.json_quote(base64.encode(value)))
end

local function add_number(out, name, value)
  if value then add(out, name, json.number(value)) end
end

-- Seconds with all their digits, which a double does not have.
local function seconds(time, nsec)
  local whole = math.floor(time - nsec / 1e9 + 0.5)
  if nsec == 0 then return ("%.0f"):format(whole) end
  local is_before = whole < 0
  if is_before then whole, nsec = -whole - 1, 1e9 - nsec end
  return ((is_before and "-" or "") .. ("%.0f.%09.0f"):format(whole, nsec):gsub("0+$", ""))
end

-- Names in the order of their bytes; one that is no UTF-8 is in an array of pairs.
local function add_xattrs(out, xattrs)
  local named, others = {}, {}
  for _, name in ipairs(json.keys(xattrs)) do
    local quoted, value = core.json_quote(name), core.json_quote(base64.encode(xattrs[name]))
    if quoted then
      named[#named + 1] = quoted .. ":" .. value
    else
      others[#others + 1] = ("[%s,%s]"):format(core.json_quote(base64.encode(name)), value)
    end
  end
  if named[1] then add(out, "xattrs", "{" .. table.concat(named, ",") .. "}") end
  if others[1] then add(out, "xattrs_bytes", "[" .. table.concat(others, ",") .. "]") end
end

--- The line, without a newline.
---@param entry strata.RootEntry
---@param digest string?  of its content
---@return string
function entry_json.text(entry, digest)
  local out, kind = {}, entry.type
  add_string(out, "path", entry.path)
  add_string(out, "type", kind)
  add(out, "mode", ('"%04o"'):format(entry.mode))
  add_number(out, "uid", entry.uid)
  add_number(out, "gid", entry.gid)
  add_string(out, "uname", entry.uname)
  add_string(out, "gname", entry.gname)
  if kind == "file" then add_number(out, "size", entry.size) end
  add(out, "mtime", seconds(entry.mtime, entry.mtime_nsec))
  if kind == "symlink" or kind == "hardlink" then add_string(out, "linkpath", entry.linkpath) end
  if kind == "char" or kind == "block" then
    add_number(out, "major", entry.major)
    add_number(out, "minor", entry.minor)
  end
  if entry.links > 1 then
    add_number(out, "links", entry.links)
    add_number(out, "inode", entry.inode)
  end
  add_xattrs(out, entry.xattrs)
  add_number(out, "layer", entry.layer and entry.layer.position)
  add_string(out, "digest", digest)
  return "{" .. table.concat(out, ",") .. "}"
end

return entry_json
