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

return gojson
