--- Names in a table that come with a module which is loaded when somebody asks for one of them first. Most scripts need
-- few of the operations on images, and reading the files of all took most of the time that `require "strata"` takes.

local json = require "strata.util.json"

local later = {}

-- Of each table the function that loads a name, by the name.
local waiting = setmetatable({}, { __mode = "k" })

--- Has a function called when one of some names is asked for and not there; it makes them.
---@param target table  of a class: its methods, its fields, what can be assigned
---@param names string  with spaces between them
---@param load fun()
function later.add(target, names, load)
  local loaders = waiting[target]
  if not loaders then
    loaders = {}
    waiting[target] = loaders
    setmetatable(target, { __index = function(_, name)
      if not loaders[name] then return nil end
      loaders[name]()
      return rawget(target, name)
    end })
  end
  for name in names:gmatch "%S+" do loaders[name] = load end
end

-- Of each class that is not there yet what to add to its methods.
local classes = {}

--- The same for the methods of a class that may not be loaded itself.
---@param class string
---@param names string
---@param load fun()
function later.add_to_class(class, names, load)
  classes[class] = classes[class] or {}
  table.insert(classes[class], { names = names, load = load })
end

--- Adds to the methods of a class, which has been loaded, what is to be loaded later.
---@param class string
---@param methods table<string, function>
function later.class_is_there(class, methods)
  for _, one in ipairs(classes[class] or {}) do later.add(methods, one.names, one.load) end
end

--- Loads what a table does not have yet, for those who list its names.
---@generic T
---@param target T
---@return T target
function later.load(target)
  local loaders = waiting[target]
  for _, name in ipairs(loaders and json.keys(loaders) or {}) do
    if rawget(target, name) == nil then loaders[name]() end
  end
  return target
end

return later
