--- What the parser of the command knows, as plain tables: for the man page and the completions of shells.

local command = require "strata.command"

local model = {}

---@class doc.Option
---@field names string[]  "-o", "--output"
---@field value? string  how its value is called
---@field choices? string[]
---@field text string
---@field many boolean

---@class doc.Command
---@field name string  "index add"
---@field summary string
---@field text string
---@field usage string
---@field example? string
---@field groups {name: string, options: doc.Option[]}[]
---@field arguments {name: string, text: string, many: boolean, optional: boolean}[]
---@field commands doc.Command[]

local function option_of(option)
  local argname = option._argname
  if type(argname) == "table" then argname = argname[1] end
  return { names = option._aliases, value = option._maxargs > 0 and (argname or "VALUE") or nil,
           choices = option._choices, text = option._description or "", many = option._maxcount > 1 }
end

-- Options by the groups that help has; those of none come first.
local function groups_of(parser)
  local grouped, groups, rest = {}, {}, { name = "Options", options = {} }
  for _, group in ipairs(parser._groups) do
    local list = {}
    for _, element in ipairs(group) do
      if element._aliases and element._maxargs and not element._commands then
        list[#list + 1] = option_of(element)
        grouped[element] = true
      end
    end
    if list[1] then groups[#groups + 1] = { name = group.name, options = list } end
  end
  for _, option in ipairs(parser._options) do
    if not grouped[option] then rest.options[#rest.options + 1] = option_of(option) end
  end
  if groups[1] and groups[1].name == rest.name then
    for i, option in ipairs(rest.options) do table.insert(groups[1].options, i, option) end
  else
    table.insert(groups, 1, rest)
  end
  return groups
end

local function describe(parser, name)
  local made = {
    name = name, summary = parser._summary or "", text = parser._description or "", arguments = {}, commands = {},
    usage = (parser._usage or ""):gsub("^Usage: ", ""), example = (parser._epilog or ""):match("^Example:\n *(.*)$"),
    groups = groups_of(parser),
  }
  for _, argument in ipairs(parser._arguments) do
    made.arguments[#made.arguments + 1] = { name = argument._name, text = argument._description or "",
      many = argument._maxargs > 1, optional = argument._minargs == 0 }
  end
  for _, one in ipairs(parser._commands) do
    made.commands[#made.commands + 1] = describe(one, (name and name .. " " or "") .. one._name)
  end
  return made
end

--- The command with its subcommands.
---@return doc.Command
function model.read()
  return describe(command.parser())
end

--- Calls a function for each command that has no subcommands, in order.
---@param top doc.Command
---@param fn fun(one: doc.Command)
function model.each(top, fn)
  for _, one in ipairs(top.commands) do
    if one.commands[1] then model.each(one, fn) else fn(one) end
  end
end

local PATHS = { DIRECTORY = "directory", LAYOUT = "directory" }
for name in ("IMAGE OTHER FILE TO SCRIPT POLICY SOURCE OLD_BASE NEW_BASE INDEX BASE ARGUMENT REPOSITORY ARTIFACT")
  :gmatch("%S+") do
  PATHS[name] = "file"
end

--- Whether a value is a path of this machine: "file", "directory"; else "other".
---@param name string  of an argument, or of the value of an option
---@return string
function model.kind(name)
  return PATHS[name:match("^[%u_]*")] or "other"
end

--- The names of all options of a command.
---@param one doc.Command
---@return string[]
function model.option_names(one)
  local names = {}
  for _, group in ipairs(one.groups) do
    for _, option in ipairs(group.options) do
      for _, name in ipairs(option.names) do names[#names + 1] = name end
    end
  end
  return names
end

return model
