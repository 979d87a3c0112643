--- Times of documents: RFC 3339, as Go reads and writes it.

local times = {}

times.ZERO = "0001-01-01T00:00:00Z"

--- The last second that a document can name.
times.LAST = 253402300799

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

--- A time.Time that was read and is written again: to the nanosecond, without zeros at the end of the fraction.
---@param text string
---@return string? text  nil when Go would not take it
---@return integer? seconds  since 1970, rounded down
function times.read(text)
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

--- The text for a number of seconds since 1970.
---@param seconds integer  from 0 to times.LAST
---@return string
function times.write(seconds)
  local days, rest = math.floor(seconds / 86400), seconds % 86400
  local year = 1970 + math.floor(days / 366) -- not too late
  while day_number(year + 1, 1, 1) <= days do year = year + 1 end
  local month = 12
  while day_number(year, month, 1) > days do month = month - 1 end
  return ("%04d-%02d-%02dT%02d:%02d:%02dZ"):format(year, month, days - day_number(year, month, 1) + 1,
    math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60)
end

--- Whether a time is later than a number of seconds since 1970; false for what is no time.
---@param text any
---@param seconds integer
---@return boolean
function times.is_after(text, seconds)
  local read, at
  if type(text) == "string" then read, at = times.read(text) end
  return read ~= nil and (at > seconds or at == seconds and read:find(".", 1, true) ~= nil)
end

return times
