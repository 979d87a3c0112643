--- Writes lua/strata/util/help_text.lua: what strata.help tells, of the annotations in lua/strata/meta.
--
-- lua5.4 doc/help_text.lua > lua/strata/util/help_text.lua

local luacats = require "doc.luacats"

local help_text = {}

local function quoted(text)
  return (("%q"):format(text):gsub("\n", "n"))
end

-- "name  type  description", a line each.
local function lines_of(list, unnamed)
  local lines = {}
  for i, one in ipairs(list) do
    local name = one.name or unnamed
    lines[i] = ("%-10s %s%s"):format(name, one.text, one.description ~= "" and "  " .. one.description or "")
  end
  return table.concat(lines, "\n")
end

local function add_function(lines, item)
  lines[#lines + 1] = ("    { %s, %s, %s, %s, %s, %s },"):format(quoted(item.name), quoted(luacats.signature(item)),
    quoted(item.text), quoted(lines_of(item.params)), quoted(lines_of(item.returns, "result")),
    quoted(item.example or ""))
end

local function add_list(lines, name, list, add)
  if not list[1] then
    lines[#lines + 1] = "    " .. name .. " = {},"
    return
  end
  lines[#lines + 1] = "    " .. name .. " = {"
  for _, one in ipairs(list) do add(lines, one) end
  lines[#lines + 1] = "    },"
end

local function add_field(lines, field)
  lines[#lines + 1] = ("    { %s, %s, %s },"):format(quoted(field.name),
    quoted(field.text .. (field.optional and "?" or "")), quoted(field.description))
end

local function add(lines, item, fields, items)
  local kind = item.kind == "alias" and "type" or not item.variable and item.parents[1] ~= "userdata" and "result"
  lines[#lines + 1] = ("  [%s] = { text = %s,%s"):format(quoted(item.name), quoted(item.text),
    kind and (" kind = %s,"):format(quoted(kind)) or "")
  add_list(lines, "fields", fields, add_field)
  add_list(lines, "functions", items or {}, add_function)
  lines[#lines + 1] = "  },"
end

-- The values of an alias, or what it stands for.
local function values_of(alias)
  local list = {}
  if alias.type then list[1] = { name = "=", text = alias.type.text, description = "" } end
  for i, value in ipairs(alias.values) do
    list[i] = { name = value.text:gsub('"', ""), text = "", description = value.description }
  end
  return list
end

-- What a class has, and how it is called when it can be.
local function fields_of(class, classes)
  local list = luacats.fields_in_order(classes, class)
  for _, one in ipairs(class.operators) do
    list[#list + 1] = { name = "()", text = one.text, description = one.description }
  end
  return list
end

--- The text of the file. Options are told by strata.util.option_table.
---@return string
function help_text.text()
  local lines = {
    "-- luacheck: no max line length",
    "--- Written by doc/help_text.lua from lua/strata/meta: by name of a class or type its text, kind (\"result\",",
    "-- \"type\", nil for objects and modules), fields {name, type, text} and functions {name, signature, text,",
    "-- parameters, results, example}.",
    "return {",
  }
  local files, classes, aliases = luacats.load("lua/strata/meta")
  local names, items = {}, {}
  for _, file in ipairs(files) do
    for _, item in ipairs(file.items) do
      if item.kind == "function" and not item.private then
        items[item.class] = items[item.class] or {}
        table.insert(items[item.class], item)
      elseif item.kind ~= "function" and not file.name:find("/options%.lua$") then
        names[#names + 1] = item.name
      end
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local alias, class = aliases[name], classes[name]
    add(lines, alias or class, alias and values_of(alias) or fields_of(class, classes), items[name])
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

if not ... then io.write(help_text.text()) end

return help_text
