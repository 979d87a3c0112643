--- Completion of Lua code, as a function of the code, the cursor and the globals.

local json = require "strata.util.json"
local strings = require "strata.command.repl.strings"
local tokens = require "strata.command.repl.tokens"
local values = require "strata.command.repl.values"

local is_op = tokens.is_op

-- Where a token stands: as an argument of a function, as the value of an option, in a table that does, or as an index.
---@class strata.repl.Place
---@field fn? strata.repl.Known
---@field argument? integer
---@field table? strata.repl.Place
---@field option? string
---@field index_of? strata.repl.Known

local place_of

local function argument(list, last, number, env)
  local known = values.follow(tokens.chain(list, last), env)
  return known and known.fn and { fn = known, argument = number }
end

-- The place of the token at `at`, which may be one behind the last.
function place_of(list, at, env)
  local before = list[at - 1]
  if tokens.ends_value(before) then return argument(list, at - 1, 1, env) end
  local option
  if is_op(before, "=") and list[at - 2] and list[at - 2].kind == "name" then option = list[at - 2].text end
  local open, commas = tokens.enclosing(list, at)
  if not open then return nil end
  if is_op(list[open], "{") then
    local outer = place_of(list, open, env)
    return outer and { table = outer, option = option, fn = outer.fn }
  end
  if option or not tokens.ends_value(list[open - 1]) then return nil end
  if is_op(list[open], "(") then return argument(list, open - 1, commas + 1, env) end
  return { index_of = values.follow(tokens.chain(list, open - 1), env) }
end

-- The type of what stands in a place, and the parameter that it is, or is in.
local function type_of(place)
  if place.argument then
    local name, kind = values.parameter(place.fn.fn, place.argument)
    return kind or "", name
  end
  local kind, name = type_of(place.table)
  if place.option then
    local row = values.options(values.option_classes(kind))[place.option]
    return row and row[2] or "", name
  end
  return kind, name
end

-- Orders candidates and says where they begin.
local function give(from, list)
  return from, json.sort(list)
end

local function in_string(list, env, memo)
  local open = list[#list]
  local place = place_of(list, #list, env)
  if not place then return nil end
  local found = {}
  if place.index_of then
    for _, key in ipairs(values.keys(place.index_of)) do
      if key:sub(1, #open.text) == open.text and not key:find("[%c\\\"']") then found[#found + 1] = key end
    end
    return give(open.at, found)
  end
  local kind, name = type_of(place)
  local asked = { fn = place.fn, first = place.argument == 1, parameter = name, option = place.option, kind = kind }
  for _, one in ipairs(strings.candidates(asked, open.text, memo)) do found[#found + 1] = one.text end
  return give(open.at, found)
end

-- What begins with a name that is typed behind "." or ":". A method is found behind a dot too, when no field fits.
local function member(list, begun, from, env)
  local separator = from - 1
  local known = values.follow(tokens.chain(list, separator - 1), env)
  if not known then return nil end
  local colon = is_op(list[separator], ":")
  local fields, methods = {}, {}
  for _, one in ipairs(values.members(known)) do
    if one.name:sub(1, #begun) == begun and one.name:find("^[%a_][%w_]*$") then
      if one.call and (colon or one.method) then
        methods[#methods + 1] = ":" .. one.name .. values.opening(one)
      elseif not colon then
        fields[#fields + 1] = "." .. one.name .. (one.call and values.opening(one) or "")
      end
    end
  end
  return give(list[separator].at, #fields > 0 and fields or methods)
end

-- The names of options, where one may begin.
local function option_names(list, at, begun, env)
  local open = tokens.enclosing(list, at)
  if not (open and is_op(list[open], "{")) then return {} end
  local before = list[at - 1]
  if not (at - 1 == open or is_op(before, ",") or is_op(before, ";")) then return {} end
  local place = place_of(list, open, env)
  if not place or place.index_of then return {} end
  local given, found = {}, {}
  for i = open + 1, #list do
    if list[i].kind == "name" and is_op(list[i + 1], "=") then given[list[i].text] = true end
  end
  for name in pairs(values.options(values.option_classes((type_of(place))))) do
    if name:sub(1, #begun) == begun and not given[name] then found[#found + 1] = name .. " = " end
  end
  return found
end

local function global(begun, env)
  local found, seen = {}, {}
  for word in pairs(tokens.KEYWORDS) do
    if begun ~= "" and word:sub(1, #begun) == begun then found[#found + 1] = word end
  end
  for _, one in ipairs(values.members { value = env }) do
    if one.name:sub(1, #begun) == begun and one.name:find("^[%a_][%w_]*$") and not seen[one.name] then
      found[#found + 1] = one.name .. (one.call and "(" or "")
    end
  end
  return found
end

local function is_value(token)
  local is_literal = token ~= nil and (token.kind == "number" or token.kind == "string")
  return is_literal or tokens.ends_value(token) or is_op(token, "}")
end

--- What may follow.
---@param line string  code, several lines perhaps
---@param cursor integer  how many bytes of it are before the cursor
---@param env table  the globals
---@param memo? table  what has been worked out is kept there; good until something else is evaluated
---@return integer from  where the candidates begin
---@return string[] candidates  in the order of their bytes; each in place of all from there to the cursor
return function(line, cursor, env, memo)
  local list = tokens.split(line:sub(1, cursor))
  if not list then return cursor + 1, {} end
  local last = list[#list]
  local from, found
  if last and last.kind == "open" then
    if last.plain then from, found = in_string(list, env, memo or {}) end
    return from or cursor + 1, found or {}
  end
  -- A word that the cursor touches is the beginning of what is wanted.
  local begun, at, start = "", #list + 1, cursor + 1
  if last and (last.kind == "name" or last.kind == "keyword") and last.at + #last.text == cursor + 1 then
    begun, at, start = last.text, #list, last.at
  end
  local before = list[at - 1]
  if is_op(before, ".") or is_op(before, ":") then
    from, found = member(list, begun, at, env)
    return from or cursor + 1, found or {}
  end
  found = option_names(list, at, begun, env)
  if #found == 0 and not (begun == "" and is_value(before)) then found = global(begun, env) end
  return give(start, found)
end
