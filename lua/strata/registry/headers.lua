--- Headers of a registry's answers. A registry is a stranger, so each parser takes what it understands, passes over the
-- rest, never throws, and has a bound on what it takes. No parser goes back in the text, so that the time it needs
-- grows with the length of the text alone.

local json = require "strata.util.json"

local headers = {}

local MAX_TEXT = 65536 -- bytes of all values of one header that are looked at
local MAX_CHALLENGES, MAX_PARAMETERS = 16, 32
local MAX_LINKS, MAX_ITEMS = 64, 1024
local MAX_WARNINGS = 4096 -- bytes of all warnings
local MAX_DIGITS = 15 -- of a number that a double holds exactly

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+"

-- ---- a scanner of one value ---------------------------------------------------------------------------------------

---@class strata.registry.Scanner
---@field text string
---@field at integer  the next byte
local Scanner = {}
Scanner.__index = Scanner

local function scan(text)
  return setmetatable({ text = text, at = 1 }, Scanner)
end

-- What an anchored pattern matches here, passed over; nil when it does not.
function Scanner:take(pattern)
  local first, last = self.text:find(pattern, self.at)
  if not first then return nil end
  self.at = last + 1
  return self.text:sub(first, last)
end

function Scanner:blanks()
  self:take("^[ \t]+")
end

function Scanner:is_at(byte)
  return self.text:sub(self.at, self.at) == byte
end

function Scanner:at_end()
  return self.at > #self.text
end

-- The content of a quoted string, without its escapes; nil when it does not end.
function Scanner:quoted()
  local parts = {}
  self.at = self.at + 1
  while true do
    parts[#parts + 1] = self:take('^[^"\\]+')
    if self:at_end() then return nil end
    if self:take('^"') then return table.concat(parts) end
    self.at = self.at + 1 -- the escape
    parts[#parts + 1] = self:take("^.")
  end
end

-- A token or a quoted string.
function Scanner:value()
  if self:is_at('"') then return self:quoted() end
  return self:take(TOKEN)
end

-- Goes to the next byte of a set outside of quoted strings.
function Scanner:skip_to(set)
  while not self:at_end() do
    self:take('^[^"' .. set .. "]+")
    if not self:is_at('"') then return end
    self:quoted()
  end
end

-- A name, "=" and a value; what has no "=" is left as it is.
function Scanner:parameter()
  local start = self.at
  local name = self:take(TOKEN)
  self:blanks()
  if not name or not self:take("^=") then
    self.at = start
    return nil
  end
  self:blanks()
  return name:lower(), self:value()
end

-- Values up to the bound, as scanners.
local function each_value(list)
  local i, left = 0, MAX_TEXT
  if type(list) == "string" then list = { list } end
  return function()
    i = i + 1
    local text = list[i]
    if not text or left <= 0 then return nil end
    text = text:sub(1, left)
    left = left - #text
    return scan(text)
  end
end

-- ---- WWW-Authenticate ---------------------------------------------------------------------------------------------

---@class strata.registry.Challenge
---@field scheme string  in lower case
---@field parameters table<string, string>  by names in lower case; of two the first
---@field token? string  what a scheme such as Negotiate has instead

-- Adds the parameters of a challenge up to the next scheme.
local function take_parameters(scanner, challenge)
  local count = 0
  while not scanner:at_end() do
    local before = scanner.at
    local name, value = scanner:parameter()
    if not name then
      if not scanner:is_at(",") then return end -- the next scheme, or nothing that is known
    elseif value and count < MAX_PARAMETERS and challenge.parameters[name] == nil then
      challenge.parameters[name] = value
      count = count + 1
    end
    scanner:skip_to(",")
    scanner:take("^,[ \t,]*")
    if scanner.at == before then return end
  end
end

local function take_challenge(scanner)
  local scheme = scanner:take(TOKEN)
  if not scheme then return nil end
  local challenge = { scheme = scheme:lower(), parameters = {} }
  if scanner:take("^[ \t]+") then
    local start = scanner.at
    challenge.token = scanner:take("^[%w._~+/-]+=*")
    scanner:blanks()
    if challenge.token and not scanner:at_end() and not scanner:is_at(",") then
      challenge.token = nil
    end
    if not challenge.token then scanner.at = start end
  end
  if challenge.token then
    scanner:take("^,[ \t,]*")
  else
    take_parameters(scanner, challenge)
  end
  return challenge
end

--- The challenges of WWW-Authenticate headers, in order.
-- Source: registry rules AUTH2; A20.
---@param list string|string[]  the values
---@return strata.registry.Challenge[]
function headers.challenges(list)
  local found = {}
  for scanner in each_value(list) do
    while not scanner:at_end() and #found < MAX_CHALLENGES do
      scanner:take("^[ \t,]+")
      local challenge = take_challenge(scanner)
      found[#found + 1] = challenge
      if not challenge then
        scanner.at = scanner.at + (scanner:is_at(",") and 1 or 0)
        scanner:skip_to(",")
      end
    end
  end
  return found
end

-- ---- Link ---------------------------------------------------------------------------------------------------------

local function has_word(text, word)
  for one in text:lower():gmatch("[^ \t]+") do
    if one == word then return true end
  end
  return false
end

-- Whether the parameters of a link make it the next page of what was asked for.
local function is_next(scanner)
  local rel, anchored
  while true do
    scanner:skip_to(",;")
    if not scanner:take("^;") then break end
    scanner:blanks()
    local name, value = scanner:parameter()
    if name == "rel" and rel == nil then rel = value or "" end
    if name == "anchor" then anchored = true end -- it is about another document
  end
  return rel ~= nil and not anchored and has_word(rel, "next")
end

--- The target of the first link to the next page, as it stands there.
-- Source: registry rules PAG1, PAG2; RFC 8288, section 3.
---@param list string|string[]  the values of Link headers
---@return string? reference  to be resolved against the URL that was requested
function headers.link_next(list)
  local count = 0
  for scanner in each_value(list) do
    while not scanner:at_end() and count < MAX_LINKS do
      scanner:take("^[ \t,]+")
      count = count + 1
      local target = scanner:take("^<[^>]*>")
      if target and is_next(scanner) then return target:sub(2, -2) end
      -- "," of a link that is none, or behind one that is another
      scanner:skip_to(",")
      scanner:take("^,")
    end
  end
  return nil
end

-- ---- ranges -------------------------------------------------------------------------------------------------------

local function whole(text)
  return #text <= MAX_DIGITS and tonumber(text) or nil
end

--- The range of a 206, or what a 416 says of the size.
-- Source: registry rules BLOB5.
---@param text string  of Content-Range: "bytes 5-9/10", "bytes 5-9/*", "bytes */10"
---@return {first?: integer, last?: integer, size?: integer}? range  nil for what is none
function headers.content_range(text)
  local span, size = text:sub(1, 80):match("^%s*[Bb][Yy][Tt][Ee][Ss]%s+([%d*-]+)/([%d*]+)%s*$")
  if not span then return nil end
  local total = size ~= "*" and whole(size) or nil
  if size ~= "*" and not total then return nil end
  if span == "*" then return total and { size = total } or nil end
  local first, last = span:match("^(%d+)%-(%d+)$")
  first, last = first and whole(first), last and whole(last)
  if not first or not last or last < first or total and last >= total then return nil end
  return { first = first, last = last, size = total }
end

--- The last byte that an upload has, of its Range header.
-- Source: registry rules UP7, UP10: 0 means no byte or one.
---@param text string  "0-1023", or "bytes=0-1023"
---@return integer? last  nil for what does not begin with the first byte
function headers.range_end(text)
  local first, last = text:sub(1, 80):gsub("^%s*bytes[= ]", ""):match("^%s*(%d+)%-(%d+)%s*$")
  if not first or whole(first) ~= 0 then return nil end
  return whole(last)
end

--- The size that chunks of an upload have at least.
-- Source: registry rules UP6, A18: the caller has a limit of its own.
---@param text string  of OCI-Chunk-Min-Length
---@return integer? bytes  nil for what is no number
function headers.chunk_min(text)
  text = text:sub(1, 80):match("^%s*(%d+)%s*$")
  return text and (whole(text) or 10 ^ MAX_DIGITS)
end

-- ---- Retry-After --------------------------------------------------------------------------------------------------

local MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11,
                 dec = 12 }

-- Days since 1970 in the Gregorian calendar, counted from the start of March.
local function days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leaps = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  return 365 * year + leaps + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

-- Year, month, day and time of the three forms that RFC 9110 has.
local function date_parts(text)
  local day, month, year, time = text:match("^%a+, (%d%d) (%a%a%a) (%d%d%d%d) ([%d:]+) GMT$")
  if not day then
    day, month, year, time = text:match("^%a+, (%d%d)%-(%a%a%a)%-(%d%d) ([%d:]+) GMT$")
    if day then year = (tonumber(year) < 70 and "20" or "19") .. year end
  end
  if not day then
    month, day, time, year = text:match("^%a+ (%a%a%a) ([ %d]%d) ([%d:]+) (%d%d%d%d)$")
  end
  return year, month, day, time
end

--- Seconds since 1970 of a date of HTTP; nil for what is none.
---@param text string
---@return integer?
function headers.date(text)
  local year, month, day, time = date_parts(text:sub(1, 80))
  local hour, minute, second = (time or ""):match("^(%d%d):(%d%d):(%d%d)$")
  month = month and MONTHS[month:lower()]
  if not month or not hour then return nil end
  hour, minute, second, day = tonumber(hour), tonumber(minute), tonumber(second), tonumber(day)
  if hour > 23 or minute > 59 or second > 60 or day < 1 or day > 31 then return nil end
  return days_of(tonumber(year), month, day) * 86400 + hour * 3600 + minute * 60 + second
end

--- For how many seconds the server wants to be left alone.
-- Source: registry rules RTY2; A19: the caller has a limit of its own.
---@param text string  of Retry-After: seconds, or a date
---@param now number  seconds since 1970
---@return number? seconds  nil for what is neither; at least 0
function headers.retry_after(text, now)
  text = text:sub(1, 80):match("^%s*(.*)$"):gsub("%s+$", "")
  if text:find("^%d+$") then return whole(text) or 10 ^ MAX_DIGITS end
  local date = headers.date(text)
  return date and math.max(0, date - now)
end

--- The limits in the headers of an answer, "100;w=21600".
-- Source: registry rules RTY6.
---@param exchange strata.Exchange
---@return strata.RateLimit?  nil: there are none
function headers.rate(exchange)
  local function numbers(name)
    local text = exchange:header(name) or ""
    local count, window = text:match("^%s*(%d+)"), text:match(";%s*w=(%d+)")
    return count and whole(count), window and whole(window)
  end
  local limit, window = numbers("ratelimit-limit")
  local remaining, other = numbers("ratelimit-remaining")
  if not limit and not remaining then return nil end
  local source = exchange:header("docker-ratelimit-source")
  return { limit = limit, remaining = remaining, window = window or other,
           source = source and json.printable(source, 100) }
end

-- ---- lists and words ----------------------------------------------------------------------------------------------

local function take_warning(scanner)
  local code = scanner:take("^%d%d%d[ \t]+")
  local agent = code and scanner:take("^[^ \t\",]+[ \t]+")
  local text = agent and scanner:is_at('"') and scanner:quoted()
  return text and code:sub(1, 3) == "299" and text ~= "" and text or nil
end

--- The texts of Warning headers, each once, fit for a terminal.
-- Source: registry rules NET14; A21.
---@param list string|string[]  the values: 299 - "text"
---@return string[]
function headers.warnings(list)
  local found, seen, left = {}, {}, MAX_WARNINGS
  for scanner in each_value(list) do
    while not scanner:at_end() do
      scanner:take("^[ \t,]+")
      local text = take_warning(scanner)
      text = text and json.printable(text)
      if text and not seen[text] and #text <= left then
        seen[text] = true
        left = left - #text
        found[#found + 1] = text
      end
      scanner:skip_to(",")
      scanner:take("^,")
    end
  end
  return found
end

--- The items of a list with commas, such as OCI-Tag and OCI-Filters-Applied; several headers are one list.
-- Source: registry rules E7b, RFR2.
---@param list string|string[]
---@return string[]
function headers.list(list)
  local found = {}
  for scanner in each_value(list) do
    while not scanner:at_end() and #found < MAX_ITEMS do
      scanner:take("^[ \t,]+")
      local item = scanner:take("^[^,]+")
      if item then found[#found + 1] = item:match("^.*[^ \t]") end
    end
  end
  return found
end

--- A media type in lower case, without its parameters.
-- Source: registry rules MAN5.
---@param text? string  of Content-Type
---@return string?  nil for what is none
function headers.media_type(text)
  local scanner = scan((text or ""):sub(1, 1024))
  scanner:blanks()
  local kind = scanner:take(TOKEN)
  local sub = kind and scanner:take("^/") and scanner:take(TOKEN)
  scanner:blanks()
  if not sub or not (scanner:at_end() or scanner:is_at(";")) then return nil end
  return (kind .. "/" .. sub):lower()
end

return headers
