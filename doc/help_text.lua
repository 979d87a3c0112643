--- Writes lua/strata/util/help_text.lua: what strata.help tells, of the annotations in lua/strata/meta.
--
-- lua5.4 doc/help_text.lua > lua/strata/util/help_text.lua

local luacats = require "doc.luacats"

local help_text = {}

local function quoted(text)
  return (("%q"):format(text):gsub("\n", "n"))
end

-- name(a, b [, c [, d]])
local function signature(item)
  local parts, open = {}, 0
  for i, arg in ipairs(item.args) do
    local param = item.params[i]
    local is_optional = param.optional or param.text:find("%?$") ~= nil
    if is_optional then open = open + 1 end
    parts[i] = (is_optional and (i > 1 and " [, " or "[") or i > 1 and ", " or "") .. arg
  end
  return ("%s(%s%s)"):format(item.name, table.concat(parts), ("]"):rep(open))
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
  lines[#lines + 1] = ("    { %s, %s, %s, %s, %s },"):format(quoted(item.name), quoted(signature(item)),
    quoted(item.text), quoted(lines_of(item.params)), quoted(lines_of(item.returns, "result")))
end

local function add_class(lines, class, items)
  lines[#lines + 1] = ("  [%s] = { text = %s,"):format(quoted(class.name), quoted(class.text))
  lines[#lines + 1] = "    fields = {"
  for _, field in ipairs(class.fields) do
    if field.name and not field.private then
      lines[#lines + 1] = ("    { %s, %s, %s },"):format(quoted(field.name), quoted(field.text),
        quoted(field.description))
    end
  end
  for _, one in ipairs(class.operators) do
    lines[#lines + 1] = ("    { \"()\", %s, %s },"):format(quoted(one.text), quoted(one.description))
  end
  lines[#lines + 1] = "    },"
  lines[#lines + 1] = "    functions = {"
  for _, item in ipairs(items) do add_function(lines, item) end
  lines[#lines + 1] = "    },"
  lines[#lines + 1] = "  },"
end

-- An alias as a class whose fields are its values, or what it stands for.
local function add_alias(lines, alias)
  local class = { name = alias.name, text = alias.text, fields = {}, operators = {} }
  if alias.type then class.fields[1] = { name = "=", text = alias.type.text, description = "" } end
  for i, value in ipairs(alias.values) do
    class.fields[i] = { name = value.text:gsub('"', ""), text = "", description = value.description }
  end
  add_class(lines, class, {})
end

--- The text of the file.
---@return string
function help_text.text()
  local lines = {
    "-- luacheck: no max line length",
    "--- Written by doc/help_text.lua from lua/strata/meta: by class or alias the text, fields {name, type, text} and",
    "-- functions {name, signature, text, parameters, results}.",
    "return {",
  }
  local files, classes = luacats.load("lua/strata/meta")
  local names, items, aliases = {}, {}, {}
  for _, file in ipairs(files) do
    for _, item in ipairs(file.items) do
      if item.kind == "function" and not item.private then
        items[item.class] = items[item.class] or {}
        table.insert(items[item.class], item)
      elseif item.kind == "class" and (item.variable or item.parents[1] == "userdata") then
        names[#names + 1] = item.name
      elseif item.kind == "alias" then
        names[#names + 1], aliases[item.name] = item.name, item
      end
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if aliases[name] then add_alias(lines, aliases[name]) else add_class(lines, classes[name], items[name] or {}) end
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

if not ... then io.write(help_text.text()) end

return help_text
