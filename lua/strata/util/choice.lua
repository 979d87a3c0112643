--- The one way to name paths: a path, a glob, {pattern = "a Lua pattern"}, an array of those, or a function that
-- returns a boolean. A path that is a directory means all below it. With or without a leading "/".

local core = require "strata.core"
local glob = require "strata.util.glob"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local parent_of = require("strata.util.path").parent

local choice = {}

---@class strata.ChoiceItem
---@field shown string  for messages
---@field glob string?  it is a path or a glob
---@field matches (fun(path: string): boolean)?  it is a Lua pattern
---@field used boolean?  the Lua pattern has matched something

---@class strata.Choice
---@field fn string  the method that wants it
---@field items strata.ChoiceItem[]
---@field call function?  instead of items
---@field known table<string, boolean>  paths that were asked for
---@field globs userdata?  core.globs of the items that are no Lua patterns; they match what is below a path, too
---@field patterns strata.ChoiceItem[]  the others
---@field asks_above boolean  a path is covered as well when only a directory that it is in matches
local Choice = {}
Choice.__index = Choice

--- A function that tells whether a Lua pattern is in a text. Throws for one that is none, and for an empty one: every
--- text has it, and it comes from a script whose variable is not set.
---@param pattern any
---@param what string  how it is called in a message
---@return fun(text: string): boolean
function choice.text(pattern, what)
  if type(pattern) ~= "string" then misuse("%s should be a Lua pattern, not %s", what, type(pattern)) end
  if pattern == "" then misuse("%s: the pattern is empty, and would match everything", what) end
  local ok, message = pcall(string.find, "", pattern)
  if not ok then misuse("%s: %s is no Lua pattern: %s", what, core.quote(pattern), message) end
  return function(text) return text:find(pattern) ~= nil end
end

local function of_pattern(given, fn)
  local finds = choice.text(given.pattern, fn .. ": pattern")
  for _, key in ipairs(json.keys(given)) do
    if key ~= "pattern" then misuse("%s: {pattern = ...} has no field '%s'", fn, tostring(key)) end
  end
  return { shown = ("{pattern = %s}"):format(core.quote(given.pattern)), matches = finds }
end

-- Whether a path names something below the root, and does not climb.
local function is_inside(given)
  if given:find("\0", 1, true) then return false end
  local names = false
  for name in given:gmatch("[^/]+") do
    if name == ".." then return false end
    names = names or name ~= "."
  end
  return names
end

-- A leading "/" makes no difference.
local function of_glob(given, fn)
  if not is_inside(given) then
    misuse("%s: %s names no path inside the image", fn, core.quote(given))
  end
  local problem = glob.problem(given)
  if problem then misuse("%s: %s is no glob: %s", fn, core.quote(given), problem) end
  return { shown = core.quote(given), glob = given }
end

local function item(given, fn)
  if type(given) == "string" then return of_glob(given, fn) end
  if type(given) == "table" and given.pattern ~= nil then return of_pattern(given, fn) end
  misuse("%s: a path, a glob or {pattern = ...} is wanted, not %s", fn, type(given))
end

local function divide(self)
  local globs = {}
  self.patterns = {}
  for _, one in ipairs(self.items) do
    local list = one.glob and globs or self.patterns
    list[#list + 1] = one.glob or one
  end
  self.globs = core.globs(globs)
end

--- Reads what a caller has given. Throws what chooses nothing, or cannot.
---@param which strata.Which
---@param fn string  the method's name
---@return strata.Choice
function choice.new(which, fn)
  local self = setmetatable({ fn = fn, items = {}, known = {} }, Choice)
  if type(which) == "function" then
    self.call = which
  elseif type(which) == "table" and which.pattern == nil then
    for i, given in ipairs(which) do self.items[i] = item(given, fn) end
    local count = 0
    for _ in next, which do count = count + 1 end
    if count == 0 or count ~= #self.items then
      misuse("%s: an array of paths is wanted, with one path at least", fn)
    end
  else
    self.items[1] = item(which, fn)
  end
  divide(self)
  self.asks_above = self.call ~= nil or self.patterns[1] ~= nil
  return self
end

--- The choice, when it is paths and globs alone: then the core can tell as well what is chosen.
---@return userdata?  core.globs
function Choice:declared()
  return not self.asks_above and self.globs or nil
end

--- Whether a path is chosen by itself; what a function says of it has been told before.
---@param path string
---@param is_aside? boolean  the path is that of a whiteout, which is no match of its own
---@return boolean
function Choice:matches(path, is_aside)
  if self.call then return self.known[path] == true end
  local known = self.known[path]
  if known ~= nil then return known end
  local found = self.globs:match(path, is_aside)
  for _, one in ipairs(self.patterns) do
    if ((not one.used and not is_aside) or not found) and one.matches(path) then
      one.used, found = one.used or not is_aside, true
    end
  end
  if self.patterns[1] and not is_aside then self.known[path] = found end
  return found
end

--- Whether a path is chosen, or a directory that it is in.
---@param path string?
---@param is_aside? boolean  as for matches
---@return boolean
function Choice:covers(path, is_aside)
  if path and not self.asks_above then return self:matches(path, is_aside) end
  while path do
    if self:matches(path, is_aside) then return true end
    path = parent_of(path)
  end
  return false
end

--- A function that tells whether paths, which are no function, choose a path. Unlike a choice it remembers nothing.
---@param which strata.Paths
---@param fn string  the function's name
---@return fun(path: string): boolean
function choice.matcher(which, fn)
  if type(which) == "function" then misuse("%s: a path, a glob or {pattern = ...} is wanted, not function", fn) end
  local chosen = choice.new(which, fn)
  local globs, patterns = chosen.globs, chosen.patterns
  return function(path)
    if globs:match(path, true) then return true end
    while path and patterns[1] do
      for _, one in ipairs(patterns) do
        if one.matches(path) then return true end
      end
      path = parent_of(path)
    end
    return false
  end
end

--- Asks the function about something with a path. Anything but true and false throws.
---@param path string
---@param ... any  its arguments
function Choice:ask(path, ...)
  local chosen = self.call(...)
  if chosen ~= true and chosen ~= false then
    misuse("%s: the function returned %s for %s: true chooses it, and false does not", self.fn, tostring(chosen),
      core.quote(path))
  end
  if chosen then self.known[path] = true end
end

--- What has chosen nothing, for a message; nil when all has.
---@return string?
function Choice:unused()
  if self.call then return next(self.known) == nil and "the function chose nothing" or nil end
  local list, number, unused = {}, 0, {}
  for _, i in ipairs(self.globs:unused()) do unused[i] = true end
  for _, one in ipairs(self.items) do
    if one.glob then number = number + 1 end
    if one.glob and unused[number] or one.matches and not one.used then list[#list + 1] = one.shown end
  end
  return list[1] and "nothing matches " .. table.concat(list, ", ") or nil
end

return choice
