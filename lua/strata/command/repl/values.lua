--- The values that an expression leads to, and what can be done with them. No function of the user is called: where
-- the value is not known, the types of the library tell its class.

local help_text = require "strata.util.help_text"
local json = require "strata.util.json"
local object = require "strata.util.object"
local options = require "strata.util.options"
local printed = require "strata.util.printed"

local values = {}

---@class strata.repl.Known
---@field value? any
---@field class? string  "strata.Image": the class of the value, or a module
---@field of? strata.repl.Known  of a function: what has it
---@field fn? table  of a function: what help_text says of it

-- The class of a type that can be nothing else: of "strata.Rootfs?" it is strata.Rootfs.
local function class_of_type(kind)
  local name = kind:match("^(strata%.[%w_]+)%??$")
  return help_text[name] and name or nil
end

local function class_of(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  if type(meta) == "table" and help_text[meta.__name] then return meta.__name end
  if type(value) ~= "table" then return nil end
  for name in pairs(help_text) do
    if package.loaded[name] == value then return name end
  end
end

--- A value, as far as it is known.
---@param value any
---@return strata.repl.Known?
function values.known(value)
  if value == nil then return nil end
  return { value = value, class = class_of(value) }
end

local function row_of(rows, name)
  for _, row in ipairs(rows) do
    if row[1] == name then return row end
  end
end

-- Names and values of an object, as its pairs() gives them; what needs work has no value.
local function members(value)
  local iterate = getmetatable(value).__pairs
  local made, next_member, state, name = pcall(iterate, value)
  local list = {}
  while made do
    local member
    made, name, member = pcall(next_member, state, name)
    if not made or name == nil then break end
    list[#list + 1] = { name = name, value = member }
  end
  return list
end

-- What a table has at a key, through tables that it inherits from, and through the library's own views of lists.
local function of_table(list, key)
  for _ = 1, 10 do
    local value, meta = rawget(list, key), getmetatable(list)
    if value ~= nil or type(meta) ~= "table" then return value end
    if rawget(meta, "__tostring") == printed.copy then
      local ok, item = pcall(function() return list[key] end)
      return ok and item or nil
    end
    list = rawget(meta, "__index")
    if type(list) ~= "table" then return nil end
  end
end

local function is_object(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return type(meta) == "table" and object.methods[meta.__name] ~= nil
end

--- The value at a key of another one.
---@param known strata.repl.Known
---@param key any
---@return strata.repl.Known?
function values.at(known, key)
  local texts = help_text[known.class]
  local fn = texts and row_of(texts.functions, key)
  if fn then return { of = known, fn = fn } end
  local value
  if is_object(known.value) then
    for _, member in ipairs(members(known.value)) do
      if member.name == key then value = member.value end
    end
  elseif type(known.value) == "table" then
    value = of_table(known.value, key)
  elseif type(known.value) == "string" then
    value = string[key]
  end
  if value ~= nil then return values.known(value) end
  local field = texts and row_of(texts.fields, key)
  local class = field and class_of_type(field[2])
  return class and { class = class }
end

-- The value that a function gives, by its type.
local function result_of(known)
  local kind = known.fn and known.fn[5]:match("^%S+ +(%S+)")
  local class = kind and class_of_type(kind)
  return class and { class = class }
end

--- Follows the steps of an expression.
---@param steps? strata.repl.Step[]
---@param env table  the globals
---@return strata.repl.Known?
function values.follow(steps, env)
  local known = steps and values.known(of_table(env, steps[1].name))
  for i = 2, steps and #steps or 0 do
    if not known then return nil end
    local step = steps[i]
    if step.call then
      known = result_of(known)
    else
      known = values.at(known, step.name or step.key)
    end
  end
  return known
end

---@class strata.repl.Member
---@field name string
---@field method? boolean  it is called with a colon
---@field fn? table  what help_text says of it
---@field call? boolean  it is a function

--- What something has, in the order of the names.
---@param known strata.repl.Known
---@return strata.repl.Member[]
function values.members(known)
  local texts, list, seen = help_text[known.class], {}, {}
  local method = known.class ~= nil and object.methods[known.class] ~= nil or type(known.value) == "string"
  local function add(name, is_function)
    if type(name) ~= "string" or seen[name] then return end
    seen[name] = true
    local fn = texts and row_of(texts.functions, name)
    list[#list + 1] = { name = name, fn = fn, call = is_function, method = is_function and method }
  end
  for _, row in ipairs(texts and texts.functions or {}) do add(row[1], true) end
  if is_object(known.value) then
    for _, member in ipairs(members(known.value)) do add(member.name, type(member.value) == "function") end
  elseif known.value == nil then
    for _, row in ipairs(texts and texts.fields or {}) do add(row[1], false) end
  end
  local from = type(known.value) == "string" and string or known.value
  for _ = 1, type(from) == "table" and 10 or 0 do
    for name, value in next, from do add(name, type(value) == "function") end
    local meta = getmetatable(from)
    from = type(meta) == "table" and rawget(meta, "__index")
    if type(from) ~= "table" then break end
  end
  table.sort(list, function(a, b) return json.before(a.name, b.name) end)
  return list
end

-- The type of a parameter.
local function parameter(fn, number)
  for line in fn[4]:gmatch("[^\n]+") do
    number = number - 1
    if number == 0 then
      local name, rest = line:match("^(%S+) +(.*)$")
      return name, rest:match("^(.-)  ") or rest
    end
  end
end
values.parameter = parameter

--- The classes of options that are part of a type.
---@param kind string
---@return string[]  without "strata."
function values.option_classes(kind)
  local list = {}
  for class in kind:gmatch("strata%.([%w_]+)") do
    if options.rows[class] then list[#list + 1] = class end
  end
  return list
end

--- Options of classes, by name.
---@param classes string[]
---@return table<string, strata.Option>
function values.options(classes)
  local rows = {}
  for _, class in ipairs(classes) do
    for name, row in options.each(class) do rows[name] = row end
  end
  return rows
end

--- What follows the name of a function when it is called: "{" where it takes a table of options before all else.
---@param member strata.repl.Member
---@return string
function values.opening(member)
  local fn = member.fn
  if not fn then return "(" end
  if fn[4] == "" then return "()" end
  local _, kind = parameter(fn, 1)
  local required = not fn[2]:find("^[%w_]+%(%[")
  return required and #values.option_classes(kind) > 0 and not kind:find("|", 1, true) and "{" or "("
end

--- The string keys of a table or an object, sorted.
---@param known strata.repl.Known
---@return string[]
function values.keys(known)
  local names = {}
  if is_object(known.value) then
    for _, member in ipairs(members(known.value)) do
      if type(member.value) ~= "function" then names[#names + 1] = member.name end
    end
  elseif type(known.value) == "table" then
    for name in next, known.value do
      if type(name) == "string" then names[#names + 1] = name end
    end
  end
  return json.sort(names)
end

return values
