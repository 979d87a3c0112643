--- Names of any bytes in JSON and in URLs.

local cjson = require "cjson.safe"

local text = {}

-- How long the valid UTF-8 sequence at a place is; nil when there is none.
local function sequence_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  local function follows(byte) return byte and byte >= 0x80 and byte <= 0xbf end
  if a < 0x80 then return 1 end
  if a >= 0xc2 and a <= 0xdf then return follows(b) and 2 or nil end
  if a >= 0xe0 and a <= 0xef then
    if not follows(b) or not follows(c) or (a == 0xe0 and b < 0xa0) or (a == 0xed and b > 0x9f) then return nil end
    return 3
  end
  if a >= 0xf0 and a <= 0xf4 then
    if not follows(b) or not follows(c) or not follows(d) then return nil end
    if (a == 0xf0 and b < 0x90) or (a == 0xf4 and b > 0x8f) then return nil end
    return 4
  end
  return nil
end

--- Valid UTF-8 for people: what is none shows as "\xHH".
---@param bytes string
---@return string
function text.display(bytes)
  if not bytes:find("[\128-\255]") then return bytes end
  local out, at = {}, 1
  while at <= #bytes do
    local length = sequence_at(bytes, at)
    out[#out + 1] = length and bytes:sub(at, at + length - 1) or ("\\x%02x"):format(bytes:byte(at))
    at = at + (length or 1)
  end
  return table.concat(out)
end

--- A path for a URL, from which every byte comes back.
---@param path string
---@return string
function text.encode(path)
  return (path:gsub("[^%w/._~-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

--- The path in an image that a URL or a JSON document tells.
---@param encoded string
---@return string? path  without "/" in front or behind; "" is the root
function text.decode(encoded)
  if (encoded .. "%"):find("%%%x?[^%x]") or encoded:find("%%%x?$") then return nil end
  local path = encoded:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  path = path:gsub("//+", "/"):gsub("^/", ""):gsub("/$", "")
  if path:find("\0", 1, true) then return nil end
  for name in path:gmatch("[^/]+") do
    if name == "." or name == ".." then return nil end
  end
  return path
end

--- The pattern that matches this very path, for strata.jobs.
---@param path string
---@return string
function text.pattern(path)
  return (path:gsub("[%*%?%[]", "[%0]"))
end

-- ---- JSON ---------------------------------------------------------------------------

-- What is an array also when it is empty.
local ARRAYS = {
  registries = true, images = true, available = true, layers = true, history = true, entries = true, findings = true,
  tags = true, paths = true, Env = true, Cmd = true, Entrypoint = true, OnBuild = true, Shell = true, diff_ids = true,
}

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then return "null" end
  return value % 1 == 0 and math.abs(value) < 2 ^ 53 and ("%.0f"):format(value) or ("%.17g"):format(value)
end

local emit

local function emit_table(value, name, out)
  if #value > 0 or (ARRAYS[name] and next(value) == nil) then
    out[#out + 1] = "["
    for i, one in ipairs(value) do
      if i > 1 then out[#out + 1] = "," end
      emit(one, nil, out)
    end
    out[#out + 1] = "]"
    return
  end
  out[#out + 1] = "{"
  local first, names = true, {}
  for key in pairs(value) do names[#names + 1] = key end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end) -- labels are shown as they come
  for _, key in ipairs(names) do
    local one = value[key]
    if not first then out[#out + 1] = "," end
    first = false
    key = tostring(key)
    out[#out + 1] = cjson.encode(text.display(key))
    out[#out + 1] = ":"
    emit(one, key, out)
  end
  out[#out + 1] = "}"
end

function emit(value, name, out)
  local kind = type(value)
  if kind == "table" then return emit_table(value, name, out) end
  if kind == "string" then
    out[#out + 1] = cjson.encode(text.display(value))
  elseif kind == "number" then
    out[#out + 1] = number(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  else
    out[#out + 1] = "null"
  end
end

--- JSON of a plain table; valid UTF-8 whatever is in it.
---@param value any
---@return string
function text.json(value)
  local out = {}
  emit(value, nil, out)
  return table.concat(out)
end

return text
