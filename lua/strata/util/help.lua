--- Help at a REPL: strata.help(), strata.help(img), strata.help(img, "squash"), strata.help(strata.open),
-- strata.help(saved), strata.help "save", strata.help "PushOptions", strata.help "expect", strata.help "ESTALE",
-- strata.help "limits"

local core = require "strata.core"
local json = require "strata.util.json"
local later = require "strata.util.later"
local limits = require "strata.util.limits"
local object = require "strata.util.object"
local options = require "strata.util.options"
local spelling = require "strata.util.spelling"
local texts = require "strata.util.help_text"

local help = {}

-- The first sentence of a text, in one line.
local function first_sentence(text)
  text = text:gsub("\n", " ")
  return text:match("^(.-%.) +%u") or text
end

local function line(name, text)
  return (("  %-38s  %s"):format(name, first_sentence(text)):gsub(" +$", ""))
end

-- The names of what is no result and no type, with what they begin with.
local function names_with(beginning)
  local names = {}
  for _, name in ipairs(json.keys(texts)) do
    if not texts[name].kind and name:find(beginning) then names[#names + 1] = name:match("%w+$") end
  end
  return table.concat(names, ", ")
end

-- A line for each field and each function; of the module what else can be asked for.
local function of_class(name)
  local class = texts[name]
  local lines = { name .. ": " .. first_sentence(class.text) }
  for _, field in ipairs(class.fields) do lines[#lines + 1] = line(field[1], field[2] .. "  " .. field[3]) end
  for _, fn in ipairs(class.functions) do lines[#lines + 1] = line(fn[2], fn[3]) end
  if name == "strata" then
    lines[#lines + 1] = "Objects: " .. names_with("^strata%.%u")
    lines[#lines + 1] = "Modules, to be required as strata.NAME: " .. names_with("^strata%.%l")
    lines[#lines + 1] = 'More: strata.help "Image", strata.help(img, "save"), strata.help(img.save), strata.help "jobs"'
  end
  return table.concat(lines, "\n")
end

local function indented(text)
  return (text:gsub("([^\n]+)", "  %1"))
end

-- The options of a class, but for those that were told already.
local function add_class(lines, class, told)
  lines[#lines + 1] = ("  %s: %s"):format(class, options.about(class))
  for option, row in options.each(class) do
    if told[option] ~= row then
      lines[#lines + 1] = ("    %-14s %-20s  %s"):format(option, row[2], options.text(row))
    end
    told[option] = row
  end
end

-- The options of the classes that parameters name.
local function add_options(lines, parameters)
  local told = {}
  for class in parameters:gmatch("strata%.(%u%w+)") do
    if options.rows[class] then add_class(lines, class, told) end
  end
end

-- All about a function: what it does, what it takes and gives, its options, and an example.
local function of_function(class, fn)
  local lines = { ("%s: %s"):format(class, fn[2]), indented(fn[3]) }
  if fn[4] ~= "" then lines[#lines + 1] = indented(fn[4]) end
  if fn[5] ~= "" then lines[#lines + 1] = "  gives\n" .. indented(indented(fn[5])) end
  add_options(lines, fn[4])
  if fn[6] ~= "" then lines[#lines + 1] = "  example\n" .. indented(indented(fn[6])) end
  return table.concat(lines, "\n")
end

-- A field, and all of the class that it is of.
local function of_field(class, field)
  local of = field[2]:match("^strata%.[%w_]+")
  local text = ("%s: %s  %s  %s"):format(class, field[1], field[2], field[3]):gsub(" +$", "")
  return of and texts[of] and text .. "\n" .. of_class(of) or text
end

-- The options of a name, each with the class that declares it.
local function options_named(name)
  local lines = {}
  for _, class in ipairs(options.classes) do
    for i = 3, #class do
      local row = class[i]
      if row[1] == name then
        lines[#lines + 1] = ("strata.%s: %s  %s  %s"):format(class[1], name, row[2], options.text(row)):gsub(" +$", "")
      end
    end
  end
  return lines[1] and table.concat(lines, "\n")
end

-- What has a name in some classes.
local function named(name, classes)
  local found = {}
  for _, class in ipairs(classes) do
    for _, fn in ipairs(texts[class].functions) do
      if fn[1] == name then found[#found + 1] = of_function(class, fn) end
    end
    for _, field in ipairs(texts[class].fields) do
      if field[1] == name then found[#found + 1] = of_field(class, field) end
    end
  end
  return found[1] and table.concat(found, "\n\n")
end

-- Every name that there is a text for.
local function all_names()
  local names = {}
  for class, text in pairs(texts) do
    names[class:gsub("^strata%.", "")] = true
    for _, list in ipairs { text.functions, text.fields } do
      for _, item in ipairs(list) do names[item[1]] = true end
    end
  end
  for class, rows in pairs(options.rows) do
    names[class] = true
    for option in pairs(rows) do names[option] = true end
  end
  return json.keys(names)
end

-- The class and the name of a function, which a module or a class has.
local function place_of(fn)
  for _, class in ipairs(json.keys(texts)) do
    local module = package.loaded[class]
    for _, list in ipairs { type(module) == "table" and module or {}, later.load(object.methods[class] or {}) } do
      for _, item in ipairs(texts[class].functions) do
        if rawget(list, item[1]) == fn then return class, item[1] end
      end
    end
  end
end

-- What is said when there is no text for a value: the name that was meant, or what the module has.
local function unknown(value)
  local likely = type(value) == "string" and spelling.likely(value, all_names())
  local is_empty = type(value) == "table" and next(value) == nil and value[1] == nil
  local shown = type(value) == "string" and core.quote(value) or is_empty and "an empty table" or "a " .. type(value)
  if likely then return ("There is no help for %s; did you mean '%s'?"):format(shown, likely) end
  return ('There is no help for %s: give an object, a function, or a name, as strata.help(img, "check").\n\n%s')
    :format(shown, of_class "strata")
end

-- The same for a name that a class does not have.
local function unknown_of(class, name)
  local names = {}
  for _, list in ipairs { texts[class].functions, texts[class].fields } do
    for _, item in ipairs(list) do names[#names + 1] = item[1] end
  end
  local likely = type(name) == "string" and spelling.likely(name, names)
  return ("There is no help for %s of %s%s"):format(core.quote(tostring(name)), class,
    likely and ("; did you mean '%s'?"):format(likely) or ".\n\n" .. of_class(class))
end

-- What has a name: functions, fields and codes, classes, options.
local function of_name(name)
  local short = name:match("^strata%.(.+)$") or name
  if short == "Limits" or short == "JsonLimits" then return "strata." .. short .. ": " .. limits.text() end
  local class = texts["strata." .. short] and "strata." .. short or texts[name] and name
  local parts = {}
  parts[1] = named(name, json.keys(texts)) or class and of_class(class)
  if options.rows[short] then
    local lines = {}
    add_class(lines, short, {})
    parts[#parts + 1] = table.concat(lines, "\n")
  end
  parts[#parts + 1] = not class and options_named(name) or nil
  return parts[1] and table.concat(parts, "\n\n")
end

-- How many fields of a class of results a table has; nil when it has others, or lacks one that is always there.
local function fields_in(value, class)
  local count, known = 0, {}
  for _, field in ipairs(class.fields) do
    known[field[1]] = true
    if rawget(value, field[1]) ~= nil then
      count = count + 1
    elseif not field[2]:find("?", -1, true) and field[2] ~= "any" then
      return nil
    end
  end
  for key in next, value do
    if type(key) == "string" and not known[key] then return nil end
  end
  return count
end

-- The class of results that a table has the fields of; of several that with the most of them, and the least besides.
local function result_class(value)
  local best, most, besides = nil, 0, 0
  for _, name in ipairs(json.keys(texts)) do
    local class = texts[name]
    local count = class.kind == "result" and fields_in(value, class) or 0
    local lacks = count > 0 and #class.fields - count or 0
    if count > most or count > 0 and count == most and lacks < besides then best, most, besides = name, count, lacks end
  end
  return best
end

-- The class of an object, a module, a result, or of what an array has.
local function class_of(value)
  local mt = type(value) == "userdata" and getmetatable(value)
  if mt and texts[mt.__name] then return mt.__name end
  if type(value) ~= "table" then return nil end
  for name in pairs(texts) do
    if package.loaded[name] == value then return name end
  end
  return result_class(value) or value[1] ~= value and class_of(value[1])
end

--- The text for an object, for what it has of a name, for a function, or for all that has a name; without any of them
-- that of the module.
---@param value? any
---@param name? string  of a method or a field of the value
---@return string
function help.text(value, name)
  if value == nil then return of_class "strata" end
  if value == "limits" or value == limits.defaults then return limits.text() end
  local class = class_of(value)
  if class then return not name and of_class(class) or named(name, { class }) or unknown_of(class, name) end
  if type(value) == "function" then
    class, name = place_of(value)
    return class and named(name, { class }) or unknown(value)
  end
  return type(value) == "string" and of_name(value) or unknown(value)
end

return help
