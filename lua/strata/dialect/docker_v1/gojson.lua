--- JSON text as the Go of Docker's engines writes it, byte for byte: digests of
-- documents that Docker makes anew depend on it.

local core = require "strata.core"
local json = require "strata.util.json"

local gojson = {}

-- Go before 1.22, with which the engines were built, has no short escapes for these.
local LONG = { ["\\b"] = "\\u0008", ["\\f"] = "\\u000c" }

--- A string.
---@param text string  UTF-8
---@return string
function gojson.quote(text)
  return (assert(core.json_quote(text)):gsub("\\.", LONG))
end

local ESCAPES = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026" }

-- What stands between quotes keeps its spelling, but for the escapes that HTML asks for.
local function escape(text)
  return (text:gsub("[<>&]", ESCAPES):gsub("\226\128([\168\169])", function(last)
    return last == "\168" and "\\u2028" or "\\u2029"
  end))
end

--- A json.RawMessage: the text of a value, without white space.
---@param raw string  valid JSON
---@return string
function gojson.compact(raw)
  local out, at = {}, 1
  while true do
    local quote = raw:find('"', at, true)
    out[#out + 1] = raw:sub(at, (quote or #raw + 1) - 1):gsub("[ \t\r\n]+", "")
    if not quote then return table.concat(out) end
    local stop = quote
    repeat
      stop = raw:find('["\\]', stop + 1)
      local escaped = raw:sub(stop, stop) == "\\"
      if escaped then stop = stop + 1 end
    until not escaped
    out[#out + 1] = escape(raw:sub(quote, stop))
    at = stop + 1
  end
end

--- An object, its members in the given order.
---@param names string[]
---@param texts table<string, string>  JSON text by name; a name without one is left out
---@return string
function gojson.object(names, texts)
  local out = {}
  for _, name in ipairs(names) do
    if texts[name] then out[#out + 1] = gojson.quote(name) .. ":" .. texts[name] end
  end
  return "{" .. table.concat(out, ",") .. "}"
end

--- A map: its keys in the order of their bytes.
---@param texts table<string, string>  JSON text by key
---@return string
function gojson.map(texts)
  return gojson.object(json.keys(texts), texts)
end

--- A []string; nil is null.
---@param list string[]?
---@return string
function gojson.strings(list)
  if not list then return "null" end
  local quoted = {}
  for i, text in ipairs(list) do quoted[i] = gojson.quote(text) end
  return "[" .. table.concat(quoted, ",") .. "]"
end

-- ---- times --------------------------------------------------------------------

gojson.ZERO_TIME = "0001-01-01T00:00:00Z"

local TIME = "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$"
local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_of(year, month)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and leap and 29 or DAYS[month] or 0
end

-- Days from 1970 to a date, the year beginning in March.
local function day_number(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

--- A time.Time that was read and is written again: RFC 3339, to the nanosecond,
-- without zeros at the end of the fraction.
---@param text string
---@return string? text  nil when Go would not take it
---@return integer? seconds  since 1970, rounded down
function gojson.time(text)
  local year, month, day, hour, minute, second, rest = text:match(TIME)
  if not year then return nil end
  local fraction, zone = rest:match("^[.,](%d+)(.*)$")
  zone = zone or rest
  local sign, zone_hour, zone_minute = zone:match("^([+-])(%d%d):(%d%d)$")
  if zone ~= "Z" and not sign then return nil end
  local y, mo, d = tonumber(year), tonumber(month), tonumber(day)
  local h, mi, s = tonumber(hour), tonumber(minute), tonumber(second)
  local zh, zm = tonumber(zone_hour or 0), tonumber(zone_minute or 0)
  if d < 1 or d > days_of(y, mo) or h > 23 or mi > 59 or s > 59 or zh > 24 or zm > 59 then return nil end
  local shift = (sign == "-" and -1 or 1) * (zh * 3600 + zm * 60)
  fraction = (fraction or ""):sub(1, 9):gsub("0+$", "")
  return ("%s-%s-%sT%s:%s:%s%s%s"):format(year, month, day, hour, minute, second,
    fraction ~= "" and "." .. fraction or "", shift == 0 and "Z" or zone),
    day_number(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - shift
end

return gojson
