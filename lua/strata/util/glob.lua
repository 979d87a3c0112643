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
-- its range goes backwards, matches no character, and negated any. in_path: no "/" is in it.
local function class_at(text, at, in_path)
  local negated = text:match("^[!^]", at + 1)
  local first = at + (negated and 2 or 1)
  local close = text:find("]", first + 1, true)
  if not close then return nil end
  local inside = inside_of(text:sub(first, close - 1))
  if in_path then inside = negated and "/" .. inside or inside:gsub("%%/", "") end
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

-- The Lua pattern for one name of a pattern, without its ends. in_path: it is held against a whole path, and matches
-- no "/".
local function translated(text, in_path)
  local parts, at, any = {}, 1, in_path and "[^/]" or "."
  while at <= #text do
    local char = text:sub(at, at)
    local class, close
    if char == "[" then class, close = class_at(text, at, in_path) end
    if class then
      parts[#parts + 1], at = class, close
    elseif char == "*" then
      parts[#parts + 1] = any .. "*"
    elseif char == "?" then
      parts[#parts + 1] = any
    else
      parts[#parts + 1] = char:gsub("[^%w]", "%%%0")
    end
    at = at + 1
  end
  return table.concat(parts)
end

--- The Lua pattern for one name of a pattern. A class that nothing closes stands for itself, as in a shell.
---@param text string
---@return string
function glob.name_pattern(text)
  return "^" .. translated(text) .. "$"
end

-- Components of a pattern without magic characters are compared as they are.
local function compile(pattern)
  local components = {}
  for component in pattern:gmatch("[^/]+") do
    if component ~= "." then
      components[#components + 1] = { any = component == "**", text = component,
        plain = not glob.is_magic(component) and component, pattern = glob.name_pattern(component) }
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

-- How many "*" a pattern may have that is held against a whole path: of more, matching may go back too often.
local MANY = 4

-- Lua patterns for the components of a pattern, of which one matches "/name/name/" when the pattern matches the path or
-- what the path is below; and what the path has in it when no component is magic. nil: matching could take too long.
local function path_patterns(components)
  local last, stars, is_plain, front, parts = #components, 0, true, nil, {}
  while last > 0 and components[last].any do last = last - 1 end -- what is below is meant without it, too
  for at = 1, last do
    local component = components[at]
    if not component.any then
      stars = stars + select(2, component.text:gsub("%*", ""))
      is_plain = is_plain and component.plain ~= false
      parts[#parts + 1] = component.text
    elseif not (at > 1 and components[at - 1].any) then
      if front then return nil end
      front, parts = parts, {}
    end
  end
  if stars > MANY then return nil end
  local function joined(names)
    local patterns = {}
    for i, name in ipairs(names) do patterns[i] = translated(name, true) end
    return "/" .. table.concat(patterns, "/")
  end
  if last == 0 then return { "^/" } end
  if not front then return { "^" .. joined(parts) .. "/" } end
  local rest = joined(parts) .. "/"
  if not front[1] then return { rest }, is_plain and "/" .. table.concat(parts, "/") .. "/" end
  return { "^" .. joined(front) .. rest, "^" .. joined(front) .. "/.*" .. rest }
end

-- A function for one pattern: whether it matches a path, which is given as "/name/name/" and as its names.
local function matcher_of(pattern)
  local components = compile(pattern)
  local found, plain = path_patterns(components)
  if not found then
    components[#components + 1] = { any = true } -- and what is below
    return function(_, names) return match_components(components, names()) end
  end
  local first, second = found[1], found[2]
  if plain then return function(path) return path:find(plain, 1, true) ~= nil end end
  if second then return function(path) return path:find(first) ~= nil or path:find(second) ~= nil end end
  return function(path) return path:find(first) ~= nil end
end

--- The path that a pattern without magic characters is, as entries have theirs; nil for any other pattern.
---@param pattern string
---@return string?
function glob.plain(pattern)
  local names = {}
  for i, component in ipairs(compile(pattern)) do
    if component.any or not component.plain then return nil end
    names[i] = component.plain
  end
  return names[1] and table.concat(names, "/")
end

--- A function that tells whether a path matches one of the patterns, or is below what does.
---@param patterns string[]  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function glob.matcher(patterns)
  local list = {}
  for i, pattern in ipairs(patterns) do list[i] = matcher_of(pattern) end
  return function(path)
    local whole, split = path == "." and "/" or "/" .. path .. "/", nil -- the root has no name
    if whole:find("//", 1, true) then whole = whole:gsub("/+", "/") end
    local function names()
      if split then return split end
      split = {}
      for name in whole:gmatch("[^/]+") do split[#split + 1] = name end
      return split
    end
    for _, matches in ipairs(list) do
      if matches(whole, names) then return true end
    end
    return false
  end
end

return glob
