--- Writes doc/reference.md: every function, method, field, option and result that lua/strata/meta declares, each with a
-- heading, grouped by object in the order in which a reader needs them. `strata.help` tells the same.
--
-- lua5.4 doc/reference.lua > doc/reference.md

local luacats = require "doc.luacats"

local reference = {}

local files, classes, aliases, functions = luacats.load("lua/strata/meta")

-- The objects and modules, and how an example calls one; without a name it is called by its own.
local ORDER = {
  { "strata" }, { "strata.Image", "img" }, { "strata.Config", "config" }, { "strata.HistoryRow", "row" },
  { "strata.Layer", "layer" }, { "strata.Entry", "entry" }, { "strata.Rootfs", "root" },
  { "strata.RootEntry", "found" }, { "strata.RootFile", "file" }, { "strata.Index", "index" },
  { "strata.Artifact", "artifact" }, { "strata.Registry", "registry" }, { "strata.Platform", "platform" },
  { "strata.policy", "policy" }, { "strata.assert", "assert" }, { "strata.stream", "strata.stream" },
  { "strata.Transform", "transform" },
  { "strata.TarStream", "parser" }, { "strata.waste", "waste" }, { "strata.jobs", "jobs" },
  { "strata.resty", "resty" }, { "strata.Resty", "surgery" }, { "strata.archive", "archive" },
}

local OBJECTS = {} -- those that are declared
local called = {} -- what an object is called, by its class
for _, object in ipairs(ORDER) do
  if classes[object[1]] then OBJECTS[#OBJECTS + 1] = object end
  called[object[1]] = object[2] or object[1]
end

local FAMILIES = { reading = "reading", writing = "writing", ["a registry"] = "registries", ["the job"] = "errors" }

-- ---- headings -------------------------------------------------------------------------------------------------

local function is_object(class)
  return class.parents[1] == "userdata" or functions[class.name] ~= nil or class.variable ~= nil
end

local function short(name)
  return name:match("^strata%.(.+)$") or name
end

-- Modules keep their whole name: strata.policy has rules, which are a strata.Policy.
local function title(name)
  return name:find("^strata%.%u") and short(name) or name
end

local function function_title(item)
  return short(item.class) .. (item.method and ":" or ".") .. item.name
end

--- The anchor of a heading, as GitHub and mkdocs make it.
---@param heading string
---@return string
function reference.anchor(heading)
  return (heading:lower():gsub("[^%w_ -]", ""):gsub(" ", "-"))
end

local function link(heading, text)
  return ("[%s](#%s)"):format(text or heading, reference.anchor(heading))
end

-- ---- text as Markdown -----------------------------------------------------------------------------------------

local HTML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["|"] = "&#124;" }

-- Code that can stand in a table, where a "|" would end the cell.
local function code(text)
  if not text:find("[|`]") then return "`" .. text .. "`" end
  return "<code>" .. text:gsub("[&<>|]", HTML) .. "</code>"
end

-- Names of documents become links, and what has a meaning in Markdown is quoted. Quotes of code stay.
local function prose(text)
  return ((text .. "`"):gsub("([^`]*)`([^`]*)`?", function(words, quoted)
    words = words:gsub("[*_<]", { ["*"] = "\\*", _ = "\\_", ["<"] = "&lt;" })
    words = words:gsub("doc/(%l+)%.md", "[%1.md](%1.md)"):gsub('"(E%u+)"', "`%1`")
    return words .. (quoted ~= "" and "`" .. quoted .. "`" or "")
  end))
end

local function cell(text)
  return (prose(text):gsub("|", "&#124;"))
end

-- "those of reading, of a registry" leads to where these codes are listed; "as img:save" to that call.
local function codes(text)
  text = prose(text):gsub("(of (%l[%l ]+))", function(words, family)
    return FAMILIES[family] and ("[%s](errors.md#%s)"):format(words, FAMILIES[family])
  end)
  return (text:gsub("(as (%l+)([:.])(%l+))", function(words, object, dot, name)
    for class, own in pairs(called) do
      local item = own == object and functions[class] and functions[class][name]
      if item then return "as " .. link(function_title(item), object .. dot .. name) end
    end
    return words
  end))
end

-- ---- types ----------------------------------------------------------------------------------------------------

local show

local function show_all(list, separator)
  local parts = {}
  for i, one in ipairs(list) do parts[i] = show(one) end
  return table.concat(parts, separator)
end

local function show_members(list)
  local parts = {}
  for i, one in ipairs(list) do
    local name = one.name or "[" .. show(one.key) .. "]"
    parts[i] = name .. (one.optional and "?" or "") .. ": " .. show(one.type)
  end
  return table.concat(parts, ", ")
end

local SHOWN = {
  name = function(type) return short(type.name) end,
  literal = function(type) return type.name end,
  array = function(type) return show(type.of) .. "[]" end,
  optional = function(type) return show(type.of) .. "?" end,
  group = function(type) return "(" .. show(type.of) .. ")" end,
  union = function(type) return show_all(type.parts, "|") end,
  table = function(type)
    return type.members and "{" .. show_members(type.members) .. "}" or "table<" .. show_all(type.parts, ", ") .. ">"
  end,
  ["function"] = function(type)
    return "fun(" .. show_members(type.args) .. ")" .. (type.returns[1] and ": " or "") .. show_all(type.returns, ", ")
  end,
}

-- A type in the words of LuaCATS, without "strata.".
function show(type)
  return SHOWN[type.kind](type)
end

local function has_heading(name)
  return classes[name] or aliases[name]
end

-- The same in Markdown, with links.
local function markdown(type)
  if type.kind == "name" and has_heading(type.name) then return link(title(type.name)) end
  if type.kind == "array" and type.of.kind == "name" and has_heading(type.of.name) then
    return "array of " .. markdown(type.of)
  end
  if type.kind == "group" then return markdown(type.of) end
  if type.kind == "optional" then return markdown(type.of) .. " or nil" end
  if type.kind ~= "union" then return code(show(type)) end
  local parts = {}
  for i, one in ipairs(type.parts) do parts[i] = markdown(one) end
  return table.concat(parts, ", ", 1, #parts - 1) .. " or " .. parts[#parts]
end

-- ---- a document -----------------------------------------------------------------------------------------------

local Document = {}
Document.__index = Document

function Document:add(text)
  self[#self + 1] = text
end

function Document:heading(level, text)
  local anchor = reference.anchor(text)
  if self.anchors[anchor] then error("two headings have the anchor " .. anchor) end
  self.anchors[anchor] = true
  self:add(("#"):rep(level) .. " " .. text .. "\n")
end

function Document:text(text)
  if text ~= "" then self:add(prose(text) .. "\n") end
end

function Document:example(text)
  if text then self:add("```lua\n" .. text .. "\n```\n") end
end

-- A table of fields: of options with what they are when they are not given.
function Document:fields(list, is_options)
  if not list[1] then return end
  self:add(is_options and "| option | type | default | |\n|---|---|---|---|" or "| field | type | |\n|---|---|---|")
  for _, field in ipairs(list) do
    local text, default = field.description, nil
    if is_options then
      local before, value = text:match("^(.-)%.? ?[Dd]efault: (.*)$")
      if before then text, default = before, value end
      default = default or not field.optional and "required" or ""
    end
    local type = field.optional and field.type.kind == "optional" and field.type.of or field.type
    self:add(("| `%s` | %s |%s %s |"):format(field.name, markdown(type), default and " " .. cell(default) .. " |" or "",
      cell(text)))
  end
  self:add("")
end

local function is_options(class)
  return class.file:find("/options%.lua$") ~= nil
end

-- Classes that a type leads to are told behind what names it first.
function Document:place(type, level)
  luacats.each_name(type, function(name)
    local item = classes[name] or aliases[name]
    if item and not self.told[name] and (item.kind == "alias" or not is_object(item)) then
      self.told[name] = true
      table.insert(item.kind == "alias" and self.aliases or self.waiting, { item = item, level = level })
    end
  end)
end

function Document:record(class, level)
  self:heading(level, title(class.name))
  self:text(class.text)
  for _, field in ipairs(class.fields) do
    if field.indexed then self:add(("An array of %s.\n"):format(markdown(field.type))) end
  end
  for _, operator in ipairs(class.operators) do self:add(("Called, it is %s.\n"):format(code(show(operator.type)))) end
  local list = luacats.fields_in_order(classes, class)
  self:fields(list, is_options(class))
  self:example(class.example)
  for _, field in ipairs(class.fields) do self:place(field.type, level) end
  for _, field in ipairs(list) do self:place(field.type, level) end
end

-- What waits, and what these lead to.
function Document:records()
  while self.waiting[1] do
    local one = table.remove(self.waiting, 1)
    self:record(one.item, one.level)
  end
end

function Document:params(item)
  if not item.params[1] then return end
  for _, param in ipairs(item.params) do
    local type = param.type.kind == "optional" and param.optional and param.type.of or param.type
    self:add(("- `%s` (%s%s)%s"):format(param.name, param.optional and "optional, " or "", markdown(type),
      param.description ~= "" and ": " .. prose(param.description) or ""))
  end
  self:add("")
end

-- Results of the form T?, U|string x, errcode? code are told as T, and x, or nil, message, code.
local function is_fallible(item)
  local third = item.returns[3]
  return third ~= nil and third.text == "strata.errcode?"
end

-- A type without one of its parts: a name, or "?".
local function without(type, name)
  if type.kind == "group" then return without(type.of, name) end
  if type.kind == "optional" then return name == "nil" and without(type.of, name) or type end
  if type.kind ~= "union" then return type end
  local parts = {}
  for _, one in ipairs(type.parts) do
    if not (one.kind == "name" and one.name == name) then parts[#parts + 1] = one end
  end
  return #parts == 1 and parts[1] or { kind = "union", parts = parts }
end

function Document:results(item)
  local list, fails = {}, is_fallible(item)
  for i, one in ipairs(item.returns) do
    local is_message = fails and (i == 3 or i == 2 and one.text == "string?")
    if not is_message then
      local type, text = one.type, one.description
      if fails and i == 1 then type = without(type, "nil") end
      if fails and i == 2 then
        type, text = without(type, "string"), text:gsub(",? *;? or the message$", "")
      end
      list[#list + 1] = ("%s%s%s"):format(one.name and one.name ~= "self" and "`" .. one.name .. "`, " or "",
        one.name == "self" and "itself" or markdown(type), text ~= "" and ": " .. prose(text) or "")
    end
  end
  if not list[1] then return end
  local failure = ""
  if fails then
    local told = item.returns[3].description
    failure = "\n\nor `nil, message, code`." .. (told ~= "" and " Codes: " .. codes(told) .. "." or "")
  end
  self:add("Gives\n\n- " .. table.concat(list, "\n- ") .. failure .. "\n")
end

function Document:call(item)
  self:heading(3, function_title(item))
  self:add(("**`%s%s%s`**\n"):format(called[item.class], item.method and ":" or ".", luacats.signature(item)))
  self:text(item.text)
  self:params(item)
  self:results(item)
  self:example(item.example)
  for _, list in ipairs { item.params, item.returns } do
    for _, one in ipairs(list) do self:place(one.type, 4) end
  end
  self:records()
end

-- The public functions of a class, in the order in which they are declared.
local function calls_of(class)
  local list = {}
  for _, file in ipairs(files) do
    for _, item in ipairs(file.items) do
      if item.kind == "function" and item.class == class.name and not item.private then list[#list + 1] = item end
    end
  end
  return list
end

function Document:fields_of(class)
  local list = luacats.fields_in_order(classes, class)
  if not list[1] then return end
  self:heading(3, "Fields of " .. title(class.name))
  self:fields(list)
  for _, field in ipairs(list) do self:place(field.type, 4) end
  self:records()
end

-- An object begins with its fields, a module with its functions.
function Document:object(class)
  local is_module = class.parents[1] ~= "userdata"
  self:heading(2, title(class.name))
  self:text(class.text)
  self:example(class.example)
  for _, operator in ipairs(class.operators) do self:add(("Called, it is %s.\n"):format(code(show(operator.type)))) end
  if not is_module then self:fields_of(class) end
  for _, item in ipairs(calls_of(class)) do self:call(item) end
  if is_module then self:fields_of(class) end
end

function Document:alias(alias)
  self:heading(3, title(alias.name))
  self:text(alias.text)
  if alias.type then self:add(markdown(alias.type.type) .. "\n") end
  for _, value in ipairs(alias.values) do
    self:add(("- `%s`%s"):format(value.type.name, value.description ~= "" and ": " .. prose(value.description) or ""))
  end
  self:add("")
  if alias.type then self:place(alias.type.type, 3) end
end

-- Types that are told nowhere else; codes have a page of their own.
function Document:types()
  self:heading(2, "Types")
  self:add("What several of the above take or give.\n")
  while self.aliases[1] do
    table.sort(self.aliases, function(a, b) return a.item.name < b.item.name end)
    local one = table.remove(self.aliases, 1)
    if one.item.name == "strata.errcode" then
      self:heading(3, title(one.item.name))
      self:text(one.item.text)
      self:text("doc/errors.md lists them.")
    else
      self:alias(one.item)
    end
    self:records()
  end
end

-- ---- all of it ------------------------------------------------------------------------------------------------

local BEGINNING = [[
# Reference

Written by `make types` from the types in `lua/strata/meta`, which editors read as well (LuaCATS). `strata.help(x)`
tells the same at a REPL, of an object, a function, a result or a name: `strata.help(img)`, `strata.help(img.save)`,
`strata.help "squash"`.

Arguments in `[]` may be left out, and so may options. The examples begin with the lines under [strata](#strata); what
they print stands behind `-->`, where `…` is for anything.
]]

local function contents()
  local lines = { "## Contents\n" }
  for _, object in ipairs(OBJECTS) do
    local class, links = classes[object[1]], {}
    if luacats.fields_in_order(classes, class)[1] then links[1] = link("Fields of " .. title(class.name), "fields") end
    for _, item in ipairs(calls_of(class)) do links[#links + 1] = link(function_title(item), item.name) end
    lines[#lines + 1] = ("- %s%s"):format(link(title(class.name)), links[1] and ": " .. table.concat(links, ", ") or "")
  end
  return lines
end

-- Links to the headings of records, in the order of their names.
local function index_of(told, wanted)
  local names, links = {}, {}
  for name in pairs(told) do
    if classes[name] and is_options(classes[name]) == wanted then names[#names + 1] = title(name) end
  end
  table.sort(names)
  for i, name in ipairs(names) do links[i] = link(name) end
  return table.concat(links, ", ")
end

--- The text of the file.
---@return string
function reference.text()
  local document = setmetatable({ anchors = {}, told = {}, waiting = {}, aliases = {} }, Document)
  for _, file in ipairs(files) do
    for _, item in ipairs(file.items) do
      if item.kind == "class" and is_object(item) then assert(called[item.name], item.name .. " has no place") end
    end
  end
  for _, object in ipairs(OBJECTS) do document:object(classes[object[1]]) end
  document:types()
  local lines = contents()
  lines[#lines + 1] = "- options: " .. index_of(document.told, true)
  lines[#lines + 1] = "- results: " .. index_of(document.told, false)
  lines[#lines + 1] = "- " .. link("Types") .. "\n"
  local text = BEGINNING .. "\n" .. table.concat(lines, "\n") .. "\n" .. table.concat(document, "\n")
  return (text:gsub("\n\n\n+", "\n\n"):gsub("\n+$", "\n"))
end

if not ... then io.write(reference.text()) end

return reference
