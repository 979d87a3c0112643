--- Base64 as RFC 4648 has it, strictly.

local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local SIGN, VALUE = {}, {}
for i = 1, #ALPHABET do
  SIGN[i - 1] = ALPHABET:sub(i, i)
  VALUE[ALPHABET:byte(i)] = i - 1
end

--- Decodes text with its padding.
---@param text string
---@return string? bytes  nil when it is none
function base64.decode(text)
  if #text % 4 ~= 0 or not text:find("^[A-Za-z0-9+/]*=?=?$") then return nil end
  local body = text:gsub("=", "")
  local parts = {}
  for at = 1, #body, 4 do
    local number, count = 0, 0
    for i = at, at + 3 do
      local value = VALUE[body:byte(i) or 0]
      if value then count = count + 1 end
      number = number * 64 + (value or 0)
    end
    local bytes = string.char(math.floor(number / 65536), math.floor(number / 256) % 256, number % 256)
    parts[#parts + 1] = bytes:sub(1, count - 1)
  end
  return table.concat(parts)
end

--- Encodes bytes, with padding.
---@param bytes string
---@return string text
function base64.encode(bytes)
  local parts = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    parts[#parts + 1] = SIGN[math.floor(number / 262144)] .. SIGN[math.floor(number / 4096) % 64]
      .. (b and SIGN[math.floor(number / 64) % 64] or "=") .. (c and SIGN[number % 64] or "=")
  end
  return table.concat(parts)
end

return base64
