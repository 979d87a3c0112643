--- Reads files of LuaCATS annotations (lua/strata/meta): classes, aliases and functions, with their types.
--
-- A comment block stands before what it tells of. A description is two spaces behind a type or name, that of
-- a result without a name, or of a value, behind " # ". A block of code between "```lua" and "```" is the example of
-- a function or a class. What is not written like that throws, so that nothing is lost unseen.

local luacats = {}

-- ---- types ------------------------------------------------------------------------------------------------

---@class doc.Type
---@field kind "name"|"literal"|"union"|"array"|"optional"|"table"|"function"|"group"
---@field name? string
---@field parts? doc.Type[]  of a union; of a table the keys' and values' types
---@field of? doc.Type
---@field args? {name: string, optional: boolean, type: doc.Type}[]
---@field returns? doc.Type[]

local parse_type

local function skip(text, at)
  return text:match("^ *()", at)
end

local function expect(text, at, what)
  at = skip(text, at)
  if text:sub(at, at + #what - 1) ~= what then
    error(("'%s' expected at '%s'"):format(what, text:sub(at)), 0)
  end
  return at + #what
end

-- name: type, ... up to the closing bracket; a name may be [type].
local function parse_members(text, at, closing)
  local list = {}
  at = skip(text, at)
  while text:sub(at, at) ~= closing do
    if #list > 0 then at = skip(text, expect(text, at, ",")) end
    local name, optional, after = text:match("^([%w_%.]+)(%??) *:()", at)
    local key
    if not name then
      key, after = parse_type(text, expect(text, at, "["))
      after = expect(text, expect(text, after, "]"), ":")
    end
    local member = { name = name, key = key, optional = optional == "?" }
    member.type, at = parse_type(text, after)
    list[#list + 1] = member
    at = skip(text, at)
  end
  return list, at + 1
end

local function parse_function(text, at)
  local returns, args = {}
  args, at = parse_members(text, at, ")")
  local colon = text:match("^ *:()", at)
  while colon do
    returns[#returns + 1], at = parse_type(text, colon)
    colon = text:match("^, ()", at)
  end
  return { kind = "function", args = args, returns = returns }, at
end

local function parse_primary(text, at)
  local literal, after = text:match('^("[^"]*")()', at)
  if literal then return { kind = "literal", name = literal }, after end
  after = text:match("^fun%(()", at)
  if after then return parse_function(text, after) end
  local one = text:sub(at, at)
  if one == "(" then
    local inner
    inner, after = parse_type(text, at + 1)
    return { kind = "group", of = inner }, expect(text, after, ")")
  elseif one == "{" then
    local members
    members, after = parse_members(text, at + 1, "}")
    return { kind = "table", members = members }, after
  end
  local name
  name, after = text:match("^([%a_][%w_%.]*%*?)()", at)
  if not name then error(("a type expected at '%s'"):format(text:sub(at)), 0) end
  local generic = name == "table" and text:match("^<()", after)
  if not generic then return { kind = "name", name = name }, after end
  local key, value
  key, after = parse_type(text, generic)
  value, after = parse_type(text, skip(text, expect(text, after, ",")))
  return { kind = "table", parts = { key, value } }, expect(text, after, ">")
end

local function parse_suffixed(text, at)
  local one, after = parse_primary(text, at)
  while true do
    if text:sub(after, after + 1) == "[]" then
      one, after = { kind = "array", of = one }, after + 2
    elseif text:sub(after, after) == "?" then
      one, after = { kind = "optional", of = one }, after + 1
    else
      return one, after
    end
  end
end

--- The type that begins at a place of a text, and where it ends.
---@param text string
---@param at integer
---@return doc.Type
---@return integer after
function parse_type(text, at)
  local first, after = parse_suffixed(text, skip(text, at))
  local parts = { first }
  while text:sub(after, after) == "|" do
    parts[#parts + 1], after = parse_suffixed(text, after + 1)
  end
  if #parts == 1 then return first, after end
  return { kind = "union", parts = parts }, after
end

--- Calls fn with every name in a type.
---@param type doc.Type
---@param fn fun(name: string)
function luacats.each_name(type, fn)
  if type.kind == "name" then fn(type.name) end
  if type.of then luacats.each_name(type.of, fn) end
  for _, list in ipairs { type.parts or {}, type.returns or {} } do
    for _, one in ipairs(list) do luacats.each_name(one, fn) end
  end
  for _, list in ipairs { type.args or {}, type.members or {} } do
    for _, one in ipairs(list) do
      luacats.each_name(one.type, fn)
      if one.key then luacats.each_name(one.key, fn) end
    end
  end
end

-- ---- lines ------------------------------------------------------------------------------------------------

-- A type, and what follows it: a name after one space, a description after two.
local function typed(text)
  local type, after = parse_type(text, 1)
  local rest = text:sub(after)
  local name, more = rest:match("^ ([%w_]+)(.*)$")
  rest = more or rest
  local description = rest:match("^  ([^%s#].*)$") or rest:match("^ # (%S.*)$") or ""
  if rest ~= "" and description == "" then error(("two spaces, or ' # ', expected before '%s'"):format(rest), 0) end
  return { type = type, text = text:sub(1, after - 1), name = name, description = description }
end

local tags = {}

function tags.class(block, rest)
  local name, parents = rest:match("^([%w_%.]+)(.*)$")
  block.class = { kind = "class", name = name, fields = {}, parents = {}, operators = {} }
  for parent in parents:gmatch("[%w_%.]+") do table.insert(block.class.parents, parent) end
end

function tags.field(block, rest)
  local scope, after = rest:match("^(private) (.*)$")
  rest = after or rest
  local name, optional, type = rest:match("^([%w_]+)(%??) (.*)$")
  local indexed
  if not name then
    name, type = rest:match('^%["([^"]+)"%] (.*)$')
  end
  if not name then
    indexed, type = rest:match("^%[([%w_]+)%] (.*)$")
  end
  local field = typed(type)
  field.name, field.optional, field.private, field.indexed = name, optional == "?", scope ~= nil, indexed
  table.insert(block.class.fields, field)
end

function tags.operator(block, rest)
  local name, type = rest:match("^(%w+): (.*)$")
  local operator = typed(type)
  operator.name = name
  table.insert(block.class.operators, operator)
end

-- What calling a value of a class does.
function tags.overload(block, rest)
  local overload = typed(rest)
  overload.name = "call"
  table.insert(block.class.operators, overload)
end

function tags.alias(block, rest)
  local name, type = rest:match("^([%w_%.]+) ?(.*)$")
  block.alias = { kind = "alias", name = name, values = {} }
  if type ~= "" then
    block.alias.type = typed(type)
  end
end

function tags.param(block, rest)
  local name, optional, type = rest:match("^([%w_%.]+)(%??) (.*)$")
  local param = typed(type)
  param.name, param.optional = name, optional == "?"
  table.insert(block.params, param)
end

-- Without a name "#" stands before a description, or editors would take its first word for one.
tags["return"] = function(block, rest)
  local one = typed(rest)
  if not one.name and one.description ~= "" and not rest:find(" # ", 1, true) then
    error("' # ' expected before the description of a result without a name", 0)
  end
  table.insert(block.returns, one)
end

function tags.private(block)
  block.private = true
end

function tags.meta(block, rest)
  block.meta = rest
end

-- One line of an example: `block.code` has those of the one that has begun.
local function read_code(block, line)
  local text = line:match("^%-%-%-(.*)$")
  if text ~= "```" then
    table.insert(block.code, text)
    return
  end
  if block.example then error("a second example", 0) end
  block.example, block.code = table.concat(block.code, "\n"), nil
end

-- One line of a comment block.
local function read_line(block, line)
  if block.code then
    read_code(block, line)
    return
  elseif line == "---```lua" then
    block.code = {}
    return
  end
  local tag, rest = line:match("^%-%-%-@(%a+) ?(.*)$")
  if tag then
    if not tags[tag] then error("unknown tag @" .. tag, 0) end
    tags[tag](block, rest)
    return
  end
  local value = line:match("^%-%-%-| (.*)$")
  if value then
    table.insert(block.alias.values, typed(value))
    return
  end
  if line:find("^%-%-%-  ") then error("a description goes on: editors would take it for the next line's", 0) end
  table.insert(block.text, line:match("^%-%-%- ?(.*)$"))
end

local function new_block()
  return { text = {}, params = {}, returns = {} }
end

-- A block that says what a comment belongs to: a class, an alias, or a function below it.
local function finish_block(file, block, line)
  local text = table.concat(block.text, "\n"):gsub("\n+$", "")
  for _, item in ipairs { block.class or false, block.alias or false } do
    if item then
      item.text, item.example, item.file = text, block.example, file.name
      table.insert(file.items, item)
    end
  end
  local variable = line:match("^local ([%w_]+) = {}$")
  if variable then
    file.variables[variable] = assert(block.class, "a variable without a class")
    block.class.variable = variable
  end
  local owner, colon, name, args = line:match("^function ([%w_]+)([%.:])([%w_]+)%((.-)%) end$")
  if not owner then return end
  local item = { kind = "function", name = name, method = colon == ":", args = {}, text = text, file = file.name,
                 params = block.params, returns = block.returns, private = block.private, example = block.example }
  for arg in args:gmatch("[^, ]+") do table.insert(item.args, arg) end
  item.class = assert(file.variables[owner], "a function of what is no class").name
  table.insert(file.items, item)
end

local function is_known(line)
  return line == "" or line:find("^local [%w_]+ = {}$") or line:find("^function .* end$") or
    line:find("^return [%w_]+$")
end

--- Reads the text of a file.
---@param text string
---@param name string  of the file, for messages
---@return {name: string, meta: string, items: table[]}
function luacats.parse(text, name)
  local file = { name = name, items = {}, variables = {} }
  local block, number = new_block(), 0
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    local ok, message = pcall(function()
      if line:find("^%-%-%-") then
        read_line(block, line)
        return
      end
      if block.code or not is_known(line) then error("this is no annotation", 0) end
      file.meta = file.meta or block.meta
      finish_block(file, block, line)
      block = new_block()
    end)
    if not ok then error(("%s:%d: %s"):format(name, number, message), 0) end
  end
  if block.code then error(("%s:%d: an example does not end"):format(name, number), 0) end
  finish_block(file, block, "")
  return file
end

-- ---- all of it --------------------------------------------------------------------------------------------

-- The items of a file without its classes that name one which an earlier file declares, and only have functions to add.
local function without_repeated(items, classes)
  local list = {}
  for _, item in ipairs(items) do
    local adds = item.kind == "class" and classes[item.name] and item.variable and item.text == ""
    if not adds or item.fields[1] or item.parents[1] then list[#list + 1] = item end
  end
  return list
end

--- The files of a directory, in the order of their names, and what they declare, by name.
---@param directory string
---@return table[] files
---@return table<string, table> classes
---@return table<string, table> aliases
---@return table<string, table<string, table>> functions  by class and name
function luacats.load(directory)
  local files, classes, aliases, functions = {}, {}, {}, {}
  local pipe = assert(io.popen(("ls %s/*.lua"):format(directory)))
  for path in pipe:lines() do
    local handle = assert(io.open(path, "rb"))
    local file = luacats.parse(handle:read("*a"), path)
    handle:close()
    file.items = without_repeated(file.items, classes)
    table.insert(files, file)
    for _, item in ipairs(file.items) do
      local into = item.kind == "class" and classes or item.kind == "alias" and aliases
      if item.kind == "function" then
        functions[item.class] = functions[item.class] or {}
        into = functions[item.class]
      end
      if into[item.name] then error(("%s: %s is declared twice"):format(path, item.name), 0) end
      into[item.name] = item
    end
  end
  pipe:close()
  return files, classes, aliases, functions
end

--- The fields of a class, with those of its parents.
---@param classes table<string, table>
---@param name string
---@return table<string, table>
function luacats.fields(classes, name)
  local all = {}
  local class = classes[name]
  for _, parent in ipairs(class and class.parents or {}) do
    for key, field in pairs(luacats.fields(classes, parent)) do all[key] = field end
  end
  for _, field in ipairs(class and class.fields or {}) do
    if field.name then all[field.name] = field end
  end
  return all
end

--- The public fields of a class with names, in their order, and behind them those of the classes that it extends.
---@param classes table<string, table>
---@param class table
---@return table[]
function luacats.fields_in_order(classes, class)
  local list, seen = {}, {}
  local function add(one)
    for _, field in ipairs(one.fields) do
      if field.name and not field.private and not seen[field.name] then
        seen[field.name] = true
        list[#list + 1] = field
      end
    end
    for _, parent in ipairs(one.parents) do
      if classes[parent] then add(classes[parent]) end
    end
  end
  add(class)
  return list
end

--- How a function is called: name(a, b [, c [, d]]).
---@param item table
---@return string
function luacats.signature(item)
  local parts, open = {}, 0
  for i, arg in ipairs(item.args) do
    local param = item.params[i]
    local is_optional = param.optional or param.text:find("%?$") ~= nil
    if is_optional then open = open + 1 end
    parts[i] = (is_optional and (i > 1 and " [, " or "[") or i > 1 and ", " or "") .. arg
  end
  return ("%s(%s%s)"):format(item.name, table.concat(parts), ("]"):rep(open))
end

luacats.parse_type = parse_type

return luacats
