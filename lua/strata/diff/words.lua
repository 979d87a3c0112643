--- What reports say of the rows of a diff: the same words on a terminal and in a page.

local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local json = require "strata.util.json"

local words = {}

local MAX_VALUE = 160

-- Marks that change the direction of text or cannot be seen, in UTF-8.
local DECEITFUL = {
  "\226\128[\139-\143]", "\226\128[\168-\174]", "\226\129[\160-\175]", "\239\187\191", "\194[\128-\159]",
}

-- Whether text shows as what it is: UTF-8, with nothing that a terminal or a browser obeys.
local function is_plain(text)
  if text == "" or text:find("^'") or text:find("[%z\1-\31\127]") or not core.json_quote(text) then return false end
  for _, pattern in ipairs(DECEITFUL) do
    if text:find(pattern) then return false end
  end
  return true
end

--- Text of any origin, in one line; in quotes and escaped where it would not show as what it is.
---@param text string
---@return string
function words.text(text)
  return is_plain(text) and text or core.quote(text)
end

local SHOWN = { ["003c"] = "<", ["003e"] = ">", ["0026"] = "&" }

local function unescaped(kind, digits)
  return kind == "u" and SHOWN[digits] or nil
end

-- JSON of a value of the config, cut when it is long. Characters that only HTML has to escape stand for themselves, and
-- an empty table in a place that is not known is shown as an object.
local function json_of(value, pointer)
  local text = json.try_encode(value, function(path) return config_schema.empty(pointer .. path) or "object" end)
  text = (text or "..."):gsub("\\(.)(%x?%x?%x?%x?)", unescaped)
  if #text > MAX_VALUE then text = text:sub(1, MAX_VALUE):gsub("[\192-\255]?[\128-\191]*$", "") .. "..." end
  return words.text(text)
end

local function short(digest)
  return digest:sub(1, 19)
end

local function utc(seconds, nsec)
  if not seconds then return "none" end
  local whole = math.floor(seconds - (nsec or 0) / 1e9 + 0.5)
  local ok, text = pcall(os.date, "!%Y-%m-%dT%H:%M:%S", whole)
  if not ok or not text or math.abs(whole) > 253402300799 then return ("%.0f s"):format(whole) end
  return text .. (nsec and nsec > 0 and (".%09d"):format(nsec):gsub("0+$", "") or "") .. "Z"
end

local function xattrs_of(list)
  local parts = {}
  for i, name in ipairs(json.keys(list)) do parts[i] = words.text(name) .. "=" .. words.text(list[name]) end
  return parts[1] and table.concat(parts, " ") or "none"
end

local function time_of(name)
  return function(side) return utc(side[name], side[name .. "_nsec"]) end
end

-- How the field of a side is told.
local FIELDS = {
  content = function(side) return ("%s (%s)"):format(short(side.content), core.human_size(side.size)) end,
  mode = function(side) return ("%04o"):format(side.mode) end,
  mtime = time_of "mtime", atime = time_of "atime", ctime = time_of "ctime",
  xattrs = function(side) return xattrs_of(side.xattrs) end,
}

local function field_of(side, name)
  if FIELDS[name] then return FIELDS[name](side) end
  local value = side[name]
  return value == nil and "none" or words.text(tostring(value))
end

-- What is told of a path that one image has.
local function only(side)
  local parts = { side.type, ("%04o"):format(side.mode), ("%d:%d"):format(side.uid, side.gid) }
  if side.size then parts[#parts + 1] = core.human_size(side.size) end
  if side.device then parts[#parts + 1] = side.device end
  if side.linkpath then parts[#parts + 1] = "-> " .. words.text(side.linkpath) end
  return table.concat(parts, " ")
end

local function place_of(row)
  local x, y = row.a and row.a.layer, row.b and row.b.layer
  if row.a and row.b and x ~= y then return ("layer %s -> %s"):format(x or "none", y or "none") end
  local number = x or y
  return number and "layer " .. number or "no layer"
end

local tell = {}

function tell.file(row)
  if row.change ~= "changed" then return words.text(row.path), { only(row.a or row.b) }, place_of(row) end
  local details = {}
  for i, name in ipairs(row.fields) do
    details[i] = ("%s %s -> %s"):format(name, field_of(row.a, name), field_of(row.b, name))
  end
  return words.text(row.path), details, place_of(row)
end

local function tell_value(row)
  local pointer = row.pointer == "" and "the document" or words.text(row.pointer)
  if row.change == "spelling" then
    return pointer, { ("the same values, written in another way: %s -> %s"):format(short(row.a), short(row.b)) }
  end
  if row.change == "added" then return pointer, { json_of(row.b, row.pointer) } end
  if row.change == "removed" then return pointer, { json_of(row.a, row.pointer) } end
  return pointer, { ("%s -> %s"):format(json_of(row.a, row.pointer), json_of(row.b, row.pointer)) }
end

tell.config, tell.history = tell_value, tell_value

function tell.layer(row)
  local function side(one) return ("%s (%s)"):format(short(one.diff_id), core.human_size(one.size)) end
  local subject = place_of(row)
  local text = row.change == "changed" and ("%s -> %s"):format(side(row.a), side(row.b)) or side(row.a or row.b)
  return subject, { text, row.reordered and "the same paths in another order" or nil }
end

--- What a row says.
---@param row strata.DiffRow
---@return string subject
---@return string[] details
---@return string? place  which layers
function words.of(row)
  return tell[row.kind](row)
end

--- The sign of a change.
words.SIGNS = { added = "+", removed = "-", changed = "~", spelling = "~" }

--- The lists of a diff, in the order of reports, and what they are called.
words.LISTS = { { "files", "files" }, { "config", "config" }, { "history", "history" }, { "layers", "layers" } }

--- How many rows of a list there are of each kind, in words.
---@param rows strata.DiffRow[]
---@return string
function words.count(rows)
  local counts, parts = { added = 0, removed = 0, changed = 0 }, {}
  for _, row in ipairs(rows) do
    local change = row.change == "spelling" and "changed" or row.change
    counts[change] = counts[change] + 1
  end
  for _, change in ipairs { "added", "removed", "changed" } do
    if counts[change] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[change], change) end
  end
  return table.concat(parts, ", ")
end

return words
