--- JSON values as plain Lua tables.
--
-- Reading goes through lua-cjson, behind the core's strict validation. Writing
-- is our own: deterministic, with Go's escapes, and never guessing whether an
-- empty table is an array or an object. Documents that are to keep their bytes
-- are edited as strata.JSON instead.

local cjson = require("cjson").new() -- settings of our own, whatever the host did to the shared ones
local core = require "strata.core"
local misuse = require "strata.util.misuse"

local json = {}

--- An explicit JSON null; the same value as cjson.null.
json.null = cjson.null

local MAX_DEPTH = 64
local EXACT = 2 ^ 53
local to_integer = rawget(math, "tointeger")

local array_mt = { __name = "strata.array" }
local object_mt = { __name = "strata.object" }

--- Marks a table as a JSON array, which matters when it is empty.
---@param t? table
---@return table t
function json.array(t)
  if t ~= nil and type(t) ~= "table" then misuse("array: a table is wanted, not %s", type(t)) end
  return setmetatable(t or {}, array_mt)
end

--- Marks a table as a JSON object, which matters when it is empty.
---@param t? table
---@return table t
function json.object(t)
  if t ~= nil and type(t) ~= "table" then misuse("object: a table is wanted, not %s", type(t)) end
  return setmetatable(t or {}, object_mt)
end

local function with_integers(value)
  if type(value) == "number" then
    if value > -EXACT and value < EXACT then return to_integer(value) or value end
  elseif type(value) == "table" then
    for k, v in next, value do
      value[k] = with_integers(v)
    end
  end
  return value
end

--- A decoded value, nil for null.
---@param value any
---@return any
function json.or_nil(value)
  if value == json.null then return nil end
  return value
end

--- Whether a decoded value is an array. An empty object cannot be told from an empty array.
---@param value any
---@return boolean
function json.is_array(value)
  return type(value) == "table" and type(next(value)) ~= "string"
end

--- Decodes JSON text. null becomes json.null; whole numbers become integers
-- where Lua has them and a double holds them exactly.
---@param text string
---@param limits? {max_bytes?: integer, max_depth?: integer, max_values?: integer}
---@return any value
---@return string? message
---@return string? code
function json.decode(text, limits)
  local doc, message, code = core.json(text, limits)
  if not doc then return nil, message, code end
  doc:close()
  local ok, value = pcall(cjson.decode, text)
  if not ok then
    if value == "not enough memory" then error(value, 0) end
    return nil, value, "ELIMIT" -- only cjson's own depth limit is left
  end
  if to_integer then value = with_integers(value) end
  return value
end

--- One part of a JSON pointer, escaped.
---@param name string|integer
---@return string part  with its "/"
function json.part(name)
  return "/" .. tostring(name):gsub("~", "~0"):gsub("/", "~1")
end

--- Whether text is a JSON pointer.
---@param text any
---@return boolean
function json.is_pointer(text)
  return type(text) == "string" and (text == "" or text:sub(1, 1) == "/")
    and not (text .. "/"):find("~[^01]")
end

--- Edits the elements of an array in one pass over the document.
---@param doc strata.JSON
---@param pointer string  of an array; where there is none, there is nothing to edit
---@param edit fun(raw: string, i: integer): string|false|nil  new JSON text, false
--   to drop the element, nil to keep it
---@return boolean? changed
---@return string? message
---@return string? code
function json.edit_elements(doc, pointer, edit)
  local text, spans = doc:text(), doc:spans(pointer) or {}
  local n, out, edited = #spans / 2, {}, false
  if n == 0 then return false end
  out[1] = text:sub(1, spans[1] - 1)
  for i = 1, n do
    local first, last = spans[2 * i - 1], spans[2 * i]
    local raw = text:sub(first, last)
    local new = edit(raw, i)
    edited = edited or new ~= nil
    if new ~= false then
      -- what separates it from the element before it goes with it
      if #out > 1 then out[#out + 1] = text:sub(spans[2 * i - 2] + 1, first - 1) end
      out[#out + 1] = new or raw
    end
  end
  if not edited then return false end
  if #out == 1 then return doc:set(pointer, "[]") end
  out[#out + 1] = text:sub(spans[2 * n] + 1)
  return doc:set("", table.concat(out))
end

--- Text of any origin for one line on a terminal.
---@param text any
---@param max? integer  bytes
---@return string
function json.printable(text, max)
  text = tostring(text)
  if max and #text > max then text = text:sub(1, max - 3):gsub("[\192-\255]?[\128-\191]*$", "") .. "..." end
  return (text:gsub("[^\32-\126\128-\255]", "?"):gsub("\194[\128-\159]", "?"))
end

--- The order of the bytes: `<` on strings follows the locale.
---@param a string
---@param b string
---@return boolean
json.before = core.before

--- Sorts strings by their bytes, in place.
---@param strings string[]
---@return string[] strings
function json.sort(strings)
  table.sort(strings, json.before)
  return strings
end

local function before_as_text(a, b)
  return json.before(tostring(a), tostring(b))
end

--- The keys of a table in the order of their bytes, numbers as text: `pairs` has another order in every run.
---@param t table
---@return any[] keys
function json.keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, before_as_text)
  return keys
end

--- A name as Go's readers compare it with the names that they know: their letters have no case, and "s" and "k" one
-- more form each, which is not of ASCII.
---@param name string
---@return string
function json.folded(name)
  return (name:lower():gsub("\197\191", "s"):gsub("\226\132\170", "k"))
end

--- A name that occurs in other spellings, too. Go's readers take one for the
-- other, ours do not, so that they would see different documents.
---@param names table  an object, or the array of its keys
---@return string?
function json.case_clash(names)
  local first, clash = {}, nil
  for k, v in pairs(names) do
    local name = type(k) == "string" and k or v
    local folded = type(name) == "string" and json.folded(name)
    local other = folded and first[folded]
    if folded and not (other and json.before(other, name)) then first[folded] = name end
    if other then clash = json.sort({ first[folded], clash })[1] end
  end
  return clash
end

--- Names by what folded() makes of them, for case_problem().
---@param names string[]
---@return table<string, string>
function json.known(names)
  local known = {}
  for _, name in ipairs(names) do known[json.folded(name)] = name end
  return known
end

--- What is wrong with the names of an object, nil when nothing is: Go takes "CONFIG" for "config", and readers in other
-- languages do not, so that what runs would not be what was looked at.
---@param names any[]  keys() of what may be an array
---@param known table<string, string>  names that mean something, as known() gives them
---@return string?
function json.case_problem(names, known)
  local clash = json.case_clash(names)
  if clash then return "has keys that differ in their case only: " .. core.quote(clash) end
  for _, name in ipairs(names) do
    local right = type(name) == "string" and known[json.folded(name)]
    if right and right ~= name then
      return ("has %s written as %s, which some readers take for it and others do not know"):format(core.quote(right),
        core.quote(name))
    end
  end
  return nil
end

--- What JSON calls a table.
---@param t table
---@return "array"|"object"|nil kind  nil for an empty table without a mark
---@return string? message  when it is neither
function json.kind(t)
  local mt = getmetatable(t)
  local mark = mt == array_mt and "array" or mt == object_mt and "object" or nil
  local strings, numbers, highest = 0, 0, 0
  for k in next, t do
    if type(k) == "string" then
      strings = strings + 1
    elseif type(k) == "number" and k >= 1 and k % 1 == 0 then
      numbers = numbers + 1
      highest = math.max(highest, k)
    else
      return nil, "a key is neither a string nor an index"
    end
  end
  if strings > 0 and numbers > 0 then return nil, "a table has both names and indices" end
  if highest > numbers then return nil, "an array has holes" end
  local kind = strings > 0 and "object" or numbers > 0 and "array" or mark
  if mark and kind ~= mark then return nil, ("strata.%s() marks an %s"):format(mark, kind) end
  return kind
end

--- Writes a number: whole ones without a fraction, others so that they read back.
---@param n number
---@return string? text  nil for NaN and infinities
function json.number(n)
  if n ~= n or n == math.huge or n == -math.huge then return nil end
  if to_integer and to_integer(n) or n % 1 == 0 and n > -EXACT and n < EXACT then
    return ("%d"):format(n)
  end
  local text
  for digits = 15, 17 do
    text = ("%%.%dg"):format(digits):format(n)
    if tonumber(text) == n then break end
  end
  return (text:gsub("[^%d%+%-e]", ".")) -- some locales have another decimal point
end

local emit

local function problem_at(path, message)
  return path == "" and message or message .. " (at " .. path .. ")"
end

local function emit_array(t, path, like, out, depth)
  out[#out + 1] = "["
  for i = 1, #t do
    if i > 1 then out[#out + 1] = "," end
    local problem = emit(t[i], path .. "/" .. i - 1, like, out, depth)
    if problem then return problem end
  end
  out[#out + 1] = "]"
end

local function emit_object(t, path, like, out, depth)
  local names = {}
  for name in next, t do names[#names + 1] = name end
  json.sort(names)
  out[#out + 1] = "{"
  for i, name in ipairs(names) do
    if i > 1 then out[#out + 1] = "," end
    local quoted, message = core.json_quote(name)
    if not quoted then return problem_at(path, message) end
    out[#out + 1] = quoted
    out[#out + 1] = ":"
    local problem = emit(t[name], path .. json.part(name), like, out, depth)
    if problem then return problem end
  end
  out[#out + 1] = "}"
end

local function emit_table(t, path, like, out, depth)
  local kind, message = json.kind(t)
  if depth > MAX_DEPTH then
    message = "tables are nested too deep, or in a circle"
    path = ""
  elseif not kind and not message then
    kind = like(path)
    message = not kind
      and "an empty table can be an array or an object: say strata.array() or strata.object()" or nil
  end
  if message then return problem_at(path, message) end
  return (kind == "array" and emit_array or emit_object)(t, path, like, out, depth + 1)
end

-- Appends the text of a value to out; returns what is wrong with it, if anything.
function emit(value, path, like, out, depth)
  local kind = type(value)
  local text, message
  if value == json.null then
    text = "null"
  elseif kind == "string" then
    text, message = core.json_quote(value)
  elseif kind == "boolean" then
    text = tostring(value)
  elseif kind == "number" then
    text, message = json.number(value), "JSON has no NaN and no infinity"
  elseif kind == "table" then
    return emit_table(value, path, like, out, depth)
  else
    message = ("a %s is no JSON value"):format(kind)
  end
  if not text then return problem_at(path, message) end
  out[#out + 1] = text
end

--- Like json.encode, but returns nil and what is wrong with the value.
---@param value any
---@param like? "array"|"object"|fun(path: string): string?
---@return string? text
---@return string? message
function json.try_encode(value, like)
  local out = {}
  local hint = like
  if type(like) ~= "function" then
    hint = function(path) return path == "" and like or nil end
  end
  local problem = emit(value, "", hint, out, 1)
  if problem then return nil, problem end
  return table.concat(out)
end

--- Encodes a value: compact, names in the order of their bytes, with the
-- escapes of Go's encoding/json. Throws for what is no JSON value.
---@param value any
---@param like? "array"|"object"|fun(path: string): string?  what an empty table
--   is: that of the value itself, or by the JSON pointer inside the value
---@return string text
function json.encode(value, like)
  local text, message = json.try_encode(value, like)
  if not text then misuse(message) end
  return text
end

--- Whether two decoded values are the same.
---@param a any
---@param b any
---@return boolean
function json.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not json.same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

return json
