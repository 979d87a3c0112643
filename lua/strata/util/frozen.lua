--- Lists and tables that an object hands out. They are copies or views: a change to one would not change the object,
-- so it is an error that says what to do instead.
--
-- Lua tells a table nothing of an assignment to a key that it has. A changed copy is found when its object is used the
-- next time, and before the object is saved; a big one after as many uses as it has hundreds of values, since comparing
-- it takes as long. Where the VM lets a list have no elements of its own (Lua 5.3 and newer), frozen.list finds all
-- changes at once.

local misuse = require "strata.util.misuse"
local printed = require "strata.util.printed"

local frozen = {}

---@class strata.HandedOut
---@field name string
---@field advice string
---@field copy table
---@field was table  what it held
---@field size integer  how many values that are
---@field of table?  the list that it is a copy of: another one whenever that changes
---@field unseen integer  how many values could have been compared by the uses since it was compared

local function refuse(name, advice)
  misuse("%s cannot be changed in place: %s", name, advice)
end

-- A copy of a value, and how many values are in it.
local function duplicate(value)
  if type(value) ~= "table" then return value, 1 end
  local made, size = {}, 0
  for k, v in next, value do
    local count
    made[k], count = duplicate(v)
    size = size + count
  end
  return made, size
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return rawequal(a, b) end
  for k, v in next, a do
    if not same(v, b[k]) then return false end
  end
  for k in next, b do
    if a[k] == nil then return false end
  end
  return true
end

local function freeze(value, meta)
  if type(value) ~= "table" then return value end
  for _, v in next, value do freeze(v, meta) end
  return setmetatable(value, meta)
end

--- Makes a copy, and all tables in it, refuse new keys.
---@generic T
---@param value T
---@param name string  how it is called in a message
---@param advice string  what to do instead of changing it
---@return T
function frozen.table(value, name, advice)
  return freeze(value, { __newindex = function() refuse(name, advice) end, __tostring = printed.copy })
end

--- The same, and keeps in mind what is handed out, so that frozen.check finds every change.
---@generic T
---@param state table  of the object; state.handed_out is this module's
---@param key any  the field
---@param value T  a copy
---@param name string
---@param advice string
---@return T
function frozen.copy(state, key, value, name, advice)
  if type(value) ~= "table" then return value end
  state.handed_out = state.handed_out or {}
  local list = state.handed_out
  local at = #list + 1
  for i, one in ipairs(list) do
    if one.key == key then
      if same(one.was, value) then return one.copy end
      at = i
    end
  end
  local was, size = duplicate(value)
  list[at] = { key = key, name = name, advice = advice, was = was, size = size, unseen = 0, copy = value }
  return frozen.table(value, name, advice)
end

-- Throws when a copy has been changed.
local function compare(list, i)
  local one = list[i]
  one.unseen = 0
  if same(one.copy, one.was) then return end
  table.remove(list, i) -- told once
  refuse(one.name, one.advice)
end

--- Throws when one of the copies that were handed out has been changed.
---@param state table
function frozen.check(state)
  for i in ipairs(state.handed_out or {}) do compare(state.handed_out, i) end
end

-- How many values of a copy a use of its object may compare.
local PER_USE = 100

--- The same for a use of the object. A loop that uses it as often as a copy has values would compare all of them each
--- time, so that a big one is not compared by each use.
---@param state table
---@param except? any  the field that is assigned now
function frozen.used(state, except)
  local list = state.handed_out
  if not list then return end
  for i, one in ipairs(list) do
    one.unseen = one.unseen + PER_USE
    if one.key ~= except and one.unseen >= one.size then compare(list, i) end
  end
end

--- Forgets the copy of a field that is assigned.
---@param state table
---@param key any
function frozen.forget(state, key)
  for i, one in ipairs(state.handed_out or {}) do
    if one.key == key then table.remove(state.handed_out, i) break end
  end
end

-- Whether loops and `#` ask a list's metatable.
local function has_views()
  local count, view = 0, setmetatable({}, { __index = { true }, __len = function() return 1 end })
  for _ in ipairs(view) do count = count + 1 end
  return count == 1 and #view == 1
end

local VIEWS = has_views()

--- An array to be read, counted and iterated: a view where the VM has them, else a copy.
---@generic T
---@param state table
---@param key string  the field
---@param items fun(): T[]  the array as it stands: another one after each change
---@param name string
---@param advice string
---@param call? fun(list: T[]): function  what calling it does
---@return T[]
function frozen.list(state, key, items, name, advice, call)
  if not VIEWS then
    local all, copy = items(), {}
    for _, one in ipairs(state.handed_out or {}) do
      if one.key == key and one.of == all then return one.copy end
    end
    for i, item in ipairs(all) do copy[i] = item end
    copy = frozen.copy(state, key, copy, name, advice)
    getmetatable(copy).__call = call
    for _, one in ipairs(state.handed_out) do
      if one.key == key then one.of = all end
    end
    return copy
  end
  return setmetatable({}, {
    __index = function(_, at) return items()[at] end,
    __len = function() return #items() end,
    __newindex = function() refuse(name, advice) end,
    __pairs = function(view) return ipairs(view) end,
    __call = call,
    __tostring = printed.copy,
  })
end

return frozen
