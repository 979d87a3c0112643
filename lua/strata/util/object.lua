--- Classes of userdata with their behaviour in Lua.
--
-- An object is a userdata that carries a state table; code outside the class
-- cannot reach the state. Misuse (a wrong self, an unknown field) throws, at the
-- line that makes the mistake.

local core = require "strata.core"
local frozen = require "strata.util.frozen"
local json = require "strata.util.json"
local later = require "strata.util.later"
local misuse = require "strata.util.misuse"
local spelling = require "strata.util.spelling"

local object = {}

--- The methods of every class, by its name; of some a part is not loaded yet.
---@type table<string, table<string, function>>
object.methods = {}

---@class strata.ClassHooks
---@field fields? table<string, fun(state: table, self: userdata): any>  what can be read by name
---@field costly? table<string, boolean>  fields that need work: they are told without a value when all are listed
---@field index? fun(state: table, key: any, self: userdata): boolean, any  other names: whether it is one, its value
---@field names? fun(state: table): string[]  such names, for lists
---@field set? table<string, fun(state: table, value: any, self: userdata)>  what can be assigned
---@field newindex? fun(state: table, key: any, value: any, self: userdata): boolean?  the same: false when it is not
---@field hint? string  is added to what is said of an unknown field
---@field tostring fun(state: table, self: userdata): string
---@field close? fun(state: table)  runs once, by close() or __close
---@field closable? fun(state: table)  throws when close() is misuse, as for a part of something else
---@field call? fun(state: table, self: userdata, ...): ...
---@field len? fun(state: table): integer
---@field eq? fun(a: userdata, b: userdata): boolean

-- The sorted names of some tables' keys.
local function names_of(...)
  local names, seen = {}, {}
  for i = 1, select("#", ...) do
    for name in pairs(later.load((select(i, ...)))) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return json.sort(names)
end

--- The message for a field that does not exist.
---@param name string  of the class
---@param key any
---@param names string[]  of those that do
---@param act? string  "assign to"
---@return string
function object.unknown(name, key, names, act)
  local likely = type(key) == "string" and spelling.likely(key, names)
  local quoted = type(key) == "string" and json.printable(key, 60) or tostring(key)
  return ("%s has no field '%s'%s%s"):format(name, quoted, act and " to assign" or "",
    likely and (": did you mean '%s'?"):format(likely) or "")
end

local function reader(class)
  local name, methods, hooks, state_of = class.name, class.methods, class.hooks, class.state_of
  local fields = hooks.fields or {}
  return function(self, key)
    local method = methods[key]
    if method ~= nil then return method end
    local state = state_of(self)
    if state.closed then misuse("attempt to use a closed " .. name) end
    frozen.used(state)
    local field = fields[key]
    if field then return field(state, self) end
    if hooks.index then
      local known, value = hooks.index(state, key, self)
      if known then return value end
    end
    misuse(object.unknown(name, key, names_of(methods, fields)) .. (hooks.hint or ""))
  end
end

local function writer(class)
  local name, methods, hooks, state_of = class.name, class.methods, class.hooks, class.state_of
  local set = hooks.set or {}
  return function(self, key, value)
    local state = state_of(self)
    if state.closed then misuse("attempt to use a closed " .. name) end
    frozen.used(state, key)
    frozen.forget(state, key)
    if set[key] then return set[key](state, value, self) end
    if methods[key] == nil and hooks.newindex and hooks.newindex(state, key, value, self) ~= false then return end
    if methods[key] ~= nil or (hooks.fields or {})[key] then
      misuse(("cannot assign to field '%s' of a %s"):format(tostring(key), name))
    end
    misuse(object.unknown(name, key, names_of(set), "assign to") .. (hooks.hint or ""))
  end
end

-- An iterator over names and values: fields and methods, in the order of their bytes. What cannot be read now, or only
-- by carrying out edits, comes without a value.
local function iterator(class)
  local methods, hooks, state_of = class.methods, class.hooks, class.state_of
  local fields, costly = hooks.fields or {}, hooks.costly or {}
  return function(self)
    local state, more = state_of(self), {}
    if hooks.names and not state.closed then
      for _, name in ipairs(hooks.names(state)) do more[name] = true end
    end
    local names, i = names_of(methods, fields, more), 0
    return function()
      i = i + 1
      local name = names[i]
      if not name then return nil end
      if costly[name] then return name, nil end
      local ok, value = pcall(function() return self[name] end)
      return name, ok and value or nil
    end
  end
end

local function add_close(mt, class)
  local hooks, state_of = class.hooks, class.state_of
  local function close(self)
    local state = state_of(self)
    if not state.closed then
      if hooks.closable then hooks.closable(state) end
      state.closed = true
      hooks.close(state)
    end
  end
  -- There is no __gc: a resource is a userdata of its own with its own finaliser, and a layer,
  -- an entry or a running save may still use it when this object is collected.
  class.methods.close = close
  mt.__close = close
end

--- Makes a class.
---@param name string  e.g. "strata.Config"
---@param methods table<string, function>  called as obj:method(...)
---@param hooks strata.ClassHooks
---@return fun(state: table): userdata new
---@return fun(obj: userdata): table state_of  throws when obj is no such object, or closed
---@return fun(value: any): boolean is
function object.class(name, methods, hooks)
  object.methods[name] = methods
  later.class_is_there(name, methods)
  local mt = { __name = name }
  local new, state_of, is = core.object_type(mt)
  local class = { name = name, methods = methods, hooks = hooks, state_of = state_of }

  if hooks.close then add_close(mt, class) end
  mt.__index = reader(class)
  mt.__newindex = writer(class)
  mt.__pairs = iterator(class)
  mt.__tostring = function(self)
    local state = state_of(self)
    if state.closed then return name .. "(closed)" end
    return hooks.tostring(state, self)
  end
  if hooks.call then
    mt.__call = function(self, ...) return hooks.call(state_of(self), self, ...) end
  end
  if hooks.len then
    mt.__len = function(self) return hooks.len(state_of(self)) end
  end
  mt.__eq = hooks.eq

  local function live(self)
    if not is(self) then
      local got = type(self) == "userdata" and (getmetatable(self) or {}).__name or type(self)
      misuse("%s expected, got %s (a method is called with ':')", name, tostring(got))
    end
    local state = state_of(self)
    if state.closed then misuse("attempt to use a closed " .. name) end
    frozen.used(state)
    return state
  end
  return new, live, is
end

return object
