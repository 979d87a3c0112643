--- Patterns of paths: what matches them, without looking at any tree.

local glob = {}

local function escaped(char)
  return char:find("%w") and char or "%" .. char
end

-- What is in a class of characters, as the inside of one of Lua, where an escaped character bounds no range.
local function inside_of(text)
  local parts, at = {}, 1
  while at <= #text do
    local low, high = text:match("^(.)%-(.)", at)
    for byte = low and low:byte() or 1, high and high:byte() or 0 do parts[#parts + 1] = escaped(string.char(byte)) end
    if not low then parts[#parts + 1] = escaped(text:sub(at, at)) end
    at = at + (low and 3 or 1)
  end
  return table.concat(parts)
end

-- A class of characters: its Lua pattern, and where it ends; nil when nothing closes it. One that nothing is in, since
-- its range goes backwards, matches no character, and negated any.
local function class_at(text, at)
  local negated = text:match("^[!^]", at + 1)
  local first = at + (negated and 2 or 1)
  local close = text:find("]", first + 1, true)
  if not close then return nil end
  local inside = inside_of(text:sub(first, close - 1))
  if inside == "" then return negated and "." or "[^%z\1-\255]", close end
  return "[" .. (negated and "^" or "") .. inside .. "]", close
end

--- True when a name of a pattern is more than itself. "[" is the name of a program in /usr/bin.
---@param name string
---@return boolean
function glob.is_magic(name)
  return name:find("[%*%?%[]") ~= nil and name ~= "["
end

--- What is wrong with a pattern, nil for nothing: a class that does not end in its name.
---@param pattern string
---@return string?
function glob.problem(pattern)
  for name in pattern:gmatch("[^/]+") do
    local at = name ~= "[" and name:find("[", 1, true)
    while at do
      local _, close = class_at(name, at)
      if not close then return "its '[' has no ']' in the same name; '[[]' is the character itself" end
      at = name:find("[", close + 1, true)
    end
  end
end

--- The Lua pattern for one name of a pattern. A class that nothing closes stands for itself, as in a shell.
---@param text string
---@return string
function glob.name_pattern(text)
  local parts, at = { "^" }, 1
  while at <= #text do
    local char = text:sub(at, at)
    local class, close
    if char == "[" then class, close = class_at(text, at) end
    if class then
      parts[#parts + 1], at = class, close
    elseif char == "*" then
      parts[#parts + 1] = ".*"
    elseif char == "?" then
      parts[#parts + 1] = "."
    else
      parts[#parts + 1] = char:gsub("[^%w]", "%%%0")
    end
    at = at + 1
  end
  return table.concat(parts) .. "$"
end

-- Components of a pattern without magic characters are compared as they are.
local function compile(pattern)
  local components = {}
  for component in pattern:gmatch("[^/]+") do
    if component ~= "." then
      components[#components + 1] = { any = component == "**", plain = not glob.is_magic(component) and component,
        pattern = glob.name_pattern(component) }
    end
  end
  return components
end

-- Whether components match names: the rows of a table, one for each component, tell
-- which names are reached.
local function match_components(components, names)
  local reached = { [0] = true }
  for _, component in ipairs(components) do
    local now = {}
    for at = 0, #names do
      if component.any then
        now[at] = reached[at] or now[at - 1]
      elseif reached[at - 1] then
        local name = names[at]
        if component.plain then
          now[at] = component.plain == name
        else
          now[at] = name:find(component.pattern) ~= nil
        end
      end
    end
    reached = now
  end
  return reached[#names] or false
end

--- A function that tells whether a path matches one of the patterns, or is below what does.
---@param patterns string[]  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function glob.matcher(patterns)
  local list = {}
  for i, pattern in ipairs(patterns) do
    list[i] = compile(pattern)
    list[i][#list[i] + 1] = { any = true } -- and what is below
  end
  return function(path)
    local names = {}
    for name in (path == "." and "" or path):gmatch("[^/]+") do names[#names + 1] = name end -- the root has no name
    for _, components in ipairs(list) do
      if match_components(components, names) then return true end
    end
    return false
  end
end

return glob
