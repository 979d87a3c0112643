--- Hosts of URLs: which names are taken, and the class of the addresses that stand there as they are.
--
-- The class of a name is known only when it is connected to, so the guard of strata.http judges the address of the
-- socket. The class of a literal is known before, and has to be judged then: behind a proxy the guard sees the proxy's
-- address alone.

local address = {}

local MAX_HOST, MAX_LABEL = 253, 63

-- Which numbers the first two parts of an IPv4 address must have: first, from and to of the second, class. In order.
local RANGES = {
  { 0, 0, 255, "other" },
  { 10, 0, 255, "private" },
  { 100, 64, 127, "private" },
  { 127, 0, 255, "private" },
  { 169, 254, 254, "other" },
  { 172, 16, 31, "private" },
  { 192, 168, 168, "private" },
}

local function class_of_v4(a, b)
  if a >= 224 then return "other" end -- multicast, reserved, broadcast
  for _, range in ipairs(RANGES) do
    if a == range[1] and b >= range[2] and b <= range[3] then return range[4] end
  end
  return "public"
end

-- Four decimal numbers without leading zeros; nil for anything else, which some resolvers would take as well.
local function parse_v4(text)
  local parts = { text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$") }
  for i, part in ipairs(parts) do
    if #part > 1 and part:sub(1, 1) == "0" or tonumber(part) > 255 then return nil end
    parts[i] = tonumber(part)
  end
  return #parts == 4 and parts or nil
end

-- Appends the 16 bit groups of one side of "::"; false when it is none.
local function add_groups(groups, side)
  if side == "" then return true end
  for part in (side .. ":"):gmatch("([^:]*):") do
    local v4 = parse_v4(part)
    if v4 then
      groups[#groups + 1] = v4[1] * 256 + v4[2]
      groups[#groups + 1] = v4[3] * 256 + v4[4]
    elseif part:find("^%x%x?%x?%x?$") then
      groups[#groups + 1] = tonumber(part, 16)
    else
      return false
    end
  end
  -- a dotted part is the last one
  return not side:find("%..*:")
end

-- The eight groups of an IPv6 address without its brackets.
local function parse_v6(text)
  if #text > 45 or not text:find("^[%x:.]+$") then return nil end
  local before, after = text:match("^(.-)::(.*)$")
  local groups, tail = {}, {}
  if not before then
    return add_groups(groups, text) and #groups == 8 and groups or nil
  end
  if after:find("::", 1, true) or before:find(".", 1, true) then return nil end
  if not add_groups(groups, before) or not add_groups(tail, after) or #groups + #tail > 7 then return nil end
  while #groups + #tail < 8 do groups[#groups + 1] = 0 end
  for i = 1, #tail do groups[8 - #tail + i] = tail[i] end
  return groups
end

-- The first group after a run of zeros from the start; 9 for none.
local function first_set(groups)
  for i = 1, 8 do
    if groups[i] ~= 0 then return i end
  end
  return 9
end

-- Where an IPv4 address stands in an IPv6 one: mapped, compatible, NAT64, 6to4.
local function embedded_v4(groups)
  local set = first_set(groups)
  if set == 6 and groups[6] == 65535 or set == 7 then return groups[7] end
  if groups[1] == 0x64 and groups[2] == 0xff9b then return groups[7] end
  if groups[1] == 0x2002 then return groups[2] end
  return nil
end

local function class_of_v6(groups)
  local set = first_set(groups)
  if set == 9 then return "other" end
  if set == 8 then return groups[8] == 1 and "private" or "other" end
  local v4 = embedded_v4(groups)
  if v4 then return class_of_v4(math.floor(v4 / 256), v4 % 256) end
  local first = groups[1]
  if first == 0 then return "other" end -- reserved; translators of IPv4 use some
  if first >= 0xff00 or first >= 0xfe80 and first <= 0xfebf then return "other" end
  if first >= 0xfc00 and first <= 0xfdff or first >= 0xfec0 and first <= 0xfeff then return "private" end
  return "public"
end

-- Letters, digits, "-" and "_" between dots. Names inside of networks do have underscores.
local function is_name(host)
  if #host > MAX_HOST or not host:find("^[a-z0-9._-]+$") then return false end
  for label in (host .. "."):gmatch("([^.]*)%.") do
    if label == "" or #label > MAX_LABEL or label:find("^-") or label:find("-$") then return false end
  end
  return true
end

--- Whether a host is one, and the class of its address when it stands there as it is. What ends with a number and is
-- no plain IPv4 address is refused: "127.1", "0x7f000001" and "2130706433" are 127.0.0.1 to some resolvers.
-- Source: registry rules 1.17.2, 1.17.3; A3, A5, A10, REF13.
---@param host string  in lower case; IPv6 in brackets
---@return boolean valid
---@return "public"|"private"|"other"|nil class  nil for a name, whose class shows when it is connected to
function address.of_host(host)
  local literal = host:match("^%[(.*)%]$")
  if literal then
    local groups = parse_v6(literal)
    return groups ~= nil, groups and class_of_v6(groups)
  end
  if not is_name(host) then return false end
  local last = host:match("[^.]*$")
  if last:find("^%d+$") or last:find("^0x%x*$") then
    local parts = parse_v4(host)
    return parts ~= nil, parts and class_of_v4(parts[1], parts[2])
  end
  if host == "localhost" or host:find("%.localhost$") then return true, "private" end
  return true
end

--- Whether a host is this machine by its name: the only ones that are spoken to without TLS unasked.
-- Source: registry rules 1.2, "Scheme of the connection"; REF20.
---@param host string  without a port
---@return boolean
function address.is_local(host)
  host = host:lower()
  return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil and parse_v4(host) ~= nil
end

return address
