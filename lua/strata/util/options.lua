--- Checks options against the classes of strata.util.option_table, so that a slip is an error and not ignored.

local core = require "strata.core"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local modes = require "strata.util.mode"
local spelling = require "strata.util.spelling"

local options = {}

--- Every class, in order.
---@type strata.OptionClass[]
options.classes = require "strata.util.option_table"

--- By class, without "strata.": its options by name, those of the classes that it extends among them.
---@type table<string, table<string, strata.Option>>
options.rows = {}

local classes, orders = {}, {}
for _, class in ipairs(options.classes) do
  local name, rows, order = class[1], {}, {}
  for i = 3, #class do order[#order + 1] = class[i] end
  for _, other in ipairs(class.extends or {}) do
    for _, row in ipairs(orders[other]) do order[#order + 1] = row end
  end
  for _, row in ipairs(order) do rows[row[1]] = row end
  classes[name], orders[name], options.rows[name] = class, order, rows
end

--- Iterates over the options of a class, in order: name, row.
---@param class string
---@return fun(): string?, strata.Option?
function options.each(class)
  local at, order = 0, orders[class]
  return function()
    at = at + 1
    local row = order[at]
    if row then return row[1], row end
  end
end

--- What a class of options is about.
---@param class string
---@return string
function options.about(class)
  return classes[class][2]
end

--- What an option does, and what it is when it is not given; "" when its name says it all.
---@param row strata.Option
---@return string
function options.text(row)
  local default = row.default and (row[3] and ". Default: " or "default: ") .. row.default or ""
  return (row[3] or "") .. default
end

local function is_text(value) return not value:find("\0", 1, true) end

--- What `is` of an option may name: in words, and the rule for a string. Modules of other rooms add theirs.
-- `problem` says what is wrong with a string that does not keep the rule.
---@type table<string, {words: string, holds: (fun(value: string): any), problem?: fun(value: string): string}>
options.rules = {
  text = { words = "a string without NUL bytes", holds = is_text },
  mode = { words = 'octal digits such as "0755"', holds = modes.parse },
  digest = { words = "a digest such as sha256:0123…", holds = core.digest_valid },
  bytes = { words = "a string that is not empty", holds = function(value) return value ~= "" end },
}

-- ---- types ----------------------------------------------------------------------------------------------------

-- What type() gives for values of a LuaCATS type; a class of objects has its own name there.
local LUA_TYPES = {
  boolean = "boolean", string = "string", number = "number", integer = "number", table = "table",
  ["false"] = "boolean", ["strata.Progress"] = "function", ["strata.OwnerFunction"] = "function",
  ["strata.ModeFunction"] = "function", ["strata.Modes"] = "table",
  ["strata.Which"] = "string or table or function", ["strata.Paths"] = "string or table",
  ["strata.Limits"] = "table", ["strata.IdMap"] = "number or table or function",
}

local WORDS = {
  ["strata.Which"] = "paths, globs or a function", ["strata.Paths"] = "paths or globs",
  boolean = "true or false", ["false"] = "false", integer = "a whole number", ["string[]"] = "an array of strings",
  ["integer[][]"] = "an array of pairs of numbers",
}

-- The types that a union has.
local function alternatives(kind)
  local rest = kind
  return function()
    if rest == "" then return nil end
    local one, after = rest:match("^(table%b<>)|?(.*)$")
    if not one then one, after = rest:match("^([^|]*)|?(.*)$") end
    rest = after
    return one
  end
end

local function lua_type(kind)
  return LUA_TYPES[kind] or kind:find("^fun%(") and "function" or
    (classes[kind:sub(8)] or kind:find("[%]>]$")) and "table" or kind
end

-- The type of an option in words.
local function described(kind, row)
  local parts = {}
  local range = row.min and (" from %.0f "):format(row.min) .. (row.max and ("to %.0f"):format(row.max) or "on") or ""
  for one in alternatives(kind) do
    local rule = one == "string" and options.rules[row.is]
    parts[#parts + 1] = (one:match('^".*"$') or rule and rule.words or WORDS[one] or "a " .. lua_type(one))
      .. ((one == "integer" or one == "number") and range or "")
  end
  return table.concat(parts, " or ")
end

local function shown(value, row)
  if row and row.secret then return "a " .. type(value) end
  if type(value) == "string" and #value <= 64 then return core.quote(value) end
  return (type(value) == "number" or type(value) == "boolean") and tostring(value) or "a " .. type(value)
end

-- Whether a value that is no table with types inside is of a type.
local function fits(value, kind, row)
  local literal = kind:match('^"(.*)"$')
  if literal or kind == "any" then return literal == nil or value == literal end
  local wanted = lua_type(kind)
  if type(value) == "userdata" then return (getmetatable(value) or {}).__name == wanted end
  if not wanted:find(type(value), 1, true) or kind == "false" and value then return false end
  if type(value) == "number" then
    local whole = kind ~= "integer" or value % 1 == 0 or value == math.huge
    return whole and value >= (row.min or value) and value <= (row.max or value)
  end
  return type(value) ~= "string" or not row.is or options.rules[row.is].holds(value)
end

-- The levels that a compression has.
local LEVELS = { gzip = { 0, 9 }, zstd = { 1, 19 } }

-- What is wrong with a level beside the compression that it is for: it would be taken, and do nothing.
local function level_problem(level, compression, prefix)
  if compression == "none" then
    return ('%slevel is for compression = "gzip" or "zstd"; with "none" nothing is compressed'):format(prefix)
  end
  local range = LEVELS[compression]
  if not range or level >= range[1] and level <= range[2] then return nil end
  return ("%slevel of %s should be a whole number from %d to %d, not %s"):format(prefix, compression, range[1],
    range[2], shown(level))
end

local class_problem

-- What is wrong with a value, nil for nothing.
local function value_problem(value, kind, path, row)
  for one in alternatives(kind) do
    local key_type, inner = one:match("^table<(%a+), (.+)>$")
    if not inner then key_type, inner = "number", one:match("^(.+)%[%]$") end
    if type(value) ~= "table" or not (inner or lua_type(one) == "table") then
      if fits(value, one, row) then return nil end
    elseif inner then
      for _, key in ipairs(json.keys(value)) do
        local problem = type(key) ~= key_type and ("%s should be %s, without %s"):format(path, described(kind, row),
          shown(key)) or value_problem(value[key], inner, ("%s[%s]"):format(path, shown(key)), row)
        if problem then return problem end
      end
      return nil
    elseif one == "strata.Limits" then
      return limits.problem(value)
    else
      return classes[one:sub(8)] and class_problem(value, one:sub(8), path, path .. ".") or nil
    end
  end
  local problem = type(value) == "string" and row.is and options.rules[row.is].problem
  return ("%s should be %s, not %s%s"):format(path, described(kind, row), shown(value, row),
    problem and ": " .. problem(value) or "")
end

function class_problem(given, class, subject, prefix)
  local rows, noun = options.rows[class], classes[class].noun or "option"
  for _, name in ipairs(json.keys(given)) do
    local row = rows[name]
    if not row then
      local names = json.keys(rows)
      local likely = spelling.likely(tostring(name), names)
      return ("%s has no %s %s%s"):format(subject, noun, core.quote(tostring(name)),
        likely and ("; did you mean '%s'?"):format(likely) or ", only " .. table.concat(names, ", "))
    end
    local problem = value_problem(given[name], row[2], prefix .. name, row)
    if problem then return problem end
  end
  for name, row in options.each(class) do
    if row.required and given[name] == nil then return ("%s%s is missing"):format(prefix, name) end
  end
  if rows.level and rows.compression and given.level then
    return level_problem(given.level, given.compression or rows.compression.default, prefix)
  end
end

--- What is wrong with options: one that the class has not, a value of another type, or none that it must have.
---@param fn string  the function that they were given to
---@param class string  a key of options.rows
---@param opts? table
---@return string? problem
function options.problem(fn, class, opts)
  if opts == nil then opts = {} end
  if type(opts) ~= "table" then return ("%s: options should be a table, not %s"):format(fn, shown(opts)) end
  return class_problem(opts, class, fn, fn .. ": ")
end

--- Throws when something is wrong with options.
---@param fn string
---@param class string
---@param opts? table
function options.check(fn, class, opts)
  local problem = options.problem(fn, class, opts)
  if problem then misuse(problem) end
end

return options
